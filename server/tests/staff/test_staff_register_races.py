"""Files and entries at the same moment, on a database that commits for real: one is done, the others are told."""

from __future__ import annotations

import uuid
from collections import Counter as Tally

import pytest
from parallel import outcome, together
from register_office import open_counter
from staff_office import open_office

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration import register
from irefuda.registration.staff_views.register import today
from irefuda.staff.models import StaffAct
from irefuda.suppliers import imports
from irefuda.suppliers.models import ImportState, RegisterImport, RegisterMark, Supplier
from irefuda.ui import clock

pytestmark = pytest.mark.committing
ROUNDS = 4


@pytest.fixture
def counter(own_database, django_db_blocker, staff_authority, settings):
    settings.STAFF_ORIGIN = "http://staff.localhost:8001"
    with django_db_blocker.unblock():
        yield open_counter(open_office(staff_authority))


def brought(counter, folder, *addresses):
    """Return a waiting file in which the three companies have these addresses."""
    companies = ("青森建設株式会社", "有限会社弘前組", "八戸舗装株式会社")
    rows = [f"{place},{name},{address}" for place, (name, address) in enumerate(zip(companies, addresses, strict=True), 1)]  # fmt: skip
    file = folder / f"{uuid.uuid4()}.csv"
    file.write_text("\r\n".join(["業者番号,商号,所在地", *rows, ""]), encoding="utf-8")
    return imports.bring(
        section=counter.section,
        import_id=uuid.uuid4(),
        path=file,
        file_name=file.name,
        sheet="",
        by="契約 花子",
        asking=register.ASKING,
        now=clock.now(),
    )


def addresses(counter):
    stored = Supplier.objects.filter(section=counter.section).order_by("supplier_number")
    return list(stored.values_list("address", flat=True))


def test_of_two_files_one_is_taken_and_the_other_is_told(counter, tmp_path):
    for number in range(ROUNDS):
        files = [brought(counter, tmp_path, *[f"{number}-{which}"] * 3) for which in "ab"]
        deeds = [counter.office.deed(counter.actor) for _ in files]

        def take(index, files=files, deeds=deeds):
            return outcome(register.take_import, deed=deeds[index], brought=files[index])

        assert Tally(together(2, take)) == {"done": 1, "S-931": 1}
        assert addresses(counter) in ([f"{number}-a"] * 3, [f"{number}-b"] * 3)
        states = {file.state for file in RegisterImport.objects.filter(id__in=[file.id for file in files])}
        assert states == {ImportState.DONE, ImportState.SHOWN}
    assert StaffAct.objects.filter(kind="register.imported").count() == ROUNDS
    assert Entry.objects.filter(kind="register.imported").count() == ROUNDS
    assert Notice.objects.filter(kind="register.company_changed").count() == 2 * ROUNDS


def test_one_file_is_taken_once_by_whomever(counter, tmp_path):
    for number in range(ROUNDS):
        file = brought(counter, tmp_path, *[f"町{number}"] * 3)
        same = counter.office.deed(counter.actor)
        deeds = [same, same, counter.office.deed(counter.actor), counter.office.deed(counter.actor)]

        def take(index, file=file, deeds=deeds):
            return outcome(register.take_import, deed=deeds[index], brought=file)

        told = Tally(together(4, take))
        # The page that was sent twice is done both times, or its file is gone when it is read; either way once.
        assert told["done"] >= 1
        assert set(told) <= {"done", "S-932"}
        assert addresses(counter) == [f"町{number}"] * 3
    assert StaffAct.objects.filter(kind="register.imported").count() == ROUNDS
    assert Notice.objects.filter(kind="register.company_changed").count() == 2 * ROUNDS


def test_of_a_file_and_an_entry_the_second_is_told(counter, tmp_path):
    outcomes = Tally()
    for number in range(ROUNDS):
        file = brought(counter, tmp_path, *[f"名簿{number}"] * 3)
        one = {"section": counter.section, "supplier_number": "000000002"}
        found = Supplier.objects.get(section=counter.section, supplier_number="000000002")
        values = {"address": f"届け{number}"}
        seen = register.staff.digest(register.entry_changes(found, values))
        deeds = [counter.office.deed(counter.actor), counter.office.deed(counter.actor, seen=seen)]

        def act(index, file=file, deeds=deeds, values=values, one=one):
            if index:
                return outcome(register.change_entry, deed=deeds[1], values=values, **one)
            return outcome(register.take_import, deed=deeds[0], brought=file)

        told = together(2, act)
        assert sorted(told) in (["S-910", "done"], ["S-931", "done"]), told
        wanted = f"名簿{number}" if told[0] == "done" else f"届け{number}"
        assert Supplier.objects.get(id=found.id).address == wanted
        outcomes.update(told)
        if told[0] != "done":
            imports.give_up(brought=file)
    assert outcomes["done"] == ROUNDS


def test_one_number_is_added_once_and_one_page_is_one_deed(counter):
    for number in range(ROUNDS):
        deed = counter.office.deed(counter.actor)
        deeds = [deed, deed, counter.office.deed(counter.actor), counter.office.deed(counter.actor)]
        entry = {"section": counter.section, "supplier_number": f"00000009{number}", "values": {"name": f"新{number}"}}

        def add(index, deeds=deeds, entry=entry):
            return outcome(register.add_entry, deed=deeds[index], **entry)

        told = Tally(together(4, add))
        assert told in ({"done": 2, "S-933": 2}, {"done": 1, "S-933": 3}), told
        assert Supplier.objects.filter(supplier_number=f"00000009{number}").count() == 1
    assert StaffAct.objects.filter(kind="register.entry_added").count() == ROUNDS


def test_suspended_by_many_at_once_is_told_and_marked_once_for_each_deed(counter):
    one = {"section": counter.section, "supplier_number": "000000001"}
    deed = counter.office.deed(counter.actor)

    def suspend(_index):
        return outcome(register.suspend, deed=deed, first=today(), last=None, **one)

    assert Tally(together(4, suspend)) == {"done": 4}
    assert StaffAct.objects.filter(kind="register.suspended").count() == 1
    assert Notice.objects.filter(kind="register.company_suspended").count() == 2
    assert RegisterMark.objects.count() == 1
