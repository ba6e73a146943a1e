"""Let PostgreSQL know how frequent ten thousand terms are: with its usual one thousand it takes most bigrams for equally rare."""

from django.db import migrations


def raise_target(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE suppliers_search ALTER COLUMN terms SET STATISTICS 1000")


class Migration(migrations.Migration):
    dependencies = [("suppliers", "0002_search")]
    operations = [migrations.RunPython(raise_target, migrations.RunPython.noop)]
