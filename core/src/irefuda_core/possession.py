"""The Web eID authentication token (`web-eid:1`): proof that a card is there, for this origin and this nonce."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes

from irefuda_core import jws
from irefuda_core.certificate import UnreadableCertificate, load
from irefuda_core.refusal import Refusal, refusal

MAX_LENGTH = 20_000
ALGORITHMS = tuple(jws.HASHES)


class PossessionFailure(Exception):
    """The token proves nothing; `refusal` says so to the person."""

    code = "K-420"

    @property
    def refusal(self) -> Refusal:
        return refusal(self.code)


class MalformedToken(PossessionFailure):
    """Not a token of the form `web-eid:1`."""

    code = "K-421"


class UnknownTokenVersion(PossessionFailure):
    """A token of a major version that is not known here."""

    code = "K-422"


class WrongTokenSignature(PossessionFailure):
    """Signed by another key, or over another origin or nonce: the signature cannot tell which."""

    code = "K-423"


@dataclass(frozen=True, slots=True)
class AuthenticationToken:
    """A parsed token; nothing is verified yet."""

    unverified_certificate: bytes
    algorithm: str
    signature: bytes
    app_version: str


def message_to_sign(*, origin: str, nonce: str, algorithm: str) -> bytes:
    """Return H(origin) || H(nonce): what the card signs with `algorithm` (which hashes it once more)."""
    return _digest(algorithm, origin) + _digest(algorithm, nonce)


def _digest(algorithm: str, value: str) -> bytes:
    digest = hashes.Hash(jws.HASHES[algorithm]())
    digest.update(value.encode())
    return digest.finalize()


def parse_token(text: str) -> AuthenticationToken:
    """Return the token in `text`.

    :raises MalformedToken: when it is longer than 20,000 characters or not such a token
    :raises UnknownTokenVersion: for another major version
    """
    if len(text) > MAX_LENGTH:
        raise MalformedToken
    try:
        token = json.loads(text, object_pairs_hook=_no_duplicates)
    except (ValueError, RecursionError):
        raise MalformedToken from None
    if not isinstance(token, dict) or not all(isinstance(token.get(k), str) for k in ("format", "algorithm", "signature", "unverifiedCertificate")):  # fmt: skip
        raise MalformedToken
    form, _, version = token["format"].partition(":")
    if form != "web-eid" or not version:
        raise MalformedToken
    if version not in ("1", "1.0", "1.1"):
        raise UnknownTokenVersion
    if token["algorithm"] not in ALGORITHMS:
        raise MalformedToken
    return AuthenticationToken(
        unverified_certificate=_b64(token["unverifiedCertificate"]),
        algorithm=token["algorithm"],
        signature=_b64(token["signature"]),
        app_version=_printable(token.get("appVersion", "")),
    )


def _no_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate member")
    return members


def _printable(claimed: object) -> str:
    """Nobody vouches for this text, so it must at least be fit to be stored and shown."""
    return "".join(c for c in claimed[:100] if c.isprintable()) if isinstance(claimed, str) else ""


def _b64(value: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (ValueError, binascii.Error):
        raise MalformedToken from None


def verify_possession(token: AuthenticationToken, *, origin: str, nonce: str) -> bytes:
    """Return the certificate (DER) whose key signed for this origin and nonce; whether to trust it is trust's question.

    :raises PossessionFailure: when the signature does not fit
    """
    try:
        key = load(token.unverified_certificate).public_key()
    except UnreadableCertificate:
        raise MalformedToken from None
    message = message_to_sign(origin=origin, nonce=nonce, algorithm=token.algorithm)
    try:
        jws.verify(key, token.algorithm, token.signature, message)
    except jws.MalformedSignature:
        raise MalformedToken from None
    except jws.WrongSignature:
        raise WrongTokenSignature from None
    return token.unverified_certificate
