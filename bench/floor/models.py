"""Two tables of the benchmark's own: one to read by index, one to write into."""

from __future__ import annotations

from django.db import models


class Read(models.Model):
    """A row that the floor's SELECT finds by its unique number."""

    id = models.BigAutoField(primary_key=True)
    number = models.CharField(max_length=9, unique=True)
    name = models.CharField(max_length=100)

    class Meta:
        app_label = "floor"

    def __str__(self) -> str:
        return self.number


class Written(models.Model):
    """A row that the floor's INSERT leaves behind."""

    id = models.BigAutoField(primary_key=True)
    number = models.CharField(max_length=9, db_index=True)
    content = models.TextField()
    written_at = models.DateTimeField()

    class Meta:
        app_label = "floor"

    def __str__(self) -> str:
        return self.number
