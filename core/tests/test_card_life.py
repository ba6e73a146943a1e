from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core.card_life import EXPIRED, WARNING_DAYS, days_left, warning_due

# The last second of 2026-11-24 in Japan.
END = datetime(2026, 11, 24, 14, 59, 59, tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "left"),
    [
        (datetime(2026, 11, 23, 14, 59, 59, tzinfo=UTC), 1),
        (datetime(2026, 11, 23, 15, 0, tzinfo=UTC), 0),
        (END, 0),
        (datetime(2026, 11, 24, 15, 0, tzinfo=UTC), -1),
        (datetime(2026, 8, 26, 3, 0, tzinfo=UTC), 90),
    ],
)
def test_days_are_those_of_the_calendar_in_japan(now, left):
    assert days_left(END, now=now) == left


def test_a_card_that_ends_at_noon_is_in_its_last_day_until_midnight():
    noon = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
    assert days_left(noon, now=noon + timedelta(hours=11)) == 0
    assert warning_due(noon, now=noon + timedelta(hours=11)) == 7
    assert warning_due(noon, now=noon + timedelta(hours=12)) == EXPIRED


@pytest.mark.parametrize(
    ("left", "due"),
    [
        (91, None),
        (90, 90),
        (61, 90),
        (60, 60),
        (31, 60),
        (30, 30),
        (8, 30),
        (7, 7),
        (0, 7),
        (-1, EXPIRED),
        (-400, EXPIRED),
    ],
)
def test_the_nearest_warning_is_due(left, due):
    assert warning_due(END, now=END - timedelta(days=left)) == due


@given(st.integers(-500, 500), st.integers(1, 200))
def test_as_time_goes_on_warnings_only_come_nearer(left, later):
    order = [None, *WARNING_DAYS, EXPIRED]
    before, after = (warning_due(END, now=END - timedelta(days=days)) for days in (left, left - later))
    assert order.index(before) <= order.index(after)
