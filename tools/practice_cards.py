"""The practice city's certification authorities 「入札市練習認証局」 and 「入札市職員認証局」, and their demo cards in SoftHSM2.

    python tools/practice_cards.py --directory var/practice/cards

makes what is missing or has grown too old, and nothing else. In the directory stand afterwards: `softhsm2.conf` and
`tokens/` (every card in a reader of its own, for the card agent), `ca/` and `staff_ca/` (certificates, keys, revocation list),
`cards/` (certificate and key of each card, as files) and `cards.json` (what the help page and the tests read).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY = "入札市練習認証局"
STAFF_AUTHORITY = "入札市職員認証局（練習）"
# An OID of the 2.25 arc needs no registration; it means "issued for practice".
POLICY = "2.25.20261124"
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
)
DAY = timedelta(days=1)
_SO_PIN = "87654321"
_KEY_ID = "a1"
_LIST_LIFE = 730 * DAY
_USAGES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only")  # fmt: skip


@dataclass(frozen=True)
class DemoCard:
    """What one demo card is for. `ends` counts from its making; it is made again when fewer than `spare` are left."""

    name: str
    label: str
    purpose: str
    pin: str
    number: int
    # The card dialogue lists all demo cards at once: people of one company differ so that its cards can be told apart.
    holder: str
    ends: timedelta = 1000 * DAY
    spare: timedelta = 60 * DAY
    starts: timedelta = -30 * DAY
    key: str = "RSA"
    revoked: bool = False

    @property
    def company(self) -> str:
        return f"株式会社テスト商会{self.number:02}"

    @property
    def roman_company(self) -> str:
        return f"Test Shokai {self.number:02} Co., Ltd."

    def is_fit(self, certificate: x509.Certificate, now: datetime) -> bool:
        """Return whether this certificate still shows what the card is for."""
        return self.ends < timedelta(0) or certificate.not_valid_after_utc - now > self.spare


CARDS = (
    DemoCard(
        name="good",
        label="練習カード1",
        purpose="ふつうに使えるICカードです。まずこれで「利用者登録」をしてください。",
        pin="1111",
        number=1,
        holder="テスト 1太郎",
    ),
    DemoCard(
        name="second",
        label="練習カード2",
        purpose="同じ会社の2枚目のICカードです。2枚目の登録を試せます。",
        pin="2222",
        number=1,
        holder="テスト 1花子",
    ),
    DemoCard(
        name="expiring",
        label="練習カード3",
        purpose="有効期限が近いICカードです。期限の案内が出ます。",
        pin="3333",
        number=1,
        holder="テスト 1次郎",
        ends=20 * DAY,
        spare=2 * DAY,
    ),
    DemoCard(
        name="expired",
        label="練習カード4",
        purpose="有効期限が切れたICカードです。使えないことを確かめられます。",
        pin="4444",
        number=1,
        holder="テスト 1三郎",
        starts=-1000 * DAY,
        ends=-10 * DAY,
    ),
    DemoCard(
        name="revoked",
        label="練習カード5",
        purpose="認証局が失効させたICカードです。使えないことを確かめられます。",
        pin="5555",
        number=1,
        holder="テスト 1四郎",
        revoked=True,
    ),
    DemoCard(
        name="other",
        label="練習カード6",
        purpose="別の会社のICカードです。二つの会社の練習ができます。",
        pin="6666",
        number=2,
        holder="テスト 2太郎",
    ),
    DemoCard(
        name="ec",
        label="練習カード7",
        purpose="新しい方式の鍵（楕円曲線P-256）を持つICカードです。",
        pin="7777",
        number=3,
        holder="テスト 3太郎",
        key="P-256",
    ),
    # Who renews keeps the name: these two take the place of card 3, one after the other.
    DemoCard(
        name="renewal",
        label="練習カード8",
        purpose="練習カード3の次のICカードです。「ICカード更新」を試せます。PIN番号は同じなので、入力は1回で済みます。",
        pin="3333",
        number=1,
        holder="テスト 1次郎",
        ends=1500 * DAY,
    ),
    DemoCard(
        name="renewal-2",
        label="練習カード9",
        purpose="練習カード8の次のICカードです。PIN番号が違うときの「ICカード更新」を試せます。",
        pin="9999",
        number=1,
        holder="テスト 1次郎",
        ends=2000 * DAY,
    ),
)


@dataclass(frozen=True)
class StaffCard(DemoCard):
    """A card of one of the city's staff; there is one for each role."""

    role: str = ""
    section: str = ""

    @property
    def company(self) -> str:
        return "入札市"

    @property
    def roman_company(self) -> str:
        return "Nyusatsu City"


STAFF_PIN = "2468"
STAFF_CARDS = tuple(
    StaffCard(
        name=f"staff-{role}",
        label=f"職員カード{number}",
        purpose=purpose,
        pin=STAFF_PIN,
        number=number,
        holder=holder,
        role=role,
        section=section,
    )
    for number, (role, purpose, holder, section) in enumerate(
        (
            ("administrator", "管理者", "管理 一郎", "総務課 情報係"),
            ("contracts", "契約課", "契約 花子", "契約課 工事契約係"),
            ("opening_officer", "開札執行者", "開札 三郎", "契約課 工事契約係"),
            ("witness", "立会者", "立会 四子", "会計課"),
            ("helpdesk", "ヘルプデスク", "相談 五郎", "電子入札ヘルプデスク"),
            ("auditor", "監査", "監査 六子", "監査委員事務局"),
        ),
        start=1,
    )
)


@dataclass(frozen=True)
class Issued:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any


def module_path() -> str:
    """Return where SoftHSM2's PKCS#11 module stands on this machine."""
    for path in MODULES:
        if Path(path).exists():
            return path
    sys.exit("SoftHSM2 is not installed (Debian: apt install softhsm2 opensc)")


def make(directory: Path, *, now: datetime, only: Collection[str] = ()) -> dict[str, Any]:
    """Make what is missing in `directory` (the cards named in `only`, or all) and return what `cards.json` says."""
    directory = directory.resolve()
    for folder in ("ca", "staff_ca", "cards", "tokens"):
        (directory / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
    configuration = directory / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {directory / 'tokens'}\nobjectstore.backend = file\n")
    tokens = _tokens(configuration)
    described: dict[str, Any] = {"module": module_path(), "softhsm2_conf": str(configuration)}
    for authority, folder, key, kind, all_cards in (
        (AUTHORITY, "ca", "authority", "cards", CARDS),
        (STAFF_AUTHORITY, "staff_ca", "staff_authority", "staff_cards", STAFF_CARDS),
    ):
        cards: list[DemoCard] = [card for card in all_cards if not only or card.name in only]
        if not cards:
            described |= {kind: []}
            continue
        root, issuing = _authority(directory / folder, folder, now)
        for card in cards:
            kept = _read(directory / "cards" / card.name)
            if kept is None or card.label not in tokens or not card.is_fit(kept.certificate, now):
                issued = _issue(card, issuing, now)
                _insert(card, issued, directory, configuration, replace=card.label in tokens)
                # Written last: a card whose making was interrupted is made again.
                _write(directory / "cards" / card.name, issued)
        revoked = [_read(directory / "cards" / card.name) for card in cards if card.revoked]
        _write_list(directory / folder / "practice.crl", issuing, [r.certificate for r in revoked if r], now)
        described[key] = _describe(authority, directory / folder, root, issuing)
        described[kind] = [_describe_card(directory, card) for card in cards]
    fresh = directory / "cards.json.new"
    fresh.write_text(json.dumps(described, ensure_ascii=False, indent=1))
    fresh.replace(directory / "cards.json")
    return described


def _authority(folder: Path, kind: str, now: datetime) -> tuple[Issued, Issued]:
    root, issuing = _read(folder / "root"), _read(folder / "issuing")
    if root is None or issuing is None:
        label, unit = ("practice", "practiceca1") if kind == "ca" else ("practice staff", "practicestaffca1")
        root = _authority_certificate(_name(C="JP", O=f"irefuda {label} root"), None, now)
        issuing = _authority_certificate(_name(C="JP", ST="Aomori", O=f"irefuda {label}", OU=unit), root, now)
        _write(folder / "root", root)
        _write(folder / "issuing", issuing)
    return root, issuing


def _authority_certificate(subject: x509.Name, above: Issued | None, now: datetime) -> Issued:
    key = rsa.generate_private_key(65537, 2048)
    signer = above.key if above else key
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(above.certificate.subject if above else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 3650 * DAY)
        .not_valid_after(now + 7300 * DAY)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0 if above else 1), critical=True)
        .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
    )
    return Issued(builder.sign(signer, hashes.SHA256()), key)


def _issue(card: DemoCard, issuing: Issued, now: datetime) -> Issued:
    key: Any = ec.generate_private_key(ec.SECP256R1()) if card.key == "P-256" else rsa.generate_private_key(65537, 2048)
    roman = _name(C="JP", ST="Aomori", O=card.roman_company, CN=f"Test {card.number} {card.name}")
    title = {"OU": card.section} if isinstance(card, StaffCard) else {"T": "代表取締役社長"}
    japanese = _name(C="JP", ST="青森県", L="入札市練習町1-1-1", O=card.company, **title, CN=card.holder)
    builder = (
        x509.CertificateBuilder()
        .subject_name(roman)
        .issuer_name(issuing.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + card.starts)
        .not_valid_after(now + card.ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage("digital_signature", "content_commitment"), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(
            x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier(POLICY), None)]), critical=False
        )
        .add_extension(x509.SubjectAlternativeName([x509.DirectoryName(japanese)]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.key.public_key()), critical=False)
    )
    return Issued(builder.sign(issuing.key, hashes.SHA256()), key)


def _name(**parts: str) -> x509.Name:
    oids = {
        "C": NameOID.COUNTRY_NAME,
        "ST": NameOID.STATE_OR_PROVINCE_NAME,
        "L": NameOID.LOCALITY_NAME,
        "O": NameOID.ORGANIZATION_NAME,
        "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
        "T": NameOID.TITLE,
        "CN": NameOID.COMMON_NAME,
    }
    return x509.Name([x509.NameAttribute(oids[part], value) for part, value in parts.items()])


def _usage(*on: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{usage: usage in on for usage in _USAGES})


def _write_list(path: Path, issuing: Issued, revoked: list[x509.Certificate], now: datetime) -> None:
    """Sign the next revocation list when a card joins it or the last one is half over; numbers only go up."""
    last = x509.load_der_x509_crl(path.read_bytes()) if path.exists() else None
    entries = {entry.serial_number: entry for entry in last} if last else {}
    new = [certificate for certificate in revoked if certificate.serial_number not in entries]
    if last is not None and not new and last.next_update_utc and last.next_update_utc - now > _LIST_LIFE / 2:
        return
    for certificate in new:
        entries[certificate.serial_number] = (
            x509.RevokedCertificateBuilder()
            .serial_number(certificate.serial_number)
            .revocation_date(now - 5 * DAY)
            .add_extension(x509.CRLReason(x509.ReasonFlags.key_compromise), critical=False)
            .build()
        )
    number = last.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1 if last else 1
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuing.certificate.subject)
        .last_update(now - timedelta(minutes=1))
        .next_update(now + _LIST_LIFE)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.key.public_key()), critical=False)
    )
    for entry in entries.values():
        builder = builder.add_revoked_certificate(entry)
    path.write_bytes(builder.sign(issuing.key, hashes.SHA256()).public_bytes(Encoding.DER))


def _insert(card: DemoCard, issued: Issued, directory: Path, configuration: Path, *, replace: bool) -> None:
    """Put key and certificate on a SoftHSM2 token of the card's own, as a vendor's tool does with a real card."""
    if replace:
        _run(configuration, "softhsm2-util", "--delete-token", "--token", card.label)
    key, certificate = directory / "cards" / f"{card.name}.import.p8", directory / "cards" / f"{card.name}.import.der"
    try:
        _write_secret(key, issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        certificate.write_bytes(issued.certificate.public_bytes(Encoding.DER))
        _run(configuration, "softhsm2-util", "--init-token", "--free", "--label", card.label, "--so-pin", _SO_PIN, "--pin", card.pin)  # fmt: skip
        _run(configuration, "softhsm2-util", "--import", str(key), "--token", card.label, "--label", "card", "--id", _KEY_ID, "--pin", card.pin)  # fmt: skip
        _run(configuration, "pkcs11-tool", "--module", module_path(), "--token-label", card.label, "--login", "--pin", card.pin,
             "--write-object", str(certificate), "--type", "cert", "--id", _KEY_ID, "--label", "card")  # fmt: skip
    finally:
        key.unlink(missing_ok=True)
        certificate.unlink(missing_ok=True)


def _tokens(configuration: Path) -> set[str]:
    shown = _run(configuration, "softhsm2-util", "--show-slots")
    return {line.split(":", 1)[1].strip() for line in shown.splitlines() if line.strip().startswith("Label:")}


def _run(configuration: Path, *command: str) -> str:
    if shutil.which(command[0]) is None:
        sys.exit(f"{command[0]} is not installed (Debian: apt install softhsm2 opensc)")
    environment = {**os.environ, "SOFTHSM2_CONF": str(configuration)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _read(stem: Path) -> Issued | None:
    certificate, key = stem.with_suffix(".pem"), stem.with_suffix(".key")
    if not certificate.exists() or not key.exists():
        return None
    return Issued(
        x509.load_pem_x509_certificate(certificate.read_bytes()), load_pem_private_key(key.read_bytes(), password=None)
    )


def _write(stem: Path, issued: Issued) -> None:
    _write_secret(stem.with_suffix(".key"), issued.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    stem.with_suffix(".pem").write_bytes(issued.certificate.public_bytes(Encoding.PEM))


def _write_secret(path: Path, content: bytes) -> None:
    path.touch(mode=0o600)
    path.write_bytes(content)


def _describe(name: str, folder: Path, root: Issued, issuing: Issued) -> dict[str, Any]:
    return {
        "name": name,
        "policy": POLICY,
        "root": str(folder / "root.pem"),
        "issuing": str(folder / "issuing.pem"),
        "revocation_list": str(folder / "practice.crl"),
        "fingerprints": [a.certificate.fingerprint(hashes.SHA256()).hex() for a in (root, issuing)],
    }


def _describe_card(directory: Path, card: DemoCard) -> dict[str, Any]:
    stem = directory / "cards" / card.name
    certificate = x509.load_pem_x509_certificate(stem.with_suffix(".pem").read_bytes())
    who = {"role": card.role, "section": card.section} if isinstance(card, StaffCard) else _in_register(card)
    return {
        "name": card.name,
        "label": card.label,
        "purpose": card.purpose,
        "pin": card.pin,
        "company": card.company,
        "holder": card.holder,
        **who,
        "valid_until": certificate.not_valid_after_utc.isoformat(),
        "serial": str(certificate.serial_number),
        "certificate": str(stem.with_suffix(".pem")),
        "key": str(stem.with_suffix(".key")),
        "fingerprint": hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest(),
    }


def _in_register(card: DemoCard) -> dict[str, str]:
    return {"supplier_number": f"9900000{card.number:02}", "register_name": f"（株）テスト商会{card.number:02}"}


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the practice city's certification authority and demo cards.")
    parser.add_argument("--directory", type=Path, required=True)
    parser.add_argument(
        "--only", nargs="*", default=(), choices=[card.name for card in (*CARDS, *STAFF_CARDS)], metavar="CARD"
    )
    arguments = parser.parse_args()
    description = make(arguments.directory, now=datetime.now(UTC).replace(microsecond=0), only=arguments.only)
    for card in description["cards"] + description["staff_cards"]:
        print(f"  {card['label']}  PIN番号 {card['pin']}  {card['company']}  {card['purpose']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
