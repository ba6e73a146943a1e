"""The web process killed while it renews, at every statement and at the commit: the old card works or the new one, never none, never both."""

from __future__ import annotations

import uuid

import pytest
from builders import registered, sign_document
from pki_builder import NOON
from succession import BROWSER, RENEWAL, newer, prepare_renewal, press_renew

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration.models import Event, RegisteredCard, Registration

pytestmark = pytest.mark.committing


def working():
    """Return which cards can log in: the state that the company sees."""
    return [card.succeeds_id is not None for card in RegisteredCard.objects.filter(status="active")]


def rows():
    return [model.objects.count() for model in (RegisteredCard, Registration, Event, Notice)]


def test_a_renewal_killed_at_every_boundary(committed_city, victims):
    city = committed_city
    old, new = city.authority.card(), newer(city)

    registered(city, old, now=NOON)
    renewal = prepare_renewal(city, old, new, now=NOON)
    arguments = {
        "section": city.section.id,
        "renewal": str(renewal.id),
        "browser": BROWSER,
        "jws": sign_document(new, renewal.document, RENEWAL),
        "now": NOON.isoformat(),
    }

    def start_afresh():
        """Leave one renewal that only has to be made."""
        Event.objects.all().delete()
        RegisteredCard.objects.exclude(succeeds=None).delete()
        RegisteredCard.objects.update(status="active", ended_at=None)
        Notice.objects.all().delete()

    outcomes = set()
    start_afresh()
    boundaries = victims.run("renew_card", salt=uuid.uuid4().hex, **arguments)
    assert (working(), rows()) == ([True], [2, 1, 1, 2])
    for number, name in enumerate(boundaries, start=1):
        start_afresh()
        before = Entry.objects.count()
        victims.run("renew_card", stop_at=number, salt=uuid.uuid4().hex, **arguments)
        done = Event.objects.exists()
        assert working() == [done], f"killed {name} ({number})"
        assert rows() == ([2, 1, 1, 2] if done else [1, 1, 0, 0]), f"killed {name} ({number})"
        assert Entry.objects.count() == Pending.objects.count() == before + done, f"killed {name} ({number})"
        outcomes.add((done, name))
        # The answer was lost; the form is sent again.
        again = press_renew(city, renewal, new, now=NOON, jws=arguments["jws"])
        assert (working(), rows()) == ([True], [2, 1, 1, 2])
        assert again == RegisteredCard.objects.get(status="active")
    assert [name for done, name in outcomes if done] == ["after COMMIT"]
    assert (False, "before COMMIT") in outcomes
