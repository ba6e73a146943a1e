"""The people behind the counter (職員): their cards, their roles, and what each of them did."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from irefuda.agencies.models import Agency


class Role(models.TextChoices):
    """What a member of staff may do. A page opens to the roles that its row in the table of pages names."""

    CONTRACTS = "contracts", "契約課"
    OPENING_OFFICER = "opening_officer", "開札執行者"
    WITNESS = "witness", "立会者"
    ADMINISTRATOR = "administrator", "管理者"
    HELPDESK = "helpdesk", "ヘルプデスク"
    AUDITOR = "auditor", "監査"


class StaffRoster(models.Model):
    """The one row that every change of members or roles writes first, so that two at once follow each other."""

    revision = models.BigIntegerField(default=0)

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_staff_roster")]

    def __str__(self) -> str:
        return str(self.revision)


class StaffMember(models.Model):
    """One person. Never deleted: what they did keeps their name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    name = models.CharField(max_length=60)
    # 所属, as people write it: 「契約課 工事契約係」.
    section = models.CharField(max_length=60, blank=True)
    # Whose staff this is; null = of the whole installation.
    agency: models.ForeignKey[Agency | None, Agency | None] = models.ForeignKey(
        "agencies.Agency", on_delete=models.PROTECT, null=True, related_name="+"
    )
    added_at = models.DateTimeField()
    # None for the first administrator, whom a command added.
    added_by = models.ForeignKey("self", on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)
    end_reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name


class StaffCard(models.Model):
    """A card (職責証明書) of a member; several over time."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    member = models.ForeignKey(StaffMember, on_delete=models.PROTECT, related_name="cards")
    issuer_key = models.CharField(max_length=64)
    serial = models.CharField(max_length=50)
    fingerprint = models.CharField(max_length=64)
    certificate = models.BinaryField()
    holder_name = models.TextField(blank=True)
    expires_at = models.DateTimeField()
    added_at = models.DateTimeField()
    added_by = models.ForeignKey(StaffMember, on_delete=models.PROTECT, null=True, related_name="+")
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["issuer_key", "serial"],
                condition=models.Q(ended_at__isnull=True),
                name="one_member_per_card",
            ),
        ]
        indexes = [models.Index(fields=["fingerprint"], name="staffcard_by_fingerprint")]

    def __str__(self) -> str:
        return self.serial


class StaffRole(models.Model):
    """A role that was given to a member; a row is ended, never changed."""

    member = models.ForeignKey(StaffMember, on_delete=models.PROTECT, related_name="roles")
    role = models.CharField(max_length=20, choices=Role.choices)
    granted_at = models.DateTimeField()
    granted_by = models.ForeignKey(StaffMember, on_delete=models.PROTECT, null=True, related_name="+")
    # The last day on which it counts; null = until it is taken away.
    ends_on = models.DateField(null=True)
    revoked_at = models.DateTimeField(null=True)
    revoked_by = models.ForeignKey(StaffMember, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["member", "role"], condition=models.Q(revoked_at__isnull=True), name="one_living_role"
            ),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="staff_role_known"),
        ]

    def __str__(self) -> str:
        return Role(self.role).label


class Enrolment(models.Model):
    """A card that was presented and proven, waiting for an administrator to enter the code that its holder was shown."""

    # Ten digits, known to the holder only; the row is gone once it was used.
    code = models.CharField(max_length=10, unique=True)
    fingerprint = models.CharField(max_length=64, unique=True)
    certificate = models.BinaryField()
    presented_at = models.DateTimeField()
    expires_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.fingerprint[:8]} until {self.expires_at:%H:%M}"


class StaffAct(models.Model):
    """What a member of staff changed, and why: the readable half of a ledger entry."""

    # Of the page that asked for it: the same page sent twice is one act.
    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=60)
    # None for what a command did.
    member = models.ForeignKey(StaffMember, on_delete=models.PROTECT, null=True, related_name="+")
    # What was changed, e.g. "member:<id>" or "agency:9991".
    subject = models.CharField(max_length=80, db_index=True)
    # Rows of [項目, 前, 後].
    changes = models.JSONField()
    reason = models.CharField(max_length=200)
    acted_at = models.DateTimeField()
    ledger_entry = models.UUIDField()

    def __str__(self) -> str:
        return f"{self.kind} {self.subject}"
