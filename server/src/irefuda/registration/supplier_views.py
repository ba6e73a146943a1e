"""The contractor's way from the menu to a registered card, and in with it (manual 1.1, 1.2)."""

from __future__ import annotations

import secrets
import uuid
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from irefuda.agencies.models import Category, Section
from irefuda.ledger import queries as ledger
from irefuda.notices import queries as inboxes
from irefuda.registration import account, auth, changes, operations, queries, renewals
from irefuda.registration.forms import Contact, SupplierLookup
from irefuda.registration.models import HALTED, CardStatus, Draft, RegisteredCard
from irefuda.registration.section_pages import (
    count_refused,
    go,
    in_section,
    page,
    pdf_answer,
    prove,
    receipt_answer,
    rules_time,
)
from irefuda.suppliers import queries as suppliers
from irefuda.ui import clock
from irefuda.ui.clock import JST
from irefuda.ui.pages import refusal_page
from irefuda_core import documents
from irefuda_core import registration as rules
from irefuda_core.card_life import days_left
from irefuda_core.refusal import Refusal, Refused, refusal


@require_GET
@in_section
def choose(request: HttpRequest, section: Section) -> HttpResponse:
    """Offer 「利用者登録」 and 「電子入札」."""
    return page(request, "choose", section)


@require_GET
@in_section
def top(request: HttpRequest, section: Section) -> HttpResponse:
    """Show the clock and 「利用者登録処理」."""
    return page(request, "top", section)


@require_GET
@in_section
def menu(request: HttpRequest, section: Section) -> HttpResponse:
    """Offer 「登録」, 「変更」, 「ICカード更新」."""
    return page(request, "menu", section)


@require_POST
@in_section
def present(request: HttpRequest, section: Section) -> HttpResponse:
    """Take the card's proof at the way into 登録; a card that is registered here already hears it before it types anything."""
    prove(request, section)
    standing = queries.card_standing(section=section, fingerprint=request.session["card"]["fingerprint"])
    if standing == CardStatus.ACTIVE:
        return _registered_already(request, section)
    # One that has ended may be registered again: for which company, 資格審査情報検索 says.
    if standing in (CardStatus.PROVISIONAL, HALTED):
        operations.refuse_unless_active(standing)
    return go("registration-lookup", section)


def _registered_already(request: HttpRequest, section: Section) -> HttpResponse:
    refused = Refused(refusal("R-105"))
    count_refused(request, section, refused)
    place = [section.agency.code, Category(section.category)]
    return refusal_page(
        request,
        refused.refusals,
        ways=[(reverse("start", args=place), "電子入札"), (reverse("change-form", args=place), "変更")],
        section=section,
        back_url=reverse("registration-menu", args=place),
        back_label="利用者登録メニューに戻る",
    )


@require_http_methods(["GET", "POST"])
@in_section
def look_up(request: HttpRequest, section: Section) -> HttpResponse:
    """資格審査情報検索."""
    now = clock.now()
    # Number and name are kept in the session, so without one they are not.
    presenter = auth.presenter(request, now=now, saved=False if request.method == "POST" else None)
    needs_password = section.agency.lookup_needs_password
    if request.method == "GET":
        fingerprint = presenter.card.fingerprint
        registered = queries.card_of(section=section, fingerprint=fingerprint)
        if registered is not None and registered.status in queries.LIVING:
            # The back button leads here from 登録完了, to a form that asks for what is done.
            return go("registration-done", section, card_id=registered.id)
        draft = queries.draft_of(section=section, fingerprint=fingerprint, now=now)
        form, reasons = _lookup_shown(request, section, needs_password=needs_password)
        return page(request, "lookup", section, form=form, draft=draft, reasons=reasons, card=presenter.card)
    form = SupplierLookup(request.POST, needs_password=needs_password)
    rules_now = rules_time(request, now)
    try:
        auth.require_open(section, rules_now=rules_now)
        if form.is_valid():
            lookup = operations.Lookup(**form.cleaned_data)
            draft = operations.look_up(
                section=section, presenter=presenter, lookup=lookup, rules_now=rules_now, now=now
            )
            request.session.pop("lookup", None)
            carried = request.session.pop("carry_over", {})
            if carried.get("section") == section.id:
                card_id = uuid.UUID(carried["card"])
                account.carry_over(draft=draft, fingerprint=presenter.card.fingerprint, card_id=card_id, now=now)
            return go("registration-contacts", section)
    except Refused as refused:
        _keep_lookup(request, section, form, answer=refused.refusals[0].code)
        if refused.refusals[0].code != "R-102":
            raise
        count_refused(request, section, refused)
    else:
        _keep_lookup(request, section, form, answer="mistakes")
    # A mistake is answered by a GET as well: the back button never asks to send a form again, and no try counts twice.
    return go("registration-lookup", section)


def _keep_lookup(request: HttpRequest, section: Section, form: SupplierLookup, *, answer: str) -> None:
    """Keep what was typed, and of a password only what was wrong with it, for the form when it is shown again."""
    request.session["lookup"] = {
        "section": section.id,
        "typed": {name: request.POST.get(name, "")[:1000] for name in form.fields if name != "password"},
        "password_errors": [str(error) for error in form.errors.get("password", ())],
        "answer": answer,
    }


def _lookup_shown(
    request: HttpRequest, section: Section, *, needs_password: bool
) -> tuple[SupplierLookup, tuple[Refusal, ...]]:
    """Return the form as it was last sent, with what was wrong; empty before that."""
    kept = request.session.get("lookup", {})
    if kept.get("section") != section.id:
        return SupplierLookup(needs_password=needs_password), ()
    if kept["answer"] == "mistakes":
        form = SupplierLookup(kept["typed"], needs_password=needs_password)
        form.errors.pop("password", None)
        for error in kept["password_errors"] if needs_password else ():
            form.add_error("password", error)
        return form, ()
    reasons = (refusal("R-102"),) if kept["answer"] == "R-102" else ()
    return SupplierLookup(initial=kept["typed"], needs_password=needs_password), reasons


def _contact(section: Section, prefix: str, typed: dict[str, str], *, judged: bool) -> Contact:
    """Return one contact block with what was typed; errors are shown once 「入力内容確認」 was pressed."""
    fax_required = bool(section.agency.policy.get("fax_required", True))
    if judged:
        return Contact(typed, prefix=prefix, fax_required=fax_required)
    initial = {name: typed.get(f"{prefix}-{name}", "") for name in Contact.base_fields}
    return Contact(initial=initial, prefix=prefix, fax_required=fax_required)


def _typed(request: HttpRequest, known: dict[str, str] | None) -> dict[str, str]:
    """Return what was typed into both blocks; a mark at 「代表窓口情報と同じ」 copies the one into the other."""
    typed = {name: str(value) for name, value in request.POST.items() if name.startswith(("rep-", "card_office-"))}
    # Without either there is nothing to copy from: 代表窓口 is not asked, and what it is was not looked up.
    if "same" in request.POST and (known or any(name.startswith("rep-") for name in typed)):
        typed["same"] = "1"
        for name in Contact.base_fields:
            same = known[name.removesuffix("_again")] if known else typed.get(f"rep-{name}", "")
            typed[f"card_office-{name}"] = same
    return typed


def _same_company(request: HttpRequest, draft: Draft) -> None:
    """Let the form go on only for the company that it showed: another tab may have looked up another one meanwhile.

    :raises Refused: R-127
    """
    if request.POST.get("supplier", draft.supplier.supplier_number) != draft.supplier.supplier_number:
        raise Refused(refusal("R-127", company=draft.supplier.name))


@require_http_methods(["GET", "POST"])
@in_section
def enter_contacts(request: HttpRequest, section: Section) -> HttpResponse:
    """「利用者登録」: 企業情報, 代表窓口情報, ICカード利用部署情報."""
    now = clock.now()
    draft, registration = queries.draft_and_registration(
        section=section, fingerprint=auth.typing_card(request), now=now
    )
    rules_now = rules_time(request, now)
    known = None
    try:
        presenter = auth.presenter(request, now=now, saved=draft is not None)
        if draft is None:
            return go("registration-lookup", section)
        company = operations.company_known(
            draft=draft, registration=registration, section=section, presenter=presenter, rules_now=rules_now
        )
        known = company.representative
        if request.method == "POST":
            _same_company(request, draft)
            auth.require_open(section, rules_now=rules_now)
    except Refused:
        # The session or the hours ended, or card or company may not act at this moment: what was typed must outlive that.
        if draft and request.method == "POST":
            operations.keep_typed(draft=draft, typed=_typed(request, known), now=now)
        raise
    typed = _typed(request, known) if request.method == "POST" else draft.typed
    judged = request.method == "POST" or "mistakes" in request.GET
    representative = _contact(section, "rep", typed, judged=judged)
    # What is wrong in a copy is told where it was typed.
    copied = "same" in typed and known is None
    office = _contact(section, "card_office", typed, judged=judged and (request.method == "POST" or not copied))
    if request.method == "POST":
        # Both are asked, so that every mistake is shown at once.
        if all([office.is_valid(), known is not None or representative.is_valid()]):
            answers = operations.Answers(known or representative.contact(), office.contact(), company.company)
            operations.prepare_document(
                section=section,
                draft=draft,
                presenter=presenter,
                answers=answers,
                typed=typed,
                rules_now=rules_now,
                now=now,
            )
            return go("registration-check", section)
        operations.keep_typed(draft=draft, typed=typed, now=now)
        # The mistakes are shown by a GET, from the draft: the back button never asks to send the form again.
        return redirect(f"{request.path}?mistakes")
    return page(
        request,
        "contacts",
        section,
        representative=representative,
        office_form=office,
        known=known,
        company=company.company,
        supplier=draft.supplier,
        card=presenter.card,
        show_errors=judged,
        same="same" in typed,
    )


@require_GET
@in_section
def check_answers(request: HttpRequest, section: Section) -> HttpResponse:
    """「登録内容確認」."""
    now = clock.now()
    presenter = auth.presenter(request, now=now)
    draft = queries.draft_of(section=section, fingerprint=presenter.card.fingerprint, now=now)
    if draft is None or not draft.document:
        return go("registration-contacts", section)
    try:
        document = documents.read_document(
            draft.document.encode(), realm=settings.REALM, origin=settings.SUPPLIER_ORIGIN
        )
    except documents.UnknownDocument:
        # Written before the site moved or the document's form changed: it is made again.
        return go("registration-contacts", section)
    if document.values["person_in_charge"] != presenter.person_in_charge:
        rules_now = rules_time(request, now)
        operations.renew_document(draft=draft, presenter=presenter, rules_now=rules_now, now=now)
        return go("registration-check", section)
    return page(
        request,
        "check",
        section,
        draft=draft,
        document=document,
        headings=("代表窓口情報", "ICカード利用部署情報") if "rep-email" in draft.typed else ("ICカード利用部署情報",),
        supplier=draft.supplier,
        card=presenter.card,
        names=queries.names_beside(card=presenter.card, supplier=draft.supplier, demo=presenter.demo),
        document_type=documents.registration_application.name,
    )


@require_POST
@in_section
def register(request: HttpRequest, section: Section) -> HttpResponse:
    """「登録」: take the signed application."""
    now = clock.now()
    presenter = auth.presenter(request, now=now)
    try:
        draft_id = uuid.UUID(request.POST.get("draft", ""))
    except ValueError:
        raise Http404 from None
    rules_now = rules_time(request, now)
    try:
        auth.require_open(section, rules_now=rules_now)
    except Refused:
        # A lost answer is given again, also after hours: that is no act. Within hours the operation gives it.
        fingerprint = presenter.card.fingerprint
        if done := queries.card_id_from_draft(section=section, draft_id=draft_id, fingerprint=fingerprint):
            return go("registration-done", section, card_id=done)
        raise
    card = operations.register_card(
        section=section,
        presenter=presenter,
        draft_id=draft_id,
        jws=request.POST.get("jws", ""),
        rules_now=rules_now,
        now=now,
        salt=secrets.token_bytes(16),
    )
    return go("registration-done", section, card_id=card.id)


def _own_card(request: HttpRequest, section: Section, card_id: uuid.UUID) -> RegisteredCard:
    presenter = auth.presenter(request, now=clock.now())
    card = queries.card_by_id(section=section, card_id=card_id, fingerprint=presenter.card.fingerprint)
    if card is None:
        raise Http404
    return card


@require_GET
@in_section
def done(request: HttpRequest, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """Say that the card is registered, and what comes next."""
    card = _own_card(request, section, card_id)
    return page(request, "done", section, registered=card)


def _print_page(
    request: HttpRequest, section: Section, card_id: uuid.UUID, **more: Any
) -> tuple[RegisteredCard, HttpResponse]:
    presenter = auth.presenter(request, now=clock.now())
    card = queries.own_card(section=section, card_id=card_id, fingerprint=presenter.card.fingerprint)
    if card is None:
        raise Http404
    document, unverified = renewals.user_information(card), {}
    # A card that waits need not be the company's; one that has ended may be in anybody's hands.
    in_use = card.status == CardStatus.ACTIVE
    if changed := bool(card.changes or card.registration.changes) and in_use:
        state = changes.state_of(card, now=clock.now())
        document = changes.present_document(state, presenter, person=card.person_in_charge)
        unverified = state.unverified
    context = {
        "registered": card,
        "document": document,
        "changed": changed,
        "unverified": unverified,
        "deed": card,
        # Against the published head only: a place in a newer one would tell how many others have applied meanwhile.
        "proof": ledger.proof(card.ledger_entry, clock.now()),
        "pdf_url": _address("registration-pdf", section, card_id),
        "receipt_url": _address("registration-receipt", section, card_id),
        "event": None,
        "pdf": False,
        **more,
    }
    return card, page(request, "print", section, **context)


def _address(name: str, section: Section, card_id: uuid.UUID) -> str:
    return reverse(name, args=[section.agency.code, Category(section.category), card_id])


def _signed_by_cards(card: RegisteredCard) -> dict[str, bytes]:
    """Return what the card has signed, by the name of its file; at ICカード更新 the old card too."""
    signed = {"application.jws": card.application.encode()}
    return signed | {"handover.jws": card.handover.encode()} if card.handover else signed


@require_GET
@in_section
def print_page(request: HttpRequest, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """「利用者情報」 for the printer, with the receipt; the proof appears at the same address."""
    return _print_page(request, section, card_id)[1]


@require_GET
@in_section
def print_pdf(request: HttpRequest, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """Return the same page as a PDF that carries the signed application."""
    card, shown = _print_page(request, section, card_id, pdf=True)
    attachments = _signed_by_cards(card)
    back_url = _address("registration-print", section, card_id)
    return pdf_answer(request, section, shown, attachments=attachments, back_url=back_url)


@require_GET
@in_section
def receipt(request: HttpRequest, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """Return the receipt file that `irefuda-verify receipt` checks offline."""
    card = _own_card(request, section, card_id)
    return receipt_answer(queries.receipt_bundle(card, now=clock.now()))


@require_http_methods(["GET", "POST"])
@in_section
def log_in(request: HttpRequest, section: Section) -> HttpResponse:
    """「電子入札」: in with a registered card."""
    if request.method == "GET":
        return page(request, "login", section)
    prove(request, section)
    fingerprint = request.session["card"]["fingerprint"]
    auth.require_registered(section=section, fingerprint=fingerprint)
    return go("start", section)


@require_GET
@in_section
def start(request: HttpRequest, section: Section) -> HttpResponse:
    """Show who is logged in, until when the card lasts, and the 利用者情報."""
    now = clock.now()
    presenter = auth.presenter(request, now=now)
    card = auth.registered_card(section=section, fingerprint=presenter.card.fingerprint)
    state = changes.state_of(card, now=now)
    return page(
        request,
        "start",
        section,
        registered=card,
        registration=card.registration,
        person=presenter.person_in_charge,
        expires_in_days=days_left(card.expires_at, now=now),
        qualification=rules.qualification(
            suppliers.facts(card.registration.supplier), on=rules_time(request, now).astimezone(JST).date()
        ),
        unread=inboxes.unread(account.inbox_of(fingerprint=presenter.card.fingerprint)),
        company=state.company,
        unverified=state.unverified,
        undelivered=changes.undelivered(state),
    )


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session and say so."""
    request.session.flush()
    return render(request, "registration/logged_out.html")
