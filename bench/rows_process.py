"""A web process: how much memory it holds after work, and how soon it answers, against a Django that does nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

from city import City, Visit
from measuring import Row, interleaved, median, ratios, shown, times
from serving import Web, environment, free_port, web

MEGABYTES, SECONDS = 120, 3
VISITS = 40


def rows(city: City, *, url: str, state: Path, runs: int, quick: bool) -> Iterator[Row]:
    """Start the site, let people register, look at its workers; the same with an empty Django."""
    memory: dict[str, list[float]] = {"ours": [], "bare": []}

    def ours() -> float:
        port = free_port()
        with web(env=environment(state=state, database_url=url, port=port), port=port) as started:
            for holder in city.holders(4 if quick else VISITS):
                Visit(holder, port=port).whole()
            memory["ours"].append(_heaviest_worker(started))
            return started.seconds_to_first_answer

    def bare() -> float:
        port = free_port()
        env = environment(state=state, database_url=url, port=port)
        with web(env=env, port=port, application="floor.bare:application") as started:
            memory["bare"].append(_heaviest_worker(started))
            return started.seconds_to_first_answer

    measured = interleaved({"ours": ours, "bare": bare}, runs=runs, warm_up=False)
    share = ratios(memory["ours"], memory["bare"])
    yield Row(
        "a web process after work, resident",
        shown(memory["ours"], " MB", digits=0),
        f"an empty Django {shown(memory['bare'], ' MB', digits=0)}",
        times(share),
        f"≤ {MEGABYTES} MB",
        median(memory["ours"]) <= MEGABYTES,
    )
    share = ratios(measured["ours"], measured["bare"])
    yield Row(
        "first answer after the start",
        shown(measured["ours"], " s"),
        f"an empty Django {shown(measured['bare'], ' s')}",
        times(share),
        f"≤ {SECONDS} s",
        median(measured["ours"]) <= SECONDS,
    )


def _heaviest_worker(started: Web) -> float:
    workers = psutil.Process(started.process.pid).children(recursive=True)
    return max(worker.memory_info().rss for worker in workers) / 1e6
