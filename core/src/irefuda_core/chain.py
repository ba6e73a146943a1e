"""The chain over the ledger's rows: what the Merkle tree does not hash (ids, kinds, moments) cannot be changed unseen.

The tree's leaves are the salted hashes of documents, and nothing else is public. The chain covers the rest of each row;
every signed head carries a seal over it, which tells the public nothing (the ids in it are random).
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime

from irefuda_core.canonical import canonical_json

START = bytes(32)
_LABEL = "rows "


def next_link(previous: bytes, *, entry_id: str, kind: str, recorded_at: datetime, entry_hash: bytes) -> bytes:
    """Return the link of one row, which fixes it and every row before it."""
    row = canonical_json(
        {"entry_hash": entry_hash.hex(), "id": entry_id, "kind": kind, "recorded_at": _moment(recorded_at)}
    )
    return hashlib.sha256(previous + row).digest()


def seal_line(link: bytes, signed_at: datetime) -> str:
    """Return the extension line of a checkpoint that fixes its last row's link and the moment of its signature."""
    seal = hashlib.sha256(link + _moment(signed_at).encode()).digest()
    return _LABEL + base64.b64encode(seal).decode()


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
