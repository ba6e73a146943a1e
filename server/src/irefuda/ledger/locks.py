"""One sequencer at a time, guarded by the database itself."""

from __future__ import annotations

from django.db import connection

# "iref" as a number: advisory locks of PostgreSQL have numbers for names.
SEQUENCER = 0x6972_6566


def is_only_sequencer() -> bool:
    """Return whether this transaction now holds the sequencer's lock, which ends with the transaction.

    SQLite has one writer at a time: the transaction began IMMEDIATE, so to be in it is to hold the lock.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEQUENCER])
        return bool(cursor.fetchone()[0])
