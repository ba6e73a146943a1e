"""Giving entries their places: one transaction per batch, from `pending` to a signed checkpoint."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import Model

from irefuda.ledger import keys, locks, queries
from irefuda.ledger.models import Checkpoint, Leaf, Node, Pending
from irefuda.ui.stopping import StopRequest
from irefuda_core import chain, merkle, note

BATCH = 5000
# Entries wait at most this long for the next batch (and a receipt promises 60 seconds).
INTERVAL_SECONDS = 0.15
PLACED = ("entry_id", "entry__kind", "entry__recorded_at", "entry__entry_hash")
log = logging.getLogger(__name__)


def run(*, clock: Callable[[], datetime], key: Ed25519PrivateKey, stop: StopRequest) -> None:
    """Empty `pending` again and again until `stop` is made; may be killed at any moment.

    Several may run at once: the database's lock lets one of them work, the others stand by.
    """
    while not stop.made:
        try:
            sign_first_checkpoint(key=key, now=clock())
            if sequence_batch(key=key, now=clock()) < BATCH:
                stop.wait(INTERVAL_SECONDS)
        except (OperationalError, InterfaceError):
            # The database is locked or away. Everything pending still is, so waiting and asking again loses nothing.
            log.exception("the ledger's database does not answer")
            connection.close()
            stop.wait(1)


def sequence_batch(*, key: Ed25519PrivateKey, now: datetime) -> int:
    """Place what is pending, sign the new head, and return how many entries were placed.

    Everything happens in one transaction: a sequencer that dies leaves either the whole batch or nothing of it.
    """
    # Asked outside the transaction: on SQLite opening one would take the only write lock from the deeds.
    if not Pending.objects.exists():
        return 0
    with transaction.atomic():
        return _place(key, now) if locks.is_only_sequencer() else 0


def sign_first_checkpoint(*, key: Ed25519PrivateKey, now: datetime) -> None:
    """Sign the head of the empty log, once, so that the public has something to hold the log to from the start."""
    if Checkpoint.objects.exists():
        return
    with transaction.atomic():
        if locks.is_only_sequencer() and not Checkpoint.objects.exists():
            _sign(note.Checkpoint(keys.log_name(), 0, merkle.EMPTY_ROOT), chain.START, key, now)


def _place(key: Ed25519PrivateKey, now: datetime) -> int:
    # What a batch reads is what it places. "Everything after the last id" would lose deeds that commit out of order.
    waiting = list(Pending.objects.order_by("entry__recorded_at", "entry_id").values_list(*PLACED)[:BATCH])
    if not waiting:
        return 0
    last = Leaf.objects.order_by("-seq").first()
    start, link = (last.seq + 1, bytes(last.link)) if last else (0, chain.START)
    as_stored = Leaf._meta.get_field("entry").get_db_prep_save
    leaves, leaf_hashes = [], []
    for seq, (entry_id, kind, recorded_at, entry_hash) in enumerate(waiting, start):
        content = bytes.fromhex(entry_hash)
        link = chain.next_link(link, entry_id=str(entry_id), kind=kind, recorded_at=recorded_at, entry_hash=content)
        leaves.append((seq, as_stored(entry_id, connection), link))
        leaf_hashes.append(merkle.leaf_hash(content))
    # All that completing subtrees and the new root ask of the tree so far; one query.
    known = queries.peaks(start)
    new = list(merkle.completed_nodes(start, leaf_hashes, lambda *place: known[place]))
    known |= {(level, index): content for level, index, content in new}
    size = start + len(waiting)
    root = merkle.root(size, lambda *place: known[place])
    _insert(Leaf, ("seq", "entry_id", "link"), leaves)
    _insert(Node, ("level", "index", "hash"), new)
    _sign(note.Checkpoint(keys.log_name(), size, root), link, key, now)
    removed, _ = Pending.objects.filter(entry__leaf__seq__gte=start).delete()
    if removed != len(waiting):
        raise RuntimeError("another sequencer touched this batch; it is rolled back")
    return len(waiting)


def _insert(table: type[Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows as they are: model instances for thousands of them would take three times as long."""
    quote = connection.ops.quote_name
    names, marks = ", ".join(map(quote, columns)), ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        statement = f"INSERT INTO {quote(table._meta.db_table)} ({names}) VALUES ({marks})"  # noqa: S608 -- our own names
        cursor.executemany(statement, rows)


def _sign(head: note.Checkpoint, link: bytes, key: Ed25519PrivateKey, now: datetime) -> None:
    sealed = dataclasses.replace(head, extensions=(chain.seal_line(link, now),))
    Checkpoint.objects.create(size=head.size, note=note.sign_checkpoint(sealed, key), signed_at=now)
