"""Who may let in, change and end whom: the operations, and everything they leave in the ledger."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from builders import make_section, trust_authority
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import CommandError, call_command
from staff_office import Office

from irefuda.ledger.models import Entry
from irefuda.staff import operations, queries
from irefuda.staff.models import Enrolment, Role, StaffAct, StaffMember, StaffRole
from irefuda.ui import clock
from irefuda_core.canonical import parse_canonical
from irefuda_core.refusal import Refused


def code(call, *arguments, **named):
    with pytest.raises(Refused) as failure:
        call(*arguments, **named)
    return " ".join(reason.code for reason in failure.value.refusals)


def test_the_first_administrator_is_in_and_in_the_ledger(office: Office):
    actor = office.chief
    assert (actor.member.name, actor.roles, actor.agency) == ("管理 一郎", {Role.ADMINISTRATOR}, None)
    (entry,) = Entry.objects.filter(kind="staff.first_administrator_added")
    told = parse_canonical(bytes(entry.document))
    assert told["reason"] == "最初の管理者の登録"
    assert told["realm"] == "practice"
    assert told["origin"] == "http://staff.localhost:8001"
    assert ["管理者", "", "あり"] in json.loads(told["changes"])


def test_a_colleague_comes_in_by_the_code_of_the_card_and_the_code_is_used_up(office: Office):
    card = office.card(holder="契約 花子")
    number = office.code_of(card)
    deed = office.deed()
    values = {"name": "契約 花子", "section": "契約課", "agency": None, "roles": {Role.CONTRACTS: None}}
    operations.add_member(deed=deed, member_id=deed.id, code=number, **values)
    actor = office.actor(card)
    assert (actor.member.name, actor.member.added_by, actor.roles) == (
        "契約 花子",
        office.chief.member,
        {Role.CONTRACTS},
    )
    assert code(operations.add_member, deed=office.deed(), member_id=deed.id, code=number, **values) == "S-904"
    # The page sent twice is one deed.
    operations.add_member(deed=deed, member_id=deed.id, code=number, **values)
    assert StaffMember.objects.filter(name="契約 花子").count() == 1
    assert Entry.objects.filter(kind="staff.member_added").count() == 1


def test_a_code_is_good_for_a_day_and_the_last_one_counts(office: Office):
    card, now = office.card(), clock.now()
    first = office.code_of(card, now)
    second = office.code_of(card, now)
    assert (queries.enrolment(first, now=now) is None) == (first != second)
    last = now + operations.ENROLMENT_LIFE - timedelta(seconds=1)
    assert queries.enrolment(second, now=last) is not None
    assert queries.enrolment(second, now=last + timedelta(seconds=1)) is None
    assert len(second) == 10


def test_a_card_that_somebody_has_is_not_presented_or_added_again(office: Office):
    card, _ = office.let_in(Role.CONTRACTS)
    assert code(office.code_of, card) == "S-907"
    waiting = office.card()
    number = office.code_of(waiting)
    Enrolment.objects.update(certificate=card.der)
    deed = office.deed()
    refused = code(
        operations.add_member, deed=deed, member_id=deed.id, code=number, name="x", section="", agency=None, roles={}
    )
    assert refused == "S-907"


@pytest.mark.parametrize("act", ["roles", "end", "change", "card"])
def test_nobody_changes_the_own_entry(office: Office, act):
    me = office.chief.member.id
    calls = {
        "roles": lambda deed: operations.change_roles(deed=deed, member_id=me, roles={Role.AUDITOR: None}),
        "end": lambda deed: operations.end_member(deed=deed, member_id=me),
        "change": lambda deed: operations.change_member(deed=deed, member_id=me, name="別人", section="", agency=None),
        "card": lambda deed: operations.add_card(deed=deed, member_id=me, code="0" * 10, end_others=True),
    }
    before = Entry.objects.count()
    assert code(calls[act], office.deed()) == "S-905"
    assert Entry.objects.count() == before


def test_an_administrator_ends_another_but_one_without_a_last_day_stays(office: Office):
    card, second = office.let_in(Role.ADMINISTRATOR, name="管理 二郎")
    first = office.chief
    # The first one's role is about to end: then nobody may end the second one, who would be the last.
    week = queries.today(clock.now()) + timedelta(days=7)
    operations.change_roles(
        deed=office.deed(office.actor(card)), member_id=first.member.id, roles={Role.ADMINISTRATOR: week}
    )
    section = make_section()
    for act in (
        lambda deed: operations.end_member(deed=deed, member_id=second.id),
        lambda deed: operations.change_roles(deed=deed, member_id=second.id, roles={}),
        lambda deed: operations.change_roles(deed=deed, member_id=second.id, roles={Role.ADMINISTRATOR: week}),
        lambda deed: operations.change_member(
            deed=deed, member_id=second.id, name="x", section="", agency=section.agency
        ),
    ):
        assert code(act, office.deed()) == "S-906"
    operations.end_member(deed=office.deed(office.actor(card)), member_id=first.member.id)
    assert queries.lasting_administrators() == 1
    # What the one who was ended has still on the screen does nothing any more.
    assert code(operations.end_member, deed=office.deed(first), member_id=second.id) == "S-908"


def test_roles_come_go_and_end_with_their_day(office: Office):
    card, member = office.let_in(Role.CONTRACTS)
    today = queries.today(clock.now())
    operations.change_roles(deed=office.deed(), member_id=member.id, roles={Role.AUDITOR: today, Role.WITNESS: None})
    assert office.actor(card).roles == {Role.AUDITOR, Role.WITNESS}
    assert queries.roles_of(member, on=today + timedelta(days=1)) == {Role.WITNESS}
    (act,) = StaffAct.objects.filter(kind="staff.roles_changed")
    assert [row[0] for row in act.changes] == ["契約課", "立会者", "監査"]
    assert act.changes[0][1:] == ["あり", "なし"]
    assert {role.revoked_at is None for role in StaffRole.objects.filter(member=member, role=Role.CONTRACTS)} == {False}


def test_a_role_that_has_ended_lets_nobody_in(office: Office):
    card, member = office.let_in(Role.CONTRACTS)
    StaffRole.objects.filter(member=member).update(ends_on=queries.today(clock.now()) - timedelta(days=1))
    assert code(office.actor, card) == "S-903"


def test_a_new_card_takes_the_place_of_the_old_one_or_stands_beside_it(office: Office):
    old, member = office.let_in(Role.CONTRACTS)
    new, third = office.card(), office.card()
    operations.add_card(deed=office.deed(), member_id=member.id, code=office.code_of(new), end_others=False)
    assert office.actor(old).member == office.actor(new).member == member
    operations.add_card(deed=office.deed(), member_id=member.id, code=office.code_of(third), end_others=True)
    assert [code(office.actor, card) for card in (old, new)] == ["S-902", "S-902"]
    assert office.actor(third).member == member
    # A card that came to an end may be given to somebody else, or again.
    assert office.code_of(old)


def test_who_left_is_out_with_every_card_and_role(office: Office):
    card, member = office.let_in(Role.CONTRACTS, Role.HELPDESK)
    operations.end_member(deed=office.deed(reason="退職"), member_id=member.id)
    assert code(office.actor, card) == "S-902"
    assert queries.living_roles(queries.today(clock.now())).filter(member=member).count() == 0
    assert code(operations.end_member, deed=office.deed(), member_id=member.id) == "S-910"
    (act,) = StaffAct.objects.filter(kind="staff.member_ended")
    assert act.reason == "退職"
    assert Entry.objects.filter(id=act.ledger_entry, kind="staff.member_ended").exists()


def test_an_agency_s_administrator_touches_only_the_agency_s_staff(office: Office):
    mine, other = make_section(code="9991").agency, make_section(code="9992", name="別の機関").agency
    local, _ = office.let_in(Role.ADMINISTRATOR, agency=mine)
    _, colleague = office.let_in(Role.CONTRACTS, agency=mine, name="同じ機関の人")
    _, stranger = office.let_in(Role.CONTRACTS, agency=other, name="別の機関の人")
    actor = office.actor(local)
    operations.end_member(deed=office.deed(actor), member_id=colleague.id)
    assert code(operations.end_member, deed=office.deed(actor), member_id=stranger.id) == "S-910"
    assert code(operations.end_member, deed=office.deed(actor), member_id=office.chief.member.id) == "S-910"
    for agency in (other, None):
        deed = office.deed(actor)
        values = {"name": "x", "section": "", "agency": agency, "roles": {Role.ADMINISTRATOR: None}}
        number = office.code_of(office.card())
        assert code(operations.add_member, deed=deed, member_id=deed.id, code=number, **values) == "S-908"
    assert {member.name for member in queries.members(agency=mine)} == {"管理者", "同じ機関の人"}


def test_who_was_given_to_one_agency_in_this_very_moment_acts_for_that_one_only(office: Office):
    mine, other = make_section(code="9991").agency, make_section(code="9992", name="別の機関").agency
    everywhere, member = office.let_in(Role.ADMINISTRATOR, name="もう一人")
    _, stranger = office.let_in(Role.CONTRACTS, agency=other)
    actor = office.actor(everywhere)
    operations.change_member(deed=office.deed(), member_id=member.id, name="もう一人", section="契約課", agency=mine)
    assert code(operations.end_member, deed=office.deed(actor), member_id=stranger.id) == "S-908"


def test_what_changed_under_the_page_is_told(office: Office):
    _, member = office.let_in(Role.CONTRACTS)
    seen = operations.digest(operations.role_changes({Role.CONTRACTS: None}, {Role.AUDITOR: None}))
    operations.change_roles(deed=office.deed(), member_id=member.id, roles={Role.WITNESS: None})
    deed = office.deed(seen=seen)
    assert code(operations.change_roles, deed=deed, member_id=member.id, roles={Role.AUDITOR: None}) == "S-910"
    assert operations.kept_roles(member) == {Role.WITNESS: None}


def test_the_command_lets_the_first_in_once_and_recovers_with_a_reason(
    db, staff_authority, staff_site, tmp_path, capsys
):
    trust_authority(staff_authority, audience="staff")
    card, spare = staff_authority.card(), staff_authority.card()
    for name, issued in (("card", card), ("spare", spare)):
        (tmp_path / f"{name}.pem").write_bytes(issued.certificate.public_bytes(Encoding.PEM))
    first = {"first": tmp_path / "card.pem", "name": "管理 一郎", "section": "総務課"}
    call_command("add_staff", **first)
    assert "管理 一郎" in capsys.readouterr().out
    with pytest.raises(CommandError, match="S-911"):
        call_command("add_staff", **{**first, "first": tmp_path / "spare.pem"})
    with pytest.raises(CommandError, match="S-911"):
        call_command("add_staff", **first)
    call_command("add_staff", first=tmp_path / "spare.pem", name="管理 二郎", recover="カードをすべて失くした")
    assert queries.lasting_administrators() == 2
    assert StaffAct.objects.filter(reason="カードをすべて失くした", member=None).count() == 1
    # The card of a member who lost the role: the same person administers again.
    StaffRole.objects.update(revoked_at=clock.now())
    call_command("add_staff", first=tmp_path / "spare.pem", name="管理 二郎", recover="役割を失った")
    assert queries.lasting_administrators() == 1
    assert StaffMember.objects.count() == 2
    for wrong in ("none.pem", "noise.pem"):
        (tmp_path / "noise.pem").write_bytes(b"\x30\x00")
        with pytest.raises(CommandError):
            call_command("add_staff", first=tmp_path / wrong, name="x")
