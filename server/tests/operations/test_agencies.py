"""The agencies are read once and kept, and every change is seen at once, whoever makes it."""

from datetime import date, datetime

import pytest
from builders import make_section
from django.db import connection
from django.test.utils import CaptureQueriesContext

from irefuda.agencies import queries
from irefuda.agencies.models import Agency, Category, SpecialClosure
from irefuda.ui.clock import JST
from irefuda_core.calendar import Closed, Open

pytestmark = pytest.mark.django_db
TUESDAY = datetime(2026, 11, 24, 10, 0, tzinfo=JST)


@pytest.fixture
def agency():
    return make_section(always_open=False).agency


def section():
    return queries.section(agency_code="9992", category=Category.GOODS)


def test_a_page_asks_one_small_query_for_its_section_and_its_hours(agency):
    section()
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found, clock_moved = queries.section_and_clock(agency_code="9992", category=Category.GOODS)
        assert isinstance(queries.office_state(found.agency, now=TUESDAY + clock_moved), Open)
    assert [query["sql"] for query in asked] == [
        "SELECT stamp, clock_offset_seconds FROM agencies_installation WHERE id = 1"
    ]


def test_what_is_not_there_is_none(agency):
    assert queries.section(agency_code="9992", category=Category.WORKS) is None
    assert queries.section(agency_code="9992", category="") is None


def test_every_change_is_seen_at_the_next_look(agency):
    assert section().agency.name == "入札市（物品）"
    agency.name = "新しい名前"
    agency.save()
    assert section().agency.name == "新しい名前"
    Agency.objects.update(name="一度に")
    assert section().agency.name == "一度に"
    with connection.cursor() as cursor:
        cursor.execute("UPDATE agencies_agency SET name = %s", ["SQLで"])
    assert section().agency.name == "SQLで"
    other = make_section(category=Category.WORKS)
    assert [one.category for one in queries.sections()] == [Category.WORKS, Category.GOODS]
    other.delete()
    assert [one.category for one in queries.sections()] == [Category.GOODS]


def test_a_closure_closes_at_once_and_its_removal_opens(agency):
    assert isinstance(queries.office_state(section().agency, now=TUESDAY), Open)
    closure = SpecialClosure.objects.create(agency=agency, closed_on=date(2026, 11, 24), reason="停電")
    assert isinstance(queries.office_state(section().agency, now=TUESDAY), Closed)
    closure.delete()
    assert isinstance(queries.office_state(section().agency, now=TUESDAY), Open)
