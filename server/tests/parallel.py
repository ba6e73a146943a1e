"""Work at the same moment, each in a thread with a connection of its own."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any, TypeVar

from django.db import connections

from irefuda_core.refusal import Refused

Result = TypeVar("Result")


def together(number: int, act: Callable[[int], Result]) -> list[Result]:
    """Return what `act(0)`, `act(1)`, … give, all started at once."""
    barrier = Barrier(number)

    def one(index: int) -> Result:
        try:
            # Connected first, so that nobody is late because of that.
            connections["default"].ensure_connection()
            barrier.wait()
            return act(index)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


def outcome(call: Callable[..., object], **named: Any) -> str:
    """Return what became of one racer: "done", or the codes of its refusal."""
    try:
        call(**named)
    except Refused as refused:
        return " ".join(reason.code for reason in refused.refusals)
    return "done"
