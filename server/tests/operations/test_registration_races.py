"""Cards, drafts and tries at the same moment, on a database that commits for real: each rule holds whoever is faster."""

from __future__ import annotations

from collections import Counter

import pytest
from builders import (
    look_up,
    make_presenter,
    prepare,
    press_register,
    registered,
    set_policy,
)
from django.db import connections
from parallel import outcome, together
from pki_builder import NOON

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration import operations
from irefuda.registration.models import Attempt, CardStatus, Draft, RegisteredCard, Registration

pytestmark = pytest.mark.committing
ROUNDS = 5


@pytest.fixture
def city(committed_city):
    return committed_city


def start_afresh():
    for model in (RegisteredCard, Registration, Draft, Attempt, Notice):
        model.objects.all().delete()


def race(city, cards, **prepared):
    """Prepare every card's application, press 「登録」 for all of them at once, and return what became of them."""
    drafts = [prepare(city, card, now=NOON, **prepared) for card in cards]
    return Counter(
        together(
            len(cards),
            lambda index: outcome(lambda: press_register(city, cards[index], drafts[index], now=NOON)),
        )
    )


def nothing_is_half_done(number):
    """Every registered card has its ledger entry, that entry waits for its place, and nothing else was written."""
    written = Entry.objects.filter(id__in=RegisteredCard.objects.values("ledger_entry")).count()
    assert (RegisteredCard.objects.count(), written) == (number, number)
    assert Entry.objects.count() == Pending.objects.count()


def test_cards_racing_for_a_new_company_id_get_one(city, authority):
    for _ in range(ROUNDS):
        start_afresh()
        results = race(city, [authority.card() for _ in range(4)])
        assert results == {"done": 4}
        assert Registration.objects.count() == 1
        assert len({card.registration.company_id for card in RegisteredCard.objects.all()}) == 1
        nothing_is_half_done(4)
        # One was the first; each of the others was announced to all that were there before it.
        kinds = Counter(Notice.objects.values_list("kind", flat=True))
        assert kinds["registration.registered"] == 4 + 1
        assert kinds["registration.further_card"] == (1 + 1) + (1 + 2) + (1 + 3)
    assert Entry.objects.count() == 4 * ROUNDS


def test_who_loses_the_race_for_the_representative_contact_is_asked_again(city, authority):
    for _ in range(ROUNDS):
        start_afresh()
        cards = [authority.card() for _ in range(2)]
        drafts = [prepare(city, card, now=NOON, rep=f"daihyo{number}@example.jp") for number, card in enumerate(cards)]
        results = together(2, lambda i: outcome(lambda: press_register(city, cards[i], drafts[i], now=NOON)))  # noqa: B023
        assert sorted(results) == ["R-123", "done"]
        winner = results.index("done")
        assert Registration.objects.get().representative["email"] == f"daihyo{winner}@example.jp"
        # The loser's draft stays.
        assert Draft.objects.get().fingerprint == make_presenter(cards[1 - winner]).card.fingerprint
        nothing_is_half_done(1)


@pytest.mark.parametrize("first", [False, True], ids=["no card yet", "one card already"])
def test_the_limit_of_cards_holds(city, authority, first):
    set_policy(city, max_cards_per_supplier=2)
    for _ in range(ROUNDS):
        start_afresh()
        if first:
            registered(city, authority.card(), now=NOON)
        results = race(city, [authority.card() for _ in range(4)])
        assert results == ({"done": 1, "R-109": 3} if first else {"done": 2, "R-109": 2})
        nothing_is_half_done(2)


def test_one_holder_holds(city, authority):
    set_policy(city, same_holder=True)
    for _ in range(ROUNDS):
        start_afresh()
        results = race(city, [authority.card(holder=holder) for holder in ("一郎", "次郎", "一郎", "次郎")])
        assert results == {"done": 2, "R-110": 2}
        assert len(set(RegisteredCard.objects.values_list("holder_name", flat=True))) == 1


def test_provisional_cards_beside_a_first_card(city, authority):
    set_policy(city, name_mismatch="provisional")
    for _ in range(ROUNDS):
        start_afresh()
        strangers = [authority.card(company="株式会社合浦商事") for _ in range(2)]
        results = race(city, [*strangers, authority.card()])
        assert results == {"done": 3}
        states = Counter(RegisteredCard.objects.values_list("status", flat=True))
        assert states == {CardStatus.PROVISIONAL: 2, CardStatus.ACTIVE: 1}
        assert Registration.objects.get().representative["email"] == "daihyo@example.jp"


def test_one_draft_posted_many_times_at_once_registers_once_and_answers_all(city, authority):
    for _ in range(ROUNDS):
        start_afresh()
        card = authority.card()
        draft = prepare(city, card, now=NOON)
        answers = together(6, lambda _: press_register(city, card, draft, now=NOON).id)  # noqa: B023
        assert set(answers) == {RegisteredCard.objects.get().id}
        nothing_is_half_done(1)
        assert Notice.objects.count() == 2


def test_one_card_looked_up_many_times_at_once_has_one_draft(city, authority):
    for _ in range(ROUNDS):
        start_afresh()
        card = authority.card()
        answers = together(6, lambda _: look_up(city, card, now=NOON).id)  # noqa: B023
        assert set(answers) == {Draft.objects.get().id}


def test_of_fifty_tries_at_once_ten_are_judged(city, authority):
    presenter = make_presenter(authority.card())
    lookup = operations.Lookup("990000001", "（株）別の商会")

    def attempt(_):
        return outcome(
            lambda: operations.look_up(
                section=city.section, presenter=presenter, lookup=lookup, rules_now=NOON, now=NOON
            )
        )

    assert Counter(together(50, attempt)) == {"R-102": operations.TRIES_PER_CARD, "R-113": 40}
    # Every one of them is counted, judged or not.
    assert set(Attempt.objects.values_list("tries", flat=True)) == {50}


def test_the_cards_of_one_address_share_its_sixty_tries(city, authority):
    presenters = [make_presenter(authority.card()) for _ in range(20)]
    for number in range(operations.TRIES_PER_ADDRESS - 10):
        operations.count_try(presenter=presenters[number % 10], now=NOON)

    def attempt(index):
        return outcome(lambda: operations.count_try(presenter=presenters[index], now=NOON))

    assert Counter(together(20, attempt)) == {"done": 10, "R-113": 10}


def test_a_try_stays_counted_when_the_look_up_dies(city, authority):
    with connections["default"].execute_wrapper(_fail_at_the_register), pytest.raises(ConnectionError):
        look_up(city, authority.card(), now=NOON)
    assert set(Attempt.objects.values_list("tries", flat=True)) == {1}


def _fail_at_the_register(execute, sql, params, many, context):
    if "suppliers_supplier" in sql:
        raise ConnectionError
    return execute(sql, params, many, context)
