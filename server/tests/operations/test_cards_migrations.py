"""Kept revocation lists get the key that signed them, there and back, and stay shut against every change."""

from __future__ import annotations

import pytest
from card_support import trust
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from pki_builder import Authority

from irefuda.cards import queries, trust_store
from irefuda.cards.models import RevocationListRecord

pytestmark = pytest.mark.committing
TABLE = RevocationListRecord._meta.db_table


@pytest.fixture
def committing(own_database, django_db_blocker):
    with django_db_blocker.unblock():
        yield


def migrate(name):
    MigrationExecutor(connection).migrate([("cards", name)])


def kept():
    return dict(RevocationListRecord.objects.values_list("source", "signing_key"))


def assert_shut():
    acts = [f"UPDATE {TABLE} SET source = 'x'", f"DELETE FROM {TABLE}"]
    if connection.vendor == "postgresql":
        acts += [f"TRUNCATE {TABLE}", f"SET LOCAL session_replication_role = replica; DELETE FROM {TABLE}"]
    else:
        acts += [f"INSERT OR REPLACE INTO {TABLE} SELECT * FROM {TABLE}"]
    for act in acts:
        with pytest.raises(DatabaseError, match="kept as evidence"), transaction.atomic():
            connection.cursor().execute(act)


@pytest.mark.usefixtures("committing")
def test_rows_from_before_get_the_key_under_which_they_verify(tmp_path):
    removed, namesake = Authority(), Authority()
    gone = trust(removed, tmp_path, name="外した認証局").crl_urls[0]
    there = trust(namesake, tmp_path, name="同じ名前の認証局", crl=namesake.crl(number=2)).crl_urls[0]
    before = kept()
    assert len(set(before.values())) == 2
    trust_store.remove_authority(name="外した認証局")
    migrate("0003_evidence_side_doors")
    assert_shut()
    migrate("0004_signing_key")
    assert kept() == {gone: "", there: before[there]}
    assert_shut()
    (listed,) = queries.trust_snapshot().revocation_lists.values()
    assert listed.number == 2


@pytest.mark.usefixtures("committing")
def test_there_is_no_way_back_over_evidence(tmp_path):
    for name in ("一つ目", "二つ目"):
        trust(Authority(), tmp_path, name=name)
    with pytest.raises(IntegrityError):
        migrate("0003_evidence_side_doors")
    assert_shut()
    assert len(kept()) == 2
