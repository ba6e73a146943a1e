"""Write the one version row, and keep fetched revocation lists as evidence: no UPDATE, no DELETE, no TRUNCATE."""

import uuid

from django.db import migrations

TABLE = "cards_revocationlistrecord"


def write_version(apps, schema_editor):
    apps.get_model("cards", "TrustVersion").objects.create(
        id=1, authorities=uuid.uuid4(), revocation_lists=uuid.uuid4()
    )


def forbid(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE FUNCTION cards_keeps_evidence() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'revocation lists are kept as evidence'; END $$"
        )
        schema_editor.execute(
            f"CREATE TRIGGER {TABLE}_insert_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {TABLE} "
            "FOR EACH STATEMENT EXECUTE FUNCTION cards_keeps_evidence()"
        )
    else:
        for act in ("UPDATE", "DELETE"):
            schema_editor.execute(
                f"CREATE TRIGGER {TABLE}_no_{act.lower()} BEFORE {act} ON {TABLE} "
                "BEGIN SELECT RAISE(ABORT, 'revocation lists are kept as evidence'); END"
            )


def allow(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION cards_keeps_evidence() CASCADE")
    else:
        for act in ("update", "delete"):
            schema_editor.execute(f"DROP TRIGGER {TABLE}_no_{act}")


class Migration(migrations.Migration):
    dependencies = [("cards", "0001_initial")]

    operations = [
        migrations.RunPython(write_version, migrations.RunPython.noop),
        migrations.RunPython(forbid, allow),
    ]
