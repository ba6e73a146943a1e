"""「登録業者名簿」 for staff: finding a company, seeing all of it, and changing one entry with its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Category, Section
from irefuda.registration import queries, register
from irefuda.registration.models import CardStatus, RegisteredCard, Registration
from irefuda.registration.staff_views.register_forms import (
    EntryForm,
    LoginForm,
    NewEntryForm,
    PlainForm,
    SuspensionForm,
)
from irefuda.staff import auth
from irefuda.staff import queries as staff
from irefuda.staff.forms import Reasoned
from irefuda.staff.models import Role
from irefuda.staff.operations import Actor, Change, Deed
from irefuda.staff.views import change, deed_is_done
from irefuda.suppliers import operations as entries
from irefuda.suppliers import queries as suppliers
from irefuda.suppliers.models import Supplier
from irefuda.suppliers.queries import Shown
from irefuda.suppliers.register_files.columns import DELEGATE_NAMES, NAMES
from irefuda.ui import clock
from irefuda.ui.clock import JST
from irefuda_core import registration as rules

GET_POST = ["GET", "POST"]
# Who sees the person behind a company: those who work with the register or check that work.
SEES_PERSONS = frozenset({Role.CONTRACTS, Role.AUDITOR})
ENTRY_COLUMNS = (
    *("name", "name_kana", "corporate_number", "representative_title", "representative_name", "postal_code", "address"),
    *("phone", "fax", "branch_name", "delegate", "area", "qualifications", "trades", "valid_from", "valid_until"),
    *("status", "suspended_from", "suspended_until"),
)
OVERRIDES = {
    "representative_phone": "代表電話番号",
    "representative_fax": "代表FAX番号",
    "branch_name": "支店名等",
}
PERSONAL_OVERRIDES = frozenset({"representative_phone", "representative_fax"})


@require_GET
def choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show whose registers this member may look at."""
    found = [section for section in agencies.sections() if actor.may_see(section.agency)]
    sections = [(section, suppliers.open_marks(section).count()) for section in found]
    return render(request, "registration/staff_register_choose.html", {"actor": actor, "sections": sections})


@require_GET
def search(request: HttpRequest, actor: Actor, section: Section) -> HttpResponse:
    """Show one page of a register, searched by what was typed."""
    typed = request.GET.get("q", "").replace("\x00", "").strip()[: suppliers.LONGEST_QUERY]
    chosen = request.GET.get("shown", "")
    shown = Shown(chosen) if chosen in list(Shown) else Shown.LISTED
    on = today()
    found = suppliers.search_for_staff(section=section, typed=typed, shown=shown, on=on, page=page_number(request))
    cards = queries.living_cards_among([supplier.id for supplier in found.suppliers])
    return render(
        request,
        "registration/staff_register_search.html",
        {
            "actor": actor,
            "section": section,
            "typed": typed,
            "shown": shown,
            "choices": suppliers.SHOWN_NAMES.items(),
            "found": found,
            "lines": [(one, standing_shown(one, on), cards.get(one.id, 0)) for one in found.suppliers],
            "marks": suppliers.open_marks(section).count(),
            "may_change": auth.opens(actor, "staff-register-add"),
            "may_see_imports": auth.opens(actor, "staff-register-imports"),
        },
    )


@require_GET
def touched(request: HttpRequest, actor: Actor, section: Section) -> HttpResponse:
    """Show the companies with registered cards that a change of the register touched and nobody has looked at."""
    page = page_number(request)
    start = (page - 1) * suppliers.PAGE
    marks = list(suppliers.open_marks(section)[start : start + suppliers.PAGE + 1])
    return render(
        request,
        "registration/staff_register_touched.html",
        {
            "actor": actor,
            "section": section,
            "marks": [(mark, [register.TOLD_NAMES[kind] for kind in mark.told]) for mark in marks[: suppliers.PAGE]],
            "page": page,
            "previous_page": page - 1,
            "next_page": page + 1 if len(marks) > suppliers.PAGE else 0,
        },
    )


@require_GET
def supplier(request: HttpRequest, actor: Actor, section: Section, supplier_number: str) -> HttpResponse:
    """Show all that the register says of one company, what it has registered, and what staff changed."""
    found = _supplier_or_404(section, supplier_number)
    sees_persons = bool(actor.roles & SEES_PERSONS)
    registration = queries.registration_of(section=section, supplier=found)
    mark = suppliers.open_mark(found)
    return render(
        request,
        "registration/staff_register_supplier.html",
        {
            "actor": actor,
            "section": section,
            "supplier": found,
            "standing": standing_shown(found, today()),
            "rows": _rows(found, sees_persons=sees_persons),
            "sees_persons": sees_persons,
            "registration": registration,
            "cards": _cards(registration) if registration else [],
            "overrides": _overrides(registration, sees_persons=sees_persons) if registration else [],
            "mark": mark,
            "told": [register.TOLD_NAMES[kind] for kind in mark.told] if mark else [],
            "acts": staff.acts(register.subject_of(section, supplier_number)) if sees_persons else [],
            "may_change": auth.opens(actor, "staff-register-change"),
            "may_see_registration": auth.opens(actor, "staff-registration"),
            "has_suspension": register.has_suspension(found),
            "login_asked": section.agency.lookup_needs_password,
        },
    )


@require_http_methods(GET_POST)
def add(request: HttpRequest, actor: Actor, section: Section) -> HttpResponse:
    """「会社を1社加える」."""
    form = NewEntryForm(request.POST) if request.method == "POST" else NewEntryForm()

    def number() -> str:
        return str(form.cleaned_data["supplier_number"])

    return change(
        request,
        actor,
        form,
        title="会社を1社加える",
        changes=lambda: [("業者番号", "", number()), *register.entry_changes(None, form.values())],
        do=lambda deed: register.add_entry(deed=deed, section=section, supplier_number=number(), values=form.values()),
        done_url=_supplier_url(section, number()) if form.is_bound and form.is_valid() else _search_url(section),
        trail=trail(section),
    )


@require_http_methods(GET_POST)
def change_entry(request: HttpRequest, actor: Actor, section: Section, supplier_number: str) -> HttpResponse:
    """「内容を変える（変更届）」."""
    found = _supplier_or_404(section, supplier_number)
    form = EntryForm(request.POST, supplier=found) if request.method == "POST" else EntryForm(supplier=found)
    return _change(
        request,
        actor,
        found,
        form,
        title="名簿の内容を変える",
        changes=lambda: register.entry_changes(found, form.values()),
        do=lambda deed: register.change_entry(
            deed=deed, section=section, supplier_number=supplier_number, values=form.values()
        ),
        values=lambda: form.values(),
    )


@require_http_methods(GET_POST)
def suspend(request: HttpRequest, actor: Actor, section: Section, supplier_number: str) -> HttpResponse:
    """「指名停止にする」."""
    found = _supplier_or_404(section, supplier_number)
    if deed_is_done(request):
        return redirect(f"{supplier_url(found)}?done")
    register.refuse_to_suspend(found)
    kept = {"first": found.suspended_from, "last": found.suspended_until}
    form = SuspensionForm(request.POST) if request.method == "POST" else SuspensionForm(initial=kept)

    def days() -> dict[str, Any]:
        return {"first": form.cleaned_data["first"], "last": form.cleaned_data["last"]}

    return _change(
        request,
        actor,
        found,
        form,
        title="指名停止の期間を変える" if register.has_suspension(found) else "指名停止にする",
        changes=lambda: register.entry_changes(found, register.suspension(**days())),
        do=lambda deed: register.suspend(deed=deed, section=section, supplier_number=supplier_number, **days()),
        values=lambda: register.suspension(**days()),
    )


@require_http_methods(GET_POST)
def lift(request: HttpRequest, actor: Actor, section: Section, supplier_number: str) -> HttpResponse:
    """「指名停止を解除する」."""
    return _plain(
        request,
        actor,
        section,
        supplier_number,
        title="指名停止を解除する",
        refuse=register.refuse_to_lift,
        values=register.LIFTING,
        act=register.lift_suspension,
    )


@require_http_methods(GET_POST)
def end(request: HttpRequest, actor: Actor, section: Section, supplier_number: str) -> HttpResponse:
    """「資格を終了する」."""
    return _plain(
        request,
        actor,
        section,
        supplier_number,
        title="資格を終了する",
        refuse=register.refuse_to_suspend,
        values=register.ENDING,
        act=register.end_entry,
    )


@require_http_methods(GET_POST)
def restore(request: HttpRequest, actor: Actor, section: Section, supplier_number: str) -> HttpResponse:
    """「名簿に戻す」."""
    return _plain(
        request,
        actor,
        section,
        supplier_number,
        title="名簿に戻す",
        refuse=register.refuse_to_restore,
        values=register.RESTORING,
        act=register.restore_entry,
    )


@require_http_methods(GET_POST)
def set_login(request: HttpRequest, actor: Actor, section: Section, supplier_number: str) -> HttpResponse:
    """「検索のユーザIDとパスワードを決める」."""
    found = _supplier_or_404(section, supplier_number)
    if deed_is_done(request):
        return redirect(f"{supplier_url(found)}?done")
    register.refuse_to_suspend(found)
    proposed = {"login_id": found.login_id or found.supplier_number, "password": register.new_password()}
    form = LoginForm(request.POST) if request.method == "POST" else LoginForm(initial=proposed)

    def login() -> dict[str, str]:
        return {name: form.cleaned_data[name] for name in ("login_id", "password")}

    return change(
        request,
        actor,
        form,
        title="検索のユーザIDとパスワードを決める",
        changes=lambda: register.login_changes(found, login()["login_id"]),
        do=lambda deed: register.set_login(deed=deed, section=section, supplier_number=supplier_number, **login()),
        done_url=supplier_url(found),
        template="registration/staff_register_login.html",
        check_template="registration/staff_register_login_check.html",
        trail=[*trail(section), (supplier_url(found), found.name)],
        supplier=found,
        asked=section.agency.lookup_needs_password,
    )


@require_http_methods(GET_POST)
def settle(request: HttpRequest, actor: Actor, section: Section, supplier_number: str) -> HttpResponse:
    """「確認済みにする」."""
    found = _supplier_or_404(section, supplier_number)
    if deed_is_done(request):
        return redirect(f"{supplier_url(found)}?done")
    if suppliers.open_mark(found) is None:
        raise Http404
    return _change(
        request,
        actor,
        found,
        PlainForm(request.POST) if request.method == "POST" else PlainForm(),
        title="名簿の変更の影響を確認済みにする",
        changes=lambda: register.SETTLING,
        do=lambda deed: register.settle(deed=deed, section=section, supplier_number=supplier_number),
    )


def _plain(
    request: HttpRequest,
    actor: Actor,
    section: Section,
    supplier_number: str,
    *,
    title: str,
    refuse: Callable[[Supplier], None],
    values: Mapping[str, Any],
    act: Callable[..., None],
) -> HttpResponse:
    """Answer a step of a change that has nothing to type but its reason."""
    found = _supplier_or_404(section, supplier_number)
    if deed_is_done(request):
        return redirect(f"{supplier_url(found)}?done")
    refuse(found)
    return _change(
        request,
        actor,
        found,
        PlainForm(request.POST) if request.method == "POST" else PlainForm(),
        title=title,
        changes=lambda: register.entry_changes(found, values),
        do=lambda deed: act(deed=deed, section=section, supplier_number=supplier_number),
        values=lambda: values,
    )


def _change(
    request: HttpRequest,
    actor: Actor,
    found: Supplier,
    form: Reasoned,
    *,
    title: str,
    changes: Callable[[], Sequence[Change]],
    do: Callable[[Deed], object],
    values: Callable[[], Mapping[str, Any]] | None = None,
) -> HttpResponse:
    """Answer a step of a change of one company, which says beside it what the company will be told."""
    told: list[str] = []
    cards = queries.living_cards_among([found.id]).get(found.id, 0)
    if values is not None and cards and request.method == "POST" and form.is_valid():
        told = [register.TOLD_NAMES[kind] for kind in register.would_tell(found, values())]
    return change(
        request,
        actor,
        form,
        title=title,
        changes=changes,
        do=do,
        done_url=supplier_url(found),
        template="registration/staff_register_form.html",
        check_template="registration/staff_register_check.html",
        trail=[*trail(found.section), (supplier_url(found), found.name)],
        supplier=found,
        section=found.section,
        cards=cards,
        told=told,
    )


# -- what a page shows


def waiting(actor: Actor, now: datetime) -> str:
    """Return how many companies wait to be looked at, for the start page; "" for none."""
    count = suppliers.count_open_marks(actor.agency)
    return f"名簿の変更に関わる利用者登録の確認待ち　{count}社" if count else ""


def trail(section: Section) -> list[tuple[str, str]]:
    """Return the way to a page of this register: address and name of each page above it."""
    return [
        (reverse("staff-register"), "登録業者名簿"),
        (_search_url(section), f"{section.agency.name}　{Category(section.category).label}"),
    ]


def supplier_url(found: Supplier) -> str:
    """Return the address of a company's page."""
    return _supplier_url(found.section, found.supplier_number)


def today() -> date:
    """Return the day by which the rules judge."""
    return agencies.rules_time(clock.now()).astimezone(JST).date()


def page_number(request: HttpRequest, name: str = "page") -> int:
    """Return the page that the address asks for; the first one for what is no number."""
    typed = request.GET.get(name, "1")
    return max(int(typed), 1) if typed.isascii() and typed.isdecimal() and len(typed) < 6 else 1


def standing_shown(found: Supplier, on: date) -> str:
    """Return how a company stands on this day, in a few words."""
    facts = suppliers.facts(found)
    if facts.status == "ended":
        return "資格終了"
    said = []
    if rules.suspended(facts, on=on):
        said.append("指名停止中")
    elif found.suspended_from and found.suspended_from > on:
        said.append("指名停止の予定")
    if facts.valid_until and facts.valid_until < on:
        said.append("有効期間が終わっています")
    elif facts.valid_from and facts.valid_from > on:
        said.append("有効期間の前")
    return "、".join(said) or "有効"


def _supplier_url(section: Section, supplier_number: str) -> str:
    place = [section.agency.code, Category(section.category), supplier_number]
    return reverse("staff-register-supplier", args=place)


def _search_url(section: Section) -> str:
    return reverse("staff-register-section", args=[section.agency.code, Category(section.category)])


def _supplier_or_404(section: Section, supplier_number: str) -> Supplier:
    found = suppliers.find(section=section, supplier_number=supplier_number)
    if found is None:
        raise Http404
    return found


def _rows(found: Supplier, *, sees_persons: bool) -> list[tuple[str, str]]:
    rows = [("業者番号", found.supplier_number)]
    for column in ENTRY_COLUMNS:
        value = getattr(found, column)
        if column == "delegate":
            rows += [(DELEGATE_NAMES[key], value[key]) for key in DELEGATE_NAMES if value.get(key)]
        else:
            rows.append((NAMES[column], entries.value_shown(column, value)))
    return [row for row in rows if sees_persons or row[0] not in register.PERSONAL]


def _cards(registration: Registration) -> list[tuple[str, int]]:
    """Return how many cards the registration has in each state."""
    states = list(RegisteredCard.objects.filter(registration=registration).values_list("status", flat=True))
    return [(status.label, states.count(status)) for status in CardStatus if status in states]


def _overrides(registration: Registration, *, sees_persons: bool) -> list[tuple[str, str, str, bool]]:
    """Return what 変更 has put in the register's place: item, the register's, the company's, whether that counts."""
    by_register = suppliers.company_shown(registration.supplier)
    company = queries.company_of(registration)
    changes = registration.company_changes
    return [
        (item, by_register[name], changes[name]["value"], company[name] == changes[name]["value"])
        for name, item in OVERRIDES.items()
        if name in changes and (sees_persons or name not in PERSONAL_OVERRIDES)
    ]
