"""The rules of ICカード更新 by themselves: in whatever order things happen, no card signs twice and no PIN is tried twice."""

from __future__ import annotations

import base64
import contextlib
import itertools
from datetime import timedelta

import pytest
from agent_for_tests import SITE
from cards_for_tests import PIN, make_card
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from renewal_for_tests import MESSAGE, document_for

from irefuda_agent.cards import Worker
from irefuda_agent.renewal import ASKED, KeptPin, Limits, Renewal, Step
from irefuda_agent.settings import Module
from irefuda_core import jws
from irefuda_core.canonical import canonical_json
from irefuda_core.certificate import read_certificate
from irefuda_core.documents import registration_application
from irefuda_core.refusal import Refused

OLD, NEW = make_card(kind="P-256"), make_card(kind="P-256", ends=timedelta(days=900))
OLD_READ, NEW_READ = read_certificate(OLD.der), read_certificate(NEW.der)
PERSON = "鈴木　花子"
# As the old card's worker would have signed it; the rules look at its bytes only.
HANDOVER = jws.assemble(jws.signing_input(b"{}", jws.header_for([OLD.der], algorithm="ES256", typ="t", iat=0)), b"s")
TOLD = {"handover": HANDOVER, "certificate": base64.b64encode(NEW.der).decode(), "person_in_charge": PERSON}


def begun() -> Renewal:
    renewal = Renewal({key: str(MESSAGE[key]) for key in ASKED}, realm="production", origin=SITE)
    renewal.watched = True
    return renewal


def waiting_for_the_site() -> Renewal:
    renewal = begun()
    renewal.handed_over(OLD_READ, HANDOVER, PERSON, PIN, 0)
    renewal.pin_for_new_card("")
    renewal.new_card_is_ready(NEW_READ, 0, logged_in=True)
    return renewal


def last_message(**changes: str) -> dict:
    return {"v": 1, "type": "renewal-document", "document": document_for(TOLD, **changes)}


def refused(renewal: Renewal, message: object, origin: object = SITE) -> str:
    """Return the code with which a last message is refused, which also ends the renewal."""
    worker = Worker(Module("", ""))
    renewal.take_in_hand(worker)
    with pytest.raises(Refused) as caught:
        renewal.hear(origin, message, 0)
    assert (renewal.step, renewal.document, renewal.logged_in) == (Step.ENDED, None, False)
    assert worker.killed
    return caught.value.refusals[0].code


def test_the_awaited_document_is_taken():
    renewal = waiting_for_the_site()
    renewal.hear(SITE, last_message(), 0)
    assert renewal.step is Step.CONFIRM
    assert renewal.document is not None
    assert renewal.document_text == last_message()["document"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"old_certificate_fingerprint": "0" * 64}, "K-441"), ({"new_certificate_fingerprint": OLD.fingerprint}, "K-441"),
     ({"old_certificate_serial": "7"}, "K-441"), ({"new_certificate_expires_on": "2099/01/01"}, "K-441"),
     ({"new_certificate_issuer": "CN=other"}, "K-441"), ({"handover_sha256": "0" * 64}, "K-441"),
     ({"person_in_charge": "別人"}, "K-441"), ({"agency_code": "9991"}, "K-441"), ({"agency_name": "赤い市"}, "K-441"),
     ({"category": "工事、コンサル"}, "K-441"), ({"realm": "practice"}, "K-440"), ({"origin": "https://a.example"}, "K-440"),
     ({"extra": "1"}, "K-440"), ({"type": "bid"}, "K-440"), ({"company_id": "1"}, "K-440")],
)  # fmt: skip
def test_a_document_that_says_other_than_what_happened_is_refused(changes, code):
    assert refused(waiting_for_the_site(), last_message(**changes)) == code


def test_another_known_document_and_one_of_stray_characters_are_refused(application):
    known = {"v": 1, "type": "renewal-document", "document": application()}
    assert registration_application.name in known["document"]
    assert refused(waiting_for_the_site(), known) == "K-440"
    assert refused(waiting_for_the_site(), {**known, "document": "\ud800"}) == "K-440"


@pytest.mark.parametrize(
    ("message", "origin"),
    [(None, SITE), ([], SITE), ({"v": 1}, SITE), ({"v": 2, "type": "stop"}, SITE), ({"v": 1, "type": "stop", "why": ""}, SITE),
     ({"v": 1, "type": "renewal-document"}, SITE), ({"v": 1, "type": "renewal-document", "document": {}}, SITE),
     ({"v": 1, "type": "sign", "document": "{}"}, SITE), ({"v": 1, "type": "stop"}, "https://other.example"),
     ({"v": 1, "type": "stop"}, None), (MESSAGE, SITE), (last_message(), "null")],
)  # fmt: skip
def test_a_message_that_is_not_the_awaited_one_is_refused(message, origin):
    assert refused(waiting_for_the_site(), message, origin) == "C-219"


def test_a_message_out_of_its_turn_is_refused():
    assert refused(begun(), last_message()) == "C-219"
    renewal = waiting_for_the_site()
    renewal.hear(SITE, last_message(), 0)
    with pytest.raises(Refused):
        renewal.hear(SITE, last_message(), 0)
    assert renewal.step is Step.ENDED


def test_the_handover_is_made_of_the_message_and_the_certificate_and_of_nothing_else():
    renewal = begun()
    text = renewal.compose_handover(OLD_READ, PERSON)
    assert text.encode() == canonical_json(
        {
            "type": "card-handover", "realm": "production", "origin": SITE, "document_id": str(MESSAGE["renewal_id"]),
            "issued_at": str(MESSAGE["issued_at"]), "agency_code": "9992", "agency_name": "青い市", "category": "物品、役務",
            "certificate_serial": OLD_READ.serial_text, "certificate_issuer": OLD_READ.issuer_text,
            "certificate_expires_on": document_for(TOLD).split('old_certificate_expires_on":"')[1][:10],
            "certificate_fingerprint": OLD.fingerprint, "person_in_charge": PERSON,
        }
    )  # fmt: skip
    with pytest.raises(Refused, match="K-440"):
        renewal.compose_handover(OLD_READ, "二\n行")


def test_a_worker_that_comes_too_late_is_ended_at_once():
    renewal, worker = begun(), Worker(Module("", ""))
    renewal.close()
    renewal.take_in_hand(worker)
    assert worker.killed


# Most presses go well: only then is what comes late in a renewal met often.
MOSTLY, SELDOM = st.sampled_from([True] * 5 + [False]), st.sampled_from([False] * 9 + [True])


class AnyOrder(RuleBasedStateMachine):
    """Everything that can happen, in any order and at any time; the counts are what must never go wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.renewal = begun()
        self.serial = itertools.count()
        self.handed_over = self.signed = self.kept_tried = self.typed_tried = 0
        self.presses = 0
        self.kept: KeptPin | None = None
        self.kept_at = self.ready_at = self.logged_in_at = 0.0
        self.workers: list[Worker] = []

    def worker(self) -> None:
        self.workers.append(Worker(Module(str(next(self.serial)), "")))
        self.renewal.take_in_hand(self.workers[-1])

    @rule(seconds=st.sampled_from([0.1, 0.1, 0.1, 5, 5, 61, 121, 601]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.renewal.tick(self.now)

    @rule(works=MOSTLY, closes=SELDOM)
    def press_old(self, works: bool, closes: bool) -> None:
        with contextlib.suppress(Refused), self.renewal.working(Step.OLD):
            self.presses += 1
            self.worker()
            if closes:  # while the card is at work
                self.renewal.close()
            if works:
                self.renewal.handed_over(OLD_READ, HANDOVER, PERSON, PIN, self.now)
                self.handed_over += 1
                self.kept, self.kept_at = self.renewal.pin, self.now
            self.renewal.let_go()

    @rule(typed=st.sampled_from(["", "1111"]), works=MOSTLY, closes=SELDOM, copy=SELDOM)
    def press_new(self, typed: str, works: bool, closes: bool, copy: bool) -> None:
        with contextlib.suppress(Refused), self.renewal.working(Step.NEW):
            pin = self.renewal.pin_for_new_card(typed)
            assert pin == (typed or PIN)
            self.kept_tried += not typed
            self.worker()
            if closes:
                self.renewal.close()
            try:
                if works:
                    self.renewal.new_card_is_ready(OLD_READ if copy else NEW_READ, self.now, logged_in=True)
                    self.ready_at = self.now
            finally:
                if not self.renewal.logged_in:
                    self.renewal.let_go()

    @rule(
        message=st.sampled_from(
            [last_message()] * 5 + [last_message(agency_code="9991"), {"v": 1, "type": "stop"}, None]
        ),
        out_of_turn=SELDOM,
    )
    def site_speaks(self, message: object, out_of_turn: bool) -> None:
        if self.renewal.step is not Step.SITE and not out_of_turn:
            return
        waits = self.renewal.step is Step.SITE and self.now < self.ready_at + Limits().site
        with contextlib.suppress(Refused):
            self.renewal.hear(SITE, message, self.now)
        assert (self.renewal.step is Step.CONFIRM) == (waits and message == last_message())

    @rule(works=MOSTLY, closes=SELDOM, again=st.booleans())
    def press_sign(self, works: bool, closes: bool, again: bool) -> None:
        with contextlib.suppress(Refused), self.renewal.working(Step.CONFIRM):
            self.presses += 1
            if again:
                with pytest.raises(Refused), self.renewal.working(Step.CONFIRM):
                    raise AssertionError("two presses at once")
            if not self.renewal.logged_in:
                self.worker()
            if closes:
                self.renewal.close()
            self.renewal.let_go()
            if works:
                self.renewal.signed()
                self.signed += 1

    @rule(really=SELDOM)
    def popup_closes(self, really: bool) -> None:
        if really:
            self.renewal.close()

    @precondition(lambda self: self.renewal.step is Step.ENDED)
    @rule()
    def another_begins(self) -> None:
        self.__init__()  # type: ignore[misc]

    @invariant()
    def each_card_has_signed_at_most_once_and_only_at_a_press(self) -> None:
        assert self.handed_over <= 1
        assert self.signed <= self.handed_over
        assert self.handed_over + self.signed <= self.presses

    @invariant()
    def the_kept_pin_is_tried_once_and_not_kept_after_its_time(self) -> None:
        assert self.kept_tried <= 1
        if self.kept is None:
            return
        if self.renewal.step is not Step.NEW or self.kept_tried or self.now >= self.kept_at + Limits().pin:
            assert bytes(self.kept.content) == bytes(len(PIN))
        assert self.renewal.pin_kept <= (self.renewal.step is Step.NEW)

    @invariant()
    def no_log_in_outlives_its_use(self) -> None:
        alive = [worker for worker in self.workers if not worker.killed]
        assert len(alive) == self.renewal.logged_in
        if alive:
            assert self.renewal.step in (Step.SITE, Step.CONFIRM)
            assert self.now < self.ready_at + Limits().session


AnyOrder.TestCase.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
test_in_any_order = AnyOrder.TestCase
