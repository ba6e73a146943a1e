"""Administrators at the same moment, on a database that commits for real."""

from __future__ import annotations

import secrets
import uuid
from collections import Counter

import pytest
from parallel import outcome, together
from staff_office import open_office

from irefuda.ledger.models import Entry, Pending
from irefuda.staff import operations, queries
from irefuda.staff.models import Enrolment, Role, StaffAct, StaffCard, StaffMember, StaffRole
from irefuda.ui import clock
from irefuda_core.certificate import fingerprint_of

pytestmark = pytest.mark.committing
ROUNDS = 5


@pytest.fixture
def office(own_database, django_db_blocker, staff_authority, settings):
    settings.STAFF_ORIGIN = "http://staff.localhost:8001"
    with django_db_blocker.unblock():
        yield open_office(staff_authority)


def test_of_two_administrators_who_end_each_other_one_remains(office):
    first = office.first
    for _ in range(ROUNDS):
        second, _ = office.let_in(Role.ADMINISTRATOR, name="もう一人")
        pair = [office.actor(first), office.actor(second)]
        deeds = [office.deed(actor) for actor in pair]

        def end_the_other(index, pair=pair, deeds=deeds):
            other = pair[1 - index].member.id
            return outcome(lambda: operations.end_member(deed=deeds[index], member_id=other))

        assert Counter(together(2, end_the_other)) == {"done": 1, "S-908": 1}
        assert queries.lasting_administrators() == 1
        survivors = [card for card in (first, second) if queries.card_of(fingerprint_of(card.der))]
        (first,) = survivors
        office.first = first


def test_one_code_lets_one_member_in(office):
    for number in range(ROUNDS):
        code = office.code_of(office.card())
        deeds = [office.deed() for _ in range(4)]
        values = {"code": code, "name": f"新人{number}", "section": "", "agency": None, "roles": {Role.CONTRACTS: None}}

        def let_in(index, deeds=deeds, values=values):
            return outcome(lambda: operations.add_member(deed=deeds[index], member_id=deeds[index].id, **values))

        assert Counter(together(4, let_in)) == {"done": 1, "S-904": 3}
        assert StaffMember.objects.filter(name=f"新人{number}").count() == 1
    assert Entry.objects.count() == Pending.objects.count() == StaffAct.objects.count() == ROUNDS + 1


def test_one_page_sent_many_times_is_one_deed(office):
    _, member = office.let_in(Role.CONTRACTS)
    deed = office.deed()

    def press(_index):
        return outcome(
            lambda: operations.change_roles(
                deed=deed, member_id=member.id, roles={Role.AUDITOR: None, Role.WITNESS: None}
            )
        )

    assert Counter(together(4, press)) == {"done": 4}
    assert StaffAct.objects.filter(kind="staff.roles_changed").count() == 1
    assert StaffRole.objects.filter(member=member, revoked_at=None).count() == 2


def test_two_changes_of_one_member_follow_each_other_and_the_second_is_told(office):
    _, member = office.let_in(Role.CONTRACTS)
    wanted = [{Role.AUDITOR: None}, {Role.WITNESS: None}]
    deeds = [
        office.deed(seen=operations.digest(operations.role_changes({Role.CONTRACTS: None}, roles))) for roles in wanted
    ]

    def change(index):
        return outcome(lambda: operations.change_roles(deed=deeds[index], member_id=member.id, roles=wanted[index]))

    assert Counter(together(2, change)) == {"done": 1, "S-910": 1}
    assert operations.kept_roles(member) in wanted


def test_the_first_administrator_is_added_once(own_database, django_db_blocker, staff_authority, settings):
    settings.STAFF_ORIGIN = "http://staff.localhost:8001"
    with django_db_blocker.unblock():
        open_office(staff_authority)
        for model in (StaffAct, StaffRole, StaffCard, StaffMember, Enrolment):
            model.objects.all().delete()
        cards = [staff_authority.card(company="入札市") for _ in range(4)]

        def add(index):
            deed = operations.Deed(uuid.uuid4(), None, "最初", clock.now(), secrets.token_bytes(16))
            values = {"der": cards[index].der, "name": f"管理{index}", "section": "", "recover": False}
            return outcome(lambda: operations.add_first_administrator(deed=deed, **values))

        assert Counter(together(4, add)) == {"done": 1, "S-911": 3}
        assert queries.lasting_administrators() == 1
