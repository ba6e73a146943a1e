"""What the other slices ask of the register."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import cast

from django.db.models import QuerySet

from irefuda.agencies.models import Section
from irefuda.suppliers import search
from irefuda.suppliers.models import Supplier, SupplierStatus
from irefuda.ui import rows
from irefuda_core import text
from irefuda_core.registration import Standing, SupplierFacts

PAGE = 50
# Nobody reads on beyond this; who finds so many adds a word.
LAST_PAGE = 20
# So far the count is told. Counting on would cost more than the answer.
COUNTED = 200
LONGEST_QUERY = 100
# Plain SQL, because every step of 登録 asks it, and to build the query takes longer than to answer it.
_COLUMNS = rows.columns(Supplier, "supplier")
BY_ID = f"SELECT {_COLUMNS} FROM suppliers_supplier supplier WHERE id = %s AND section_id = %s"  # noqa: S608 -- our own names
IN_AGENCY = f"""SELECT {_COLUMNS} FROM suppliers_supplier supplier
JOIN agencies_section section ON section.id = supplier.section_id
WHERE section.agency_id = %s AND supplier.supplier_number = %s ORDER BY section.category"""  # noqa: S608 -- our own names


def find(*, section: Section, supplier_number: str) -> Supplier | None:
    """Return the supplier of this number in this section, or None."""
    supplier = Supplier.objects.filter(section=section, supplier_number=supplier_number).first()
    if supplier is not None:
        supplier.section = section
    return supplier


def get(*, section: Section, supplier_id: int) -> Supplier:
    """Return the supplier of this section with this id: lines of the register are never deleted."""
    (supplier,) = rows.fetch(Supplier, BY_ID, [supplier_id, section.id])
    supplier.section = section
    return supplier


def listed(*, section: Section, supplier_number: str) -> Supplier | None:
    """Return the supplier as the public register shows it, or None when it is not on the register any more."""
    return _listed(section).filter(supplier_number=supplier_number).first()


def facts(supplier: Supplier) -> SupplierFacts:
    """Return what the rulebook asks of a supplier."""
    return SupplierFacts(
        agency_code=supplier.section.agency.code,
        category=supplier.section.category,
        supplier_number=supplier.supplier_number,
        name=supplier.name,
        status=cast(Standing, supplier.status),
        valid_from=supplier.valid_from,
        valid_until=supplier.valid_until,
        suspended_from=supplier.suspended_from,
        suspended_until=supplier.suspended_until,
    )


def in_agency(*, section: Section, supplier_number: str) -> tuple[Supplier | None, list[Supplier]]:
    """Return the supplier of this number in this section, or None, and those on the registers of the 調達機関's other sections.

    It is one query whoever is found, so that the work of a look-up tells nothing.
    """
    found = rows.fetch(Supplier, IN_AGENCY, [section.agency_id, supplier_number])
    here = next((supplier for supplier in found if supplier.section_id == section.id), None)
    if here is not None:
        here.section = section
    return here, [s for s in found if s.section_id != section.id and s.status != SupplierStatus.ENDED]


def company_shown(supplier: Supplier) -> dict[str, str]:
    """Return the 企業情報 of the screens; where authority is delegated, of the 委任先 (manual 1.2)."""
    delegate = supplier.delegate
    return {
        "company_name": supplier.name,
        "company_postal_code": delegate.get("postal_code") or supplier.postal_code,
        "company_address": delegate.get("address") or supplier.address,
        "representative_name": delegate.get("person") or supplier.representative_name,
        "representative_title": delegate.get("title") or supplier.representative_title,
        "representative_phone": delegate.get("phone") or supplier.phone,
        "representative_fax": delegate.get("fax") or supplier.fax,
        "qualifications": "、".join(f"{kind}：{grade or '無し'}" for kind, grade in supplier.qualifications.items()),
        "branch_name": delegate.get("name") or supplier.branch_name,
    }


@dataclass(frozen=True, slots=True)
class Found:
    """One page of the register. `total` is exact up to COUNTED; beyond it is COUNTED and `more_than_counted` is set."""

    suppliers: list[Supplier]
    total: int
    more_than_counted: bool
    page: int
    has_next: bool

    @property
    def previous_page(self) -> int:
        """Return the number of the page before this one."""
        return self.page - 1

    @property
    def next_page(self) -> int:
        """Return the number of the page after this one."""
        return self.page + 1


def search_register(*, section: Section, typed: str, page: int = 1) -> Found:
    """Return one page of the suppliers whose name, reading or 業者番号 has what was typed; all of them for nothing typed.

    Several words must all be there. A single word of letters and digits is the beginning of a 業者番号 as well.
    """
    words = text.search_words(typed[:LONGEST_QUERY])
    page = min(max(page, 1), LAST_PAGE)
    start = (page - 1) * PAGE
    # One query tells the page, whether there is a next one, and the count as far as it is told.
    limit = max(COUNTED, start + PAGE) + 1
    if not words:
        found = list(_listed(section).order_by("supplier_number").values_list("id", flat=True)[:limit])
    elif len(words) == 1 and re.fullmatch(r"[0-9A-Z]{1,9}", number := text.to_half_width(words[0]).upper()):
        by_name = search.ids(section_id=section.id, words=words, limit=limit)
        found = list(dict.fromkeys([*_ids_by_number(section, number, limit), *by_name]))
    else:
        found = search.ids(section_id=section.id, words=words, limit=limit)
    shown = found[start : start + PAGE]
    by_id = Supplier.objects.in_bulk(shown)
    return Found(
        suppliers=[by_id[number] for number in shown if number in by_id],
        total=min(len(found), COUNTED),
        more_than_counted=len(found) > COUNTED,
        page=page,
        has_next=len(found) > start + PAGE and page < LAST_PAGE,
    )


def _listed(section: Section) -> QuerySet[Supplier]:
    return Supplier.objects.filter(section=section).exclude(status=SupplierStatus.ENDED)


def _ids_by_number(section: Section, number: str, limit: int) -> list[int]:
    """Return whose 業者番号 begins so, and first the one whose leading zeros were left out."""
    padded = _listed(section).filter(supplier_number=number.zfill(9)).values_list("id", flat=True)
    # A range instead of LIKE: every engine reads it from the unique index, whatever the database's collation.
    begins = _listed(section).filter(supplier_number__gte=number, supplier_number__lte=number.ljust(9, "Z"))
    return [*padded, *begins.order_by("supplier_number").values_list("id", flat=True)[:limit]]
