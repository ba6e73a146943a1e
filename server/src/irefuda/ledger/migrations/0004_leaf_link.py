"""The chain over the rows."""

from django.db import migrations, models

SQLITE_TRIGGERS = {
    "ledger_leaf_no_update": "BEFORE UPDATE ON ledger_leaf",
    "ledger_leaf_no_delete": "BEFORE DELETE ON ledger_leaf",
    "ledger_leaf_no_replace": "BEFORE INSERT ON ledger_leaf "
    "WHEN EXISTS (SELECT 1 FROM ledger_leaf WHERE seq = NEW.seq OR entry_id = NEW.entry_id)",
}


def drop(apps, schema_editor):
    if schema_editor.connection.vendor != "postgresql":
        for name in SQLITE_TRIGGERS:
            schema_editor.execute(f"DROP TRIGGER {name}")


def make(apps, schema_editor):
    """SQLite adds a column by copying the table, which leaves its triggers behind."""
    if schema_editor.connection.vendor != "postgresql":
        for name, when in SQLITE_TRIGGERS.items():
            schema_editor.execute(
                f"CREATE TRIGGER {name} {when} BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
            )


class Migration(migrations.Migration):
    dependencies = [("ledger", "0003_guards")]

    operations = [
        migrations.RunPython(drop, make),
        migrations.AddField("leaf", "link", models.BinaryField(default=b"", max_length=32), preserve_default=False),
        migrations.RunPython(make, drop),
    ]
