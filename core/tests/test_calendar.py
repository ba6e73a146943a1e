"""運用時間 (manual 前提条件: weekdays 8:30–20:00)."""

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core.calendar import JST, Closed, OfficeHours, Open, state_at

HOURS = OfficeHours(time(8, 30), time(20, 0))
HOLIDAYS = {date(2026, 11, 23), date(2027, 1, 1)}


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=JST)


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        (at(2026, 11, 24, 8, 29, 59), at(2026, 11, 24, 8, 30)),
        (at(2026, 11, 24, 20, 0), at(2026, 11, 25, 8, 30)),
        (at(2026, 11, 20, 20, 0), at(2026, 11, 24, 8, 30)),  # Friday night before a holiday on Monday
        (at(2026, 12, 28, 20, 0), at(2027, 1, 4, 8, 30)),
    ],
)
def test_closed_until_the_next_working_day(moment, opens):
    state = state_at(moment, HOURS, holidays=HOLIDAYS)
    assert isinstance(state, Closed)
    assert state.opens_next_at == opens


def test_open_to_the_last_second():
    assert state_at(at(2026, 11, 24, 8, 30), HOURS, holidays=HOLIDAYS) == Open(at(2026, 11, 24, 20, 0))
    assert state_at(at(2026, 11, 24, 19, 59, 59), HOURS, holidays=HOLIDAYS).is_open
    assert not state_at(at(2026, 11, 24, 12), HOURS, holidays=HOLIDAYS, closures={date(2026, 11, 24)}).is_open


@given(st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)))
def test_the_announced_opening_is_open_and_nothing_before_it_is(naive):
    moment = naive.replace(tzinfo=JST)
    state = state_at(moment, HOURS, holidays=HOLIDAYS)
    if isinstance(state, Closed):
        assert state_at(state.opens_next_at, HOURS, holidays=HOLIDAYS).is_open
        assert not state_at(state.opens_next_at - timedelta(seconds=1), HOURS, holidays=HOLIDAYS).is_open


def test_a_naive_moment_is_a_mistake_of_the_caller():
    with pytest.raises(ValueError, match="aware"):
        state_at(datetime(2026, 11, 24, 12), HOURS, holidays=HOLIDAYS)
