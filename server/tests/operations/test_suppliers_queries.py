"""What the register says of a supplier."""

from datetime import date

import pytest
from django.db import IntegrityError

from irefuda.agencies.models import Agency, Section
from irefuda.suppliers import queries
from irefuda.suppliers.models import Supplier


@pytest.fixture
def works(db):
    agency = Agency.objects.create(code="9991", name="練習市", system_email="nyusatsu@example.jp")
    return Section.objects.create(agency=agency, category="0")


def test_a_supplier_is_found_by_section_and_number(works):
    goods = Section.objects.create(agency=works.agency, category="1")
    supplier = Supplier.objects.create(section=works, supplier_number="000000001", name="（株）テスト商会01")
    assert queries.find(section=works, supplier_number="000000001") == supplier
    assert queries.find(section=goods, supplier_number="000000001") is None
    assert queries.find(section=works, supplier_number="1") is None
    assert queries.in_agency(section=goods, supplier_number="000000001") == (None, [supplier])
    assert queries.in_agency(section=works, supplier_number="000000001") == (supplier, [])
    assert queries.in_agency(section=works, supplier_number="000000002") == (None, [])
    Supplier.objects.update(status="ended")
    assert queries.in_agency(section=goods, supplier_number="000000001") == (None, [])


def test_the_rulebook_gets_the_register_s_own_words(works):
    supplier = Supplier.objects.create(
        section=works, supplier_number="990000001", name="㈱髙﨑建設", valid_until=date(2027, 3, 31), status="suspended"
    )
    facts = queries.facts(supplier)
    assert (facts.agency_code, facts.category, facts.name) == ("9991", "0", "㈱髙﨑建設")
    assert (facts.valid_until, facts.status) == (date(2027, 3, 31), "suspended")


def test_where_authority_is_delegated_the_branch_is_shown(works):
    supplier = Supplier(
        section=works,
        supplier_number="990000001",
        name="テスト建設",
        representative_name="本社　太郎",
        phone="03-0000-0000",
        delegate={"name": "青森支店", "title": "支店長", "person": "支店　花子", "phone": "017-000-0000"},
        qualifications={"物品の製造": "A", "物品の販売": "B"},
    )
    shown = queries.company_shown(supplier)
    assert shown["company_name"] == "テスト建設"
    assert (shown["branch_name"], shown["representative_name"]) == ("青森支店", "支店　花子")
    assert shown["representative_phone"] == "017-000-0000"
    assert shown["qualifications"] == "物品の製造：A、物品の販売：B"


@pytest.mark.parametrize("number", ["1", "99000000１", "ab0000001", ""])
def test_the_database_takes_no_number_of_another_shape(works, number):
    with pytest.raises(IntegrityError):
        Supplier.objects.create(section=works, supplier_number=number, name="テスト")


def test_a_number_stands_once_in_a_section(works):
    Supplier.objects.create(section=works, supplier_number="990000001", name="テスト")
    with pytest.raises(IntegrityError):
        Supplier.objects.create(section=works, supplier_number="990000001", name="テスト二")
