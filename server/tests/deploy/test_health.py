"""`/healthz` and `/readyz` on every site: each trouble by its name, no secrets, no session, whatever host was asked for."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import ledger_files
import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client

from irefuda.agencies.models import Installation
from irefuda.config import health
from irefuda.ledger import queries
from irefuda.notices.models import Notice
from irefuda.ui import clock

SITES = ["supplier", "public", "staff"]
GOOD = {
    "database": "ok", "migrations": "ok", "realm": "ok", "ledger_promise": "ok", "ledger_continues": "ok", "outbox": "ok",
}  # fmt: skip
pytestmark = pytest.mark.committing


@pytest.fixture
def files(own_database: str, settings: Any, tmp_path: Path) -> ledger_files.LedgerFiles:
    return ledger_files.make(settings, tmp_path / "keys")


@pytest.fixture(params=SITES)
def site(request: Any, settings: Any) -> str:
    settings.ROOT_URLCONF = f"irefuda.config.urls_{request.param}"
    settings.SITE = request.param
    settings.SECURE_SSL_REDIRECT = True
    return str(request.param)


def asked(path: str = "/readyz") -> Any:
    return Client(HTTP_HOST="192.0.2.7:9999").get(path)


def test_every_site_is_alive_and_ready(files, site):
    ledger_files.append(clock.now())
    ledger_files.sequence(clock.now())
    alive = asked("/healthz")
    assert (alive.status_code, alive.content) == (200, b"ok\n")
    ready = asked()
    assert ready.status_code == 200
    assert ready.json() == {"ready": True, "checks": GOOD}
    for answer in (alive, ready):
        assert not answer.cookies
        assert answer.headers["Cache-Control"] == "no-store"
    assert not Session.objects.exists()


def test_alive_without_a_database(files, site):
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = "/nowhere/at/all" if connection.vendor == "sqlite" else "nowhere_at_all"
    try:
        assert asked("/healthz").status_code == 200
        away = asked()
    finally:
        connection.settings_dict["NAME"] = name
    assert away.status_code == 503
    assert away.json() == {"ready": False, "checks": {"database": "away"}}


def test_a_database_that_does_not_answer_takes_no_more_than_the_limit(files, monkeypatch):
    held = threading.Event()
    monkeypatch.setattr(health, "_checked", lambda: held.wait(20) and {"database": "ok"})
    begun = time.monotonic()
    asking = [threading.Thread(target=health.readiness, args=(0.2,)) for _ in range(5)]
    for thread in asking:
        thread.start()
    assert health.readiness(0.2) == {"database": "no answer in time"}
    for thread in asking:
        thread.join()
    assert time.monotonic() - begun < 5
    held.set()
    assert health.readiness(10) == {"database": "ok"}


def trouble() -> dict[str, str]:
    answer = asked()
    assert answer.status_code == 503
    told = answer.json()
    assert told["ready"] is False
    return {name: said for name, said in told["checks"].items() if said != "ok"}


def test_a_promise_that_was_not_kept_is_named(files):
    ledger_files.append(clock.now() - timedelta(seconds=90))
    assert trouble() == {"ledger_promise": "broken"}


def test_a_log_that_does_not_continue_its_head_is_named(files, settings):
    ledger_files.append(clock.now())
    ledger_files.sequence(clock.now())
    newest = queries.latest_checkpoint()
    assert newest is not None
    Path(settings.LEDGER_WITNESS_FILE).write_text(newest.note.replace("\n1\n", "\n7\n"))
    assert trouble() == {"ledger_continues": "lost"}
    Path(settings.LEDGER_WITNESS_FILE).write_text("?")
    assert trouble() == {"ledger_continues": "unreadable"}
    settings.LEDGER_WITNESS_FILE = ""
    assert asked().json()["checks"]["ledger_continues"] == "unwatched"
    assert asked().status_code == 200


def test_a_head_that_is_signed_while_one_asks_is_no_loss(files):
    ledger_files.append(clock.now())
    ledger_files.sequence(clock.now())
    signed: list[int] = []

    def sign_afterwards(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        result = execute(sql, params, many, context)
        if "FROM ledger_checkpoint" in sql and not signed:
            signed.append(1)
            ledger_files.append(clock.now())
            ledger_files.sequence(clock.now())
        return result

    with connection.execute_wrapper(sign_afterwards):
        assert health.checks()["ledger_continues"] == "ok"
    assert signed


def test_a_stuck_outbox_is_named(files):
    now = clock.now()
    notice = Notice.objects.create(
        message_id="<1@x>", kind="k", to="keiri@example.jp", sender="a@example.jp", subject="s", body="b", queued_at=now,
        next_attempt_at=now - health.STUCK_AFTER + timedelta(minutes=1),
    )  # fmt: skip
    assert asked().status_code == 200
    Notice.objects.filter(id=notice.id).update(next_attempt_at=now - health.STUCK_AFTER - timedelta(minutes=1))
    assert trouble() == {"outbox": "stuck"}
    assert "keiri" not in asked().content.decode()


def test_another_realm_and_a_missing_migration_are_named(files):
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM django_migrations WHERE app = 'notices' AND name LIKE '0002%%'")
    assert trouble() == {"migrations": "missing"}
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('notices', '0002_inbox', '2026-11-24 00:00:00+00:00'),"
            " ('notices', '9999_of_the_next_release', '2026-11-24 00:00:00+00:00')"
        )
    assert asked().status_code == 200
    Installation.objects.update(realm="production", clock_offset_seconds=0)
    assert trouble() == {"realm": "another realm"}
