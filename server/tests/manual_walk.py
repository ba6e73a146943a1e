"""The way through every screen of the manual: one company, its card that ends soon, its new card, the real agent and mail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from browser_for_tests import press_last
from camera import Camera
from person import fill
from playwright.sync_api import BrowserContext, Page, Route, expect
from practice_city import PracticeCity

SECTION = "/9992/goods"
NEW_ADDRESS = "keiyaku@example.jp"
# A window of the agent is made for these.
POPUP = {"width": 620, "height": 760}
WIDE_POPUP = {"width": 1040, "height": 900}


class Walk:
    """Somebody who reads the manual and does what it says, with the camera at every screen."""

    def __init__(self, context: BrowserContext, city: PracticeCity, camera: Camera) -> None:
        self.context, self.city, self.camera = context, city, camera
        self.page: Page = context.new_page()
        self.old, self.new = city.card("expiring"), city.card("renewal")

    def whole(self) -> None:
        """Walk through all of it, in the manual's order."""
        self.environment()
        self.way_in()
        self.register()
        self.mail("利用者申請書受理メール", "mail")
        self.log_in(self.old)
        self.account()
        self.change()
        self.renew()

    # -- the parts

    def go(self, path: str, screen: str = "", **looked: Any) -> None:
        self.page.goto(self.city.origin + path)
        if screen:
            self.camera.look(screen, self.page, **looked)

    def press(self, button: str) -> None:
        self.page.get_by_role("button", name=button, exact=True).click()

    def environment(self) -> None:
        self.go("/environment/")
        expect(self.page.locator("[data-check=clock] .check-state")).to_contain_text("よい")
        self.camera.look("environment", self.page)
        with self.popup("確認をはじめる") as popup:
            self.choose(popup, self.old)
            self.look_at(popup, "environment-agent", self.old)
            popup.get_by_role("button", name="確認結果をサイトに送る").click()
        expect(self.page.locator("[data-outcome]")).to_be_visible()
        self.camera.look("environment-result", self.page)

    def way_in(self) -> None:
        self.go("/bidding/", "bidding", scope="body")
        self.go("/sections/goods/", "agencies")
        self.go(f"{SECTION}/", "section")
        self.go(f"{SECTION}/registration/", "top", scope="body")
        self.page.get_by_role("link", name="利用者登録処理").click()
        self.camera.look("menu", self.page)

    def register(self) -> None:
        page = self.page
        with self.popup("登録") as popup:
            self.choose(popup, self.old)
            self.look_at(popup, "pin", self.old)
            self.pin(popup, self.old, person="係 花子")
            self.ok_slowly(popup, "accessing")
        page.wait_for_url("**/lookup/")
        page.get_by_label("業者番号").fill(self.old["supplier_number"])
        page.get_by_label("商号又は名称").fill(self.old["register_name"])
        self.camera.look("lookup", page)
        self.press("検索")
        page.wait_for_url("**/contacts/")
        fill(page, "rep")
        fill(page, "card_office")
        self.camera.look("contacts", page)
        self.press("入力内容確認")
        page.wait_for_url("**/check/")
        self.camera.look("check", page)
        with self.popup("登録") as popup:
            self.choose(popup, self.old)
            self.look_at(popup, "sign", self.old)
            self.pin(popup, self.old)
            self.ok(popup)
        page.wait_for_url("**/done/**")
        self.camera.look("done", page)
        self.printed("印刷（新しいタブで開きます）", "print")

    def change(self) -> None:
        page = self.page
        self.go(f"{SECTION}/registration/menu/")
        with self.popup("変更") as popup:
            self.choose(popup, self.old)
            self.look_at(popup, "change-pin", self.old)
            self.pin(popup, self.old, person="係 花子")
            self.ok(popup)
        page.wait_for_url("**/change/")
        page.locator("[name=company-representative_phone]").fill("017-777-1111")
        for name in ("email", "email_again"):
            page.locator(f"[name=rep-{name}]").fill(NEW_ADDRESS)
        self.camera.look("change-form", page)
        self.press("入力内容確認")
        page.wait_for_url("**/change/check/")
        self.camera.look("change-check", page)
        with self.popup("変更") as popup:
            self.choose(popup, self.old)
            self.pin(popup, self.old)
            self.ok(popup)
        page.wait_for_url("**/change/done/**")
        self.camera.look("change-done", page)
        self.printed("印刷（新しいタブで開きます）", "change-print")
        code = self.mail("確認コード", "code-mail")
        self.go(f"{SECTION}/change/address/")
        self.camera.look("address", page)
        page.get_by_label("確認コード").fill(code)
        self.press("確認")
        page.get_by_text("の確認が済みました").wait_for()
        self.go(f"{SECTION}/change/history/", "change-history")

    def log_in(self, card: dict[str, str]) -> None:
        self.press_log_out()
        self.go(f"{SECTION}/login/", "login")
        with self.popup("ログイン") as popup:
            self.choose(popup, card)
            self.pin(popup, card, person="係 花子")
            self.ok(popup)
        self.page.wait_for_url("**/start/")
        self.camera.look("start", self.page)

    def press_log_out(self) -> None:
        self.press("ログアウト")
        self.page.get_by_role("heading", name="ログアウトしました").wait_for()
        self.camera.look("logged-out", self.page)

    def account(self) -> None:
        page = self.page
        self.go("/mypage/", "account")
        page.get_by_role("link", name="使用を止める").first.click()
        self.camera.look("close-card", page)
        self.go("/inbox/")
        for _ in range(60):  # the outbox is a process of its own
            if "送信待ち" not in page.inner_text("main"):
                break
            page.wait_for_timeout(250)
            page.reload()
        self.camera.look("inbox", page)
        page.get_by_role("button", name="利用者登録のお知らせ").first.click()
        page.get_by_role("heading", name="本文").wait_for()
        self.camera.look("notice", page)

    def renew(self) -> None:
        page = self.page
        self.go(f"{SECTION}/renewal/", "renewal")
        with page.expect_popup() as opened:
            self.press("ICカード更新")
        popup = opened.value
        popup.get_by_text("現在使用しているICカードがICカードリーダーに正しく挿入されている").wait_for()
        self.look_at(popup, "renewal-old", self.old)
        self.ok(popup)
        self.choose(popup, self.old)
        self.look_at(popup, "renewal-old-pin", self.old)
        self.pin(popup, self.old, person="係 花子")
        self.ok(popup)
        popup.get_by_text("新しいICカードがICカードリーダーに正しく挿入されている").wait_for()
        self.look_at(popup, "renewal-new", self.new)
        self.ok(popup)
        self.choose(popup, self.new)
        self.look_at(popup, "renewal-new-pin", self.new)
        if self.new["pin"] != self.old["pin"]:
            self.pin(popup, self.new)
        self.ok(popup)
        popup.get_by_role("heading", name="電子証明書更新確認").wait_for()
        self.look_at(popup, "renewal-check", self.new, size=WIDE_POPUP)
        press_last(popup, "更新")
        page.wait_for_url("**/renewal/done/**")
        self.camera.look("renewal-done", page)

    def mail(self, subject: str, screen: str) -> str:
        """Look at the newest mail with these words in its subject, and return the code in it where there is one."""
        mail = self.page.locator("tr", has_text=subject).first
        for _ in range(60):  # the outbox and the mail server are processes of their own
            self.go("/practice/mail/")
            if mail.count():
                break
            self.page.wait_for_timeout(250)
        mail.get_by_role("link").click()
        text = self.page.inner_text("main")
        self.camera.look(screen, self.page)
        return text.partition("確認コード : ")[2].split("\n")[0].strip()

    def printed(self, link: str, screen: str) -> None:
        with self.context.expect_page() as opened:
            self.page.get_by_role("link", name=link).click()
        printed = opened.value
        printed.wait_for_url("**/print/**")
        printed.reload()
        expect(printed.get_by_text("番目に記録されています")).to_be_visible()
        self.camera.look(screen, printed)
        printed.close()

    # -- the agent's window

    @contextmanager
    def popup(self, button: str) -> Iterator[Page]:
        with self.page.expect_popup() as opened:
            self.press(button)
        yield opened.value

    def choose(self, popup: Page, card: dict[str, str]) -> None:
        radio = popup.locator("label.card", has_text=card["label"]).locator("input")
        radio.wait_for()
        if radio.is_enabled():
            radio.check()
        expect(radio).to_be_checked()

    def look_at(self, popup: Page, screen: str, card: dict[str, str], *, size: dict[str, int] = POPUP) -> None:
        """Look at the agent's window as whoever has one card in one reader sees it, not the practice city's dozen."""
        popup.set_viewport_size(size)  # type: ignore[arg-type]
        others = f"label.card:not(:has-text('{card['label']}'))"
        self.camera.look(screen, popup, scope="body", without=(others, "#cards p", "#card-faults"))

    def pin(self, popup: Page, card: dict[str, str], person: str = "") -> None:
        popup.get_by_label("PIN番号:").fill(card["pin"])
        if person and popup.get_by_label("担当者:").is_editable():
            popup.get_by_label("担当者:").fill(person)

    def ok(self, popup: Page) -> None:
        popup.get_by_role("button", name="OK", exact=True).click()

    def ok_slowly(self, popup: Page, screen: str) -> None:
        """Press 「OK」, and look at the window while the card is at work: the question to the agent is held back for that."""
        held: list[Route] = []
        popup.route("**/api/use", lambda route: held.append(route))
        self.ok(popup)
        popup.get_by_text("ただいまICカードにアクセス中です。").wait_for()
        self.look_at(popup, screen, self.old)
        while not held:
            popup.wait_for_timeout(20)
        held[0].continue_()
