"""The real pages over real HTTP: login, a whole 登録, and registrations over eight connections."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator

from browser import Browser, burst
from city import FLOOR_ROWS, City, Holder, Visit, floor_requests
from measuring import Row, interleaved, median, milliseconds, per_second, ratios, times

CONNECTIONS = 8
# So many times the visits of a run are made first: sixteen threads have a connection each, which plans a statement for good
# when it has been asked eight times.
WARM_UP = 6
WHOLE, REGISTERING, PAGE, LOGIN, RATE = 25, 4, 5, 0.4, 250


def login_rows(city: City, *, port: int, runs: int, quick: bool) -> Iterator[Row]:
    """Measure the token POST of 「電子入札」 against the floor, both over eight connections."""
    count = 80 if quick else 400
    # Every card logs in once: no process has judged its path before, as after a start of the site.
    holders = iter(city.holders(count * (runs + 1)))

    def login() -> float:
        them = list(itertools.islice(holders, count))
        city.register(them)
        requests = []
        for holder in them:
            visit = Visit(holder, port=port)
            visit.open("/9992/goods/login/")
            requests.append(visit.browser.request("POST", *visit.proof("/9992/goods/login/")))
            visit.browser.close()
        return burst(requests, port=port, connections=CONNECTIONS, expected=302).per_second

    measured = interleaved({"login": login, "floor": lambda: _floor(count, port)}, runs=runs)
    share = ratios(measured["login"], measured["floor"])
    yield Row(
        "card login: the token POST, 8 connections",
        per_second(measured["login"]),
        per_second(measured["floor"]),
        times(share),
        f"≥ {LOGIN} ×",
        median(share) >= LOGIN,
    )


def _floor(count: int, port: int) -> float:
    return burst(floor_requests(count, port=port), port=port, connections=CONNECTIONS, expected=200).per_second


def registration_rows(city: City, *, port: int, runs: int, quick: bool) -> Iterator[Row]:
    """Measure one person's whole 登録, page by page; after every page comes one floor request, to the same processes."""
    visits = 5 if quick else 25
    pages: dict[str, list[float]] = defaultdict(list)
    whole: list[float] = []
    floor: list[float] = []
    for run in range(runs + 1):
        taken, spent, floors = _visits(city.holders(visits * (1 if run else WARM_UP)), port)
        if run:
            whole.append(spent)
            floor.append(floors)
            for step, seconds in taken.items():
                pages[step].append(seconds)
    yield _against(f"one whole 登録, {len(pages)} requests", whole, floor, WHOLE)
    yield _against("the POST that registers", pages.pop("POST register"), floor, REGISTERING)
    slowest = sorted(pages, key=lambda step: median(ratios(pages[step], floor)), reverse=True)
    for step in slowest:
        yield _against(step, pages[step], floor, PAGE)


def _visits(holders: list[Holder], port: int) -> tuple[dict[str, float], float, float]:
    """Return the medians of every page, of the whole way, and of the floor's requests in between."""
    browser, numbers = Browser(port=port, address="10.255.0.2"), itertools.cycle(range(FLOOR_ROWS))
    floors: list[float] = []
    spent: list[float] = []
    taken: dict[str, list[float]] = defaultdict(list)

    def floor_request() -> None:
        floors.append(browser.post("/floor/", {"number": f"{next(numbers):09d}"}).seconds)

    for holder in holders:
        visit = Visit(holder, port=port, after_each=floor_request)
        visit.whole()
        spent.append(sum(seconds for _, seconds in visit.took))
        for step, seconds in visit.took:
            taken[_step(step)].append(seconds)
    browser.close()
    return {step: median(seconds) for step, seconds in taken.items()}, median(spent), median(floors)


def _step(step: str) -> str:
    return step.replace("/9992/goods/", "…/")


def _against(name: str, values: list[float], floor: list[float], target: float) -> Row:
    share = ratios(values, floor)
    met = median(share) <= target
    return Row(name, milliseconds(values), milliseconds(floor), times(share), f"≤ {target} ×", met)


def rate_rows(city: City, *, port: int, runs: int, quick: bool) -> Iterator[Row]:
    """Measure how many registrations a second eight connections get through."""
    count = 60 if quick else 300
    slowest: list[float] = []

    def register() -> float:
        requests = [_ready(holder, port) for holder in city.holders(count)]
        made = burst(requests, port=port, connections=CONNECTIONS, expected=302)
        slowest.append(made.p95)
        return made.per_second

    measured = interleaved({"register": register, "floor": lambda: _floor(count, port)}, runs=runs)
    share = ratios(measured["register"], measured["floor"])
    yield Row(
        f"registrations, 8 connections (p95 {median(slowest[-runs:]) * 1000:.0f} ms)",
        per_second(measured["register"]),
        per_second(measured["floor"]),
        times(share),
        f"≥ {RATE}/s",
        median(measured["register"]) >= RATE,
    )


def _ready(holder: Holder, port: int) -> bytes:
    """Return the POST that registers, with everything before it done."""
    visit = Visit(holder, port=port)
    visit.to_check()
    visit.browser.close()
    return visit.browser.request("POST", *visit.last_step())
