"""The life of a real card, on a virtual one: inserted, pulled, swapped, its PIN wrong until it locks.

The program is the same as with SoftHSM2; only the module in its settings is another (OpenSC).
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime

import psutil
import pytest
from agent_for_tests import NONCE, SITE, Agent, choice, codes, workers_of
from cards_for_tests import PIN, TestCard, make_card
from virtual_card import OPENSC, Readers, VirtualCard

from irefuda_agent.cards import CardChoice, Cards
from irefuda_agent.settings import Module
from irefuda_core import possession

pytestmark = pytest.mark.virtual_card


@pytest.fixture
def agent(two_readers: Readers, start_agent: Callable[..., Agent]) -> Agent:
    started = start_agent(module=OPENSC, environment=two_readers.environment)
    started.begin()
    return started


def look_until(agent: Agent, wanted: Callable[[dict], object]) -> dict:
    """Return the first look at the readers that is as wanted; a card needs a moment until the reader has seen it."""
    with agent.looks() as looks:
        for _ in range(20):
            look = next(looks)
            if wanted(look):
                return look
    raise AssertionError(look)


def the_card(agent: Agent, held: TestCard) -> dict:
    """Return the row of this certificate, once the reader has seen its card."""
    look = look_until(agent, lambda look: [c for c in look["cards"] if c["fingerprint"] == held.fingerprint])
    return next(card for card in look["cards"] if card["fingerprint"] == held.fingerprint)


def use(agent: Agent, card: dict, pin: str = PIN, **more: object) -> dict:
    return agent.call("/api/use", card=choice(card), pin=pin, **more)


def proves(answer: dict, held: TestCard) -> bool:
    token = possession.parse_token(json.dumps(answer["reply"]["token"]))
    return possession.verify_possession(token, origin=SITE, nonce=NONCE) == held.der


def test_a_card_is_seen_when_it_comes_and_when_it_goes(agent, insert, good_card):
    with agent.looks() as looks:
        assert [fault["code"] for fault in next(looks)["faults"]] == ["C-203"]
        card = insert(VirtualCard(good_card))
        come = next(look for look in looks if look["cards"])
        assert (come["cards"][0]["company_name"], come["cards"][0]["choosable"]) == ("株式会社山田建設", True)
        assert come["cards"][0]["reader"].startswith("Virtual PCD")
        card.pull()
        gone = next(look for look in looks if not look["cards"])
        assert [fault["code"] for fault in gone["faults"]] == ["C-203"]


def test_the_card_proves_itself_with_the_same_code_as_a_software_token(agent, insert, good_card):
    card = insert(VirtualCard(good_card))
    assert proves(use(agent, the_card(agent, good_card)), good_card)
    assert card.verifications == 1


def test_a_document_is_signed(agent, insert, good_card, application):
    insert(VirtualCard(good_card))
    agent.begin(
        type="sign",
        document=application(),
        document_type="registration-application",
        fingerprint=good_card.fingerprint,
    )
    assert use(agent, the_card(agent, good_card))["reply"]["type"] == "signed"


@pytest.mark.parametrize("pin", ["123", "123456789"])
def test_a_pin_of_impossible_length_costs_no_try(agent, insert, good_card, pin):
    card = insert(VirtualCard(good_card))
    assert codes(use(agent, the_card(agent, good_card), pin)) == ["C-213"]
    assert (card.tries, card.verifications) == (3, 0)


def test_wrong_pins_warn_before_the_last_try_and_lock_the_card_after_it(agent, insert, good_card):
    card = insert(VirtualCard(good_card))
    row = the_card(agent, good_card)
    assert codes(use(agent, row, "000000"))[0] == "C-210"
    assert codes(use(agent, row, "000000")) == ["C-210", "C-211"]
    assert card.tries == 1
    look_until(agent, lambda look: look["cards"] and look["cards"][0]["final_try"])
    # Without the person's confirmation the last try is not made, not even with the right PIN.
    assert codes(use(agent, row)) == ["C-211"]
    assert (card.tries, card.verifications) == (1, 2)
    assert codes(use(agent, row, "000000", last_try_confirmed=True)) == ["C-212"]
    assert card.tries == 0
    (locked,) = look_until(agent, lambda look: look["cards"] and look["cards"][0]["locked"])["cards"]
    assert locked["choosable"] is False
    assert "ロック" in locked["note"]
    assert codes(use(agent, row, last_try_confirmed=True)) == ["C-212"]
    assert card.verifications == 3


def test_a_confirmed_last_try_with_the_right_pin_gives_the_tries_back(agent, insert, good_card):
    card = insert(VirtualCard(good_card))
    card.tries = 1
    row = the_card(agent, good_card)
    assert row["final_try"] is True
    assert proves(use(agent, row, last_try_confirmed=True), good_card)
    assert card.tries == 3


def test_a_card_pulled_while_it_signs_has_sent_nothing(agent, insert, good_card):
    card = insert(VirtualCard(good_card))
    row = the_card(agent, good_card)
    card.when_signing = card.pull
    assert codes(use(agent, row)) == ["C-204"]
    look_until(agent, lambda look: not look["cards"])
    assert codes(use(agent, row)) == ["C-204"]


@pytest.mark.parametrize("numbers", [(None, None), (b"same", b"same")], ids=["other number", "same number"])
def test_another_card_put_in_after_the_choice_never_sees_the_pin(agent, insert, good_card, numbers):
    other_held = make_card(company="株式会社佐藤工務店", holder="佐藤 次郎")
    first = insert(VirtualCard(good_card, number=numbers[0]))
    row = the_card(agent, good_card)
    first.pull()
    look_until(agent, lambda look: not look["cards"])
    other = insert(VirtualCard(other_held, number=numbers[1]))
    the_card(agent, other_held)
    assert codes(use(agent, row)) == ["C-205"]
    assert (other.verifications, other.tries) == (0, 3)


def test_cards_in_two_readers_sign_each_for_itself(agent, insert, good_card):
    other_held = make_card(company="株式会社佐藤工務店", holder="佐藤 次郎")
    first, other = insert(VirtualCard(good_card), 0), insert(VirtualCard(other_held, pin="654321"), 1)
    rows = [the_card(agent, good_card), the_card(agent, other_held)]
    assert rows[0]["reader"] != rows[1]["reader"]
    assert proves(use(agent, rows[1], "654321"), other_held)
    assert (first.verifications, other.verifications) == (0, 1)
    agent.begin()
    assert proves(use(agent, rows[0]), good_card)
    mixed = {**rows[0], "slot_id": rows[1]["slot_id"]}
    agent.begin()
    assert codes(use(agent, mixed)) == ["C-205"]
    assert (first.verifications, other.verifications) == (1, 1)


def test_of_two_certificates_on_one_card_the_chosen_one_signs(agent, insert, good_card):
    second = make_card(holder="山田 花子")
    card = insert(VirtualCard(good_card, second))
    rows = [the_card(agent, good_card), the_card(agent, second)]
    assert proves(use(agent, rows[0]), good_card)
    assert card.verifications == 1
    # The second key is one that asks the PIN again with every signature.
    agent.begin()
    assert proves(use(agent, rows[1]), second)
    assert card.verifications == 3


def test_a_card_that_is_no_card_for_signing_is_said(agent, insert, good_card):
    card = VirtualCard(good_card)
    card.is_for_signing = False
    insert(card)
    (row,) = look_until(agent, lambda look: look["cards"])["cards"]
    assert (row["choosable"], row["note"]) == (False, "差し込まれているカードを読み取れません。")
    assert codes(use(agent, row)) == ["C-206"]


def cards_here(two_readers: Readers, monkeypatch: pytest.MonkeyPatch, use_limit: float) -> Cards:
    """Return the program's own side of the card in this process, with a time limit that a test can wait for."""
    for name, value in two_readers.environment.items():
        monkeypatch.setenv(name, value)
    return Cards([Module("OpenSC", OPENSC)], clock=lambda: datetime.now(UTC), use_limit=use_limit)


async def sign_with(cards: Cards) -> list[str]:
    """Return the faults of one signature with the card that is inserted."""
    async with asyncio.timeout(10):
        while not (found := (await cards.look())["cards"]):
            await asyncio.sleep(0.1)
    row = found[0]
    chosen = CardChoice(row["module"], row["slot_id"], row["token_serial"], row["fingerprint"])
    login = {"kind": "authenticate", "pin": PIN, "origin": SITE, "nonce": NONCE, "last_try_confirmed": False}
    return (await cards.use(chosen, {**login, "at": int(datetime.now(UTC).timestamp())}))["faults"]


def test_a_card_that_never_answers_is_given_up_in_time(two_readers, insert, good_card, monkeypatch):
    card, waited = insert(VirtualCard(good_card)), threading.Event()
    card.when_signing = waited.wait
    try:
        assert asyncio.run(sign_with(cards_here(two_readers, monkeypatch, 1.5))) == ["module_timeout"]
        assert workers_of(psutil.Process()) == []
    finally:
        waited.set()


def test_a_module_that_crashes_while_the_card_signs_is_said(two_readers, insert, good_card, monkeypatch):
    card = insert(VirtualCard(good_card))
    card.when_signing = lambda: workers_of(psutil.Process())[0].send_signal(11)
    assert asyncio.run(sign_with(cards_here(two_readers, monkeypatch, 20))) == ["module_failed"]


def test_no_service_no_reader_and_no_card_are_told_apart(two_readers, start_agent, tmp_path):
    without_readers = Readers(tmp_path / "none", ports=None)
    try:
        for environment, code in (
            ({"PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")}, "C-201"),
            (without_readers.environment, "C-202"),
            (two_readers.environment, "C-203"),
        ):
            agent = start_agent(module=OPENSC, environment=environment)
            agent.begin()
            look = agent.look()
            assert (look["cards"], [fault["code"] for fault in look["faults"]]) == ([], [code])
    finally:
        without_readers.stop()
