"""Close the side doors of the triggers that keep revocation lists as evidence, as the ledger has them closed."""

from django.db import migrations

TABLE = "cards_revocationlistrecord"
SAME = "id = NEW.id OR (issuer_key = NEW.issuer_key AND number = NEW.number)"


def close(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        # Without ALWAYS a session in the role of a replica writes past the trigger.
        schema_editor.execute(f"ALTER TABLE {TABLE} ENABLE ALWAYS TRIGGER {TABLE}_insert_only")
    else:
        # INSERT OR REPLACE deletes the old row without asking the DELETE trigger.
        schema_editor.execute(
            f"CREATE TRIGGER {TABLE}_no_replace BEFORE INSERT ON {TABLE} "
            f"WHEN EXISTS (SELECT 1 FROM {TABLE} WHERE {SAME}) "
            "BEGIN SELECT RAISE(ABORT, 'revocation lists are kept as evidence'); END"
        )


def reopen(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE {TABLE} ENABLE TRIGGER {TABLE}_insert_only")
    else:
        schema_editor.execute(f"DROP TRIGGER {TABLE}_no_replace")


class Migration(migrations.Migration):
    dependencies = [("cards", "0002_evidence")]

    operations = [migrations.RunPython(close, reopen)]
