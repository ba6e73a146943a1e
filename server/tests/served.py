"""The site as production serves it, on a loopback port of its own, and a browser page that notes everything wrong."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from tools.run import web

MANAGE = Path(__file__).resolve().parents[1] / "manage.py"
CHROMIUM = {"executable_path": "/usr/bin/chromium", "args": ["--no-sandbox"]}
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(*, database_url: str, state_dir: Path, site: str = "supplier") -> Iterator[str]:
    """Serve one of the sites with granian and yield its origin; the process ends with the block."""
    port = free_port()
    host = {"supplier": "localhost", "public": "open.localhost", "staff": "staff.localhost"}[site]
    origin = f"http://{host}:{port}"
    origins = {
        "IREFUDA_SUPPLIER_ORIGIN": "http://localhost:8000",
        "IREFUDA_PUBLIC_ORIGIN": "http://open.localhost:8002",
        f"IREFUDA_{site.upper()}_ORIGIN": origin,
    }
    environment = {
        **os.environ,
        **origins,
        "DJANGO_SETTINGS_MODULE": "irefuda.config.settings",
        "DATABASE_URL": database_url,
        "IREFUDA_SITE": site,
        "IREFUDA_STATE_DIR": str(state_dir),
    }
    subprocess.run(
        [sys.executable, str(MANAGE), "collectstatic", "--noinput", "-v0"], env=environment, check=True, timeout=60
    )
    with (state_dir / f"{site}.log").open("wb") as log:
        server = subprocess.Popen(web(site, port), env=environment, stdout=log, stderr=subprocess.STDOUT)
        try:
            _await(f"http://127.0.0.1:{port}/", host=f"{host}:{port}", server=server)
            yield origin
        finally:
            server.terminate()
            server.wait(timeout=20)


def _await(address: str, *, host: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            urllib.request.urlopen(urllib.request.Request(address, headers={"Host": host}), timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the site did not answer at {address}")


class Watched:
    """A browser page together with every console error, script error and blocked item it has met."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.wrong: list[str] = []
        page.on("console", lambda message: message.type == "error" and self.wrong.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        page.on("requestfailed", self._note_failure)
        page.expose_function("noteViolation", lambda directive: self.wrong.append(f"CSP: {directive}"))
        page.add_init_script(
            "addEventListener('securitypolicyviolation', (event) => noteViolation(event.violatedDirective))"
        )

    def _note_failure(self, request: Any) -> None:
        # Aborted is what the browser calls an icon that was still on its way when the page was left.
        if request.failure != "net::ERR_ABORTED":
            self.wrong.append(f"request: {request.url} {request.failure}")

    def axe(self) -> list[str]:
        """Return the violations of WCAG 2.2 AA and of good practice that axe-core finds in the page as it is now."""
        found = Axe().run(self.page, options={"runOnly": AXE_TAGS, "resultTypes": ["violations"]})
        return [
            f"{violation['id']}: {node['html']}"
            for violation in found.response["violations"]
            for node in violation["nodes"]
        ]

    def scrolls_sideways(self) -> bool:
        """Return whether the page is wider than its window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))
