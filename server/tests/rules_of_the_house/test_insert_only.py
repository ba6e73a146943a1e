"""Tables whose rows are evidence: nobody updates, deletes, replaces or empties them, the triggers see to that."""

from __future__ import annotations

import io
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction

from irefuda.cards.models import RevocationListRecord
from irefuda.ledger import keys, operations, sequencer
from irefuda.ui import clock

INSERT_ONLY = {
    "cards_revocationlistrecord",
    "ledger_checkpoint",
    "ledger_entry",
    "ledger_leaf",
    "ledger_node",
}
LOCKING = Path(__file__).resolve().parents[3] / "docs" / "locking.md"

pytestmark = pytest.mark.committing


@pytest.fixture
def filled(own_database: str, settings: Any, tmp_path: Path) -> None:
    """Put a row into each of them: SQLite's triggers fire for rows, not for statements."""
    call_command("make_ledger_keys", directory=tmp_path / "keys", stdout=io.StringIO())
    settings.HEAD_KEY_FILE = str(tmp_path / "keys" / "head.pem")
    now = clock.now()
    with transaction.atomic():
        operations.append(document=b"x", kind="k", at=now, salt=bytes(16))
    sequencer.sequence_batch(key=keys.head_key(), now=now)
    moments = {"this_update": now, "next_update": now + timedelta(days=1), "fetched_at": now}
    RevocationListRecord.objects.create(
        issuer_key="a" * 64,
        signing_key="c" * 64,
        number="1",
        sha256="b" * 64,
        der=b"x",
        source="test",
        **moments,
    )


def guarded() -> set[str]:
    """Return the tables that have triggers of ours, as the database itself tells."""
    query = {
        "sqlite": "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger' AND sql LIKE '%RAISE(ABORT%'",
        "postgresql": "SELECT tgrelid::regclass::text FROM pg_trigger JOIN pg_proc ON pg_proc.oid = tgfoid "
        "WHERE NOT tgisinternal AND prosrc LIKE '%RAISE EXCEPTION%'",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(query)
        return {name for (name,) in cursor.fetchall()}


def test_the_insert_only_tables_are_these_and_the_documents_name_them(own_database):
    assert guarded() == INSERT_ONLY
    assert {table for table in INSERT_ONLY if f"`{table}`" not in LOCKING.read_text()} == set()


@pytest.mark.parametrize("table", sorted(INSERT_ONLY))
def test_no_row_is_changed_or_deleted(filled, table):
    model = next(model for model in apps.get_models() if model._meta.db_table == table)
    before = list(model.objects.values_list())
    assert before
    column = next(field.column for field in model._meta.fields if not field.primary_key)
    quoted = connection.ops.quote_name(column)
    acts = [f"UPDATE {table} SET {quoted} = {quoted}", f"DELETE FROM {table}"]
    if connection.vendor == "postgresql":
        acts += [f"TRUNCATE {table} CASCADE"]
    for act in acts:
        with pytest.raises(DatabaseError, match=r"append-only|kept as evidence"), transaction.atomic():
            connection.cursor().execute(act)
    assert list(model.objects.values_list()) == before


@pytest.mark.parametrize("table", sorted(INSERT_ONLY))
def test_the_triggers_have_no_side_door(filled, table):
    model = next(model for model in apps.get_models() if model._meta.db_table == table)
    before = list(model.objects.values_list())
    columns = ", ".join(connection.ops.quote_name(field.column) for field in model._meta.fields)
    acts = {
        # Deletes the old row without asking the DELETE trigger.
        "sqlite": f"INSERT OR REPLACE INTO {table} ({columns}) SELECT {columns} FROM {table}",
        # A replica's session passes by every trigger that is not ALWAYS.
        "postgresql": f"SET LOCAL session_replication_role = replica; DELETE FROM {table}",
    }
    with pytest.raises(DatabaseError, match=r"append-only|kept as evidence"), transaction.atomic():
        connection.cursor().execute(acts[connection.vendor])
    assert list(model.objects.values_list()) == before
