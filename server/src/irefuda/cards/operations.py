"""Challenge a card, prove a card, judge it again, and check what it signed."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from irefuda.cards import queries
from irefuda.cards.models import Nonce
from irefuda_core import jws, possession
from irefuda_core.certificate import DEFAULT_MAPPING, CardCertificate, issuer_key_of, load, read_certificate
from irefuda_core.refusal import Refusal, Refused, refusal
from irefuda_core.trust import Accepted, TrustFailure, judge, judge_predecessor

NONCE_LIFE = timedelta(minutes=5)
# Someone may have several tabs open, but no browser needs more challenges at once than this.
NONCES_PER_BROWSER = 5
# Any other Web eID program may be used as well; its versions are its own.
_AGENT = re.compile(r"irefuda-card-agent/([0-9]{1,4})\.([0-9]{1,4})\.([0-9]{1,4})")


@dataclass(frozen=True, slots=True)
class ProvenCard:
    """A card that is to be trusted, and by whose word."""

    card: CardCertificate
    authority_name: str
    demo: bool


def issue_nonce(*, browser: str, now: datetime, entropy: bytes) -> str:
    """Return a fresh challenge for this browser; it is good once, for five minutes.

    `entropy` must be 32 unpredictable bytes (44 characters, as Web eID asks).
    """
    nonce = base64.b64encode(entropy).decode()
    with connection.cursor() as cursor:
        # Plain SQL, as in `_use_up`: every login begins here.
        cursor.execute(
            "INSERT INTO cards_nonce (nonce, browser_sha256, expires_at) VALUES (%s, %s, %s)",
            [nonce, _digest(browser), connection.ops.adapt_datetimefield_value(now + NONCE_LIFE)],
        )
    return nonce


def prove_card(*, token_text: str, nonce_browser: str, origin: str, audience: str, now: datetime) -> ProvenCard:
    """Return the card that signed a challenge of this browser, for this origin, just now.

    :raises Refused: C-227 when our own agent made it and is too old, K-42x when the token proves nothing, K-424 when the
        challenge is used, over or another browser's, K-40x when the card is not to be trusted
    """
    try:
        token = possession.parse_token(token_text)
        _refuse_old_agent(token.app_version)
        nonce, der = _fitting_nonce(token, browser=nonce_browser, origin=origin, now=now)
    except possession.PossessionFailure as failure:
        raise Refused(failure.refusal) from None
    # This one DELETE decides between parallel posts of the same token: whoever removed the row has used the nonce.
    if not _use_up(nonce, now):
        raise Refused(refusal("K-424"))
    return check_still_good(der=der, audience=audience, now=now)


def _refuse_old_agent(app_version: str) -> None:
    """Refuse our own agent below the least version; nothing signs this text, so it is for kindness, not for safety."""
    told = _AGENT.match(app_version)
    if told and tuple(int(part) for part in told.groups()) < settings.AGENT_MINIMUM_VERSION:
        raise Refused(refusal("C-227"))


def _use_up(nonce: str, now: datetime) -> bool:
    with connection.cursor() as cursor:
        # Plain SQL: for Django to build a DELETE takes five times as long as the database needs for it.
        cursor.execute(
            "DELETE FROM cards_nonce WHERE nonce = %s AND expires_at > %s",
            [nonce, connection.ops.adapt_datetimefield_value(now)],
        )
        return bool(cursor.rowcount)


def _fitting_nonce(
    token: possession.AuthenticationToken, *, browser: str, origin: str, now: datetime
) -> tuple[str, bytes]:
    nonces = queries.nonces_of(_digest(browser), at_most=NONCES_PER_BROWSER, now=now) if browser else []
    if not nonces:
        raise Refused(refusal("K-424"))
    for nonce in nonces:
        try:
            return nonce, possession.verify_possession(token, origin=origin, nonce=nonce)
        except possession.WrongTokenSignature as failure:
            wrong = failure
    raise wrong


def check_still_good(*, der: bytes, audience: str, now: datetime) -> ProvenCard:
    """Return the card if it is to be trusted at this moment.

    :raises Refused: K-40x with the reason
    """
    accepted = _judge(der, audience=audience, now=now)
    return ProvenCard(card=accepted.card, authority_name=accepted.authority.name, demo=accepted.authority.demo)


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A card whose place another one is to take, which may be over; a revoked one proves nothing of who brings it."""

    card: CardCertificate
    revoked: bool


def check_predecessor(*, der: bytes, audience: str, now: datetime) -> Predecessor:
    """Return the card that another one is to replace, if all but its end and its revocation is as it must be.

    :raises Refused: K-40x with the reason
    """
    try:
        found = judge_predecessor(der, queries.trust_snapshot(audience), at=now, cache=queries.path_cache(audience))
    except TrustFailure as failure:
        raise Refused(failure.refusal) from None
    return Predecessor(found.accepted.card, found.revoked or queries.ended_revoked(found.accepted, at=now))


def check_signature(
    *,
    jws_text: str,
    fingerprint: str,
    payload: bytes,
    typ: str,
    audience: str,
    now: datetime,
    differs: Refusal | None = None,
    judged: bytes = b"",
) -> jws.SignedDocument:
    """Return the signed document if this very card, still good, signed these very bytes as a document of this type.

    `judged` is the certificate that the caller has judged for this audience at this same moment: that one is not judged
    once more.

    :raises Refused: K-425 for another card, K-43x for a signature that does not hold, `differs` (R-117) for other content,
        K-40x when the card is not to be trusted
    """
    try:
        document = jws.parse(jws_text)
        if hashlib.sha256(document.unverified_certificate).hexdigest() != fingerprint:
            raise Refused(refusal("K-425"))
        jws.verify_document(document)
    except jws.SignatureFailure as failure:
        raise Refused(failure.refusal) from None
    if document.payload != payload or document.header["typ"] != typ:
        raise Refused(differs or refusal("R-117"))
    if document.unverified_certificate != judged:
        _judge(document.unverified_certificate, audience=audience, now=now)
    return document


def read(der: bytes, *, audience: str = "supplier") -> CardCertificate:
    """Return what a certificate says in the words of its authority, without judging it."""
    issuer = issuer_key_of(load(der).issuer)
    authorities = queries.trust_snapshot(audience).authorities
    mapping = next((a.mapping for a in authorities if issuer in a.issuer_keys), DEFAULT_MAPPING)
    return read_certificate(der, mapping)


def purge_nonces(*, now: datetime) -> int:
    """Delete the challenges that are over, and return how many."""
    return Nonce.objects.filter(expires_at__lte=now).delete()[0]


def _judge(der: bytes, *, audience: str, now: datetime) -> Accepted:
    try:
        return judge(der, queries.trust_snapshot(audience), at=now, cache=queries.path_cache(audience))
    except TrustFailure as failure:
        raise Refused(failure.refusal) from None


def _digest(browser: str) -> str:
    return hashlib.sha256(browser.encode()).hexdigest()
