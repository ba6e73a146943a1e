"""Taking a city's file of 100,000 suppliers, against parsing the same file and inserting it bare."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from openpyxl import Workbook

from measuring import Row, interleaved, median, ratios, shown, times
from serving import ROOT, environment

if TYPE_CHECKING:
    from serving import Databases

LARGE, SMALL = 100_000, 10_000
COMPARED, SECONDS = 20_000, 5
MEGABYTES = 300


def rows(databases: Databases, *, runs: int, quick: bool) -> Iterator[Row]:
    """Measure a first import, its memory, and whether a row of a large file costs more than a row of a small one."""
    # The tests' builders need Django to be set up.
    import made_up

    from city import builders
    from in_process import use_database
    from irefuda.agencies.models import Section

    large = SMALL if quick else LARGE
    files = {count: databases.state / f"register_{count}.csv" for count in (large, SMALL // 10, SMALL)}
    for count, file in files.items():
        made_up.write_file(file, Section(), count)
    megabytes: list[float] = []

    def run(how: str, count: int) -> float:
        # A first import has its register to itself: every run starts from the migrated database.
        url = databases.copy("bench_import")
        use_database(url)
        builders.make_section()
        use_database(databases.url)
        told = _child(how, files[count], url=url, state=databases.state)
        if how == "import" and count == large:
            megabytes.append(told["megabytes"])
        return told["seconds"] / count

    works = {
        "import": lambda: run("import", large),
        "bare": lambda: run("bare", large),
        "small": lambda: run("import", SMALL if not quick else SMALL // 10),
    }
    measured = interleaved(works, runs=runs, warm_up=False)
    whole = [seconds * large for seconds in measured["import"]]
    bare = [seconds * large for seconds in measured["bare"]]
    share = ratios(measured["import"], measured["bare"])
    yield Row(
        f"import of {large:,} suppliers",
        shown(whole, " s"),
        f"parsed and inserted bare {shown(bare, ' s')}",
        times(share),
        "≤ 3 ×",
        median(share) <= 3,
    )
    limit = f"≤ {MEGABYTES} MB"
    yield Row("its peak memory", shown(megabytes, " MB", digits=0), "–", "–", limit, median(megabytes) <= MEGABYTES)
    share = ratios(measured["import"], measured["small"])
    yield Row(
        "a row of it",
        shown(measured["import"], " ms", scale=1000, digits=3),
        f"a row of {SMALL:,} {shown(measured['small'], ' ms', scale=1000, digits=3)}",
        times(share),
        "≤ 1.2 ×",
        median(share) <= 1.2,
    )


def difference_rows(databases: Databases, *, runs: int, quick: bool) -> Iterator[Row]:
    """Measure a city's next file against its register: shown as a difference, and taken by the page and by the command."""
    import made_up

    from city import builders
    from in_process import use_database
    from irefuda.agencies.models import Section

    count = COMPARED // 10 if quick else COMPARED
    first = made_up.write_file(databases.state / "register_before.csv", Section(), count)
    files = {kind: databases.state / f"register_after.{kind}" for kind in ("csv", "xlsx")}
    touched = _next_file(first, files)
    url = databases.copy("bench_register")
    use_database(url)
    builders.make_section()
    use_database(databases.url)
    _child("import", first, url=url, state=databases.state)
    _register_some(url)
    use_database(databases.url)
    megabytes: dict[str, list[float]] = {}

    def run(how: str, file: Path) -> float:
        copy = databases.copy("bench_difference", of="bench_register")
        told = _child(how, file, url=copy, state=databases.state, touched=touched)
        megabytes.setdefault(how, []).append(told["megabytes"])
        return told["seconds"]

    works = {
        "csv": lambda: run("difference", files["csv"]),
        "xlsx": lambda: run("difference", files["xlsx"]),
        "take": lambda: run("take", files["csv"]),
        "command": lambda: run("import", files["csv"]),
    }
    measured = interleaved(works, runs=runs, warm_up=False)
    for kind, name in (("csv", "CSV"), ("xlsx", "XLSX")):
        seconds = measured[kind]
        what = f"the difference of {count:,} suppliers, {name}, a tenth changed"
        yield Row(what, shown(seconds, " s"), "–", "–", f"≤ {SECONDS} s", median(seconds) <= SECONDS)
    held = megabytes["difference"] + megabytes["take"]
    yield Row("its peak memory", shown(held, " MB", digits=0), "–", "–", f"≤ {MEGABYTES} MB", max(held) <= MEGABYTES)
    yield Row(
        "taking it, with the notices to 200 companies",
        shown(measured["take"], " s"),
        f"by the command {shown(measured['command'], ' s')}",
        times(ratios(measured["take"], measured["command"])),
        "–",
        None,
    )


def _next_file(first: Path, files: dict[str, Path]) -> int:
    """Write what the city sends next, and return how many companies it changes or ends.

    A tenth of the addresses changed, a hundred companies gone, a hundred new ones.
    """
    with first.open(encoding="utf-8", newline="") as lines:
        header, *companies = csv.reader(lines)
    for place, company in enumerate(companies):
        if place % 10 == 0:
            company[header.index("所在地")] = f"弘前市大町{place}"
    for place, company in enumerate(companies[-100:]):
        company[0] = f"N{place:08d}"
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    for row in (header, *companies):
        sheet.append(row)
    book.save(files["xlsx"])
    with files["csv"].open("w", encoding="utf-8", newline="") as lines:
        csv.writer(lines).writerows([header, *companies])
    return len(companies[:-100:10]) + 100


def _register_some(url: str) -> None:
    """Give two hundred of the companies whose address changes a registered card."""
    from in_process import use_database
    from irefuda.agencies.models import Section
    from irefuda.suppliers.models import Supplier

    use_database(url)
    section = Section.objects.get()
    numbers = Supplier.objects.order_by("id").values_list("supplier_number", flat=True)
    from register_office import register_card

    for number in list(numbers[:2000:10]):
        register_card(section, number)


def _child(how: str, file: Path, *, url: str, state: Path, touched: int = 0) -> dict[str, float]:
    env = {**environment(state=state, database_url=url), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, str(ROOT / "bench" / "importing.py"), how, str(file), str(touched)]
    told: dict[str, float] = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
    return told
