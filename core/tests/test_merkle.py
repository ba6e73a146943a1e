"""The tree against the vectors of certificate-transparency, the example of RFC 9162 2.1.5, and a plain recursion."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from irefuda_core import merkle

VECTORS = json.loads((Path(__file__).parent.parent / "vectors" / "certificate-transparency.json").read_text())
SIZES = st.integers(1, 80)


class Stored:
    """The completed subtrees of a log, as the database keeps them."""

    def __init__(self) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.size = 0

    def read(self, level: int, index: int) -> bytes:
        return self.nodes[level, index]

    def append(self, leaf_hashes: list[bytes]) -> None:
        for level, index, content in merkle.completed_nodes(self.size, leaf_hashes, self.read):
            assert (level, index) not in self.nodes
            self.nodes[level, index] = content
        self.size += len(leaf_hashes)


def plain_root(hashes: list[bytes]) -> bytes:
    """RFC 9162, 2.1.1, word for word."""
    if not hashes:
        return merkle.EMPTY_ROOT
    if len(hashes) == 1:
        return hashes[0]
    k = 1
    while k * 2 < len(hashes):
        k *= 2
    return merkle.node_hash(plain_root(hashes[:k]), plain_root(hashes[k:]))


def stored(leaf_hashes: list[bytes]) -> Stored:
    log = Stored()
    log.append(leaf_hashes)
    return log


def numbered(count: int) -> list[bytes]:
    return [merkle.leaf_hash(str(number).encode()) for number in range(count)]


@pytest.fixture(scope="module")
def log() -> Stored:
    return stored([merkle.leaf_hash(bytes.fromhex(leaf)) for leaf in VECTORS["leaves"]])


def test_roots_of_the_vectors(log):
    assert merkle.root(0, log.read).hex() == VECTORS["empty_root"]
    assert [merkle.root(size, log.read).hex() for size in range(1, 9)] == VECTORS["roots"]


@pytest.mark.parametrize("case", VECTORS["inclusion"], ids=lambda case: f"{case['index']}-in-{case['size']}")
def test_inclusion_of_the_vectors(log, case):
    path = merkle.inclusion_proof(case["index"], case["size"], log.read)
    assert [item.hex() for item in path] == case["path"]
    root = bytes.fromhex(VECTORS["roots"][case["size"] - 1])
    leaf = merkle.leaf_hash(bytes.fromhex(VECTORS["leaves"][case["index"]]))
    assert merkle.verify_inclusion(index=case["index"], size=case["size"], leaf=leaf, path=path, root=root)


@pytest.mark.parametrize("case", VECTORS["consistency"], ids=lambda case: f"{case['old']}-to-{case['new']}")
def test_consistency_of_the_vectors(log, case):
    proof = merkle.consistency_proof(case["old"], case["new"], log.read)
    assert [item.hex() for item in proof] == case["proof"]
    old_root, new_root = (bytes.fromhex(VECTORS["roots"][case[name] - 1]) for name in ("old", "new"))
    assert merkle.verify_consistency(
        old=case["old"], new=case["new"], old_root=old_root, new_root=new_root, proof=proof
    )


def test_the_example_of_the_rfc():
    """RFC 9162, 2.1.5: the tree of seven leaves, its nodes named a–l, and the proofs that it lists."""
    d = numbered(7)
    log = stored(d)
    a, b, c, e, f, j = d[0], d[1], d[2], d[4], d[5], d[6]
    g, h, i = merkle.node_hash(a, b), merkle.node_hash(c, d[3]), merkle.node_hash(e, f)
    k = merkle.node_hash(g, h)
    l_ = merkle.node_hash(i, j)
    assert merkle.root(7, log.read) == merkle.node_hash(k, l_)
    assert merkle.inclusion_proof(0, 7, log.read) == [b, h, l_]
    assert merkle.inclusion_proof(3, 7, log.read) == [c, g, l_]
    assert merkle.inclusion_proof(4, 7, log.read) == [f, j, k]
    assert merkle.inclusion_proof(6, 7, log.read) == [i, k]
    assert merkle.consistency_proof(3, 7, log.read) == [c, d[3], g, l_]
    assert merkle.consistency_proof(4, 7, log.read) == [l_]
    assert merkle.consistency_proof(6, 7, log.read) == [i, j, k]


@given(st.lists(st.binary(max_size=3), max_size=80), st.lists(st.integers(0, 80), max_size=5))
def test_batches_of_any_size_give_the_same_tree(contents, cuts):
    hashes = [merkle.leaf_hash(content) for content in contents]
    log = Stored()
    edges = [0, *sorted(min(cut, len(hashes)) for cut in cuts), len(hashes)]
    for start, end in itertools.pairwise(edges):
        log.append(hashes[start:end])
    assert log.nodes == stored(hashes).nodes
    assert merkle.root(len(hashes), log.read) == plain_root(hashes)


@given(st.data())
def test_every_leaf_is_proved_and_no_other_hash(data):
    size = data.draw(SIZES)
    index = data.draw(st.integers(0, size - 1))
    hashes = numbered(size)
    path = merkle.inclusion_proof(index, size, stored(hashes).read)
    root = plain_root(hashes)
    assert merkle.verify_inclusion(index=index, size=size, leaf=hashes[index], path=path, root=root)
    assert not merkle.verify_inclusion(index=index, size=size, leaf=merkle.leaf_hash(b"other"), path=path, root=root)
    assert not merkle.verify_inclusion(index=index, size=size, leaf=hashes[index], path=[*path, root], root=root)
    assert (
        not merkle.verify_inclusion(index=index, size=size, leaf=hashes[index], path=path[:-1], root=root) or not path
    )
    other = data.draw(st.integers(0, size))
    if other != index:
        assert not merkle.verify_inclusion(index=other, size=size, leaf=hashes[index], path=path, root=root)


@given(st.data())
def test_every_history_is_proved_and_no_other(data):
    new = data.draw(SIZES)
    old = data.draw(st.integers(1, new))
    hashes = numbered(new)
    log = stored(hashes)
    proof = merkle.consistency_proof(old, new, log.read)
    told = {"old": old, "new": new, "proof": proof}
    old_root, new_root = plain_root(hashes[:old]), plain_root(hashes)
    assert merkle.verify_consistency(**told, old_root=old_root, new_root=new_root)
    rewritten = [*hashes[: old - 1], merkle.leaf_hash(b"rewritten")]
    assert not merkle.verify_consistency(**told, old_root=plain_root(rewritten), new_root=new_root)
    assert not merkle.verify_consistency(**told, old_root=old_root, new_root=plain_root(rewritten))
    assert not merkle.verify_consistency(**told | {"proof": [*proof, new_root]}, old_root=old_root, new_root=new_root)
    for number in range(len(proof)):
        changed = [*proof[:number], merkle.leaf_hash(b"changed"), *proof[number + 1 :]]
        assert not merkle.verify_consistency(**told | {"proof": changed}, old_root=old_root, new_root=new_root)


def test_every_leaf_and_every_history_of_every_tree_up_to_seventy_leaves():
    hashes = numbered(70)
    log = stored(hashes)
    roots = [plain_root(hashes[:size]) for size in range(71)]
    for size in range(1, 71):
        assert merkle.root(size, log.read) == roots[size]
        for index in range(size):
            path = merkle.inclusion_proof(index, size, log.read)
            told = {"index": index, "size": size, "path": path}
            assert merkle.verify_inclusion(**told, leaf=hashes[index], root=roots[size])
            assert not merkle.verify_inclusion(**told, leaf=hashes[index], root=roots[size - 1])
            assert len(path) <= (size - 1).bit_length()
            proof = merkle.consistency_proof(index + 1, size, log.read)
            told = {"old": index + 1, "new": size, "proof": proof}
            assert merkle.verify_consistency(**told, old_root=roots[index + 1], new_root=roots[size])
            assert not merkle.verify_consistency(**told, old_root=roots[index], new_root=roots[size])


def test_nothing_outside_the_tree_is_proved():
    log = stored(numbered(5))
    for index in (-1, 5):
        with pytest.raises(ValueError, match="no such leaf"):
            merkle.inclusion_proof(index, 5, log.read)
    for old in (0, -1, 6):
        with pytest.raises(ValueError, match="consistency"):
            merkle.consistency_proof(old, 5, log.read)
        told = {"old": old, "new": 5, "old_root": b"", "new_root": b"", "proof": []}
        assert not merkle.verify_consistency(**told)
    assert not merkle.verify_consistency(old=3, new=5, old_root=b"", new_root=b"", proof=[])


def test_a_proof_reads_few_nodes():
    log = stored(numbered(5000))
    read: list[tuple[int, int]] = []

    def counted(level: int, index: int) -> bytes:
        read.append((level, index))
        return log.read(level, index)

    merkle.inclusion_proof(1234, 4999, counted)
    merkle.consistency_proof(1234, 4999, counted)
    assert len(read) < 60


class GrowingLog(RuleBasedStateMachine):
    """A log that grows by batches, and a witness that has kept every head it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.log, self.leaves, self.heads = Stored(), list[bytes](), dict[int, bytes]()

    @rule(batch=st.lists(st.binary(max_size=4), max_size=20))
    def append(self, batch: list[bytes]) -> None:
        hashes = [merkle.leaf_hash(content) for content in batch]
        self.leaves += hashes
        self.log.append(hashes)

    @invariant()
    def every_head_that_was_seen_is_a_beginning_of_this_one(self) -> None:
        size, root = self.log.size, merkle.root(self.log.size, self.log.read)
        for old, old_root in self.heads.items():
            proof = merkle.consistency_proof(old, size, self.log.read)
            assert merkle.verify_consistency(old=old, new=size, old_root=old_root, new_root=root, proof=proof)
        for index in {0, size // 2, size - 1} if size else ():
            path = merkle.inclusion_proof(index, size, self.log.read)
            assert merkle.verify_inclusion(index=index, size=size, leaf=self.leaves[index], path=path, root=root)
        if size:
            self.heads[size] = root


TestGrowingLog = GrowingLog.TestCase
TestGrowingLog.settings = settings(max_examples=30, stateful_step_count=15, deadline=None)
