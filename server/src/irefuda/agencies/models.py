"""調達機関: who runs the tenders, in what words and at what hours."""

from __future__ import annotations

import uuid

from django.db import models


class Realm(models.TextChoices):
    PRACTICE = "practice", "練習"
    PRODUCTION = "production", "本番"


class Installation(models.Model):
    """The one row that says which realm this database belongs to. Practice data never meets production."""

    realm = models.CharField(max_length=10, choices=Realm.choices)
    # The practice clock moves the rules' time only (hours, deadlines, document dates).
    clock_offset_seconds = models.IntegerField(default=0)
    # The database's triggers write it anew with every change of an agency, a section or a closure, so that a process
    # knows when to read them again. Random, not counted: a stamp that was rolled back never comes again for something else.
    stamp = models.UUIDField(default=uuid.uuid4)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(id=1), name="one_installation"),
            models.CheckConstraint(
                condition=models.Q(realm="practice") | models.Q(clock_offset_seconds=0), name="production_clock_is_real"
            ),
        ]


class Category(models.TextChoices):
    """調達区分; the value is the fifth digit of the 企業ID."""

    WORKS = "0", "工事、コンサル"
    GOODS = "1", "物品、役務"

    @property
    def slug(self) -> str:
        return "works" if self is Category.WORKS else "goods"


class Agency(models.Model):
    """調達機関."""

    code = models.CharField(max_length=4, unique=True)
    name = models.CharField(max_length=60)
    lookup_text = models.CharField(max_length=400, blank=True)
    lookup_needs_password = models.BooleanField(default=False)
    # 運用時間, Asia/Tokyo. Closed on holidays and 12/29–1/3 unless always_open (practice).
    always_open = models.BooleanField(default=False)
    opens_at = models.TimeField(default="08:30")
    closes_at = models.TimeField(default="20:00")
    helpdesk_name = models.CharField(max_length=60, default="電子入札ヘルプデスク")
    helpdesk_phone = models.CharField(max_length=20, blank=True)
    helpdesk_email = models.CharField(max_length=100, blank=True)
    helpdesk_url = models.CharField(max_length=200, blank=True)
    contracts_office = models.CharField(max_length=60, default="契約課")
    system_email = models.CharField(max_length=100)
    # The knobs of irefuda_core.registration.Policy, by name; what is absent has the default.
    policy = models.JSONField(default=dict)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(code__regex=r"^[0-9]{4}$"), name="agency_code_four_digits"),
        ]

    def __str__(self) -> str:
        return f"{self.code} {self.name}"


class Section(models.Model):
    """One 調達区分 of one 調達機関: what registers, cards and tenders belong to."""

    agency = models.ForeignKey(Agency, on_delete=models.PROTECT, related_name="sections")
    category = models.CharField(max_length=1, choices=Category.choices)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["agency", "category"], name="one_section_per_category"),
            models.CheckConstraint(condition=models.Q(category__in=["0", "1"]), name="section_category_known"),
        ]

    def __str__(self) -> str:
        return f"{self.agency.name} {Category(self.category).label}"


class SpecialClosure(models.Model):
    """A day on which the agency closes although the calendar would have it open."""

    agency = models.ForeignKey(Agency, on_delete=models.CASCADE, related_name="closures")
    closed_on = models.DateField()
    reason = models.CharField(max_length=100)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["agency", "closed_on"], name="one_closure_per_day")]
