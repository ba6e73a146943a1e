"""The register of the tests' staff: a section with a few companies, one of which has a registered card."""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from typing import Any

from builders import CONTACT, make_section, make_supplier
from staff_office import Office

from irefuda.agencies.models import Section
from irefuda.registration.models import CardStatus, RegisteredCard, Registration
from irefuda.staff.models import Role
from irefuda.staff.operations import Actor
from irefuda.suppliers import operations as suppliers
from irefuda.suppliers.models import Supplier
from irefuda.ui import clock

PLACE = "/register/9991/works"


@dataclass
class Counter:
    """契約課 with a register of `works`: 青森建設 has a card, 弘前組 and 八戸舗装 have none."""

    office: Office
    section: Section
    card: Any
    actor: Actor

    def supplier(self, number: str = "000000001") -> Supplier:
        """Return this company as it is stored now."""
        return Supplier.objects.get(section=self.section, supplier_number=number)


def open_counter(office: Office) -> Counter:
    """Return the counter of a section with three companies."""
    section = make_section(code="9991", category="0", name="入札市 契約課", contracts_office="契約課")
    office.agency = section.agency
    for number, name, kana in (
        ("000000001", "青森建設株式会社", "アオモリケンセツ"),
        ("000000002", "有限会社弘前組", "ヒロサキグミ"),
        ("000000003", "八戸舗装株式会社", "ハチノヘホソウ"),
    ):
        plain = {"qualifications": {}, "branch_name": "", "fax": "", "phone": "017-000-0000"}
        make_supplier(section, supplier_number=number, name=name, name_kana=kana, **plain)
    suppliers.reindex(section=section)
    register_card(section, "000000001")
    card, _ = office.let_in(Role.CONTRACTS, name="契約 花子")
    return Counter(office, section, card, office.actor(card))


def register_card(
    section: Section, supplier_number: str, *, status: str = CardStatus.ACTIVE, email: str = "shain@example.jp"
) -> RegisteredCard:
    """Register a card for this company; 代表窓口 is daihyo@example.jp."""
    now = clock.now()
    supplier = Supplier.objects.get(section=section, supplier_number=supplier_number)
    registration, _ = Registration.objects.get_or_create(
        section=section,
        supplier=supplier,
        defaults={"representative": {**CONTACT, "email": "daihyo@example.jp"}, "registered_at": now},
    )
    return RegisteredCard.objects.create(
        id=uuid.uuid4(),
        registration=registration,
        section=section,
        issuer_key="0" * 64,
        serial=str(uuid.uuid4().int)[:40],
        fingerprint=uuid.uuid4().hex * 2,
        certificate=b"",
        expires_at=now,
        status=status,
        office={**CONTACT, "email": email},
        application="",
        ledger_entry=uuid.uuid4(),
        receipt="",
        draft=uuid.uuid4(),
        registered_at=now,
    )


# -- pressing through the pages


def form_of(page: Any, field: str) -> Any:
    """Return the form of the page that has this field."""
    return next(form for form in page.forms.values() if field in form.fields)


def confirm(page: Any) -> Any:
    """Press 「確定する」 and return the page that the browser ends at."""
    assert "まだ変更していません" in page.text
    return form_of(page, "seen").submit("confirmed").follow()


def changed_rows(page: Any) -> list[tuple[str, str, str]]:
    """Return what a page says changes: item, before, after."""
    cells = r'<tr><th scope="row">(.*?)</th><td data-label="前">(.*?)</td><td data-label="後">(.*?)</td></tr>'
    return re.findall(cells, page.text)
