"""The inbox: whose notices someone sees, which are unread, and what is told only once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction
from parallel import together

from irefuda.notices import operations, queries
from irefuda.notices.models import Notice, ReadMark
from irefuda.notices.queries import Inbox

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
MINE, OLD, COMPANY, THEIRS = "a" * 64, "b" * 64, "999210000000011", "c" * 64


def tell(inbox: str = MINE, *, once: str = "", minutes: int = 0, subject: str = "お知らせ") -> Notice:
    return operations.enqueue(
        kind="k",
        to="keiri@example.jp",
        subject=subject,
        body="本文",
        at=NOW + timedelta(minutes=minutes),
        sender="nyusatsu@city.example.jp",
        inbox=inbox,
        once=once,
    )


def of(*keys: str, readers: tuple[str, ...] = (MINE,)) -> Inbox:
    return Inbox(frozenset(keys), frozenset(readers))


@pytest.mark.django_db
def test_an_inbox_holds_what_is_addressed_to_its_keys_latest_first():
    first, second, third = tell(MINE), tell(COMPANY, minutes=2), tell(OLD, minutes=1)
    tell(THEIRS), tell("")
    page = queries.inbox_page(of(MINE, COMPANY, OLD, ""), page=1)
    assert page.notices == [second, third, first]
    assert not page.has_next
    assert queries.inbox_notice(of(MINE, COMPANY), third.id) is None
    assert queries.inbox_notice(of(MINE, OLD), third.id) == third
    assert queries.inbox_notice(of(MINE), uuid.uuid4()) is None


@pytest.mark.django_db
def test_a_notice_is_read_by_the_card_that_opened_it_and_by_its_successor():
    notice = tell(COMPANY)
    tell(COMPANY)
    operations.mark_read(notice=notice, reader=OLD, now=NOW)
    operations.mark_read(notice=notice, reader=OLD, now=NOW + timedelta(hours=1))
    assert ReadMark.objects.get().read_at == NOW
    # Another card of the company has not opened it.
    assert queries.unread(of(COMPANY, readers=(MINE,))) == 2
    assert queries.unread(of(COMPANY, readers=(MINE, OLD))) == 1
    read = {n.id: n.read for n in queries.inbox_page(of(COMPANY, readers=(MINE, OLD)), page=1).notices}
    assert read == {n.id: n.id == notice.id for n in Notice.objects.all()}
    assert queries.inbox_notice(of(COMPANY, readers=(MINE, OLD)), notice.id).read


@pytest.mark.django_db
def test_pages_of_fifty():
    for minute in range(queries.PAGE + 3):
        tell(minutes=minute, subject=str(minute))
    first, second, beyond = (queries.inbox_page(of(MINE), page=page) for page in (-5, 2, 9))
    assert [n.subject for n in first.notices] == [str(m) for m in range(queries.PAGE + 2, 2, -1)]
    assert (first.page, first.has_next) == (1, True)
    assert [n.subject for n in second.notices] == ["2", "1", "0"]
    assert (second.has_next, beyond.notices) == (False, [])


@pytest.mark.django_db
def test_what_was_told_once_is_not_told_again():
    tell(once="a"), tell(once="b"), tell(), tell()
    with pytest.raises(operations.AlreadyTold), transaction.atomic():
        tell(once="a")
    assert Notice.objects.count() == 4
    assert queries.told(["a", "b", "c", ""]) == {"a", "b"}


@pytest.mark.django_db
def test_another_constraint_is_not_taken_for_what_was_told_already(monkeypatch):
    taken = tell()
    monkeypatch.setattr(uuid, "uuid4", lambda: taken.id)
    with pytest.raises(IntegrityError), transaction.atomic():
        tell()


@pytest.mark.committing
def test_of_many_that_tell_it_at_once_one_does(own_database):
    def act(_: int) -> bool:
        try:
            with transaction.atomic():
                tell(once="expired 1")
                tell(COMPANY)
        except operations.AlreadyTold:
            return False
        return True

    for _ in range(5):
        Notice.objects.all().delete()
        assert sorted(together(6, act)) == [False] * 5 + [True]
        assert Notice.objects.count() == 2
