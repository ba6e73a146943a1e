"""The chain over the ledger's rows: every column of a row counts, and every row before it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core import chain

AT = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
ROW = {"entry_id": "a", "kind": "k", "recorded_at": AT, "entry_hash": bytes(32)}


@pytest.mark.parametrize(
    "change",
    [
        {"entry_id": "b"},
        {"kind": "l"},
        {"recorded_at": AT + timedelta(microseconds=1)},
        {"entry_hash": b"\x01" * 32},
    ],
)
def test_every_column_counts(change):
    assert chain.next_link(chain.START, **ROW | change) != chain.next_link(chain.START, **ROW)


def test_every_row_before_counts():
    second = chain.next_link(chain.next_link(chain.START, **ROW), **ROW)
    assert second != chain.next_link(chain.next_link(chain.START, **ROW | {"kind": "l"}), **ROW)


def test_a_moment_counts_and_its_time_zone_does_not():
    link = chain.next_link(chain.START, **ROW)
    tokyo = AT.astimezone(timezone(timedelta(hours=9)))
    assert chain.next_link(chain.START, **ROW | {"recorded_at": tokyo}) == link
    assert chain.seal_line(link, tokyo) == chain.seal_line(link, AT)
    assert chain.seal_line(link, AT + timedelta(seconds=1)) != chain.seal_line(link, AT)
    assert chain.seal_line(link, AT).startswith("rows ")


rows = st.fixed_dictionaries(
    {
        "entry_id": st.text("ab", max_size=3),
        "kind": st.text("ab", max_size=3),
        "recorded_at": st.datetimes(datetime(2026, 1, 1), datetime(2026, 1, 2), timezones=st.just(UTC)),
        "entry_hash": st.binary(min_size=32, max_size=32),
    }
)


def last_link(history):
    link = chain.START
    for row in history:
        link = chain.next_link(link, **row)
    return link


@given(st.lists(rows, max_size=5), st.lists(rows, max_size=5))
def test_two_histories_have_one_link_only_when_they_are_one(one, other):
    assert (last_link(one) == last_link(other)) == (one == other)


@given(st.lists(rows, min_size=2, max_size=5, unique_by=lambda row: row["entry_hash"]), st.data())
def test_no_row_can_be_left_out_or_moved(history, data):
    at = data.draw(st.integers(0, len(history) - 2))
    assert last_link(history[:at] + history[at + 1 :]) != last_link(history)
    swapped = [*history[:at], history[at + 1], history[at], *history[at + 2 :]]
    assert last_link(swapped) != last_link(history)
