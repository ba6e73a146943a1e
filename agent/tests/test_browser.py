"""The whole handshake in Chromium: site, popup, card, and back; and what the person reads when something is missing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from agent_for_tests import free_ports
from browser_for_tests import press, press_last, site_entry, state
from cards_for_tests import PIN, make_card
from site_for_tests import RunningSite

from irefuda_core import jws, possession

pytestmark = pytest.mark.browser


@pytest.fixture
def running(store, start_agent, good_card) -> Iterator[tuple]:
    """Yield (site, agent) with a good card in the reader."""
    ports = free_ports(3)
    store.insert(good_card)
    with RunningSite(ports) as site:
        yield site, start_agent(conf=store.conf, ports=ports, sites=site_entry(site.origin))


def test_a_person_logs_in_with_the_keyboard_alone(running, context, good_card):
    site, _ = running
    page = context.new_page()
    page.goto(site.origin + "/authenticate")
    page.get_by_role("button", name="登録").focus()
    with page.expect_popup() as opened:
        page.keyboard.press("Enter")
    popup = opened.value
    popup.get_by_text("りんごと青い海").wait_for()
    popup.get_by_text("株式会社山田建設").wait_for()
    assert popup.get_by_text(site.origin).is_visible()
    state(popup, "choosing")
    popup.keyboard.type(PIN)
    popup.keyboard.press("Tab")
    popup.keyboard.type("鈴木係長")
    with popup.expect_event("close"):
        popup.keyboard.press("Enter")
    page.get_by_role("heading", name="受け取りました").wait_for()
    (posted,) = site.posts
    assert posted["person_in_charge"] == "鈴木係長"
    token = possession.parse_token(posted["token"])
    assert possession.verify_possession(token, origin=site.origin, nonce=site.nonces[0]) == good_card.der
    assert PIN not in json.dumps(site.posts)


def test_a_document_is_shown_and_signed(running, context, good_card, application):
    site, _ = running
    document = application(origin=site.origin, realm="practice")
    site.to_sign.update(document=document, document_type="registration-application", fingerprint=good_card.fingerprint)
    page = context.new_page()
    page.goto(site.origin + "/sign")
    popup = press(page)
    popup.get_by_role("heading", name="利用者登録申請書").wait_for()
    assert popup.get_by_text("証明書シリアル番号").is_visible()
    popup.get_by_text("山田 太郎").wait_for()
    state(popup, "signing")
    popup.get_by_label("PIN番号:").fill(PIN)
    popup.get_by_role("button", name="OK").click()
    page.get_by_role("heading", name="受け取りました").wait_for()
    signed = jws.parse(site.posts[0]["jws"])
    jws.verify_document(signed)
    assert signed.payload == document.encode()


def test_a_wrong_pin_is_explained_and_can_be_typed_again(running, context):
    site, _ = running
    page = context.new_page()
    page.goto(site.origin + "/authenticate")
    popup = press(page)
    popup.get_by_text("株式会社山田建設").wait_for()
    popup.get_by_label("PIN番号:").fill("999999")
    popup.get_by_role("button", name="OK").click()
    popup.get_by_text("PIN番号が違います。").wait_for()
    assert popup.get_by_label("PIN番号:").input_value() == ""
    state(popup, "wrong-pin")
    popup.get_by_label("PIN番号:").fill(PIN)
    popup.get_by_role("button", name="OK").click()
    page.get_by_role("heading", name="受け取りました").wait_for()


def test_cancelling_tells_the_site_and_sends_nothing(running, context):
    site, _ = running
    page = context.new_page()
    page.goto(site.origin + "/authenticate")
    popup = press(page)
    popup.get_by_text("株式会社山田建設").wait_for()
    press_last(popup, "キャンセル")
    page.get_by_text("キャンセルしました。").wait_for()
    assert site.posts == []


def test_an_expired_card_is_shown_beside_a_good_one_and_cannot_be_chosen(store, running, context):
    site, _ = running
    store.insert(make_card(company="期限切れ商会", ends=timedelta(days=-1)))
    page = context.new_page()
    page.goto(site.origin + "/authenticate")
    popup = press(page)
    popup.get_by_text("ICカードの有効期限が切れています。").wait_for()
    state(popup, "expired")
    assert popup.get_by_role("radio", disabled=True).count() == 1
    assert popup.get_by_role("radio", checked=True).count() == 1


def test_a_popup_that_no_site_opened_says_where_to_go_back_to(shared_agent, context):
    popup = context.new_page()
    popup.goto(shared_agent.origin + "/")
    popup.get_by_text("電子入札システムの画面に戻ってください。").wait_for()
    state(popup, "no-opener")


def test_a_popup_waits_for_the_site_to_speak(running, context):
    site, agent = running
    site.plain = f"""<button onclick="window.open('{agent.origin}/')">open</button>"""
    page = context.new_page()
    page.goto(site.origin + "/plain/")
    with page.expect_popup() as opened:
        page.get_by_role("button").click()
    opened.value.get_by_text("サイトからの呼び出しを待っています。").wait_for()
    state(opened.value, "waiting")


def test_a_program_that_ends_is_said_in_its_popup(running, browser):
    site, agent = running
    context = browser.new_context()  # Chromium itself complains of the broken connection
    page = context.new_page()
    page.goto(site.origin + "/authenticate")
    popup = press(page)
    popup.get_by_text("株式会社山田建設").wait_for()
    agent.process.terminate()
    popup.get_by_text("補助アプリが終了しました。").wait_for()
    state(popup, "program-ended")
    context.close()


def test_a_pin_typed_in_full_width_costs_no_try(running, context):
    site, _ = running
    page = context.new_page()
    page.goto(site.origin + "/authenticate")
    popup = press(page)
    popup.get_by_text("株式会社山田建設").wait_for()
    popup.get_by_label("PIN番号:").fill("".join(chr(ord(digit) + 0xFEE0) for digit in PIN))
    popup.get_by_role("button", name="OK").click()
    page.get_by_role("heading", name="受け取りました").wait_for()
