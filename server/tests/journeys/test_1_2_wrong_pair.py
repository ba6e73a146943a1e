"""Whoever guesses at 資格審査情報検索 learns nothing: every wrong pair is answered with the same bytes after the same work."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest
from builders import make_section, make_supplier
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils.html import escape
from steps import main_form, way_in

from irefuda.agencies.models import Category
from irefuda.registration.models import Attempt

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
RIGHT = {"supplier_number": "990000001", "name": "（株）テスト商会01", "login_id": "shokai01", "password": "himitsu1"}
WRONG = {
    "an unknown number": {"supplier_number": "990000009"},
    "another name": {"name": "（株）別の商会"},
    "both": {"supplier_number": "990000009", "name": "（株）別の商会"},
    "another password": {"password": "chigau1"},
    "another user": {"login_id": "shokai02"},
    "a company of the other category": {"supplier_number": "990000007", "password": "chigau1"},
    "a company that has ended": {"supplier_number": "990000006", "name": "（株）だれか"},
    "a name of SQL": {"name": "' OR 1=1 --"},
}


def without_echo(body, typed):
    """Return a page without what is new every time: the form's token, the clock, and what was typed itself."""
    body = re.sub(r'name="csrfmiddlewaretoken" value="[^"]+"', "", body)
    body = re.sub(r"<time.*?</time>", "", body)
    body = re.sub(r'data-session-seconds="\d+"', "", body)
    for value in typed.values():
        body = body.replace(f' value="{escape(value)}"', "")
    return body


@pytest.fixture
def tried(app, city, monkeypatch):
    """Return what a try answers: all pages on the way, its statuses and headers, its queries, its checks of a password."""
    city.section.agency.lookup_needs_password = True
    city.section.agency.save()
    secret = {"login_id": "shokai01", "login_password": make_password("himitsu1")}
    for name, value in secret.items():
        setattr(city.supplier, name, value)
    city.supplier.save()
    make_supplier(make_section(category=Category.WORKS), supplier_number="990000007", **secret)
    make_supplier(city.section, supplier_number="990000006", name="（株）終わった商会", status="ended", **secret)
    verify, checks = Argon2PasswordHasher.verify, []
    monkeypatch.setattr(
        Argon2PasswordHasher, "verify", lambda self, *of: checks.append(of[1].split("$")[3]) or verify(self, *of)
    )
    page = way_in(app, city.authority.card())

    def once(**changed):
        Attempt.objects.all().delete()
        typed = {**RIGHT, **changed}
        form = main_form(page, "supplier_number")
        for name, value in typed.items():
            form[name] = value
        checks.clear()
        with CaptureQueriesContext(connection) as captured:
            first = form.submit()
            last = first.follow()
        # Of every answer its own: how long it is, the session, the number in the log.
        sizes = {"Content-Length", "Set-Cookie", "X-Request-ID"}
        headers = [{k: v for k, v in answer.headers.items() if k not in sizes} for answer in (first, last)]
        statements = [re.sub(r"\s(WHERE|SET|VALUES)\s.*|\"s\d+_x\d+\"", "", query["sql"]) for query in captured]
        return without_echo(last.text, typed), (first.status_int, last.status_int), headers, statements, list(checks)

    once(name="（株）はじめての商会")  # what a process reads once, and the first answer that the session keeps
    return once


def test_every_wrong_pair_is_answered_alike(tried):
    answers = {name: tried(**changed) for name, changed in WRONG.items()}
    expected = answers.pop("an unknown number")
    assert "R-102" in expected[0]
    assert expected[1] == (302, 200)
    assert len(expected[4]) == 1
    for name, answer in answers.items():
        for part, other in zip(answer, expected, strict=True):
            assert part == other, name


def test_the_comparison_sees_a_page_that_tells_more(tried, city):
    wrong = tried(name="（株）別の商会")[0]
    city.section.agency.helpdesk_phone = "017-000-0000"
    city.section.agency.save()
    assert tried(name="（株）別の商会")[0] != wrong


@pytest.mark.parametrize("proxy", [False, True])
def test_a_forged_forwarding_header_gives_no_further_tries(app, city, settings, proxy):
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")] if proxy else []
    form = main_form(way_in(app, city.authority.card()), "supplier_number")
    form["supplier_number"], form["name"] = "990000009", "だれか"
    forged = ["198.51.100.1", "198.51.100.2", "garbage", "2001:db8::1, [2001:db8::2]:443", "\xff", "1" * 5000]
    for written in forged:
        # What our own proxy adds stands last; before it, anyone may write anything.
        header = f"{written}, 203.0.113.5" if proxy else written
        assert form.submit(headers={"X-Forwarded-For": header}).status_int == 302
    counted = Attempt.objects.exclude(subject__startswith="card:").values_list("subject", "tries")
    assert list(counted) == [("address:203.0.113.5" if proxy else "address:127.0.0.1", len(forged))]


@pytest.mark.parametrize("written", ["", "garbage", "198.51.100.1, ", "198.51.100.1:4711", "\xff"])
def test_a_proxy_that_writes_no_address_is_counted_itself(app, city, settings, written):
    settings.TRUSTED_PROXIES = [ip_network("127.0.0.1")]
    form = main_form(way_in(app, city.authority.card()), "supplier_number")
    form["supplier_number"], form["name"] = "990000009", "だれか"
    assert form.submit(headers={"X-Forwarded-For": written}).status_int == 302
    assert Attempt.objects.filter(subject="address:127.0.0.1", tries=1).exists()
