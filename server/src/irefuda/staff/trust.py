"""The trust store as staff see it: how fresh each authority's revocation lists are, and how many cards hang on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count

from irefuda.cards import queries as cards
from irefuda.cards.models import Audience, RevocationListRecord
from irefuda.staff.models import StaffCard
from irefuda_core.certificate import fingerprint_of, issuer_key_of
from irefuda_core.trust import signer_of

# Issuer -> how many living cards.
CardCounts = Callable[[], Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class ListState:
    """The newest revocation list of one certificate of an authority. `state` is fresh, late (within grace), over or missing."""

    subject: str
    record: RevocationListRecord | None
    number: int
    age: timedelta | None
    relied_on_until: datetime | None
    state: str


@dataclass(frozen=True, slots=True)
class AuthorityState:
    """An authority with everything that decides whether its cards are taken."""

    row: Any
    audience: str
    root_subject: str
    root_ends_at: datetime
    root_sha256: str
    lists: list[ListState]
    cards: int


def authorities(*, now: datetime, counts: Iterable[CardCounts] = ()) -> list[AuthorityState]:
    """Return the state of every authority; `counts` tell how many cards of each issuer are registered where."""
    per_issuer = [count() for count in (staff_cards, *counts)]
    found = []
    for row in cards.authorities():
        accepted = cards.accepted(row)
        grace = timedelta(hours=row.crl_grace_hours)
        lists = [
            _list_state(certificate, grace=grace, now=now) for certificate in (accepted.root, *accepted.intermediates)
        ]
        issuers = {issuer_key_of(certificate.subject) for certificate in (accepted.root, *accepted.intermediates)}
        found.append(
            AuthorityState(
                row=row,
                audience=Audience(row.audience).label,
                root_subject=accepted.root.subject.rfc4514_string(),
                root_ends_at=accepted.root.not_valid_after_utc,
                root_sha256=fingerprint_of(accepted.root_der),
                lists=lists,
                cards=sum(per.get(issuer, 0) for per in per_issuer for issuer in issuers),
            )
        )
    return found


def staff_cards() -> dict[str, int]:
    """Return how many living cards of members each issuer made."""
    living = StaffCard.objects.filter(ended_at=None, member__ended_at=None)
    return dict(living.values_list("issuer_key").annotate(Count("id")).order_by())


def _list_state(certificate: Any, *, grace: timedelta, now: datetime) -> ListState:
    subject = certificate.subject.rfc4514_string()
    signer = signer_of(certificate)
    kept = RevocationListRecord.objects.filter(issuer_key=signer.issuer_key, signing_key=signer.signing_key)
    # Without the list itself, which may be megabytes: the start page asks this too.
    record = kept.defer("der").order_by("-number").first()
    if record is None:
        return ListState(subject, None, 0, None, None, "missing")
    end = record.next_update + grace
    state = "fresh" if now <= record.next_update else "late" if now <= end else "over"
    return ListState(subject, record, int(record.number), now - record.this_update, end, state)


def alarm(now: datetime) -> str:
    """Return in a few words how many authorities need somebody's eye, or ""."""
    troubled = [
        state
        for state in authorities(now=now)
        if state.lists and any(item.state in ("late", "over") for item in state.lists)
    ]
    return f"失効リストの期限を過ぎた認証局が{len(troubled)}件あります。" if troubled else ""
