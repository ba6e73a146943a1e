"""One place for what the portal says: the lines of its news become announcements, and their table goes."""

import uuid
from datetime import datetime, time
from zoneinfo import ZoneInfo

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


def take_over(apps, schema_editor):
    announcement = apps.get_model("disclosure", "Announcement")
    for line in apps.get_model("disclosure", "PortalNews").objects.order_by("id"):
        link = f"{settings.SUPPLIER_ORIGIN}{line.link}" if line.link.startswith("/") else line.link
        announcement.objects.create(
            id=uuid.uuid4(),
            title=line.sentence,
            body=f"{line.sentence}\n\n{link}".strip(),
            published_at=datetime.combine(line.published_on, time.min, ZoneInfo("Asia/Tokyo")),
            created_by="契約課",
        )


class Migration(migrations.Migration):

    dependencies = [
        ('agencies', '0003_stamp'),
        ('disclosure', '0001_portal_news'),
    ]

    operations = [
        migrations.CreateModel(
            name='Announcement',
            fields=[
                ('id', models.UUIDField(primary_key=True, serialize=False)),
                ('title', models.TextField()),
                ('body', models.TextField()),
                ('category', models.CharField(blank=True, max_length=1)),
                ('published_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField(null=True)),
                ('created_by', models.TextField()),
                ('ledger_entry', models.UUIDField(null=True)),
                ('withdrawn_at', models.DateTimeField(null=True)),
                ('withdrawn_by', models.TextField(blank=True)),
                ('withdrawn_reason', models.TextField(blank=True)),
                ('withdrawal_entry', models.UUIDField(null=True)),
                ('agency', models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, to='agencies.agency')),
            ],
            options={
                'indexes': [models.Index(fields=['-published_at', '-id'], name='announcement_latest')],
                'constraints': [models.CheckConstraint(condition=models.Q(('category__in', ['', '0', '1'])), name='announcement_category_known'), models.CheckConstraint(condition=models.Q(('expires_at__isnull', True), ('expires_at__gt', models.F('published_at')), _connector='OR'), name='announcement_expires_later'), models.CheckConstraint(condition=models.Q(('withdrawn_at__isnull', True), models.Q(('withdrawn_reason', ''), _negated=True), _connector='OR'), name='announcement_withdrawn_why')],
            },
        ),
        migrations.RunPython(take_over, migrations.RunPython.noop),
        migrations.DeleteModel(
            name='PortalNews',
        ),
    ]
