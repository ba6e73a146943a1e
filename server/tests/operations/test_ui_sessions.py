"""The session engine does what Django's own does, with one plain query to read and one INSERT to begin."""

from datetime import timedelta

import pytest
from django.contrib.sessions.backends.db import SessionStore as DjangoStore
from django.contrib.sessions.models import Session
from django.db import connection
from django.test.utils import CaptureQueriesContext

from irefuda.ui import clock
from irefuda.ui.sessions import SessionStore

pytestmark = pytest.mark.django_db


def begun(**values):
    store = SessionStore()
    store.update(values)
    store.create()
    return store


def test_what_was_stored_is_read_by_either_engine():
    store = SessionStore()
    store["card"] = {"person": "青森 花子"}
    store.save()
    assert SessionStore(store.session_key)["card"] == {"person": "青森 花子"}
    assert DjangoStore(store.session_key)["card"] == {"person": "青森 花子"}


def test_to_read_is_one_query_and_to_begin_one_insert():
    with CaptureQueriesContext(connection) as asked:
        key = begun().session_key
    told = [query["sql"].split()[0] for query in asked if "SAVEPOINT" not in query["sql"]]
    assert told == ["INSERT"]
    with CaptureQueriesContext(connection) as asked:
        assert SessionStore(key).load() == {}
    assert len(asked) == 1


def test_an_expired_or_unknown_session_is_empty_and_its_key_is_not_used_again():
    store = SessionStore()
    store["card"] = 1
    store.save()
    Session.objects.update(expire_date=clock.now() - timedelta(seconds=1))
    for key in (store.session_key, "z" * 32):
        again = SessionStore(key)
        assert "card" not in again
        assert again.session_key is None


def test_a_cycled_key_keeps_what_the_session_holds_and_a_flushed_session_is_gone():
    store = SessionStore()
    store["card"] = 1
    store.save()
    first = store.session_key
    store.cycle_key()
    assert store.session_key != first
    assert SessionStore(store.session_key)["card"] == 1
    store.flush()
    assert not Session.objects.exists()
