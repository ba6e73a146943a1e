"""What the other slices ask of the agencies."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache

import holidays
from django.conf import settings

from irefuda.agencies.models import Agency, Section, SpecialClosure
from irefuda.ui import beforehand
from irefuda.ui.clock import JST
from irefuda_core.calendar import Closed, OfficeHours, Open, state_at

_INSTALLATION = beforehand.Question("agencies_installation", "stamp", "clock_offset_seconds")
_directory: tuple[object, dict[tuple[str, str], Section]] | None = None


def rules_time(now: datetime) -> datetime:
    """Return the moment that hours, deadlines and document dates go by: real time, unless the practice clock was moved.

    Sessions, nonces, certificates, limits, mail and the ledger never use this.
    """
    return now + _installation()[1] if settings.PRACTICE else now


def sections() -> list[Section]:
    """Return every section with its agency, by agency code and category; they are shared, so nobody changes them."""
    return sections_and_clock()[0]


def sections_and_clock() -> tuple[list[Section], timedelta]:
    """Return `sections()`, and by how much the rules' time differs from real time: the portal's pages ask both."""
    stamp, clock_moved = _installation()
    return list(_sections(stamp).values()), clock_moved


def section(*, agency_code: str, category: str) -> Section | None:
    """Return one section with its agency, or None; it is shared, so nobody changes it."""
    return section_and_clock(agency_code=agency_code, category=category)[0]


def section_and_clock(*, agency_code: str, category: str) -> tuple[Section | None, timedelta]:
    """Return a section, or None, and by how much the rules' time differs from real time: every page asks both, by one query."""
    stamp, clock_moved = _installation()
    return _sections(stamp).get((agency_code, category)), clock_moved


def agency(code: str) -> Agency | None:
    """Return one agency as it is now, or None."""
    return Agency.objects.filter(code=code).first()


def agencies() -> list[Agency]:
    """Return every agency by its code."""
    return list(Agency.objects.order_by("code"))


def _sections(stamp: object) -> dict[tuple[str, str], Section]:
    """Return all of them as they are now, without a query unless they have changed.

    The stamp must have been read before: a change in between is read too, and seen again as a change at the next call.
    """
    global _directory
    known = _directory
    if known is not None and known[0] == stamp:
        return known[1]
    rows = Section.objects.select_related("agency").prefetch_related("agency__closures")
    found = {(row.agency.code, row.category): row for row in rows.order_by("agency__code", "category")}
    _directory = (stamp, found)
    return found


def _installation() -> tuple[object, timedelta]:
    """Return the stamp, and by how much the practice clock was moved (in production always 0)."""
    stamp, seconds = _INSTALLATION.answer()
    return stamp, timedelta(seconds=seconds if settings.PRACTICE else 0)


def office_state(agency: Agency, *, now: datetime) -> Open | Closed:
    """Return whether the agency takes acts at `now` (rules' time), and until or from when."""
    today = now.astimezone(JST).date()
    # All of them: those of a section from above were read with it.
    closures = {closure.closed_on for closure in agency.closures.all() if closure.closed_on >= today}
    hours = OfficeHours(opens=agency.opens_at, closes=agency.closes_at, always_open=agency.always_open)
    return state_at(now, hours, holidays=national_holidays(today.year), closures=closures)


def closures(agency: Agency, *, since: date) -> list[SpecialClosure]:
    """Return the agency's special closures from this day on."""
    return list(agency.closures.filter(closed_on__gte=since).order_by("closed_on"))


def holidays_named(year: int) -> list[tuple[date, str]]:
    """Return Japan's national holidays of this year and the next, with their names."""
    return sorted(holidays.country_holidays("JP", years=[year, year + 1], language="ja").items())


@cache
def national_holidays(year: int) -> frozenset[date]:
    """Return Japan's national holidays of this year and the next."""
    return frozenset(holidays.country_holidays("JP", years=[year, year + 1]))
