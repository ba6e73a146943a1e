"""`make bench`: measure the house against a floor in the same run (docs/performance.md says what each row means).

python bench/run.py [--only NAME …] [--quick] [--runs N] [--write docs/performance.md]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from measuring import Row, table
from serving import ROOT, Databases, environment, free_port, sequencer, tool, web

if TYPE_CHECKING:
    from city import City

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
SUPPLIERS = 12_000


class Bench:
    """One run of the benchmark: its cluster, its folder, and how thorough it is."""

    def __init__(self, databases: Databases, *, runs: int, quick: bool) -> None:
        self.databases, self.runs, self.quick = databases, runs, quick

    def token(self) -> Iterator[Row]:
        """Judge a token completely."""
        from rows_token import rows

        yield from rows(runs=self.runs, quick=self.quick)

    def login(self) -> Iterator[Row]:
        """Log in with a card."""
        from rows_http import login_rows

        yield from self._served(login_rows)

    def registration(self) -> Iterator[Row]:
        """Go through a whole 登録."""
        from rows_http import registration_rows

        yield from self._served(registration_rows)

    def rate(self) -> Iterator[Row]:
        """Register over eight connections."""
        from rows_http import rate_rows

        yield from self._served(rate_rows)

    def deed(self) -> Iterator[Row]:
        """Do a deed with and without its ledger entry."""
        from rows_ledger import deed_rows

        yield from deed_rows(self.databases, runs=self.runs, quick=self.quick)

    def sequencing(self) -> Iterator[Row]:
        """Give waiting entries their places."""
        from rows_ledger import sequencing_rows

        yield from sequencing_rows(self.databases, runs=self.runs, quick=self.quick)

    def proofs(self) -> Iterator[Row]:
        """Prove places in a log of a million entries."""
        from rows_proofs import rows

        yield from rows(self.databases, runs=self.runs, quick=self.quick)

    def cards(self) -> Iterator[Row]:
        """Log in among very many registered cards."""
        from rows_cards import rows

        yield from rows(self.databases, runs=self.runs, quick=self.quick)

    def crowd(self) -> Iterator[Row]:
        """Let five hundred people log in at the same moment."""
        from rows_crowd import rows

        yield from self._served(rows)

    def search(self) -> Iterator[Row]:
        """Search the register."""
        from rows_search import rows

        yield from rows(self.databases, runs=self.runs, quick=self.quick)

    def process(self) -> Iterator[Row]:
        """Start web processes and weigh them."""
        from rows_process import rows

        url, city = self._city("bench_process")
        yield from rows(city, url=url, state=self.databases.state, runs=self.runs, quick=self.quick)

    def pages(self) -> Iterator[Row]:
        """Open every page of 登録 in Chromium."""
        from rows_pages import rows

        port = free_port()
        url, city = self._city("bench_pages")
        env = environment(state=self.databases.state, database_url=url, port=port)
        with web(env={**env, "BENCH_COUNT_QUERIES": "yes"}, port=port):
            yield from rows(city, port=port)

    def imports(self) -> Iterator[Row]:
        """Import a register."""
        from rows_import import rows

        yield from rows(self.databases, runs=self.runs, quick=self.quick)

    def difference(self) -> Iterator[Row]:
        """Show a city's next file as a difference."""
        from rows_import import difference_rows

        yield from difference_rows(self.databases, runs=self.runs, quick=self.quick)

    def _served(self, rows: Callable[..., Iterator[Row]]) -> Iterator[Row]:
        port = free_port()
        url, city = self._city(f"bench_{rows.__name__}")
        env = environment(state=self.databases.state, database_url=url, port=port)
        with web(env=env, port=port), sequencer(env=env):
            yield from rows(city, port=port, runs=self.runs, quick=self.quick)

    def _city(self, name: str) -> tuple[str, City]:
        from city import City
        from in_process import use_database

        url = self.databases.copy(name)
        use_database(url)
        return url, City(suppliers=SUPPLIERS)


NAMES = (
    "token",
    "login",
    "registration",
    "rate",
    "deed",
    "sequencing",
    "search",
    "process",
    "pages",
    "imports",
    "difference",
    "cards",
    "proofs",
    "crowd",
)


def main() -> int:
    """Measure what was asked for and print the table."""
    arguments = _arguments()
    names = arguments.only or NAMES
    runs = arguments.runs or (2 if arguments.quick else 5)
    home = Path(tempfile.mkdtemp(prefix="irefuda-bench-"))
    rows: list[Row] = []
    try:
        with tool("postgres").cluster() as url:
            databases = Databases(url, home)
            databases.prepare()
            os.environ.update(environment(state=home, database_url=url))
            import django

            django.setup()
            bench = Bench(databases, runs=runs, quick=arguments.quick)
            for name in names:
                _say(f"{name} …")
                for row in getattr(bench, name)():
                    rows.append(row)
                    _say(table([row]).splitlines()[-1])
            head = _machine(databases.version(), runs)
    finally:
        with contextlib.suppress(NameError):
            from django.db import connections

            connections.close_all()
        shutil.rmtree(home, ignore_errors=True)
    print(f"\n{head}\n\n{table(rows)}")
    if arguments.write:
        _write(arguments.write, f"{head}\n\n{table(rows)}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", choices=NAMES, metavar="NAME", help=f"of {', '.join(NAMES)}")
    parser.add_argument("--quick", action="store_true", help="small and rough: does it run at all?")
    parser.add_argument("--runs", type=int, help="how many runs (5, or 2 with --quick)")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the marks in this file")
    return parser.parse_args()


def _machine(postgresql: str, runs: int) -> str:
    """Return on what, when and how it was measured; no name and no path of the machine."""
    memory = psutil.virtual_memory().total / 2**30
    command = " ".join(["python bench/run.py", *(a for a in sys.argv[1:] if a != "--write" and not a.endswith(".md"))])
    return (
        f"Measured {date.today().isoformat()} with `{command}` ({runs} runs): {os.cpu_count()} cores"
        f" ({_processor()}), {memory:.0f} GB, Python {platform.python_version()}, PostgreSQL {postgresql}."
    )


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _write(file: Path, text: str) -> None:
    before, _, rest = file.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    file.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "bench"))
    sys.exit(main())
