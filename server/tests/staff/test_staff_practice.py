"""The practice city's staff: one for each role, let in once however often the city is made."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from staff_office import HOST
from tools import practice_cards

from irefuda.staff.models import Role, StaffAct, StaffCard, StaffMember


def test_the_practice_city_has_its_staff_once(db, staff_site, settings, tmp_path):
    settings.STATE_DIR = tmp_path
    names = ["good", "staff-administrator", "staff-auditor"]
    made = practice_cards.make(tmp_path / "cards", now=datetime.now(UTC).replace(microsecond=0), only=names)
    for _ in range(2):
        call_command("make_practice_city")
        told = {member.name: [role.role for role in member.roles.all()] for member in StaffMember.objects.all()}
        assert told == {"管理 一郎": ["administrator"], "監査 六子": ["auditor"]}
    assert [act.member and act.member.name for act in StaffAct.objects.order_by("acted_at")] == [None, "管理 一郎"]
    assert {card.fingerprint for card in StaffCard.objects.all()} == {
        card["fingerprint"] for card in made["staff_cards"]
    }
    page = Client(headers={"host": HOST}).get("/practice/cards/").content.decode()
    for card in made["staff_cards"]:
        assert card["label"] in page
        assert card["pin"] in page
    settings.PRACTICE = False
    assert Client(headers={"host": HOST}).get("/practice/cards/").status_code == 404


def test_there_is_a_demo_card_for_each_role():
    assert [card.role for card in practice_cards.STAFF_CARDS] == sorted(
        Role, key=["administrator", "contracts", "opening_officer", "witness", "helpdesk", "auditor"].index
    )
    assert len({card.holder for card in practice_cards.STAFF_CARDS}) == len(Role)


def test_nobody_is_let_in_by_a_command_that_does_not_know_the_site(db, settings, tmp_path):
    settings.STAFF_ORIGIN = ""
    with pytest.raises(CommandError, match="IREFUDA_STAFF_ORIGIN"):
        call_command("add_staff", first=tmp_path / "card.pem", name="x")
