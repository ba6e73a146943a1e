"""Whoever changes members, roles or acts past the pages is named by `audit_ledger`."""

from __future__ import annotations

import io
import uuid

import pytest
from django.core.management import CommandError, call_command
from staff_office import Office

from irefuda.ledger import keys, sequencer
from irefuda.staff import audit, operations
from irefuda.staff.models import Role, StaffAct, StaffCard, StaffRole
from irefuda.ui import clock
from irefuda_core.certificate import fingerprint_of


@pytest.fixture
def busy(office: Office) -> Office:
    """An office in which everything was done once."""
    _, member = office.let_in(Role.CONTRACTS)
    operations.change_roles(deed=office.deed(), member_id=member.id, roles={Role.AUDITOR: None, Role.WITNESS: None})
    code = office.code_of(office.card())
    operations.add_card(deed=office.deed(), member_id=member.id, code=code, end_others=True)
    operations.change_member(deed=office.deed(), member_id=member.id, name="新しい氏名", section="", agency=None)
    _, leaving = office.let_in(Role.HELPDESK, name="去る人")
    operations.end_member(deed=office.deed(), member_id=leaving.id)
    return office


def told() -> list[tuple[str, str]]:
    return [(finding.table, finding.differs) for finding in audit.findings(clock.now())]


def test_what_the_pages_did_differs_in_nothing(busy: Office):
    assert StaffAct.objects.count() == 7
    assert told() == []


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("reason", "別の理由"),
        ("changes", [["管理者", "なし", "あり"]]),
        ("subject", "member:0"),
        ("kind", "staff.member_changed"),
        ("member_id", None),
    ],
)
def test_a_changed_act_is_named(busy: Office, column, value):
    changed = StaffAct.objects.get(kind="staff.roles_changed")
    StaffAct.objects.filter(id=changed.id).update(**{column: value})
    assert any(table == "staff_staffact" and column.removesuffix("_id") in differs for table, differs in told())


def test_a_deleted_act_and_a_made_up_one_are_named(busy: Office):
    act = StaffAct.objects.get(kind="staff.member_changed")
    act.delete()
    assert told() == [("staff_staffact", "職員の操作の行がありません。")]
    act.id, act.ledger_entry = uuid.uuid4(), uuid.uuid4()
    act.save(force_insert=True)
    assert ("staff_staffact", "台帳に記録がありません。") in told()


def test_a_role_or_card_that_nobody_gave_is_named(busy: Office):
    chief = busy.chief.member
    made = StaffRole.objects.create(member=chief, role=Role.AUDITOR, granted_at=clock.now(), granted_by=chief)
    assert told() == [("staff_staffrole", "「監査」を変えた操作がありません。")]
    made.delete()
    StaffRole.objects.filter(role=Role.CONTRACTS).update(revoked_at=clock.now())
    assert told() == [("staff_staffrole", "「契約課」を変えた操作がありません。")]


def test_a_card_that_was_put_in_or_switched_is_named(busy: Office):
    mine = StaffCard.objects.filter(member=busy.chief.member)
    serial, other = mine.get().serial, busy.card()
    mismatch = ("staff_staffcard", "証明書と、その指紋かシリアル番号が合いません。")
    mine.update(serial=serial[:-1])
    assert told() == [("staff_staffcard", "ICカードを登録した操作がありません。"), mismatch]
    mine.update(serial=serial, fingerprint=fingerprint_of(other.der))
    assert told() == [mismatch]
    mine.update(certificate=other.der)
    assert told() == [mismatch]
    mine.update(certificate=b"x")
    assert told() == [mismatch]


def test_the_command_asks_the_staff_too(busy: Office, settings, tmp_path):
    call_command("make_ledger_keys", directory=tmp_path / "keys", stdout=io.StringIO())
    settings.HEAD_KEY_FILE = str(tmp_path / "keys" / "head.pem")
    settings.LEDGER_KEYS_FILE = str(tmp_path / "keys" / "ledger-keys.json")
    sequencer.sequence_batch(key=keys.head_key(), now=clock.now())
    out = io.StringIO()
    call_command("audit_ledger", stdout=out)
    assert "食い違いはありません" in out.getvalue()
    StaffRole.objects.filter(role=Role.CONTRACTS).update(granted_at=clock.now())
    with pytest.raises(CommandError):
        call_command("audit_ledger", stdout=out)
    assert "「契約課」を変えた操作がありません" in out.getvalue()
