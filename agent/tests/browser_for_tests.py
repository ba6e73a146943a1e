"""What is asked of every state of every page: it fits, axe-core finds nothing; and pictures for whoever looks."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Error, Page

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
_TAGS = {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}


def axe(page: Page) -> list[str]:
    """Return the violations of WCAG 2.2 AA and of good practice in the page as it is now."""
    found = Axe().run(page, options={"runOnly": _TAGS, "resultTypes": ["violations"]})
    return [f"{v['id']}: {node['html']}" for v in found.response["violations"] for node in v["nodes"]]


def fits(page: Page, name: str) -> None:
    """Check that the page does not scroll sideways at 480 and at 320 px; take pictures where they are asked for."""
    for width in (480, 320):
        page.set_viewport_size({"width": width, "height": 680})
        assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        if directory := os.environ.get("IREFUDA_PICTURES"):
            page.screenshot(path=str(Path(directory) / f"{name}-{width}.png"), full_page=True)


def state(page: Page, name: str) -> None:
    """Check a state of a page: it fits, and axe-core finds nothing."""
    fits(page, name)
    assert axe(page) == [], name


def press(page: Page) -> Page:
    """Press the site's button and return the popup."""
    with page.expect_popup() as popup:
        page.get_by_role("button", name="登録").click()
    return popup.value


def press_last(popup: Page, button: str, *, keyboard: bool = False) -> None:
    """Press a button that closes its window, which may be gone before the press has come to its end."""
    found = popup.get_by_role("button", name=button, exact=True)
    with popup.expect_event("close"), contextlib.suppress(Error):
        if keyboard:
            found.press("Enter")
        else:
            found.click()


def site_entry(origin: str) -> str:
    """Return the lines of a practice site in the program's settings."""
    return f'[[sites]]\norigin = "{origin}"\nrealm = "practice"\nname = "入札市（練習）"\n'


@contextlib.contextmanager
def watched(browser: Browser, **options: object) -> Iterator[BrowserContext]:
    """Yield a fresh browser profile; any console error or violation of the content policy fails the test."""
    opened = browser.new_context(viewport={"width": 900, "height": 700}, locale="ja-JP", **options)  # type: ignore[arg-type]
    complaints: list[str] = []
    opened.on("console", lambda m: complaints.append(m.text) if m.type == "error" else None)
    opened.on("weberror", lambda e: complaints.append(str(e.error)))
    yield opened
    opened.close()
    assert complaints == []
