"""Reading the ledger: heads, proofs, and promises that were not kept."""

from __future__ import annotations

import functools
import operator
import uuid
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q

from irefuda.ledger import keys
from irefuda.ledger.models import Checkpoint, Entry, Leaf, Node, Pending
from irefuda.ui import rows
from irefuda_core import merkle, receipt

BUNDLE_FORMAT = "irefuda-receipt/1"
# What every print page asks, plain: Django takes three to five times as long to build such a query as to run it.
LATEST_CHECKPOINT = f"SELECT {rows.columns(Checkpoint)} FROM ledger_checkpoint ORDER BY size DESC LIMIT 1"  # noqa: S608 -- our own names
# With the head, because whoever asks for a place asks for the head that includes it.
HEAD_AND_PLACE = """SELECT head.size, head.note, leaf.seq
FROM ledger_checkpoint head LEFT JOIN ledger_leaf leaf ON leaf.entry_id = %s"""


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
    before = _published_before(now)
    if before is None:
        return latest_checkpoint()
    return Checkpoint.objects.filter(signed_at__lt=before).order_by("-size").first()


def _published_before(now: datetime) -> datetime | None:
    """Return before when a head must have been signed so that the public may see it at `now`; None: whenever it was."""
    return None if settings.PRACTICE else now.replace(minute=0, second=0, microsecond=0)


def proof(entry_id: uuid.UUID, now: datetime | None = None) -> dict[str, Any] | None:
    """Return the proof that an entry is in the log, or None until a published checkpoint includes it.

    Without `now` the newest checkpoint counts as published.
    """
    size, note, seq = _head_and_place(entry_id, _published_before(now) if now else None)
    if seq is None or seq >= size:
        return None
    path = with_nodes(lambda read: merkle.inclusion_proof(seq, size, read))
    return {
        "leaf_index": seq,
        "tree_size": size,
        "hashes": [item.hex() for item in path],
        "checkpoint": note,
    }


def _head_and_place(entry_id: uuid.UUID, before: datetime | None) -> tuple[int, str, int | None]:
    """Return size and note of the newest head that was signed before that moment, and the entry's place if it has one."""
    values: list[Any] = [Entry._meta.pk.get_db_prep_value(entry_id, connection)]
    condition = ""
    if before is not None:
        condition = " WHERE head.signed_at < %s"
        values.append(connection.ops.adapt_datetimefield_value(before))
    with connection.cursor() as cursor:
        cursor.execute(f"{HEAD_AND_PLACE}{condition} ORDER BY head.size DESC LIMIT 1", values)
        row = cursor.fetchone()
    return row or (0, "", None)


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
        # Whoever kept the keys of an earlier time comes by these from one to the next.
        "handovers": keys.handovers(),
    }


def root(size: int) -> bytes:
    """Return the root over the first `size` places, which are there."""
    content: bytes = with_nodes(lambda read: merkle.root(size, read))
    return content


def places() -> int:
    """Return how many places there are."""
    last = Leaf.objects.order_by("-seq").values_list("seq", flat=True).first()
    return 0 if last is None else last + 1


def handover_naming(line: str) -> Checkpoint | None:
    """Return the head that carries this line, or None; it reads every head, so it is for commands only."""
    found = Checkpoint.objects.filter(note__contains=f"\n{line}\n").order_by("size").first()
    return found if found and f"\n{line}\n" in found.note else None


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


def ids_beginning_with(prefix: str) -> Iterator[uuid.UUID]:
    """Yield the ids of every entry whose kind begins so, without keeping them."""
    yield from Entry.objects.filter(kind__startswith=prefix).values_list("id", flat=True).iterator(chunk_size=2000)


# -- for the auditors, who see the log as it is at this moment, not as it was published


def entry(entry_id: uuid.UUID) -> Entry | None:
    """Return one entry, or None."""
    return Entry.objects.filter(id=entry_id).first()


def entry_of_hash(entry_hash: str) -> Entry | None:
    """Return the entry with this hash (hexadecimal), or None."""
    return Entry.objects.filter(entry_hash=entry_hash).first()


def place(entry_id: uuid.UUID) -> int | None:
    """Return the entry's place, or None while it waits for one."""
    return Leaf.objects.filter(entry_id=entry_id).values_list("seq", flat=True).first()


def including_checkpoint(seq: int) -> Checkpoint | None:
    """Return the first signed head that includes this place."""
    return Checkpoint.objects.filter(size__gt=seq).order_by("size").first()


def checkpoint(size: int) -> Checkpoint | None:
    """Return the signed head of this size, or None."""
    return Checkpoint.objects.filter(size=size).first()


def checkpoints(*, limit: int) -> list[Checkpoint]:
    """Return the newest signed heads, the newest first."""
    return list(Checkpoint.objects.order_by("-size")[:limit])


def consistency_of_heads(*, old: int, new: int) -> list[bytes]:
    """Return the proof that the log of size `new` begins with the log of size `old`.

    :raises ValueError: unless 0 < old <= new
    """
    path: list[bytes] = with_nodes(lambda read: merkle.consistency_proof(old, new, read))
    return path


def span(
    *, since: datetime | None, until: datetime | None, wait: timedelta = receipt.PROMISE
) -> tuple[Checkpoint | None, Checkpoint | None]:
    """Return the last head signed before `since`, and the first one signed `wait` after `until` (or else the newest).

    Entries of the period have their places between the two: nothing is placed before it is recorded, nor later than
    `wait` afterwards.
    """
    before = Checkpoint.objects.filter(signed_at__lt=since).order_by("-size").first() if since else None
    after = Checkpoint.objects.filter(signed_at__gte=until + wait).order_by("size").first() if until else None
    return before, after or latest_checkpoint()


def placed(
    *, kind: str = "", since: datetime | None, until: datetime | None, below: int | None = None, limit: int
) -> Iterator[tuple[int, Entry]]:
    """Yield entries of a period with their places, the newest first, below a place; few are kept at a time."""
    # A sequencer that stood still for days must hide nothing from an auditor.
    before, after = span(since=since, until=until, wait=timedelta(days=14))
    leaves = Leaf.objects.select_related("entry").order_by("-seq")
    if before is not None:
        leaves = leaves.filter(seq__gte=before.size)
    if after is not None:
        leaves = leaves.filter(seq__lt=after.size)
    if below is not None:
        leaves = leaves.filter(seq__lt=below)
    if since is not None:
        leaves = leaves.filter(entry__recorded_at__gte=since)
    if until is not None:
        leaves = leaves.filter(entry__recorded_at__lt=until)
    if kind:
        leaves = leaves.filter(entry__kind__startswith=kind)
    for leaf in leaves[:limit].iterator(chunk_size=100):
        yield leaf.seq, leaf.entry


def waiting() -> list[Entry]:
    """Return the entries that have no place yet, the oldest first."""
    return [row.entry for row in Pending.objects.select_related("entry").order_by("entry__recorded_at")[:100]]


def leaves_between(start: int, end: int) -> Iterator[tuple[int, Entry]]:
    """Yield place and entry from `start` up to, not including, `end`, without keeping them."""
    leaves = Leaf.objects.select_related("entry").filter(seq__gte=start, seq__lt=end).order_by("seq")
    for leaf in leaves.iterator(chunk_size=500):
        yield leaf.seq, leaf.entry
