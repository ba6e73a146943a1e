"""Dates as lists write them (domain 11.1: 元号 dates)."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core.days import read_day, read_period

DAYS = st.dates(date(2019, 5, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("令和7年4月1日", date(2025, 4, 1)),
        ("令和元年５月１日", date(2019, 5, 1)),
        ("Ｒ７．４．１", date(2025, 4, 1)),
        ("r07/04/01", date(2025, 4, 1)),
        ("㋿7年4月1日", date(2025, 4, 1)),
        ("平成31年4月30日", date(2019, 4, 30)),
        ("平成32年3月31日", date(2020, 3, 31)),
        ("S64.1.7", date(1989, 1, 7)),
        ("2025年4月1日（火）", date(2025, 4, 1)),
        ("2025-04-01", date(2025, 4, 1)),
        ("2025-04-01 00:00:00", date(2025, 4, 1)),
        ("20250401", date(2025, 4, 1)),
        ("45748", date(2025, 4, 1)),
    ],
)
def test_every_way_of_writing_a_day(written, day):
    assert read_day(written) == day


@pytest.mark.parametrize("written", ["", "7.4.1", "25/4/1", "令和7年2月29日", "2025/13/1", "R0.1.1", "R7.4", "20251301", "99999", "元年1月1日", "未定"])  # fmt: skip
def test_what_is_no_day_is_not_guessed(written):
    assert read_day(written) is None


@given(DAYS)
def test_the_ways_agree(day):
    reiwa = day.year - 2018
    for written in (f"{day:%Y-%m-%d}", f"{day.year}年{day.month}月{day.day}日", f"令和{reiwa}年{day.month}月{day.day}日", f"R{reiwa}.{day.month}.{day.day}", f"{day:%Y%m%d}"):  # fmt: skip
        assert read_day(written) == day


@given(DAYS, DAYS)
def test_a_period_is_its_two_days(first, last):
    for sign in ("～", "〜", "~", " から "):
        assert read_period(f"R{first.year - 2018}.{first.month}.{first.day}{sign}{last:%Y/%m/%d}") == (first, last)
    assert read_period(f"～{last:%Y/%m/%d}まで") == (None, last)


@pytest.mark.parametrize("written", ["", "～", "2025/4/1", "2025/4/1～未定", "a～b～c"])
def test_what_is_no_period_is_not_guessed(written):
    assert read_period(written) is None


@given(st.text(max_size=30))
def test_nothing_breaks_the_reading(written):
    assert read_day(written) is None or isinstance(read_day(written), date)
    assert read_period(written) is None or len(read_period(written)) == 2
