"""Signed documents: compact JWS (RFC 7515) with x5c and x5t#S256 (ETSI TS 119 182-1), and the algorithms of cards."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from irefuda_core.certificate import UnreadableCertificate, load
from irefuda_core.refusal import Refusal, refusal

HASHES: dict[str, type[hashes.HashAlgorithm]] = {
    "RS256": hashes.SHA256, "PS256": hashes.SHA256, "ES256": hashes.SHA256, "ES384": hashes.SHA384,
}  # fmt: skip
# RFC 7518, section 3.4 names the curve, not its size: secp256k1 has 256 bits too.
_CURVES: dict[str, type[ec.EllipticCurve]] = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1}
_HEADER_KEYS = {"alg", "typ", "x5c", "x5t#S256", "iat"}
MAX_LENGTH = 200_000
_YEAR_9999 = 253_402_300_799  # the last second that a datetime can hold


class SignatureFailure(Exception):
    """A signature or its envelope is not what it must be; `refusal` says so to the person."""

    code = "K-430"

    @property
    def refusal(self) -> Refusal:
        return refusal(self.code)


class MalformedSignature(SignatureFailure):
    """Not a compact JWS of the form that cards make."""

    code = "K-431"


class WrongSignature(SignatureFailure):
    """The signature does not fit the bytes and the key."""

    code = "K-432"


@dataclass(frozen=True, slots=True)
class SignedDocument:
    """A parsed compact JWS; nothing is verified yet."""

    header: dict[str, Any]
    payload: bytes
    signing_input: bytes
    signature: bytes
    unverified_certificate: bytes


def b64url(content: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def from_b64url(text: str) -> bytes:
    """Return the bytes of base64url without padding.

    :raises MalformedSignature: unless the text is exactly the encoding of some bytes
    """
    try:
        content = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        raise MalformedSignature from None
    if b64url(content) != text:
        raise MalformedSignature
    return content


def header_for(certificates: Sequence[bytes], *, algorithm: str, typ: str, iat: int) -> dict[str, Any]:
    """Return the protected header of a document signed by the first of these certificates (DER) at `iat` (seconds)."""
    return {
        "alg": algorithm,
        "typ": typ,
        "x5c": [base64.b64encode(der).decode() for der in certificates],
        "x5t#S256": b64url(hashlib.sha256(certificates[0]).digest()),
        "iat": iat,
    }


def signing_input(payload: bytes, header: dict[str, Any]) -> bytes:
    """Return the bytes that the card signs."""
    protected = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    return f"{b64url(protected)}.{b64url(payload)}".encode()


def assemble(signed_input: bytes, signature: bytes) -> str:
    """Return the compact JWS."""
    return f"{signed_input.decode()}.{b64url(signature)}"


def parse(jws: str) -> SignedDocument:
    """Return the parts of a compact JWS by a card.

    :raises MalformedSignature: for any other form, unknown header members included
    """
    if len(jws) > MAX_LENGTH or jws.count(".") != 2:
        raise MalformedSignature
    parts = jws.split(".")
    header = _header(from_b64url(parts[0]))
    if set(header) != _HEADER_KEYS or not isinstance(header["alg"], str) or header["alg"] not in HASHES:
        raise MalformedSignature
    chain = header["x5c"]
    if not isinstance(chain, list) or not 1 <= len(chain) <= 5 or not all(isinstance(c, str) for c in chain):
        raise MalformedSignature
    if not isinstance(header["typ"], str) or type(header["iat"]) is not int or not 0 <= header["iat"] <= _YEAR_9999:
        raise MalformedSignature
    try:
        certificate = base64.b64decode(chain[0], validate=True)
    except (ValueError, binascii.Error):
        raise MalformedSignature from None
    if header["x5t#S256"] != b64url(hashlib.sha256(certificate).digest()):
        raise MalformedSignature
    return SignedDocument(
        header=header,
        payload=from_b64url(parts[1]),
        signing_input=f"{parts[0]}.{parts[1]}".encode(),
        signature=from_b64url(parts[2]),
        unverified_certificate=certificate,
    )


def _header(content: bytes) -> dict[str, Any]:
    try:
        header = json.loads(content.decode(), object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise MalformedSignature from None
    if not isinstance(header, dict):
        raise MalformedSignature
    return header


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def verify_document(document: SignedDocument) -> None:
    """Check the signature with the certificate that the document carries (which the caller judges separately).

    :raises SignatureFailure: when it does not fit
    """
    try:
        key = load(document.unverified_certificate).public_key()
    except UnreadableCertificate:
        raise MalformedSignature from None
    verify(key, str(document.header["alg"]), document.signature, document.signing_input)


def verify(key: object, algorithm: str, signature: bytes, message: bytes) -> None:
    """Check `signature` over `message`; ECDSA signatures are raw r||s.

    :raises MalformedSignature: when algorithm and key do not fit together
    :raises WrongSignature: when the signature is not by this key over this message
    """
    try:
        if isinstance(key, rsa.RSAPublicKey) and algorithm == "RS256":
            key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        elif isinstance(key, rsa.RSAPublicKey) and algorithm == "PS256":
            pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
            key.verify(signature, message, pss, hashes.SHA256())
        elif isinstance(key, ec.EllipticCurvePublicKey) and type(key.curve) is _CURVES.get(algorithm):
            half = key.curve.key_size // 8
            if len(signature) != 2 * half:
                raise WrongSignature
            r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
            key.verify(encode_dss_signature(r, s), message, ec.ECDSA(HASHES[algorithm]()))
        elif isinstance(key, ed25519.Ed25519PublicKey) and algorithm == "EdDSA":
            key.verify(signature, message)
        else:
            raise MalformedSignature
    except InvalidSignature:
        raise WrongSignature from None
