"""運用時間 (manual 前提条件: weekdays 8:30–20:00)."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core.calendar import JST, Closed, OfficeHours, Open, state_at, why_closed_on

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


@pytest.mark.parametrize(
    ("day", "reason"),
    [
        (date(2026, 11, 24), None),
        (date(2026, 11, 23), "祝日"),
        (date(2026, 11, 22), "土曜日・日曜日"),
        (date(2026, 12, 28), None),
        (date(2026, 12, 29), "年末年始"),
        (date(2027, 1, 1), "年末年始"),
        (date(2027, 1, 3), "年末年始"),
        (date(2027, 1, 4), None),
    ],
)
def test_a_closed_day_has_its_reason(day, reason):
    assert why_closed_on(day, holidays=HOLIDAYS) == reason
    assert why_closed_on(day, holidays=HOLIDAYS, closures={day}) == "臨時休止日"
    noon = datetime.combine(day, time(12), JST)
    state = state_at(noon, HOURS, holidays=HOLIDAYS)
    assert state.is_open == (reason is None)
    assert isinstance(state, Open) or state.reason == reason


def test_before_and_after_hours_is_its_own_reason():
    for moment in (at(2026, 11, 24, 3), at(2026, 11, 24, 23)):
        assert state_at(moment, HOURS, holidays=HOLIDAYS).reason == "運用時間外"


def test_the_practice_realm_never_closes():
    hours = OfficeHours(time(8, 30), time(20, 0), always_open=True)
    assert state_at(at(2027, 1, 1, 3), hours, holidays=HOLIDAYS) == Open(None)


def test_an_agency_that_never_opens_again_is_a_mistake():
    closures = {date(2026, 11, 24) + timedelta(days=ahead) for ahead in range(500)}
    with pytest.raises(ValueError, match="never opens"):
        state_at(at(2026, 11, 24, 12), HOURS, holidays=HOLIDAYS, closures=closures)


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2030, 1, 1)),
    st.tuples(st.times(), st.times()).filter(lambda span: span[0] < span[1]),
    st.sets(st.dates(date(2026, 1, 1), date(2030, 12, 31)), max_size=30),
)
def test_whatever_the_hours_it_closes_and_opens_when_it_says(naive, span, holidays):
    hours, moment = OfficeHours(*span), naive.replace(tzinfo=JST)
    state = state_at(moment, hours, holidays=holidays)
    assert state == state_at(moment.astimezone(UTC), hours, holidays=holidays)
    if isinstance(state, Open):
        assert state.closes_at > moment
        assert not state_at(state.closes_at, hours, holidays=holidays).is_open
        assert state_at(state.closes_at - timedelta(microseconds=1), hours, holidays=holidays).is_open
    else:
        opened = state_at(state.opens_next_at, hours, holidays=holidays)
        assert isinstance(opened, Open)
        assert opened.closes_at == datetime.combine(state.opens_next_at.date(), span[1], JST)
        assert state.opens_next_at.date() not in holidays
