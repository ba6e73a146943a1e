"""That a wish to stop may be made at any instant, also in the middle of waiting for one."""

from __future__ import annotations

import sys
import threading
from types import FrameType
from typing import Any

import pytest

from irefuda.ui.stopping import StopRequest


def interrupted(wait: Any, wish: Any, *, at: int) -> bool:
    """Return whether `wait` still ends when the n-th line that it runs is interrupted by `wish`, as a signal would."""
    lines = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal lines
        if event == "line":
            lines += 1
            if lines == at:
                wish()
        return trace

    def run() -> None:
        sys.settrace(trace)
        wait()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(1)
    return not thread.is_alive()


@pytest.mark.parametrize("at", range(1, 3))
def test_a_wish_in_the_middle_of_the_wait_ends_it(at):
    stop = StopRequest()
    assert interrupted(lambda: stop.wait(0.1), stop.make, at=at)
    assert stop.made
    stop.close()


def test_an_event_would_not_do():
    event = threading.Event()
    assert not all(interrupted(lambda: event.wait(0.1), event.set, at=n) for n in range(1, 12))


def test_a_wish_that_was_made_is_not_waited_for():
    stop = StopRequest()
    stop.make()
    thread = threading.Thread(target=lambda: stop.wait(60), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    stop.close()
