"""What the ledger costs a deed, and how fast entries get their places.

The deed is 登録 itself: its own transaction, by sixteen writers (two processes of eight threads, as the web has), once as it
is and once with the ledger's two rows and its receipt left out.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from django.db import connection

from city import City, Holder, Visit, builders
from floor.models import Written
from in_process import use_database
from irefuda.ledger import keys, sequencer
from irefuda.ledger.models import Entry, Pending
from irefuda.registration.models import Draft
from irefuda.ui import clock
from irefuda_core import receipt
from measuring import Row, interleaved, median, milliseconds, per_second, ratios, shown, times
from serving import ROOT, Databases, environment, free_port, web

PROCESSES, THREADS = 2, 8
# PostgreSQL's own ways: a commit that does not wait for the disk, and one that waits 3 ms before it asks for the flush.
COMMITS = {"0 ms": "-c synchronous_commit=off", "3 ms": "-c commit_delay=3000 -c commit_siblings=0"}


def deed_rows(databases: Databases, *, runs: int, quick: bool) -> Iterator[Row]:
    """Measure the deed with and without the ledger, at two latencies of a commit."""
    count = 64 if quick else 480
    for latency, options in COMMITS.items():
        url = databases.copy("bench_deeds")
        use_database(url)
        city = City(suppliers=count * (runs + 1) * 2)
        jobs = iter(_drafts(city, url, databases.state, count * (runs + 1) * 2))
        slow = databases.address("bench_deeds", options=options)
        with Writers(slow, databases.state) as writers:

            def deeds(ledger: bool, writers: Writers = writers, jobs: Iterator[dict[str, str]] = jobs) -> float:
                return writers.work([next(jobs) for _ in range(count)], ledger=ledger) / count

            measured = interleaved({"with": lambda: deeds(True), "without": lambda: deeds(False)}, runs=runs)
        share = ratios(measured["with"], measured["without"])
        yield Row(
            f"a deed with its ledger entry, 16 writers, commits of {latency}",
            milliseconds(measured["with"]),
            f"the same without {milliseconds(measured['without'])}",
            times(share),
            "≤ 1.5 ×",
            median(share) <= 1.5,
        )
        use_database(databases.url)


def _drafts(city: City, url: str, state: Path, count: int) -> list[dict[str, str]]:
    """Return as many signed applications as asked: one made by the pages, the others by the same operations."""
    port = free_port()
    first, *others = city.holders(count)
    with web(env=environment(state=state, database_url=url, port=port), port=port):
        visit = Visit(first, port=port)
        visit.to_check()
        visit.browser.close()
    shown_draft = Draft.objects.get()
    suppliers = {row.supplier_number: row.id for row in city.section.suppliers.all()}
    drafts, jobs = [], []
    for holder in (first, *others):
        card = city.read(holder)
        document = json.loads(shown_draft.document)
        document |= {
            "supplier_number": holder.supplier_number,
            "company_name": f"（株）計測商会{holder.supplier_number[-5:]}",
            "company_address": f"青森市新町1-3-{int(holder.supplier_number)}",
            "certificate_fingerprint": card.fingerprint,
        }
        text = json.dumps(document, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
        draft = Draft(
            id=uuid.uuid4() if holder is not first else shown_draft.id,
            fingerprint=card.fingerprint,
            section=city.section,
            supplier_id=suppliers[holder.supplier_number],
            document=text,
            updated_at=clock.now(),
        )
        drafts.append(draft)
        jobs.append(
            {
                "certificate": base64.b64encode(holder.card.der).decode(),
                "draft": str(draft.id),
                "jws": _signed(holder, text),
            }
        )
    Draft.objects.all().delete()
    Draft.objects.bulk_create(drafts, batch_size=500)
    return jobs


def _signed(holder: Holder, document: str) -> str:
    from city import TYP

    return builders.sign_document(holder.card, document, TYP, algorithm="RS256")


class Writers:
    """The processes that do deeds; they are told what to do, and say how long it took."""

    def __init__(self, url: str, state: Path) -> None:
        command = [sys.executable, str(ROOT / "bench" / "writers.py")]
        env = {**environment(state=state, database_url=url), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
        self.processes = [
            subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.stdin.close()  # type: ignore[union-attr]
            process.wait(30)
            process.stdout.close()  # type: ignore[union-attr]

    def work(self, jobs: list[dict[str, str]], *, ledger: bool) -> float:
        """Return the seconds from the word to start until the last deed is committed."""
        for place, process in enumerate(self.processes):
            self._tell(process, json.dumps({"ledger": ledger, "threads": THREADS, "jobs": jobs[place::PROCESSES]}))
        for process in self.processes:
            self._hear(process, "ready")
        started = time.perf_counter()
        for process in self.processes:
            self._tell(process, "go")
        for process in self.processes:
            self._hear(process, "done")
        return time.perf_counter() - started

    def _tell(self, process: subprocess.Popen[str], line: str) -> None:
        process.stdin.write(line + "\n")  # type: ignore[union-attr]
        process.stdin.flush()  # type: ignore[union-attr]

    def _hear(self, process: subprocess.Popen[str], expected: str) -> None:
        heard = process.stdout.readline().strip()  # type: ignore[union-attr]
        if heard != expected:
            raise RuntimeError(f"a writer said {heard!r}, not {expected!r}")


def sequencing_rows(databases: Databases, *, runs: int, quick: bool) -> Iterator[Row]:
    """Measure how fast waiting entries get their places, against inserting as many bare rows in bulk."""
    count = 5_000 if quick else 20_000
    use_database(databases.copy("bench_sequencing"))
    key = keys.head_key()

    def sequence() -> float:
        _fill(count)
        started = time.perf_counter()
        placed = 0
        while batch := sequencer.sequence_batch(key=key, now=clock.now()):
            placed += batch
        if placed != count:
            raise RuntimeError(f"{placed} of {count} were placed")
        return count / (time.perf_counter() - started)

    def bare() -> float:
        rows = [Written(number=f"{n:09d}", content="0" * 64, written_at=clock.now()) for n in range(count)]
        started = time.perf_counter()
        Written.objects.bulk_create(rows, batch_size=5000)
        return count / (time.perf_counter() - started)

    measured = interleaved({"sequence": sequence, "bare": bare}, runs=runs)
    share = ratios(measured["bare"], measured["sequence"])
    yield Row(
        f"sequencing {count:,} waiting entries",
        per_second(measured["sequence"]),
        f"inserting bare rows in bulk {per_second(measured['bare'])}",
        shown(share, " × the time"),
        "≥ 5,000/s",
        median(measured["sequence"]) >= 5000,
    )
    use_database(databases.url)


def _fill(count: int) -> None:
    entries = []
    for _ in range(count):
        salt, document = os.urandom(16), b"d" * 3000
        entries.append(
            Entry(
                id=uuid.uuid4(),
                kind="registration.registered",
                salt=salt,
                document=document,
                entry_hash=receipt.entry_hash(salt=salt, document=document).hex(),
                recorded_at=clock.now(),
            )
        )
    Entry.objects.bulk_create(entries, batch_size=2000)
    Pending.objects.bulk_create([Pending(entry=entry) for entry in entries], batch_size=5000)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE ledger_entry, ledger_pending")
