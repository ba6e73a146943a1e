"""What people are told of a card without anybody doing anything: its end comes near, it has ended, its CA revoked it.

Both commands may be killed at any moment and may run several at once: each card is one transaction, and every notice has a
name that exists once (`Notice.once`).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.template.loader import render_to_string

from irefuda.agencies import queries as agencies
from irefuda.cards import operations as cards
from irefuda.cards import queries as trust
from irefuda.notices import operations as notices
from irefuda.notices import queries as told
from irefuda.registration.models import CardStatus, RegisteredCard
from irefuda.ui.clock import JST
from irefuda_core import registration as rules
from irefuda_core.card_life import EXPIRED, EXPIRED_TOLD_WITHIN, WARNING_DAYS, days_left, warning_due
from irefuda_core.refusal import Refused

log = logging.getLogger(__name__)
AT_ONCE = 500
REVOKED = "K-409"


def warn_of_expiry(*, now: datetime) -> int:
    """Queue the warning that is due for every registered card, unless it was; return for how many cards this call did.

    A card that its CA revoked is not warned any more: its people have been told worse.
    """
    ends = RegisteredCard.objects.filter(
        status=CardStatus.ACTIVE,
        expires_at__gte=now - EXPIRED_TOLD_WITHIN,
        expires_at__lt=now + timedelta(days=max(WARNING_DAYS) + 1),
    )
    # Read to the end before the first is written to: SQLite lets no reader become the writer once another one has written.
    found = list(ends.order_by("expires_at", "id").values_list("id", "expires_at"))
    count = 0
    for start in range(0, len(found), AT_ONCE):
        some = found[start : start + AT_ONCE]
        due = {card_id: step for card_id, ends_at in some if (step := warning_due(ends_at, now=now)) is not None}
        names = {card_id: _warning(card_id, step) for card_id, step in due.items()}
        known = told.told([*names.values(), *map(_revocation, due)])
        for card_id, step in due.items():
            if not known & {names[card_id], _revocation(card_id)}:
                count += _warn(card_id, step, now=now)
    return count


def tell_of_revocations(*, now: datetime) -> int:
    """Tell once of every registered card that is on the newest revocation list of its CA; return of how many this call did."""
    # A name may be that of several signers; which of them signed a card is the rulebook's to judge, one by one.
    listed: dict[str, uuid.UUID] = {}
    for signer, revocations in trust.trust_snapshot("supplier").revocation_lists.items():
        active = RegisteredCard.objects.filter(status=CardStatus.ACTIVE, issuer_key=signer.issuer_key)
        for card_id, serial in active.values_list("id", "serial"):
            if int(serial) in revocations.revoked:
                listed[_revocation(card_id)] = card_id
    names, count = sorted(listed), 0
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        known = told.told(some)
        count += sum(_tell_revoked(listed[name], now=now) for name in some if name not in known)
    return count


def _warning(card_id: uuid.UUID, step: int) -> str:
    return f"registration.expired {card_id}" if step == EXPIRED else f"registration.expiring {step} {card_id}"


def _revocation(card_id: uuid.UUID) -> str:
    return f"registration.revoked {card_id}"


def _warn(card_id: uuid.UUID, step: int, *, now: datetime) -> bool:
    try:
        with transaction.atomic():
            card = _held(card_id)
            if card is None:
                return False
            left = days_left(card.expires_at, now=now)
            policy = rules.Policy.from_knobs(card.section.agency.policy)
            text = _letter("card_expired" if step == EXPIRED else "card_expiring", card, left=left, policy=policy)
            for once, to, inbox in _recipients(card, _warning(card_id, step)):
                if step == EXPIRED:
                    notices.enqueue(
                        kind="registration.expired",
                        to=to,
                        subject="ICカードの有効期限が切れました",
                        body=text,
                        at=now,
                        sender=card.section.agency.system_email,
                        inbox=inbox,
                        once=once,
                    )
                else:
                    notices.enqueue(
                        kind="registration.expiring",
                        to=to,
                        subject=f"ICカードの有効期限が近づいています（{f'あと{left}日' if left else '本日まで'}）",
                        body=text,
                        at=now,
                        sender=card.section.agency.system_email,
                        inbox=inbox,
                        once=once,
                    )
    except notices.AlreadyTold:
        return False
    except Refused as refused:
        # One address that no mail can be sent to must not hold up all the others.
        log.warning("no warning for card %s: %s", card_id, refused)
        return False
    return True


def _tell_revoked(card_id: uuid.UUID, *, now: datetime) -> bool:
    try:
        with transaction.atomic():
            card = _held(card_id)
            reason = None if card is None else _why_revoked(card, now=now)
            if card is None or reason is None:
                return False
            for once, to, inbox in _recipients(card, _revocation(card_id)):
                notices.enqueue(
                    kind="registration.revoked",
                    to=to,
                    subject="ICカードの失効のお知らせ",
                    body=_letter("card_revoked", card, reason=reason),
                    at=now,
                    sender=card.section.agency.system_email,
                    inbox=inbox,
                    once=once,
                )
    except notices.AlreadyTold:
        return False
    except Refused as refused:
        log.warning("nobody told that card %s is revoked: %s", card_id, refused)
        return False
    return True


def _why_revoked(card: RegisteredCard, *, now: datetime) -> str | None:
    """Return the sentence that says since when; None while the rulebook has another reason, or none."""
    try:
        cards.check_still_good(der=bytes(card.certificate), audience="supplier", now=now)
    except Refused as refused:
        (reason,) = refused.refusals
        return reason.sentence if reason.code == REVOKED else None
    return None


def _held(card_id: uuid.UUID) -> RegisteredCard | None:
    """Return an active card, kept from 更新 and 使用停止 to the commit, or None when it is active no more."""
    if not RegisteredCard.objects.filter(id=card_id, status=CardStatus.ACTIVE).update(status=CardStatus.ACTIVE):
        return None
    card = RegisteredCard.objects.select_related("registration__supplier").get(id=card_id)
    card.section = card.registration.section = next(s for s in agencies.sections() if s.id == card.section_id)
    return card


def _recipients(card: RegisteredCard, name: str) -> Iterable[tuple[str, str, str]]:
    """Return the name, the address and the inbox of each notice: the card's office, and 代表窓口 where it is another's."""
    told: Sequence[tuple[str, str, str]] = [(name, card.office["email"], card.fingerprint)]
    if card.registration.representative_email == card.office["email"]:
        return told
    # The first name is enough for both: they are written by one commit.
    return [*told, ("", card.registration.representative_email, card.company_id)]


def _letter(name: str, card: RegisteredCard, **said: object) -> str:
    return render_to_string(
        f"registration/mail/{name}.txt",
        {
            "card": card,
            "expires_on": f"{card.expires_at.astimezone(JST):%Y/%m/%d}",
            "section": card.section,
            "agency": card.section.agency,
            "supplier": card.registration.supplier,
            **said,
        },
    )
