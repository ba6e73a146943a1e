"""A process that imports a register, parses and inserts the same file bare, or shows a file as a difference and takes it; started by rows_import.py, which weighs it."""

from __future__ import annotations

import csv
import io
import json
import secrets
import sys
import time
import uuid
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import django

django.setup()

from django.core.management import call_command  # noqa: E402 -- the settings come first
from django.db import transaction  # noqa: E402
from made_up import COLUMNS  # noqa: E402

from irefuda.agencies.models import Section  # noqa: E402
from irefuda.registration import register  # noqa: E402
from irefuda.staff.operations import Deed  # noqa: E402
from irefuda.suppliers import imports, queries  # noqa: E402
from irefuda.suppliers.models import ImportState, RegisterImport, Supplier  # noqa: E402
from irefuda.suppliers.operations import KINDS  # noqa: E402
from irefuda.ui import clock  # noqa: E402


def bare(file: Path) -> None:
    """Parse the file and insert its lines in bulk, with nothing looked at."""
    section = Section.objects.get()
    with file.open(encoding="utf-8", newline="") as lines, transaction.atomic():
        waiting = _suppliers(csv.reader(lines), section)
        while batch := list(islice(waiting, 1000)):
            Supplier.objects.bulk_create(batch)


def _suppliers(rows: Iterator[list[str]], section: Section) -> Iterator[Supplier]:
    next(rows)
    for row in rows:
        yield Supplier(section=section, **dict(zip(COLUMNS.values(), row, strict=True)))


def bring(file: Path) -> RegisterImport:
    """Keep the file and its difference as the page of the staff's site does, and read the first page of each kind."""
    section = Section.objects.select_related("agency").get()
    brought = imports.bring(
        section=section,
        import_id=uuid.uuid4(),
        path=file,
        file_name=file.name,
        sheet="",
        by="bench",
        asking=register.ASKING,
        now=clock.now(),
    )
    if brought.state != ImportState.SHOWN:
        raise SystemExit(f"no difference: {brought.problems[:3]}")
    for kind in (*KINDS, imports.TOUCHED):
        queries.changes_of(brought, kind=kind, page=1)
    return brought


def take(brought: RegisterImport) -> None:
    """Give the last word."""
    deed = Deed(uuid.uuid4(), None, "bench", clock.now(), secrets.token_bytes(16))
    register.take_import(deed=deed, brought=brought)


def main() -> None:
    """Do it, and say how long it took and how much memory it held."""
    how, file, confirmed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    brought = bring(file) if how == "take" else None
    started = time.perf_counter()
    if how == "bare":
        bare(file)
    elif how == "difference":
        bring(file)
    elif brought is not None:
        take(brought)
    else:
        call_command(
            "import_suppliers",
            str(file),
            agency="9992",
            category="goods",
            reason="bench",
            yes=confirmed,
            stdout=io.StringIO(),
        )
    # Not ru_maxrss: it begins with what the parent process held when it started this one.
    status = Path("/proc/self/status").read_text()
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) * 1024 / 1e6
    print(json.dumps({"seconds": time.perf_counter() - started, "megabytes": peak}))


if __name__ == "__main__":
    main()
