"""A ledger as long as asked: its first entries put in their places in bulk, the last batch by the sequencer itself."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection, transaction
from django.db.models import Model

from irefuda.ledger import operations, sequencer
from irefuda.ledger.models import Checkpoint, Entry, Leaf, Node
from irefuda_core import chain, merkle, receipt

KIND = "registration.registered"
# Short: no proof ever looks at a document.
DOCUMENT = b'{"type":"registration-application"}'
LAST_BATCH = 5_000
_CHUNK = 50_000


def grow(count: int, *, key: Ed25519PrivateKey, now: datetime) -> list[uuid.UUID]:
    """Return the ids of so many entries in the order of their places; the ledger must be empty before.

    The rows are those that the sequencer would have written: the same link and the same nodes by the same functions of the
    rulebook. Its own last batch must fit them, for it signs a root that it computes from what is there.
    """
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            # Ids and hashes are random: with its usual 2 MB it would write every page of their indexes again and again.
            cursor.execute("PRAGMA cache_size = -400000")
    in_bulk = count - min(LAST_BATCH, count // 2)
    ids: list[uuid.UUID] = []
    tree: dict[tuple[int, int], bytes] = {}
    link = chain.START
    for start in range(0, in_bulk, _CHUNK):
        entries, leaves, hashes = [], [], []
        for seq in range(start, min(start + _CHUNK, in_bulk)):
            entry_id, salt = uuid.uuid4(), os.urandom(16)
            content = receipt.entry_hash(salt=salt, document=DOCUMENT)
            link = chain.next_link(link, entry_id=str(entry_id), kind=KIND, recorded_at=now, entry_hash=content)
            entries.append((entry_id, KIND, salt, DOCUMENT, content.hex(), now))
            leaves.append((seq, entry_id, link))
            hashes.append(merkle.leaf_hash(content))
            ids.append(entry_id)
        new = list(merkle.completed_nodes(start, hashes, lambda *place: tree[place]))
        tree.update({(level, index): content for level, index, content in new})
        with transaction.atomic():
            _insert(Entry, operations.COLUMNS, entries)
            _insert(Leaf, ("seq", "entry_id", "link"), leaves)
            _insert(Node, ("level", "index", "hash"), new)
    with connection.cursor() as cursor:
        # As autovacuum would have done long ago.
        cursor.execute("ANALYZE")
    waiting = sorted(_append(count - in_bulk, now))
    placed = sequencer.sequence_batch(key=key, now=now)
    if placed != len(waiting) or Checkpoint.objects.latest("size").size != count:
        raise RuntimeError(f"{placed} of {len(waiting)} were placed")
    return ids + waiting


def _append(count: int, now: datetime) -> list[uuid.UUID]:
    with transaction.atomic():
        return [operations.append(document=DOCUMENT, kind=KIND, at=now, salt=os.urandom(16)).id for _ in range(count)]


def _insert(table: type[Model], columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    fields = {field.attname: field for field in table._meta.concrete_fields}
    prepare = [fields[column].get_db_prep_save for column in columns]
    names = ", ".join(f'"{fields[column].column}"' for column in columns)
    ready = ([make(value, connection) for make, value in zip(prepare, row, strict=True)] for row in rows)
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f'COPY "{table._meta.db_table}" ({names}) FROM STDIN') as copy:
                for row in ready:
                    copy.write_row(row)
        else:
            marks = ", ".join(["%s"] * len(columns))
            cursor.executemany(f'INSERT INTO "{table._meta.db_table}" ({names}) VALUES ({marks})', ready)
