"""有効期限予告, 「有効期限が切れました」 and 失効: each told once, whatever happens to the command that tells it."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from builders import (
    City,
    make_section,
    make_supplier,
    registered,
    trust_authority,
)
from django.core.management import call_command
from django.db import connections
from killing import Victims
from parallel import together
from pki_builder import NOON

from irefuda.notices.models import Notice
from irefuda.registration import card_notices
from irefuda.registration.models import CardStatus, RegisteredCard
from irefuda.ui import clock

TO_OFFICE, TO_COMPANY = "hanako@example.jp", "daihyo@example.jp"


def a_card(city, *, days=700, **values):
    """Return a card registered today that ends in so many days; of 登録 no notice is left."""
    card = registered(city, city.authority.card(ends=timedelta(days=days), **values), now=NOON)
    Notice.objects.all().delete()
    return card


def kinds():
    return list(Notice.objects.order_by("queued_at", "id").values_list("kind", flat=True))


def warn(card, *, before):
    return card_notices.warn_of_expiry(now=card.expires_at - timedelta(days=before))


def test_through_the_life_of_a_card_each_warning_comes_once(city):
    card = a_card(city)
    told = []
    for before in range(120, -40, -1):
        for _ in range(2):
            if warn(card, before=before):
                told.append((before, Notice.objects.latest("queued_at").subject))
    assert told == [
        (90, "ICカードの有効期限が近づいています（あと90日）"),
        (60, "ICカードの有効期限が近づいています（あと60日）"),
        (30, "ICカードの有効期限が近づいています（あと30日）"),
        (7, "ICカードの有効期限が近づいています（あと7日）"),
        (-1, "ICカードの有効期限が切れました"),
    ]
    assert Notice.objects.count() == 10


def test_after_a_pause_only_the_nearest_is_sent(city):
    card = a_card(city)
    assert warn(card, before=6) == 1
    assert warn(card, before=6) == 0
    assert warn(card, before=-3) == 1
    assert sorted(set(kinds())) == ["registration.expired", "registration.expiring"]


def test_of_what_ended_long_ago_nobody_is_told(city):
    card = a_card(city)
    assert warn(card, before=-31) == 0


def test_the_letter_goes_to_the_office_and_to_the_company_with_what_to_do(city):
    card = a_card(city)
    warn(card, before=30)
    assert dict(Notice.objects.values_list("to", "inbox")) == {
        TO_OFFICE: card.fingerprint,
        TO_COMPANY: card.company_id,
    }
    (text,) = set(Notice.objects.values_list("body", flat=True))
    for words in (card.company_id, card.serial, "（株）テスト商会01", f"{card.expires_at.astimezone(clock.JST):%Y/%m/%d}", "あと30日", "2〜4週間", "ICカード更新", "E-mail : ebid@example.jp"):  # fmt: skip
        assert words in text, words


def test_on_the_last_day_it_says_so(city):
    warn(a_card(city), before=0)
    assert "（本日まで）" in Notice.objects.first().subject


def test_one_address_for_both_gets_one_mail(city):
    card = registered(city, city.authority.card(), now=NOON, rep=TO_OFFICE)
    Notice.objects.all().delete()
    warn(card, before=30)
    assert Notice.objects.get().inbox == card.fingerprint


@pytest.mark.parametrize("days", [0, 60])
def test_what_an_expired_card_is_still_good_for_is_the_agency_s_policy(city, days):
    city.section.agency.policy = {"expired_card_days": days}
    city.section.agency.save()
    warn(a_card(city), before=-1)
    assert ("60日以内は、「ICカード更新」" in Notice.objects.first().body) is bool(days)


@pytest.mark.parametrize("status", [CardStatus.REPLACED, CardStatus.CLOSED, CardStatus.PROVISIONAL])
def test_of_a_card_that_is_not_in_use_nobody_is_told(city, status):
    card = a_card(city)
    RegisteredCard.objects.update(status=status)
    assert [warn(card, before=before) for before in (90, 30, -1)] == [0, 0, 0]


def test_an_address_that_no_mail_reaches_holds_up_nobody(city):
    first, second = a_card(city, days=600), a_card(city, days=601)
    RegisteredCard.objects.filter(id=first.id).update(office={**first.office, "email": "花@例.jp"})
    assert warn(first, before=30) == 1
    assert set(Notice.objects.values_list("inbox", flat=True)) == {second.fingerprint, second.company_id}


def test_every_section_is_told_in_the_name_of_its_own_agency(city):
    card = city.authority.card(ends=timedelta(days=600))
    registered(city, card, now=NOON)
    other = make_section(code="9991", name="別の市", system_email="betsu@example.jp")
    registered(City(other, city.authority, make_supplier(other)), card, now=NOON)
    Notice.objects.all().delete()
    assert card_notices.warn_of_expiry(now=NOON + timedelta(days=590)) == 2
    assert set(Notice.objects.values_list("sender", flat=True)) == {"ebid@example.jp", "betsu@example.jp"}
    assert "別の市" in Notice.objects.filter(sender="betsu@example.jp").first().body


# -- 失効


def revoke(city, *cards, number):
    """Take a newer revocation list that names these cards, as fetch_revocations would."""
    serials = {int(card.serial): NOON for card in cards}
    trust_authority(city.authority, crl=city.authority.crl(revoked=serials, number=number))


def test_a_revoked_card_is_told_of_once_and_not_warned_any_more(city):
    card, other = a_card(city, days=600), a_card(city, days=600)
    assert card_notices.tell_of_revocations(now=NOON) == 0
    revoke(city, card, number=20)
    assert [card_notices.tell_of_revocations(now=NOON) for _ in range(3)] == [1, 0, 0]
    assert dict(Notice.objects.values_list("to", "inbox")) == {TO_OFFICE: card.fingerprint, TO_COMPANY: card.company_id}
    (text,) = set(Notice.objects.values_list("body", flat=True))
    for words in ("失効日", card.serial, "「登録」"):
        assert words in text
    revoke(city, card, other, number=21)
    assert card_notices.tell_of_revocations(now=NOON) == 1
    Notice.objects.filter(once__contains=str(other.id)).delete()
    assert card_notices.warn_of_expiry(now=NOON + timedelta(days=595)) == 1
    expiring = Notice.objects.filter(kind="registration.expiring")
    assert set(expiring.values_list("inbox", flat=True)) == {other.fingerprint, other.company_id}


@pytest.mark.parametrize("status", [CardStatus.REPLACED, CardStatus.CLOSED])
def test_of_a_revoked_card_that_is_not_in_use_nobody_is_told(city, status):
    card = a_card(city)
    RegisteredCard.objects.update(status=status)
    revoke(city, card, number=20)
    assert card_notices.tell_of_revocations(now=NOON) == 0


def test_a_list_that_is_too_old_is_not_believed_yet(city):
    card = a_card(city)
    revoke(city, card, number=20)
    assert card_notices.tell_of_revocations(now=NOON + timedelta(days=30)) == 0
    assert card_notices.tell_of_revocations(now=NOON) == 1


@pytest.mark.parametrize("command", ["send_expiry_warnings", "report_revocations"])
def test_the_commands_say_what_they_did(city, monkeypatch, command):
    card = a_card(city)
    revoke(city, card, number=20)
    monkeypatch.setattr(clock, "now", lambda: card.expires_at - timedelta(days=7) if "warn" in command else NOON)
    said = io.StringIO()
    call_command(command, stdout=said)
    assert "ICカード 1 枚" in said.getvalue()


# -- several at once, and killed


@pytest.mark.committing
def test_of_many_commands_at_once_each_card_is_told_of_by_one(committed_city):
    city = committed_city
    cards = [a_card(city, days=600 + number) for number in range(6)]
    revoke(city, *cards[:3], number=20)
    for _ in range(3):
        Notice.objects.all().delete()
        told = together(4, lambda _: card_notices.tell_of_revocations(now=NOON))
        assert sum(told) == 3
        warned = together(4, lambda _: card_notices.warn_of_expiry(now=NOON + timedelta(days=580)))
        assert sum(warned) == 3
        assert Notice.objects.exclude(once="").count() == 6
        assert Notice.objects.count() == 12


@pytest.mark.committing
def test_a_card_that_is_replaced_meanwhile_is_told_of_before_or_not_at_all(committed_city):
    card = a_card(committed_city)
    at = card.expires_at - timedelta(days=30)

    def act(index):
        if index:
            RegisteredCard.objects.filter(id=card.id).update(status=CardStatus.REPLACED, ended_at=at)
            return Notice.objects.count()
        return card_notices.warn_of_expiry(now=at)

    for _ in range(8):
        Notice.objects.all().delete()
        RegisteredCard.objects.update(status=CardStatus.ACTIVE, ended_at=None)
        warned, seen_after = together(2, act)
        # Once the replacement is there, nothing more is told.
        assert (warned, seen_after) in {(1, 2), (0, 0)}
        assert Notice.objects.count() == seen_after
    connections.close_all()


@pytest.mark.committing
def test_the_warnings_killed_at_every_boundary(committed_city, own_database):
    cards = [a_card(committed_city, days=600 + number) for number in range(2)]
    now = cards[0].expires_at - timedelta(days=20)
    with Victims(database_url=own_database) as victims:
        boundaries = victims.run("warn_of_expiry", now=now.isoformat())
        assert Notice.objects.count() == 4
        counts = set()
        for number, name in enumerate(boundaries, start=1):
            Notice.objects.all().delete()
            victims.run("warn_of_expiry", stop_at=number, now=now.isoformat())
            counts.add(Notice.objects.count())
            card_notices.warn_of_expiry(now=now)
            told = sorted(Notice.objects.values_list("inbox", flat=True))
            assert told == sorted([c.fingerprint for c in cards] + [cards[0].company_id] * 2), (
                f"killed {name} ({number})"
            )
    assert counts == {0, 2, 4}
    assert boundaries.count("before COMMIT") == 2
