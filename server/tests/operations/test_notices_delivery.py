"""What the outbox does with every answer of a real mail server, and with none."""

from __future__ import annotations

import email
import email.policy
import logging
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from mail_server import CUT_BEFORE_CONTENT, CUT_INSTEAD_OF_REPLY, Postbox, free_port, mail_server

from irefuda.notices import delivery, operations
from irefuda.notices.models import Bounce, Notice
from irefuda.ui.stopping import StopRequest

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
SECRET = "企業ID 999210000000011"


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.time = NOW

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def postbox(settings: Any) -> Iterator[Postbox]:
    settings.EMAIL_PORT = free_port()
    with mail_server(settings.EMAIL_PORT) as postbox:
        yield postbox


def queue(to: str = "keiri@example.jp", **changes: Any) -> Notice:
    letter = {
        "kind": "registration.registered",
        "to": to,
        "subject": "利用者登録のお知らせ（利用者申請書受理メール）",
        "body": f"{SECRET}\n企業名称 （株）髙﨑組\n",
        "at": NOW,
        "sender": "nyusatsu@city.example.jp",
    }
    return operations.enqueue(**(letter | changes))


def outbox(watch: Watch, worker: str = "one", **changes: Any) -> delivery.Outbox:
    return delivery.Outbox(worker=worker, clock=watch, stop=StopRequest(), **changes)


def run_once(watch: Watch, **changes: Any) -> None:
    worker = outbox(watch, **changes)
    worker.run(once=True)
    worker.stop.close()


def content_of(mail: EmailMessage) -> str:
    return mail.get_content().replace("\r\n", "\n")


def again(notice: Notice) -> Notice:
    return Notice.objects.get(id=notice.id)


@pytest.mark.django_db
def test_a_notice_arrives_as_it_was_queued(postbox, watch):
    notice = queue()
    watch.time += timedelta(hours=3)
    run_once(watch)
    (mail,) = postbox.mails
    assert mail["Message-ID"] == notice.message_id
    assert mail["Subject"] == notice.subject
    assert (mail["From"], mail["To"]) == ("nyusatsu@city.example.jp", "keiri@example.jp")
    assert mail["Date"].datetime == NOW
    assert mail["Auto-Submitted"] == "auto-generated"
    assert content_of(mail) == notice.body
    stored = again(notice)
    assert (stored.state, stored.sent_at, stored.attempts, stored.claimed_until) == ("sent", watch.time, 1, None)


@pytest.mark.django_db
def test_lines_of_dots_and_old_mobile_addresses_arrive_whole(postbox, watch):
    queue(to="..tanaka..@docomo.example.jp", body=".\n..\n.end\n")
    run_once(watch)
    assert content_of(postbox.mails[0]) == ".\n..\n.end\n"
    assert Notice.objects.get().state == "sent"


@pytest.mark.django_db
def test_a_mail_of_many_lines_is_read_as_lines(postbox, watch):
    body = "連絡先住所 : 青森県青森市新町1-3-7\n" * 200
    queue(body=body)
    run_once(watch)
    assert content_of(postbox.mails[0]) == body


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), max_size=120))
def test_every_subject_and_body_survives_the_mail_format(text):
    subject = " ".join(text[i : i + 9] for i in range(0, len(text), 9))
    notice = Notice(message_id="<a@b.jp>", to="a@b.jp", sender="c@d.jp", subject=subject, body=text, queued_at=NOW)
    content = delivery.letter(notice)
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    assert content.count(b"\n") == content.count(b"\r\n")
    back = email.message_from_bytes(content, policy=email.policy.default)
    assert str(back["Subject"]) == subject
    assert content_of(back) == text
    assert list(back.keys()).count("Subject") == 1


def test_a_line_break_that_got_into_the_table_cannot_become_a_header():
    subject = "a\r\nBcc: x@y.jp\n\nBody"
    notice = Notice(message_id="<a@b.jp>", to="a@b.jp", sender="c@d.jp", subject=subject, body="", queued_at=NOW)
    mail = email.message_from_bytes(delivery.letter(notice), policy=email.policy.default)
    assert "Bcc" not in mail
    assert mail["Subject"] == "a Bcc: x@y.jp  Body"


@pytest.mark.django_db
def test_a_row_that_no_mail_can_be_made_of_does_not_hold_up_the_others(postbox, watch):
    broken, fine = queue(), queue("other@example.jp")
    Notice.objects.filter(id=broken.id).update(to="a@b.jp\nBcc: x@y.jp")
    run_once(watch)
    assert (again(broken).state, again(fine).state) == ("failed", "sent")
    assert postbox.times_arrived() == {fine.message_id: 1}


@pytest.mark.django_db
@pytest.mark.parametrize("phase", ["at_recipient", "at_content"])
@pytest.mark.parametrize(
    ("reply", "status"), [("550 5.1.1 no such user", "5.1.1"), ("552 mailbox full", "552"), ("501 bad", "501")]
)
def test_a_refusal_for_good_is_a_bounce_at_once(postbox, watch, phase, reply, status):
    getattr(postbox, phase)["gone@example.jp"] = [reply] * 5
    gone, fine = queue("gone@example.jp"), queue("fine@example.jp")
    run_once(watch)
    assert (again(gone).state, again(fine).state) == ("failed", "sent")
    bounce = Bounce.objects.get()
    assert (bounce.notice_id, bounce.origin, bounce.action, bounce.status) == (gone.id, "smtp", "failed", status)
    watch.time += timedelta(days=1)
    run_once(watch)
    assert again(gone).attempts == 1


@pytest.mark.django_db
@pytest.mark.parametrize("phase", ["at_recipient", "at_content"])
@pytest.mark.parametrize("reply", ["450 4.2.0 greylisted", "421 closing", "503 bad sequence", "535 5.7.8 who are you"])
def test_a_refusal_for_now_is_tried_again_later_and_later(postbox, watch, phase, reply):
    getattr(postbox, phase)["busy@example.jp"] = [reply] * 3
    notice = queue("busy@example.jp")
    waits = []
    for _ in range(4):
        run_once(watch)
        stored = again(notice)
        waits.append((stored.next_attempt_at - watch.time).total_seconds())
        run_once(watch)
        assert again(notice).attempts == stored.attempts, "tried before its time"
        watch.time = max(watch.time, stored.next_attempt_at)
    assert waits[:3] == [30, 60, 120]
    assert (again(notice).state, again(notice).last_error) == ("sent", "")
    assert postbox.times_arrived() == {notice.message_id: 1}
    assert not Bounce.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize("reply", ["550 5.1.8 no such sender", "553 not your address", "554 5.7.1 access denied"])
def test_a_refusal_of_our_own_sender_fails_no_notice(postbox, watch, reply):
    notices = [queue(), queue("other@example.jp")]
    postbox.at_sender = [reply] * 2
    run_once(watch)
    assert [(again(n).state, again(n).attempts) for n in notices] == [("queued", 1)] * 2
    watch.time += timedelta(minutes=1)
    run_once(watch)
    assert postbox.times_arrived() == {n.message_id: 1 for n in notices}
    assert not Bounce.objects.exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "reply", ["550 5.7.1 relaying denied", "554 5.7.1 access denied", "550 5.7.26 not authenticated"]
)
def test_a_relay_that_does_not_let_us_through_speaks_of_us(postbox, watch, reply):
    postbox.at_recipient["keiri@example.jp"] = [reply]
    notice = queue()
    run_once(watch)
    assert (again(notice).state, Bounce.objects.count()) == ("queued", 0)
    watch.time += timedelta(minutes=1)
    run_once(watch)
    assert postbox.times_arrived() == {notice.message_id: 1}


@pytest.mark.django_db
def test_a_content_that_is_refused_by_policy_is_refused_for_good(postbox, watch):
    postbox.at_content["keiri@example.jp"] = ["550 5.7.1 this content is not taken"]
    notice = queue()
    run_once(watch)
    assert again(notice).state == "failed"


@pytest.mark.django_db
def test_what_failed_lately_is_queued_again_on_request_and_may_fail_again(postbox, watch, monkeypatch, capsys):
    postbox.at_recipient = {"old@example.jp": ["550 5.1.1 no"], "gone@example.jp": ["550 5.1.1 no"] * 2}
    old = queue("old@example.jp")
    run_once(watch)
    watch.time += timedelta(hours=3)
    gone, sent = queue("gone@example.jp"), queue("sent@example.jp")
    run_once(watch)
    monkeypatch.setattr("irefuda.ui.clock.now", watch)
    watch.time += timedelta(hours=1)
    call_command("send_notices", retry_failed=2)
    assert capsys.readouterr().out == "queued again 1\n"
    assert [again(n).state for n in (old, gone, sent)] == ["failed", "queued", "sent"]
    run_once(watch)
    assert (again(gone).state, again(gone).attempts, gone.bounces.count()) == ("failed", 2, 2)
    call_command("send_notices", retry_failed=2)
    run_once(watch)
    assert postbox.times_arrived() == {gone.message_id: 1, sent.message_id: 1}


def test_waiting_grows_to_an_hour_and_never_ends():
    waits = [delivery.retry_after(n).total_seconds() for n in range(1, 2000)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (30, 3600)


@pytest.mark.django_db
@pytest.mark.parametrize("cut", [CUT_BEFORE_CONTENT, CUT_INSTEAD_OF_REPLY])
def test_a_server_that_hangs_up_in_the_middle_gets_the_notice_later(postbox, watch, cut):
    postbox.at_content["keiri@example.jp"] = [cut]
    notice, other = queue(), queue("other@example.jp")
    run_once(watch)
    assert (again(notice).state, again(other).state) == ("queued", "sent")
    watch.time += timedelta(minutes=1)
    run_once(watch)
    assert postbox.times_arrived() == {notice.message_id: 1, other.message_id: 1}


@pytest.mark.django_db
def test_no_server_costs_no_attempt_and_loses_nothing(settings, watch):
    settings.EMAIL_PORT = free_port()
    notice = queue()
    with pytest.raises(delivery.MailServerUnreachable):
        run_once(watch)
    assert (again(notice).state, again(notice).attempts) == ("queued", 0)
    with mail_server(settings.EMAIL_PORT) as postbox:
        run_once(watch)
    assert postbox.times_arrived() == {notice.message_id: 1}


@pytest.mark.django_db
def test_a_server_that_says_nothing_is_left_at_the_time_limit(settings, watch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = silent.getsockname()[1], 0.2
        notice = queue()
        with pytest.raises(delivery.MailServerUnreachable):
            run_once(watch)
    assert (again(notice).state, again(notice).attempts) == ("queued", 0)


def _dribble(listener: socket.socket, ended: threading.Event) -> None:
    """Answer the first commands, then send one byte of the reply to MAIL at a time."""
    peer, _ = listener.accept()
    with peer:
        peer.sendall(b"220 slow\r\n")
        peer.recv(1000)
        peer.sendall(b"250 hello\r\n")
        peer.recv(1000)
        try:
            while not ended.wait(0.05):
                peer.sendall(b"2")
        except OSError:
            ended.set()


@pytest.mark.django_db
def test_a_server_that_dribbles_is_cut_off_well_before_the_claim_ends(settings, watch):
    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as slow:
        settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = slow.getsockname()[1], 5
        peer = threading.Thread(target=_dribble, args=(slow, ended))
        peer.start()
        notice = queue()
        run_once(watch, server=delivery.MailServer(submission_limit=timedelta(seconds=0.5)))
        peer.join(5)
        assert ended.is_set()
    assert (again(notice).state, again(notice).attempts) == ("queued", 1)


@pytest.mark.django_db
def test_a_slow_server_gets_the_notice_once(postbox, watch):
    postbox.seconds_per_mail = 0.5
    notice = queue()
    run_once(watch)
    assert postbox.times_arrived() == {notice.message_id: 1}


@pytest.mark.django_db
def test_a_claim_keeps_others_away_until_it_runs_out(watch):
    notice = queue()
    assert delivery.claim(worker="dead", now=NOW) is not None
    assert delivery.claim(worker="next", now=NOW + delivery.CLAIM - timedelta(seconds=1)) is None
    taken = delivery.claim(worker="next", now=NOW + delivery.CLAIM)
    assert taken is not None
    assert (taken.id, taken.claimed_by, taken.attempts) == (notice.id, "next", 2)


@pytest.mark.django_db
def test_what_is_due_is_found_by_the_index_beside_many_sent_notices():
    sent = {"state": "sent", "sent_at": NOW, "queued_at": NOW, "next_attempt_at": NOW}
    Notice.objects.bulk_create([Notice(message_id=f"<{n}@b.jp>", **sent) for n in range(5000)])
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE notices_notice")
    for state in delivery.WAITING:
        assert "notice_due" in delivery.due(NOW, state).order_by("next_attempt_at").explain()


@pytest.mark.django_db
def test_a_worker_that_was_suspended_past_its_claim_does_not_send(postbox, watch):
    notice = queue()
    taken = delivery.claim(worker="one", now=NOW)
    assert taken is not None
    server = delivery.MailServer()
    server.connect()
    with pytest.raises(delivery.NotTaken):
        server.submit(taken, still_ours=lambda: False)
    # What the late worker has to say about a claim that is another's by now changes nothing.
    later = NOW + delivery.CLAIM * 2
    other = delivery.claim(worker="two", now=later)
    assert other is not None
    delivery.record_not_taken(taken, delivery.NotTaken(550, "late", permanent=True), now=later)
    assert (again(notice).state, again(notice).claimed_by) == ("claimed", "two")
    assert not Bounce.objects.exists()
    assert postbox.mails == []


@pytest.mark.django_db
def test_the_log_carries_no_address_and_no_content(postbox, watch, caplog):
    caplog.set_level(logging.DEBUG)
    postbox.at_recipient = {
        "gone@example.jp": ["550 5.1.1 <gone@example.jp> unknown"],
        "busy@example.jp": ["450 4.2.0 <busy@example.jp> later"],
    }
    notices = [queue(to) for to in ("gone@example.jp", "busy@example.jp", "fine@example.jp")]
    run_once(watch)
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("irefuda.")]
    assert all(any(str(n.id) in line for line in ours) for n in notices)
    for line in ours:
        assert "@" not in line
        assert SECRET not in line
        assert "お知らせ" not in line
