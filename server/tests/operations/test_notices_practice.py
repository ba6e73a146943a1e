"""From the outbox through the practice mail server to the page 「練習用メール」, as three programs."""

from __future__ import annotations

import os
import signal
import smtplib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from mail_server import free_port

from irefuda.notices import operations
from irefuda.notices.models import Notice, PracticeMail

MANAGE = str(Path(__file__).resolve().parents[2] / "manage.py")
NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


def queue(**changes: Any) -> Notice:
    letter = {
        "kind": "registration.registered",
        "to": "keiri@example.jp",
        "subject": "利用者登録のお知らせ（利用者申請書受理メール）",
        "body": "企業ID 999210000000011\n企業名称 <b>（株）テスト商会01</b>\n",
        "at": NOW,
        "sender": "nyusatsu@city.example.jp",
    }
    return operations.enqueue(**(letter | changes))


def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.05)


def answers(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="test", timeout=5) as smtp:
            return smtp.noop()[0] == 250
    except OSError:
        return False


Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(own_database: str) -> Iterator[Start]:
    """Start commands of manage.py on the test's own database; stop what still runs."""
    running: list[subprocess.Popen[bytes]] = []

    def run(*command: str, **env: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, MANAGE, *command],
            env={
                **os.environ,
                "DJANGO_SETTINGS_MODULE": "irefuda.config.settings",
                "DATABASE_URL": own_database,
                **env,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        running.append(process)
        return process

    yield run
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.committing
def test_a_queued_notice_is_soon_read_on_the_page(start, static_files, settings):
    settings.ALLOWED_HOSTS = ["testserver"]
    port = str(free_port())
    server = start("practice_mail_server", IREFUDA_SMTP_PORT=port)
    until(lambda: answers(int(port)))
    sender = start("send_notices", IREFUDA_SMTP_PORT=port)
    notice = queue()
    until(lambda: Notice.objects.get().state == "sent")
    mail = PracticeMail.objects.get()
    assert (mail.message_id, mail.to, mail.subject) == (notice.message_id, notice.to, notice.subject)
    assert mail.sender == "nyusatsu@city.example.jp"

    page = Client().get("/practice/mail/").content.decode()
    assert notice.subject in page
    assert f"/practice/mail/{mail.id}/" in page
    page = Client().get(f"/practice/mail/{mail.id}/").content.decode()
    assert "企業ID 999210000000011" in page
    assert "&lt;b&gt;（株）テスト商会01&lt;/b&gt;" in page

    for process in (sender, server):
        process.send_signal(signal.SIGTERM)
        _, log = process.communicate(timeout=20)
        assert process.returncode == 0
        assert b"keiri@" not in log
        assert "お知らせ".encode() not in log
    assert not answers(int(port))


@pytest.mark.committing
def test_once_sends_what_is_due_and_ends(start):
    port = str(free_port())
    notices = [queue(), queue(to="other@example.jp")]
    sender = start("send_notices", "--once", IREFUDA_SMTP_PORT=port)
    _, words = sender.communicate(timeout=60)
    assert sender.returncode == 1
    assert b"the notices stay queued" in words
    start("practice_mail_server", IREFUDA_SMTP_PORT=port)
    until(lambda: answers(int(port)))
    sender = start("send_notices", "--once", IREFUDA_SMTP_PORT=port)
    assert sender.communicate(timeout=60)[0] == b"sent 2\n"
    assert sender.returncode == 0
    assert set(PracticeMail.objects.values_list("message_id", flat=True)) == {n.message_id for n in notices}


@pytest.mark.committing
def test_the_practice_mail_server_takes_mail_that_is_not_ours(start):
    port = free_port()
    start("practice_mail_server", IREFUDA_SMTP_PORT=str(port))
    until(lambda: answers(port))
    with smtplib.SMTP("127.0.0.1", port, local_hostname="test") as smtp:
        smtp.sendmail(
            "a@b.jp", ["c@d.jp", "e@f.jp"], b"Subject: x\r\nContent-Type: text/plain; charset=none\r\n\r\n\xff\0"
        )
        smtp.sendmail("a@b.jp", ["c@d.jp"], b"no header at all")
    assert PracticeMail.objects.count() == 3


@pytest.mark.parametrize("command", ["practice_mail_server"])
def test_no_practice_mail_server_in_production(settings, command):
    from django.core.management import CommandError, call_command

    settings.PRACTICE = False
    with pytest.raises(CommandError, match="practice realm only"):
        call_command(command)


@pytest.mark.django_db
def test_the_pages_are_not_there_in_production(settings, static_files, client):
    mail = operations.record_practice_mail(message_id="", sender="", to="", subject="", body="", received_at=NOW)
    settings.ALLOWED_HOSTS = ["testserver"]
    paths = ["/practice/mail/", f"/practice/mail/{mail.id}/"]
    assert [client.get(path).status_code for path in paths] == [200, 200]
    assert client.get(f"/practice/mail/{mail.id + 1}/").status_code == 404
    assert client.post(paths[0]).status_code == 405
    settings.PRACTICE = False
    assert [client.get(path).status_code for path in paths] == [404, 404]


@pytest.mark.django_db
def test_an_empty_list_says_so(settings, static_files, client):
    settings.ALLOWED_HOSTS = ["testserver"]
    assert "まだメールは届いていません" in client.get("/practice/mail/").content.decode()
