"""What a session's card is judged by at every act, and the second at which an agency closes."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta

import pytest
from builders import registered, trust_authority
from django.test import RequestFactory
from pki_builder import NOON

from irefuda.agencies.models import Installation, SpecialClosure
from irefuda.agencies.queries import rules_time
from irefuda.cards.auth import CardSession
from irefuda.cards.models import TrustedAuthority, TrustVersion
from irefuda.registration import auth
from irefuda.registration.models import CardStatus, RegisteredCard
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.django_db


def request_of(card):
    """Return a request in the session of this card."""
    request = RequestFactory().get("/", REMOTE_ADDR="192.0.2.1")
    request.card_session = CardSession(
        certificate=card.der, fingerprint="f" * 64, person_in_charge="係 太郎", begun_at=NOON, seen_at=NOON
    )
    return request


def code(call, *arguments, **named):
    with pytest.raises(Refused) as failure:
        call(*arguments, **named)
    (reason,) = failure.value.refusals
    return reason.code


def test_who_acts_is_the_sessions_card(city, authority):
    presenter = auth.presenter(request_of(authority.card()), now=NOON)
    assert (presenter.card.company_name, presenter.demo) == ("株式会社テスト商会01", False)
    assert (presenter.person_in_charge, presenter.address) == ("係 太郎", "192.0.2.1")


def test_a_card_that_is_revoked_in_the_middle_stops_there(city, authority):
    card = authority.card()
    request = request_of(card)
    auth.presenter(request, now=NOON)
    revoked = {card.certificate.serial_number: NOON - timedelta(minutes=1)}
    trust_authority(authority, crl=authority.crl(number=2, revoked=revoked))
    assert code(auth.presenter, request, now=NOON) == "K-409"


def test_a_card_that_expires_in_the_middle_stops_there(city, authority):
    request = request_of(authority.card(ends=timedelta(minutes=10)))
    auth.presenter(request, now=NOON + timedelta(minutes=10))
    assert code(auth.presenter, request, now=NOON + timedelta(minutes=10, seconds=1)) == "K-404"


def test_a_revocation_list_that_is_too_old_stops_everyone(city, authority):
    # Next update an hour before midnight, and 24 hours of grace.
    request, last = request_of(authority.card()), NOON + timedelta(hours=23 + 24)
    auth.presenter(request, now=last)
    assert code(auth.presenter, request, now=last + timedelta(seconds=1)) == "K-410"
    trust_authority(authority, crl=authority.crl(number=2, next_in=timedelta(days=3)))
    assert auth.presenter(request, now=last + timedelta(seconds=1))


def test_an_authority_that_is_trusted_no_longer_stops_its_cards(city, authority):
    request = request_of(authority.card())
    auth.presenter(request, now=NOON)
    TrustedAuthority.objects.all().delete()
    TrustVersion.objects.all().delete()
    TrustVersion.objects.create(id=1)
    assert code(auth.presenter, request, now=NOON) == "K-402"


@pytest.mark.parametrize(
    ("status", "expected"),
    [(CardStatus.PROVISIONAL, "R-118"), (CardStatus.REPLACED, "R-121"), (CardStatus.CLOSED, "R-122")],
)
def test_each_kind_of_card_that_may_not_log_in_has_its_own_reason(city, authority, status, expected):
    card = registered(city, authority.card(), now=NOON)
    ask = {"section": city.section, "fingerprint": card.fingerprint}
    assert auth.registered_card(**ask) == card
    auth.require_registered(**ask)
    RegisteredCard.objects.filter(id=card.id).update(status=status)
    assert code(auth.registered_card, **ask) == code(auth.require_registered, **ask) == expected


def test_a_card_nobody_registered_has_its_own_reason(city, authority):
    ask = {"section": city.section, "fingerprint": "0" * 64}
    assert code(auth.registered_card, **ask) == code(auth.require_registered, **ask) == "R-120"


# -- hours; Japan is nine hours ahead


@pytest.fixture
def hours(city):
    city.section.agency.always_open = False
    city.section.agency.opens_at, city.section.agency.closes_at = time(8, 30), time(20, 0)
    city.section.agency.save()
    return city.section


CLOSING = datetime(2026, 11, 24, 11, 0, tzinfo=UTC)  # 20:00 on a Tuesday
OPENING = datetime(2026, 11, 24, 23, 30, tzinfo=UTC)  # 8:30 on Wednesday


def test_the_last_moment_is_open_and_the_closing_second_is_not(hours):
    auth.require_open(hours, rules_now=CLOSING - timedelta(microseconds=1))
    assert code(auth.require_open, hours, rules_now=CLOSING) == "T-302"
    assert code(auth.require_open, hours, rules_now=OPENING - timedelta(microseconds=1)) == "T-302"
    auth.require_open(hours, rules_now=OPENING)


@pytest.mark.parametrize(
    ("moment", "opens"),
    [
        (CLOSING, "2026年11月25日08時30分"),
        (datetime(2026, 11, 20, 11, 0, tzinfo=UTC), "2026年11月24日08時30分"),  # a weekend and 勤労感謝の日
        (datetime(2026, 12, 28, 11, 0, tzinfo=UTC), "2027年01月04日08時30分"),  # the turn of the year
        (datetime(2026, 11, 23, 23, 0, tzinfo=UTC), "2026年11月24日08時30分"),  # earlier that morning
    ],
)
def test_the_refusal_says_when_it_opens_next(hours, moment, opens):
    with pytest.raises(Refused) as failure:
        auth.require_open(hours, rules_now=moment)
    told = failure.value.refusals[0].remedy
    year, month, day, at = opens[:4], int(opens[5:7]), int(opens[8:10]), opens[11:]
    assert f"{year}年{month}月{day}日{at}" in told


def test_a_day_that_the_agency_closes_by_itself(hours):
    SpecialClosure.objects.create(agency=hours.agency, closed_on=NOON.date(), reason="機器の点検")
    assert code(auth.require_open, hours, rules_now=NOON) == "T-302"


def test_the_practice_clock_moves_the_hours_and_nothing_else(hours, authority):
    Installation.objects.update(clock_offset_seconds=9 * 3600)
    assert code(auth.require_open, hours, rules_now=rules_time(NOON)) == "T-302"  # noon is 21:00 by that clock
    auth.require_open(hours, rules_now=rules_time(NOON - timedelta(hours=12)))
    # The card is judged by real time: by that clock it would have expired.
    assert auth.presenter(request_of(authority.card(ends=timedelta(hours=1))), now=NOON)
