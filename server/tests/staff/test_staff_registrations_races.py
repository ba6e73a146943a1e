"""Staff and companies at the same moment, on a database that commits for real."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from builders import City, make_authority, make_city, prepare, press_register, registered
from parallel import outcome, together
from staff_office import Office, open_office

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration import decisions, queries, tally
from irefuda.registration.models import CardStatus, Event, RefusedTry, RegisteredCard, Registration
from irefuda.staff.models import Role, StaffAct
from irefuda.ui import clock
from irefuda_core.refusal import Refused, refusal

pytestmark = pytest.mark.committing
ROUNDS = 4
OTHER_NAME = "株式会社合浦商事"


@pytest.fixture
def office(own_database, django_db_blocker, staff_authority, settings):
    settings.STAFF_ORIGIN = "http://staff.localhost:8001"
    with django_db_blocker.unblock():
        yield open_office(staff_authority)


@pytest.fixture
def city(office: Office, receipt_key: Path) -> City:
    made = make_city(make_authority())
    made.section.agency.policy = {"name_mismatch": "provisional"}
    made.section.agency.save()
    return made


def colleagues(office: Office, number: int) -> list[Any]:
    return [office.actor(office.let_in(Role.CONTRACTS, name=f"契約 {n}")[0]) for n in range(number)]


def test_of_many_who_decide_one_wins_and_the_others_are_told_who(office, city):
    pair = colleagues(office, 4)
    for number in range(ROUNDS):
        card = registered(city, city.authority.card(company=OTHER_NAME), now=clock.now())
        deeds = [office.deed(actor, reason="確かめた") for actor in pair]

        def decide(index, card=card, deeds=deeds):
            if index % 2:
                return outcome(lambda: decisions.reject(deed=deeds[index], section=city.section, card_id=card.id))
            return outcome(
                lambda: decisions.approve(
                    deed=deeds[index], section=city.section, card_id=card.id, checked=["name"], rules_now=clock.now()
                )
            )

        assert Counter(together(4, decide)) == {"done": 1, "S-951": 3}
        assert Event.objects.filter(card=card).count() == 1
        assert StaffAct.objects.filter(kind__startswith="staff.registration_").count() == number + 1
        assert queries.status_of(card) in (CardStatus.ACTIVE, CardStatus.REJECTED)


def test_one_page_sent_many_times_stops_a_card_once_and_tells_once(office, city):
    card = registered(city, city.authority.card(), now=clock.now())
    Notice.objects.all().delete()
    (actor,) = colleagues(office, 1)
    deed = office.deed(actor, reason="紛失")
    done = together(4, lambda _: outcome(lambda: decisions.close(deed=deed, section=city.section, card_id=card.id)))
    assert Counter(done) == {"done": 4}
    assert Event.objects.count() == 1
    assert Notice.objects.count() == 2
    assert Entry.objects.filter(kind="registration.closed").count() == 1


def test_a_company_is_halted_once_by_whomever(office, city):
    card = registered(city, city.authority.card(), now=clock.now())
    deeds = [office.deed(actor, reason="疑い") for actor in colleagues(office, 4)]

    def halt(index):
        return outcome(lambda: decisions.halt(deed=deeds[index], section=city.section, number=card.registration_id))

    assert Counter(together(4, halt)) == {"done": 1, "S-953": 3}
    assert Event.objects.filter(kind="halted").count() == 1


def test_a_card_joins_before_the_halt_or_not_at_all(office, city):
    (actor,) = colleagues(office, 1)
    mine = registered(city, city.authority.card(), now=clock.now())
    number = mine.registration_id
    for _ in range(ROUNDS):
        new = city.authority.card()
        draft = prepare(city, new, now=clock.now())
        deed = office.deed(actor, reason="疑い")
        before = RegisteredCard.objects.count()

        def race(index, new=new, draft=draft, deed=deed):
            if index:
                return outcome(lambda: press_register(city, new, draft, now=clock.now()))
            return outcome(lambda: decisions.halt(deed=deed, section=city.section, number=number))

        halted, joined = together(2, race)
        assert halted == "done"
        assert joined in ("done", "R-157")
        assert RegisteredCard.objects.count() == before + (joined == "done")
        # Whoever joined is stopped with all the others.
        assert {card.standing for card in RegisteredCard.objects.select_related("registration")} == {"halted"}
        decisions.resume(deed=office.deed(actor, reason="晴れた"), section=city.section, number=number)
    assert Registration.objects.get().halted_at is None


def test_refusals_at_the_same_moment_are_all_counted(city):
    refused = Refused(refusal("R-102"), refusal("R-157"))

    def count(_index):
        for _ in range(5):
            tally.count(refused, section=city.section, now=clock.now())
        return True

    assert all(together(4, count))
    assert sorted(RefusedTry.objects.values_list("code", "place", "tries")) == [
        ("R-102", "99921", 20),
        ("R-157", "99921", 20),
    ]
