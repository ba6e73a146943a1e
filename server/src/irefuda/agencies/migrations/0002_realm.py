"""Write into the database which realm it belongs to."""

from django.conf import settings
from django.db import migrations


def write_realm(apps, schema_editor):
    apps.get_model("agencies", "Installation").objects.create(id=1, realm=settings.REALM)


class Migration(migrations.Migration):
    dependencies = [("agencies", "0001_initial")]

    operations = [migrations.RunPython(write_realm, migrations.RunPython.noop)]
