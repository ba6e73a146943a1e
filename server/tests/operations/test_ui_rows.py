"""Rows by plain SQL are the rows that Django's own queries write and read."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import pytest
from builders import CONTACT, make_section, make_supplier
from django.db import IntegrityError, transaction
from django.forms.models import model_to_dict

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration.models import Draft, Registration
from irefuda.suppliers.models import Supplier
from irefuda.ui import rows

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 24, 12, 30, 0, 123456, tzinfo=UTC)


@pytest.fixture
def supplier():
    return make_supplier(make_section())


def held(row):
    """Return every column as the model holds it."""
    return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}


def everything(model):
    return rows.fetch(model, f"SELECT {rows.columns(model)} FROM {model._meta.db_table} ORDER BY 1")


@pytest.mark.parametrize("make", [
    lambda supplier: Draft(
        id=uuid.uuid4(), fingerprint="f" * 64, section=supplier.section, supplier=supplier, updated_at=NOW,
        typed={"rep-person": "髙橋 ㈱ \"'<>", "same": "1"}, document="{}",
    ),
    lambda supplier: Registration(
        section=supplier.section, supplier=supplier, representative=CONTACT, registered_at=NOW
    ),
    lambda supplier: Registration(section=supplier.section, supplier=supplier, representative=None, registered_at=NOW),
    lambda supplier: Notice(
        id=uuid.uuid4(), message_id="<m@example.jp>", kind="k", to="a@example.jp", sender="b@example.jp",
        subject="件名", body="本文\n二行目", queued_at=NOW, next_attempt_at=NOW,
    ),
    lambda supplier: Entry(
        id=uuid.uuid4(), kind="k", salt=b"\0\xff" * 8, document=b"\0\1", entry_hash="0" * 64, recorded_at=NOW
    ),
], ids=["draft", "registration", "provisional", "notice", "entry"])  # fmt: skip
def test_what_is_inserted_plainly_is_what_django_reads_and_the_other_way_round(supplier, make):
    model = type(row := make(supplier))
    rows.insert(row)
    (by_django,), (by_us,) = model.objects.all(), everything(model)
    assert held(by_us) == held(by_django)
    assert model_to_dict(by_us) == model_to_dict(by_django)
    assert by_us == by_django == row
    assert held(row) == {name: bytes(value) if isinstance(value, memoryview) else value for name, value in held(by_us).items()}  # fmt: skip


def test_a_row_fetched_or_inserted_plainly_is_saved_as_an_update(supplier):
    row = Registration(section=supplier.section, supplier=supplier, representative=CONTACT, registered_at=NOW)
    rows.insert(row)
    row.revision = 1
    row.save()
    (again,) = everything(Registration)
    again.revision += 1
    again.save()
    assert list(Registration.objects.values_list("id", "revision")) == [(row.id, 2)]


def test_every_row_is_given_and_none_is_an_empty_list(supplier):
    assert everything(Registration) == []
    make_supplier(supplier.section, supplier_number="990000002")
    assert [row.supplier_number for row in everything(Supplier)] == ["990000001", "990000002"]


def test_a_join_gives_one_row_of_each_model_as_django_reads_them(supplier):
    make_supplier(supplier.section, supplier_number="990000002")
    row = Registration(section=supplier.section, supplier=supplier, representative=CONTACT, registered_at=NOW)
    rows.insert(row)
    joined = f"""SELECT {rows.columns(Supplier, "s")}, {rows.columns(Registration, "r")} FROM suppliers_supplier s
        LEFT JOIN registration_registration r ON r.supplier_id = s.id ORDER BY s.supplier_number"""
    (first, of_first), (second, of_second) = rows.fetch_together((Supplier, Registration), joined)
    assert model_to_dict(first) == model_to_dict(Supplier.objects.get(id=supplier.id))
    assert model_to_dict(of_first) == model_to_dict(Registration.objects.get())
    assert of_first.registered_at == NOW
    # Where the join found nothing, there is nothing.
    assert (second.supplier_number, of_second) == ("990000002", None)


def test_a_second_row_of_one_key_is_refused_and_the_first_stays(supplier):
    row = Registration(section=supplier.section, supplier=supplier, representative=CONTACT, registered_at=NOW)
    rows.insert(row)
    other = Registration(section=supplier.section, supplier=supplier, representative=None, registered_at=NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert(other)
    assert other.pk is None
    assert Registration.objects.get().representative == CONTACT


def test_an_update_changes_these_columns_of_those_rows_only(supplier):
    drafts = [
        Draft(
            id=uuid.uuid4(), fingerprint=mark * 64, section=supplier.section, supplier=supplier, updated_at=NOW,
            typed={}, document="",
        )
        for mark in "abc"
    ]  # fmt: skip
    for draft in drafts:
        rows.insert(draft)
    later, typed = datetime(2026, 11, 25, tzinfo=UTC), {"rep-person": "髙橋"}
    values = {"typed": typed, "updated_at": later}
    assert rows.update(Draft, values, where={"id": drafts[1].id, "supplier_id": supplier.id}) == 1
    found = {draft.id: (draft.typed, draft.updated_at, draft.fingerprint) for draft in Draft.objects.all()}
    assert found == {
        drafts[0].id: ({}, NOW, "a" * 64), drafts[1].id: (typed, later, "b" * 64), drafts[2].id: ({}, NOW, "c" * 64),
    }  # fmt: skip
    assert rows.update(Draft, values, where={"id": drafts[1].id, "supplier_id": supplier.id + 1}) == 0
    assert rows.update(Draft, values, where={"supplier_id": supplier.id}) == 3
