"""更新 at the same moment as 更新, 登録, 使用停止 and 受理, on a database that commits for real: no company ends with none or both."""

from __future__ import annotations

import hashlib
from collections import Counter
from datetime import timedelta
from functools import partial

import pytest
from builders import (
    make_supplier,
    prepare,
    press_register,
    registered,
    sign_document,
)
from parallel import outcome, together
from pki_builder import NOON
from succession import RENEWAL, newer, prepare_renewal, press_renew, renewed

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration import standing
from irefuda.registration.models import Attempt, Draft, Event, RegisteredCard, Registration, Renewal

pytestmark = pytest.mark.committing
ROUNDS = 4
STAFF = standing.Decision("契約 花子", "確かめました。")


@pytest.fixture
def city(committed_city):
    return committed_city


def start_afresh():
    Renewal.objects.all().delete()
    Event.objects.all().delete()
    RegisteredCard.objects.exclude(succeeds=None).delete()
    for model in (RegisteredCard, Registration, Draft, Attempt, Notice):
        model.objects.all().delete()


def race(*acts):
    """Return what became of each act, all begun at once."""
    return together(len(acts), lambda i: outcome(acts[i]))


def old_card(city):
    card = city.authority.card()
    registered(city, card, now=NOON)
    return card


def statuses():
    return Counter(RegisteredCard.objects.values_list("status", flat=True))


def nothing_is_half_done():
    written = Entry.objects.filter(id__in=RegisteredCard.objects.values("ledger_entry")).count()
    assert written == RegisteredCard.objects.count()
    assert Entry.objects.count() == Pending.objects.count()


def renewing(city, ready, new):
    return partial(press_renew, city, ready, new, now=NOON)


def closing(city, card, by):
    acts = standing.Closing(by, "係 太郎")
    return partial(standing.close_card, section=city.section, card_id=card.id, closing=acts, now=NOON, salt=bytes(16))


def test_two_new_cards_race_for_one_old_ones_place(city):
    for _ in range(ROUNDS):
        start_afresh()
        old = old_card(city)
        new = [newer(city) for _ in range(2)]
        ready = [prepare_renewal(city, old, card, now=NOON) for card in new]
        assert sorted(race(*(renewing(city, *pair) for pair in zip(ready, new, strict=True)))) == ["R-121", "done"]
        assert statuses() == {"replaced": 1, "active": 1}
        nothing_is_half_done()


def test_two_old_cards_race_to_one_new_one(city):
    for _ in range(ROUNDS):
        start_afresh()
        old = [old_card(city) for _ in range(2)]
        new = newer(city)
        ready = [prepare_renewal(city, card, new, now=NOON) for card in old]
        assert sorted(race(*(renewing(city, one, new) for one in ready))) == ["R-105", "done"]
        assert statuses() == {"replaced": 1, "active": 2}
        nothing_is_half_done()


def test_one_renewal_posted_many_times_at_once_renews_once_and_answers_all(city):
    for _ in range(ROUNDS):
        start_afresh()
        old, new = old_card(city), newer(city)
        ready = prepare_renewal(city, old, new, now=NOON)
        press = partial(renewing(city, ready, new), jws=sign_document(new, ready.document, RENEWAL))
        before = Notice.objects.count()
        answers = together(6, partial(_pressed, press))
        assert set(answers) == {RegisteredCard.objects.get(status="active").id}
        assert statuses() == {"replaced": 1, "active": 1}
        assert (Event.objects.count(), Notice.objects.count()) == (1, before + 2)
        nothing_is_half_done()


def _pressed(press, _):
    return press().id


def test_a_renewal_races_the_registration_of_the_same_new_card(city):
    for _ in range(ROUNDS):
        start_afresh()
        old, new = old_card(city), newer(city)
        ready, draft = prepare_renewal(city, old, new, now=NOON), prepare(city, new, now=NOON)
        results = race(renewing(city, ready, new), partial(press_register, city, new, draft, now=NOON))
        assert sorted(results) == ["R-105", "done"]
        assert statuses() == ({"replaced": 1, "active": 1} if results[0] == "done" else {"active": 2})
        nothing_is_half_done()


def test_a_renewal_races_the_registration_of_the_same_card_for_another_company(city):
    other = {"supplier_number": "990000002", "name": "株式会社テスト商会01"}
    make_supplier(city.section, **other)
    for _ in range(ROUNDS):
        start_afresh()
        old, new = old_card(city), newer(city)
        ready, draft = prepare_renewal(city, old, new, now=NOON), prepare(city, new, now=NOON, **other)
        results = race(renewing(city, ready, new), partial(press_register, city, new, draft, now=NOON))
        assert sorted(results) == ["R-106", "done"]
        assert statuses() == ({"replaced": 1, "active": 1} if results[0] == "done" else {"active": 2})
        nothing_is_half_done()


def test_a_renewal_leaves_no_place_to_a_further_card(city):
    city.section.agency.policy = {"max_cards_per_supplier": 2}
    city.section.agency.save()
    for _ in range(ROUNDS):
        start_afresh()
        old, new, further = old_card(city), newer(city), [newer(city) for _ in range(2)]
        ready = prepare_renewal(city, old, new, now=NOON)
        drafts = [prepare(city, card, now=NOON) for card in further]
        pressed = [partial(press_register, city, *pair, now=NOON) for pair in zip(further, drafts, strict=True)]
        renewal, *registrations = race(renewing(city, ready, new), *pressed)
        assert (renewal, sorted(registrations)) == ("done", ["R-109", "done"])
        assert statuses() == {"replaced": 1, "active": 2}
        nothing_is_half_done()


def test_a_renewal_races_the_closing_of_the_old_card(city):
    for _ in range(ROUNDS):
        start_afresh()
        old, new = old_card(city), newer(city)
        mine = RegisteredCard.objects.get()
        ready = prepare_renewal(city, old, new, now=NOON)
        results = race(renewing(city, ready, new), closing(city, mine, mine.fingerprint))
        assert results in (["done", "R-121"], ["R-122", "done"])
        assert statuses() == ({"replaced": 1, "active": 1} if results[0] == "done" else {"closed": 1})
        nothing_is_half_done()


def test_a_decision_is_made_once_whoever_is_faster(city):
    city.section.agency.policy = {"renewal_other_holder": "review"}
    city.section.agency.save()
    for _ in range(ROUNDS):
        start_afresh()
        old = old_card(city)
        card = renewed(city, old, newer(city, holder="別人 次郎"), now=NOON + timedelta(minutes=1))
        common = {"section": city.section, "card_id": card.id, "decision": STAFF, "now": NOON, "salt": bytes(16)}
        acts = (partial(standing.approve_card, rules_now=NOON, **common), partial(standing.reject_card, **common))
        assert Counter(race(*acts, *acts)) == {"done": 1, "R-151": 3}
        assert statuses() in ({"replaced": 1, "active": 1}, {"active": 1, "rejected": 1})
        assert Event.objects.count() == 1
        nothing_is_half_done()


def test_two_cards_close_each_other(city):
    for _ in range(ROUNDS):
        start_afresh()
        names = [hashlib.sha256(old_card(city).der).hexdigest() for _ in range(2)]
        one, two = (RegisteredCard.objects.get(fingerprint=name) for name in names)
        acts = closing(city, two, one.fingerprint), closing(city, one, two.fingerprint)
        assert sorted(race(*acts)) == ["R-122", "done"]
        assert statuses() == {"active": 1, "closed": 1}
