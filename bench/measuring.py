"""Medians of interleaved runs with their spread, and the rows of the table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

Series = Sequence[float]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; `met` is None where there is no target."""

    name: str
    measured: str
    floor: str
    ratio: str
    target: str
    met: bool | None


def interleaved(works: Mapping[str, Callable[[], float]], *, runs: int, warm_up: bool = True) -> dict[str, list[float]]:
    """Return what each work measured in each run; the works take turns, so that a busy moment meets all of them."""
    measured: dict[str, list[float]] = {name: [] for name in works}
    if warm_up:
        for work in works.values():
            work()
    for run in range(runs):
        # Every second run goes the other way round: what drifts upwards harms nobody for always being last.
        for name in reversed(works) if run % 2 else works:
            measured[name].append(works[name]())
    return measured


def ratios(above: Series, below: Series) -> list[float]:
    """Return the ratio of each run; values of one run were measured within the same moments."""
    return [one / other for one, other in zip(above, below, strict=True)]


def median(values: Series) -> float:
    """Return the middle of the runs."""
    return statistics.median(values)


def shown(values: Series, unit: str, *, scale: float = 1.0, digits: int = 2) -> str:
    """Return the median with the lowest and the highest run beside it."""
    low, high = min(values) * scale, max(values) * scale
    return f"{median(values) * scale:,.{digits}f}{unit} ({low:,.{digits}f}–{high:,.{digits}f})"


def milliseconds(values: Series) -> str:
    """Return seconds as milliseconds."""
    return shown(values, " ms", scale=1000)


def per_second(values: Series) -> str:
    """Return rates."""
    return shown(values, "/s", digits=0)


def times(values: Series) -> str:
    """Return ratios."""
    return shown(values, " ×")


def table(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    words = {True: "yes", False: "**no**", None: "–"}
    lines = [
        "| what | measured | floor | ratio | target | met |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row.name} | {row.measured} | {row.floor} | {row.ratio} | {row.target} | {words[row.met]} |"
            for row in rows
        ),
    ]
    return "\n".join(lines)
