"""Proofs of the ledger: what one costs in a long log, against the same in a short one. On both engines."""

from __future__ import annotations

import random
import statistics
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import many_entries
from django.core.management import call_command

from in_process import use_database
from irefuda.ledger import keys, queries
from irefuda.ledger.models import Leaf
from irefuda.ui import clock
from irefuda_core import merkle, note
from measuring import Row, interleaved, median, milliseconds, ratios, times
from serving import Databases

FEW, MANY = 1_000, 1_000_000
TARGET = 0.005


@dataclass(frozen=True, slots=True)
class Log:
    """A filled ledger: where it is, its entries in their order, and its head."""

    url: str
    ids: list[uuid.UUID]
    head: note.Checkpoint

    def prove_inclusion(self) -> float:
        """Return the seconds of one proof for an entry at random; it is verified after the clock was stopped."""
        seq = random.randrange(len(self.ids))
        started = time.perf_counter()
        proof = queries.proof(self.ids[seq])
        taken = time.perf_counter() - started
        if proof is None or proof["leaf_index"] != seq or not self._includes(seq, proof["hashes"]):
            raise RuntimeError(f"the proof for place {seq} is wrong")
        return taken

    def _includes(self, seq: int, hashes: list[str]) -> bool:
        content = bytes.fromhex(Leaf.objects.values_list("entry__entry_hash", flat=True).get(seq=seq))
        path = [bytes.fromhex(one) for one in hashes]
        leaf = merkle.leaf_hash(content)
        return merkle.verify_inclusion(index=seq, size=self.head.size, leaf=leaf, path=path, root=self.head.root)

    def prove_consistency(self) -> float:
        """Return the seconds of one proof that the log begins with an earlier one of a size at random; verified as well."""
        old = random.randrange(1, len(self.ids))
        started = time.perf_counter()
        hashes = queries.consistency(old=old, new=self.head.size, now=clock.now())
        taken = time.perf_counter() - started
        roots = {"old": old, "new": self.head.size, "old_root": queries.root(old), "new_root": self.head.root}
        if hashes is None or not merkle.verify_consistency(**roots, proof=[bytes.fromhex(one) for one in hashes]):
            raise RuntimeError(f"the proof from size {old} is wrong")
        return taken


def rows(databases: Databases, *, runs: int, quick: bool) -> Iterator[Row]:
    """Measure both kinds of proof on both engines."""
    many = 100_000 if quick else MANY
    for engine in ("PostgreSQL", "SQLite"):
        few_log, many_log = (_filled(databases, engine, count) for count in (FEW, many))
        calls = 100 if quick else 200
        yield _row(f"{engine}: an inclusion proof", Log.prove_inclusion, few_log, many_log, runs=runs, calls=calls)
        yield _row(f"{engine}: a consistency proof", Log.prove_consistency, few_log, many_log, runs=runs, calls=calls)
        use_database(databases.url)


def _filled(databases: Databases, engine: str, count: int) -> Log:
    url = databases.copy(f"bench_proofs_{count}")
    if engine == "SQLite":
        url = f"sqlite:///{databases.state}/proofs_{count}.sqlite3"
    use_database(url)
    if engine == "SQLite":
        call_command("migrate", verbosity=0)
    ids = many_entries.grow(count, key=keys.head_key(), now=clock.now())
    head = queries.latest_checkpoint()
    if head is None:
        raise RuntimeError("no head was signed")
    return Log(url, ids, note.read_checkpoint(note.text_of(head.note)))


def _row(kind: str, prove: Callable[[Log], float], few: Log, many: Log, *, runs: int, calls: int) -> Row:
    slowest: list[float] = []

    def asked(log: Log) -> float:
        use_database(log.url)
        taken = sorted(prove(log) for _ in range(calls))
        if log is many:
            slowest.append(taken[int(calls * 0.99)])
        return statistics.median(taken)

    measured = interleaved({"many": lambda: asked(many), "few": lambda: asked(few)}, runs=runs)
    return Row(
        f"{kind}, {len(many.ids):,} entries (p99 {median(slowest[-runs:]) * 1000:.2f} ms)",
        milliseconds(measured["many"]),
        f"with {len(few.ids):,}: {milliseconds(measured['few'])}",
        times(ratios(measured["many"], measured["few"])),
        "≤ 5 ms",
        median(measured["many"]) <= TARGET,
    )
