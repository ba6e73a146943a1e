"""Let every change of an agency, a section or a closure stamp the installation anew."""

import uuid

from django.db import migrations, models

TABLES = ("agencies_agency", "agencies_section", "agencies_specialclosure")
SQLITE = """
CREATE TRIGGER {table}_stamps_{act} AFTER {act} ON {table}
BEGIN UPDATE agencies_installation SET stamp = lower(hex(randomblob(16))); END
"""
FUNCTION = """
CREATE FUNCTION agencies_stamp() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN UPDATE agencies_installation SET stamp = gen_random_uuid(); RETURN NULL; END $$
"""
POSTGRESQL = """
CREATE TRIGGER {table}_stamps AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
FOR EACH STATEMENT EXECUTE FUNCTION agencies_stamp()
"""


def create(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(FUNCTION)
        for table in TABLES:
            schema_editor.execute(POSTGRESQL.format(table=table))
    else:
        for table in TABLES:
            for act in ("INSERT", "UPDATE", "DELETE"):
                schema_editor.execute(SQLITE.format(table=table, act=act))


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION agencies_stamp() CASCADE")
    else:
        for table in TABLES:
            for act in ("INSERT", "UPDATE", "DELETE"):
                schema_editor.execute(f"DROP TRIGGER {table}_stamps_{act}")


class Migration(migrations.Migration):
    dependencies = [("agencies", "0002_realm")]

    operations = [
        migrations.AddField("installation", "stamp", models.UUIDField(default=uuid.uuid4)),
        migrations.RunPython(create, drop),
    ]
