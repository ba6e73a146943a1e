from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("registration", "0004_rejected")]

    operations = [
        migrations.AddIndex(
            model_name="registeredcard",
            index=models.Index(fields=["section", "issuer_key", "serial"], name="registeredcard_by_certificate"),
        ),
    ]
