"""Databases for the server's tests.

Ordinary tests roll back. A test that must commit (races, triggers, other processes) takes `own_database`: a copy of the
migrated template, dropped afterwards, so that the append-only triggers can stay as they are in production.
"""

from __future__ import annotations

import itertools
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import ledger_key
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections, connections
from django.test.utils import setup_databases, teardown_databases
from webtest import TestApp

_copies = itertools.count(1)
TESTS = Path(__file__).parent
# A third of the time of all: what starts, kills or races processes, builds packages, or counts very much.
SLOW = (
    "deploy/*",
    "*_killed.py",
    "*_races.py",
    "operations/test_cards_practice.py",
    "operations/test_ledger_audit.py",
    "operations/test_ledger_rotation.py",
    "operations/test_ledger_succession.py",
    "operations/test_notices_practice.py",
    "operations/test_silent_connections.py",
    "operations/test_suppliers_bad_files.py",
    "operations/test_ui_repeat.py",
    "rules_of_the_house/test_distributions.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out."""
    for item in items:
        if item.path.is_relative_to(TESTS) and any(item.path.relative_to(TESTS).match(pattern) for pattern in SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Give SQLite a file of this run's own: a database in memory has no second connection and no locks."""
    settings = connections["default"].settings_dict
    if settings["ENGINE"].endswith("sqlite3"):
        settings["TEST"]["NAME"] = str(tmp_path_factory.mktemp("db") / "template.sqlite3")


@pytest.fixture(scope="session")
def django_db_setup(
    django_test_environment: None, django_db_blocker: Any, django_db_modify_db_settings: None
) -> Iterator[None]:
    """Make the test database: pytest-django's own makes none when every test of a run asks for `own_database`."""
    with django_db_blocker.unblock():
        made = setup_databases(verbosity=0, interactive=False, aliases={"default"})
    yield
    with django_db_blocker.unblock():
        teardown_databases(made, verbosity=0)


@pytest.fixture
def static_files(settings: Any) -> None:
    """Serve static files by their plain names: journeys run without collectstatic."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }


@pytest.fixture
def receipt_key(settings: Any, tmp_path: Path) -> Path:
    """Sign this test's receipts with a key of its own, and return the key's file."""
    key = tmp_path / "receipt.pem"
    key.write_bytes(ledger_key())
    settings.RECEIPT_KEY_FILE = str(key)
    return key


@pytest.fixture
def django_app() -> Iterator[TestApp]:
    """Yield a browser without script that fills the rendered forms: django-webtest's own needs django.contrib.auth."""
    # The end of a request must not close the connection that holds this test's transaction.
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    yield TestApp(get_wsgi_application(), extra_environ={"HTTP_HOST": "localhost:8000", "REMOTE_ADDR": "127.0.0.1"})
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)


@pytest.fixture
def own_database(django_db_setup: None, django_db_blocker: Any, tmp_path: Path) -> Iterator[str]:
    """Point Django at a fresh copy of the migrated template and yield its DATABASE_URL; every commit is real."""
    connection = connections["default"]
    template = str(connection.settings_dict["NAME"])
    with django_db_blocker.unblock():
        connection.close()
        if connection.vendor == "sqlite":
            copy = str(tmp_path / "copy.sqlite3")
            with sqlite3.connect(template) as source:
                source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            shutil.copyfile(template, copy)
            url = f"sqlite:///{copy}"
        else:
            copy = f"{template}_copy{next(_copies)}"
            _maintenance(connection, f'CREATE DATABASE "{copy}" TEMPLATE "{template}"')
            host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"]
            url = f"postgresql://{connection.settings_dict['USER']}@{host}:{port}/{copy}"
        connection.settings_dict["NAME"] = copy
        try:
            yield url
        finally:
            connections.close_all()
            connection.settings_dict["NAME"] = template
            if connection.vendor != "sqlite":
                _maintenance(connection, f'DROP DATABASE "{copy}" WITH (FORCE)')


def _maintenance(connection: Any, sql: str) -> None:
    with connection._nodb_cursor() as cursor:
        cursor.execute(sql)
