"""What the person sees in the popup while a real card's life goes on: empty reader, wrong PINs, last try, lock, waiting."""

from __future__ import annotations

import threading

import pytest
from agent_for_tests import free_ports
from browser_for_tests import press, site_entry, state
from cards_for_tests import PIN
from playwright.sync_api import Page
from site_for_tests import RunningSite
from virtual_card import OPENSC, VirtualCard

pytestmark = [pytest.mark.virtual_card, pytest.mark.browser]


@pytest.fixture
def popup_of(two_readers, start_agent, context):
    """Yield an opener of popups of a program that uses the virtual readers."""
    ports = free_ports(3)
    with RunningSite(ports) as site:
        start_agent(module=OPENSC, environment=two_readers.environment, ports=ports, sites=site_entry(site.origin))

        def open_one() -> Page:
            page = context.new_page()
            page.goto(site.origin + "/authenticate")
            return press(page)

        yield open_one


def type_pin(popup: Page, pin: str) -> None:
    popup.get_by_label("PIN番号:").fill(pin)
    popup.get_by_role("button", name="OK").click()


def test_the_popup_follows_the_card_from_the_empty_reader_to_the_lock(popup_of, insert, good_card):
    popup = popup_of()
    popup.get_by_text("ICカードが見つかりません。").wait_for()
    state(popup, "no-card")
    card = insert(VirtualCard(good_card))
    popup.get_by_text("株式会社山田建設").wait_for()
    type_pin(popup, "000000")
    popup.get_by_text("PIN番号が違います。").wait_for()
    type_pin(popup, "000000")
    popup.get_by_text("PIN番号をあと1回間違えると").first.wait_for()
    popup.get_by_label("PIN番号を確かめました").wait_for()
    state(popup, "last-try")
    type_pin(popup, PIN)
    popup.get_by_text("印を付けてください。").wait_for()
    state(popup, "last-try-unconfirmed")
    assert card.verifications == 2
    popup.get_by_label("PIN番号を確かめました").check()
    type_pin(popup, "000000")
    popup.get_by_text("（C-212）").wait_for()
    popup.locator(".note", has_text="ロック").wait_for()
    state(popup, "locked")
    card.pull()
    popup.get_by_text("ICカードが見つかりません。").wait_for()


def test_the_popup_says_that_it_is_using_the_card_for_as_long_as_it_does(popup_of, insert, good_card):
    card, going_on = insert(VirtualCard(good_card)), threading.Event()
    card.when_signing = going_on.wait
    try:
        popup = popup_of()
        popup.get_by_text("株式会社山田建設").wait_for()
        type_pin(popup, PIN)
        popup.get_by_text("ただいまICカードにアクセス中です。しばらくお待ち下さい。").wait_for()
        state(popup, "accessing")
        assert (
            popup.evaluate("getComputedStyle(document.getElementById('accessing'), '::after').animationName") == "dots"
        )
        popup.keyboard.press("Escape")  # would cancel at any other time
        assert popup.locator("form[inert]").count() == 1
        with popup.expect_event("close"):
            going_on.set()
        popup.context.pages[0].get_by_role("heading", name="受け取りました").wait_for()
    finally:
        going_on.set()
