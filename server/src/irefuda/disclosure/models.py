"""What the portal announces. Nothing is deleted: what was wrong is withdrawn, with a reason."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.db import models

from irefuda.agencies.models import Category
from irefuda.ui.clock import JST
from irefuda_core import prose

if TYPE_CHECKING:
    from irefuda.agencies.models import Agency

# The kinds of an announcement's two ledger entries.
PUBLISHED, WITHDRAWN = "announcement.published", "announcement.withdrawn"


class Announcement(models.Model):
    """One of 「契約課からのお知らせ」, in the words that its ledger entry has too. All its moments are real time."""

    id = models.UUIDField(primary_key=True)
    # A hundred characters as people count them, so variation selectors make it longer.
    title = models.TextField()
    body = models.TextField()
    # For which 調達機関 and which 区分 it is; null and "" = all of them.
    agency: models.ForeignKey[Agency | None, Agency | None] = models.ForeignKey(
        "agencies.Agency", on_delete=models.PROTECT, null=True
    )
    category = models.CharField(max_length=1, blank=True)
    published_at = models.DateTimeField()
    expires_at = models.DateTimeField(null=True)
    created_by = models.TextField()
    # null for a line of the portal's news from before there were announcements.
    ledger_entry = models.UUIDField(null=True)
    withdrawn_at = models.DateTimeField(null=True)
    withdrawn_by = models.TextField(blank=True)
    withdrawn_reason = models.TextField(blank=True)
    withdrawal_entry = models.UUIDField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(category__in=["", "0", "1"]), name="announcement_category_known"),
            models.CheckConstraint(
                condition=models.Q(expires_at__isnull=True) | models.Q(expires_at__gt=models.F("published_at")),
                name="announcement_expires_later",
            ),
            models.CheckConstraint(
                condition=models.Q(withdrawn_at__isnull=True) | ~models.Q(withdrawn_reason=""),
                name="announcement_withdrawn_why",
            ),
        ]
        indexes = [models.Index(fields=["-published_at", "-id"], name="announcement_latest")]

    def __str__(self) -> str:
        return f"{self.published_at:%Y-%m-%d} {self.title}"

    @property
    def updated_at(self) -> datetime:
        """Return when it last became something else: published, or withdrawn."""
        return self.withdrawn_at or self.published_at

    @property
    def blocks(self) -> list[prose.Block]:
        """Return the body as paragraphs and lists, with what leaves this system marked."""
        return prose.blocks(self.body, own=(settings.SUPPLIER_ORIGIN, settings.PUBLIC_ORIGIN))

    def document(self, kind: str, *, at: datetime) -> dict[str, str | int]:
        """Return what its ledger entry of this kind, made at this moment, says of it."""
        deed = self._withdrawal() if kind == WITHDRAWN else self._publication()
        return {
            "type": "announcement-withdrawal" if kind == WITHDRAWN else "announcement",
            "realm": settings.REALM,
            "origin": settings.SUPPLIER_ORIGIN,
            "announcement_id": str(self.id),
            "issued_at": _moment(at),
            **deed,
        }

    def _publication(self) -> dict[str, str]:
        return {
            "agency_code": self.agency.code if self.agency else "",
            "category": Category(self.category).label if self.category else "",
            "title": self.title,
            "body": self.body,
            "published_at": _moment(self.published_at),
            "expires_at": _moment(self.expires_at) if self.expires_at else "",
            "created_by": self.created_by,
        }

    def _withdrawal(self) -> dict[str, str]:
        return {"reason": self.withdrawn_reason, "withdrawn_by": self.withdrawn_by}


def _moment(moment: datetime) -> str:
    return moment.astimezone(JST).isoformat(timespec="seconds")
