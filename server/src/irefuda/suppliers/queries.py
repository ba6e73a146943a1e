"""What the other slices ask of the register."""

from __future__ import annotations

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any, cast

from django.db.models import Q, QuerySet

from irefuda.agencies.models import Agency, Section
from irefuda.suppliers import search
from irefuda.suppliers.models import (
    ImportPage,
    ImportState,
    RegisterImport,
    RegisterMark,
    Supplier,
    SupplierStatus,
)
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


def without_login(section: Section) -> list[Supplier]:
    """Return the companies on the register that have no ユーザID for 資格審査情報検索, by 業者番号."""
    return list(_without_login(section).order_by("supplier_number"))


def count_without_login(section: Section) -> int:
    """Return how many those are."""
    return _without_login(section).count()


def _without_login(section: Section) -> QuerySet[Supplier]:
    return Supplier.objects.filter(section=section, login_password="").exclude(status=SupplierStatus.ENDED)


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
    return _page(_found(section, words, limit), page)


def _found(section: Section, words: Sequence[str], limit: int) -> list[int]:
    listed = _listed(section)
    if not words:
        return list(listed.order_by("supplier_number").values_list("id", flat=True)[:limit])
    by_name = search.ids(section_id=section.id, words=words, limit=limit)
    if (number := _as_number(words)) is not None:
        return list(dict.fromkeys([*_ids_by_number(listed, number, limit), *by_name]))
    return by_name


def _as_number(words: Sequence[str]) -> str | None:
    """Return what was typed as the beginning of a 業者番号, or None."""
    if len(words) == 1 and re.fullmatch(r"[0-9A-Z]{1,9}", number := text.to_half_width(words[0]).upper()):
        return number
    return None


def _page(found: Sequence[int], page: int) -> Found:
    start = (page - 1) * PAGE
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


def _ids_by_number(among: QuerySet[Supplier], number: str, limit: int) -> list[int]:
    """Return whose 業者番号 begins so, and first the one whose leading zeros were left out."""
    padded = among.filter(supplier_number=number.zfill(9)).values_list("id", flat=True)
    # A range instead of LIKE: every engine reads it from the unique index, whatever the database's collation.
    begins = among.filter(supplier_number__gte=number, supplier_number__lte=number.ljust(9, "Z"))
    return [*padded, *begins.order_by("supplier_number").values_list("id", flat=True)[:limit]]


# -- what the staff's pages ask


class Shown(StrEnum):
    """Which part of a register staff look at."""

    LISTED = "listed"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    ENDED = "ended"


SHOWN_NAMES = {
    Shown.LISTED: "名簿にある会社",
    Shown.ACTIVE: "有効",
    Shown.SUSPENDED: "指名停止",
    Shown.ENDED: "資格終了",
}


def search_for_staff(*, section: Section, typed: str, shown: Shown, on: date, page: int = 1) -> Found:
    """Return one page of this part of the register, found as on the public's page; `on` is the day of 指名停止."""
    if shown is Shown.LISTED:
        return search_register(section=section, typed=typed, page=page)
    words = text.search_words(typed[:LONGEST_QUERY])
    page = min(max(page, 1), LAST_PAGE)
    start = (page - 1) * PAGE
    limit = max(COUNTED, start + PAGE) + 1
    if shown is Shown.ENDED:
        found = _ended(section, words, limit)
    elif shown is Shown.SUSPENDED:
        found = _suspended_with(section, words, on, limit)
    else:
        # So few are suspended that they are left out of what was found; never so many that a page stays empty.
        suspended = set(_suspended(section, on).values_list("id", flat=True))
        beyond = limit + len(suspended)
        found = [number for number in _found(section, words, beyond) if number not in suspended][:limit]
    return _page(found, page)


def _ended(section: Section, words: Sequence[str], limit: int) -> list[int]:
    ended = Supplier.objects.filter(section=section, status=SupplierStatus.ENDED).order_by("supplier_number")
    if not words:
        return list(ended.values_list("id", flat=True)[:limit])
    found = search.ids(section_id=section.id, words=words, limit=limit, ended=True)
    if (number := _as_number(words)) is not None:
        return list(dict.fromkeys([*_ids_by_number(ended, number, limit), *found]))
    return found


def _suspended(section: Section, on: date) -> QuerySet[Supplier]:
    """Return who is under 指名停止 on this day, as `irefuda_core.registration.suspended` judges it."""
    by_status = Q(suspended_from=None, status=SupplierStatus.SUSPENDED)
    by_day = Q(suspended_from__lte=on) & (Q(suspended_until=None) | Q(suspended_until__gte=on))
    return _listed(section).filter(by_status | by_day).order_by("supplier_number")


def _suspended_with(section: Section, words: Sequence[str], on: date, limit: int) -> list[int]:
    """The few that are suspended are looked at one by one: the index does not know who is."""
    wanted = [text.fold_for_search(word) for word in words]
    number = _as_number(words)
    rows = _suspended(section, on).values_list("id", "supplier_number", "name", "name_kana")
    found = []
    for key, supplier_number, name, kana in rows.iterator():
        names = text.fold_for_search(name), text.fold_for_search(kana)
        begins = number is not None and (supplier_number.startswith(number) or supplier_number == number.zfill(9))
        if begins or all(any(word in one for one in names) for word in wanted):
            found.append(key)
    return found[:limit]


def imports_of(section: Section) -> list[RegisterImport]:
    """Return the files of this register that were taken or wait, the newest first."""
    return list(RegisterImport.objects.filter(section=section).order_by("-brought_at")[:PAGE])


def import_of(*, section: Section, import_id: uuid.UUID, now: datetime) -> RegisterImport | None:
    """Return one file of this register, unless it has waited too long."""
    found = RegisterImport.objects.filter(section=section, id=import_id).first()
    if found is None or (found.state != ImportState.DONE and found.expires_at <= now):
        return None
    found.section = section
    return found


def changes_of(brought: RegisterImport, *, kind: str, page: int) -> list[dict[str, Any]]:
    """Return one page of the changes of this kind."""
    found = ImportPage.objects.filter(owner=brought, kind=kind, number=page).first()
    return list(found.changes) if found else []


def open_marks(section: Section) -> QuerySet[RegisterMark]:
    """Return the marks of this register that staff have not settled yet, the newest first."""
    open_ones = RegisterMark.objects.filter(supplier__section=section, settled_at=None)
    return open_ones.select_related("supplier").order_by("-marked_at", "id")


def open_mark(supplier: Supplier) -> RegisterMark | None:
    """Return the mark of this supplier that staff have not settled yet."""
    return RegisterMark.objects.filter(supplier=supplier, settled_at=None).first()


def count_open_marks(agency: Agency | None) -> int:
    """Return how many companies staff have still to look at: of this agency, or of all."""
    marks = RegisterMark.objects.filter(settled_at=None)
    return (marks if agency is None else marks.filter(supplier__section__agency=agency)).count()
