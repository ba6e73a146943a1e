"""登録業者名簿: what a search costs with 100,000 suppliers, against the same search with 1,000. On both engines."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import made_up
from django.core.management import call_command

from city import builders
from in_process import use_database
from irefuda.agencies.models import Section
from irefuda.suppliers import operations, queries
from irefuda.suppliers.models import Supplier
from measuring import Row, interleaved, median, milliseconds, ratios, times
from serving import Databases

FEW, MANY = 1_000, 100_000
# What is typed, by what it finds: a few rows, a tenth of them, none.
ASKED = {
    "name": {"a rare word": "橋梁", "a word of 10 %": "舗装", "an absent word": "鉄塔"},
    "reading": {"a rare word": "キョウリョウ", "a word of 10 %": "ほそう", "an absent word": "テットウ"},
    "number": {"a rare word": "700000007", "a word of 10 %": "3", "an absent word": "9999"},
}


def rows(databases: Databases, *, runs: int, quick: bool) -> Iterator[Row]:
    """Measure every kind of search on both engines."""
    many = 10_000 if quick else MANY
    for engine in ("PostgreSQL", "SQLite"):
        places = {}
        for count in (FEW, many):
            url = databases.copy(f"bench_search_{count}")
            if engine == "SQLite":
                url = f"sqlite:///{databases.state}/search_{count}.sqlite3"
            use_database(url)
            if engine == "SQLite":
                call_command("migrate", verbosity=0)
            places[count] = (url, fill(count))
        for field, typed in ASKED.items():
            for kind, words in typed.items():
                yield _row(f"{engine}: {kind}, by {field}", words, places, many, runs=runs, calls=5 if quick else 25)
        use_database(databases.url)


def _row(name: str, words: str, places: dict[int, tuple[str, Section]], many: int, *, runs: int, calls: int) -> Row:
    def asked(count: int) -> float:
        url, section = places[count]
        use_database(url)
        queries.search_register(section=section, typed=words)
        took = []
        for _ in range(calls):
            started = time.perf_counter()
            queries.search_register(section=section, typed=words)
            took.append(time.perf_counter() - started)
        return statistics.median(took)

    measured = interleaved({"many": lambda: asked(many), "few": lambda: asked(FEW)}, runs=runs)
    share = ratios(measured["many"], measured["few"])
    few = f"with {FEW:,}: {milliseconds(measured['few'])}"
    return Row(f"名簿 {name}", milliseconds(measured["many"]), few, times(share), "≤ 1.5 ×", median(share) <= 1.5)


def fill(count: int) -> Section:
    """Return a section with so many suppliers: one word in a tenth of the names, another in three, whatever the count."""
    section = builders.make_section()
    Supplier.objects.bulk_create(made_up.suppliers(section, count), batch_size=2000)
    operations.reindex(section=section)
    return section
