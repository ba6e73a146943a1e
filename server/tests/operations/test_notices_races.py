"""Several workers at once, and a database that goes away at the worst moments."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection, connections
from mail_server import Postbox, free_port, mail_server

from irefuda.notices import delivery, operations
from irefuda.notices.models import Notice
from irefuda.ui.stopping import StopRequest

MANAGE = str(Path(__file__).resolve().parents[2] / "manage.py")
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)

pytestmark = pytest.mark.committing


@pytest.fixture
def postbox(settings: Any) -> Iterator[Postbox]:
    settings.EMAIL_PORT = free_port()
    with mail_server(settings.EMAIL_PORT) as postbox:
        yield postbox


def queue(number: int = 0) -> Notice:
    return operations.enqueue(
        kind="k", to=f"a{number}@example.jp", subject="件名", body="本文", at=NOW, sender="nyusatsu@city.example.jp"
    )


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def start_worker(database_url: str, port: int, *options: str) -> subprocess.Popen[bytes]:
    env = {"DJANGO_SETTINGS_MODULE": "irefuda.config.settings", "DATABASE_URL": database_url}
    return subprocess.Popen(
        [sys.executable, MANAGE, "send_notices", *options],
        env={**os.environ, **env, "IREFUDA_SMTP_PORT": str(port)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_three_workers_send_two_hundred_notices_once_each(own_database, postbox, settings):
    notices = [queue(number) for number in range(200)]
    # Slow enough that every worker has its share.
    postbox.seconds_per_mail = 0.02
    workers = [start_worker(own_database, settings.EMAIL_PORT, "--once") for _ in range(3)]
    shares = []
    for worker in workers:
        words, log = worker.communicate(timeout=120)
        assert worker.returncode == 0, log
        shares.append(int(words.removeprefix(b"sent ")))
    # A worker that lost the last race may end a moment before the winner; nothing is left all the same.
    assert sum(shares) == 200
    assert sorted(shares)[1] > 0, "the race was not one"
    assert postbox.times_arrived() == dict.fromkeys((n.message_id for n in notices), 1)
    assert set(Notice.objects.values_list("state", "attempts")) == {("sent", 1)}


def test_of_many_claims_at_once_one_gets_the_notice(own_database):
    for _ in range(10):
        Notice.objects.all().delete()
        queue()
        together, got = threading.Barrier(8), list[Notice | None]()

        def claim(name: str, together: threading.Barrier = together, got: list[Notice | None] = got) -> None:
            together.wait()
            got.append(delivery.claim(worker=name, now=NOW))
            connections.close_all()

        threads = [threading.Thread(target=claim, args=(str(n),)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len([notice for notice in got if notice is not None]) == 1
        assert Notice.objects.get().attempts == 1


def test_a_worker_told_to_stop_finishes_the_mail_in_hand(own_database, postbox, settings):
    notices = [queue(number) for number in range(20)]
    postbox.seconds_per_mail = 0.5
    worker = start_worker(own_database, settings.EMAIL_PORT)
    until(lambda: len(postbox.mails) == 1)
    worker.send_signal(signal.SIGTERM)
    worker.communicate(timeout=30)
    assert worker.returncode == 0
    # Nothing stands half done: every notice is either sent, and then it arrived, or still queued.
    sent = set(Notice.objects.filter(state="sent").values_list("message_id", flat=True))
    assert postbox.times_arrived() == dict.fromkeys(sent, 1)
    assert Notice.objects.filter(state="queued", attempts=0).count() == len(notices) - len(sent) > 0


@contextlib.contextmanager
def database_away(url: str) -> Iterator[None]:
    """Take the database away: locked by another program (SQLite), or every connection cut and none let in (PostgreSQL)."""
    if url.startswith("sqlite"):
        other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=20)
        other.execute("BEGIN EXCLUSIVE")
        try:
            yield
        finally:
            other.execute("ROLLBACK")
            other.close()
        return
    server, _, name = url.rpartition("/")
    with psycopg.connect(f"{server}/postgres", autocommit=True) as other:
        other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS false')
        try:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            yield
        finally:
            other.execute(f'ALTER DATABASE "{name}" ALLOW_CONNECTIONS true')


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch, own_database: str) -> None:
    monkeypatch.setattr(delivery, "DATABASE_GONE_SECONDS", 0.05)
    if connection.vendor == "sqlite":
        monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 0.1)


@contextlib.contextmanager
def outbox_running() -> Iterator[None]:
    stop = StopRequest()

    def run() -> None:
        delivery.Outbox(worker="one", clock=lambda: NOW, stop=stop).run()
        connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stop.make()
        thread.join(30)
        stop.close()
        assert not thread.is_alive()


def test_a_database_away_between_the_250_and_the_commit_neither_loses_nor_doubles(
    own_database, short_waits, postbox, caplog
):
    notice = queue()
    arrived, reply = threading.Event(), threading.Event()
    postbox.arrived, postbox.reply = arrived, reply
    with outbox_running():
        assert arrived.wait(30)
        connection.close()
        with database_away(own_database):
            reply.set()
            until(lambda: "to record an outcome" in caplog.text)
        until(lambda: Notice.objects.get().state == "sent")
    assert postbox.times_arrived() == {notice.message_id: 1}
    assert Notice.objects.get().attempts == 1


def test_a_database_away_before_the_claim_only_delays(own_database, short_waits, postbox, caplog):
    notice = queue()
    connection.close()
    with contextlib.ExitStack() as running:
        with database_away(own_database):
            running.enter_context(outbox_running())
            until(lambda: "database not available" in caplog.text)
            assert postbox.mails == []
        until(lambda: Notice.objects.get().state == "sent")
    assert postbox.times_arrived() == {notice.message_id: 1}


def test_a_mail_server_that_comes_back_gets_what_waited(own_database, settings, monkeypatch, caplog):
    monkeypatch.setattr(delivery, "UNREACHABLE_SECONDS", (0.05,))
    settings.EMAIL_PORT = free_port()
    notice = queue()
    with outbox_running():
        until(lambda: caplog.text.count("mail server unreachable") >= 3)
        with mail_server(settings.EMAIL_PORT) as postbox:
            until(lambda: Notice.objects.get().state == "sent")
    assert postbox.times_arrived() == {notice.message_id: 1}
    assert Notice.objects.get().attempts == 1
