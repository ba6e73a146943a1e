"""資格審査情報検索: tries are counted before they are judged, and a wrong pair costs and says the same whatever is wrong."""

from __future__ import annotations

import re
from datetime import timedelta
from ipaddress import ip_network

import pytest
from builders import look_up, make_presenter, make_section, make_supplier
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext
from pki_builder import NOON

from irefuda.agencies.models import Category
from irefuda.cards import auth
from irefuda.registration import operations
from irefuda.registration.models import Attempt, Draft
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def card(authority):
    return authority.card()


def refused(call, **arguments):
    with pytest.raises(Refused) as failure:
        call(**arguments)
    return [reason.code for reason in failure.value.refusals]


def attempt(city, card, now=NOON, **typed):
    return refused(look_up, city=city, card=card, now=now, **typed)


def ask_password(city, **values):
    city.section.agency.lookup_needs_password = True
    city.section.agency.save()
    for name, value in {"login_id": "shokai01", "login_password": make_password("himitsu1"), **values}.items():
        setattr(city.supplier, name, value)
    city.supplier.save()


# -- tries


def test_the_eleventh_try_of_a_card_within_the_hour_is_refused_even_if_it_is_right(city, card):
    for _ in range(operations.TRIES_PER_CARD):
        assert attempt(city, card, name="だれか") == ["R-102"]
    assert attempt(city, card) == ["R-113"]
    assert not Draft.objects.exists()
    assert look_up(city, card, now=NOON + timedelta(hours=1))


@pytest.mark.parametrize(("hour", "words"), [(3, "13時00分以降に"), (14, "00時00分以降に")])
def test_the_refusal_says_from_when(city, card, hour, words):
    now = NOON.replace(hour=hour, minute=59)
    for _ in range(operations.TRIES_PER_CARD):
        operations.count_try(presenter=make_presenter(card), now=now)
    with pytest.raises(Refused) as failure:
        look_up(city, card, now=now)
    assert words in failure.value.refusals[0].remedy


def test_an_address_has_sixty_tries_with_whatever_cards(city, authority):
    cards = [make_presenter(authority.card(), address="192.0.2.7") for _ in range(7)]
    for number in range(operations.TRIES_PER_ADDRESS):
        operations.count_try(presenter=cards[number % 7], now=NOON)
    assert refused(operations.count_try, presenter=cards[0], now=NOON) == ["R-113"]
    operations.count_try(presenter=make_presenter(authority.card(), address="192.0.2.8"), now=NOON)


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        ("::1", "0.0.0.1", False),
        ("", "", True),
    ],
)
def test_ipv6_is_counted_by_its_64(city, card, one, other, together):
    for address in (one, other):
        operations.count_try(presenter=make_presenter(card, address=address), now=NOON)
    counted = sorted(Attempt.objects.filter(subject__startswith="address:").values_list("tries", flat=True))
    assert counted == ([2] if together else [1, 1])


@pytest.mark.parametrize(
    ("peer", "forwarded", "counted"),
    [
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # forged: this peer is nobody's proxy
        ("192.0.2.10", "198.51.100.1", "198.51.100.1"),
        ("192.0.2.10", "127.0.0.1, 198.51.100.1", "198.51.100.1"),  # only the last hop is the proxy's own word
        ("192.0.2.10", "198.51.100.1, 192.0.2.11", "198.51.100.1"),  # through two proxies of ours
        ("::ffff:192.0.2.10", "198.51.100.1", "198.51.100.1"),
        ("192.0.2.12", "198.51.100.1", "192.0.2.12"),  # beside the network
        ("2001:DB8:1:0::A", "198.51.100.1, 2001:db8:1::b", "198.51.100.1"),
        ("192.0.2.10", "::ffff:198.51.100.1", "198.51.100.1"),
        ("192.0.2.10", "2001:DB8::0:1", "2001:db8::1"),
        ("192.0.2.10", "fe80::1%eth0", "fe80::1"),
        ("192.0.2.10", "", "192.0.2.10"),
        ("192.0.2.10", "192.0.2.11", "192.0.2.10"),
        ("192.0.2.10", "198.51.100.1, unknown", "192.0.2.10"),
        ("192.0.2.10", "198.51.100.1:4711", "192.0.2.10"),
        ("192.0.2.10", "', (SELECT 1) --", "192.0.2.10"),
        ("", "198.51.100.1", ""),
        ("unix:", "198.51.100.1", ""),
    ],
)
def test_whose_address_is_counted(settings, card, peer, forwarded, counted):
    settings.TRUSTED_PROXIES = [ip_network("192.0.2.10/31"), ip_network("2001:db8:1::/48")]
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR=peer, headers=headers)
    assert auth.client_address(request) == counted
    operations.count_try(presenter=make_presenter(card, address=counted), now=NOON)


def test_counted_tries_are_forgotten_after_a_day(city, card):
    attempt(city, card, name="だれか")
    look_up(city, card, now=NOON + timedelta(hours=25))
    assert operations.purge(now=NOON + timedelta(hours=25)) == (0, 2)
    assert set(Attempt.objects.values_list("hour", flat=True)) == {NOON + timedelta(hours=25)}


# -- one answer for every wrong pair

WRONG = [
    {"supplier_number": "990000009"},
    {"name": "（株）別の商会"},
    {"supplier_number": "990000009", "name": "（株）別の商会"},
    {"password": "chigau1"},
    {"login_id": "chigau1"},
    {"supplier_number": "990000007", "name": "（株）資格のない商会", "password": "chigau1"},
]
RIGHT = {"login_id": "shokai01", "password": "himitsu1"}


def test_every_wrong_pair_costs_the_same_queries_and_one_argon2_check(city, card, monkeypatch):
    ask_password(city)
    other = make_section(category=Category.WORKS)
    make_supplier(other, supplier_number="990000007", name="（株）資格のない商会")
    checks = []
    verify = Argon2PasswordHasher.verify
    monkeypatch.setattr(
        Argon2PasswordHasher, "verify", lambda self, *args: checks.append(args[1]) or verify(self, *args)
    )
    attempt(city, card, **RIGHT, name="だれか")  # the first one fills what is read once per process
    work = []
    for wrong in WRONG:
        checks.clear()
        with CaptureQueriesContext(connection) as captured:
            assert attempt(city, card, **{**RIGHT, **wrong}) == ["R-102"]
        shapes = [re.sub(r"'[^']*'|\"s\d+_x\d+\"", "?", query["sql"]) for query in captured]
        # The same work is the same algorithm with the same parameters, whoever's password it is.
        work.append((shapes, [encoded.split("$")[:4] for encoded in checks]))
    assert work == [work[0]] * len(WRONG)
    assert len(work[0][1]) == 1


def test_an_agency_without_passwords_asks_for_none_and_checks_none(city, card, monkeypatch):
    monkeypatch.setattr(Argon2PasswordHasher, "verify", lambda *_: pytest.fail("nothing to check"))
    assert attempt(city, card, name="だれか") == attempt(city, card, supplier_number="990000009") == ["R-102"]
    assert look_up(city, card, now=NOON)


@pytest.mark.parametrize("values", [{"login_password": ""}, {"login_id": ""}], ids=str)
def test_a_supplier_that_has_no_password_cannot_be_looked_up_where_one_is_asked(city, card, values):
    ask_password(city, **values)
    for typed in (RIGHT, {"login_id": "", "password": ""}, {"login_id": "", "password": "no one's"}):
        assert attempt(city, card, **typed) == ["R-102"]


def test_the_right_password_opens(city, card):
    ask_password(city)
    assert look_up(city, card, now=NOON, **RIGHT).supplier == city.supplier


# -- reasons, once the pair is proven


@pytest.fixture
def works_only(city):
    other = make_section(category=Category.WORKS)
    return make_supplier(other, supplier_number="990000007", name="（株）工事商会")


def test_a_company_of_another_category_is_told_so(city, card, works_only):
    with pytest.raises(Refused) as failure:
        look_up(city, card, now=NOON, supplier_number="990000007", name="工事商会 株式会社")
    (reason,) = failure.value.refusals
    assert reason.code == "R-103"
    assert "物品、役務" in reason.sentence
    assert not Draft.objects.exists()


def test_the_other_category_proves_nothing_to_who_has_it_wrong(city, card, works_only):
    assert attempt(city, card, supplier_number="990000007", name="（株）テスト商会01") == ["R-102"]
    works_only.status = "ended"
    works_only.save()
    assert attempt(city, card, supplier_number="990000007", name="（株）工事商会") == ["R-102"]


def test_a_number_that_is_anothers_here_is_not_looked_for_elsewhere(city, card, works_only):
    make_supplier(city.section, supplier_number="990000007", name="（株）別の商会")
    assert attempt(city, card, supplier_number="990000007", name="（株）工事商会") == ["R-102"]


def test_another_agency_is_another_world(city, card):
    make_supplier(make_section(code="9991"), supplier_number="990000008", name="（株）よその商会")
    assert attempt(city, card, supplier_number="990000008", name="（株）よその商会") == ["R-102"]


@pytest.mark.parametrize(
    ("values", "code"),
    [
        ({"status": "ended"}, "R-112"),
        ({"status": "suspended"}, "R-107"),
        ({"valid_until": (NOON - timedelta(days=1)).date()}, "R-104"),
        ({"valid_from": (NOON + timedelta(days=1)).date()}, "R-111"),
    ],
)
def test_the_registers_reasons_are_told_after_the_pair_is_proven_and_only_then(city, card, values, code):
    for name, value in values.items():
        setattr(city.supplier, name, value)
    city.supplier.save()
    assert attempt(city, card, name="だれか") == ["R-102"]
    assert attempt(city, card) == [code]


@pytest.mark.parametrize(
    "name",
    ["株式会社テスト商会01", "㈱テスト商会０１", "(株) テスト 商会 01", "ﾃｽﾄ商会01株式会社", "（株）テスト商会01　"],
)
def test_a_name_agrees_however_it_is_written(city, card, name):
    assert look_up(city, card, now=NOON, name=name)


@pytest.mark.parametrize(
    ("registered", "typed", "agrees"),
    [("髙橋建設", "高橋建設", True), ("渡邉商店", "渡辺商店", True), ("高橋建設", "高橋建没", False)],
)
def test_variants_of_a_character_agree_and_one_wrong_character_does_not(city, card, registered, typed, agrees):
    city.supplier.name = registered
    city.supplier.save()
    # The card's own name must not decide here.
    assert attempt(city, card, name=typed) == (["R-108"] if agrees else ["R-102"])
