"""What the other slices ask of the agencies."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from functools import cache

import holidays
from django.conf import settings

from irefuda.agencies.models import Agency, Installation, Section
from irefuda.ui.clock import JST
from irefuda_core.calendar import Closed, OfficeHours, Open, state_at


def rules_time(now: datetime) -> datetime:
    """Return the moment that hours, deadlines and document dates go by: real time, unless the practice clock was moved.

    Sessions, nonces, certificates, limits, mail and the ledger never use this.
    """
    if not settings.PRACTICE:
        return now
    return now + timedelta(seconds=Installation.objects.values_list("clock_offset_seconds", flat=True).get(id=1))


def sections() -> list[Section]:
    """Return every section with its agency, by agency code and category."""
    return list(Section.objects.select_related("agency").order_by("agency__code", "category"))


def section(*, agency_code: str, category: str) -> Section | None:
    """Return one section with its agency, or None."""
    return Section.objects.select_related("agency").filter(agency__code=agency_code, category=category).first()


def office_state(agency: Agency, *, now: datetime) -> Open | Closed:
    """Return whether the agency takes acts at `now` (rules' time), and until or from when."""
    today = now.astimezone(JST).date()
    closures = set(agency.closures.filter(closed_on__gte=today).values_list("closed_on", flat=True))
    hours = OfficeHours(opens=agency.opens_at, closes=agency.closes_at, always_open=agency.always_open)
    return state_at(now, hours, holidays=national_holidays(today.year), closures=closures)


@cache
def national_holidays(year: int) -> frozenset[date]:
    """Return Japan's national holidays of this year and the next."""
    return frozenset(holidays.country_holidays("JP", years=[year, year + 1]))
