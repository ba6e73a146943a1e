"""Cards that stop each other at the same moment: each is stopped once, and somebody's word counts, not both's."""

from __future__ import annotations

import secrets
from collections import Counter

import pytest
from builders import registered
from parallel import together
from pki_builder import NOON

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration import account, standing
from irefuda.registration.models import CardStatus, Event, RegisteredCard
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.committing
ROUNDS = 5


@pytest.fixture
def cards(committed_city):
    """Four cards of one company."""
    return [registered(committed_city, committed_city.authority.card(), now=NOON) for _ in range(4)]


def start_afresh():
    Event.objects.all().delete()
    Notice.objects.all().delete()
    RegisteredCard.objects.update(status=CardStatus.ACTIVE, ended_at=None)


def close(actor, card):
    """Return "done", or the code of the refusal."""
    try:
        standing.close_card(
            section=card.section,
            card_id=card.id,
            closing=standing.Closing(actor.fingerprint, "係 太郎", "紛失・盗難"),
            now=NOON,
            salt=secrets.token_bytes(16),
        )
    except Refused as refused:
        return refused.refusals[0].code
    return "done"


def test_three_colleagues_stop_one_card_once_and_all_see_it_stopped(cards):
    lost, *colleagues = cards
    for number in range(1, ROUNDS + 1):
        start_afresh()
        before = Entry.objects.count()
        results = together(3, lambda index: close(colleagues[index], lost))
        assert Counter(results) == {"done": 1, "R-153": 2}
        assert (Event.objects.count(), Entry.objects.count() - before) == (1, 1), number
        # The card's office, 代表窓口 and each colleague, once.
        assert Notice.objects.count() == 5
        for colleague in colleagues:
            seen = account.closed_card(section=lost.section, fingerprint=colleague.fingerprint, card_id=lost.id)
            assert seen is not None


def test_two_that_stop_each_other_never_both_succeed(cards):
    one, other, *_ = cards
    for _ in range(ROUNDS):
        start_afresh()
        results = together(2, lambda index: close(one, other) if index else close(other, one))
        assert Counter(results) == {"done": 1, "R-122": 1}
        assert RegisteredCard.objects.filter(status=CardStatus.CLOSED).count() == 1
