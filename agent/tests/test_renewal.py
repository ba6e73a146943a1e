"""ICカード更新 over real HTTP, through real workers, on SoftHSM2 with two tokens; the rulebook judges the signatures."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import httpx
import psutil
import pytest
from agent_for_tests import SITE, Agent, choice, codes, starting, wait_for, workers_of
from cards_for_tests import PIN, TestCard, TokenStore, make_card
from renewal_for_tests import MESSAGE, Popup, document_for, renewing

from irefuda_core import jws
from irefuda_core.documents import read_document

NEW_PIN = "654321"


@dataclass(frozen=True)
class Held:
    """The cards in the readers of these tests."""

    old: TestCard
    new: TestCard
    other_pin: TestCard
    expired: TestCard
    future: TestCard
    hidden: TestCard
    hidden_old: TestCard


@pytest.fixture(scope="module")
def held() -> Held:
    old, days = make_card(), timedelta(days=1)
    return Held(
        old, make_card(ends=900 * days), make_card(kind="P-256"), make_card(ends=-days), make_card(starts=days),
        make_card(kind="P-256"), old,
    )  # fmt: skip


@pytest.fixture(scope="module")
def store(held: Held, tmp_path_factory: pytest.TempPathFactory) -> TokenStore:
    """Seven readers; the sixth card and the seventh, a copy of the first, show their certificate after the PIN only."""
    store = TokenStore(tmp_path_factory.mktemp("renewal") / "store")
    for card in (held.old, held.new):
        store.insert(card)
    store.insert(held.other_pin, pin=NEW_PIN)
    for card in (held.expired, held.future):
        store.insert(card)
    store.insert(held.hidden, private_certificates=True)
    store.insert(held.hidden_old, private_certificates=True, pin=NEW_PIN)
    return store


@pytest.fixture(scope="module")
def agent(store: TokenStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One program for all tests that do not end it."""
    with starting(tmp_path_factory.mktemp("program")) as start:
        yield start(conf=store.conf)


def hidden_row(popup: Popup, label: str) -> dict:
    """Return the row of a card that shows no certificate yet."""
    look = popup.until(lambda line: line.get("cards"))
    return next(card for card in look["cards"] if (card["label"], card["fingerprint"]) == (label, ""))


def until_the_site(popup: Popup, old: TestCard, new: TestCard) -> dict:
    """Return what the site is told once both cards were used, the new one with the kept PIN."""
    popup.hand_over(old)
    answer = popup.press("new", popup.row(new), "")
    assert answer["step"] == "site", answer
    return answer["tell"]


def until_the_confirmation(popup: Popup, old: TestCard, new: TestCard) -> str:
    """Return the document that waits for 「更新」."""
    document = document_for(until_the_site(popup, old, new))
    assert popup.show(document)["step"] == "confirm"
    return document


def test_the_old_card_signs_the_handover_and_the_new_one_the_renewal(agent, held):
    with renewing(agent) as popup:
        told = until_the_site(popup, held.old, held.new)
        assert set(told) == {"type", "v", "handover", "certificate", "person_in_charge"}
        assert (told["type"], told["person_in_charge"]) == ("cards", "鈴木　花子")
        assert base64.b64decode(told["certificate"]) == held.new.der
        handover = jws.parse(told["handover"])
        jws.verify_document(handover)
        assert handover.unverified_certificate == held.old.der
        assert handover.header["typ"] == "irefuda.production.card-handover.v1"
        values = read_document(handover.payload, realm="production", origin=SITE).values
        assert values["document_id"] == MESSAGE["renewal_id"]
        assert values["certificate_fingerprint"] == held.old.fingerprint
        assert values["person_in_charge"] == "鈴木　花子"
        document = document_for(told)
        shown = popup.show(document)
        (old_heading, old_rows), (new_heading, new_rows) = shown["cards"]
        assert (old_heading, new_heading) == ("現在使用しているICカード", "新規に使用するICカード")
        assert len(old_rows) == len(new_rows) == 10
        assert dict(new_rows)["証明書の指紋（SHA-256）"] == held.new.fingerprint
        # Nothing of the document is left out: its fields, and the five of every document.
        assert sum(len(rows) for _, rows in [*shown["cards"], *shown["others"]]) == 20 + 3 + 2 + 1 + 1 + 5
        reply = popup.press("sign")["reply"]
    signed = jws.parse(reply["jws"])
    jws.verify_document(signed)
    assert signed.unverified_certificate == held.new.der
    assert signed.payload == document.encode()
    assert signed.header["typ"] == "irefuda.production.card-renewal.v1"
    assert codes(popup.press("sign")) == ["C-219"]


@pytest.mark.parametrize(
    "changes",
    [{"renewal_id": "1"}, {"renewal_id": None}, {"agency_code": "12"}, {"agency_name": ""}, {"agency_name": "二\n行"},
     {"category": "長" * 401}, {"issued_at": "2026-11-25T09:00:00Z"}, {"issued_at": "2026-13-25T09:00:00+09:00"},
     {"purpose": "長" * 61}, {"v": 2}, {"type": "renewal"}, {"document": "{}"}, {"agency_name": "逆\u202e順"}],
)  # fmt: skip
def test_a_first_message_that_is_not_exactly_that_is_refused(shared_agent, changes):
    shared_agent.open_popup()
    answer = shared_agent.call("/api/begin", origin=SITE, message={**MESSAGE, **changes})
    assert (codes(answer), answer["final"]) == (["C-219"], True)
    for key in MESSAGE.keys() - {"purpose"}:
        shared_agent.open_popup()
        without = {name: value for name, value in MESSAGE.items() if name != key}
        assert codes(shared_agent.call("/api/begin", origin=SITE, message=without)) == ["C-219"]


def test_the_presses_of_a_renewal_are_for_a_renewal_only(agent, held):
    agent.begin()
    (row,) = [card for card in agent.look()["cards"] if card["fingerprint"] == held.old.fingerprint]
    for press in ("old", "new", "site", "sign"):
        assert codes(agent.call(f"/api/renewal/{press}", card=choice(row), pin=PIN)) == ["C-219"]
    with renewing(agent) as popup:
        assert codes(agent.call("/api/use", card=choice(row), pin=PIN)) == ["C-219"]
        assert codes(agent.call("/api/check", card=choice(row))) == ["C-219"]
        assert codes(agent.call("/api/cards")) == ["C-219"]
        for press in ("new", "sign"):
            assert codes(popup.press(press, row)) == ["C-219"]


def test_no_card_is_used_while_no_popup_listens(agent, held):
    agent.begin()
    row = next(card for card in agent.look()["cards"] if card["fingerprint"] == held.old.fingerprint)
    agent.open_popup()
    agent.call("/api/begin", origin=SITE, message=MESSAGE)
    assert codes(agent.call("/api/renewal/old", card=choice(row), pin=PIN)) == ["C-219"]


def test_an_expired_old_card_may_hand_over_and_an_expired_new_one_may_not_follow(agent, held):
    with renewing(agent) as popup:
        assert codes(popup.press("old", popup.row(held.future))) == ["C-209"]
        row = popup.row(held.expired)
        assert (row["choosable"], row["expired"]) == (False, True)
        popup.hand_over(held.expired)
        assert codes(popup.press("new", popup.row(held.future))) == ["C-209"]
        assert popup.press("new", popup.row(held.new))["step"] == "site"
    with renewing(agent) as popup:
        popup.hand_over(held.old)
        assert codes(popup.press("new", popup.row(held.expired))) == ["C-208"]


def test_the_old_card_is_no_new_card_nor_is_a_copy_of_its_certificate(agent, held):
    with renewing(agent) as popup:
        popup.hand_over(held.old)
        assert codes(popup.press("new", popup.row(held.old), "")) == ["R-131"]
        popup.until(lambda line: line["step"] == "new" and line["pin_kept"])
        assert codes(popup.press("new", hidden_row(popup, "card7"), NEW_PIN)) == ["R-131"]
        assert popup.press("new", popup.row(held.new))["step"] == "site"


def test_cards_that_show_their_certificate_after_the_pin_only(agent, held):
    with renewing(agent) as popup:
        row = hidden_row(popup, "card7")
        # What was not shown before is not signed: the certificate is shown now, and the PIN asked again.
        (shown,) = popup.press("old", row, NEW_PIN)["choose"]
        assert shown["fingerprint"] == held.hidden_old.fingerprint
        assert popup.press("old", {**row, **shown}, NEW_PIN) == {"step": "new"}
        told = popup.press("new", hidden_row(popup, "card6"))["tell"]
        assert base64.b64decode(told["certificate"]) == held.hidden.der
        popup.show(document_for(told))
        assert popup.press("sign")["reply"]["type"] == "signed"


def test_the_kept_pin_is_tried_once_and_then_the_new_one_is_asked(agent, held):
    with renewing(agent) as popup:
        popup.hand_over(held.old)
        row = popup.row(held.other_pin)
        answer = popup.press("new", row, "")
        assert (codes(answer), answer["pin_kept"]) == (["C-232", "C-220"], False)
        assert codes(popup.press("new", row, "")) == ["C-213"]
        assert popup.press("new", row, NEW_PIN)["step"] == "site"


def test_the_kept_pin_is_never_tried_on_a_card_with_few_tries(agent, held):
    with renewing(agent) as popup:
        row = popup.row(held.other_pin)
        assert codes(popup.press("old", row, "000000")) == ["C-210", "C-220"]
        popup.hand_over(held.old)
        assert codes(popup.press("new", row, "")) == ["C-220"]  # and not C-232: nothing was tried
        assert popup.press("new", row, NEW_PIN)["step"] == "site"


def test_a_typed_pin_takes_the_place_of_the_kept_one(agent, held):
    with renewing(agent) as popup:
        popup.hand_over(held.old)
        row = popup.row(held.new)
        assert codes(popup.press("new", row, "000000"))[0] == "C-210"
        popup.until(lambda line: line["step"] == "new" and not line["pin_kept"])
        assert codes(popup.press("new", row, "")) == ["C-213"]
        assert popup.press("new", row)["step"] == "site"


def test_a_document_that_says_other_than_what_happened_is_never_signed(agent, held):
    with renewing(agent) as popup:
        told = until_the_site(popup, held.old, held.new)
        answer = popup.show(document_for(told, new_certificate_fingerprint=held.old.fingerprint))
        assert (codes(answer), answer["final"]) == (["K-441"], True)
        assert popup.until(lambda line: line["step"] == "ended")["refusals"] == []
        wait_for(lambda: workers_of(psutil.Process(agent.process.pid)) == [])
        assert codes(popup.show(document_for(told))) == ["C-219"]
        assert codes(popup.press("sign")) == ["C-219"]


def test_the_site_may_stop_it(agent, held):
    with renewing(agent) as popup:
        told = until_the_site(popup, held.old, held.new)
        assert popup.hear({"v": 1, "type": "stop"}) == {"step": "ended"}
        wait_for(lambda: workers_of(psutil.Process(agent.process.pid)) == [])
        assert codes(popup.show(document_for(told))) == ["C-219"]


def test_the_same_new_card_signs_after_its_log_in_was_lost(agent, held):
    with renewing(agent) as popup:
        other = popup.row(held.old)
        until_the_confirmation(popup, held.old, held.new)
        holder_of(agent).kill()
        answer = popup.press("sign")
        assert (codes(answer), answer["logged_in"]) == (["C-218"], False)
        assert popup.press("sign") == {"refusals": [], "pin_kept": False, "logged_in": False}
        assert codes(popup.press("sign", other)) == ["C-224"]
        row = popup.row(held.new)
        assert codes(popup.press("sign", row, "000000"))[0] == "C-210"
        assert popup.press("sign", row)["reply"]["type"] == "signed"


@pytest.mark.parametrize("step", ["new", "site", "confirm"])
def test_no_worker_outlives_the_popup(agent, held, step):
    program = psutil.Process(agent.process.pid)
    with renewing(agent) as popup:
        {
            "new": lambda: popup.hand_over(held.old),
            "site": lambda: until_the_site(popup, held.old, held.new),
            "confirm": lambda: until_the_confirmation(popup, held.old, held.new),
        }[step]()
        holders = [] if step == "new" else [holder_of(agent)]
    for holder in holders:
        holder.wait(2)
    wait_for(lambda: workers_of(program) == [])
    for press in ("new", "sign"):
        assert codes(popup.press(press, {**choice_of(held.new)})) == ["C-219"]


def holder_of(agent: Agent) -> psutil.Process:
    """Return the worker that holds the logged-in card, once no other looks at the readers any more."""
    program = psutil.Process(agent.process.pid)
    wait_for(lambda: len(workers_of(program)) == 1)
    return workers_of(program)[0]


def choice_of(held: TestCard) -> dict:
    return {"module": "", "slot_id": 0, "token_serial": "", "fingerprint": held.fingerprint}


def test_no_worker_outlives_a_program_that_is_killed(store, start_agent, held):
    agent = start_agent(conf=store.conf)
    with renewing(agent) as popup:
        until_the_confirmation(popup, held.old, held.new)
        worker = holder_of(agent)
        agent.process.kill()
        worker.wait(2)
        with pytest.raises(httpx.RemoteProtocolError):
            list(popup.lines)
