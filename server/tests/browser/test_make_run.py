"""The program behind `make run`: a second start prepares nothing, the end leaves nothing, a taken port is explained."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from practice_city import RUN, running

# Once is enough: the city has a database of its own, whatever the other tests run on.
pytestmark = pytest.mark.browser

PREPARING = "[1/4]"


def children(pid: int) -> set[int]:
    """Return every process that descends from this one."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            # The name stands in parentheses and may hold anything; the parent is the second word behind it.
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
    found: set[int] = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")


def alive(pids: set[int]) -> set[int]:
    """Return which of these processes still run."""
    return {pid for pid in pids if Path(f"/proc/{pid}").exists()}


def test_the_city_comes_up_twice_prepares_once_and_goes_down_whole(tmp_path: Path) -> None:
    with running(tmp_path / "city") as city:
        assert PREPARING in city.said
        port = city.origin.rsplit(":", 1)[1]
        request = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": f"localhost:{port}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert "電子入札ポータルサイト" in answer.read().decode()
        environment = {**os.environ, "PORT": port, "IREFUDA_STATE_DIR": str(tmp_path / "other")}
        second = subprocess.run([sys.executable, str(RUN)], env=environment, capture_output=True, text=True, timeout=30)
        assert second.returncode == 1
        assert f"ポート {port}" in second.stdout
        assert "PORT=8100 make run" in second.stdout
        started = children(city.process.pid)
        assert len(started) >= 8  # six programs, three web workers among them
        city.process.send_signal(signal.SIGTERM)
        city.process.wait(timeout=30)
        deadline = time.monotonic() + 5
        while alive(started) and time.monotonic() < deadline:
            time.sleep(0.05)  # a process that has ended is reaped a moment later
        assert alive(started) == set()
    with running(tmp_path / "city") as city:
        assert PREPARING not in city.said


def test_when_one_program_ends_the_others_end_too(tmp_path: Path) -> None:
    with running(tmp_path / "city") as city:
        started = children(city.process.pid)
        (outbox,) = (pid for pid in started if "send_notices" in command_of(pid))
        os.kill(outbox, signal.SIGKILL)
        assert city.process.wait(timeout=30) == 1
        assert alive(started) == set()
