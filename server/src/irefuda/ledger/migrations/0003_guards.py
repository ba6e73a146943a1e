"""One entry per hash; and close the side doors of the append-only triggers."""

from django.db import migrations, models

TABLES = {
    "ledger_entry": "id = NEW.id OR entry_hash = NEW.entry_hash",
    "ledger_leaf": "seq = NEW.seq OR entry_id = NEW.entry_id",
    "ledger_node": 'level = NEW.level AND "index" = NEW."index"',
    "ledger_checkpoint": "size = NEW.size",
}


def close(apps, schema_editor):
    for table, same in TABLES.items():
        if schema_editor.connection.vendor == "postgresql":
            # Without ALWAYS a session in the role of a replica writes past the trigger.
            schema_editor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")
        else:
            # INSERT OR REPLACE deletes the old row without asking the DELETE trigger.
            schema_editor.execute(
                f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
                f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
                "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )


def reopen(apps, schema_editor):
    for table in TABLES:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"ALTER TABLE {table} ENABLE TRIGGER {table}_append_only")
        else:
            schema_editor.execute(f"DROP TRIGGER {table}_no_replace")


def open_sqlite(apps, schema_editor):
    """SQLite alters a column by copying the table, which takes its triggers away: make them again afterwards."""
    if schema_editor.connection.vendor != "postgresql":
        for table in ("ledger_entry", "ledger_checkpoint"):
            for act in ("update", "delete"):
                schema_editor.execute(f"DROP TRIGGER IF EXISTS {table}_no_{act}")


def shut_sqlite(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        for table in ("ledger_entry", "ledger_checkpoint"):
            for act in ("UPDATE", "DELETE"):
                schema_editor.execute(
                    f"CREATE TRIGGER {table}_no_{act.lower()} BEFORE {act} ON {table} "
                    "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
                )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_append_only")]

    operations = [
        migrations.RunPython(open_sqlite, shut_sqlite),
        migrations.AlterField("entry", "entry_hash", models.CharField(max_length=64, unique=True)),
        migrations.AlterField("checkpoint", "signed_at", models.DateTimeField(db_index=True)),
        migrations.RunPython(shut_sqlite, open_sqlite),
        migrations.RunPython(close, reopen),
    ]
