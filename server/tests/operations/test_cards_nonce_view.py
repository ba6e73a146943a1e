"""`/card/nonce/`: a challenge for this browser, by POST, with the browser's own cookie."""

from __future__ import annotations

import hashlib

import pytest
from django.test import Client

from irefuda.cards.models import Nonce

pytestmark = pytest.mark.django_db
COOKIE = "irefuda-browser"


def test_a_browser_is_known_by_a_cookie_of_its_own():
    client = Client()
    first = client.post("/card/nonce/")
    assert first.status_code == 200
    assert "no-store" in first["Cache-Control"]
    cookie = first.cookies[COOKIE]
    assert (cookie["httponly"], cookie["samesite"], cookie["domain"], cookie["path"]) == (True, "Lax", "", "/")
    second = client.post("/card/nonce/")
    assert COOKIE not in second.cookies
    assert len(first.json()["nonce"]) == 44
    assert first.json()["nonce"] != second.json()["nonce"]
    kept = set(Nonce.objects.values_list("browser_sha256", flat=True))
    assert kept == {hashlib.sha256(cookie.value.encode()).hexdigest()}


def test_a_cookie_that_we_did_not_make_is_replaced():
    client = Client()
    client.cookies[COOKIE] = "chosen-by-someone"
    assert len(client.post("/card/nonce/").cookies[COOKIE].value) == 43


def test_only_the_sites_own_pages_may_ask(static_files):
    assert Client().get("/card/nonce/").status_code == 405
    assert Client(enforce_csrf_checks=True).post("/card/nonce/").status_code == 403
    assert not Nonce.objects.exists()
