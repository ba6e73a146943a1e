"""A browser without a screen for the benchmark: keep-alive, cookies, the rendered forms, and bursts over many connections.

It measures from the first byte sent to the last byte received, and does as little else as it can: client, server and
database share the machine's cores.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from urllib.parse import urlencode


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and how long it took."""

    status: int
    headers: dict[str, str]
    cookies: dict[str, str]
    body: bytes
    seconds: float

    @property
    def text(self) -> str:
        """Return the page."""
        return self.body.decode()

    @property
    def location(self) -> str:
        """Return where a redirect leads."""
        return self.headers["location"]


@dataclass
class Form:
    """A form of a rendered page with what its fields hold."""

    action: str
    fields: dict[str, str] = field(default_factory=dict)


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[Form] = []
        self._open: Form | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "form":
            self._open = Form(given.get("action") or "")
            self.found.append(self._open)
        elif tag == "input" and self._open is not None and given.get("name"):
            self._open.fields[str(given["name"])] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._open = None


def form_with(page: str, name: str) -> Form:
    """Return the form of the page that has this field."""
    parser = _Forms()
    parser.feed(page)
    return next(form for form in parser.found if name in form.fields)


class Browser:
    """One person's browser behind the proxy: an address of its own, cookies of its own, one connection."""

    def __init__(self, *, port: int, address: str) -> None:
        self.port, self.address = port, address
        self.cookies: dict[str, str] = {}
        self._socket: socket.socket | None = None

    def request(self, method: str, path: str, fields: dict[str, str] | None = None) -> bytes:
        """Return the bytes of a request with this browser's cookies."""
        body = urlencode(fields).encode() if fields is not None else b""
        head = [f"{method} {path} HTTP/1.1", f"Host: localhost:{self.port}", f"X-Forwarded-For: {self.address}"]
        if self.cookies:
            head.append("Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        if method == "POST":
            head += ["Content-Type: application/x-www-form-urlencoded", f"Content-Length: {len(body)}"]
        return "\r\n".join([*head, "", ""]).encode() + body

    def get(self, path: str) -> Answer:
        """Ask for a page."""
        return self._send(self.request("GET", path))

    def post(self, path: str, fields: dict[str, str]) -> Answer:
        """Send a form."""
        return self._send(self.request("POST", path, fields))

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, request: bytes) -> Answer:
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self.port))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        started = time.perf_counter()
        self._socket.sendall(request)
        received = b""
        while (answer := parsed(received, time.perf_counter() - started)) is None:
            chunk = self._socket.recv(262_144)
            if not chunk:
                raise ConnectionError(f"hung up after {received[:200]!r}")
            received += chunk
        for name, value in answer.cookies.items():
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer


def parsed(received: bytes, seconds: float) -> Answer | None:
    """Return the answer, or None while it is not complete."""
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    lines = head.decode("latin-1").split("\r\n")
    headers, cookies = {}, {}
    for line in lines[1:]:
        name, _, value = line.partition(": ")
        if name.lower() == "set-cookie":
            cookie, _, content = value.split(";", 1)[0].partition("=")
            cookies[cookie] = "" if "Max-Age=0" in value else content
        else:
            headers[name.lower()] = value
    if len(body) < int(headers["content-length"]):
        return None
    return Answer(int(lines[0].split()[1]), headers, cookies, body, seconds)


@dataclass(frozen=True, slots=True)
class Burst:
    """What became of many requests: answers a second, and the slowest of twenty."""

    per_second: float
    p95: float


def burst(requests: Sequence[bytes], *, port: int, connections: int, expected: int) -> Burst:
    """Send the requests over so many connections at once, each as soon as the one before it is answered.

    :raises RuntimeError: for an answer of another status than expected: a refusal is quick, and proves nothing
    """
    waiting = deque(requests)
    selector = selectors.DefaultSelector()
    received: dict[socket.socket, bytes] = {}
    sent_at: dict[socket.socket, float] = {}
    took: list[float] = []

    def send_next(line: socket.socket) -> None:
        received[line] = b""
        sent_at[line] = time.perf_counter()
        line.sendall(waiting.popleft())

    for _ in range(min(connections, len(requests))):
        line = socket.create_connection(("127.0.0.1", port))
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(line, selectors.EVENT_READ)
    started = time.perf_counter()
    for key in list(selector.get_map().values()):
        send_next(key.fileobj)  # type: ignore[arg-type]
    while len(took) < len(requests):
        for key, _ in selector.select():
            line = key.fileobj  # type: ignore[assignment]
            chunk = line.recv(262_144)
            if not chunk:
                raise ConnectionError(f"hung up after {received[line][:200]!r}")
            received[line] += chunk
            answer = parsed(received[line], time.perf_counter() - sent_at[line])
            if answer is None:
                continue
            if answer.status != expected:
                raise RuntimeError(f"{answer.status} instead of {expected}: {answer.text[-2000:]}")
            took.append(answer.seconds)
            if waiting:
                send_next(line)
    elapsed = time.perf_counter() - started
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    return Burst(len(requests) / elapsed, sorted(took)[int(len(took) * 0.95)])
