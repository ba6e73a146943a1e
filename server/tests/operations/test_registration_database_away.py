"""The database locked or gone in the middle of 登録: a page that says to wait, nothing half done, and the same press goes on."""

from __future__ import annotations

import contextlib
import sqlite3

import psycopg
import pytest
from builders import make_authority, make_city, sign_document
from django.core.wsgi import get_wsgi_application
from django.db import connection, connections
from pki_builder import Issued
from steps import TYP, fill, main_form, way_in
from webtest import TestApp

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration.models import Draft, RegisteredCard, Registration

pytestmark = [pytest.mark.committing, pytest.mark.usefixtures("static_files")]


@pytest.fixture
def card(own_database, django_db_blocker, receipt_key, monkeypatch) -> Issued:
    impatient = {"timeout": 0.1} if connection.vendor == "sqlite" else {"options": "-c lock_timeout=100ms"}
    for name, value in impatient.items():
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], name, value)
    with django_db_blocker.unblock():
        yield make_city(make_authority()).authority.card()


@pytest.fixture
def app(card) -> TestApp:
    """Return a browser before the whole web process: its connections are opened, checked and closed as in production."""
    return TestApp(get_wsgi_application(), extra_environ={"HTTP_HOST": "localhost:8000", "REMOTE_ADDR": "127.0.0.1"})


@contextlib.contextmanager
def locked(url):
    """Hold what every writer needs."""
    connections.close_all()
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
    else:
        with psycopg.connect(url) as other:
            other.execute("LOCK TABLE registration_draft, registration_attempt, cards_nonce IN ACCESS EXCLUSIVE MODE")
            yield


@contextlib.contextmanager
def gone(url):
    """Take the database away altogether."""
    connections.close_all()
    if url.startswith("sqlite"):
        name, connection.settings_dict["NAME"] = connection.settings_dict["NAME"], "/nowhere/db.sqlite3"
        yield
        connection.settings_dict["NAME"] = name
        return
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        try:
            yield
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


def rows():
    return [model.objects.count() for model in (Draft, Registration, RegisteredCard, Entry, Notice)]


def told_to_wait(answer):
    assert answer.status_int == 503
    assert "しばらく待って" in answer
    assert "P-800" in answer
    assert answer.headers["Retry-After"] == "30"
    assert "OperationalError" not in answer


@pytest.mark.parametrize("away", [locked, gone])
def test_every_press_of_the_way_says_to_wait_and_goes_on_afterwards(own_database, app, card, away):
    menu = app.get("/9992/goods/registration/menu/")
    form = main_form(menu, "token")
    with away(own_database):
        told_to_wait(app.post("/card/nonce/", {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"].value}, status=503))

    form = main_form(way_in(app, card), "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    with away(own_database):
        told_to_wait(form.submit(status=503))
    assert rows() == [0, 0, 0, 0, 0]

    form = main_form(form.submit().follow(), "rep-email")
    fill(form, "rep", email="daihyo@example.jp")
    fill(form, "card_office")
    with away(own_database):
        told_to_wait(form.submit(status=503))
    assert Draft.objects.get().typed == {}

    check = form.submit().follow()
    pressed = main_form(check, "jws")
    pressed["jws"].force_value(sign_document(card, pressed["document"].value, TYP))
    with away(own_database):
        told_to_wait(pressed.submit(status=503))
    assert rows() == [1, 0, 0, 0, 0]
    assert "利用者登録が完了しました" in pressed.submit().follow()
    assert rows() == [0, 1, 1, 1, 2]


def test_reading_says_to_wait_when_the_database_is_gone(own_database, app):
    app.get("/9992/goods/")
    with gone(own_database):
        told_to_wait(app.get("/9992/goods/", status=503))
    assert app.get("/9992/goods/")


def test_a_defect_is_no_reason_to_wait(app):
    def defect(*_):
        raise ZeroDivisionError

    with connection.execute_wrapper(defect):
        answer = app.get("/9992/goods/", status=500)
    assert "P-800" not in answer
    assert "システムに不具合が起きました" in answer
