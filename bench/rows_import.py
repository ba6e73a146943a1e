"""Taking a city's file of 100,000 suppliers, against parsing the same file and inserting it bare."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from measuring import Row, interleaved, median, ratios, shown, times
from serving import ROOT, environment

if TYPE_CHECKING:
    from serving import Databases

LARGE, SMALL = 100_000, 10_000
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


def _child(how: str, file: Path, *, url: str, state: Path) -> dict[str, float]:
    env = {**environment(state=state, database_url=url), "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, str(ROOT / "bench" / "importing.py"), how, str(file)]
    told: dict[str, float] = json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
    return told
