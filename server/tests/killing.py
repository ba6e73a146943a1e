"""SIGKILL from outside at every commit boundary and external call, found by running the work once and watching it.

`Victims` (in the test) talks to this file run as a program. That program forks a fresh child for each run; the child
counts its boundaries (before and after every SQL statement, COMMIT, SMTP send and reply, rename), tells each to the test,
and at the one it was asked for it stops dead until the test kills it.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import Callable
from typing import Any


class Victims:
    """Run `kill_tasks.<task>` in processes that die where they are told to."""

    def __init__(self, *, database_url: str, **env: str) -> None:
        settings = {"DJANGO_SETTINGS_MODULE": "irefuda.config.settings", "DATABASE_URL": database_url}
        self._program = subprocess.Popen(
            [sys.executable, __file__],
            env={**os.environ, **settings, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Victims:
        return self

    def __exit__(self, *exc: object) -> None:
        self._program.communicate()

    def run(self, task: str, *, stop_at: int = 0, **arguments: Any) -> list[str]:
        """Run a task and return the boundaries that it passed; with `stop_at`, kill it at that one (counted from 1)."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        print(
            json.dumps({"task": task, "stop_at": stop_at, "arguments": arguments}), file=self._program.stdin, flush=True
        )
        passed: list[str] = []
        pid = 0
        while True:
            word, _, rest = self._program.stdout.readline().strip().partition(" ")
            if word == "pid":
                pid = int(rest)
            elif word == "passed":
                passed.append(rest)
                if len(passed) == stop_at:
                    assert pid, "a signal to 0 would kill the test run itself"
                    os.kill(pid, signal.SIGKILL)
            elif word == "ended":
                assert int(rest) == (-signal.SIGKILL if stop_at else 0), f"{task} ended with {rest} after {passed[-3:]}"
                return passed
            else:
                raise AssertionError(f"the program said {word!r} {rest!r} after {passed[-3:]}")


def every_boundary(victims: Victims, task: str, prepare: Callable[[], Any], **arguments: Any) -> list[str]:
    """Return the boundaries of one undisturbed run, for the test to go through one by one."""
    prepare()
    boundaries = victims.run(task, **arguments)
    assert boundaries, "nothing was watched"
    return boundaries


def _tell(*words: object) -> None:
    os.write(1, (" ".join(str(word) for word in words) + "\n").encode())


def _watch(stop_at: int) -> None:
    """Put a boundary before and after everything that another process or the disk can see."""
    from django.db import connection

    count = 0

    def boundary(name: str) -> None:
        nonlocal count
        count += 1
        _tell("passed", name)
        while count == stop_at:
            signal.pause()

    def around(call: Callable[..., Any], name: Callable[..., str]) -> Callable[..., Any]:
        @functools.wraps(call)
        def watched(*args: Any, **kwargs: Any) -> Any:
            what = name(*args)
            boundary(f"before {what}")
            result = call(*args, **kwargs)
            boundary(f"after {what}")
            return result

        return watched

    def statement(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        return around(execute, lambda sql, *_: f"sql {' '.join(sql.split()[:3])}")(sql, params, many, context)

    connection.execute_wrappers.append(statement)
    connection._commit = around(connection._commit, lambda: "COMMIT")  # type: ignore[attr-defined]

    last = "greeting"

    def sent(_: smtplib.SMTP, content: bytes | str) -> str:
        nonlocal last
        first = content if isinstance(content, str) else content.decode("ascii", "replace")
        verb = first.split()[0].upper() if first.strip() else ""
        last = verb if verb in {"EHLO", "MAIL", "RCPT", "DATA", "RSET", "QUIT"} else "CONTENT"
        return f"smtp send {last}"

    smtplib.SMTP.send = around(smtplib.SMTP.send, sent)  # type: ignore[method-assign]
    smtplib.SMTP.getreply = around(smtplib.SMTP.getreply, lambda _: f"smtp reply to {last}")  # type: ignore[method-assign]
    smtplib.SMTP.connect = around(smtplib.SMTP.connect, lambda *_: "smtp connect")  # type: ignore[method-assign]
    os.rename = around(os.rename, lambda *_: "rename")


def main() -> None:
    import django

    django.setup()
    tasks = importlib.import_module("kill_tasks")
    for line in sys.stdin:
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                # By the child itself, and first: from its parent the number might come after the first boundary.
                _tell("pid", os.getpid())
                _watch(order["stop_at"])
                getattr(tasks, order["task"])(**order["arguments"])
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        _tell("ended", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


if __name__ == "__main__":
    main()
