"""The manual's section 1.4 in Chromium with everything real: https site, one popup of the card agent, two SoftHSM2 tokens.

Wide by mouse with one PIN for both cards, narrow by keyboard with a PIN for each. Every page is looked at by axe-core.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_for_tests import press_last
from person import Person, as_person, fill, look_up, verified
from playwright.sync_api import Page, expect, sync_playwright
from practice_city import PracticeCity, running
from served import CHROMIUM

pytestmark = pytest.mark.browser
SECTION = "/9992/goods"


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeCity]:
    with running(tmp_path_factory.mktemp("city"), https=True) as practice:
        yield practice


@pytest.fixture(scope="module")
def browser(city: PracticeCity) -> Iterator[Any]:
    with sync_playwright() as playwright:
        arguments = [*CHROMIUM["args"], *city.chromium_arguments]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM["executable_path"], args=arguments)
        yield chromium
        chromium.close()


@pytest.fixture
def somebody(browser: Any, city: PracticeCity) -> Iterator[Person]:
    with as_person(browser, city, 1280) as person:
        yield person


def named(card: dict[str, str]) -> dict[str, str]:
    """Return the card to be chosen by its own label: the two of a renewal have one holder."""
    return {**card, "holder": card["label"]}


def register(person: Person, card: dict[str, str]) -> None:
    """Register the card by 1.2."""
    page = person.page
    page.goto(person.city.origin + SECTION + "/registration/menu/")
    person.present("登録", named(card))
    page.wait_for_url("**/lookup/")
    look_up(person, card)
    if page.locator("[name=rep-email]").count():
        fill(page, "rep")
    fill(page, "card_office")
    person.press("入力内容確認")
    page.wait_for_url("**/check/")
    person.present("登録", named(card))
    page.wait_for_url("**/done/**")


def press(popup: Page, button: str, *, keyboard: bool) -> None:
    found = popup.get_by_role("button", name=button, exact=True)
    if keyboard:
        found.focus()
        popup.keyboard.press("Enter")
    else:
        found.click()


def choose(popup: Page, card: dict[str, str], *, keyboard: bool) -> None:
    radio = popup.locator("label.card", has_text=card["label"]).locator("input")
    radio.wait_for()
    if keyboard:
        radio.focus()
        popup.keyboard.press("Space")
    else:
        radio.check()
    expect(radio).to_be_checked()


def hand_over(person: Person, old: dict[str, str], new: dict[str, str], *, keyboard: bool = False) -> Page:
    """Go from 「ICカード更新」 to where the site has both cards, and return the popup."""
    with person.page.expect_popup() as opened:
        person.press("ICカード更新", keyboard=keyboard)
    popup: Page = opened.value
    popup.get_by_text("現在使用しているICカードがICカードリーダーに正しく挿入されている").wait_for()
    press(popup, "OK", keyboard=keyboard)
    choose(popup, old, keyboard=keyboard)
    popup.get_by_label("PIN番号:").fill(old["pin"])
    popup.get_by_label("担当者:").fill("更新 花子")
    press(popup, "OK", keyboard=keyboard)
    popup.get_by_text("新しいICカードがICカードリーダーに正しく挿入されている").wait_for()
    press(popup, "OK", keyboard=keyboard)
    choose(popup, new, keyboard=keyboard)
    if new["pin"] != old["pin"]:
        popup.get_by_label("PIN番号:").fill(new["pin"])
    press(popup, "OK", keyboard=keyboard)
    return popup


def test_from_the_menu_to_the_new_card_and_on_to_the_next(browser: Any, city: PracticeCity, tmp_path: Path) -> None:
    with as_person(browser, city, 1280) as person:
        register(person, city.card("expiring"))
    for width, names in ((1280, ("expiring", "renewal")), (320, ("renewal", "renewal-2"))):
        old, new = (city.card(name) for name in names)
        with as_person(browser, city, width) as person:
            company_id = renew(person, old, new, tmp_path)
            only_the_new_card_gets_in(person, old, new, company_id)


def renew(person: Person, old: dict[str, str], new: dict[str, str], directory: Path) -> str:
    """Walk from the menu to the receipt, wide by mouse and narrow by keyboard; return the 企業ID."""
    page, wide = person.page, person.width == 1280
    person.go(f"{SECTION}/registration/menu/")
    person.follow(page.get_by_role("link", name="ICカード更新", exact=True))
    person.look("renewal")
    popup = hand_over(person, old, new, keyboard=not wide)
    popup.get_by_role("heading", name="電子証明書更新確認").wait_for()
    expect(page.get_by_text("「電子証明書更新確認」の内容を確かめてください。")).to_be_visible()
    person.look("renewal-confirming")
    if wide:
        press_last(popup, "戻る")
        page.get_by_text("はじめに戻りました。何も更新されていません。").wait_for()
        person.look("renewal-again")
        assert page.evaluate("document.activeElement.textContent") == "ICカード更新"
        popup = hand_over(person, old, new)
        popup.get_by_role("heading", name="電子証明書更新確認").wait_for()
    shown = popup.inner_text("body")
    assert old["serial"] in shown
    assert new["serial"] in shown
    press_last(popup, "更新", keyboard=not wide)
    page.wait_for_url("**/renewal/done/**")
    person.look("renewal-done")
    assert page.inner_text("h1") == "ICカードの更新が終了しました"
    company_id = page.inner_text(".company-id")
    printed = person.open_print()
    printed.reload()
    expect(printed.get_by_text("番目に記録されています")).to_be_visible()
    # The receipt proves both signatures.
    assert verified(printed, person.city, directory) == 0
    assert '"handover"' in (directory / "receipt.json").read_text()
    printed.close()
    return company_id


def only_the_new_card_gets_in(person: Person, old: dict[str, str], new: dict[str, str], company_id: str) -> None:
    page = person.page
    # Logged in with the new card already.
    person.go(f"{SECTION}/start/")
    assert company_id in page.inner_text("main")
    person.press("ログアウト")
    page.get_by_role("heading", name="ログアウトしました").wait_for()
    person.go(f"{SECTION}/login/")
    person.present("ログイン", named(old))
    page.get_by_text("R-121").wait_for()
    person.watched.wrong.clear()
    person.go(f"{SECTION}/login/")
    person.present("ログイン", named(new))
    page.wait_for_url("**/start/")
    assert company_id in page.inner_text("main")


def test_the_reason_stands_on_a_page_and_the_popup_is_told_to_stop(somebody: Person, city: PracticeCity) -> None:
    page = somebody.page
    somebody.go(f"{SECTION}/renewal/")
    popup = hand_over(somebody, city.card("ec"), city.card("other"))
    page.wait_for_url("**/renewal/stopped/")
    assert "R-120" in page.inner_text("main")
    somebody.watched.wrong.clear()
    somebody.look("renewal-stopped")
    page.reload()
    assert "R-120" in page.inner_text("main")
    assert popup.is_closed() or popup.wait_for_event("close")
    assert page.get_by_role("link", name="「登録」へ").is_visible()


def test_cancelling_changes_nothing(somebody: Person, city: PracticeCity) -> None:
    page = somebody.page
    somebody.go(f"{SECTION}/renewal/")
    with page.expect_popup() as opened:
        somebody.press("ICカード更新")
    popup = opened.value
    popup.get_by_text("現在使用しているICカードがICカードリーダーに正しく挿入されている").wait_for()
    press_last(popup, "キャンセル")
    page.get_by_text("キャンセルしました。").wait_for()
    somebody.look("renewal-cancelled")


def test_an_agent_that_is_away_is_told_in_the_page(somebody: Person, city: PracticeCity) -> None:
    page = somebody.page
    page.goto(city.origin + SECTION + "/renewal/")
    nobody = int(city.origin.rsplit(":", 1)[1]) + 20
    page.eval_on_selector(
        "form[data-card-renewal]", "(form, ports) => { form.dataset.agentPorts = ports; }", f"{nobody} {nobody + 1}"
    )
    somebody.press("ICカード更新")
    page.get_by_text("（C-222）").wait_for(timeout=3000)
    somebody.look("renewal-no-agent")


def test_a_popup_that_is_blocked_is_told_in_the_page(somebody: Person, city: PracticeCity) -> None:
    page = somebody.page
    page.add_init_script("window.open = () => null")
    page.goto(city.origin + SECTION + "/renewal/")
    somebody.press("ICカード更新")
    page.get_by_text("（C-221）").wait_for(timeout=3000)
    somebody.look("renewal-blocked")
