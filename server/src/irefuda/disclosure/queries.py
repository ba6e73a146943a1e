"""What the portal's pages show."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Agency, Category, Section
from irefuda.disclosure.models import Announcement
from irefuda.ui import rows
from irefuda_core.calendar import Closed, Open

ON_PORTAL, PER_PAGE, LOOKED_THROUGH = 5, 50, 200
# Plain SQL: the portal asks it of everybody, and to build the query takes longer than to answer it.
NEWEST = f"""SELECT {rows.columns(Announcement, "announcement")}, {rows.columns(Agency, "agency")}
FROM disclosure_announcement announcement LEFT JOIN agencies_agency agency ON agency.id = announcement.agency_id
WHERE (announcement.expires_at IS NULL OR announcement.expires_at > %s) AND announcement.published_at <= %s
AND announcement.withdrawn_at IS NULL ORDER BY announcement.published_at DESC, announcement.id DESC LIMIT %s"""  # noqa: S608 -- our own names


@dataclass(frozen=True, slots=True)
class Counter:
    """One 調達機関 with its 区分 and whether it takes acts now."""

    agency: Agency
    sections: tuple[Section, ...]
    office: Open | Closed


def counters(*, now: datetime, category: Category | None = None) -> tuple[datetime, list[Counter]]:
    """Return the rules' time at `now`, and the agencies that have a section (of `category`), by code, as they stand then."""
    sections, clock_moved = agencies.sections_and_clock()
    rules_now = now + clock_moved
    found: dict[int, list[Section]] = {}
    for section in sections:
        if category is None or section.category == category:
            found.setdefault(section.agency_id, []).append(section)
    return rules_now, [
        Counter(ones[0].agency, tuple(ones), agencies.office_state(ones[0].agency, now=rules_now))
        for ones in found.values()
    ]


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the announcements."""

    announcements: list[Announcement]
    number: int
    has_next: bool

    @property
    def previous(self) -> int:
        return self.number - 1

    @property
    def following(self) -> int:
        return self.number + 1


def announcements(*, now: datetime, page: int = 1) -> Page:
    """Return one page of what is announced at `now` (real time), newest first, what was withdrawn included."""
    start = (page - 1) * PER_PAGE
    found = list(_announced(now)[start : start + PER_PAGE + 1])
    return Page(found[:PER_PAGE], page, len(found) > PER_PAGE)


def newest_announcements(*, now: datetime) -> list[Announcement]:
    """Return what stands on the portal at `now` (real time): the newest that were not withdrawn."""
    newest = []
    for announcement, agency in rows.fetch_together((Announcement, Agency), NEWEST, [now, now, ON_PORTAL]):
        announcement.agency = agency if announcement.agency_id is not None else None
        newest.append(announcement)
    return newest


def announcement(*, announcement_id: uuid.UUID, now: datetime) -> Announcement | None:
    """Return an announcement that has been published by `now` (real time), even if its time is over, or None."""
    found = Announcement.objects.select_related("agency")
    return found.filter(id=announcement_id, published_at__lte=now).first()


def every_announcement() -> list[Announcement]:
    """Return all of them, newest first: also what is not published yet, is over, or was withdrawn."""
    return list(Announcement.objects.select_related("agency").order_by("-published_at", "-id"))


def announcements_of(agency: Agency | None) -> list[Announcement]:
    """Return the newest 200 that the staff of this agency (None: of the whole installation) see: its own and everyone's."""
    found = Announcement.objects.select_related("agency").order_by("-published_at", "-id")
    if agency is not None:
        found = found.filter(Q(agency=agency) | Q(agency__isnull=True))
    return list(found[:LOOKED_THROUGH])


def state_of(announcement: Announcement, *, now: datetime) -> str:
    """Return in a word whether it stands on the portal at `now` (real time)."""
    if announcement.withdrawn_at is not None:
        return "取り下げ"
    if announcement.published_at > now:
        return "掲載前"
    return "掲載終了" if announcement.expires_at is not None and announcement.expires_at <= now else "掲載中"


def _announced(now: datetime) -> QuerySet[Announcement]:
    still = Q(expires_at__isnull=True) | Q(expires_at__gt=now)
    found = Announcement.objects.select_related("agency").filter(still, published_at__lte=now)
    return found.order_by("-published_at", "-id")
