"""The audit beside 変更, 更新, 受理 and 使用停止: it is silent about what was done, and names what somebody did behind it."""

from __future__ import annotations

import uuid
from datetime import timedelta

import ledger_files
import pytest
from builders import make_city, registered
from pki_builder import NOON
from succession import newer, renewed

from irefuda.registration import audit, standing
from irefuda.registration.models import CardStatus, Event, Registration

pytestmark = pytest.mark.django_db
SOON, LATE = NOON + timedelta(minutes=1), NOON + timedelta(hours=2)
STAFF = standing.Decision("契約 花子", "確かめました。")


@pytest.fixture
def city(authority, settings, tmp_path):
    ledger_files.make(settings, tmp_path / "keys")
    made = make_city(authority)
    made.section.agency.policy = {"name_mismatch": "provisional", "renewal_other_holder": "review"}
    made.section.agency.save()
    return made


@pytest.fixture
def succession(city):
    """Return the old card's row and the new one's."""
    old = city.authority.card()
    registered(city, old, now=NOON)
    card = renewed(city, old, newer(city), now=SOON)
    return card.succeeds, card


def findings():
    return [str(finding) for finding in audit.findings(LATE)]


def change(row, **values):
    type(row).objects.filter(pk=row.pk).update(**values)


def decided(city, act, card, **more):
    common = {"now": LATE, "salt": uuid.uuid4().bytes}
    return act(section=city.section, card_id=card.id, decision=STAFF, **{**common, **more})


def test_all_that_may_happen_to_cards_is_explained(city, authority, succession):
    renewed_card = succession[1]
    lost = registered(city, authority.card(), now=NOON)
    closing = standing.Closing(renewed_card.fingerprint, "係 太郎", "紛失・盗難")
    standing.close_card(section=city.section, card_id=lost.id, closing=closing, now=LATE, salt=bytes(16))
    decided(city, standing.reopen_card, lost, rules_now=LATE, now=LATE + timedelta(minutes=1))
    stranger = registered(city, authority.card(company="株式会社合浦商事"), now=NOON)
    decided(city, standing.approve_card, stranger, rules_now=LATE)
    refused = registered(city, authority.card(company="株式会社合浦商事"), now=NOON)
    decided(city, standing.reject_card, refused)
    waiting = authority.card()
    registered(city, waiting, now=NOON)
    new = renewed(city, waiting, newer(city, holder="別人 次郎"), now=SOON)
    assert findings() == []
    decided(city, standing.approve_card, new, rules_now=LATE)
    decided(city, standing.close_card_by_staff, new)
    assert findings() == []


TAMPERED = {
    "old card in use again": (0, {"status": CardStatus.ACTIVE, "ended_at": None}, "status"),
    "new card put aside": (1, {"status": CardStatus.CLOSED, "ended_at": LATE}, "status"),
    "old card's end unsaid": (0, {"ended_at": None}, "ended_at"),
    "handover": (1, {"handover": "x"}, "handover"),
    "application": (1, {"application": "x"}, "application"),
    "fingerprint": (1, {"fingerprint": "ab" * 32}, "fingerprint"),
    "serial": (1, {"serial": "1"}, "serial"),
    "certificate": (1, {"certificate": b"x"}, "certificate"),
    "person": (1, {"person_in_charge": "だれか"}, "person_in_charge"),
    "receipt": (1, {"receipt": "x"}, "receipt"),
    "waits": (1, {"doubts": ["holder"]}, "status"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_changed_succession_is_named_with_its_column(succession, what):
    assert findings() == []
    which, values, column = TAMPERED[what]
    change(succession[which], **values)
    lines = findings()
    assert any(line.startswith(f"registration_registeredcard {succession[which].id}：{column}：") for line in lines)


def test_an_office_that_nobody_signed_is_named_on_the_new_card_too(succession):
    new = succession[1]
    change(new, office={**new.office, "email": "thief@example.jp"})
    (line,) = findings()
    assert line.startswith(f"registration_registeredcard {new.id}：office：")


def test_a_succession_to_another_card_is_named(city, authority, succession):
    other = registered(city, authority.card(), now=NOON)
    change(succession[1], succeeds=other)
    lines = findings()
    assert any(line.startswith(f"registration_registeredcard {succession[1].id}：succeeds：") for line in lines)


def test_a_renewal_that_was_deleted_is_named(succession):
    old, new = succession
    entry = new.ledger_entry
    Event.objects.all().delete()
    new.delete()
    assert f"registration_registeredcard （台帳の記録 {entry}）：登録の行がありません。" in findings()
    # The old one's end has no reason any more.
    assert any(line.startswith(f"registration_registeredcard {old.id}：status：") for line in findings())


def test_a_decision_that_nobody_made_or_that_was_changed_is_named(city, authority):
    card = registered(city, authority.card(company="株式会社合浦商事"), now=NOON)
    change(card, status=CardStatus.ACTIVE)
    (line,) = findings()
    assert line.startswith(f"registration_registeredcard {card.id}：status：")
    change(card, status=CardStatus.PROVISIONAL)
    decided(city, standing.approve_card, card, rules_now=LATE)
    assert findings() == []
    event = Event.objects.get()
    for column, values in {
        "staff": {"staff": "だれか"},
        "reason": {"reason": "別の理由"},
        "at": {"at": NOON},
        "receipt": {"receipt": "x"},
        "ledger_entry": {"kind": "rejected"},
    }.items():
        change(event, **values)
        assert any(line.startswith(f"registration_event {event.id}：{column}：") for line in findings()), column
        change(event, **{name: getattr(event, name) for name in values})
    change(event, ledger_entry=uuid.UUID(int=0))
    lines = findings()
    assert f"registration_event （台帳の記録 {event.ledger_entry}）：履歴の行がありません。" in lines
    assert any("台帳に記録がありません" in line for line in lines)


def test_a_representative_that_nobody_signed_is_named(succession):
    registration = Registration.objects.get()
    change(registration, representative={**registration.representative, "phone": "000-0000-0000"})
    (line,) = findings()
    assert line.startswith(f"registration_registration {registration.id}：representative：")


def test_changed_company_items_that_nobody_signed_are_named(succession):
    registration = Registration.objects.get()
    change(registration, company_changes={"branch_name": {"value": "だれかの支店", "register": "支店"}})
    (line,) = findings()
    assert line.startswith(f"registration_registration {registration.id}：company_changes：")
