"""What the companion program's tests share: a token store, and the running program."""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from agent_for_tests import SITE, Agent, starting
from browser_for_tests import ARGUMENTS, CHROMIUM, watched
from cards_for_tests import TestCard, TokenStore, make_card
from playwright.sync_api import Browser, BrowserContext, Playwright, sync_playwright
from virtual_card import Readers, VirtualCard

from irefuda_core.canonical import canonical_json
from irefuda_core.documents import ENVELOPE, registration_application


@pytest.fixture
def application() -> Callable[..., str]:
    """Return a maker of registration applications: complete, for the production site unless changed."""

    def make(**changes: str) -> str:
        values = dict.fromkeys((*ENVELOPE, *(field.key for field in registration_application.fields)), "値")
        values |= {"type": "registration-application", "realm": "production", "origin": SITE}
        values |= {
            "document_id": "0f6a5f1e-3c5c-4d5f-9d0a-6a7f1f1b8a11",
            "issued_at": "2026-11-24T09:00:00+09:00",
            "agency_code": "9991",
            "supplier_number": "990000001",
            "certificate_serial": "77",
            "certificate_expires_on": "2027/03/31",
            "certificate_fingerprint": "ab" * 32,
        }
        values |= {"company_name": "株式会社山田建設", "person_in_charge": "係長"}
        return canonical_json({**values, **changes}).decode()

    return make


@pytest.fixture(scope="session")
def good_card() -> TestCard:
    return make_card()


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return TokenStore(tmp_path / "store")


@pytest.fixture
def start_agent(tmp_path: Path) -> Iterator[Callable[..., Agent]]:
    with starting(tmp_path) as start:
        yield start


@pytest.fixture(scope="module")
def shared_agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """A program with an empty reader, for tests that only knock at its door."""
    directory = tmp_path_factory.mktemp("shared")
    with starting(directory) as start:
        yield start(conf=TokenStore(directory / "store").conf)


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright, which has the thread's event loop: a module with browser tests can call no asyncio.run()."""
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield chromium
    chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with watched(browser) as opened:
        yield opened


@pytest.fixture(scope="session")
def two_readers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Readers]:
    """pcscd with two virtual card readers, both empty."""
    readers = Readers(tmp_path_factory.mktemp("readers"), ports=neighbouring_ports())
    readers.wait_until_ready()
    yield readers
    readers.stop()


def neighbouring_ports() -> tuple[int, int]:
    """Return two free ports side by side, below those that the system gives out by itself meanwhile."""
    while True:
        first = 20000 + secrets.randbelow(8000)
        with contextlib.suppress(OSError), socket.create_server(("", first)), socket.create_server(("", first + 1)):
            return first, first + 1


@pytest.fixture
def insert(two_readers: Readers) -> Iterator[Callable[..., VirtualCard]]:
    """Yield a function that puts a card into a reader (0 or 1); all are pulled at the end."""
    inserted: list[VirtualCard] = []

    def put(card: VirtualCard, reader: int = 0) -> VirtualCard:
        inserted.append(card)
        card.insert(two_readers.ports[reader])
        return card

    yield put
    for card in inserted:
        card.pull()
