"""Somebody at a browser with the real card agent: walks, types the PIN in the popup, and looks at every page."""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, Locator, Page, expect
from practice_city import PracticeCity
from served import Watched

CONTACT = {
    "department": "総務部",
    "postal_code": "０３０ー０８０１",
    "address": "青森市新町1-2-3",
    "person": "青森 花子",
    "phone": "017-000-0000",
    "fax": "017-000-0001",
    "email": "hanako@example.jp",
    "email_again": "hanako@example.jp",
}


class Person:
    """Someone at a browser: walks, is asked for the PIN in the popup, and looks at every page."""

    def __init__(self, context: BrowserContext, city: PracticeCity, width: int) -> None:
        self.context, self.city, self.width = context, city, width
        self.seen = 0
        self.hosts: set[str] = set()
        context.on("request", lambda request: self.hosts.add(request.url.split("/")[2]))
        self.watched = Watched(context.new_page())
        self.page = self.watched.page

    def go(self, path: str) -> None:
        self.page.goto(self.city.origin + path)
        self.look(path)

    def look(self, name: str, watched: Watched | None = None) -> None:
        """Judge the page as it stands now."""
        watched = watched or self.watched
        assert watched.axe() == [], name
        assert not watched.scrolls_sideways(), name
        assert watched.wrong == [], name
        if directory := os.environ.get("IREFUDA_PICTURES"):
            self.seen += 1
            file = f"{self.width}-{self.seen:02d}-{name.strip('/').replace('/', '-') or 'portal'}.png"
            watched.page.screenshot(path=str(Path(directory) / file), full_page=True)

    def press(self, button: str, *, keyboard: bool = False) -> None:
        found = self.page.get_by_role("button", name=button, exact=True)
        if keyboard:
            found.focus()
            self.page.keyboard.press("Enter")
        else:
            found.click()

    def follow(self, link: Locator) -> None:
        """Press what leads to another page, and wait for that page: a click returns before its answer has come."""
        with self.page.expect_navigation():
            link.click()

    def open_print(self) -> Page:
        """Open the print page in its new tab, and wait for it: until then the tab is an empty one."""
        with self.context.expect_page() as opened:
            self.page.get_by_role("link", name="印刷（新しいタブで開きます）").click()
        printed = opened.value
        printed.wait_for_url("**/print/**")
        return printed

    def present(self, button: str, card: dict[str, str], *, person: str = "係 花子", keyboard: bool = False) -> None:
        """Press the button that opens the popup, choose the card, and type the PIN there."""
        with self.page.expect_popup() as opened:
            self.press(button, keyboard=keyboard)
        popup = opened.value
        choose(popup, card, keyboard=keyboard)
        if keyboard:
            popup.get_by_label("PIN番号:").focus()
            popup.keyboard.type(card["pin"])
            if popup.get_by_label("担当者:").is_editable():
                popup.keyboard.press("Tab")
                popup.keyboard.type(person)
            popup.keyboard.press("Enter")
            return
        popup.get_by_label("PIN番号:").fill(card["pin"])
        if popup.get_by_label("担当者:").is_editable():
            popup.get_by_label("担当者:").fill(person)
        popup.get_by_role("button", name="OK").click()


def choose(popup: Page, card: dict[str, str], *, keyboard: bool = False) -> None:
    row = popup.locator("label.card", has_text=card["holder"])
    row.wait_for()
    radio = row.locator("input")
    if keyboard:
        radio.focus()
        popup.keyboard.press("Space")
    else:
        radio.check()
    expect(radio).to_be_checked()


class as_person:
    def __init__(self, browser: Any, city: PracticeCity, width: int) -> None:
        self.context = browser.new_context(
            viewport={"width": width, "height": 800}, locale="ja-JP", ignore_https_errors=True
        )
        self.person = Person(self.context, city, width)

    def __enter__(self) -> Person:
        return self.person

    def __exit__(self, *_: object) -> None:
        self.context.close()


def fill(page: Page, prefix: str) -> None:
    for name, value in CONTACT.items():
        page.locator(f"[name={prefix}-{name}]").fill(value)


def look_up(person: Person, card: dict[str, str], *, keyboard: bool = False) -> None:
    person.page.get_by_label("業者番号").fill(card["supplier_number"])
    person.page.get_by_label("商号又は名称").fill(card["register_name"])
    person.press("検索", keyboard=keyboard)
    person.page.wait_for_url("**/contacts/")


def fetched(page: Page, name: str) -> bytes:
    """Return what stands beside the page's address, asked for with the browser's own session."""
    encoded = page.evaluate(
        """async (name) => {
            const answer = await fetch(name);
            if (!answer.ok) throw new Error(answer.status);
            return btoa(Array.from(new Uint8Array(await answer.arrayBuffer()), (b) => String.fromCharCode(b)).join(""));
        }""",
        name,
    )
    return base64.b64decode(encoded)


def verified(page: Page, city: PracticeCity, directory: Path) -> int:
    """Save receipt and keys as the pages offer them, and return what the citizen's checker says."""
    (directory / "receipt.json").write_bytes(fetched(page, "receipt.json"))
    host, port = city.public_origin.removeprefix("http://").split(":")
    keys = urllib.request.Request(f"http://127.0.0.1:{port}/ledger/keys.json", headers={"Host": f"{host}:{port}"})
    with urllib.request.urlopen(keys, timeout=10) as answer:
        (directory / "ledger-keys.json").write_bytes(answer.read())
    command = [sys.executable, "-m", "irefuda_verify", "receipt", str(directory / "receipt.json")]
    return subprocess.run(command, check=False, capture_output=True).returncode
