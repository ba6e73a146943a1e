"""Every deed of the staff's site, done once, for the walk with the rights of the web's role."""

from __future__ import annotations

from datetime import date, time
from typing import Any

from builders import City, registered
from register_office import PLACE, Counter, confirm, form_of
from staff_office import Office
from webtest import Upload

from irefuda.agencies.models import SpecialClosure
from irefuda.disclosure import decisions as announcements
from irefuda.disclosure.models import Announcement
from irefuda.registration import decisions, register
from irefuda.staff import agency_settings, inspection, operations
from irefuda.staff.models import Role, StaffAct
from irefuda.suppliers.models import RegisterMark, Supplier
from irefuda.suppliers.operations import SETTLED_FROM
from irefuda.ui import clock
from irefuda_core.registration import Policy


def every_deed(office: Office, city: City, counter: Counter, app: Any) -> None:
    """Do each deed once; `app` is a browser in which 契約課 is logged in."""
    members(office)
    agencies(office, city)
    registrations(office, city)
    announce(office)
    take_a_register(counter, app)
    entries(office, city)
    known = {kind for kind in inspection.KINDS if kind.startswith(("staff.", "register."))}
    assert set(StaffAct.objects.values_list("kind", flat=True)) == known


def members(office: Office) -> None:
    """Let somebody in, change what is said of them, give them a card, let an auditor take the ledger, and end them."""
    _, member = office.let_in(Role.CONTRACTS, name="新任 一子")
    one = {"member_id": member.id}
    operations.change_member(deed=office.deed(), name="新任 二子", section="会計課", agency=None, **one)
    operations.change_roles(deed=office.deed(), roles={Role.AUDITOR: None}, **one)
    card = office.card(holder="新任 二子")
    operations.add_card(deed=office.deed(), code=office.code_of(card), end_others=True, **one)
    period = {"first": date(2026, 11, 1), "last": date(2026, 11, 30)}
    operations.note_export(deed=office.deed(office.actor(card)), **period)
    operations.end_member(deed=office.deed(), **one)


def agencies(office: Office, city: City) -> None:
    """Change hours and knobs of an agency, close a day and open it again."""
    one = {"agency_id": city.section.agency_id}
    agency_settings.change_columns(deed=office.deed(), values={"closes_at": time(20, 30)}, **one)
    agency_settings.change_policy(deed=office.deed(), policy=Policy(name_mismatch="provisional"), **one)
    agency_settings.close_day(deed=office.deed(), closed_on=date(2027, 3, 1), shown_reason="保守のため", **one)
    agency_settings.reopen_day(deed=office.deed(), closure_id=SpecialClosure.objects.get().id, **one)
    city.section.agency.refresh_from_db()


def registrations(office: Office, city: City) -> None:
    """Take one card that waits and reject another, stop a card and a company, and let both act again."""
    actor, now = office.actor(office.let_in(Role.CONTRACTS)[0]), clock.now()
    taken, other = (registered(city, city.authority.card(company="株式会社合浦商事"), now=now) for _ in range(2))
    one = {"section": city.section, "card_id": taken.id}
    checked = decisions.checks_of(taken)
    decisions.approve(deed=office.deed(actor), checked=checked, rules_now=now, **one)
    decisions.reject(deed=office.deed(actor), section=city.section, card_id=other.id)
    decisions.close(deed=office.deed(actor), **one)
    decisions.reopen(deed=office.deed(actor), rules_now=now, **one)
    company = {"section": city.section, "number": taken.registration_id}
    decisions.halt(deed=office.deed(actor), **company)
    decisions.resume(deed=office.deed(actor), **company)


def announce(office: Office) -> None:
    """Announce something and withdraw it."""
    actor = office.actor(office.let_in(Role.CONTRACTS)[0])
    values = {"title": "保守のお知らせ", "body": "本文です。", "published_at": None, "expires_at": None}
    deed = office.deed(actor)
    announcements.publish(deed=deed, values={**values, "agency": None, "category": None})
    made = Announcement.objects.get(id=deed.id)
    announcements.withdraw(deed=office.deed(actor), announcement=made, shown_reason="誤りのため")


def take_a_register(counter: Counter, app: Any) -> None:
    """Take a city's file through the page, with so many new names that the whole search is put in order."""
    kept = Supplier.objects.filter(section=counter.section).order_by("supplier_number")
    rows = [f"{number},{name}" for number, name in kept.values_list("supplier_number", "name")]
    rows += [f"{500000000 + place},弘前{place}組" for place in range(SETTLED_FROM + 1)]
    form = form_of(app.get(f"{PLACE}/import/"), "file")
    form["file"] = Upload("名簿.csv", "\r\n".join(["業者番号,商号", *rows, ""]).encode())
    page = form_of(form.submit().follow(), "reason")
    page["reason"] = "月初の名簿"
    confirm(page.submit())
    assert kept.count() == len(rows)


def entries(office: Office, city: City) -> None:
    """Add a company, change one with registered cards in every way, and say that it was looked at."""
    actor = office.actor(office.let_in(Role.CONTRACTS)[0])
    added = {"supplier_number": "999999999", "values": {"name": "むつ造園"}}
    register.add_entry(deed=office.deed(actor), section=city.section, **added)
    one = {"section": city.section, "supplier_number": city.supplier.supplier_number}
    register.change_entry(deed=office.deed(actor), values={"name": "青森土木株式会社"}, **one)
    register.suspend(deed=office.deed(actor), first=date(2026, 11, 1), last=None, **one)
    register.lift_suspension(deed=office.deed(actor), **one)
    register.end_entry(deed=office.deed(actor), **one)
    register.restore_entry(deed=office.deed(actor), **one)
    register.set_login(deed=office.deed(actor), login_id="aomori", password="himitsu1", **one)
    handed: list[register.Login] = []
    asked = {"reason": "資格の更新の年", "now": clock.now(), "salt": bytes(16)}
    register.hand_out_logins(section=city.section, hand_out=handed.extend, progress=lambda *_: None, **asked)
    assert [login.login_id for login in handed] == ["999999999"]
    assert RegisterMark.objects.filter(settled_at=None).count() == 1
    register.settle(deed=office.deed(actor), **one)
