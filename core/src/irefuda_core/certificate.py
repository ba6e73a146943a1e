"""What an IC card's certificate says, in the words of the screens."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

ABSENT = "証明書に記載なし"
# A certificate without an end says 99991231235959Z (RFC 5280 section 4.1.2.5), nine hours after the last day that Japan's
# time has here; the last second of that day is as good, and can be shown.
NO_END = datetime(9999, 12, 31, 14, 59, 59, tzinfo=UTC)
_ATTRIBUTES = {
    "C": NameOID.COUNTRY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "L": NameOID.LOCALITY_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "T": NameOID.TITLE,
    "CN": NameOID.COMMON_NAME,
}
_SHORT = {oid: short for short, oid in _ATTRIBUTES.items()}
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
# Field -> alternatives in order; an alternative is a list of sources whose present values are joined by a space.
AttributeMapping = Mapping[str, list[list[str]]]
DEFAULT_MAPPING: AttributeMapping = {
    "company_name": [["san.O"], ["subject.O"]],
    "company_address": [["san.ST", "san.L", "san.STREET"], ["subject.ST", "subject.L", "subject.STREET"]],
    "holder_name": [["san.CN"], ["subject.CN"]],
    "holder_address": [],
}


class UnreadableCertificate(ValueError):
    """The bytes are not an X.509 certificate that this rulebook can read."""


@dataclass(frozen=True, slots=True)
class CardCertificate:
    """A certificate, read. Absent values are "", shown as 「証明書に記載なし」."""

    der: bytes
    fingerprint: str
    serial: int
    issuer_text: str
    issuer_key: str
    not_before: datetime
    not_after: datetime
    company_name: str
    company_address: str
    holder_name: str
    holder_address: str
    key_kind: str
    key_size: int

    @property
    def serial_text(self) -> str:
        """Return the serial number as the screens show it: decimal."""
        return str(self.serial)


def shown(value: str) -> str:
    """Return the value, or 「証明書に記載なし」 for an absent one (never "null null")."""
    return value or ABSENT


def fingerprint_of(der: bytes) -> str:
    """Return the SHA-256 of the certificate in hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def issuer_key_of(name: x509.Name) -> str:
    """Return the key under which an issuer is known: the SHA-256 of its name's DER, in hexadecimal."""
    return hashlib.sha256(name.public_bytes()).hexdigest()


@lru_cache(maxsize=128)
def load(der: bytes) -> x509.Certificate:
    """Return the parsed certificate; the last ones are kept, since every act reads the same card several times.

    :raises UnreadableCertificate: when it cannot be parsed, extensions and public key included
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        _ = (certificate.extensions, certificate.public_key(), certificate.subject, certificate.issuer)
        # A year that no calendar has fails here, where every failure means the same, and not at the first comparison.
        _ = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
        serial = certificate.serial_number
    except Exception as failure:  # noqa: BLE001 -- the parser's errors have no common base, and every one means the same
        raise UnreadableCertificate(type(failure).__name__) from None
    if serial < 1:
        raise UnreadableCertificate("a serial number is positive")
    if not ends_with_signature(der, certificate.signature):
        raise UnreadableCertificate("the signature does not fill its bytes")
    return certificate


def ends_with_signature(der: bytes, signature: bytes) -> bool:
    """Return whether a signed thing ends with its signature, no bit of which is declared unused.

    The parser lets that declaration be; with it, the same content would have bytes, and a fingerprint, of a second kind.
    """
    return der.endswith(b"\0" + signature)


def read_certificate(der: bytes, mapping: AttributeMapping = DEFAULT_MAPPING) -> CardCertificate:
    """Return what the certificate says, by the attribute mapping of its CA.

    :raises UnreadableCertificate: when it cannot be parsed, or its names hold control characters
    """
    return describe(load(der), der, mapping)


def describe(certificate: x509.Certificate, der: bytes, mapping: AttributeMapping = DEFAULT_MAPPING) -> CardCertificate:
    """Return what a certificate that was parsed from `der` says.

    :raises UnreadableCertificate: when its names hold control characters, which no CA writes and no database takes
    """
    values = _attributes("subject", certificate.subject) | _attributes("san", _directory_name(certificate))
    if any(_CONTROLS.search(value) for value in values.values()):
        raise UnreadableCertificate("control characters")
    kind, size = _key(certificate.public_key())
    return CardCertificate(
        der=der,
        fingerprint=fingerprint_of(der),
        serial=certificate.serial_number,
        issuer_text=certificate.issuer.rfc4514_string({NameOID.EMAIL_ADDRESS: "E"}),
        issuer_key=issuer_key_of(certificate.issuer),
        not_before=certificate.not_valid_before_utc,
        not_after=min(certificate.not_valid_after_utc, NO_END),
        company_name=_mapped("company_name", mapping, values),
        company_address=_mapped("company_address", mapping, values),
        holder_name=_mapped("holder_name", mapping, values),
        holder_address=_mapped("holder_address", mapping, values),
        key_kind=kind,
        key_size=size,
    )


def _key(key: object) -> tuple[str, int]:
    if isinstance(key, rsa.RSAPublicKey):
        return "RSA", key.key_size
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "EC", key.curve.key_size
    return type(key).__name__, 0


def _directory_name(certificate: x509.Certificate) -> x509.Name | None:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    return next(iter(names.get_values_for_type(x509.DirectoryName)), None)


def _attributes(source: str, name: x509.Name | None) -> dict[str, str]:
    """Of an attribute that is there several times the first counts, as the CAs' own tools show it."""
    values: dict[str, str] = {}
    for attribute in name or ():
        if short := _SHORT.get(attribute.oid):
            values.setdefault(f"{source}.{short}", str(attribute.value))
    return values


def _mapped(field: str, mapping: AttributeMapping, values: Mapping[str, str]) -> str:
    for sources in mapping.get(field, []):
        if text := " ".join(values[source] for source in sources if values.get(source)):
            return text
    return ""
