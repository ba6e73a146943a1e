"""Connections that are opened and then say nothing, or stop in the middle of their first line."""

from __future__ import annotations

import resource
import selectors
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def silent(port: int, count: int, *, first: bytes = b"") -> Iterator[list[socket.socket]]:
    """Hold so many connections open, each after sending `first` and nothing more."""
    with ExitStack() as stack:
        lines = []
        for _ in range(count):
            line = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            line.sendall(first)
            lines.append(line)
        yield lines


def ended(lines: list[socket.socket]) -> int:
    """Return how many of them the server has answered or hung up."""
    with selectors.DefaultSelector() as selector:
        for line in lines:
            selector.register(line, selectors.EVENT_READ)
        return len(selector.select(timeout=0))


def allow_files(count: int) -> None:
    """Let this process and its children hold so many files open.

    :raises ValueError: when the machine's own limit is lower
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))
