"""The web process killed while it changes or verifies, at every statement and at the commit: all of it is there, or nothing."""

from __future__ import annotations

import base64

import pytest
from builders import (
    CHANGE,
    CODES,
    changed,
    make_presenter,
    prepare_change,
    press_change,
    registered,
    sign_document,
    state_of,
)
from pki_builder import NOON

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration import changes
from irefuda.registration.models import (
    Attempt,
    Draft,
    Event,
    RegisteredCard,
    Registration,
    UnverifiedAddress,
)

pytestmark = pytest.mark.committing
NEW = "new@example.jp"


@pytest.fixture
def city(committed_city):
    return committed_city


def start_afresh(city, card):
    for model in (Event, UnverifiedAddress, RegisteredCard, Registration, Draft, Attempt):
        model.objects.all().delete()
    registered(city, card, now=NOON)
    Notice.objects.all().delete()


def rows():
    """Return what of a 変更 is there: its event, draft and notices, what waits, what counts, and the counts of changes."""
    card = RegisteredCard.objects.get()
    return (
        *(model.objects.count() for model in (Event, Draft, Notice, UnverifiedAddress)),
        card.registration.representative["person"],
        card.office["person"],
        card.registration.changes,
        card.changes,
    )


def test_a_change_killed_at_every_boundary(city, victims):
    card = city.authority.card()

    def order():
        start_afresh(city, card)
        draft = prepare_change(
            city, card, now=NOON, rep_person="次郎", card_office_person="三郎", card_office_email=NEW
        )
        return draft, {
            "section": city.section.id,
            "certificate": base64.b64encode(card.der).decode(),
            "draft": str(draft.id),
            "jws": sign_document(card, draft.document, CHANGE),
            "now": NOON.isoformat(),
        }

    boundaries = victims.run("change_registration", **order()[1])
    done, undone = (1, 0, 4, 1, "次郎", "三郎", 1, 1), (0, 1, 0, 0, "青森 花子", "青森 花子", 0, 0)
    assert rows() == done
    outcomes = set()
    for number, name in enumerate(boundaries, start=1):
        draft, arguments = order()
        before = Entry.objects.count()
        victims.run("change_registration", stop_at=number, **arguments)
        counts = Event.objects.exists()
        assert rows() == (done if counts else undone), f"killed {name} ({number})"
        assert Entry.objects.count() == Pending.objects.count() == before + counts, f"killed {name} ({number})"
        outcomes.add((counts, name))
        # The holder presses again: the same draft, and the same 変更 where there is one.
        assert press_change(city, card, draft, now=NOON, jws=arguments["jws"]) == Event.objects.get()
        assert rows() == done
    assert [name for counts, name in outcomes if counts] == ["after COMMIT"]
    assert (False, "before COMMIT") in outcomes


def test_a_code_killed_at_every_boundary(city, victims):
    card = city.authority.card()

    def order():
        start_afresh(city, card)
        changed(city, card, now=NOON, card_office_email=NEW)
        return {
            "section": city.section.id,
            "certificate": base64.b64encode(card.der).decode(),
            "address": NEW,
            "code": CODES[1],
            "now": NOON.isoformat(),
        }

    boundaries = victims.run("verify_address", **order())
    commits = [number for number, name in enumerate(boundaries, start=1) if name == "after COMMIT"]
    assert len(commits) == 2
    for number, name in enumerate(boundaries, start=1):
        arguments = order()
        victims.run("verify_address", stop_at=number, **arguments)
        found, waiting = RegisteredCard.objects.get(), UnverifiedAddress.objects.first()
        verified = found.office["email"] == NEW
        assert verified is (number >= commits[1]), f"killed {name} ({number})"
        assert Event.objects.filter(kind="address_verified").count() == verified
        assert Notice.objects.filter(kind="registration.address_verified").count() == verified
        # A try stays counted from its own commit on, whatever becomes of what it let count.
        assert (waiting is None) is verified
        if waiting:
            assert waiting.tries_left == (4 if number >= commits[0] else 5), f"killed {name} ({number})"
        changes.verify_address(
            card=state_of(city, card, now=NOON).card,
            presenter=make_presenter(card),
            address=NEW,
            code=CODES[1],
            now=NOON,
        )
        assert RegisteredCard.objects.get().office["email"] == NEW
        assert Event.objects.filter(kind="address_verified").count() == 1
