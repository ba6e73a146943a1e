"""Reading the ledger: heads, proofs, and promises that were not kept."""

from __future__ import annotations

import functools
import operator
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q

from irefuda.ledger.models import Checkpoint, Entry, Node, Pending
from irefuda.ui import rows
from irefuda_core import merkle, receipt

BUNDLE_FORMAT = "irefuda-receipt/1"
# What every print page asks, plain: Django takes three to five times as long to build such a query as to run it.
LATEST_CHECKPOINT = f"SELECT {rows.columns(Checkpoint)} FROM ledger_checkpoint ORDER BY size DESC LIMIT 1"  # noqa: S608 -- our own names
PLACE = "SELECT seq FROM ledger_leaf WHERE entry_id = %s"


def with_nodes(compute: Callable[[merkle.NodeReader], Any]) -> Any:
    """Return what `compute` makes of the stored subtree hashes; they are fetched with one query."""
    # Which nodes a proof reads does not depend on their content, so a first round only notes their places.
    places: set[tuple[int, int]] = set()

    def note_place(level: int, index: int) -> bytes:
        places.add((level, index))
        return b""

    compute(note_place)
    stored = _nodes(places)
    return compute(lambda level, index: stored[level, index])


def peaks(size: int) -> dict[tuple[int, int], bytes]:
    """Return the hashes of the largest subtrees that make up the tree of the first `size` leaves, by level and index."""
    return _nodes({(level, (size >> level) - 1) for level in range(size.bit_length()) if size >> level & 1})


def _nodes(places: set[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    wanted = functools.reduce(operator.or_, (Q(level=level, index=index) for level, index in places), Q())
    found = Node.objects.filter(wanted).values_list("level", "index", "hash") if places else []
    return {(level, index): bytes(content) for level, index, content in found}


def latest_checkpoint() -> Checkpoint | None:
    """Return the newest signed head, or None before the sequencer's first start."""
    return next(iter(rows.fetch(Checkpoint, LATEST_CHECKPOINT)), None)


def published_checkpoint(now: datetime) -> Checkpoint | None:
    """Return the head that the public may see at `now`.

    It changes at full hours only, so that nobody can read from it when, and how many, firms applied. In the practice
    realm it is the newest.
    """
    if settings.PRACTICE:
        return latest_checkpoint()
    hour = now.replace(minute=0, second=0, microsecond=0)
    return Checkpoint.objects.filter(signed_at__lt=hour).order_by("-size").first()


def proof(entry_id: uuid.UUID, now: datetime | None = None) -> dict[str, Any] | None:
    """Return the proof that an entry is in the log, or None until a published checkpoint includes it.

    Without `now` the newest checkpoint counts as published.
    """
    head = published_checkpoint(now) if now else latest_checkpoint()
    seq = _place(entry_id)
    if head is None or seq is None or seq >= head.size:
        return None
    path = with_nodes(lambda read: merkle.inclusion_proof(seq, head.size, read))
    return {
        "leaf_index": seq,
        "tree_size": head.size,
        "hashes": [item.hex() for item in path],
        "checkpoint": head.note,
    }


def _place(entry_id: uuid.UUID) -> int | None:
    with connection.cursor() as cursor:
        cursor.execute(PLACE, [Entry._meta.pk.get_db_prep_value(entry_id, connection)])
        row = cursor.fetchone()
    return row[0] if row else None


def proof_by_hash(entry_hash: str, now: datetime) -> dict[str, Any] | None:
    """Return the proof for the entry with this hash (hexadecimal), or None."""
    entry_id = Entry.objects.filter(entry_hash=entry_hash).values_list("id", flat=True).first()
    return proof(entry_id, now) if entry_id else None


def consistency(*, old: int, new: int, now: datetime) -> list[str] | None:
    """Return the proof that the log of size `new` begins with the log of size `old`, in hexadecimal.

    None unless 0 < old <= new <= size of the published log.
    """
    head = published_checkpoint(now)
    if head is None or not 0 < old <= new <= head.size:
        return None
    path = with_nodes(lambda read: merkle.consistency_proof(old, new, read))
    return [item.hex() for item in path]


def bundle(*, entry_id: uuid.UUID, receipt: str, now: datetime | None = None) -> dict[str, Any]:
    """Return the file that `irefuda-verify receipt` checks: document, salt, receipt, and the proof once there is one."""
    entry = Entry.objects.get(id=entry_id)
    return {
        "format": BUNDLE_FORMAT,
        "document": bytes(entry.document).decode(),
        "salt": bytes(entry.salt).hex(),
        "receipt": receipt,
        "proof": proof(entry_id, now),
    }


def broken_promises(now: datetime) -> list[uuid.UUID]:
    """Return the entries that have waited longer than the 60 seconds which their receipts promise."""
    late = Pending.objects.filter(entry__recorded_at__lt=now - receipt.PROMISE).order_by("entry__recorded_at")
    return list(late.values_list("entry_id", flat=True))


def entries(ids: Iterable[uuid.UUID]) -> dict[uuid.UUID, Entry]:
    """Return those of these entries that are there, by id."""
    return Entry.objects.in_bulk(list(ids))


def ids_of_kind(kind: str) -> Iterator[uuid.UUID]:
    """Yield the ids of every entry of this kind, in their order, without keeping them."""
    yield from Entry.objects.filter(kind=kind).order_by("id").values_list("id", flat=True).iterator(chunk_size=2000)
