"""Cards for tests: SoftHSM2 tokens, each in a store of its own, with certificates of a small test CA."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

SOFTHSM = "/usr/lib/softhsm/libsofthsm2.so"
PIN = "123456"
AUTHORITY = x509.Name(
    [
        x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "テスト認証局"),
    ]
)
_authority_key = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class TestCard:
    """A card that was put into a token store."""

    __test__ = False
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self.der).hexdigest()


def make_card(
    *,
    company: str = "株式会社山田建設",
    holder: str = "山田 太郎",
    kind: str = "RSA",
    starts: timedelta = timedelta(days=-30),
    ends: timedelta = timedelta(days=335),
    digital_signature: bool = True,
) -> TestCard:
    """Return a new key with a certificate for it."""
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if kind == "RSA":
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    else:
        key = ec.generate_private_key({"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}[kind])
    now = datetime.now(UTC).replace(microsecond=0)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "JP"),
            x509.NameAttribute(NameOID.STATE_OR_PROVINCE_NAME, "青森県"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, company),
            x509.NameAttribute(NameOID.COMMON_NAME, holder),
        ]
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Taro Yamada")])
    usage = x509.KeyUsage(digital_signature, not digital_signature, *[False] * 7)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(AUTHORITY)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + starts)
        .not_valid_after(now + ends)
        .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(name)]), critical=False)
        .add_extension(usage, critical=True)
        .sign(_authority_key, hashes.SHA256())
    )
    return TestCard(certificate, key)


# Debian's pkcs11-tool writes every certificate as public, so a private one needs a few lines of our own.
_WRITE_CERTIFICATE = """
import sys
import pkcs11
from pkcs11 import Attribute as A

module, label, path, key_id, subject, visibility = sys.argv[1:]
with pkcs11.lib(module).get_token(token_label=label).open(rw=True, user_pin=sys.stdin.read()) as session:
    session.create_object({
        A.CLASS: pkcs11.ObjectClass.CERTIFICATE, A.CERTIFICATE_TYPE: pkcs11.CertificateType.X_509, A.TOKEN: True,
        A.PRIVATE: visibility == "private", A.ID: bytes.fromhex(key_id), A.LABEL: "certificate",
        A.SUBJECT: bytes.fromhex(subject), A.VALUE: open(path, "rb").read(),
    })
"""


class TokenStore:
    """A directory of SoftHSM2 tokens: the readers of a test, and what is in them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.conf = directory / "softhsm2.conf"
        (directory / "tokens").mkdir(parents=True)
        self.conf.write_text(
            f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self._count = 0

    def _run(self, *command: str) -> None:
        subprocess.run(
            command, env={"SOFTHSM2_CONF": str(self.conf), "PATH": "/usr/bin"}, check=True, capture_output=True
        )

    def insert(self, *cards: TestCard, pin: str = PIN, private_certificates: bool = False) -> None:
        """Put one token with these certificates and keys into the store."""
        self._count += 1
        label = f"card{self._count}"
        self._run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", pin, "--so-pin", "87654321")
        for number, card in enumerate(cards, 1):
            key, certificate = self.directory / "key.pem", self.directory / "certificate.der"
            key.write_bytes(
                card.key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
            certificate.write_bytes(card.der)
            token = ("--token", label, "--pin", pin)
            self._run("softhsm2-util", "--import", str(key), "--label", "key", "--id", f"a{number}", *token)
            subject = card.certificate.subject.public_bytes().hex()
            visibility = "private" if private_certificates else "public"
            argv = [
                sys.executable,
                "-c",
                _WRITE_CERTIFICATE,
                SOFTHSM,
                label,
                str(certificate),
                f"a{number}",
                subject,
                visibility,
            ]
            subprocess.run(
                argv, env={"SOFTHSM2_CONF": str(self.conf)}, input=pin.encode(), check=True, capture_output=True
            )
            key.unlink()
