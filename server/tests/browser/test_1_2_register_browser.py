"""The manual's section 1.2 in Chromium with everything real: https site, card agent, SoftHSM2 token, mail server, ledger.

Every page and every state of a page on the way is looked at by axe-core, must fit its window, and may write nothing into the
console. The site is reached as one on a public address, so the popup has to pass Local Network Access.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser_for_tests import press_last
from person import CONTACT, Person, as_person, fetched, fill, look_up, verified
from playwright.sync_api import expect, sync_playwright
from practice_city import PracticeCity, running
from served import CHROMIUM, Watched

pytestmark = pytest.mark.browser


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


@pytest.fixture(params=[1280, 320])
def person(request: pytest.FixtureRequest, browser: Any, city: PracticeCity) -> Iterator[Person]:
    with as_person(browser, city, request.param) as someone:
        yield someone


@pytest.fixture
def somebody(browser: Any, city: PracticeCity) -> Iterator[Person]:
    with as_person(browser, city, 1280) as someone:
        yield someone


def test_from_the_portal_to_the_mail_and_in(person: Person, city: PracticeCity, tmp_path: Path) -> None:
    page, wide = person.page, person.width == 1280
    card = city.card("good" if wide else "second")
    person.go("/")
    person.go("/practice/cards/")
    assert card["pin"] in page.inner_text("main")
    for path in ("/bidding/", "/sections/goods/", "/9992/goods/", "/9992/goods/registration/"):
        person.go(path)
    person.follow(page.get_by_role("link", name="利用者登録処理"))
    person.look("menu")

    person.present("登録", card, keyboard=not wide)
    page.wait_for_url("**/lookup/")
    person.look("lookup")
    person.press("検索", keyboard=not wide)
    page.locator(".error-summary").wait_for()
    assert page.evaluate("document.activeElement.className") == "error-summary"
    person.look("lookup-errors")
    look_up(person, card, keyboard=not wide)
    person.look("contacts")

    if wide:
        person.press("入力内容確認")
        page.locator(".error-summary").wait_for()
        person.look("contacts-errors")
    if page.locator("[name=rep-email]").count():  # the company's first card
        fill(page, "rep")
    page.get_by_label("代表窓口情報と同じ連絡先にする").focus()
    page.keyboard.press("Space")
    person.press("入力内容確認", keyboard=not wide)
    page.wait_for_url("**/check/")
    assert "030-0801" in page.inner_text("main")
    person.look("check")
    # Mistakes were made on the way here, and yet the back button never asks to send a form again.
    page.go_back()
    assert page.locator("[name=card_office-person]").input_value() == CONTACT["person"]
    page.go_back()
    page.go_forward()
    page.go_forward()
    page.wait_for_url("**/check/")

    person.present("登録", card, keyboard=not wide)
    page.wait_for_url("**/done/**")
    person.look("done")
    company_id = page.inner_text(".company-id")
    assert len(company_id) == 15

    printed = Watched(person.open_print())
    # Reloading shows the proof as soon as the sequencer, which runs beside the site, has placed the entry.
    printed.page.reload()
    expect(printed.page.get_by_text("番目に記録されています")).to_be_visible()
    person.look("print", printed)
    printed.page.pdf(path=str(tmp_path / "print.pdf"), prefer_css_page_size=True)
    for words in (company_id, card["serial"], "利用者情報", "青森花子", "証明書に記載なし", "受付の控え"):
        assert words in text_of(tmp_path / "print.pdf")
    (tmp_path / "made.pdf").write_bytes(fetched(printed.page, "user.pdf"))
    for words in (company_id, card["serial"], "利用者情報"):
        assert words in text_of(tmp_path / "made.pdf")
    assert "application.jws" in attachments_of(tmp_path / "made.pdf")
    assert verified(printed.page, city, tmp_path) == 0
    printed.page.close()

    page.goto(city.origin + "/practice/mail/")
    mail = page.locator("tr", has_text="利用者申請書受理メール").first
    for _ in range(40):  # the outbox and the mail server are processes of their own
        if mail.count():
            break
        page.wait_for_timeout(250)
        page.reload()
    person.look("mails")
    person.follow(mail.get_by_role("link"))
    person.look("mail")
    for words in (company_id, card["register_name"], CONTACT["person"], CONTACT["address"]):
        assert words in page.inner_text("main")

    person.go("/9992/goods/start/")
    person.press("ログアウト")
    page.get_by_role("heading", name="ログアウトしました").wait_for()
    person.look("logged-out")
    person.go("/9992/goods/login/")
    person.present("ログイン", card, person="別の担当者", keyboard=not wide)
    page.wait_for_url("**/start/")
    person.look("start")
    assert company_id in page.inner_text("main")
    assert "別の担当者" in page.inner_text("main")
    look_at_account(person, company_id, keyboard=not wide)
    change(person, card, tmp_path, keyboard=not wide)
    # Besides the site only the card agent on this machine was spoken to.
    assert {host for host in person.hosts if not host.startswith("127.0.0.1:")} == {city.origin.split("/")[2]}


def look_at_account(person: Person, company_id: str, *, keyboard: bool) -> None:
    """Walk through マイページ and the inbox, up to the button that would stop the card."""
    page = person.page
    person.follow(page.get_by_role("link", name="お知らせ（未読"))
    person.look("inbox")
    notice = page.get_by_role("button", name="利用者登録のお知らせ").first
    if keyboard:
        notice.focus()
        page.keyboard.press("Enter")
    else:
        notice.click()
    page.get_by_role("heading", name="本文").wait_for()
    person.look("notice")
    assert company_id in page.inner_text(".letter")
    page.get_by_role("link", name="お知らせの一覧に戻る").click()
    expect(page.get_by_role("cell", name="既読").first).to_be_visible()
    person.follow(page.get_by_role("navigation", name="サイト全体").get_by_role("link", name="マイページ"))
    page.locator("summary").first.click()
    person.look("mypage")
    assert company_id in page.inner_text("main")
    person.follow(page.get_by_role("link", name="別の区分・別の調達機関に登録する"))
    person.look("elsewhere")
    page.go_back()
    person.follow(page.get_by_role("link", name="ICカードを追加する").first)
    person.look("add-card")
    page.go_back()
    person.follow(page.get_by_role("link", name="使用を止める").first)
    person.look("close-card")
    person.press("使用を止める")
    page.locator(".error-summary").wait_for()
    person.look("close-card-errors")


def change(person: Person, card: dict[str, str], directory: Path, *, keyboard: bool) -> None:
    """Walk through the manual's section 1.3: 利用者変更, the code of the new address out of its mail, the print page."""
    page, address = person.page, f"new-{person.width}@example.jp"
    person.go("/9992/goods/registration/menu/")
    person.present("変更", card, keyboard=keyboard)
    page.wait_for_url("**/change/")
    person.look("change")
    if not keyboard:
        person.press("入力内容確認")
        page.get_by_text("変更した項目がありません。").wait_for()
        assert page.evaluate("document.activeElement.className") == "error-summary"
        person.look("change-nothing")
    page.get_by_label("代表電話番号").fill(f"０１７ー７７７ー{person.width:04d}")
    page.locator("[name=card_office-person]").fill("青森 次郎")
    for name in ("email", "email_again"):
        page.locator(f"[name=card_office-{name}]").fill(address)
    person.press("入力内容確認", keyboard=keyboard)
    page.wait_for_url("**/change/check/")
    assert len(page.locator(".changed").all()) == 3
    person.look("change-check")
    page.go_back()
    assert page.locator("[name=card_office-person]").input_value() == "青森 次郎"
    page.go_forward()
    page.wait_for_url("**/change/check/")
    person.present("変更", card, keyboard=keyboard)
    page.wait_for_url("**/change/done/**")
    person.look("change-done")
    done = page.url

    code = code_from_mail(person, address)
    page.goto(done)
    page.get_by_role("link", name="確認コードを入力する").click()
    page.get_by_label("確認コード").fill("000000" if code != "000000" else "111111")
    person.press("確認", keyboard=keyboard)
    page.get_by_text("確認コードが違います").wait_for()
    person.look("change-address-wrong")
    page.get_by_label("確認コード").fill(code)
    person.press("確認", keyboard=keyboard)
    page.get_by_text("の確認が済みました").wait_for()
    person.look("change-address-verified")
    person.go("/9992/goods/change/history/")
    page.goto(done)
    printed = Watched(person.open_print())
    printed.page.reload()
    expect(printed.page.get_by_text("番目に記録されています")).to_be_visible()
    person.look("change-print", printed)
    printed.page.pdf(path=str(directory / "change.pdf"), prefer_css_page_size=True)
    for words in (f"017-777-{person.width:04d}", "青森次郎", address, "受付の控え（利用者変更）"):
        assert words in text_of(directory / "change.pdf")
    assert verified(printed.page, person.city, directory) == 0
    printed.page.close()


def code_from_mail(person: Person, address: str) -> str:
    """Return the code in the mail that was sent to this address, as the holder of the address reads it."""
    page = person.page
    page.goto(person.city.origin + "/practice/mail/")
    mail = page.locator("tr", has_text=address).filter(has_text="メールアドレスの確認コード").first
    for _ in range(40):  # the outbox and the mail server are processes of their own
        if mail.count():
            break
        page.wait_for_timeout(250)
        page.reload()
    person.follow(mail.get_by_role("link"))
    person.look("change-code-mail")
    found = re.search(r"確認コード : ([0-9]{6})", page.inner_text("main"))
    assert found is not None
    return found[1]


def text_of(pdf: Path) -> str:
    made = subprocess.run(["pdftotext", "-layout", str(pdf), "-"], capture_output=True, check=True, text=True)
    return made.stdout.replace(" ", "").replace("\n", "")


def attachments_of(pdf: Path) -> str:
    return subprocess.run(["pdfdetach", "-list", str(pdf)], capture_output=True, check=True, text=True).stdout


def test_an_expired_card_is_shown_and_cannot_be_chosen(somebody: Person, city: PracticeCity) -> None:
    somebody.go("/9992/goods/login/")
    with somebody.page.expect_popup() as opened:
        somebody.press("ログイン")
    row = opened.value.locator("label.card", has_text=city.card("expired")["holder"])
    row.wait_for()
    assert row.locator("input").is_disabled()
    assert "ICカードの有効期限が切れています。" in row.inner_text()
    press_last(opened.value, "キャンセル")
    somebody.page.get_by_text("キャンセルしました。").wait_for()
    somebody.look("cancelled")


@pytest.mark.parametrize(("name", "code"), [("revoked", "K-409"), ("ec", "R-120")])
def test_a_card_that_may_not_come_in_gets_its_own_reason(
    somebody: Person, city: PracticeCity, name: str, code: str
) -> None:
    somebody.go("/9992/goods/login/")
    somebody.present("ログイン", city.card(name))
    somebody.page.get_by_text(code).wait_for()
    somebody.watched.wrong = [wrong for wrong in somebody.watched.wrong if "status of 403" not in wrong]
    somebody.look(f"refused-{name}")
    assert "次にすること" in somebody.page.inner_text("main")


def test_typing_survives_reload_the_back_button_and_another_browser(
    somebody: Person, browser: Any, city: PracticeCity
) -> None:
    card, page = city.card("ec"), somebody.page
    somebody.go("/9992/goods/registration/menu/")
    somebody.present("登録", card)
    page.wait_for_url("**/lookup/")
    look_up(somebody, card)
    fill(page, "rep")
    page.locator("[name=rep-postal_code]").fill("1")
    somebody.press("入力内容確認")
    page.locator(".error-summary").wait_for()
    page.goto(city.origin + "/9992/goods/registration/menu/")
    page.goto(city.origin + "/9992/goods/registration/contacts/")
    assert page.locator("[name=rep-person]").input_value() == CONTACT["person"]
    assert page.locator("[name=rep-postal_code]").input_value() == "1"
    with as_person(browser, city, 1280) as later:
        later.go("/9992/goods/registration/menu/")
        later.present("登録", card)
        later.page.wait_for_url("**/lookup/")
        later.page.get_by_role("link", name="続きから入力する").click()
        assert later.page.locator("[name=rep-address]").input_value() == CONTACT["address"]


def test_the_register_of_the_practice_city_is_found_from_the_lookup(city: PracticeCity) -> None:
    said = json.loads((city.state_dir / "cards" / "cards.json").read_text())
    assert len(said["cards"]) == 9
    assert city.origin in city.said
    assert "/practice/cards/" in city.said


def test_the_end_of_a_login_is_announced_and_put_off(somebody: Person, city: PracticeCity) -> None:
    page = somebody.page
    page.clock.install()
    somebody.go("/9992/goods/registration/menu/")
    somebody.present("登録", city.card("other"))
    page.wait_for_url("**/lookup/")
    warning = page.locator("form.session-end")
    page.clock.fast_forward(27 * 60 * 1000)
    expect(warning).to_be_hidden()
    page.clock.fast_forward(90 * 1000)
    expect(warning).to_be_visible()
    assert "操作がない時間が続いています。" in warning.inner_text()
    somebody.look("session-ends-soon")
    somebody.press("ログインを続ける")
    expect(warning).to_be_hidden()
    page.clock.fast_forward(31 * 60 * 1000)
    expect(warning).to_be_visible()
    assert "ログインが終わりました" in warning.inner_text()
    expect(warning.get_by_role("button")).to_be_hidden()
