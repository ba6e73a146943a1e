"""Every page of the portal in Chromium: accessible, quiet, narrow enough, printable, and usable by keyboard alone."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from announcing import announced, withdrawn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from playwright.sync_api import sync_playwright
from served import CHROMIUM, Watched, served

from irefuda.agencies.models import Agency, Category, Section
from irefuda.cards import releases
from irefuda.ui import clock

pytestmark = [pytest.mark.browser, pytest.mark.committing]

DRAWN = "/lottery/?chosen1=418&given1=210&chosen2=210&given2=040&chosen3=861&given3=480"
MISTYPED = "/lottery/?chosen1=41&given1=210&chosen2=&given2=040"
ANNOUNCED, WITHDRAWN = uuid.UUID(int=1), uuid.UUID(int=2)
PAGES = [
    *("/", "/announcements/", "/tenders/", "/bidding/", "/lottery/", DRAWN, MISTYPED, "/guide/", "/practice/", "/faq/"),
    *(f"/announcements/{ANNOUNCED}/", f"/announcements/{WITHDRAWN}/", "/privacy/", "/messages/", "/messages/?q=PIN"),
    *("/faq/?q=R-102", "/faq/?q=あいうえお", "/changed/", "/changed/?event=card", "/changed/?event=contact"),
    *("/changed/?event=company&what=name&roster-of-company=no",),
    *(f"/guide/{chapter}/" for chapter in range(1, 6)),
    *("/helpdesk/", "/accessibility/", "/sections/works/", "/sections/goods/", "/?print=large"),
    *("/9991/works/", "/9991/works/registration/", "/9991/works/registration/menu/", "/9991/works/login/"),
    *("/practice/cards/", "/practice/mail/", "/agent/", "/agent/linux/", "/agent/windows/", "/agent/macos/"),
]
REFUSED = ["/no-such-page/", "/9991/works/registration/lookup/"]
PUBLIC = ["/", "/register/", "/ledger/", "/no-such-page/"]


@pytest.fixture
def city(own_database: str, django_db_blocker: Any) -> str:
    with django_db_blocker.unblock():
        agency = Agency.objects.create(
            code="9991",
            name="入札市（工事・コンサル）",
            system_email="ebid@example.jp",
            helpdesk_phone="017-000-0000",
            helpdesk_email="help@example.jp",
            helpdesk_url="https://help.example.jp/",
        )
        Section.objects.create(agency=agency, category=Category.WORKS)
        announced(
            "年末年始の休みについて",
            "次のとおりです。\n・ 12月29日から\n・ 1月3日まで\n\n"
            "https://city.example.jp/a-very-long-address-that-must-wrap-on-a-narrow-screen",
            announcement_id=ANNOUNCED,
            agency=agency,
            category=Category.WORKS,
        )
        announced("取り下げたお知らせ", announcement_id=WITHDRAWN)
        withdrawn(WITHDRAWN, "日付に誤りがありました。")
    return own_database


@pytest.fixture
def site(city: str, tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    settings.AGENT_RELEASES = str(tmp_path / "agent-releases")
    monkeypatch.setenv("IREFUDA_AGENT_RELEASES", settings.AGENT_RELEASES)
    key = Ed25519PrivateKey.generate()
    # Offered for two systems; the page of the third says that there is nothing.
    for file, content in (
        ("irefuda-card-agent_0.1.0_amd64.deb", b"!<arch>\n"),
        ("irefuda-card-agent-0.1.0.pkg", b"xar!"),
    ):
        releases.publish(file, content, key=key, key_name="bid.example.jp/card-agent", new_key=False, now=clock.now())
    with served(database_url=city, state_dir=tmp_path) as origin:
        yield origin


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**CHROMIUM)
        yield chromium
        chromium.close()


def test_every_page_is_accessible_quiet_and_no_wider_than_its_window(site: str, browser: Any) -> None:
    for width in (1280, 320):
        watched = Watched(browser.new_page(viewport={"width": width, "height": 800}))
        for address in [*PAGES, *REFUSED]:
            look_at(watched, site, address, width)


def look_at(watched: Watched, site: str, address: str, width: int) -> None:
    answer = watched.page.goto(site + address)
    assert watched.axe() == [], (address, width)
    assert not watched.scrolls_sideways(), (address, width)
    if address in REFUSED:
        # Chromium itself writes the refusal's status into the console.
        watched.wrong = [wrong for wrong in watched.wrong if f"status of {answer.status}" not in wrong]
    else:
        assert answer.status == 200, address
    assert watched.wrong == [], (address, width)
    watched.wrong.clear()


def test_the_public_site_is_accessible_and_quiet(city: str, tmp_path: Path, browser: Any) -> None:
    with served(database_url=city, state_dir=tmp_path, site="public") as origin:
        for width in (1280, 320):
            watched = Watched(browser.new_page(viewport={"width": width, "height": 800}))
            for address in PUBLIC:
                look_at(watched, origin, address, width)


def test_the_clock_ticks_from_the_server_s_time_whatever_the_computer_s_clock_says(site: str, browser: Any) -> None:
    page = browser.new_page(timezone_id="America/New_York")
    page.clock.install(time=0)
    page.goto(site)
    clock = page.locator("time[data-clock]")
    first = clock.inner_text()
    assert first == page.evaluate(
        "new Date(Date.parse(document.querySelector('[data-clock]').dateTime) + 9 * 3600e3).toISOString()"
        ".replace(/(\\d+)-(\\d+)-(\\d+)T(\\d+):(\\d+).*/, '$1年$2月$3日$4時$5分')"
    )
    page.clock.run_for(61_000)
    assert clock.inner_text() != first


def test_the_way_to_the_agencies_by_keyboard_alone(site: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "本文へ移動"
    page.keyboard.press("Enter")
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "/bidding/":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/bidding/")
    page.locator("a", has_text="工事、コンサル").focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/sections/works/")


def test_the_decision_tree_by_keyboard_and_back(site: str, browser: Any) -> None:
    page = browser.new_page(java_script_enabled=False)
    page.goto(f"{site}/changed/")
    for words in ("ICカードの有効期限が近い", "いいえ、まだ使えます", "はい、届いています", "はい、どれも同じです"):
        page.locator("main a", has_text=words).focus()
        page.keyboard.press("Enter")
        page.wait_for_load_state()
    assert page.locator("h2").first.inner_text() == "「ICカード更新」で、新しいICカードに切り替えてください"
    page.go_back()
    assert page.locator("#question").inner_text().startswith("新しいICカードの会社名")
    page.goto(page.url.partition("&same")[0] + "&same-while-valid=yes")
    page.click("text=物品、役務" if page.locator("text=物品、役務").count() else "text=工事、コンサル")
    assert page.locator("h1").inner_text() == "利用者登録メニュー"


def test_the_error_summary_has_the_focus_and_its_link_leads_into_the_field(site: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(site + MISTYPED)
    assert page.evaluate("document.activeElement.className") == "error-summary"
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.name") == "chosen1"


def test_large_print_prints_at_150_percent_and_goes_back(site: str, browser: Any) -> None:
    page = browser.new_page()
    page.add_init_script("window.print = () => { window.printed = document.documentElement.className }")
    page.goto(site)
    page.click("text=大きな文字で印刷")
    assert page.evaluate("window.printed") == "large-print"
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.className") == ""
    size = "parseFloat(getComputedStyle(document.documentElement).fontSize)"
    page.emulate_media(media="print")
    normal = page.evaluate(size)
    page.goto(site + "/?print=large")
    assert page.evaluate(size) == pytest.approx(normal * 1.5)


def test_the_printed_page_holds_the_text_and_its_page_number(site: str, browser: Any, tmp_path: Path) -> None:
    page = browser.new_page()
    page.goto(site + DRAWN)
    page.pdf(path=str(tmp_path / "page.pdf"), prefer_css_page_size=True)
    made = subprocess.run(
        ["pdftotext", "-layout", str(tmp_path / "page.pdf"), "-"], capture_output=True, check=True, text=True
    )
    text = made.stdout.replace(" ", "")
    for words in ("電子くじ", "1位はＢ社です", "1/1", "ページ番号1005", "練習"):
        assert words in text
    assert "大きな文字で印刷" not in text


def test_pages_stay_readable_at_400_percent(site: str, browser: Any) -> None:
    watched = Watched(browser.new_page(viewport={"width": 320, "height": 256}))
    for address in ("/", DRAWN, "/helpdesk/"):
        watched.page.goto(site + address)
        assert not watched.scrolls_sideways()
