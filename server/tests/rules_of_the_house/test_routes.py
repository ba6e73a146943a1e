"""Every address of both sites, and what it answers to whom. An address that is missing here fails the test.

The four who ask: nobody (公開), a card that was proven and is not registered, the registered card that the address belongs
to, and the registered card of another company.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ledger_files
import pytest
from announcing import announced
from builders import CONTACT, City, changed, make_authority, make_city, make_supplier, make_token, sign_document
from django.apps import apps
from django.contrib.sessions.models import Session
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from pki_builder import Issued
from steps import TYP

from irefuda.agencies.models import Category
from irefuda.cards import operations as cards
from irefuda.ledger import keys, sequencer
from irefuda.notices.models import Notice, PracticeMail
from irefuda.registration import operations
from irefuda.registration.models import Event, RegisteredCard
from irefuda.ui import clock

ROLES = ("nobody", "proven", "owner", "stranger")
SITES = {
    "supplier": ("irefuda.config.urls_supplier", "localhost:8000"),
    "public": ("irefuda.config.urls_public", "open.localhost:8002"),
}
SECTION = {"agency": "9992", "category": Category.GOODS}
LEDGER_HASH = "ab" * 32
ANNOUNCEMENT = uuid.UUID(int=1)


@dataclass(frozen=True)
class Route:
    """One address: its arguments, and per method the answer to each role (or one answer to all of them)."""

    get: str | tuple[str, str, str, str] = "405"
    post: str | tuple[str, str, str, str] = "405"
    arguments: Callable[[uuid.UUID], dict[str, Any]] = lambda card: {}

    def answers(self, method: str) -> dict[str, str]:
        told = self.get if method == "GET" else self.post
        return dict(zip(ROLES, (told,) * 4 if isinstance(told, str) else told, strict=True))


def of_section(card: uuid.UUID) -> dict[str, Any]:
    return SECTION


def of_card(card: uuid.UUID) -> dict[str, Any]:
    return {**SECTION, "card_id": card}


def of_event(card: uuid.UUID) -> dict[str, Any]:
    """Return the 変更 of this card, which `owned` has given the card's number."""
    return {**SECTION, "event_id": card}


def of_notice(card: uuid.UUID) -> dict[str, Any]:
    """Return a notice in the inbox of this card."""
    inbox = RegisteredCard.objects.get(id=card).fingerprint
    return {"notice_id": Notice.objects.filter(inbox=inbox).order_by("id")[0].id}


def given(**arguments: Any) -> Callable[[uuid.UUID], dict[str, Any]]:
    return lambda card: arguments


# Whoever has no session is refused with the reason T-301; what is another's is not there (404).
MINE_ONLY = ("403 T-301", "404", "200", "404")
REGISTERED_ONLY = ("403 T-301", "403 R-120", "200", "200")
PROVEN_ONLY = ("403 T-301", "200", "200", "200")

ROUTES: dict[str, dict[str, Route]] = {
    "supplier": {
        "portal": Route("200"),
        "portal-feed": Route("200"),
        "portal-announcement": Route("200", arguments=given(announcement_id=ANNOUNCEMENT)),
        "portal-bidding": Route("200"),
        "portal-lottery": Route("200"),
        "portal-guide": Route("200"),
        "portal-chapter": Route("200", arguments=given(number=1)),
        "portal-manual": Route("200"),
        "portal-manual-all": Route("200"),
        "portal-manual-pdf": Route("200"),
        "portal-manual-section": Route("200", arguments=given(slug="1-2")),
        "portal-announcements": Route("200"),
        "portal-practice": Route("200"),
        "portal-tenders": Route("200"),
        "portal-faq": Route("200"),
        "portal-messages": Route("200"),
        "portal-changed": Route("200"),
        "portal-privacy": Route("200"),
        "portal-helpdesk": Route("200"),
        "portal-accessibility": Route("200"),
        "sections": Route("200", arguments=given(slug="goods")),
        "practice-mails": Route("200"),
        "practice-mail": Route("200", arguments=given(number=1)),
        "practice-cards": Route("200"),
        "card-nonce": Route(post="200"),
        "environment-check": Route("200"),
        "environment-clock": Route("200"),
        "environment-certificate": Route(post="200"),
        "agent-download": Route("200"),
        "agent-system": Route("200", arguments=given(slug="linux")),
        "agent-file": Route("404", arguments=given(name="irefuda-card-agent_0.1.0_amd64.deb")),
        "section": Route("200", arguments=of_section),
        "registration-top": Route("200", arguments=of_section),
        "registration-menu": Route("200", arguments=of_section),
        # Without a token nobody comes in, whoever was in before.
        "registration-present": Route(post="403 K-421", arguments=of_section),
        "login": Route("200", post="403 K-421", arguments=of_section),
        "registration-lookup": Route(
            ("403 T-301", "200", "302", "302"), post=("403 T-301", "302", "302", "302"), arguments=of_section
        ),
        # Without a draft the way leads back to the look-up.
        "registration-contacts": Route(
            ("403 T-301", "302", "302", "302"), post=("403 T-301", "302", "302", "302"), arguments=of_section
        ),
        "registration-check": Route(("403 T-301", "302", "302", "302"), arguments=of_section),
        "registration-register": Route(post=("403 T-301", "404", "404", "404"), arguments=of_section),
        "registration-done": Route(MINE_ONLY, arguments=of_card),
        "registration-print": Route(MINE_ONLY, arguments=of_card),
        "registration-pdf": Route(MINE_ONLY, arguments=of_card),
        "registration-receipt": Route(MINE_ONLY, arguments=of_card),
        "renewal-top": Route("200", arguments=of_section),
        "renewal-begin": Route(post="200", arguments=of_section),
        # Without a renewal of this browser there is nothing to go on with; without reasons, nothing to show.
        "renewal-prepare": Route(post="404", arguments=of_section),
        "renewal-renew": Route(post="404", arguments=of_section),
        "renewal-stopped": Route("302", arguments=of_section),
        # The owner's card has not come by 更新.
        "renewal-done": Route(("403 T-301", "404", "404", "404"), arguments=of_card),
        "change-present": Route(post="403 K-421", arguments=of_section),
        "change-form": Route(REGISTERED_ONLY, post=("403 T-301", "403 R-120", "302", "302"), arguments=of_section),
        # Without a draft the way leads back to the form.
        "change-check": Route(("403 T-301", "403 R-120", "302", "302"), arguments=of_section),
        "change-submit": Route(post=("403 T-301", "404", "404", "404"), arguments=of_section),
        "change-done": Route(MINE_ONLY, arguments=of_event),
        "change-print": Route(MINE_ONLY, arguments=of_event),
        "change-pdf": Route(MINE_ONLY, arguments=of_event),
        "change-receipt": Route(MINE_ONLY, arguments=of_event),
        "change-address": Route(REGISTERED_ONLY, post=("403 T-301", "403 R-120", "302", "302"), arguments=of_section),
        "change-address-send": Route(post=("403 T-301", "403 R-120", "302", "302"), arguments=of_section),
        "change-history": Route(REGISTERED_ONLY, arguments=of_section),
        # Each sees its own start page; the card that is not registered is told so.
        "start": Route(("403 T-301", "403 R-120", "200", "200"), arguments=of_section),
        # マイページ and the inbox: of the card, wherever it is registered.
        "account": Route(("302", "403 R-161", "200", "200")),
        "account-login": Route("200", post="403 K-421"),
        "account-elsewhere": Route(
            ("403 T-301", "403 R-161", "200", "200"), post=("403 T-301", "403 R-161", "404", "404")
        ),
        "account-add-card": Route(("403 T-301", "403 R-120", "200", "200"), arguments=of_section),
        # Without a reason nothing is closed; a card that is in use is not shown as closed.
        "account-close": Route(
            ("403 T-301", "403 R-120", "200", "404"), post=("403 T-301", "403 R-120", "302", "404"), arguments=of_card
        ),
        "account-closed": Route(("403 T-301", "404", "404", "404"), arguments=of_card),
        "inbox": Route(("403 T-301", "403 R-161", "200", "200")),
        "inbox-read-all": Route(post=("403 T-301", "403 R-161", "302", "302")),
        "inbox-notice": Route(("403 T-301", "403 R-161", "200", "404"), arguments=of_notice),
        "inbox-open": Route(post=("403 T-301", "403 R-161", "302", "404"), arguments=of_notice),
        "session-extend": Route(post=("401", "200", "200", "200")),
        "logout": Route(post="200"),
    },
    "public": {
        "public-front": Route("200"),
        "register": Route("200"),
        "register-section": Route("200", arguments=given(agency_code="9992", slug="goods")),
        "register-supplier": Route(
            "200", arguments=given(agency_code="9992", slug="goods", supplier_number="990000001")
        ),
        "ledger": Route("200"),
        "ledger-checkpoint": Route("200"),
        "ledger-keys": Route("200"),
        "ledger-proof": Route("404", arguments=given(entry_hash=LEDGER_HASH)),
        "ledger-consistency": Route("400"),
    },
}

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


def names(site: str) -> set[str | None]:
    """Return the name of every address in a site's URLconf, however deep it is included."""

    def walk(patterns: list[URLPattern | URLResolver]) -> Iterator[str | None]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                yield from walk(pattern.url_patterns)
            else:
                yield pattern.name

    return set(walk(get_resolver(SITES[site][0]).url_patterns))


@pytest.mark.parametrize("site", SITES)
def test_every_address_is_in_the_table(site):
    assert names(site) == set(ROUTES[site])


# -- the little city in which they are asked


@pytest.fixture(scope="module")
def authority():
    return make_authority()


@pytest.fixture
def city(authority, settings, tmp_path):
    ledger_files.make(settings, tmp_path / "keys")
    made = make_city(authority)
    make_supplier(made.section, supplier_number="990000002", name="別の商会株式会社")
    PracticeMail.objects.create(id=1, **practice_mail())
    announced("年末年始の休みについて", announcement_id=ANNOUNCEMENT)
    sequencer.sign_first_checkpoint(key=keys.head_key(), now=clock.now() - timedelta(hours=2))
    return made


def practice_mail() -> dict[str, Any]:
    blank: dict[str, Any] = {}
    for field in PracticeMail._meta.fields:
        if field.name != "id":
            blank[field.name] = clock.now() if field.get_internal_type() == "DateTimeField" else "x"
    return blank


def registered(city: City, card: Issued, number: str, company: str) -> RegisteredCard:
    """Register this card by the operations alone."""
    now = clock.now()
    proven = cards.check_still_good(der=card.der, audience="supplier", now=now)
    presenter = operations.Presenter(card=proven.card, demo=False, person_in_charge="係 太郎", address="10.0.0.1")
    common = {"section": city.section, "presenter": presenter, "rules_now": now, "now": now}
    draft = operations.look_up(lookup=operations.Lookup(number, company), **common)
    draft = operations.prepare_document(draft=draft, answers=operations.Answers(CONTACT, CONTACT), **common)
    jws = sign_document(card, draft.document, TYP)
    return operations.register_card(draft_id=draft.id, jws=jws, salt=bytes(16), **common)


@pytest.fixture
def owned(city, authority):
    """The card that is registered, and the browsers of all four."""
    owner = authority.card(serial=1001)
    stranger = authority.card(company="別の商会株式会社", serial=1002)
    mine = registered(city, owner, "990000001", "（株）テスト商会01")
    registered(city, stranger, "990000002", "別の商会株式会社")
    made = changed(city, owner, now=clock.now(), rep_person="代表 次郎")
    # Under the card's number, which is what the addresses of the table are made of.
    Event.objects.filter(id=made.id).update(id=mine.id)
    return mine.id, {"nobody": None, "proven": authority.card(serial=1003), "owner": owner, "stranger": stranger}


def browser(card: Issued | None, *, site: str = "supplier", **options: Any) -> Client:
    """Return a browser of this site, into which this card has come."""
    client = Client(headers={"host": SITES[site][1]}, **options)
    if card is not None:
        nonce = client.post(reverse("card-nonce")).json()["nonce"]
        token = {"token": make_token(card, nonce), "person_in_charge": "係 太郎"}
        assert client.post(reverse("account-login"), token).status_code == 302
    return client


def answer_of(response: Any) -> str:
    """Return the status, with the code of the reason where the page gives one."""
    codes = re.findall(r"[A-Z]-[0-9]{3}", response.content.decode()) if response.status_code == 403 else []
    return " ".join([str(response.status_code), *dict.fromkeys(codes)])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_supplier_site_answers_each_as_the_table_says(owned, method):
    card_id, people = owned
    wrong = []
    for name, route in ROUTES["supplier"].items():
        address = reverse(name, kwargs=route.arguments(card_id))
        for role, expected in route.answers(method).items():
            response = browser(people[role]).generic(method, address)
            if (answer := answer_of(response)) != expected:
                wrong.append(f"{method} {name} as {role}: {answer}, the table says {expected}")
    assert wrong == []


@pytest.mark.urls("irefuda.config.urls_public")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_public_site_answers_everybody_alike(city, settings, method):
    settings.SITE, settings.ALLOWED_HOSTS = "public", ["open.localhost"]
    wrong = []
    for name, route in ROUTES["public"].items():
        address = reverse(name, kwargs=route.arguments(uuid.uuid4()))
        response = Client(headers={"host": SITES["public"][1]}).generic(method, address)
        expected = route.answers(method)["nobody"]
        if (answer := answer_of(response)) != expected:
            wrong.append(f"{method} {name}: {answer}, the table says {expected}")
    assert wrong == []


def test_a_draft_of_another_card_is_as_good_as_none(owned, city):
    _, people = owned
    now = clock.now()
    proven = cards.check_still_good(der=people["proven"].der, audience="supplier", now=now)
    presenter = operations.Presenter(card=proven.card, demo=False, person_in_charge="", address="10.0.0.1")
    common = {"section": city.section, "presenter": presenter, "rules_now": now, "now": now}
    draft = operations.look_up(lookup=operations.Lookup("990000001", "（株）テスト商会01"), **common)
    response = browser(people["stranger"]).post(
        reverse("registration-register", kwargs=SECTION), {"draft": str(draft.id), "jws": "x"}
    )
    assert answer_of(response) == "403 R-115"


# -- what a GET and a POST from elsewhere may do: nothing


def everything_stored() -> dict[str, list[Any]]:
    """Return every row of every table; of sessions only which there are (their time is counted at most once a minute)."""
    stored: dict[str, list[Any]] = {}
    for model in apps.get_models(include_auto_created=True):
        rows = model.objects.values_list("pk", flat=True) if model is Session else model.objects.values_list()
        stored[model._meta.label] = sorted(map(plain, rows), key=repr)
    return stored


def plain(row: Any) -> Any:
    """Return a row that can be compared: PostgreSQL hands out bytes as views."""
    columns = row if isinstance(row, tuple) else (row,)
    return tuple(bytes(column) if isinstance(column, memoryview) else column for column in columns)


def test_a_get_changes_nothing(owned):
    card_id, people = owned
    for role, card in people.items():
        client = browser(card)
        before = everything_stored()
        for name, route in ROUTES["supplier"].items():
            if route.answers("GET")[role] != "405":
                client.get(reverse(name, kwargs=route.arguments(card_id)))
                assert everything_stored() == before, f"GET {name} as {role} wrote to the database"


def test_the_comparison_sees_every_change(owned):
    before = everything_stored()
    with transaction.atomic():
        RegisteredCard.objects.filter(id=owned[0]).update(receipt="x")
    assert everything_stored() != before
    assert {"registration.RegisteredCard", "ledger.Entry", "cards.Nonce", "sessions.Session"} <= set(before)


def test_a_post_without_the_token_of_the_page_is_refused_and_changes_nothing(owned):
    card_id, people = owned
    client = browser(people["owner"])
    client.handler.enforce_csrf_checks = True
    before = everything_stored()
    posted = [name for name, route in ROUTES["supplier"].items() if route.answers("POST")["owner"] != "405"]
    assert len(posted) > 6
    for name in posted:
        response = client.post(
            reverse(name, kwargs=ROUTES["supplier"][name].arguments(card_id)), {"draft": str(card_id)}
        )
        assert response.status_code == 403, name
        assert "画面の有効期限が切れました" in response.content.decode(), name
    assert everything_stored() == before


# -- what stands on every answer

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin-allow-popups",
    "Cache-Control": "no-store",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()",
}


def wrong_headers(response: Any) -> dict[str, str | None]:
    """Return the security headers that are missing or say something else."""
    found = {name: response.headers.get(name) for name in HEADERS}
    found["Content-Security-Policy"] = directives(found["Content-Security-Policy"] or "")
    # A page may forbid even more of the cache than every page does.
    if "no-store" in (found["Cache-Control"] or ""):
        found["Cache-Control"] = "no-store"
    wanted = {**HEADERS, "Content-Security-Policy": directives(HEADERS["Content-Security-Policy"])}
    return {name: value for name, value in found.items() if value != wanted[name]}


def directives(policy: str) -> str:
    return "; ".join(sorted(part.strip() for part in policy.split(";")))


def test_every_answer_of_the_supplier_site_carries_the_headers(owned):
    card_id, people = owned
    for role in ("nobody", "owner"):
        client = browser(people[role])
        for name, route in ROUTES["supplier"].items():
            for method in ("get", "post"):
                response = getattr(client, method)(reverse(name, kwargs=route.arguments(card_id)))
                assert wrong_headers(response) == {}, f"{method} {name} as {role}"
    client = browser(None)
    for response in (client.get("/none/"), client.get("/", headers={"host": "elsewhere.example"})):
        assert response.status_code in (400, 404)
        assert wrong_headers(response) == {}
    too_much = client.post(reverse("registration-present", kwargs=SECTION), {"token": "x" * 300_000})
    assert too_much.status_code == 413
    assert wrong_headers(too_much) == {}
    client.handler.enforce_csrf_checks = True
    assert wrong_headers(client.post("/logout/")) == {}


@pytest.mark.urls("irefuda.config.urls_public")
def test_every_answer_of_the_public_site_carries_the_headers(city, settings):
    settings.SITE, settings.ALLOWED_HOSTS = "public", ["open.localhost"]
    client = Client(headers={"host": SITES["public"][1]}, raise_request_exception=False)
    for name, route in ROUTES["public"].items():
        assert wrong_headers(client.get(reverse(name, kwargs=route.arguments(uuid.uuid4())))) == {}, name
    settings.LEDGER_KEYS_FILE = ""
    broken = client.get("/ledger/keys.json")
    assert broken.status_code == 500
    assert wrong_headers(broken) == {}


# -- cookies


def flags(cookie: Any) -> tuple[bool, bool, str, str, str]:
    return bool(cookie["httponly"]), bool(cookie["secure"]), cookie["samesite"], cookie["path"], cookie["domain"]


def test_the_cookies_of_practice_are_plain_and_host_only(owned):
    client = browser(owned[1]["owner"])
    client.get(reverse("registration-menu", kwargs=SECTION))
    assert set(client.cookies) == {"irefuda", "irefuda-csrf", "irefuda-browser"}
    for name, cookie in client.cookies.items():
        assert flags(cookie) == (True, False, "Lax", "/", ""), name


PRODUCTION_NAMES = {"__Host-irefuda", "__Host-irefuda-csrf", "__Host-irefuda-browser"}


def production_settings(*names: str) -> dict[str, Any]:
    """Return settings as a production process would have them."""
    environment = {
        **os.environ,
        "IREFUDA_REALM": "production",
        "IREFUDA_CITY_NAME": "例市",
        "IREFUDA_SUPPLIER_ORIGIN": "https://ebid.example.lg.jp",
        "IREFUDA_PUBLIC_ORIGIN": "https://open.example.lg.jp",
    }
    program = "import json, sys; from irefuda.config import settings as s; print(json.dumps({n: getattr(s, n) for n in sys.argv[1:]}))"
    made = subprocess.run([sys.executable, "-c", program, *names], env=environment, capture_output=True, check=True)
    return dict(json.loads(made.stdout))


def test_the_cookies_of_production_are_secure_and_tied_to_the_host(owned, settings):
    names = [
        f"{kind}_COOKIE_{part}" for kind in ("SESSION", "CSRF") for part in ("NAME", "SECURE", "HTTPONLY", "SAMESITE")
    ]
    for name, value in production_settings("SECURE_ORIGIN", "BROWSER_COOKIE_NAME", *names).items():
        setattr(settings, name, value)
    client = Client(headers={"host": SITES["supplier"][1]})
    nonce = client.post(reverse("card-nonce"), secure=True).json()["nonce"]
    token = {"token": make_token(owned[1]["owner"], nonce), "person_in_charge": "係 太郎"}
    assert client.post(reverse("account-login"), token, secure=True).status_code == 302
    client.get(reverse("registration-menu", kwargs=SECTION), secure=True)
    assert set(client.cookies) == PRODUCTION_NAMES
    for name, cookie in client.cookies.items():
        # __Host- is honoured by browsers only with Secure, Path=/ and without Domain.
        assert flags(cookie) == (True, True, "Lax", "/", ""), name


def test_production_asks_for_https_for_a_year():
    found = production_settings(
        "SECURE_HSTS_SECONDS", "SECURE_SSL_REDIRECT", "DEBUG", "SESSION_EXPIRE_AT_BROWSER_CLOSE"
    )
    assert found["SECURE_HSTS_SECONDS"] >= 31_536_000
    assert found["SECURE_SSL_REDIRECT"] is found["SESSION_EXPIRE_AT_BROWSER_CLOSE"] is True
    assert found["DEBUG"] is False
