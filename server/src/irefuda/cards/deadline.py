"""A time limit for all that a server says: a socket's own is per read, and who sends a byte now and then never trips it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
import urllib.request
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import Any, Self


class Deadline:
    """Cuts the connection it watches when the time is over; the reader then finds an error, or an early end."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds
        self._watched: socket.socket | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    @property
    def over(self) -> bool:
        """Return whether the time is over; then nothing that was read is whole."""
        return time.monotonic() >= self._ends

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._forget()

    def watch(self, connected: socket.socket) -> None:
        """Watch this connection instead of the one before.

        :raises TimeoutError: when the time is over already
        """
        with self._lock:
            if self.over:
                raise TimeoutError("the time is over")
            self._forget()
            # A handle of our own: TLS takes the socket's away while it greets, and a closed one's number is given anew.
            self._watched = connected.dup()

    def _cut(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            if self._watched is not None:
                self._watched.shutdown(socket.SHUT_RDWR)

    def _forget(self) -> None:
        if self._watched is not None:
            self._watched.close()
            self._watched = None


class Http(urllib.request.HTTPHandler):
    """Open http addresses under a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._connection, req)

    def _connection(self, host: str, **options: Any) -> _Watched:
        connection = _Watched(host, **options)
        connection.deadline = self._deadline
        return connection


class Https(urllib.request.HTTPSHandler):
    """Open https addresses under a deadline."""

    def __init__(self, deadline: Deadline) -> None:
        super().__init__()
        self._deadline = deadline

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._connection, req)

    def _connection(self, host: str, **options: Any) -> _WatchedSecure:
        connection = _WatchedSecure(host, **options)
        connection.deadline = self._deadline
        return connection


class _Watched(HTTPConnection):
    deadline: Deadline

    def connect(self) -> None:
        super().connect()
        self.deadline.watch(self.sock)


class _WatchedSecure(HTTPSConnection, _Watched):
    """Watched before TLS begins: HTTPSConnection lets the class behind it connect, and only then greets."""
