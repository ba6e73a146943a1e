"""変更 from two windows and two cards, beside 登録 and codes, on connections of their own: each rule holds whoever is faster."""

from __future__ import annotations

from collections import Counter

import pytest
from builders import (
    CODES,
    changed,
    make_presenter,
    prepare,
    prepare_change,
    press_change,
    press_register,
    registered,
    state_of,
)
from parallel import outcome, together
from pki_builder import NOON

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration import changes
from irefuda.registration.models import (
    Attempt,
    CardStatus,
    Draft,
    Event,
    RegisteredCard,
    Registration,
    UnverifiedAddress,
)

pytestmark = pytest.mark.committing
ROUNDS = 5
NEW = "new@example.jp"


@pytest.fixture
def city(committed_city):
    return committed_city


def start_afresh(city, number=2):
    """Return so many registered cards of one company, and nothing else."""
    for model in (Event, UnverifiedAddress, RegisteredCard, Registration, Draft, Attempt, Notice):
        model.objects.all().delete()
    cards = [city.authority.card() for _ in range(number)]
    for card in cards:
        registered(city, card, now=NOON)
    return cards


def race(*calls):
    return Counter(together(len(calls), lambda index: outcome(calls[index])))


def nothing_is_half_done():
    """Every deed that is in the ledger has its row, and every row its entry."""
    entries = {*Event.objects.exclude(ledger_entry=None).values_list("ledger_entry", flat=True)}
    entries |= {*RegisteredCard.objects.values_list("ledger_entry", flat=True)}
    assert Entry.objects.filter(id__in=entries).count() == len(entries)
    assert Entry.objects.count() == Pending.objects.count()


def test_of_two_cards_that_change_the_company_one_is_told(city):
    for _ in range(ROUNDS):
        cards = start_afresh(city)
        before = Entry.objects.count()
        drafts = [prepare_change(city, card, now=NOON, rep_person=f"{n}郎") for n, card in enumerate(cards)]
        results = race(*(lambda n=n: press_change(city, cards[n], drafts[n], now=NOON) for n in range(2)))  # noqa: B023
        assert results == {"done": 1, "R-141": 1}
        event = Event.objects.get()
        assert Registration.objects.get().representative["person"] == event.changes[0][2]
        assert Registration.objects.get().changes == 1
        # The other one's text is still there.
        assert Draft.objects.get().fingerprint != event.card.fingerprint
        assert Entry.objects.count() == before + 1
        nothing_is_half_done()


def test_two_cards_that_change_only_their_own_offices_do_not_meet(city):
    for _ in range(ROUNDS):
        cards = start_afresh(city)
        drafts = [prepare_change(city, card, now=NOON, card_office_person=f"{n}郎") for n, card in enumerate(cards)]
        assert race(*(lambda n=n: press_change(city, cards[n], drafts[n], now=NOON) for n in range(2))) == {"done": 2}  # noqa: B023
        assert {card.office["person"] for card in RegisteredCard.objects.all()} == {"0郎", "1郎"}
        nothing_is_half_done()


def test_one_draft_pressed_many_times_at_once_changes_once_and_answers_all(city):
    for _ in range(ROUNDS):
        (card,) = start_afresh(city, 1)
        draft = prepare_change(city, card, now=NOON, card_office_email=NEW, rep_person="次郎")
        answers = together(6, lambda _: press_change(city, card, draft, now=NOON).id)  # noqa: B023
        assert set(answers) == {Event.objects.get().id}
        assert (Registration.objects.get().changes, RegisteredCard.objects.get().changes) == (1, 1)
        assert Notice.objects.filter(kind="registration.address_code").count() == 1
        nothing_is_half_done()


def test_a_change_beside_a_further_card(city):
    """Whoever is first, the further card is never registered with what it was not shown."""
    for _ in range(2 * ROUNDS):
        (card,) = start_afresh(city, 1)
        second = city.authority.card()
        application = prepare(city, second, now=NOON)
        draft = prepare_change(city, card, now=NOON, rep_person="次郎", representative_phone="017-777-1111")
        results = together(
            2,
            lambda n: outcome(
                (lambda: press_change(city, card, draft, now=NOON))  # noqa: B023
                if n
                else (lambda: press_register(city, second, application, now=NOON))  # noqa: B023
            ),
        )
        assert results[1] == "done"
        assert results[0] in ("done", "R-116", "R-123")
        assert Registration.objects.get().representative["person"] == "次郎"
        assert RegisteredCard.objects.count() == 1 + (results[0] == "done")
        nothing_is_half_done()


def test_a_change_beside_its_card_being_closed(city):
    for _ in range(ROUNDS):
        (card,) = start_afresh(city, 1)
        draft = prepare_change(city, card, now=NOON, card_office_person="次郎")
        results = race(
            lambda: press_change(city, card, draft, now=NOON),  # noqa: B023
            lambda: RegisteredCard.objects.update(status=CardStatus.CLOSED),
        )
        assert results in ({"done": 2}, {"done": 1, "R-122": 1}, {"done": 1, "R-141": 1})
        done = Event.objects.exists()
        assert (RegisteredCard.objects.get().office["person"] == "次郎") is done
        nothing_is_half_done()


def verify(city, card, code):
    return changes.verify_address(
        card=state_of(city, card, now=NOON).card, presenter=make_presenter(card), address=NEW, code=code, now=NOON
    )


def test_of_twenty_wrong_codes_at_once_five_are_judged(city):
    (card,) = start_afresh(city, 1)
    changed(city, card, now=NOON, card_office_email=NEW)
    assert race(*(lambda: verify(city, card, "999999") for _ in range(20))) == {"R-145": 4, "R-146": 16}
    assert UnverifiedAddress.objects.get().tries_left == 0


def test_the_right_code_at_once_from_many_windows_counts_once(city):
    for _ in range(ROUNDS):
        (card,) = start_afresh(city, 1)
        changed(city, card, now=NOON, card_office_email=NEW)
        results = race(*(lambda: verify(city, card, CODES[1]) for _ in range(4)))  # noqa: B023
        # Who comes when it is done finds nothing to do; who was judged in the same moment is told that it was done.
        assert results.keys() <= {"done", "R-141"}
        assert Event.objects.filter(kind="address_verified").count() == 1
        assert RegisteredCard.objects.get().office["email"] == NEW
        assert RegisteredCard.objects.get().changes == 2


def test_a_code_beside_a_change_that_replaces_its_address(city):
    for _ in range(ROUNDS):
        (card,) = start_afresh(city, 1)
        changed(city, card, now=NOON, card_office_email=NEW)
        draft = prepare_change(city, card, now=NOON, card_office_email="newer@example.jp")
        results = race(
            lambda: press_change(city, card, draft, now=NOON),  # noqa: B023
            lambda: verify(city, card, CODES[1]),  # noqa: B023
        )
        row, waiting = RegisteredCard.objects.get(), UnverifiedAddress.objects.first()
        assert results in ({"done": 2}, {"done": 1, "R-141": 1})
        if Event.objects.filter(kind="address_verified").exists():
            # The code came first, so what the other window was shown is over.
            assert (row.office["email"], waiting) == (NEW, None)
        else:
            assert (row.office["email"], waiting.address) == ("hanako@example.jp", "newer@example.jp")
        nothing_is_half_done()
