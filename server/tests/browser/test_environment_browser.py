"""利用環境の確認 in Chromium with the real card agent: every item made to fail, and all of it good.

The site is served as in production, the cards are in SoftHSM2 or in a virtual reader, and the certificate is judged by a
trust store that was filled by the commands of staff.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_for_tests import free_ports, settings_text, wait_until_answering
from browser_for_tests import press_last, site_entry
from builders import make_authority
from cards_for_tests import SOFTHSM, TestCard, TokenStore
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from pki_builder import POLICY, Authority
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright
from served import CHROMIUM, MANAGE, Watched, served
from virtual_card import OPENSC, Readers

from irefuda.cards import releases
from irefuda_core.check_code import BROWSERS, ITEMS, STATES, SYSTEMS, CheckResult, read_check_code

pytestmark = [pytest.mark.browser, pytest.mark.virtual_card]

KEYS = ("browser", "cookie", "popup", "agent", "reader", "card", "certificate", "clock")
AGENT_ITEMS = ("agent", "reader", "card", "certificate")
START = "確認をはじめる"
SEND = "確認結果をサイトに送る"


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority()


@pytest.fixture(scope="module")
def agent_ports() -> list[int]:
    return free_ports(3)


def issue(authority: Authority, company: str, **varied: Any) -> TestCard:
    issued = authority.card(company=company, **varied)
    return TestCard(issued.certificate, issued.key)


@pytest.fixture(scope="module")
def cards(authority: Authority) -> dict[str, TestCard]:
    return {
        "good": issue(authority, "良い会社", key=rsa.generate_private_key(65537, 2048)),
        "expired": issue(authority, "期限切れの会社", ends=timedelta(days=-1)),
        "revoked": issue(authority, "失効した会社"),
        "unknown": issue(Authority(label="stranger", at=authority.at), "知らない認証局の会社"),
    }


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site's folder of agent releases, with nothing in it."""
    return tmp_path_factory.mktemp("releases")


@pytest.fixture
def newer_agent(shelf: Path, settings: Any) -> Iterator[str]:
    """Offer a later version of the agent on the site while the test runs."""
    settings.AGENT_RELEASES = str(shelf)
    file = "irefuda-card-agent_9.0.0_amd64.deb"
    key = Ed25519PrivateKey.generate()
    releases.publish(file, b"!<arch>\n", key=key, key_name="k", new_key=False, now=datetime.now(UTC))
    yield "9.0.0"
    (shelf / releases.MANIFEST).unlink()


@pytest.fixture(scope="module")
def origin(
    authority: Authority, cards: dict[str, TestCard], agent_ports: list[int], shelf: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:  # fmt: skip
    """Serve the contractors' site with the authority in its trust store."""
    directory = tmp_path_factory.mktemp("site")
    files = {"root": authority.root, "issuing": authority.issuing}
    for name, issued in files.items():
        (directory / name).write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    revoked = {cards["revoked"].certificate.serial_number: authority.at - timedelta(days=2)}
    (directory / "list.crl").write_bytes(authority.crl(revoked=revoked))
    database = f"sqlite:///{directory / 'db.sqlite3'}"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("IREFUDA_AGENT_PORTS", " ".join(map(str, agent_ports)))
        environment.setenv("DJANGO_SETTINGS_MODULE", "irefuda.config.settings")
        environment.setenv("DATABASE_URL", database)
        environment.setenv("IREFUDA_STATE_DIR", str(directory))
        environment.setenv("IREFUDA_AGENT_RELEASES", str(shelf))
        for command in (
            ["migrate", "--verbosity", "0"],
            ["trust", "add", "--name", "試験認証局", "--audience", "supplier", "--root", str(directory / "root"),
             "--intermediate", str(directory / "issuing"), "--policy", POLICY, "--crl", (directory / "list.crl").as_uri(),
             "--demo"],
            ["fetch_revocations"],
        ):  # fmt: skip
            subprocess.run([sys.executable, str(MANAGE), *command], check=True, timeout=60, stdout=subprocess.DEVNULL)
        with served(database_url=database, state_dir=directory) as address:
            yield address


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    # Popups are blocked as for everyone, not let through as for test programs.
    chromium = playwright.chromium.launch(**CHROMIUM, ignore_default_args=["--disable-popup-blocking"])
    yield chromium
    chromium.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(viewport={"width": 1280, "height": 900}, locale="ja-JP")
    yield opened
    opened.close()


# What a test changes in the program before it starts; nothing of this is in the program itself.
BEFORE_IT_STARTS = {
    "": "",
    "old": "import irefuda_agent.check as c; c.VERSION = '0.0.9'",
    "older than check": (
        "import irefuda_agent.dialogue as d; from irefuda_core.refusal import Refused, refusal\n"
        "def read_request(message, site): raise Refused(refusal('C-219'))\n"
        "d.read_request = read_request"
    ),
    "ten minutes slow": (
        "import functools, irefuda_agent.web as w; from datetime import timedelta\n"
        "m.Web = functools.partial(w.Web, clock=lambda: w.now() - timedelta(minutes=10))"
    ),
}

Starter = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start_agent(origin: str, agent_ports: list[int], tmp_path: Path) -> Iterator[Starter]:
    """Yield a starter of agents on the site's ports; each ends with the test, by its own process id."""
    running: list[subprocess.Popen[str]] = []

    def start(
        store: TokenStore | None = None,
        *,
        module: str = SOFTHSM,
        changed: str = "",
        sites: str | None = None,
        **more: str,
    ) -> subprocess.Popen[str]:
        settings = tmp_path / f"agent{len(running)}.toml"
        entry = site_entry(origin) if sites is None else sites
        settings.write_text(settings_text(agent_ports, sites=entry, module=module), encoding="utf-8")
        program = f"import sys, irefuda_agent.__main__ as m\n{BEFORE_IT_STARTS[changed]}\nsys.exit(m.main(['serve', '--settings', {str(settings)!r}]))"  # fmt: skip
        conf = {"SOFTHSM2_CONF": str(store.conf)} if store else {}
        process = subprocess.Popen(
            [sys.executable, "-c", program], env={**os.environ, "PYTHONIOENCODING": "utf-8", **conf, **more},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8",
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert "起動しました" in line, line
        wait_until_answering(agent_ports[0])
        return process

    yield start
    for process in running:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture
def store(tmp_path: Path, cards: dict[str, TestCard]) -> TokenStore:
    made = TokenStore(tmp_path / "store")
    made.insert(cards["good"])
    return made


class Check:
    """The page in one window, and the person in front of it."""

    def __init__(self, context: BrowserContext, origin: str) -> None:
        self.origin = origin
        self.watched = Watched(context.new_page())
        self.page = self.watched.page

    def open(self) -> Check:
        self.page.goto(self.origin + "/environment/")
        return self

    def press(self) -> Page:
        with self.page.expect_popup() as opened:
            self.page.get_by_role("button", name=START).click()
        popup: Page = opened.value
        return popup

    def send(self, company: str = "") -> None:
        """Press the button and agree in the popup, to this company's card or to the one that is chosen already."""
        popup = self.press()
        button = popup.get_by_role("button", name=SEND)
        expect(button).to_be_enabled()
        if company:
            popup.get_by_text(company, exact=True).click()
        button.click()

    def shows(self, **states: str) -> None:
        """Check the state of items; every other one is good."""
        for item in KEYS:
            expect(self.state(item), item).to_have_attribute("data-state", states.get(item, "good"), timeout=15_000)

    def state(self, item: str) -> Any:
        return self.page.locator(f'[data-check="{item}"] .check-state')

    def told(self, item: str) -> str:
        return str(self.page.locator(f'[data-check="{item}"] [data-result]').inner_text())

    def result(self) -> CheckResult:
        """Return what the help desk reads from the page's result code."""
        code = self.page.locator("[data-code]")
        expect(code).to_have_text(re.compile(r"^([0-9A-Z]{4}-){4}[0-9A-Z]{4}$"), timeout=20_000)
        return read_check_code(code.inner_text())

    def looks_right(self, name: str) -> None:
        """Judge the page as it stands now; take pictures at both widths where they are asked for."""
        for width in (320, 1280):
            self.page.set_viewport_size({"width": width, "height": 900})
            assert not self.watched.scrolls_sideways(), (name, width)
            if directory := os.environ.get("IREFUDA_PICTURES"):
                self.page.screenshot(path=str(Path(directory) / f"environment-{name}-{width}.png"), full_page=True)
        assert self.watched.axe() == [], name
        assert self.watched.wrong == [], name


@pytest.fixture
def check(context: BrowserContext, origin: str) -> Check:
    return Check(context, origin)


def test_all_good(check: Check, start_agent: Starter, store: TokenStore) -> None:
    start_agent(store)
    check.open()
    check.shows(**dict.fromkeys(("popup", *AGENT_ITEMS), "yet"))
    check.looks_right("before")
    check.send()
    check.shows()
    expect(check.page.locator("[data-summary]")).to_contain_text("問題は見つかりませんでした。")
    assert "有効期限" in check.told("certificate")
    result = check.result()
    assert result.states == dict.fromkeys(ITEMS, "よい")
    assert (result.codes, result.system, result.agent_version, result.minutes_off) == ({}, "Linux", "0.1.0", 0)
    assert re.fullmatch(r"Chrome \d+", result.browser)
    check.looks_right("good")
    if directory := os.environ.get("IREFUDA_PICTURES"):
        check.page.pdf(path=str(Path(directory) / "environment-good.pdf"), format="A4")
    check.page.emulate_media(media="print")
    for kept in ("[data-summary]", "[data-code]", '[data-check="certificate"]'):
        assert check.page.locator(kept).is_visible()
    assert not check.page.get_by_role("button", name=START).is_visible()


def test_the_agent_is_stopped(check: Check) -> None:
    check.open()
    check.page.evaluate(
        """() => {
        document.querySelector("form[data-environment]").addEventListener("submit", () => { window.pressed = performance.now(); }, {capture: true});
        new MutationObserver((changes, observer) => {
          if (!document.querySelector('[data-check="agent"]').textContent.includes("C-222")) return;
          window.waited = performance.now() - window.pressed;
          observer.disconnect();
        }).observe(document.querySelector("main"), {childList: true, subtree: true});
    }"""
    )
    check.press()
    expect(check.state("agent")).to_have_attribute("data-state", "bad", timeout=15_000)
    assert check.page.evaluate("window.waited") <= 3_000
    check.shows(agent="bad", reader="yet", card="yet", certificate="yet")
    assert "（C-222）" in check.told("agent")
    button = check.page.get_by_role("button", name=START)
    expect(button).to_have_attribute("aria-disabled", "true")
    assert check.page.get_by_role("link", name="補助アプリの入手").get_attribute("href") == "/agent/"
    assert check.result().codes == {"補助アプリ": "C-222"}
    check.looks_right("no-agent")


# As on a slow computer: whatever the agent says before the advice stands on the page comes too late for the first round.
DEAF_AT_FIRST = """let deaf = true;
addEventListener("message", (event) => {
  deaf = deaf && !document.querySelector('[data-check="agent"]').textContent.includes("C-222");
  if (deaf) event.stopImmediatePropagation();
})"""


def test_an_agent_that_answers_after_the_advice_is_still_heard(
    check: Check, start_agent: Starter, store: TokenStore
) -> None:
    start_agent(store)
    check.page.add_init_script(DEAF_AT_FIRST)
    check.open().send()
    check.shows()
    assert check.result().codes == {}
    assert check.page.get_by_role("button", name=START).is_enabled()


def test_the_popup_is_blocked(check: Check, start_agent: Starter, store: TokenStore) -> None:
    start_agent(store)
    # From the page's own timer: no person has pressed anything, so the browser blocks the popup. Nor may this test ask
    # the page before it has tried, because what a test evaluates counts as a person's deed.
    tried = "setTimeout(() => { document.querySelector('form[data-environment] button').click(); console.log('tried'); }, 200)"
    check.page.add_init_script(f"addEventListener('load', () => {tried})")
    with check.page.expect_console_message(lambda message: message.text == "tried"):
        check.open()
    check.shows(popup="bad", **dict.fromkeys(AGENT_ITEMS, "yet"))
    assert "ポップアップの許可が必要です" in check.told("popup")
    assert len(check.page.context.pages) == 1
    assert check.result().states["ポップアップ"] == "問題あり"
    check.looks_right("blocked")


@contextmanager
def pcscd(directory: Path, ports: tuple[int, int] | None) -> Iterator[Readers]:
    readers = Readers(directory, ports=ports)
    try:
        readers.wait_until_ready()
        yield readers
    finally:
        readers.stop()


def test_no_service_no_reader_and_a_reader_without_a_card(check: Check, start_agent: Starter, tmp_path: Path) -> None:
    """Three agents one after the other, each with less missing."""
    check.open()
    process = start_agent(module=OPENSC, PCSCLITE_CSOCK_NAME=str(tmp_path / "nowhere"))
    check.send()
    check.shows(reader="bad", card="yet", certificate="yet")
    assert "（C-201）" in check.told("reader")
    assert check.result().codes == {"カードリーダー": "C-201"}
    process.terminate()
    process.wait(10)
    with pcscd(tmp_path / "none", None) as readers:
        process = start_agent(module=OPENSC, **readers.environment)
        check.send()
        expect(check.page.locator('[data-check="reader"]')).to_contain_text("（C-202）", timeout=15_000)
        check.shows(reader="bad", card="yet", certificate="yet")
        check.looks_right("no-reader")
        process.terminate()
        process.wait(10)
    with pcscd(tmp_path / "two", two_ports()) as readers:
        start_agent(module=OPENSC, **readers.environment)
        check.send()
        check.shows(card="bad", certificate="yet")
        assert "（C-203）" in check.told("card")
        assert check.result().codes == {"ICカード": "C-203"}
        check.looks_right("no-card")


def two_ports() -> tuple[int, int]:
    """Return two free ports side by side, below those that the system gives out by itself meanwhile."""
    while True:
        first = 20000 + random.randrange(8000)
        try:
            with socket.create_server(("", first)), socket.create_server(("", first + 1)):
                return first, first + 1
        except OSError:
            continue


def test_the_certificate_is_expired_revoked_or_of_an_unknown_authority(
    check: Check, start_agent: Starter, store: TokenStore, cards: dict[str, TestCard]
) -> None:
    """One page, one agent, four presses: a person tries one card after the other."""
    for name in ("expired", "revoked", "unknown"):
        store.insert(cards[name])
    start_agent(store)
    check.open()
    for company, code in (("期限切れの会社", "K-404"), ("失効した会社", "K-409"), ("知らない認証局の会社", "K-402")):
        check.send(company)
        expect(check.page.locator('[data-check="certificate"]')).to_contain_text(code, timeout=15_000)
        check.shows(certificate="bad")
        assert check.result().codes == {"証明書": code}
    check.looks_right("unknown-authority")
    check.send("良い会社")
    check.shows()


def test_the_certificate_is_behind_the_pin(
    check: Check, start_agent: Starter, tmp_path: Path, cards: dict[str, TestCard]
) -> None:
    private = TokenStore(tmp_path / "private")
    private.insert(cards["good"], private_certificates=True)
    start_agent(private)
    check.open().send()
    check.shows(certificate="after-pin")
    assert "PIN番号の入力後に確認できます" in check.told("certificate")
    expect(check.page.locator("[data-summary]")).to_contain_text("問題は見つかりませんでした。")
    assert check.result().states["証明書"] == "PIN番号の入力後に確認"
    check.looks_right("after-pin")


def test_the_browsers_clock_is_ten_minutes_fast(check: Check, start_agent: Starter, store: TokenStore) -> None:
    start_agent(store)
    check.page.clock.set_fixed_time(datetime.now(UTC) + timedelta(minutes=10))
    check.open().send()
    check.shows(clock="bad")
    assert re.search(r"ブラウザ）の時計が、サーバより約(9|10)分進んでいます。", check.told("clock"))
    assert check.result().minutes_off in (9, 10)
    check.looks_right("clock")


def test_the_agents_clock_is_ten_minutes_slow(check: Check, start_agent: Starter, store: TokenStore) -> None:
    start_agent(store, changed="ten minutes slow")
    check.open().send()
    check.shows(clock="bad")
    assert re.search(r"補助アプリ）の時計が、サーバより約(9|10)分遅れています。", check.told("clock"))


@pytest.mark.parametrize("changed", ["old", "older than check"])
def test_the_agent_is_too_old(check: Check, start_agent: Starter, store: TokenStore, changed: str) -> None:
    start_agent(store, changed=changed)
    check.open()
    if changed == "old":
        check.send()
        check.shows(agent="bad")
        assert "入っている版：0.0.9" in check.told("agent")
        assert check.result().agent_version == "0.0.9"
    else:
        press_last(check.press(), "閉じる")
        check.shows(agent="bad", reader="yet", card="yet", certificate="yet")
    assert check.result().codes == {"補助アプリ": "C-227"}
    check.page.get_by_role("link", name="補助アプリの入手").click()
    expect(check.page.get_by_role("heading", level=1)).to_have_text("補助アプリの入手")
    check.looks_right("agent-download")


def test_a_newer_agent_is_told_and_is_no_fault(
    check: Check, start_agent: Starter, store: TokenStore, newer_agent: str
) -> None:
    start_agent(store)
    check.open().send()
    check.shows()
    expect(check.page.locator("[data-summary]")).to_contain_text("問題は見つかりませんでした。")
    assert f"新しい版（{newer_agent}）があります" in check.told("agent")
    assert check.result().codes == {}
    check.looks_right("newer-agent")
    check.page.get_by_role("link", name="補助アプリの入手").click()
    check.page.get_by_role("link", name="Linux（Debian 12）に入れる").click()
    with check.page.expect_download() as fetched:
        check.page.get_by_role("link", name=f"irefuda-card-agent_{newer_agent}_amd64.deb", exact=True).click()
    assert fetched.value.path().read_bytes() == b"!<arch>\n"


def test_the_agent_does_not_know_this_site(check: Check, start_agent: Starter, store: TokenStore) -> None:
    start_agent(store, sites="")
    popup = check.open().press()
    press_last(popup, "閉じる")
    check.shows(agent="bad", reader="yet", card="yet", certificate="yet")
    assert check.result().codes == {"補助アプリ": "C-215"}


def test_the_person_cancels(check: Check, start_agent: Starter, store: TokenStore) -> None:
    start_agent(store)
    popup = check.open().press()
    press_last(popup, "キャンセル")
    check.shows(reader="yet", card="yet", certificate="yet")
    expect(check.page.locator("[data-summary]")).to_contain_text("まだ確認できていない項目があります。")
    assert check.result().codes == {}


def test_the_browser_is_too_old(check: Check) -> None:
    check.page.add_init_script("delete window.TextDecoderStream")
    check.open()
    check.shows(browser="bad", **dict.fromkeys(("popup", *AGENT_ITEMS), "yet"))
    assert "古いため、使えません" in check.told("browser")
    check.looks_right("old-browser")


def test_the_server_does_not_answer(check: Check) -> None:
    check.page.route("**/environment/clock/", lambda route: route.abort())
    check.open()
    check.shows(cookie="bad", clock="bad", **dict.fromkeys(("popup", *AGENT_ITEMS), "yet"))
    assert "（C-223）" in check.told("clock")


def test_scripts_are_switched_off(browser: Browser, origin: str) -> None:
    context = browser.new_context(java_script_enabled=False, viewport={"width": 320, "height": 900}, locale="ja-JP")
    page = context.new_page()
    page.goto(origin + "/environment/")
    item = page.locator('[data-check="script"]')
    assert "問題あり" in item.inner_text()
    assert "JavaScriptを有効に" in item.inner_text()
    assert page.locator("main noscript").is_visible()
    context.close()


def test_cookies_are_switched_off(playwright: Playwright, origin: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile" / "Default"
    profile.mkdir(parents=True)
    forbidden = {"profile": {"default_content_setting_values": {"cookies": 2}}}
    (profile / "Preferences").write_text(json.dumps(forbidden))
    context = playwright.chromium.launch_persistent_context(str(profile.parent), **CHROMIUM, locale="ja-JP")
    check = Check(context, origin).open()
    check.shows(cookie="bad", **dict.fromkeys(("popup", *AGENT_ITEMS), "yet"))
    assert "Cookieを使えません" in check.told("cookie")
    context.close()


def test_script_and_help_desk_agree_on_every_result(check: Check) -> None:
    """The code that the script writes is the one that the help desk's command reads, whatever the result was."""
    check.open()
    states = dict(zip(("yet", "good", "bad", "after-pin"), STATES, strict=True))
    chance = random.Random(20261125)
    for _ in range(200):
        sent = {item: chance.choice(list(states)) for item in KEYS}
        codes = {item: chance.choice(["", "C-201", "C-226", "K-401", "K-414"]) for item in AGENT_ITEMS}
        browser, system = chance.choice(BROWSERS[1:]), chance.choice(SYSTEMS[1:])
        major, off = chance.randrange(1, 511), chance.choice([None, *range(-31, 32)])
        version = ".".join(str(chance.randrange(64)) for _ in range(3))
        code = check.page.evaluate(
            "async (result) => (await import('/static/cards/check-code.js')).checkCode(result)",
            {"states": sent, "codes": codes, "browser": browser, "major": major, "system": system, "version": version,
             "minutesOff": off},
        )  # fmt: skip
        named = dict(zip(KEYS, ITEMS, strict=True))
        assert read_check_code(code) == CheckResult(
            states={named[item]: states[state] for item, state in sent.items()},
            codes={named[item]: code for item, code in codes.items() if code and sent[item] == "bad"},
            browser=f"{browser} {major}", system=system, agent_version="" if version == "0.0.0" else version,
            minutes_off=off,
        )  # fmt: skip
