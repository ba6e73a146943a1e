"""What every operation begins with: 入札市 at noon with its CA, in a transaction that rolls back or in a database of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import City, make_authority_at_noon, make_city
from killing import Victims
from pki_builder import Authority


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority_at_noon()


@pytest.fixture
def city(db: None, authority: Authority, receipt_key: Path) -> City:
    return make_city(authority)


@pytest.fixture
def committed_city(
    authority: Authority, own_database: str, receipt_key: Path, django_db_blocker: Any
) -> Iterator[City]:
    """Yield the city where every commit is real, for races and for processes that are killed."""
    with django_db_blocker.unblock():
        yield make_city(authority)


@pytest.fixture
def victims(own_database: str, receipt_key: Path) -> Iterator[Victims]:
    """Yield the program whose children die where they are told to."""
    with Victims(database_url=own_database, IREFUDA_RECEIPT_KEY_FILE=str(receipt_key)) as program:
        yield program
