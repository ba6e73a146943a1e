"""A small PKI for tests: a root, an issuing CA, card certificates with their Japanese names in SAN, and CRLs."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

POLICY = "1.2.392.200000.1.1"
NOON = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
CA_USAGE = {"key_cert_sign": True, "crl_sign": True}
CARD_USAGE = {"digital_signature": True, "content_commitment": True}
Extensions = tuple[tuple[x509.ExtensionType, bool], ...]
_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip


def key_usage(**on: bool) -> x509.KeyUsage:
    """Return a KeyUsage with these bits on."""
    return x509.KeyUsage(**{usage: on.get(usage, False) for usage in _USAGES})


def name(**parts: str) -> x509.Name:
    """Return a name of C, ST, L, O, OU, T, CN given by keyword."""
    oids = {"C": NameOID.COUNTRY_NAME, "ST": NameOID.STATE_OR_PROVINCE_NAME, "L": NameOID.LOCALITY_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME, "STREET": NameOID.STREET_ADDRESS, "T": NameOID.TITLE, "CN": NameOID.COMMON_NAME}  # fmt: skip
    return x509.Name([x509.NameAttribute(oids[part], value) for part, value in parts.items()])


def _policies(oids: tuple[str, ...], critical: bool) -> Extensions:
    found = [x509.PolicyInformation(x509.ObjectIdentifier(oid), None) for oid in oids]
    return ((x509.CertificatePolicies(found), critical),) if found else ()


def _points(url: str | None) -> Extensions:
    if url is None:
        return ()
    point = x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None)
    return ((x509.CRLDistributionPoints([point]), False),)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)


class Authority:
    """A demo CA of two storeys: `root` and `issuing`, RSA unless keys are given."""

    def __init__(
        self,
        *,
        label: str = "test",
        at: datetime = NOON,
        root_key: Any = None,
        issuing_key: Any = None,
        root_options: dict[str, Any] | None = None,
        issuing_options: dict[str, Any] | None = None,
    ) -> None:
        self.at = at
        root_name, issuing_name = name(C="JP", O=f"{label} root"), name(C="JP", ST="Kanagawa", O=label, OU=f"{label}ca")
        self.root = self.ca(root_name, None, **{"path_length": 1, "key": root_key, **(root_options or {})})
        issuing_options = {"path_length": 0, "key": issuing_key, **(issuing_options or {})}
        self.issuing = self.ca(issuing_name, self.root, **issuing_options)

    def ca(
        self,
        subject: x509.Name,
        above: Issued | None,
        *,
        path_length: int | None,
        key: Any = None,
        starts: timedelta = timedelta(days=-3650),
        ends: timedelta = timedelta(days=3650),
        usage: dict[str, bool] | None = None,
        is_ca: bool = True,
        policies: tuple[str, ...] = (),
        crl_url: str | None = None,
        hash_algorithm: hashes.HashAlgorithm | None = None,
        extra: Extensions = (),
    ) -> Issued:
        """Return a CA certificate under `above`, or a root; each keyword spoils or varies one thing."""
        key = key or rsa.generate_private_key(65537, 2048)
        issuer, signer = (above.certificate.subject, above.key) if above else (subject, key)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self.at + starts)
            .not_valid_after(self.at + ends)
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=path_length if is_ca else None), critical=True)
            .add_extension(key_usage(**(CA_USAGE if usage is None else usage)), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        for extension, critical in (*_policies(policies, False), *_points(crl_url), *extra):
            builder = builder.add_extension(extension, critical=critical)
        return Issued(builder.sign(signer, hash_algorithm or hashes.SHA256()), key)

    def card(
        self,
        *,
        company: str = "株式会社テスト商会01",
        holder: str = "テスト 1太郎",
        key: Any = None,
        serial: int | None = None,
        starts: timedelta = timedelta(days=-30),
        ends: timedelta = timedelta(days=700),
        usage: dict[str, bool] | None = None,
        purposes: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.CLIENT_AUTH,),
        policy: str | tuple[str, ...] | None = POLICY,
        policy_critical: bool = False,
        san: bool = True,
        signer: Issued | None = None,
        hash_algorithm: hashes.HashAlgorithm | None = None,
        ca: bool = False,
        key_identifier: bool = True,
        crl_url: str | None = None,
        extra: Extensions = (),
    ) -> Issued:
        """Return a card certificate; each keyword spoils or varies one thing."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        signer = signer or self.issuing
        builder = (
            x509.CertificateBuilder()
            .subject_name(name(C="JP", ST="Aomori", L="Aomori", O="Test Shokai", CN="Test Taro"))
            .issuer_name(signer.certificate.subject)
            .public_key(key.public_key())
            .serial_number(serial or x509.random_serial_number())
            .not_valid_before(self.at + starts)
            .not_valid_after(self.at + ends)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if key_identifier:
            identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key())
            builder = builder.add_extension(identifier, critical=False)
        usage = CARD_USAGE if usage is None else usage
        if usage:
            builder = builder.add_extension(key_usage(**usage), critical=True)
        if purposes is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        policies = (policy,) if isinstance(policy, str) else policy or ()
        for extension, critical in (*_policies(policies, policy_critical), *_points(crl_url), *extra):
            builder = builder.add_extension(extension, critical=critical)
        if san:
            japanese = name(C="JP", ST="青森県", L="青森市中央1-22-5", O=company, T="代表取締役", CN=holder)
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DirectoryName(japanese)]), critical=False)
        return Issued(builder.sign(signer.key, hash_algorithm or hashes.SHA256()), key)

    def crl(
        self,
        *,
        revoked: dict[int, datetime] | None = None,
        number: int | None = 1,
        signer: Issued | None = None,
        issued: timedelta = timedelta(hours=-1),
        next_in: timedelta = timedelta(hours=23),
        extra: Extensions = (),
        hash_algorithm: hashes.HashAlgorithm | None = None,
        reason: x509.ReasonFlags | None = None,
    ) -> bytes:
        """Return a CRL (DER) of the issuing CA."""
        signer = signer or self.issuing
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(signer.certificate.subject)
            .last_update(self.at + issued)
            .next_update(self.at + next_in)
        )
        if number is not None:
            builder = builder.add_extension(x509.CRLNumber(number), critical=False)
        for extension, critical in extra:
            builder = builder.add_extension(extension, critical=critical)
        for serial, since in (revoked or {}).items():
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(since)
            if reason is not None:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        signed = builder.sign(signer.key, hash_algorithm or hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.DER)


def sign(key: Any, algorithm: str, message: bytes) -> bytes:
    """Return a signature as a card makes it; ECDSA as raw r||s."""
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    if algorithm == "RS256":
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    if algorithm == "PS256":
        return key.sign(message, padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32), hashes.SHA256())
    half = key.curve.key_size // 8
    r, s = decode_dss_signature(
        key.sign(message, ec.ECDSA(hashes.SHA256() if algorithm == "ES256" else hashes.SHA384()))
    )
    return r.to_bytes(half, "big") + s.to_bytes(half, "big")
