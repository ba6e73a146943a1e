"""The append-only log: entries, places, tree, signed heads. All but `Pending` are insert-only by trigger."""

from __future__ import annotations

from django.db import models


class Entry(models.Model):
    """A deed: the exact signed document, with the salt of its public hash."""

    # Random: a number that counts would tell how many applied.
    id = models.UUIDField(primary_key=True)
    kind = models.CharField(max_length=60)
    salt = models.BinaryField()
    document = models.BinaryField()
    entry_hash = models.CharField(max_length=64, unique=True)
    recorded_at = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.kind} {self.id}"


class Pending(models.Model):
    """An entry that has no place in the tree yet; the sequencer removes it when it has."""

    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, primary_key=True)

    def __str__(self) -> str:
        return str(self.entry_id)


class Leaf(models.Model):
    """The place of an entry: gap-free from 0."""

    seq = models.BigIntegerField(primary_key=True)
    entry = models.OneToOneField(Entry, on_delete=models.PROTECT)
    # irefuda_core.chain: fixes every column of the entry's row and every row before it.
    link = models.BinaryField(max_length=32)

    def __str__(self) -> str:
        return str(self.seq)


class Node(models.Model):
    """The hash of a completed subtree, over leaves [index * 2**level, (index + 1) * 2**level)."""

    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "index"], name="one_hash_per_node")]

    def __str__(self) -> str:
        return f"{self.level}/{self.index}"


class Checkpoint(models.Model):
    """A signed head of the tree."""

    size = models.BigIntegerField(primary_key=True)
    note = models.TextField()
    signed_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return f"{self.size} {self.signed_at:%Y-%m-%d %H:%M:%S}"
