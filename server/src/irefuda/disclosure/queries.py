"""What the portal's pages show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Agency, Category, Section
from irefuda.disclosure.models import NewsKind, PortalNews
from irefuda_core.calendar import Closed, Open

NEWS_ON_PORTAL = 5


@dataclass(frozen=True, slots=True)
class Counter:
    """One 調達機関 with its 区分 and whether it takes acts now."""

    agency: Agency
    sections: tuple[Section, ...]
    office: Open | Closed


def counters(*, now: datetime, category: Category | None = None) -> list[Counter]:
    """Return the agencies that have a section (of `category`), by code; `now` is the rules' time."""
    found: dict[int, list[Section]] = {}
    for section in agencies.sections():
        if category is None or section.category == category:
            found.setdefault(section.agency_id, []).append(section)
    return [
        Counter(sections[0].agency, tuple(sections), agencies.office_state(sections[0].agency, now=now))
        for sections in found.values()
    ]


def news(kind: NewsKind, *, limit: int = NEWS_ON_PORTAL) -> list[PortalNews]:
    """Return the newest lines of this kind, newest first."""
    return list(PortalNews.objects.filter(kind=kind).order_by("-published_on", "-id")[:limit])
