"""What a login and the other pages of a card cost with 100,000 registered cards, against the same with 1,000."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import many_cards

from city import City, Holder, Visit, builders
from in_process import use_database
from irefuda.ui import clock
from measuring import Row, median, milliseconds, ratios, times
from serving import Databases, environment, free_port, sequencer, web

FEW, MANY = 1_000, 100_000
TARGET = 1.2
LOGIN, WHOLE = "card login: page, nonce, token, トップページ", "one whole 登録"


@dataclass(frozen=True, slots=True)
class Site:
    """A running installation with so many registered cards."""

    url: str
    port: int


def rows(databases: Databases, *, runs: int, quick: bool) -> Iterator[Row]:
    """Measure both installations at once, person by person in turns."""
    many, visits = (10_000, 4) if quick else (MANY, 15)
    with contextlib.ExitStack() as running:
        use_database(url := databases.copy("bench_cards_few"))
        city = City(suppliers=2 * visits * (runs + 1))
        whole = builders.City(city.section, city.authority, builders.make_supplier(city.section))
        many_cards.fill(whole, cards=FEW, now=clock.now())
        use_database(databases.url)
        urls = [url, databases.copy("bench_cards_many", of="bench_cards_few")]
        use_database(urls[1])
        many_cards.fill(whole, cards=many - FEW, now=clock.now(), first_number=600_000_000)
        sites = []
        for url in urls:
            port = free_port()
            env = environment(state=databases.state, database_url=url, port=port)
            running.enter_context(web(env=env, port=port))
            running.enter_context(sequencer(env=env))
            sites.append(Site(url, port))
        taken: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for run in range(runs + 1):
            few, more = _run(city, sites, visits)
            if run:
                for step in few:
                    taken[step].append((few[step], more[step]))
        for step, pairs in taken.items():
            yield _row(step, pairs, many)
        use_database(databases.url)


def _row(step: str, pairs: list[tuple[float, float]], many: int) -> Row:
    few, more = zip(*pairs, strict=True)
    share = ratios(more, few)
    met = median(share) <= TARGET
    return Row(
        f"{step}; {many:,} registered cards",
        milliseconds(more),
        f"with {FEW:,}: {milliseconds(few)}",
        times(share),
        f"≤ {TARGET} ×",
        met,
    )


def _run(city: City, sites: list[Site], visits: int) -> list[dict[str, float]]:
    """Return the medians of each step on each site."""
    coming = [city.holders(visits), city.holders(visits)]
    for site in sites:
        use_database(site.url)
        city.register(coming[0])
    steps: list[dict[str, list[float]]] = [defaultdict(list) for _ in sites]
    for place, (known, new) in enumerate(zip(*coming, strict=True)):
        # Every second person goes the other way round.
        for number in (0, 1) if place % 2 else (1, 0):
            for step, seconds in {**_known(known, sites[number]), **_new(new, sites[number])}.items():
                steps[number][step].append(seconds)
    return [{step: median(seconds) for step, seconds in of_site.items()} for of_site in steps]


def _known(holder: Holder, site: Site) -> dict[str, float]:
    """Return the seconds of a login and of the pages behind it."""
    visit = Visit(holder, port=site.port)
    visit.log_in()
    login = list(visit.took)
    visit.open("/mypage/")
    visit.open("/inbox/")
    visit.browser.close()
    seconds = dict(visit.took)
    pages = {name: seconds[step] for name, step in {"マイページ": "GET /mypage/", "お知らせ": "GET /inbox/"}.items()}
    return {LOGIN: sum(taken for _, taken in login), "its token POST": seconds["POST login"], **pages}


def _new(holder: Holder, site: Site) -> dict[str, float]:
    """Return the seconds of a whole 登録, and of the two steps that ask for the cards there are."""
    visit = Visit(holder, port=site.port)
    visit.whole()
    seconds = dict(visit.took)
    return {
        WHOLE: sum(seconds for _, seconds in visit.took),
        "its POST lookup": seconds["POST lookup"],
        "its POST register": seconds["POST register"],
    }
