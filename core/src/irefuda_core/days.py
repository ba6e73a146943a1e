"""Dates as Japanese lists write them: 令和7年4月1日, R7.4.1, 2025/4/1, 20250401, or a spreadsheet's day number."""

from __future__ import annotations

import re
from datetime import date, timedelta

from irefuda_core.text import to_half_width

# The year before the first of each era; an era's year may run past its end (平成32年), as lists made before the change do.
_YEAR_ZERO = {
    "令和": 2018, "R": 2018, "令": 2018, "㋿": 2018, "平成": 1988, "H": 1988, "平": 1988, "㍻": 1988,
    "昭和": 1925, "S": 1925, "昭": 1925, "㍼": 1925,
}  # fmt: skip
_WRITTEN = re.compile(
    r"(?P<era>令和|平成|昭和|[令平昭㋿㍻㍼RHS])?\s*(?P<year>元|[0-9]{1,4})\s*[年./-]\s*"
    r"(?P<month>[0-9]{1,2})\s*[月./-]\s*(?P<day>[0-9]{1,2})\s*日?(?:\s*[(（].[)）])?(?:[T ]00:00(?::00)?)?"
)
_FIRST_SERIAL, _LAST_SERIAL = 36526, 73050  # 2000-01-01 and 2099-12-31 as day numbers of spreadsheets
_BETWEEN = re.compile(
    r"\s*[~〜～∼]\s*|\s*から\s*|(?<=[0-9日])\s*[-‐–—―－]\s*(?=令|平|昭|[RHS㋿㍻㍼]|[0-9]{4}\s*[年./])"
)


def read_day(written: str) -> date | None:
    """Return the day that was written, or None: a year of two digits without an era is no date, and no such day is none."""
    line = to_half_width(written).strip().upper()
    if match := _WRITTEN.fullmatch(line):
        era, year = match["era"], match["year"]
        if era is None and (year == "元" or len(year) != 4):
            return None
        number = 1 if year == "元" else int(year)
        if number == 0:
            return None
        return _day(_YEAR_ZERO[era] + number if era else number, int(match["month"]), int(match["day"]))
    if re.fullmatch(r"(19|20)[0-9]{6}", line):
        return _day(int(line[:4]), int(line[4:6]), int(line[6:]))
    if re.fullmatch(r"[0-9]{5}", line) and _FIRST_SERIAL <= int(line) <= _LAST_SERIAL:
        return date(1899, 12, 30) + timedelta(days=int(line))
    return None


def read_period(written: str) -> tuple[date | None, date | None] | None:
    """Return the first and the last day of a period such as 令和7年4月1日～令和9年3月31日, or None when it is none.

    One of the two may be left out: 「～令和9年3月31日」 has no first day.
    """
    parts = _BETWEEN.split(to_half_width(written).strip())
    if len(parts) != 2:
        return None
    first, last = (re.sub(r"\s*まで$", "", part.strip()) for part in parts)
    days = [read_day(part) if part else None for part in (first, last)]
    if not (first or last) or any(part and day is None for part, day in zip((first, last), days, strict=True)):
        return None
    return days[0], days[1]


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
