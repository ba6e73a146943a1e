"""運用時間: when an agency takes acts. The server's clock decides; hours are hours in Japan (decisions: default weekdays 8:30–20:00)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

JST = ZoneInfo("Asia/Tokyo")
_LOOK_AHEAD_DAYS = 400


@dataclass(frozen=True, slots=True)
class OfficeHours:
    """From `opens` (inclusive) to `closes` (exclusive: the closing second itself is closed), or always."""

    opens: time
    closes: time
    always_open: bool = False


@dataclass(frozen=True, slots=True)
class Open:
    """The agency takes acts until `closes_at`; None means it never closes."""

    closes_at: datetime | None
    is_open: bool = True


@dataclass(frozen=True, slots=True)
class Closed:
    """The agency takes no acts until `opens_next_at`; `reason` in Japanese."""

    opens_next_at: datetime
    reason: str
    is_open: bool = False


def state_at(
    moment: datetime, hours: OfficeHours, *, holidays: Collection[date], closures: Collection[date] = ()
) -> Open | Closed:
    """Return whether the agency takes acts at `moment` (aware).

    :raises ValueError: for a naive moment, or when no open day is found within 400 days
    """
    if moment.tzinfo is None:
        raise ValueError("moment must be aware")
    if hours.always_open:
        return Open(None)
    local = moment.astimezone(JST)
    reason = why_closed_on(local.date(), holidays=holidays, closures=closures)
    if reason is None and hours.opens <= local.time() < hours.closes:
        return Open(datetime.combine(local.date(), hours.closes, JST))
    for ahead in range(_LOOK_AHEAD_DAYS):
        day = local.date() + timedelta(days=ahead)
        opening = datetime.combine(day, hours.opens, JST)
        if opening > local and why_closed_on(day, holidays=holidays, closures=closures) is None:
            return Closed(opening, reason or "運用時間外")
    raise ValueError("the agency never opens again")


def why_closed_on(day: date, *, holidays: Collection[date], closures: Collection[date] = ()) -> str | None:
    """Return why the whole day is closed, in Japanese, or None for a working day."""
    if day in closures:
        return "臨時休止日"
    if (day.month, day.day) in ((12, 29), (12, 30), (12, 31), (1, 1), (1, 2), (1, 3)):
        return "年末年始"
    if day in holidays:
        return "祝日"
    return "土曜日・日曜日" if day.weekday() >= 5 else None
