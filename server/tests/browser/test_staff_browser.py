"""The staff's site in Chromium, with the real card agent: in with a card, and every page looked at, wide and narrow."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect, sync_playwright
from practice_city import PracticeCity, running
from served import CHROMIUM, Watched

pytestmark = pytest.mark.browser

PAGES = {
    "administrator": ["/members/", "/members/add/", "/agencies/", "/agencies/9992/", "/trust/"],
    "contracts": [f"/agencies/9992/{page}/" for page in ("texts", "hours", "policy", "closures")]
    + ["/announcements/", "/announcements/new/"],
    "auditor": ["/audit/", "/audit/?first_day=x", "/audit/consistency/?old=1&new=2", "/audit/export/"],
    "witness": ["/members/"],
}


@pytest.fixture(scope="module")
def city(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PracticeCity]:
    with running(tmp_path_factory.mktemp("city")) as practice:
        yield practice


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**CHROMIUM)
        yield chromium
        chromium.close()


class Colleague:
    """Somebody of the staff at a browser."""

    def __init__(self, browser: Any, city: PracticeCity, width: int, name: str) -> None:
        self.city, self.width, self.name = city, width, name
        self.seen = 0
        self.context = browser.new_context(viewport={"width": width, "height": 900})
        self.watched = Watched(self.context.new_page())
        self.page = self.watched.page

    def look(self) -> None:
        """Judge the page as it stands now."""
        where = (self.name, self.width, self.page.url)
        assert self.watched.axe() == [], where
        assert not self.watched.scrolls_sideways(), where
        assert self.watched.wrong == [], where
        if directory := os.environ.get("IREFUDA_PICTURES"):
            self.seen += 1
            file = Path(directory) / f"{self.width}-{self.name}-{self.seen:02d}.png"
            self.page.screenshot(path=str(file), full_page=True)

    def go(self, path: str, status: int = 200) -> None:
        answer = self.page.goto(self.city.staff_origin + path)
        assert answer is not None
        assert answer.status == status, path
        if status != 200:
            # The browser itself writes such an answer into its console.
            self.watched.wrong.clear()
        self.look()

    def press(self, button: str) -> None:
        # A click returns before its answer has come: without this wait the page before it, or half a page, is judged.
        with self.page.expect_navigation():
            self.page.get_by_role("button", name=button, exact=True).click()
        self.look()

    def follow(self, link: str) -> None:
        with self.page.expect_navigation():
            self.page.get_by_role("link", name=link).click()

    def present(self, button: str, card: dict[str, str]) -> None:
        """Press the card button, choose the card in the popup, and type the PIN there."""
        with self.page.expect_popup() as opened:
            self.page.get_by_role("button", name=button, exact=True).click()
        popup = opened.value
        row = popup.locator("label.card", has_text=card["holder"])
        row.wait_for()
        row.locator("input").check()
        popup.get_by_label("PIN番号:").fill(card["pin"])
        popup.get_by_role("button", name="OK").click()


@pytest.mark.parametrize("width", [1280, 320])
def test_every_page_reads_well_for_those_who_may_see_it(city: PracticeCity, browser: Any, width: int) -> None:
    for role, pages in PAGES.items():
        colleague = Colleague(browser, city, width, role)
        for path in ("/enrol/", "/practice/cards/") if role == "administrator" else ():
            colleague.go(path)
        colleague.go("/login/")
        colleague.present("ログイン", city.card(f"staff-{role}"))
        colleague.page.wait_for_url(f"{city.staff_origin}/")
        colleague.look()
        assert city.card(f"staff-{role}")["holder"] in colleague.page.inner_text("main")
        for path in pages:
            colleague.go(path, status=404 if (role, path) == ("witness", "/members/") else 200)
        if role == "auditor":
            colleague.go("/audit/")
            with colleague.page.expect_navigation():
                colleague.page.locator("td a").first.click()
            expect(colleague.page.locator("h1")).to_have_text("台帳の記録")
            assert "確かめられました" in colleague.page.inner_text("main")
            for summary in colleague.page.locator("summary").all():
                summary.click()
            colleague.look()
        colleague.press("ログアウト")
        assert "ログアウトしました" in colleague.page.inner_text("main")
        colleague.context.close()


def test_make_run_tells_where_the_staff_work_and_with_which_pin(city: PracticeCity) -> None:
    (line,) = (line for line in city.said.splitlines() if "職員用サイト" in line)
    assert f"{city.staff_origin}/" in line
    assert city.card("staff-administrator")["pin"] in line


def test_a_new_card_comes_in_and_a_role_is_changed(city: PracticeCity, browser: Any) -> None:
    chief = Colleague(browser, city, 1280, "chief")
    chief.go("/login/")
    chief.present("ログイン", city.card("staff-administrator"))
    chief.page.wait_for_url(f"{city.staff_origin}/")
    chief.follow("職員の管理")
    chief.follow("相談 五郎")
    chief.follow("役割を変える")
    chief.press("確認する")
    assert "理由を入力してください" in chief.page.inner_text(".error-summary")
    chief.page.get_by_label("監査", exact=True).check()
    chief.page.get_by_label("理由").fill("監査も担当するため")
    chief.press("確認する")
    assert re.search(r"監査\s+なし\s+あり", chief.page.inner_text("table"))
    chief.press("戻って直す")
    chief.press("確認する")
    chief.press("確定する")
    assert "変更を台帳に記録しました" in chief.page.inner_text("main")
    # The card that has just been ended is presented again, and let in again by its code.
    chief.follow("利用を終える")
    chief.page.get_by_label("理由").fill("退職")
    chief.press("確認する")
    chief.press("確定する")

    colleague = Colleague(browser, city, 320, "newcomer")
    colleague.go("/enrol/")
    colleague.present("ICカードを確かめて番号を受け取る", city.card("staff-helpdesk"))
    expect(colleague.page.locator("h1")).to_have_text("申し込みの番号")
    colleague.look()
    code = colleague.page.inner_text(".company-id")

    chief.go("/members/add/")
    chief.page.get_by_label("申し込みの番号").fill(code)
    chief.press("次へ")
    chief.page.get_by_label("ヘルプデスク", exact=True).check()
    chief.page.get_by_label("理由").fill("再び着任")
    chief.press("確認する")
    chief.press("確定する")
    colleague.go("/login/")
    colleague.present("ログイン", city.card("staff-helpdesk"))
    colleague.page.wait_for_url(f"{city.staff_origin}/")
    assert "相談 五郎" in colleague.page.inner_text("main")


def test_a_supplier_s_card_is_told_that_it_is_none_of_the_staff_s(city: PracticeCity, browser: Any) -> None:
    somebody = Colleague(browser, city, 1280, "supplier")
    somebody.go("/login/")
    somebody.present("ログイン", city.card("good"))
    expect(somebody.page.locator("h1")).to_have_text("手続きを進められません")
    assert "K-402" in somebody.page.inner_text("main")


def test_the_register_is_searched_changed_and_taken_from_a_file(
    city: PracticeCity, browser: Any, tmp_path: Path
) -> None:
    clerk = Colleague(browser, city, 320, "register")
    place = "/register/9992/goods/"
    company = f"{place}suppliers/990000002/"
    clerk.go("/login/")
    clerk.present("ログイン", city.card("staff-contracts"))
    clerk.page.wait_for_url(f"{city.staff_origin}/")
    for path in ("/register/", f"{place}?q=テスト", company, f"{company}login/", f"{place}add/", f"{place}touched/"):
        clerk.go(path)
    clerk.go(f"{place}reports/")
    clerk.go(f"{company}suspend/")
    clerk.page.get_by_label("指名停止の初日").fill("2027-03-01")
    clerk.page.get_by_label("理由").fill("要綱第3条")
    clerk.press("確認する")
    clerk.go(f"{company}change/")
    clerk.page.get_by_label("商号又は名称").fill("")
    clerk.press("確認する")
    assert "商号又は名称を入力してください" in clerk.page.inner_text(".error-summary")

    file = tmp_path / "名簿.csv"
    file.write_text("受付No,業者番号,商号\n1,990000002,（株）べつの名前\n", encoding="utf-8")
    clerk.go(f"{place}import/")
    too_large = tmp_path / "大きすぎる.csv"
    with too_large.open("wb") as sparse:
        sparse.truncate(70 * 2**20)
    clerk.page.get_by_label("名簿のファイル").set_input_files(too_large)
    clerk.page.get_by_role("button", name="送って差分を見る").click()
    expect(clerk.page.locator("h1")).to_have_text("手続きを進められません")
    assert "F-503" in clerk.page.inner_text("main")
    clerk.watched.wrong.clear()
    clerk.go(f"{place}import/")
    clerk.page.get_by_label("名簿のファイル").set_input_files(file)
    clerk.press("送って差分を見る")
    expect(clerk.page.locator("h1")).to_have_text("列の対応の確認")
    clerk.page.get_by_label("受付No").select_option("使わない")
    clerk.press("この対応で差分を見る")
    expect(clerk.page.locator("h1")).to_have_text("名簿の差分")
    assert "名簿の1割より多くの会社が、外れるか変わります" in clerk.page.inner_text("main")
    clerk.page.get_by_label("理由").fill("月初の名簿")
    clerk.press("確認する")
    assert "数が違います" in clerk.page.inner_text(".error-summary")
    clerk.press("このファイルをやめる")

    # What is taken is the register as it is, with one company more.
    register = [re.split(r"\s+", row)[0] for row in _numbers(clerk, place)]
    rows = [f"{number},会社{number}" for number in [*register, "900000320"]]
    file.write_text("\n".join(["業者番号,商号", *rows, ""]), encoding="utf-8")
    clerk.page.get_by_label("名簿のファイル").set_input_files(file)
    clerk.press("送って差分を見る")
    number = re.search(r"合わせて(\d+)社", clerk.page.inner_text("main"))
    if number:
        clerk.page.get_by_label("名簿から外れる会社と、内容が変わる会社を合わせた数").fill(number[1])
    clerk.page.get_by_label("理由").fill("月初の名簿")
    clerk.press("確認する")
    clerk.press("確定する")
    expect(clerk.page.locator("h1")).to_have_text("取り込みの報告")
    assert "取り込み、台帳に記録しました" in clerk.page.inner_text("main")
    clerk.context.close()
    helper = Colleague(browser, city, 1280, "helpdesk")
    helper.go("/login/")
    helper.present("ログイン", city.card("staff-helpdesk"))
    helper.page.wait_for_url(f"{city.staff_origin}/")
    helper.go(company)
    assert "代表者の氏名、電話番号などは、この役割では表示しません" in helper.page.inner_text("main")
    helper.context.close()


def _numbers(clerk: Colleague, place: str) -> list[str]:
    """Return the 業者番号 of everybody on the register of this section, and go back to where a file is sent."""
    clerk.go(place)
    found = clerk.page.locator("tbody td:first-child").all_inner_texts()
    clerk.go(f"{place}import/")
    return found
