"""Delivery reports as mail servers write them, read from a Maildir."""

from __future__ import annotations

import mailbox
from datetime import UTC, datetime
from pathlib import Path

import pytest
from delivery_reports import RECIPIENT, report
from django.core.management import CommandError, call_command
from hypothesis import given
from hypothesis import strategies as st

from irefuda.notices import bounces, operations
from irefuda.notices.models import Bounce, Notice, State

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)


def sent(to: str = "keiri@example.jp") -> Notice:
    notice = operations.enqueue(
        kind="k", to=to, subject="s", body="b", at=NOW, sender="nyusatsu@city.example.jp", inbox="i"
    )
    Notice.objects.filter(id=notice.id).update(state=State.SENT, sent_at=NOW)
    return notice


@pytest.mark.django_db
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("encoded", [False, True])
@pytest.mark.parametrize("returned", ["message/rfc822", "text/rfc822-headers"])
def test_a_report_is_recorded_against_its_notice(returned, encoded, line_end):
    notice, other = sent(), sent("other@example.jp")
    content = report(notice.message_id, returned=returned, encoded=encoded).replace(b"\n", line_end)
    assert bounces.record_report(content, now=NOW) == "recorded"
    bounce = Bounce.objects.get()
    assert (bounce.notice_id, bounce.origin, bounce.action, bounce.status) == (notice.id, "report", "failed", "5.1.1")
    assert bounce.diagnostic.endswith("Recipient address rejected: User unknown")
    stored = Notice.objects.get(id=notice.id)
    assert (stored.state, stored.sent_at) == ("failed", NOW)
    assert Notice.objects.get(id=other.id).state == "sent"


@pytest.mark.django_db
def test_the_same_report_again_adds_nothing():
    content = report(sent().message_id)
    assert [bounces.record_report(content, now=NOW) for _ in range(3)] == ["recorded", "known", "known"]
    assert Bounce.objects.count() == 1


@pytest.mark.django_db
def test_a_delay_is_recorded_and_the_notice_still_counts_as_sent():
    notice = sent()
    assert bounces.record_report(report(notice.message_id, action="delayed", status="4.4.1"), now=NOW) == "recorded"
    assert Notice.objects.get().state == "sent"
    assert bounces.record_report(report(notice.message_id), now=NOW) == "recorded"
    assert Notice.objects.get().state == "failed"


@pytest.mark.django_db
def test_good_news_is_no_bounce():
    assert bounces.record_report(report(sent().message_id, action="delivered", status="2.0.0"), now=NOW) == "no report"


@pytest.mark.django_db
def test_the_failed_one_of_several_recipients_counts():
    good = RECIPIENT.format(action="relayed", status="2.0.0") + "\n"
    notice = sent()
    assert bounces.record_report(report(notice.message_id, before=good), now=NOW) == "recorded"


@pytest.mark.django_db
@pytest.mark.parametrize("message_id", ["<someone@else.example>", "", "<" + "a" * 5000 + ">", "<a\x00b@c>"])
def test_a_report_on_a_mail_that_is_not_ours_changes_nothing(message_id):
    sent()
    assert bounces.record_report(report(message_id), now=NOW) == "not ours"
    assert not Bounce.objects.exists()


@given(st.binary(max_size=400), st.integers(0, 2000))
def test_a_damaged_report_is_read_or_left_but_never_breaks(noise, place):
    whole = report("<a@b.example>")
    found = bounces.read_report(whole[:place] + noise + whole[place:])
    assert found is None or found.action in bounces.BAD_NEWS


@given(st.binary(max_size=400))
def test_what_is_no_mail_is_no_report(noise):
    assert bounces.read_report(noise) is None


@pytest.mark.django_db
def test_a_maildir_is_read_and_what_is_not_understood_stays_for_a_person(tmp_path: Path, capsys):
    notice = sent()
    folder = mailbox.Maildir(tmp_path / "bounces")
    folder.add(report(notice.message_id))
    folder.add(report("<someone@else.example>"))
    folder.add(b"Subject: out of office\n\nBack on Monday.\n")
    (tmp_path / "bounces" / "new" / "large").write_bytes(b"a" * 5_000_001)
    call_command("read_bounces", tmp_path / "bounces")
    assert capsys.readouterr().out == "no report: 2, not ours: 1, recorded: 1\n"
    assert len(list((tmp_path / "bounces" / "new").iterdir())) == 3
    assert [file.name[-4:] for file in (tmp_path / "bounces" / "cur").iterdir()] == [":2,S"]
    call_command("read_bounces", tmp_path / "bounces")
    assert Bounce.objects.count() == 1


def test_a_folder_that_is_no_maildir_is_refused(tmp_path: Path):
    with pytest.raises(CommandError, match="no Maildir"):
        call_command("read_bounces", tmp_path)
