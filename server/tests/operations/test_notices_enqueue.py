"""A notice is queued in the transaction of its deed, and nothing typed can become a header."""

from datetime import UTC, datetime

import pytest
from django.db import transaction
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from irefuda.notices import operations, queries
from irefuda.notices.models import Notice
from irefuda_core.refusal import Refused

NOW = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
LETTER = {
    "kind": "registration.registered",
    "to": "keiri@example.jp",
    "subject": "利用者登録のお知らせ",
    "body": "企業ID 999210000000011\n",
    "at": NOW,
    "sender": "nyusatsu@city.example.jp",
}


@pytest.mark.django_db
def test_a_queued_notice_is_due_at_once_and_has_its_message_id_for_good():
    notice = operations.enqueue(**LETTER, inbox="f" * 64)
    stored = Notice.objects.get(id=notice.id)
    assert stored.message_id == f"<{notice.id}@city.example.jp>"
    assert (stored.state, stored.attempts, stored.next_attempt_at) == ("queued", 0, NOW)
    assert list(queries.inbox("f" * 64)) == [stored]


@pytest.mark.committing
def test_no_deed_no_notice(own_database):
    with transaction.atomic():
        operations.enqueue(**LETTER)
        transaction.set_rollback(True)
    assert Notice.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    "address",
    [
        "a@example.jp\nBcc: b@example.jp",
        "a@example.jp\r\n",
        "a@example.jp, b@example.jp",
        "A <a@example.jp>",
        "a b@example.jp",
        "経理@example.jp",
        "a@example.jp\x00",
        "@example.jp",
        "a@",
        "",
        "a" * 65 + "@example.jp",
    ],
)
@pytest.mark.parametrize("field", ["to", "sender"])
def test_an_address_that_could_add_a_header_or_a_recipient_is_refused(field, address):
    with pytest.raises(Refused) as refused:
        operations.enqueue(**{**LETTER, field: address})
    assert [r.code for r in refused.value.refusals] == ["N-701"]
    assert Notice.objects.count() == 0


@pytest.mark.django_db
def test_an_address_of_an_old_mobile_carrier_is_taken():
    assert operations.enqueue(**{**LETTER, "to": "..tanaka..taro.@docomo.example.jp"}).state == "queued"


@pytest.mark.django_db
def test_an_empty_inbox_key_is_nobodys_inbox():
    operations.enqueue(**LETTER)
    assert list(queries.inbox("")) == []


class SubjectsStayOnOneLine(TestCase):
    @settings(max_examples=50, deadline=None)
    @given(st.text(max_size=300))
    def test_whatever_it_contains(self, subject: str) -> None:
        subject = subject.replace("\x00", "")
        stored = operations.enqueue(**{**LETTER, "subject": subject}).subject
        assert len(stored.splitlines()) <= 1
        assert len(stored) <= 200
