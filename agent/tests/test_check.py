"""利用環境の確認: what the program tells a site of readers and cards when the person agrees, and that no PIN goes into it."""

from __future__ import annotations

import base64
import importlib.metadata
from datetime import UTC, datetime, timedelta

import pytest
from agent_for_tests import SITE, choice, codes, free_ports
from browser_for_tests import press_last, site_entry, state
from cards_for_tests import PIN, make_card
from site_for_tests import RunningSite
from virtual_card import OPENSC, VirtualCard

from irefuda_agent.version import APP_VERSION, VERSION

CHECK = {"type": "check", "v": 1, "purpose": "利用環境の確認"}


def begin(agent) -> dict:
    agent.open_popup()
    return agent.call("/api/begin", origin=SITE, message=CHECK)


def test_the_version_is_the_distributions():
    assert importlib.metadata.version("irefuda-card-agent") == VERSION
    assert f"irefuda-card-agent/{VERSION}" == APP_VERSION


def test_the_chosen_card_is_told_without_a_pin(store, start_agent, good_card):
    store.insert(make_card(company="別の会社"))
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    shown = begin(agent)
    assert (shown["kind"], shown["origin"], shown["passphrase"]) == ("check", SITE, "りんごと青い海")
    card = next(card for card in agent.look()["cards"] if card["fingerprint"] == good_card.fingerprint)
    reply = agent.call("/api/check", card=choice(card))["reply"]
    told_at = datetime.strptime(reply.pop("agent_time"), "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    assert abs(datetime.now(UTC) - told_at) < timedelta(seconds=30)
    assert base64.b64decode(reply.pop("certificate")) == good_card.der
    assert reply == {"type": "checked", "v": 1, "version": VERSION, "readers": None, "cards": 2, "faults": []}
    assert codes(agent.call("/api/check", card=choice(card))) == ["C-219"]


def test_an_expired_card_can_be_chosen_so_that_the_site_can_say_it(store, start_agent):
    expired = make_card(ends=timedelta(days=-1))
    store.insert(expired)
    agent = start_agent(conf=store.conf)
    begin(agent)
    (card,) = agent.look()["cards"]
    assert base64.b64decode(agent.call("/api/check", card=choice(card))["reply"]["certificate"]) == expired.der


def test_a_certificate_behind_the_pin_is_not_told(store, start_agent, good_card):
    store.insert(good_card, private_certificates=True)
    agent = start_agent(conf=store.conf)
    begin(agent)
    (card,) = agent.look()["cards"]
    reply = agent.call("/api/check", card=choice(card))["reply"]
    assert (reply["cards"], reply["certificate"], reply["faults"]) == (1, "", [])


@pytest.mark.parametrize(
    ("module", "faults"), [("/usr/lib/softhsm/libsofthsm2.so", ["C-201"]), ("/nowhere/none.so", ["C-216"])]
)
def test_without_a_card_the_reason_is_told(store, start_agent, module, faults):
    agent = start_agent(conf=store.conf, module=module)
    begin(agent)
    reply = agent.call("/api/check")["reply"]
    assert (reply["readers"], reply["cards"], reply["faults"], reply["certificate"]) == (None, 0, faults, "")


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"slot_id": 99}, "C-204"), ({"token_serial": "00"}, "C-205"), ({"fingerprint": "0" * 64}, "C-205"),
     ({"module": "/usr/lib/none.so"}, "C-204"), ({"slot_id": "1"}, "C-219")],
)  # fmt: skip
def test_a_choice_that_no_longer_fits_tells_nothing(store, start_agent, good_card, changes, code):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    begin(agent)
    (card,) = agent.look()["cards"]
    assert codes(agent.call("/api/check", card={**choice(card), **changes})) == [code]
    assert "reply" in agent.call("/api/check", card=choice(card))


def test_a_card_that_nobody_chose_is_not_told(store, start_agent, good_card):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    begin(agent)
    assert codes(agent.call("/api/check")) == ["C-205"]


@pytest.mark.parametrize(
    "message",
    [{**CHECK, "nonce": "n" * 44}, {**CHECK, "v": 2}, {**CHECK, "card": 1}, {**CHECK, "purpose": "長" * 61},
     {**CHECK, "purpose": None}, {"type": "check"}, {"type": "checked", "v": 1, "purpose": ""}],
)  # fmt: skip
def test_a_check_that_asks_for_anything_else_is_refused(shared_agent, message):
    shared_agent.open_popup()
    assert codes(shared_agent.call("/api/begin", origin=SITE, message=message)) == ["C-219"]
    assert codes(shared_agent.call("/api/check")) == ["C-219"]


def test_a_site_that_is_no_entry_is_told_nothing_not_even_the_version(shared_agent):
    page = shared_agent.open_popup()
    answer = shared_agent.call("/api/begin", origin="https://other.example", message=CHECK)
    assert codes(answer) == ["C-215"]
    assert codes(shared_agent.call("/api/check")) == ["C-219"]
    assert VERSION not in page + str(answer)


def test_no_pin_is_used_in_a_check_and_no_check_is_made_in_a_login(store, start_agent, good_card):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    begin(agent)
    (card,) = agent.look()["cards"]
    assert codes(agent.call("/api/use", card=choice(card), pin=PIN)) == ["C-219"]
    agent.begin()
    assert codes(agent.call("/api/check", card=choice(card))) == ["C-219"]


# ---- in the popup ----

# The least that a site does: it answers the popup's "ready", and shows what comes back.
ASKING = """<button>確認をはじめる</button><output></output><script>
addEventListener("message", (event) => {
  if (event.data.type === "card-agent-ready") event.source.postMessage(%s, event.origin);
  else document.querySelector("output").textContent = JSON.stringify(event.data);
});
document.querySelector("button").addEventListener("click", () => window.open("http://127.0.0.1:%s/"));
</script>"""


@pytest.fixture
def popup_of(start_agent, context):
    """Yield an opener of the check's popup of a program that is started with these options; returns (popup, site page)."""
    ports = free_ports(3)
    with RunningSite(ports) as site:

        def open_one(**options):
            agent = start_agent(ports=ports, sites=site_entry(site.origin), **options)
            site.plain = ASKING % ('{type: "check", v: 1, purpose: "利用環境の確認"}', agent.port)
            page = context.new_page()
            page.goto(site.origin + "/plain/")
            with page.expect_popup() as opened:
                page.get_by_role("button").click()
            return opened.value, page

        yield open_one


@pytest.mark.browser
def test_the_popup_says_what_it_will_tell_and_asks_for_no_pin(store, popup_of, good_card):
    store.insert(make_card(company="期限切れ商会", ends=timedelta(days=-1)))
    store.insert(good_card)
    popup, page = popup_of(conf=store.conf)
    popup.get_by_text("期限切れ商会").wait_for()
    assert popup.get_by_role("heading", level=1).inner_text() == "利用環境の確認"
    for text in ("りんごと青い海", f"補助アプリの版（{VERSION}）", "PIN番号は使いません。"):
        assert popup.get_by_text(text).is_visible()
    assert popup.get_by_role("radio", checked=True).count() == 0
    assert not popup.get_by_label("PIN番号:").is_visible()
    assert not popup.get_by_label("担当者:").is_visible()
    state(popup, "check-choosing")
    popup.get_by_role("button", name="確認結果をサイトに送る").click()
    popup.get_by_text("確認するICカードが選ばれていません。").wait_for()
    state(popup, "check-unchosen")
    popup.get_by_text("期限切れ商会").click()
    popup.get_by_role("button", name="確認結果をサイトに送る").click()
    page.get_by_text('"type":"checked"').wait_for()


@pytest.mark.browser
def test_cancelling_a_check_tells_nothing_but_that(store, popup_of, good_card):
    store.insert(good_card)
    popup, page = popup_of(conf=store.conf)
    popup.get_by_text("株式会社山田建設").wait_for()
    press_last(popup, "キャンセル")
    page.get_by_text("cancelled").wait_for()
    assert page.locator("output").inner_text() == '{"v":1,"type":"cancelled"}'


@pytest.mark.browser
@pytest.mark.virtual_card
def test_readers_and_cards_are_followed_live_and_counted(two_readers, insert, popup_of, good_card):
    popup, page = popup_of(module=OPENSC, environment=two_readers.environment)
    popup.get_by_text("ICカードが見つかりません。").wait_for()
    state(popup, "check-no-card")
    insert(VirtualCard(good_card))
    popup.get_by_text("株式会社山田建設").wait_for()
    popup.get_by_role("button", name="確認結果をサイトに送る").click()
    page.get_by_text('"readers":2,"cards":1,"faults":[]').wait_for()


@pytest.mark.browser
@pytest.mark.virtual_card
def test_an_empty_reader_is_told_as_it_is(two_readers, popup_of):
    popup, page = popup_of(module=OPENSC, environment=two_readers.environment)
    popup.get_by_text("ICカードが見つかりません。").wait_for()
    popup.get_by_role("button", name="確認結果をサイトに送る").click()
    page.get_by_text('"readers":2,"cards":0,"faults":["C-203"],"certificate":""').wait_for()
