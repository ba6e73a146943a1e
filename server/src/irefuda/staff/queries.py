"""Who is who behind the counter, and what they did."""

from __future__ import annotations

import uuid
from datetime import date, datetime

from django.db.models import Prefetch, Q, QuerySet

from irefuda.agencies.models import Agency
from irefuda.staff.models import Enrolment, Role, StaffAct, StaffCard, StaffMember, StaffRole
from irefuda.ui.clock import JST


def today(now: datetime) -> date:
    """Return the day in Japan: roles end with a day there."""
    return now.astimezone(JST).date()


def card_of(fingerprint: str) -> StaffCard | None:
    """Return the card under which a member of staff may come in, with the member."""
    cards = StaffCard.objects.select_related("member__agency")
    return cards.filter(fingerprint=fingerprint, ended_at=None, member__ended_at=None).first()


def roles_of(member: StaffMember, *, on: date) -> frozenset[Role]:
    """Return what the member may do on this day."""
    return frozenset(Role(row.role) for row in living_roles(on).filter(member=member))


def living_roles(on: date) -> QuerySet[StaffRole]:
    """Return the roles that count on this day, of whomever."""
    return StaffRole.objects.filter(Q(ends_on=None) | Q(ends_on__gte=on), revoked_at=None, member__ended_at=None)


def lasting_administrators(*, besides: uuid.UUID | None = None) -> int:
    """Return how many members administer the whole installation without a last day, apart from one."""
    roles = StaffRole.objects.filter(role=Role.ADMINISTRATOR, ends_on=None, revoked_at=None)
    return roles.filter(member__ended_at=None, member__agency=None).exclude(member_id=besides).count()


def members(*, agency: Agency | None) -> list[StaffMember]:
    """Return the staff of this agency, or of all of them, with living roles and cards; those who left come last."""
    found = StaffMember.objects.select_related("agency").prefetch_related(
        Prefetch("roles", StaffRole.objects.filter(revoked_at=None).order_by("id")),
        Prefetch("cards", StaffCard.objects.filter(ended_at=None).order_by("-added_at")),
    )
    if agency is not None:
        found = found.filter(agency=agency)
    return sorted(found.order_by("name"), key=lambda member: member.ended_at is not None)


def member(member_id: uuid.UUID, *, agency: Agency | None) -> StaffMember | None:
    """Return one member, if the staff of this agency (None: of the whole installation) may see them."""
    found = StaffMember.objects.select_related("agency", "added_by").filter(id=member_id)
    return (found if agency is None else found.filter(agency=agency)).first()


def cards_of(member: StaffMember) -> list[StaffCard]:
    """Return every card that the member has or had, the newest first."""
    return list(member.cards.select_related("added_by").order_by("-added_at"))


def roles_given(member: StaffMember) -> list[StaffRole]:
    """Return every role that the member has or had, the newest first."""
    return list(member.roles.select_related("granted_by", "revoked_by").order_by("-id"))


def acts(subject: str, *, limit: int = 50) -> list[StaffAct]:
    """Return what was changed of this subject, the newest first."""
    return list(StaffAct.objects.select_related("member").filter(subject=subject).order_by("-acted_at", "-id")[:limit])


def is_done(act_id: uuid.UUID) -> bool:
    """Return whether this act was done already: the page was sent twice."""
    return StaffAct.objects.filter(id=act_id).exists()


def enrolment(code: str, *, now: datetime) -> Enrolment | None:
    """Return the card that waits under this code."""
    return Enrolment.objects.filter(code=code, expires_at__gt=now).first()


def nobody_yet() -> bool:
    """Return whether no administrator was ever added."""
    return not StaffRole.objects.filter(role=Role.ADMINISTRATOR).exists()
