"""The Merkle tree of the ledger (RFC 9162, section 2.1, SHA-256).

Nothing here keeps a tree: what is stored are the hashes of completed subtrees. `node(level, index)` is the hash over the
2**level leaves that start at index * 2**level; level 0 are the leaf hashes. Every function reads O(log n) of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

NodeReader = Callable[[int, int], bytes]
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(content: bytes) -> bytes:
    """Return the hash of one leaf (RFC 9162, 2.1.1); the prefix keeps a leaf from passing as a node."""
    return hashlib.sha256(b"\x00" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two neighbouring subtrees (RFC 9162, 2.1.1)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def completed_nodes(size: int, leaf_hashes: Sequence[bytes], read_node: NodeReader) -> Iterator[tuple[int, int, bytes]]:
    """Yield (level, index, hash) of every subtree, leaves included, that these leaves complete in a tree of `size`."""
    # Only the last subtree of each level can be a left neighbour of what comes, so one hash per level is enough.
    last: dict[int, tuple[int, bytes]] = {}
    for index, content in enumerate(leaf_hashes, start=size):
        level, position, current = 0, index, content
        yield level, position, current
        while position & 1:
            known = last.get(level)
            left = known[1] if known and known[0] == position - 1 else read_node(level, position - 1)
            level, position, current = level + 1, position >> 1, node_hash(left, current)
            yield level, position, current
        last[level] = position, current


def root(size: int, read_node: NodeReader) -> bytes:
    """Return the root of the tree of the first `size` leaves."""
    return _range_hash(0, size, read_node) if size else EMPTY_ROOT


def _range_hash(start: int, size: int, read_node: NodeReader) -> bytes:
    """Return the hash over leaves start … start+size-1, where a subtree begins at `start`."""
    level = size.bit_length() - 1
    left_size = 1 << level
    left = read_node(level, start >> level)
    if size == left_size:
        return left
    return node_hash(left, _range_hash(start + left_size, size - left_size, read_node))


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(index: int, size: int, read_node: NodeReader) -> list[bytes]:
    """Return the audit path of leaf `index` in the tree of `size` leaves (RFC 9162, 2.1.3.1).

    :raises ValueError: when there is no such leaf
    """
    if not 0 <= index < size:
        raise ValueError("no such leaf in a tree of this size")
    path: list[bytes] = []
    start = 0
    while size > 1:
        left_size = _split(size)
        if index - start < left_size:
            path.append(_range_hash(start + left_size, size - left_size, read_node))
            size = left_size
        else:
            path.append(_range_hash(start, left_size, read_node))
            start, size = start + left_size, size - left_size
    return path[::-1]


def consistency_proof(old: int, new: int, read_node: NodeReader) -> list[bytes]:
    """Return the proof that the tree of `new` leaves begins with the tree of `old` leaves (RFC 9162, 2.1.4.1).

    :raises ValueError: unless 0 < old <= new
    """
    if not 0 < old <= new:
        raise ValueError("consistency is proved for 0 < old <= new")
    proof: list[bytes] = []
    start, size, whole = 0, new, True
    while old - start != size:
        left_size = _split(size)
        if old - start <= left_size:
            proof.append(_range_hash(start + left_size, size - left_size, read_node))
            size = left_size
        else:
            proof.append(_range_hash(start, left_size, read_node))
            start, size, whole = start + left_size, size - left_size, False
    # The old root itself is what the reader has; any other last subtree must be told.
    return proof[::-1] if whole else [_range_hash(start, size, read_node), *proof[::-1]]


def verify_inclusion(*, index: int, size: int, leaf: bytes, path: Sequence[bytes], root: bytes) -> bool:
    """Return whether `path` proves that leaf hash `leaf` is number `index` under `root` (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    position, last, current = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            current = node_hash(sibling, current)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            current = node_hash(current, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and current == root


def verify_consistency(*, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether `proof` shows that the new tree only appended to the old one (RFC 9162, 2.1.4.2)."""
    if not 0 < old <= new:
        return False
    if old == new:
        return not proof and old_root == new_root
    path = [old_root, *proof] if old & (old - 1) == 0 else list(proof)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    from_old = from_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            from_old, from_new = node_hash(sibling, from_old), node_hash(sibling, from_new)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            from_new = node_hash(from_new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and from_old == old_root and from_new == new_root
