"""Every step of ICカード更新 on virtual cards: swapped in one reader or both in two, pulled, locked, processes killed."""

from __future__ import annotations

import base64
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta

import httpx
import psutil
import pytest
from agent_for_tests import Agent, codes, starting, wait_for, workers_of
from cards_for_tests import PIN, TestCard, make_card
from renewal_for_tests import Popup, document_for, renewing
from virtual_card import OPENSC, Readers, VirtualCard

from irefuda_core import jws

pytestmark = pytest.mark.virtual_card

NEW_PIN = "654321"


@pytest.fixture(scope="module")
def old_held() -> TestCard:
    return make_card()


@pytest.fixture(scope="module")
def new_held() -> TestCard:
    return make_card(ends=timedelta(days=900))


@pytest.fixture(scope="module")
def agent(two_readers: Readers, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One program for all tests that do not end it."""
    with starting(tmp_path_factory.mktemp("program")) as start:
        yield start(module=OPENSC, environment=two_readers.environment)


@pytest.fixture
def both(insert: Callable[..., VirtualCard], old_held: TestCard, new_held: TestCard) -> tuple[VirtualCard, VirtualCard]:
    """The old and the new card in two readers."""
    return insert(VirtualCard(old_held), 0), insert(VirtualCard(new_held), 1)


def use_new(popup: Popup, held: TestCard, pin: str = "") -> dict:
    """Return what the site is told after the new card was logged in."""
    answer = popup.press("new", popup.row(held), pin)
    assert answer.get("step") == "site", answer
    return answer["tell"]


def confirm(popup: Popup, told: dict) -> str:
    """Return the document that waits for 「更新」 now."""
    document = document_for(told)
    assert popup.show(document)["step"] == "confirm"
    return document


def signed(answer: dict, document: str, held: TestCard) -> bool:
    """Tell whether the answer is this document signed by this card."""
    parsed = jws.parse(answer["reply"]["jws"])
    jws.verify_document(parsed)
    return (parsed.payload, parsed.unverified_certificate) == (document.encode(), held.der)


def test_both_cards_in_two_readers(agent, both, old_held, new_held):
    old, new = both
    with renewing(agent) as popup:
        popup.hand_over(old_held)
        document = confirm(popup, use_new(popup, new_held))
        assert signed(popup.press("sign"), document, new_held)
    assert (old.verifications, new.verifications) == (1, 1)


def test_the_cards_swapped_in_one_reader(agent, insert, old_held, new_held):
    old, new = insert(VirtualCard(old_held)), VirtualCard(new_held)
    with renewing(agent) as popup:
        popup.hand_over(old_held)
        assert codes(popup.press("new", popup.row(old_held), "")) == ["R-131"]
        old.pull()
        insert(new)
        document = confirm(popup, use_new(popup, new_held))
        assert signed(popup.press("sign"), document, new_held)
    assert (old.verifications, new.verifications) == (1, 1)


def test_a_wrong_order_is_passed_on_for_the_site_to_judge(agent, both, old_held, new_held):
    with renewing(agent) as popup:
        popup.hand_over(new_held)
        told = use_new(popup, old_held)
        assert jws.parse(told["handover"]).unverified_certificate == new_held.der
        assert base64.b64decode(told["certificate"]) == old_held.der
        assert popup.hear({"v": 1, "type": "stop"}) == {"step": "ended"}


def test_a_card_pulled_at_each_step_can_be_put_in_again(agent, both, insert, old_held, new_held):
    old, new = both
    with renewing(agent) as popup:
        old.when_signing = old.pull
        assert codes(popup.press("old", popup.row(old_held))) == ["C-204"]
        old.when_signing = lambda: None
        insert(old, 0)
        popup.hand_over(old_held)
        row = popup.row(new_held)
        new.pull()
        answer = popup.press("new", row, "")
        # The kept PIN was not tried, and is not kept for a second press.
        assert (codes(answer), answer["pin_kept"], new.verifications) == (["C-204"], False, 0)
        insert(new, 1)
        document = confirm(popup, use_new(popup, new_held, PIN))
        new.pull()  # after its log-in
        answer = popup.press("sign")
        assert (codes(answer), answer["logged_in"]) == (["C-204"], False)
        insert(new, 1)
        row = popup.row(new_held)
        new.when_signing = new.pull
        assert codes(popup.press("sign", row)) == ["C-204"]
        new.when_signing = lambda: None
        # Another card in its place is told by its certificate, before any try of the PIN.
        old.pull()
        insert(old, 1)
        popup.row(old_held)
        assert codes(popup.press("sign", row)) == ["C-205"]
        old.pull()
        insert(new, 1)
        assert signed(popup.press("sign", popup.row(new_held)), document, new_held)
    assert (old.verifications, new.verifications) == (2, 3)


def test_the_kept_pin_is_one_try_and_none_of_the_last(agent, insert, old_held, new_held):
    insert(VirtualCard(old_held), 0)
    new = insert(VirtualCard(new_held, pin=NEW_PIN), 1)
    with renewing(agent) as popup:
        popup.hand_over(old_held)
        answer = popup.press("new", popup.row(new_held), "")
        assert (codes(answer)[0], answer["pin_kept"], new.tries) == ("C-232", False, 2)
        assert codes(popup.press("new", popup.row(new_held), "")) == ["C-213"]
    for tries, code in ((1, "C-211"), (0, "C-212")):
        new.tries = tries
        with renewing(agent) as popup:
            popup.until(lambda line: [c for c in line.get("cards", []) if c["final_try"] or c["locked"]])
            row = popup.row(new_held)
            popup.hand_over(old_held)
            assert codes(popup.press("new", row, "", last_try_confirmed=True)) == [code]
    assert new.verifications == 1


def test_the_new_card_locks_at_its_own_last_try(agent, insert, old_held, new_held):
    insert(VirtualCard(old_held), 0)
    new = insert(VirtualCard(new_held, pin=NEW_PIN), 1)
    new.tries = 1
    with renewing(agent) as popup:
        row = popup.row(new_held)
        assert row["final_try"] is True
        popup.hand_over(old_held)
        assert codes(popup.press("new", row, "000000")) == ["C-211"]
        assert codes(popup.press("new", row, "000000", last_try_confirmed=True)) == ["C-212"]
        locked = popup.until(lambda line: [c for c in line.get("cards", []) if c["locked"]])
        assert [card["choosable"] for card in locked["cards"] if card["locked"]] == [False]
    assert (new.tries, new.verifications) == (0, 1)


def test_a_key_that_asks_the_pin_each_time_asks_it_at_the_signature(agent, insert, old_held, new_held):
    other = make_card()
    card = insert(VirtualCard(other, new_held))
    insert(VirtualCard(old_held), 1)
    with renewing(agent) as popup:
        popup.hand_over(old_held)
        told = use_new(popup, new_held)
        document = document_for(told)
        assert popup.show(document)["logged_in"] is False
        wait_for(lambda: len(workers_of(psutil.Process(agent.process.pid))) == 1)  # the one that lists the cards
        assert signed(popup.press("sign", popup.row(new_held)), document, new_held)
    assert card.verifications == 3


def test_a_worker_that_dies_at_each_step_loses_nothing(agent, both, old_held, new_held):
    old, new = both
    program = psutil.Process(agent.process.pid)

    def kill() -> None:
        for worker in workers_of(program):
            worker.kill()

    with renewing(agent) as popup:
        old.when_verifying = kill
        assert codes(popup.press("old", popup.row(old_held))) == ["C-218"]
        old.when_verifying, old.when_signing = (lambda: None), kill
        assert codes(popup.press("old", popup.row(old_held))) == ["C-218"]
        old.when_signing, new.when_verifying = (lambda: None), kill
        popup.hand_over(old_held)
        assert codes(popup.press("new", popup.row(new_held), "")) == ["C-218"]
        new.when_verifying, new.when_signing = (lambda: None), kill
        document = confirm(popup, use_new(popup, new_held, PIN))
        assert codes(popup.press("sign")) == ["C-218"]
        new.when_signing = lambda: None
        assert signed(popup.press("sign", popup.row(new_held)), document, new_held)


STEPS = ["old verifies", "old signs", "new verifies", "new signs"]


def stop_at(step: str, old: VirtualCard, new: VirtualCard, do: Callable[[], object]) -> threading.Event:
    """Let the card hang at this step, once `do` has been done; setting the event lets it go on."""
    going_on = threading.Event()

    def hang() -> None:
        do()
        going_on.wait(20)

    card = {"old": old, "new": new}[step.split()[0]]
    setattr(card, {"verifies": "when_verifying", "signs": "when_signing"}[step.split()[1]], hang)
    return going_on


def walk_into(popup: Popup, old_held: TestCard, new_held: TestCard) -> None:
    """Go on until the card hangs."""
    popup.hand_over(old_held)
    confirm(popup, use_new(popup, new_held))
    popup.press("sign")


@pytest.mark.parametrize("step", STEPS)
def test_a_program_killed_at_each_step_leaves_no_worker_and_both_cards_usable(
    two_readers, start_agent, agent, both, old_held, new_held, step
):
    doomed = start_agent(module=OPENSC, environment=two_readers.environment)
    program, left = psutil.Process(doomed.process.pid), []

    def kill() -> None:
        left.extend(workers_of(program))
        doomed.process.kill()

    going_on = stop_at(step, *both, kill)
    try:
        with pytest.raises(httpx.TransportError), renewing(doomed) as popup:
            walk_into(popup, old_held, new_held)
        assert left
        for worker in left:
            worker.wait(2)  # although its module waits for the card
    finally:
        going_on.set()
    for card in both:
        card.when_signing = card.when_verifying = lambda: None
    with renewing(agent) as popup:
        popup.hand_over(old_held)
        document = confirm(popup, use_new(popup, new_held))
        assert signed(popup.press("sign"), document, new_held)


@pytest.mark.parametrize("step", ["old signs", "new verifies"])
def test_a_popup_closed_while_the_card_is_at_work_ends_that_work(agent, both, old_held, new_held, step):
    program, at_work = psutil.Process(agent.process.pid), threading.Event()
    going_on = stop_at(step, *both, at_work.set)

    def walk() -> None:
        with pytest.raises(AssertionError, match="C-218"):  # what the press that was under way is answered
            walk_into(popup, old_held, new_held)

    try:
        with renewing(agent) as popup:
            walking = threading.Thread(target=walk)
            walking.start()
            assert at_work.wait(20)
            workers = workers_of(program)
        for worker in workers:
            worker.wait(2)
        wait_for(lambda: workers_of(program) == [])
        walking.join(5)
        assert not walking.is_alive()
    finally:
        going_on.set()
