"""The web process killed while it keeps or takes a city's file, at every statement and commit: the old register or the new one."""

from __future__ import annotations

import base64
import uuid

import pytest
from builders import make_supplier
from killing import Victims
from register_office import open_counter
from staff_office import open_office

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration import register
from irefuda.staff.models import StaffAct
from irefuda.suppliers import imports, queries
from irefuda.suppliers.models import (
    ImportFilePart,
    ImportPage,
    ImportState,
    RegisterImport,
    RegisterMark,
    Supplier,
)
from irefuda.ui import clock

pytestmark = pytest.mark.committing


@pytest.fixture
def counter(own_database, django_db_blocker, staff_authority, settings):
    settings.STAFF_ORIGIN = "http://staff.localhost:8001"
    with django_db_blocker.unblock():
        counter = open_counter(open_office(staff_authority))
        make_supplier(counter.section, supplier_number="000000004", name="黒石硝子", status="ended")
        yield counter


@pytest.fixture
def victims(own_database):
    with Victims(database_url=own_database) as victims:
        yield victims


def file_of_month(folder, month):
    """Return what the city sends in this month: in each, companies change, end, return and are new.

    Every file asks the same of the database, so that the boundaries of one month are those of the next.
    """
    rows = [
        f"1,青森建設株式会社,町{month:03}",
        f"3,八戸舗装株式会社,町{month:03}",
        "2,有限会社弘前組," if month % 2 else "4,黒石硝子,",
        f"{900000000 + month},今月{month:03}組,",
    ]
    file = folder / f"{month}.csv"
    file.write_text("\r\n".join(["業者番号,商号,所在地", *rows, ""]), encoding="utf-8")
    return file


def bring(counter, file, import_id):
    return imports.bring(
        section=counter.section,
        import_id=import_id,
        path=file,
        file_name=file.name,
        sheet="",
        by="契約 花子",
        asking=register.ASKING,
        now=clock.now(),
    )


def listed():
    """Return who is on the register, with the addresses."""
    on_it = Supplier.objects.exclude(status="ended").order_by("supplier_number")
    return list(on_it.values_list("supplier_number", "address"))


def month_of(rows):
    return int(rows[-1][0]) - 900000000


def deeds():
    """Return how many deeds, entries and notices there are."""
    return StaffAct.objects.count(), Entry.objects.count(), Pending.objects.count(), Notice.objects.count()


def test_an_import_killed_at_every_boundary(counter, victims, tmp_path):
    def order(month):
        RegisterMark.objects.all().delete()
        brought = bring(counter, file_of_month(tmp_path, month), uuid.uuid4())
        return brought, {
            "brought": str(brought.id),
            "certificate": base64.b64encode(counter.card.der).decode(),
            "deed": str(uuid.uuid4()),
            "now": clock.now().isoformat(),
        }

    # The first file also makes what every later one finds there.
    victims.run("take_register", **order(1)[1])
    boundaries = victims.run("take_register", **order(2)[1])
    assert month_of(listed()) == 2
    assert len([name for name in boundaries if name == "after COMMIT"]) == 1
    outcomes = set()
    for number, name in enumerate(boundaries, start=1):
        month = number + 2
        brought, arguments = order(month)
        before, (acts, entries, pending, notices) = listed(), deeds()
        victims.run("take_register", stop_at=number, **arguments)
        here = f"killed {name} ({number})"
        taken = StaffAct.objects.filter(id=arguments["deed"]).exists()
        outcomes.add((taken, name))
        after = listed()
        assert month_of(after) == (month if taken else month - 1), here
        assert taken or after == before, here
        done = (acts + 1, entries + 1, pending + 1, notices + 2)
        assert deeds() == (done if taken else (acts, entries, pending, notices)), here
        assert RegisterMark.objects.count() == taken, here
        brought.refresh_from_db()
        assert brought.state == (ImportState.DONE if taken else ImportState.SHOWN), here
        assert brought.parts.exists() is not taken, here
        assert queries.search_register(section=counter.section, typed=f"今月{month:03}組").total == taken, here
        # The page is sent again: done once, whether it was done already or not.
        victims.run("take_register", **arguments)
        assert month_of(listed()) == month, here
        assert deeds() == done, here
        assert RegisterMark.objects.count() == 1, here
        brought.refresh_from_db()
        assert (brought.state, brought.parts.exists()) == (ImportState.DONE, False), here
    assert [name for taken, name in outcomes if taken] == ["after COMMIT"]
    assert (False, "before COMMIT") in outcomes


def test_a_file_killed_at_every_boundary_while_it_is_brought(counter, victims, tmp_path):
    file = file_of_month(tmp_path, 2)
    arguments = {"section": counter.section.id, "path": str(file), "now": clock.now().isoformat()}
    before = listed()
    boundaries = victims.run("bring_register", import_id=str(uuid.uuid4()), **arguments)
    parts, pages = ImportFilePart.objects.count(), ImportPage.objects.count()
    assert (parts, pages) == (1, 5)
    outcomes = set()
    for number, name in enumerate(boundaries, start=1):
        RegisterImport.objects.all().delete()
        import_id = uuid.uuid4()
        victims.run("bring_register", stop_at=number, import_id=str(import_id), **arguments)
        kept = RegisterImport.objects.filter(id=import_id).exists()
        outcomes.add((kept, name))
        there = (ImportFilePart.objects.count(), ImportPage.objects.count())
        assert there == ((parts, pages) if kept else (0, 0)), f"killed {name} ({number})"
        assert bring(counter, file, import_id).state == ImportState.SHOWN
        assert (ImportFilePart.objects.count(), ImportPage.objects.count()) == (parts, pages)
    assert {name for kept, name in outcomes if kept} == {"after COMMIT"}
    assert listed() == before
