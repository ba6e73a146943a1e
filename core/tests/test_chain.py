"""The chain over the ledger's rows: every column of a row counts, and every row before it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

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
