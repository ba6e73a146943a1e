"""The audit of what 変更, its verified addresses and ICカード更新 have made: nothing to say of it, until a row is changed."""

from __future__ import annotations

from datetime import timedelta

import ledger_files
import pytest
from builders import changed, make_city, make_presenter, registered, state_of
from pki_builder import NOON
from succession import newer
from succession import renewed as renew

from irefuda.registration import audit, changes
from irefuda.registration.models import Event, RegisteredCard, Registration

pytestmark = pytest.mark.django_db
LATER = NOON + timedelta(hours=1)


@pytest.fixture
def city(authority, settings, tmp_path):
    ledger_files.make(settings, tmp_path / "keys")
    return make_city(authority)


@pytest.fixture
def card(city, authority):
    """Return a card whose company was changed twice, with a new address of its office that was verified."""
    issued = authority.card()
    registered(city, issued, now=NOON)
    changed(city, issued, now=NOON, representative_phone="017-777-1111", card_office_email="new@example.jp")
    verify(city, issued, "new@example.jp", "222222")
    changed(city, issued, now=LATER, rep_person="代表 次郎", branch_name="本店", card_office_fax="017-000-9999")
    return issued


def verify(city, card, address, code):
    found = state_of(city, card, now=NOON).card
    assert changes.verify_address(
        card=found, presenter=make_presenter(card), address=address, code=code, now=NOON + timedelta(minutes=1)
    )


def findings():
    return [str(finding) for finding in audit.findings(LATER)]


def test_what_was_changed_and_verified_is_sound(city, card):
    assert findings() == []
    # An address that still waits does not count, and one that was taken back never did.
    changed(city, card, now=LATER + timedelta(minutes=1), rep_email="wait@example.jp")
    changed(
        city, card, now=LATER + timedelta(minutes=2), rep_email="daihyo@example.jp", representative_phone="03-0920-9991"
    )
    assert findings() == []


def test_a_further_card_and_its_changes_are_sound(city, card, authority):
    second = authority.card()
    registered(city, second, now=LATER)
    changed(city, second, now=LATER + timedelta(minutes=1), rep_department="総務部", card_office_person="二枚目")
    assert findings() == []


def test_a_renewed_card_keeps_what_was_changed(city, card):
    new = newer(city)
    renew(city, card, new, now=LATER)
    assert findings() == []
    changed(city, new, now=LATER + timedelta(minutes=1), card_office_person="新しい係")
    assert findings() == []


CARD = {"person": "だれか"}, {"email": "thief@example.jp"}, {"email": "hanako@example.jp"}


@pytest.mark.parametrize("values", CARD)
def test_an_office_that_no_card_signed_is_named(city, card, values):
    mine = RegisteredCard.objects.get()
    RegisteredCard.objects.update(office={**mine.office, **values})
    (line,) = findings()
    assert line.startswith(f"registration_registeredcard {mine.id}：office：")


COMPANY = {
    "an older 代表窓口": lambda row: {"representative": {**row.representative, "person": "青森 花子"}},
    "an address of nobody": lambda row: {"representative": {**row.representative, "email": "thief@example.jp"}},
    "another telephone": lambda row: {
        "company_changes": {**row.company_changes, "representative_phone": {"value": "03-0000-0000", "register": "x"}}
    },
    "one item too many": lambda row: {
        "company_changes": {**row.company_changes, "representative_fax": {"value": "1", "register": "1"}}
    },
    "none at all": lambda row: {"company_changes": {}},
}


@pytest.mark.parametrize("name", COMPANY)
def test_a_company_that_no_card_changed_so_is_named(city, card, name):
    row = Registration.objects.get()
    values = COMPANY[name](row)
    Registration.objects.update(**values)
    (line,) = findings()
    assert line.startswith(f"registration_registration {row.id}：{next(iter(values))}：")


EVENTS = {
    "changes": lambda event: {"changes": [["代表電話番号", "1", "2"]]},
    "document": lambda event: {"document": event.document[:-2]},
    "receipt": lambda event: {"receipt": event.receipt[:-8] + "AAAAAAAA"},
    "at": lambda event: {"at": event.at - timedelta(seconds=1)},
    "person_in_charge": lambda event: {"person_in_charge": "だれか"},
}


@pytest.mark.parametrize("column", EVENTS)
def test_a_changed_event_is_named_with_its_column(city, card, column):
    event = Event.objects.filter(kind="changed").order_by("-at")[0]
    Event.objects.filter(id=event.id).update(**EVENTS[column](event))
    named = [line for line in findings() if line.startswith("registration_event")]
    assert [line.partition("：")[0] for line in named] == [f"registration_event {event.id}"]
    assert f"：{column}：" in named[0]


def test_a_deleted_event_is_named_by_its_deed(city, card):
    event = Event.objects.filter(kind="changed").order_by("at")[0]
    event.delete()
    assert any(
        f"registration_event （台帳の記録 {event.ledger_entry}）：履歴の行がありません。" in line for line in findings()
    )
