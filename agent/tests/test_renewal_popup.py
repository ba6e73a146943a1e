"""ICカード更新 in the real popup in Chromium, from the manual's first message to 「更新」, and what closing it leaves: nothing."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
import uvicorn
from agent_for_tests import free_ports, settings_text, wait_for, wait_until_answering, workers_of
from browser_for_tests import axe, press_last, site_entry, state
from cards_for_tests import PIN, SOFTHSM, TestCard, TokenStore, make_card
from playwright.sync_api import BrowserContext, Page, expect
from renewal_for_tests import MESSAGE, document_for
from site_for_tests import RunningSite, Site

from irefuda_agent.cards import Cards
from irefuda_agent.ports import bind
from irefuda_agent.renewal import Limits, Renewal, Step
from irefuda_agent.settings import Module
from irefuda_agent.settings_file import SettingsFile
from irefuda_agent.web import Web
from irefuda_core import documents, jws

pytestmark = pytest.mark.browser

NEW_PIN = "654321"
FIRST = (
    "現在使用しているICカードがICカードリーダーに正しく挿入されていることを確認して「OK」ボタンをクリックしてください。"
)
SECOND = "新しいICカードがICカードリーダーに正しく挿入されていることを確認して「OK」ボタンをクリックしてください。"
# What a site does at the least: opens the popup at a click, asks when it is ready, and keeps what it hears.
SCRIPT = """<button>ICカード更新</button><script>
const heard = window.heard = [];
document.querySelector("button").onclick = () => { window.popup = window.open("AGENT/", "card-agent", "popup,width=480,height=760"); };
window.addEventListener("message", (event) => {
  if (event.source !== popup || event.origin !== "AGENT") return;
  heard.push(event.data);
  if (event.data.type === "card-agent-ready") popup.postMessage(MESSAGE, event.origin);
});
</script>"""


class RunningProgram:
    """The companion program on a thread of this process, so that what it keeps in memory can be looked at."""

    def __init__(self, directory: Path, ports: list[int], sites: str, limits: Limits | None) -> None:
        settings = directory / "agent.toml"
        settings.write_text(settings_text(ports, sites=sites), encoding="utf-8")
        cards = Cards([Module("SoftHSM", SOFTHSM)], clock=lambda: datetime.now(UTC))
        self.web = Web(SettingsFile(settings), cards, secret="secret", limits=limits)
        listener = bind(ports)
        assert listener is not None
        self.port = listener.getsockname()[1]
        config = uvicorn.Config(
            self.web.application(self.port), log_level="warning", lifespan="off", ws="none", timeout_graceful_shutdown=1
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
        self.thread.start()
        wait_until_answering(self.port)

    @property
    def renewal(self) -> Renewal:
        """The renewal that was begun last."""
        return [d.renewal for d in self.web.dialogues.open.values() if d.renewal is not None][-1]

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(10)


class Walk:
    """A site's page with the popup that it has opened."""

    def __init__(self, site: Site, program: RunningProgram, context: BrowserContext) -> None:
        self.site = site
        self.program = program
        self.agent = f"http://127.0.0.1:{program.port}"
        site.plain = SCRIPT.replace("AGENT", self.agent).replace("MESSAGE", json.dumps(MESSAGE))
        self.page = context.new_page()
        self.page.goto(site.origin + "/plain/")
        with self.page.expect_popup() as opened:
            self.page.get_by_role("button").click()
        self.popup: Page = opened.value
        self.popup.get_by_text(FIRST).wait_for()

    def heard(self, kind: str) -> dict:
        """Return the popup's message of this kind, once the site has heard it."""
        self.page.wait_for_function("kind => heard.some(m => m.type === kind)", arg=kind)
        return self.page.evaluate("kind => heard.find(m => m.type === kind)", kind)

    def say(self, message: dict) -> None:
        """Send the popup a message as the site."""
        self.page.evaluate("([m, to]) => popup.postMessage(m, to)", [message, self.agent])

    def show(self, **changes: str) -> str:
        """Answer the popup with the document that it waits for, and return it."""
        document = document_for(self.heard("cards"), origin=self.site.origin, realm="practice", **changes)
        self.say({"v": 1, "type": "renewal-document", "document": document})
        return document

    def press(self, name: str) -> None:
        self.popup.get_by_role("button", name=name, exact=True).click()

    def choose(self, held: TestCard) -> None:
        """Mark the card whose certificate this is, once the list shows it."""
        self.popup.locator(f'input[name=card][value$="{held.fingerprint}"]:not(:disabled)').first.check()

    def hand_over(self, held: TestCard) -> None:
        """Go through the first message and the old card."""
        self.press("OK")
        self.choose(held)
        self.popup.get_by_label("PIN番号:").fill(PIN)
        self.press("OK")
        self.popup.get_by_text(SECOND).wait_for()

    def until_the_confirmation(self, old: TestCard, new: TestCard) -> None:
        """Go on until 「更新」 can be pressed."""
        self.hand_over(old)
        self.press("OK")
        self.choose(new)
        self.press("OK")
        self.show()
        self.popup.get_by_role("heading", name="電子証明書更新確認").wait_for()


@pytest.fixture(scope="module")
def cards() -> dict[str, TestCard]:
    days = timedelta(days=1)
    return {
        "old": make_card(), "new": make_card(ends=900 * days), "other pin": make_card(ends=800 * days),
        "expired": make_card(ends=-days, company="期限切れ商会"),
    }  # fmt: skip


@pytest.fixture(scope="module")
def store(cards: dict[str, TestCard], tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    store = TokenStore(tmp_path_factory.mktemp("popup") / "store")
    for name, card in cards.items():
        store.insert(card, pin=NEW_PIN if name == "other pin" else PIN)
    return store


@pytest.fixture
def walking(
    store: TokenStore, tmp_path: Path, context: BrowserContext, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., Walk]]:
    """Yield a starter of walks, each with a program of its own."""
    monkeypatch.setenv("SOFTHSM2_CONF", str(store.conf))
    running: list[RunningProgram] = []
    ports = free_ports(3)
    with RunningSite(ports) as site:

        def walk(limits: Limits | None = None) -> Walk:
            running.append(RunningProgram(tmp_path, ports, site_entry(site.origin), limits))
            return Walk(site, running[-1], context)

        yield walk
        for program in running:
            program.stop()
    wait_for(lambda: workers_of(psutil.Process()) == [])


def test_a_person_renews_with_the_keyboard_alone(walking, cards):
    walk = walking()
    popup, keyboard = walk.popup, walk.popup.keyboard
    assert popup.get_by_text("りんごと青い海").is_visible()
    state(popup, "renewal-first-message")
    keyboard.press("Enter")
    expect(popup.get_by_role("heading", name="ICカード引継届")).to_be_visible()
    popup.get_by_text("調達機関が認めるときだけ").wait_for()
    expect(popup.get_by_label("PIN番号:")).to_be_focused()
    walk.choose(cards["old"])
    shown = popup.locator("#document-fields")
    expect(shown).to_contain_text(cards["old"].fingerprint)
    state(popup, "renewal-old-card")
    popup.get_by_label("PIN番号:").focus()
    keyboard.type(PIN)
    keyboard.press("Tab")
    keyboard.type("鈴木係長")
    keyboard.press("Enter")
    popup.get_by_text(SECOND).wait_for()
    state(popup, "renewal-second-message")
    keyboard.press("Enter")
    popup.get_by_text("今使っているカードです。新しいカードに差し替えてください。").wait_for()
    assert popup.locator(f'input[value$="{cards["old"].fingerprint}"]').is_disabled()
    popup.get_by_text("空欄のまま「OK」を押してください").wait_for()
    walk.choose(cards["new"])
    state(popup, "renewal-new-card")
    popup.get_by_label("PIN番号:").focus()
    keyboard.press("Enter")
    popup.get_by_text("サイトで確認しています。").wait_for()
    told = walk.heard("cards")
    assert told["person_in_charge"] == "鈴木係長"
    state(popup, "renewal-waiting")
    document = walk.show()
    popup.get_by_role("heading", name="電子証明書更新確認").wait_for()
    for name in ("現在使用しているICカード", "新規に使用するICカード"):
        assert popup.get_by_role("heading", name=name).is_visible()
    assert not popup.get_by_label("PIN番号:").is_visible()
    values = json.loads(document)
    shown = popup.locator("#confirmation dd").all_inner_texts()
    read = documents.read_document(document.encode(), realm=values["realm"], origin=values["origin"])
    assert {text for _, text in read.envelope[1:]} <= set(shown)
    assert {value for key, value in values.items() if key not in documents.ENVELOPE} <= set(shown)
    assert blocks(popup, 1040) == "beside"
    assert axe(popup) == []
    state(popup, "renewal-confirmation")
    assert blocks(popup, 320) == "below"
    press_last(popup, "更新", keyboard=True)
    signed = jws.parse(walk.heard("signed")["jws"])
    jws.verify_document(signed)
    assert (signed.payload, signed.unverified_certificate) == (document.encode(), cards["new"].der)
    assert PIN not in json.dumps(walk.page.evaluate("heard"))


def blocks(popup: Page, width: int) -> str:
    """Return how the two certificates stand at this width, and take a picture where one is asked for."""
    popup.set_viewport_size({"width": width, "height": 900})
    if directory := os.environ.get("IREFUDA_PICTURES"):
        popup.screenshot(path=str(Path(directory) / f"renewal-blocks-{width}.png"), full_page=True)
    left, right = (box.bounding_box() for box in popup.locator("#both-cards .values-of").all())
    assert left is not None
    assert right is not None
    if right["y"] == left["y"]:
        assert right["x"] >= left["x"] + left["width"]
        return "beside"
    return "below"


def test_a_pin_of_its_own_is_asked_and_back_begins_anew(walking, cards):
    walk = walking()
    walk.hand_over(cards["old"])
    walk.press("OK")
    walk.choose(cards["other pin"])
    walk.press("OK")
    walk.popup.get_by_text("（C-232）").wait_for()
    walk.popup.get_by_text("PIN番号の間違い1回分として数えられています。").wait_for()
    state(walk.popup, "renewal-other-pin")
    walk.press("OK")  # the field is empty, and nothing is left that could be tried
    walk.popup.get_by_text("（C-213）").wait_for()
    walk.popup.get_by_label("PIN番号:").fill(NEW_PIN)
    walk.press("OK")
    walk.show()
    walk.popup.get_by_role("heading", name="電子証明書更新確認").wait_for()
    press_last(walk.popup, "戻る")
    assert walk.heard("restart") == {"v": 1, "type": "restart"}
    wait_for(lambda: walk.program.renewal.step is Step.ENDED, 2)
    wait_for(lambda: workers_of(psutil.Process()) == [])


def test_the_new_card_is_asked_for_again_when_its_log_in_is_gone(walking, cards):
    walk = walking(Limits(session=1.5))
    walk.until_the_confirmation(cards["old"], cards["new"])
    walk.popup.get_by_text("新規に使用するICカードとの接続が切れています。").wait_for()
    walk.popup.get_by_text("ほかに差し込まれているICカード（3枚）は、この手続きには使えません。").wait_for()
    state(walk.popup, "renewal-logged-out")
    walk.popup.get_by_label("PIN番号:").fill(PIN)
    press_last(walk.popup, "更新")
    assert jws.parse(walk.heard("signed")["jws"]).unverified_certificate == cards["new"].der


def test_neither_the_pin_is_kept_nor_the_site_waited_for_for_ever(walking, cards):
    walk = walking(Limits(pin=0.3, site=0.3))
    walk.hand_over(cards["old"])
    wait_for(lambda: bytes(walk.program.renewal.pin.content) == bytes(len(PIN)), 2)
    walk.press("OK")
    walk.popup.get_by_text("新しいICカードのPIN番号を入力してください。").wait_for()
    walk.choose(cards["new"])
    walk.popup.get_by_label("PIN番号:").fill(PIN)
    walk.press("OK")
    walk.popup.get_by_text("（C-231）").wait_for()
    state(walk.popup, "renewal-no-answer")
    wait_for(lambda: workers_of(psutil.Process()) == [])
    press_last(walk.popup, "閉じる")
    assert walk.heard("refused")["code"] == "C-231"


def test_what_the_site_says_wrongly_or_to_stop(walking, cards):
    walk = walking()
    walk.hand_over(cards["old"])
    walk.press("OK")
    walk.choose(cards["new"])
    walk.press("OK")
    walk.show(agency_code="9991")
    walk.popup.get_by_text("（K-441）").wait_for()
    state(walk.popup, "renewal-other-document")
    press_last(walk.popup, "閉じる")
    assert walk.heard("refused")["code"] == "K-441"
    walk = Walk(walk.site, walk.program, walk.page.context)
    walk.hand_over(cards["old"])
    walk.press("OK")
    walk.choose(cards["new"])
    walk.press("OK")
    walk.heard("cards")
    with walk.popup.expect_event("close"):
        walk.say({"v": 1, "type": "stop"})
    assert [message["type"] for message in walk.page.evaluate("heard")] == ["card-agent-ready", "cards"]


@pytest.mark.parametrize("step", [Step.NEW, Step.CONFIRM])
def test_nothing_is_left_of_a_popup_that_was_closed_by_force(walking, cards, step):
    walk = walking()
    if step is Step.NEW:
        walk.hand_over(cards["old"])
        assert bytes(walk.program.renewal.pin.content) == PIN.encode()
    else:
        walk.until_the_confirmation(cards["old"], cards["new"])
        wait_for(lambda: len(workers_of(psutil.Process())) == 1)  # the one that holds the new card
    workers = workers_of(psutil.Process())
    renewal = walk.program.renewal
    assert renewal.step is step
    walk.popup.close()
    wait_for(lambda: renewal.step is Step.ENDED, 2)
    assert bytes(renewal.pin.content) == bytes(len(PIN))
    for worker in workers:
        worker.wait(2)
    wait_for(lambda: workers_of(psutil.Process()) == [])
