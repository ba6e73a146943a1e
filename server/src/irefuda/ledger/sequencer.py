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

from irefuda.ledger import keys, locks, queries, witness
from irefuda.ledger.models import Checkpoint, Leaf, Node, Pending
from irefuda.ui.stopping import StopRequest
from irefuda_core import chain, merkle, note, succession

BATCH = 5000
# Entries wait at most this long for the next batch (and a receipt promises 60 seconds).
INTERVAL_SECONDS = 0.15
PLACED = ("entry_id", "entry__kind", "entry__recorded_at", "entry__entry_hash")
WAIT_FOR_PEOPLE_SECONDS = 5
log = logging.getLogger(__name__)
# id, kind, moment and hash of an entry, in this order.
Waiting = Sequence[tuple[Any, str, datetime, str]]


class KeyNotInForce(Exception):
    """The key is not the one that may sign after the newest head."""


def run(*, clock: Callable[[], datetime], key: Ed25519PrivateKey, stop: StopRequest) -> None:
    """Empty `pending` again and again until `stop` is made; may be killed at any moment.

    Several may run at once: the database's lock lets one of them work, the others stand by.

    :raises KeyNotInForce: when another key has taken this one's place
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
        except witness.EntriesLost as reason:
            # What to do is for people to decide (docs/operations); until then nothing is signed.
            log.error("%s", reason)
            stop.wait(WAIT_FOR_PEOPLE_SECONDS)


def sequence_batch(*, key: Ed25519PrivateKey, now: datetime) -> int:
    """Place what is pending, sign the new head, and return how many entries were placed.

    Everything happens in one transaction: a sequencer that dies leaves either the whole batch or nothing of it.
    """
    # Asked outside the transaction: on SQLite opening one would take the only write lock from the deeds.
    if not Pending.objects.exists():
        return 0
    signed = None
    with transaction.atomic():
        if not locks.is_only_sequencer():
            return 0
        # What a batch reads is what it places. "Everything after the last id" would lose deeds that commit out of order.
        waiting = list(Pending.objects.order_by("entry__recorded_at", "entry_id").values_list(*PLACED)[:BATCH])
        if waiting:
            latest = queries.latest_checkpoint()
            witness.refuse_loss(latest)
            signed = place(waiting, key=key, log=log_to_sign(key, latest), now=now)
    if signed is not None:
        witness.keep(signed)
    return len(waiting)


def sign_first_checkpoint(*, key: Ed25519PrivateKey, now: datetime) -> None:
    """Sign the head of the empty log, once, so that the public has something to hold the log to from the start."""
    if Checkpoint.objects.exists():
        return
    signed = None
    with transaction.atomic():
        if locks.is_only_sequencer() and not Checkpoint.objects.exists():
            witness.refuse_loss(None)
            signed = _sign(note.Checkpoint(keys.log_name(), 0, merkle.EMPTY_ROOT), chain.START, key, now)
    if signed is not None:
        witness.keep(signed)


def log_to_sign(key: Ed25519PrivateKey, latest: Checkpoint | None) -> str:
    """Return the name of the log whose next head this key may sign.

    :raises KeyNotInForce: when the newest head names, or was signed by, another key
    """
    if latest is None:
        return keys.log_name()
    name = note.read_checkpoint(note.text_of(latest.note)).origin
    if not succession.may_follow(latest.note, note.verifier_key(name, key.public_key())):
        raise KeyNotInForce(f"the head of {latest.size} entries leaves the next signature to another key")
    return name


def place(
    waiting: Waiting,
    *,
    key: Ed25519PrivateKey,
    log: str,
    now: datetime,
    lines: tuple[str, ...] = (),
    cosigner: str = "",
) -> str:
    """Give these entries their places, take them out of `pending`, and return the head (a note) signed over them.

    It belongs into a transaction that holds the sequencer's lock. `lines` go into the head; `cosigner` is the name of the
    log that this key signs for as well.
    """
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
    signed = _sign(note.Checkpoint(log, size, root), link, key, now, lines, cosigner)
    removed, _ = Pending.objects.filter(entry__leaf__seq__gte=start).delete()
    if removed != len(waiting):
        raise RuntimeError("another sequencer touched this batch; it is rolled back")
    return signed


def _insert(table: type[Model], columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Insert rows as they are: model instances for thousands of them would take three times as long."""
    quote = connection.ops.quote_name
    names, marks = ", ".join(map(quote, columns)), ", ".join(["%s"] * len(columns))
    with connection.cursor() as cursor:
        statement = f"INSERT INTO {quote(table._meta.db_table)} ({names}) VALUES ({marks})"  # noqa: S608 -- our own names
        cursor.executemany(statement, rows)


def _sign(
    head: note.Checkpoint,
    link: bytes,
    key: Ed25519PrivateKey,
    now: datetime,
    lines: tuple[str, ...] = (),
    cosigner: str = "",
) -> str:
    newest = Checkpoint.objects.order_by("-signed_at").values_list("signed_at", flat=True).first()
    # A clock that was set back must not make a later head look older: the public's hour is told by this moment.
    at = max(now, newest) if newest else now
    sealed = dataclasses.replace(head, extensions=(chain.seal_line(link, at), *lines))
    signed = note.sign_checkpoint(sealed, key)
    if cosigner:
        signed = note.cosign_note(signed, name=cosigner, key=key)
    Checkpoint.objects.create(size=head.size, note=signed, signed_at=at)
    return signed
