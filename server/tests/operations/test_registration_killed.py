"""The web process killed while it registers, at every statement and at the commit: all of it is there, or nothing."""

from __future__ import annotations

import base64

import pytest
from builders import APPLICATION, prepare, press_register, sign_document
from pki_builder import NOON

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration.models import Attempt, Draft, RegisteredCard, Registration

pytestmark = pytest.mark.committing


def rows():
    return [model.objects.count() for model in (RegisteredCard, Registration, Notice, Draft)]


def test_a_registration_killed_at_every_boundary(committed_city, victims):
    city = committed_city
    card = city.authority.card()

    def order():
        """Start afresh with one draft that only has to be registered."""
        for model in (RegisteredCard, Registration, Notice, Draft, Attempt):
            model.objects.all().delete()
        draft = prepare(city, card, now=NOON)
        return draft, {
            "section": city.section.id,
            "certificate": base64.b64encode(card.der).decode(),
            "draft": str(draft.id),
            "jws": sign_document(card, draft.document, APPLICATION),
            "now": NOON.isoformat(),
        }

    outcomes = set()
    boundaries = victims.run("register_card", **order()[1])
    assert rows() == [1, 1, 2, 0]
    for number, name in enumerate(boundaries, start=1):
        draft, arguments = order()
        before = Entry.objects.count()
        victims.run("register_card", stop_at=number, **arguments)
        done = RegisteredCard.objects.exists()
        assert rows() == ([1, 1, 2, 0] if done else [0, 0, 0, 1]), f"killed {name} ({number})"
        assert Entry.objects.count() == Pending.objects.count() == before + done, f"killed {name} ({number})"
        outcomes.add((done, name))
        # The holder presses again: the same draft, and the same registration where there is one.
        again = press_register(city, card, draft, now=NOON, jws=arguments["jws"])
        assert rows() == [1, 1, 2, 0]
        assert again == RegisteredCard.objects.get()
    assert [name for done, name in outcomes if done] == ["after COMMIT"]
    assert (False, "before COMMIT") in outcomes
