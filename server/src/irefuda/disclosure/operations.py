"""Deeds of the portal: what is announced there, and withdrawn."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.db import IntegrityError, transaction

from irefuda.agencies.models import Agency, Category
from irefuda.disclosure.models import PUBLISHED, WITHDRAWN, Announcement
from irefuda.ledger import operations as ledger
from irefuda_core import canonical, prose, text
from irefuda_core.refusal import Refusal, Refused, refusal

TITLE_LENGTH, BODY_LENGTH, NAME_LENGTH, REASON_LENGTH = 100, 10_000, 100, 400


def publish_announcement(
    *,
    announcement_id: uuid.UUID,
    title: str,
    body: str,
    created_by: str,
    now: datetime,
    salt: bytes,
    agency: Agency | None = None,
    category: Category | None = None,
    published_at: datetime | None = None,
    expires_at: datetime | None = None,
) -> Announcement:
    """Announce this from now on, or from a later moment; sent twice under one id it is announced once.

    :raises Refused: with every reason: P-820 without title or body, P-821 when it would end before it begins, P-801 and
        P-802 for text that cannot be stored
    """
    if done := Announcement.objects.filter(id=announcement_id).first():
        return done
    reasons: list[Refusal] = []
    announcement = Announcement(
        id=announcement_id,
        title=_line(title, TITLE_LENGTH, reasons),
        body=_prose(body, BODY_LENGTH, reasons),
        agency=agency,
        category=category or "",
        published_at=max(published_at or now, now),
        expires_at=expires_at,
        created_by=_line(created_by, NAME_LENGTH, reasons),
    )
    if not reasons and not (announcement.title and announcement.body):
        reasons.append(refusal("P-820"))
    if expires_at is not None and expires_at <= announcement.published_at:
        reasons.append(refusal("P-821"))
    if reasons:
        raise Refused(*reasons)
    try:
        return _publish(announcement, now=now, salt=salt)
    except IntegrityError:
        # The same one was sent twice at the same moment.
        return Announcement.objects.get(id=announcement_id)


@transaction.atomic
def _publish(announcement: Announcement, *, now: datetime, salt: bytes) -> Announcement:
    document = canonical.canonical_json(announcement.document(PUBLISHED, at=now))
    entry = ledger.append(document=document, kind="announcement.published", at=now, salt=salt)
    announcement.ledger_entry = entry.id
    announcement.save(force_insert=True)
    return announcement


def withdraw_announcement(
    *, announcement_id: uuid.UUID, reason: str, withdrawn_by: str, now: datetime, salt: bytes
) -> Announcement:
    """Withdraw an announcement, which then shows its title and this reason; withdrawn again, the first time stands.

    :raises Refused: with every reason: P-822 when there is none, P-823 without a reason, P-801 and P-802 for text that
        cannot be stored
    """
    reasons: list[Refusal] = []
    why, who = _line(reason, REASON_LENGTH, reasons), _line(withdrawn_by, NAME_LENGTH, reasons)
    announcement = Announcement.objects.filter(id=announcement_id).first()
    if announcement is None:
        reasons.append(refusal("P-822"))
    if not reasons and not why:
        reasons.append(refusal("P-823"))
    if announcement is None or reasons:
        raise Refused(*reasons)
    if announcement.withdrawn_at is None:
        announcement.withdrawn_reason, announcement.withdrawn_by = why, who
        _withdraw(announcement, now=now, salt=salt)
    return Announcement.objects.select_related("agency").get(id=announcement_id)


def _withdraw(announcement: Announcement, *, now: datetime, salt: bytes) -> None:
    document = canonical.canonical_json(announcement.document(WITHDRAWN, at=now))
    with transaction.atomic():
        entry = ledger.append(document=document, kind="announcement.withdrawn", at=now, salt=salt)
        marked = Announcement.objects.filter(id=announcement.id, withdrawn_at__isnull=True).update(
            withdrawn_at=now,
            withdrawn_reason=announcement.withdrawn_reason,
            withdrawn_by=announcement.withdrawn_by,
            withdrawal_entry=entry.id,
        )
        if not marked:
            # Somebody else has withdrawn it in this very moment: theirs is the deed, and this entry never was.
            transaction.set_rollback(True)


def _line(typed: str, max_length: int, reasons: list[Refusal]) -> str:
    try:
        return text.clean_text(typed, max_length=max_length)
    except text.InvalidText as invalid:
        reasons.append(invalid.refusal)
        return ""


def _prose(typed: str, max_length: int, reasons: list[Refusal]) -> str:
    try:
        return prose.clean_prose(typed, max_length=max_length)
    except text.InvalidText as invalid:
        reasons.append(invalid.refusal)
        return ""
