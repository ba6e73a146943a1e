"""Five hundred people at once: everybody opens a connection and sends the token in the same moment."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from browser import Answer, parsed
from city import City, Visit
from measuring import Row, milliseconds, ratios, times

COUNT = 500
RATIO, MEGABYTES = 10, 200
# Nobody waits longer; in the product the proxy's own limit is 60 seconds.
PATIENCE_SECONDS = 60


def rows(city: City, *, port: int, runs: int, quick: bool) -> Iterator[Row]:
    """Let so many log in at once, again and again; the first crowd meets processes that have just started."""
    count = 100 if quick else COUNT
    p50, p99, failed = [], [], []
    with Memory(port) as memory:
        for _ in range(runs + 1):
            requests = _ready(city, count, port)
            came = asyncio.run(_all_at_once(requests, port))
            answered = sorted(answer.seconds for answer in came if isinstance(answer, Answer) and answer.status == 302)
            failed += [_told(answer) for answer in came if not isinstance(answer, Answer) or answer.status != 302]
            p50.append(answered[len(answered) // 2])
            p99.append(answered[int(len(answered) * 0.99)])
    yield Row(
        f"logins that fail of {runs + 1} × {count} at once, 2 processes",
        str(len(failed)) + (f": {failed[0]}" if failed else ""),
        "–",
        "–",
        "0",
        not failed,
    )
    share = ratios(p99, p50)
    # Every crowd counts, not their median: one that has to wait is one that had to wait.
    yield Row(
        f"{count} logins at once: p99",
        milliseconds(p99),
        f"p50 {milliseconds(p50)}",
        times(share),
        f"≤ {RATIO} ×",
        max(share) <= RATIO,
    )
    peak = max(memory.resident)
    yield Row(
        "the heaviest process meanwhile, resident, at its peak",
        f"{peak:.0f} MB",
        f"as PSS {max(memory.proportional):.0f} MB",
        "–",
        f"≤ {MEGABYTES} MB",
        peak <= MEGABYTES,
    )


def _ready(city: City, count: int, port: int) -> list[bytes]:
    """Return the token POSTs of so many people, each with the page read and the nonce fetched before."""
    holders = city.holders(count)
    city.register(holders)
    requests = []
    for holder in holders:
        visit = Visit(holder, port=port)
        visit.open("/9992/goods/login/")
        requests.append(visit.browser.request("POST", *visit.proof("/9992/goods/login/")))
        visit.browser.close()
    return requests


async def _all_at_once(requests: Sequence[bytes], port: int) -> list[Answer | BaseException]:
    return await asyncio.gather(*(_one(request, port) for request in requests), return_exceptions=True)


async def _one(request: bytes, port: int) -> Answer:
    """Return the answer with the seconds since before the connection was opened."""
    started = time.perf_counter()
    async with asyncio.timeout(PATIENCE_SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(request)
            received = b""
            while (answer := parsed(received, time.perf_counter() - started)) is None:
                chunk = await reader.read(262_144)
                if not chunk:
                    raise ConnectionError(f"hung up after {received[:200]!r}")
                received += chunk
            return answer
        finally:
            writer.close()


def _told(answer: Answer | BaseException) -> str:
    return repr(answer) if isinstance(answer, BaseException) else f"{answer.status}"


@dataclass
class Memory:
    """The heaviest process of the site that listens on a port, looked at ten times a second."""

    port: int
    resident: list[float] = field(default_factory=list)
    proportional: list[float] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Memory:
        self._processes = [process.pid for process in _listening(self.port)]
        self._thread = threading.Thread(target=self._look)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.1):
            rss, pss = zip(*map(_memory, self._processes), strict=True)
            self.resident.append(max(rss))
            self.proportional.append(max(pss))


def _listening(port: int) -> list[psutil.Process]:
    """Return the web process that listens on the port, with its workers."""
    ours = psutil.Process().children()
    web = next(process for process in ours if f"--port {port} " in " ".join(process.cmdline()))
    return [web, *web.children(recursive=True)]


def _memory(process: int) -> tuple[float, float]:
    """Return megabytes: resident, and the proportional share of what is shared."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines if line.endswith("kB")}
    return kilobytes["Rss"] / 1e3, kilobytes["Pss"] / 1e3
