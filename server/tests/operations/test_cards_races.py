"""Parallel posts of one proof: one wins, on a database that commits for real."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from card_support import BROWSER, ORIGIN, fresh_nonce, token, trust
from django.db import connections
from pki_builder import NOON, Authority

from irefuda.cards import operations, queries, revocation
from irefuda.cards.models import Nonce, RevocationListRecord
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.committing


def together(number, act):
    """Run `act(index)` in this many threads, started at the same moment, each with its own connection."""
    barrier = Barrier(number)

    def one(index):
        barrier.wait()
        try:
            return act(index)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


@pytest.fixture
def committing(own_database, django_db_blocker):
    with django_db_blocker.unblock():
        yield


@pytest.mark.usefixtures("committing")
def test_of_twenty_parallel_posts_of_one_token_one_wins(tmp_path):
    authority = Authority()
    trust(authority, tmp_path)
    text = token(authority.card(), fresh_nonce())

    def post(_):
        try:
            operations.prove_card(token_text=text, nonce_browser=BROWSER, origin=ORIGIN, audience="supplier", now=NOON)
        except Refused as refused:
            return refused.refusals[0].code
        return "won"

    answers = together(20, post)
    assert sorted(answers) == ["K-424"] * 19 + ["won"]
    assert not Nonce.objects.exists()


@pytest.mark.usefixtures("committing")
def test_fetchers_in_a_race_keep_a_list_once_and_the_highest_number_counts(tmp_path):
    authority = Authority()
    row = trust(authority, tmp_path)
    files = []
    for number in (2, 3):
        file = tmp_path / f"{number}.crl"
        file.write_bytes(authority.crl(number=number))
        files.append(file)
    results = together(8, lambda index: revocation.fetch(row, files[index % 2].as_uri(), now=NOON))
    assert any(fetched.taken for fetched in results)
    numbers = [int(record.number) for record in RevocationListRecord.objects.all()]
    assert len(numbers) == len(set(numbers))
    (listed,) = queries.trust_snapshot().revocation_lists.values()
    assert listed.number == 3
