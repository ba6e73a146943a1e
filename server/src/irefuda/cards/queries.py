"""What the trust store says, read once per version and process."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from django.db import connection

from irefuda.cards.models import RevocationListRecord, TrustedAuthority
from irefuda.ui import beforehand
from irefuda_core.certificate import DEFAULT_MAPPING
from irefuda_core.trust import (
    Accepted,
    AcceptedAuthority,
    BadRevocationList,
    PathCache,
    RevocationList,
    Signer,
    TrustSnapshot,
    read_crl,
)

_PATHS_KEPT = 2_000
_TRUST_VERSION = beforehand.Question("cards_trustversion", "authorities", "revocation_lists")

_snapshots: dict[str, tuple[tuple[object, ...], TrustSnapshot]] = {}
_paths: dict[str, PathCache] = {}


def trust_snapshot(audience: str = "supplier") -> TrustSnapshot:
    """Return the trust store for these people's cards as it is now; one small query unless it has changed."""
    # The stamp is read first: a change in between is read too, and seen again as a change at the next call.
    stamp = _TRUST_VERSION.answer()
    known = _snapshots.get(audience)
    if known is not None and known[0] == stamp:
        return known[1]
    authorities = tuple(accepted(row) for row in TrustedAuthority.objects.filter(audience=audience).order_by("id"))
    lists = {listed.signer: listed for authority in authorities for listed in newest_lists(authority)}
    snapshot = TrustSnapshot(version=str(stamp[0]), authorities=authorities, revocation_lists=lists)
    _snapshots[audience] = (stamp, snapshot)
    return snapshot


def nonces_of(browser_sha256: str, *, at_most: int, now: datetime) -> list[str]:
    """Return the challenges that this browser may still answer, the newest first."""
    with connection.cursor() as cursor:
        # Plain SQL, like the stamp: every proof of a card asks this.
        cursor.execute(
            "SELECT nonce FROM cards_nonce WHERE browser_sha256 = %s AND expires_at > %s ORDER BY id DESC LIMIT %s",
            [browser_sha256, connection.ops.adapt_datetimefield_value(now), at_most],
        )
        return [nonce for (nonce,) in cursor.fetchall()]


def path_cache(audience: str) -> PathCache:
    """Return where judged paths are kept: by certificate and version of the authorities, so nothing in it goes stale."""
    # One cache for each audience: a card that is good for staff must not pass as a supplier's.
    paths = _paths.setdefault(audience, {})
    if len(paths) >= _PATHS_KEPT:
        paths.clear()
    return paths


def accepted(row: TrustedAuthority) -> AcceptedAuthority:
    """Return the rulebook's view of an authority."""
    return AcceptedAuthority(
        name=row.name,
        audience=row.audience,
        root_der=bytes(row.root),
        intermediate_ders=tuple(base64.b64decode(der) for der in row.intermediates),
        policy_oids=frozenset(row.policy_oids),
        mapping=row.mapping or DEFAULT_MAPPING,
        crl_grace=timedelta(hours=row.crl_grace_hours),
        demo=row.demo,
    )


def authorities() -> list[TrustedAuthority]:
    """Return every authority, by audience and name."""
    return list(TrustedAuthority.objects.order_by("audience", "name"))


def newest_record(signer: Signer) -> RevocationListRecord | None:
    """Return the revocation list with the highest number that this key signed in this name."""
    kept = RevocationListRecord.objects.filter(issuer_key=signer.issuer_key, signing_key=signer.signing_key)
    return kept.order_by("-number").first()


def ended_revoked(accepted: Accepted, *, at: datetime) -> bool:
    """Return whether a card that is over had been revoked: authorities take such a card off their later lists."""
    card, signer = accepted.card, accepted.signer
    if card.not_after >= at:
        return False
    kept = RevocationListRecord.objects.filter(issuer_key=signer.issuer_key, signing_key=signer.signing_key)
    last = kept.filter(this_update__lte=card.not_after).order_by("-number").first()
    if last is None:
        return False
    with contextlib.suppress(BadRevocationList):
        return card.serial in read_list(bytes(last.der), accepted.authority).revoked
    return False


def practice_cards(file: Path, kind: str = "cards") -> list[dict[str, object]]:
    """Return what tools/practice_cards.py wrote about each demo card ("cards" or "staff_cards"); nothing where it has not been run."""
    try:
        cards = json.loads(file.read_text(encoding="utf-8")).get(kind, [])
    except FileNotFoundError:
        return []
    return [card | {"valid_until": datetime.fromisoformat(card["valid_until"])} for card in cards]


def read_list(der: bytes, authority: AcceptedAuthority) -> RevocationList:
    """Return a revocation list that the authority itself signed; after a change of keys, with either key.

    :raises BadRevocationList: with the reason, in Japanese
    """
    reason = BadRevocationList("失効リストの発行者が、登録された認証局ではありません。")
    for certificate in (authority.root_der, *authority.intermediate_ders):
        try:
            return read_crl(der, certificate)
        except BadRevocationList as failure:
            if "別の認証局" not in str(failure):
                reason = failure
    raise reason


def newest_records(authority: AcceptedAuthority) -> Iterator[RevocationListRecord]:
    """Return the newest revocation list of each signer of this authority that has one."""
    for signer in sorted(authority.signers):
        record = newest_record(signer)
        if record is not None:
            yield record


def newest_lists(authority: AcceptedAuthority) -> Iterator[RevocationList]:
    """Return what the newest kept lists of this authority say."""
    for record in newest_records(authority):
        # What cannot be relied on (any more) counts as absent: the cards of this authority are refused with K-410, and
        # nobody else's act ends in an error.
        with contextlib.suppress(BadRevocationList):
            yield read_list(bytes(record.der), authority)
