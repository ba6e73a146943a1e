"""The real program on real ports, and a client that speaks to it as its own page does."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from cards_for_tests import SOFTHSM


def free_ports(count: int) -> list[int]:
    """Return free ports of the loopback address."""
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [listener.getsockname()[1] for listener in listeners]
    for listener in listeners:
        listener.close()
    return ports


@dataclass
class Agent:
    """A running companion program, and a client that speaks as its own page does."""

    port: int
    ports: list[int]
    process: subprocess.Popen[str]
    settings: Path
    headers: dict[str, str] = field(default_factory=dict)
    dialogue: str = ""

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def open_popup(self) -> str:
        """Load the popup page as a browser does and remember its secret and dialogue."""
        answer = client.get(self.origin + "/", headers=NAVIGATION)
        assert answer.status_code == 200
        secret, self.dialogue = (
            answer.text.split(f'data-{name}="')[1].split('"')[0] for name in ("secret", "dialogue")
        )
        self.headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", "X-Card-Agent-Secret": secret}
        return answer.text

    def call(self, path: str, **body: object) -> dict:
        """Return the answer to a call of the popup's script."""
        answer = client.post(
            self.origin + path, json={"dialogue": self.dialogue, **body}, headers=self.headers, timeout=40
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    def begin(self, **message: object) -> dict:
        """Return the answer to a site's first message in a new popup: a login unless `message` says otherwise."""
        self.open_popup()
        asked = {"v": 1, "purpose": "利用者登録", "type": "authenticate", "nonce": NONCE, **message}
        if asked["type"] == "sign":
            del asked["nonce"]
        return self.call("/api/begin", origin=SITE, message=asked)

    def look(self) -> dict:
        """Return the first look at the readers."""
        with self.looks() as looks:
            return next(looks)

    @contextlib.contextmanager
    def looks(self) -> Iterator[Iterator[dict]]:
        """Yield the looks at the readers, as they come, while the popup listens."""
        body = {"dialogue": self.dialogue}
        with client.stream("POST", self.origin + "/api/cards", json=body, headers=self.headers, timeout=40) as answer:
            yield map(json.loads, answer.iter_lines())


# One client for all: making one costs 50 ms of TLS set-up that loopback http never uses.
client = httpx.Client(verify=False, limits=httpx.Limits(max_keepalive_connections=0))
NAVIGATION = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
SITE = "https://bid.example.jp"
NONCE = "n" * 44


def settings_text(ports: list[int], *, sites: str = "", module: str = SOFTHSM) -> str:
    """Return a settings file with one production site, and with `sites`."""
    return f"""ports = {ports}
modules = ["{module}"]
passphrase = "りんごと青い海"

[[sites]]
origin = "{SITE}"
realm = "production"
name = "青い市 電子入札システム"
{sites}"""


def wait_until_answering(port: int) -> None:
    """Return when the program answers on this port."""
    for _ in range(100):
        try:
            client.get(f"http://127.0.0.1:{port}/", timeout=2)
            return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the program does not answer")


@contextlib.contextmanager
def starting(directory: Path) -> Iterator[Callable[..., Agent]]:
    """Yield a starter of real programs; each is ended, by its own process id, with the block."""
    running: list[subprocess.Popen[str]] = []

    def start(
        *,
        conf: Path | None = None,
        sites: str = "",
        ports: list[int] | None = None,
        module: str = SOFTHSM,
        environment: Mapping[str, str] | None = None,
    ) -> Agent:
        ports = ports or free_ports(3)
        settings = directory / f"agent{len(running)}.toml"
        settings.write_text(settings_text(ports, sites=sites, module=module), encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "irefuda_agent", "serve", "--settings", str(settings)],
            env={**os.environ, "SOFTHSM2_CONF": str(conf), "PYTHONIOENCODING": "utf-8", **(environment or {})},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "起動しました" in line, line
        port = int(line.split("ポート ")[1].split("）")[0])
        wait_until_answering(port)
        return Agent(port, ports, process, settings)

    try:
        yield start
    finally:
        for process in running:
            process.terminate()
            process.wait(10)
            assert process.stdout is not None
            process.stdout.close()


def choice(card: dict) -> dict:
    """Return how a card of the list is named in a call."""
    return {key: card[key] for key in ("module", "slot_id", "token_serial", "fingerprint")}


def codes(answer: dict) -> list[str]:
    """Return the codes of an answer's refusals."""
    return [reason["code"] for reason in answer["refusals"]]


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """Return the worker processes of a program."""
    found = []
    for child in process.children(recursive=True):
        try:
            if "irefuda_agent.worker" in child.cmdline():
                found.append(child)
        except psutil.NoSuchProcess:
            continue
    return found


def wait_for(condition: Callable[[], object], seconds: float = 5) -> None:
    """Return when the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true in time"
        time.sleep(0.05)
