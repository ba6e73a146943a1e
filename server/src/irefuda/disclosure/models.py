"""What the portal announces."""

from __future__ import annotations

from django.db import models


class NewsKind(models.TextChoices):
    UPDATE = "update", "更新情報"
    OFFICE = "office", "契約課からのお知らせ"


class PortalNews(models.Model):
    """One dated line of the portal; `link` is a path of this site or an address of another."""

    kind = models.CharField(max_length=10, choices=NewsKind.choices)
    published_on = models.DateField()
    sentence = models.CharField(max_length=200)
    link = models.CharField(max_length=200, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["kind", "published_on", "sentence"], name="one_news_line"),
            models.CheckConstraint(condition=models.Q(kind__in=NewsKind.values), name="news_kind_known"),
        ]

    @property
    def leads_outside(self) -> bool:
        """Whether the link leaves this system and is marked （外部リンク）."""
        return bool(self.link) and not self.link.startswith("/")
