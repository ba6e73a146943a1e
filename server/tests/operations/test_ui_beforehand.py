"""What comes with the session: once, for a second, within its request, and the same as when it is asked alone."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from irefuda.agencies import queries as agencies
from irefuda.cards import queries as cards
from irefuda.ui import beforehand, clock
from irefuda.ui.sessions import READ, SessionStore

pytestmark = pytest.mark.django_db
QUESTIONS = (agencies._INSTALLATION, cards._TRUST_VERSION)


def asked(call):
    """Return what the call gives, and how many statements it took."""
    with CaptureQueriesContext(connection) as statements:
        answer = call()
    return answer, len(statements)


def read(key: str = "nobody's"):
    now = connection.ops.adapt_datetimefield_value(clock.now())
    return beforehand.ask_with(READ, "session_data", [key, now])


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.table)
def test_an_answer_that_came_with_the_session_is_the_same_and_serves_once(question):
    alone, count = asked(question.answer)
    assert count == 1
    with beforehand.request():
        assert asked(read) == (None, 1)
        assert asked(question.answer) == (alone, 0)
        assert asked(question.answer) == (alone, 1)


def test_a_session_is_read_as_before_and_all_else_with_it():
    store = SessionStore()
    store["card"] = "青森"
    store.create()
    with beforehand.request():
        again, count = asked(lambda: SessionStore(store.session_key)["card"])
        assert (again, count) == ("青森", 1)
        assert [asked(question.answer)[1] for question in QUESTIONS] == [0, 0]
    Session.objects.update(expire_date=clock.now())
    with beforehand.request():
        assert not SessionStore(store.session_key).keys()
        assert [asked(question.answer)[1] for question in QUESTIONS] == [0, 0]


def test_an_answer_is_good_for_a_second(monkeypatch):
    present = 1000.0
    monkeypatch.setattr(beforehand.time, "monotonic", lambda: present)
    with beforehand.request():
        read()
        present += beforehand.FRESH_SECONDS
        assert asked(QUESTIONS[0].answer)[1] == 0
        present += 0.001
        assert asked(QUESTIONS[1].answer)[1] == 1


def test_nothing_is_known_beforehand_outside_of_a_request_or_in_the_next_one():
    read()
    assert asked(QUESTIONS[0].answer)[1] == 1
    with beforehand.request():
        read()
    with beforehand.request():
        assert asked(QUESTIONS[0].answer)[1] == 1
    assert asked(QUESTIONS[1].answer)[1] == 1


def test_what_changed_meanwhile_is_seen_by_the_second_question():
    with beforehand.request():
        read()
        with connection.cursor() as cursor:
            cursor.execute("UPDATE agencies_installation SET clock_offset_seconds = 60 WHERE id = 1")
        assert agencies._INSTALLATION.answer()[1] == 0
        assert agencies._INSTALLATION.answer()[1] == 60
