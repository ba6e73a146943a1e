"""The outbox killed at every commit boundary and external call: nothing lost, doubled only where it cannot be helped."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from delivery_reports import report
from killing import Victims, every_boundary
from mail_server import Postbox, free_port, mail_server

from irefuda.agencies.models import Installation
from irefuda.notices import delivery, operations
from irefuda.notices.models import Bounce, Notice
from irefuda.ui.stopping import StopRequest

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
KIND = {"kind": "k", "subject": "件名", "body": "本文\n", "at": NOW, "sender": "nyusatsu@city.example.jp"}
FINE, GONE, BUSY = "fine@example.jp", "gone@example.jp", "busy@example.jp"

pytestmark = pytest.mark.committing


@pytest.fixture
def postbox(settings: Any) -> Iterator[Postbox]:
    settings.EMAIL_PORT = free_port()
    with mail_server(settings.EMAIL_PORT) as postbox:
        yield postbox


def queue_three(postbox: Postbox) -> dict[str, Notice]:
    """Start afresh with one notice that is taken, one refused for good, one refused for now the first time."""
    Bounce.objects.all().delete()
    Notice.objects.all().delete()
    postbox.mails.clear()
    postbox.at_recipient = {GONE: ["550 5.1.1 unknown"] * 9, BUSY: ["450 4.2.0 later"]}
    at = iter(range(3))
    return {
        to: operations.enqueue(**{**KIND, "to": to, "at": NOW - timedelta(minutes=9 - next(at))})
        for to in (FINE, GONE, BUSY)
    }


def recover() -> None:
    """Let other workers finish, hours later, until nothing is due."""
    moment = NOW
    for _ in range(5):
        moment += timedelta(hours=2)
        later = moment
        stop = StopRequest()
        delivery.Outbox(worker="other", clock=lambda now=later: now, stop=stop).run(once=True)
        stop.close()


def unavoidable(boundaries: list[str]) -> set[int]:
    """Return the boundaries between a server's 250 for a message and the commit that writes it down (from 1)."""
    window: set[int] = set()
    inside = False
    for number, name in enumerate(boundaries, start=1):
        if name == "after smtp send CONTENT":
            inside = True
        if name.startswith("after sql UPDATE"):
            inside = False
        if inside:
            window.add(number)
    return window


def test_the_outbox_killed_at_every_boundary(own_database, postbox, settings):
    with Victims(database_url=own_database, IREFUDA_SMTP_PORT=str(settings.EMAIL_PORT)) as victims:
        boundaries = every_boundary(victims, "send_notices", lambda: queue_three(postbox), now=NOW.isoformat())
        window = unavoidable(boundaries)
        doubled = set()
        for number, name in enumerate(boundaries, start=1):
            notices = queue_three(postbox)
            victims.run("send_notices", stop_at=number, now=NOW.isoformat())
            recover()
            states = {n.to: n.state for n in Notice.objects.all()}
            assert states == {FINE: "sent", GONE: "failed", BUSY: "sent"}, f"killed {name} ({number})"
            assert Bounce.objects.get().notice_id == notices[GONE].id
            arrived = postbox.times_arrived()
            assert arrived.keys() == {notices[FINE].message_id, notices[BUSY].message_id}, f"killed {name} ({number})"
            if max(arrived.values()) > 1:
                assert arrived == {notices[FINE].message_id: 2, notices[BUSY].message_id: 1}
                doubled.add(number)
    assert doubled <= window, [boundaries[number - 1] for number in doubled - window]
    # The window is real: where the 250 was read and not yet written down, a second mail is the price of losing none.
    told = {"after smtp reply to CONTENT", 'before sql UPDATE "notices_notice" SET'}
    assert {boundaries[number - 1] for number in doubled} >= told
    # What was watched is what there is to watch.
    for call in ("smtp connect", "smtp send MAIL", "smtp send CONTENT", "smtp reply to CONTENT", "COMMIT"):
        assert f"before {call}" in boundaries
        assert f"after {call}" in boundaries


def test_a_deed_killed_at_every_boundary_has_its_notice_or_neither_is_there(own_database):
    def prepare() -> None:
        Notice.objects.all().delete()
        Installation.objects.update(clock_offset_seconds=0)

    outcomes = set()
    with Victims(database_url=own_database) as victims:
        boundaries = every_boundary(victims, "deed_with_notice", prepare, now=NOW.isoformat())
        for number, name in enumerate(boundaries, start=1):
            prepare()
            victims.run("deed_with_notice", stop_at=number, now=NOW.isoformat())
            done = Installation.objects.get().clock_offset_seconds == 3600
            assert Notice.objects.count() == int(done), f"killed {name} ({number})"
            outcomes.add(done)
    assert outcomes == {True, False}


def test_reading_bounces_killed_at_every_boundary_records_each_once(own_database, tmp_path: Path):
    folders = iter(range(1000))

    def prepare() -> Path:
        Bounce.objects.all().delete()
        Notice.objects.all().delete()
        maildir = tmp_path / str(next(folders))
        for name in ("new", "cur", "tmp"):
            (maildir / name).mkdir(parents=True)
        for _ in range(2):
            notice = operations.enqueue(**KIND, to=FINE)
            Notice.objects.filter(id=notice.id).update(state="sent", sent_at=NOW)
            (maildir / "new" / str(notice.id)).write_bytes(report(notice.message_id))
        return maildir

    with Victims(database_url=own_database) as victims:
        maildir = prepare()
        boundaries = victims.run("read_bounces", maildir=str(maildir))
        for number in range(1, len(boundaries) + 1):
            maildir = prepare()
            victims.run("read_bounces", stop_at=number, maildir=str(maildir))
            victims.run("read_bounces", maildir=str(maildir))
            assert Bounce.objects.count() == Notice.objects.filter(state="failed").count() == 2
            assert len(list((maildir / "cur").iterdir())) == 2
    assert boundaries.count("before rename") == 2
