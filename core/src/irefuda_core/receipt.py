"""The receipt that answers every deed at once: a promise, signed, that the ledger will include it within 60 seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from irefuda_core import jws
from irefuda_core.canonical import NotCanonical, canonical_json, parse_canonical
from irefuda_core.refusal import Refusal, refusal

PROMISE = timedelta(seconds=60)
SALT_LENGTH = 16
_FIELDS = {"type", "realm", "origin", "log", "entry_id", "entry_hash", "received_at", "include_by"}


class ReceiptFailure(Exception):
    """A receipt is not what it must be; `refusal` says so to the person."""

    code = "L-620"

    @property
    def refusal(self) -> Refusal:
        return refusal(self.code)


class MalformedReceipt(ReceiptFailure):
    """Not a receipt of this system."""

    code = "L-621"


class UnknownReceiptKey(ReceiptFailure):
    """Signed by a key that is not in the list of keys."""

    code = "L-622"


class WrongReceiptSignature(ReceiptFailure):
    """The signature does not fit."""

    code = "L-623"


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the ledger promised, and to which document."""

    realm: str
    origin: str
    log: str
    entry_id: str
    entry_hash: bytes
    received_at: datetime
    include_by: datetime


def entry_hash(*, salt: bytes, document: bytes) -> bytes:
    """Return the only thing of a document that the ledger shows; the salt keeps anyone from guessing the document.

    :raises ValueError: for a salt of another length
    """
    if len(salt) != SALT_LENGTH:
        raise ValueError("a salt has 16 bytes")
    return hashlib.sha256(salt + document).digest()


def public_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """Return the public key as a JWK whose `kid` is its thumbprint (RFC 8037, RFC 7638)."""
    members: dict[str, str | int] = {"crv": "Ed25519", "kty": "OKP", "x": jws.b64url(key.public_bytes_raw())}
    kid = jws.b64url(hashlib.sha256(canonical_json(members)).digest())
    return {**{name: str(value) for name, value in members.items()}, "kid": kid, "alg": "EdDSA", "use": "sig"}


def sign_receipt(receipt: Receipt, key: Ed25519PrivateKey) -> str:
    """Return the receipt as a compact JWS (RFC 7515, EdDSA)."""
    payload = canonical_json(
        {
            "type": "receipt",
            "realm": receipt.realm,
            "origin": receipt.origin,
            "log": receipt.log,
            "entry_id": receipt.entry_id,
            "entry_hash": receipt.entry_hash.hex(),
            "received_at": receipt.received_at.isoformat(timespec="seconds"),
            "include_by": receipt.include_by.isoformat(timespec="seconds"),
        }
    )
    header = {"alg": "EdDSA", "kid": public_jwk(key.public_key())["kid"], "typ": _typ(receipt.realm)}
    signed = jws.signing_input(payload, header)
    return jws.assemble(signed, key.sign(signed))


def _typ(realm: str) -> str:
    return f"irefuda.{realm}.receipt.v1"


def read_receipt(text: str) -> Receipt:
    """Return what a receipt says, without checking its signature.

    :raises MalformedReceipt: when it is not a receipt
    """
    return _read(_parts(text)[1], _parts(text)[0])


def verify_receipt(text: str, keys: Mapping[str, Ed25519PublicKey]) -> Receipt:
    """Return the receipt, which one of `keys` (by `kid`) has signed.

    :raises ReceiptFailure: otherwise
    """
    header, payload, signed, signature = _parts(text)
    receipt = _read(payload, header)
    key = keys.get(str(header["kid"]))
    if key is None:
        raise UnknownReceiptKey
    try:
        jws.verify(key, "EdDSA", signature, signed)
    except jws.SignatureFailure:
        raise WrongReceiptSignature from None
    return receipt


def _parts(text: str) -> tuple[dict[str, Any], bytes, bytes, bytes]:
    parts = text.split(".")
    if len(parts) != 3:
        raise MalformedReceipt
    try:
        header = json.loads(jws.from_b64url(parts[0]).decode())
        payload, signature = jws.from_b64url(parts[1]), jws.from_b64url(parts[2])
    except (jws.SignatureFailure, ValueError, RecursionError):
        raise MalformedReceipt from None
    if not isinstance(header, dict) or set(header) != {"alg", "kid", "typ"} or header["alg"] != "EdDSA":
        raise MalformedReceipt
    return header, payload, f"{parts[0]}.{parts[1]}".encode(), signature


def _read(payload: bytes, header: dict[str, Any]) -> Receipt:
    try:
        values = parse_canonical(payload)
        if set(values) != _FIELDS or not all(isinstance(value, str) for value in values.values()):
            raise MalformedReceipt
        receipt = Receipt(
            realm=values["realm"],
            origin=values["origin"],
            log=values["log"],
            entry_id=values["entry_id"],
            entry_hash=bytes.fromhex(values["entry_hash"]),
            received_at=_moment(values["received_at"]),
            include_by=_moment(values["include_by"]),
        )
    except (NotCanonical, ValueError):
        raise MalformedReceipt from None
    if values["type"] != "receipt" or header["typ"] != _typ(receipt.realm) or len(receipt.entry_hash) != 32:
        raise MalformedReceipt
    return receipt


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    # At the ends of the calendar a moment cannot be shown in every time zone; and a moment without a zone is none.
    if moment.tzinfo is None or not 2000 <= moment.year < 3000:
        raise ValueError("not a moment of this system")
    return moment
