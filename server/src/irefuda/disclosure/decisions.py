"""Announcing and withdrawing as a member of staff: once per confirmed page, with a reason, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from irefuda.agencies.models import Agency, Category
from irefuda.disclosure import operations
from irefuda.disclosure.models import Announcement
from irefuda.staff.models import Role
from irefuda.staff.operations import Change, Deed, begin, record
from irefuda.ui.clock import JST
from irefuda_core.refusal import Refused, refusal


def subject_of(announcement: Announcement) -> str:
    """Return the name under which what staff did to an announcement is kept."""
    return f"announcement:{announcement.id}"


def publication(values: Mapping[str, Any]) -> list[Change]:
    """Return what publishing these values brings: item, before (nothing), after."""
    agency: Agency | None = values["agency"]
    category: Category | None = values["category"]
    begins: datetime | None = values["published_at"]
    ends: datetime | None = values["expires_at"]
    return [
        ("題名", "", values["title"]),
        ("本文", "", values["body"]),
        ("対象の調達機関", "", agency.name if agency else "すべての調達機関"),
        ("対象の区分", "", category.label if category else "すべての区分"),
        ("掲載を始める日時", "", moment(begins) if begins else "確定したとき"),
        ("掲載を終える日時", "", moment(ends) if ends else "終わりなし"),
    ]


def withdrawal(announcement: Announcement, shown_reason: str) -> list[Change]:
    """Return what withdrawing changes."""
    return [(announcement.title, "掲載中", f"取り下げ（理由：{shown_reason}）")]


def moment(at: datetime) -> str:
    """Return a moment as people in Japan write it."""
    day = at.astimezone(JST)
    return f"{day.year}年{day.month}月{day.day}日 {day:%H時%M分}"


def publish(*, deed: Deed, values: Mapping[str, Any]) -> None:
    """Announce this; the page that was confirmed twice announces once.

    :raises Refused: S-908 for another agency's announcement or a lost role, S-910 when the page showed something else,
        and the reasons of `operations.publish_announcement`
    """
    with transaction.atomic():
        if not begin(deed, Role.CONTRACTS):
            return
        _require_own(deed, values["agency"])
        announcement = operations.publish_announcement(
            announcement_id=deed.id, created_by=_office_of(deed), now=deed.at, salt=deed.salt, **values
        )
        record(
            deed,
            kind="staff.announcement_published",
            subject=subject_of(announcement),
            changes=publication(values),
        )


def withdraw(*, deed: Deed, announcement: Announcement, shown_reason: str) -> None:
    """Withdraw this; its title stays, with the reason.

    :raises Refused: S-908 for another agency's announcement or a lost role, S-910 when it was withdrawn meanwhile
    """
    with transaction.atomic():
        if not begin(deed, Role.CONTRACTS):
            return
        _require_own(deed, announcement.agency)
        if not Announcement.objects.filter(id=announcement.id, withdrawn_at__isnull=True).exists():
            raise Refused(refusal("S-910"))
        operations.withdraw_announcement(
            announcement_id=announcement.id,
            reason=shown_reason,
            withdrawn_by=_office_of(deed),
            now=deed.at,
            salt=deed.salt,
        )
        record(
            deed,
            kind="staff.announcement_withdrawn",
            subject=subject_of(announcement),
            changes=withdrawal(announcement, shown_reason),
        )


def _office_of(deed: Deed) -> str:
    """Return who announces, as the public reads it: the office, not the person, whom the staff's own history names."""
    agency = deed.actor.agency if deed.actor else None
    return f"{agency.name} {agency.contracts_office}" if agency else "契約課"


def _require_own(deed: Deed, agency: Agency | None) -> None:
    # What is for all agencies is the whole installation's to say.
    if deed.actor is not None and deed.actor.agency is not None and deed.actor.agency != agency:
        raise Refused(refusal("S-908"))
