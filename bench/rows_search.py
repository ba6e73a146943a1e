"""登録業者名簿: what a search costs with 100,000 suppliers, against the same search with 1,000. On both engines."""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterator

from django.core.management import call_command

from city import builders
from in_process import use_database
from irefuda.agencies.models import Section
from irefuda.suppliers import operations, queries
from irefuda.suppliers.models import Supplier
from measuring import Row, interleaved, median, milliseconds, ratios, times
from serving import Databases

FEW, MANY = 1_000, 100_000
PARTS = (("青", "アオ"), ("森", "モリ"), ("津", "ツ"), ("軽", "カル"), ("岩", "イワ"), ("木", "キ"), ("浅", "アサ"), ("虫", "ムシ"), ("八", "ハチ"), ("甲", "コウ"), ("田", "ダ"), ("合", "ゴウ"), ("浦", "ウラ"), ("野", "ノ"), ("内", "ナイ"), ("堤", "ツツミ"))  # fmt: skip
FORMS = ("株式会社{}", "（株）{}", "有限会社{}", "{}合同会社")
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
    Supplier.objects.bulk_create(suppliers(section, count), batch_size=2000)
    operations.reindex(section=section)
    return section


def suppliers(section: Section, count: int) -> Iterator[Supplier]:
    """Return the suppliers of a made-up city."""
    parts = itertools.cycle(itertools.product(PARTS, repeat=3))
    for place, (form, chosen) in enumerate(zip(itertools.cycle(FORMS), parts, strict=False)):
        if place == count:
            return
        name, kana = "".join(part for part, _ in chosen), "".join(part for _, part in chosen)
        if place % 10 == 3:
            name, kana = f"{name}舗装", f"{kana}ホソウ"
        if place in (7, 377, 877):
            name, kana = f"{name}橋梁", f"{kana}キョウリョウ"
        yield Supplier(
            section=section,
            supplier_number=f"{place % 10}{place:08d}",
            name=form.format(name),
            name_kana=kana,
            representative_title="代表取締役",
            representative_name=f"代表 {place}郎",
            postal_code="030-0801",
            address=f"青森市新町{place % 30 + 1}-{place % 50 + 1}",
            phone="017-000-0000",
            fax="017-000-0001",
            trades=[{"name": "土木一式", "grade": "A"}, {"name": "舗装", "grade": "B"}],
        )
