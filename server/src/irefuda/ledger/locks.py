"""What the database itself guards: one sequencer at a time, a still picture for the audit, the append-only triggers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import connection, transaction

# "iref" as a number: advisory locks of PostgreSQL have numbers for names.
SEQUENCER = 0x6972_6566
INSERT_ONLY = ("ledger_entry", "ledger_leaf", "ledger_node", "ledger_checkpoint")


def is_only_sequencer() -> bool:
    """Return whether this transaction now holds the sequencer's lock, which ends with the transaction.

    SQLite has one writer at a time: the transaction began IMMEDIATE, so to be in it is to hold the lock.
    """
    if connection.vendor != "postgresql":
        return True
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SEQUENCER])
        return bool(cursor.fetchone()[0])


def become_only_sequencer() -> None:
    """Wait for the sequencer's lock and hold it until this transaction ends."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [SEQUENCER])


@contextlib.contextmanager
def still_picture() -> Iterator[None]:
    """Let everything inside read the database as it was at one moment, without keeping anyone from writing."""
    if connection.in_atomic_block:
        yield
    elif connection.vendor == "postgresql":
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield
    else:
        # Django's own transactions are IMMEDIATE here and would hold the write lock for as long as the audit takes.
        with connection.cursor() as cursor:
            cursor.execute("BEGIN DEFERRED")
            try:
                yield
            finally:
                cursor.execute("ROLLBACK")


def missing_guards() -> list[str]:
    """Return the insert-only tables of the ledger whose triggers are not all in force."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            # 'A': fires in every role; a trigger that is enabled again without ALWAYS lets a replica's session pass.
            cursor.execute("SELECT tgname FROM pg_trigger WHERE tgenabled = 'A'")
            wanted: tuple[str, ...] = ("append_only",)
        else:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
            wanted = ("no_update", "no_delete", "no_replace")
        present = {name for (name,) in cursor.fetchall()}
    return [table for table in INSERT_ONLY if any(f"{table}_{guard}" not in present for guard in wanted)]
