"""The contractor's 利用者変更: from the menu's 「変更」 to what is changed, the codes of new addresses, the history (manual 1.3)."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from irefuda.agencies.models import Category, Section
from irefuda.ledger import queries as ledger
from irefuda.registration import auth, changes, queries
from irefuda.registration.changes import State
from irefuda.registration.forms import AddressCode, ChangedCompany, Contact, keep_unchanged
from irefuda.registration.models import CardStatus, DraftKind, Event, RegisteredCard
from irefuda.registration.operations import Answers, Presenter
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
from irefuda.ui import clock
from irefuda_core import documents
from irefuda_core.refusal import Refusal, Refused, refusal

SCREEN = "利用者変更"
STEPS = "利用者変更 変更内容確認 変更完了"
PREFIXES = ("company-", "rep-", "card_office-")
# Answered at the form, whose typed text is kept.
AT_THE_FORM = ("R-141", "R-142")


@require_POST
@in_section
def present(request: HttpRequest, section: Section) -> HttpResponse:
    """Take the card's proof at the way into 変更; only a registered card goes on."""
    prove(request, section)
    auth.require_registered(section=section, fingerprint=request.session["card"]["fingerprint"])
    return go("change-form", section)


class Forms:
    """The three forms of 「利用者変更」 as one: what is registered, or what was typed over it."""

    def __init__(self, state: State, typed: dict[str, str] | None, *, judged: bool) -> None:
        registered = state.answers
        company = registered.company or {}
        fax_required = bool(state.card.section.agency.policy.get("fax_required", True))
        self._state = state
        given = {"fax_required": fax_required}
        begun = {
            "company": {name: company[name] for name in changes.COMPANY_ITEMS},
            "rep": registered.representative,
            "card_office": registered.office,
        }

        def arguments(prefix: str) -> dict[str, Any]:
            if judged:
                return {"data": typed or {}, "prefix": prefix, **given}
            initial = {**begun[prefix], "email_again": begun[prefix].get("email", "")}
            kept = {
                name.partition("-")[2]: value for name, value in (typed or {}).items() if name.startswith(f"{prefix}-")
            }
            return {"initial": {**initial, **kept}, "prefix": prefix, **given}

        self.company = ChangedCompany(**arguments("company"))
        self.representative = Contact(**arguments("rep"))
        self.office = Contact(**arguments("card_office"))
        self.all = (self.company, self.representative, self.office)
        for form in self.all:
            keep_unchanged(form, begun[str(form.prefix)])

    def are_valid(self) -> bool:
        """Return whether nothing has to be corrected; all are asked, so that every mistake is shown at once."""
        return not [form for form in self.all if not form.is_valid()]

    def answers(self) -> Answers:
        """Return what was typed, once all forms are valid."""
        company = {**self._state.company, **self.company.company()}
        return Answers(self.representative.contact(), self.office.contact(), company)


def _typed(request: HttpRequest) -> dict[str, str]:
    return {name: str(value) for name, value in request.POST.items() if name.startswith(PREFIXES)}


@require_http_methods(["GET", "POST"])
@in_section
def enter_changes(request: HttpRequest, section: Section) -> HttpResponse:
    """「利用者変更」: 企業情報, 代表窓口情報, ICカード利用部署情報 as they are registered, to be typed over."""
    now = clock.now()
    rules_now = rules_time(request, now)
    fingerprint = auth.typing_card(request)
    draft = queries.bare_draft_of(section=section, fingerprint=fingerprint, now=now, kind=DraftKind.CHANGE)
    if request.method == "POST":
        return _take_changes(request, section, now=now, rules_now=rules_now)
    presenter = auth.presenter(request, now=now, saved=draft is not None, screen=SCREEN)
    card = auth.registered_card(section=section, fingerprint=presenter.card.fingerprint)
    state = changes.state_of(card, now=now)
    judged = draft is not None and "mistakes" in request.GET
    typed = draft.typed if draft else None
    forms = Forms(state, typed, judged=judged)
    reasons: list[Refusal] = []
    if draft and (draft.based_on != state.based_on or "changed" in request.GET):
        reasons.append(refusal("R-141"))
    elif judged and forms.are_valid() and not changes.changes_made(state, forms.answers()):
        reasons.append(refusal("R-142"))
    return page(
        request,
        "change_form",
        section,
        state=state,
        forms=forms,
        reasons=reasons,
        differing=_differing(state, typed or {}),
        company=state.company,
        supplier=card.registration.supplier,
        registered=card,
        card=presenter.card,
        steps=STEPS,
        show_errors=judged or bool(reasons),
    )


def _take_changes(request: HttpRequest, section: Section, *, now: datetime, rules_now: datetime) -> HttpResponse:
    """Judge what was typed; it is kept before anything is refused, and every mistake is shown by a GET."""
    _same_card(request)
    typed, based_on = _typed(request), request.POST.get("based_on", "")
    fingerprint = auth.typing_card(request)
    card = queries.card_of(section=section, fingerprint=fingerprint) if fingerprint else None
    saved = card is not None and card.status == CardStatus.ACTIVE
    try:
        presenter = auth.presenter(request, now=now, saved=saved, screen=SCREEN)
        state = changes.state_of(auth.active(card), now=now)
        auth.require_open(section, rules_now=rules_now)
    except Refused:
        # The session, the hours or the certificate ended meanwhile: what was typed must outlive that.
        if card is not None and saved:
            changes.keep_typed(card=card, typed=typed, based_on=based_on, now=now)
        raise
    forms = Forms(state, typed, judged=True)
    if forms.are_valid():
        try:
            changes.prepare_change(
                state=state,
                presenter=presenter,
                answers=forms.answers(),
                typed=typed,
                based_on=based_on,
                rules_now=rules_now,
                now=now,
            )
        except Refused as refused:
            if refused.refusals[0].code not in AT_THE_FORM:
                raise
            count_refused(request, section, refused)
        else:
            return go("change-check", section)
    else:
        changes.keep_typed(card=state.card, typed=typed, based_on=based_on, now=now)
    return redirect(f"{request.path}?mistakes")


def _same_card(request: HttpRequest) -> None:
    """Let a page go on only for the card that it was made for: another may have come in from another tab meanwhile.

    :raises Refused: R-158
    """
    now_in = auth.typing_card(request)
    if now_in and request.POST.get("fingerprint", now_in) != now_in:
        raise Refused(refusal("R-158"))


def _differing(state: State, typed: dict[str, str]) -> list[dict[str, str]]:
    """Return every item whose typed text is another one than what is registered, with both and its place in the form."""
    registered = changes.values_of(state.answers)
    found = []
    for key, label in changes.LABELS.items():
        block = next((block for block in changes.BLOCKS if key.startswith(f"{block}_")), "company")
        name = f"{block}-{key.removeprefix(f'{block}_')}"
        if name in typed and typed[name] != registered[key]:
            found.append({"label": label, "before": registered[key], "after": typed[name], "field": f"id_{name}"})
    return found


@require_GET
@in_section
def check_changes(request: HttpRequest, section: Section) -> HttpResponse:
    """「変更内容確認」: everything, and what changes marked with its value before and after."""
    now = clock.now()
    presenter = auth.presenter(request, now=now, screen=SCREEN)
    card = auth.registered_card(section=section, fingerprint=presenter.card.fingerprint)
    draft = queries.bare_draft_of(section=section, fingerprint=card.fingerprint, now=now, kind=DraftKind.CHANGE)
    state = changes.state_of(card, now=now)
    if draft is None or not draft.document or draft.based_on != state.based_on:
        return go("change-form", section)
    try:
        document = documents.read_document(
            draft.document.encode(), realm=settings.REALM, origin=settings.SUPPLIER_ORIGIN
        )
    except documents.UnknownDocument:
        # Written before the site moved or the document's form changed: it is made again.
        return go("change-form", section)
    if document.values["person_in_charge"] != presenter.person_in_charge:
        changes.renew_document(draft=draft, presenter=presenter, rules_now=rules_time(request, now), now=now)
        return go("change-check", section)
    return page(
        request,
        "change_check",
        section,
        draft=draft,
        sections=_with_former(state, document),
        state=state,
        document=document,
        card=presenter.card,
        steps=STEPS,
        document_type=documents.registration_change.name,
        new_addresses=_new_addresses(state, document),
    )


def _with_former(state: State, document: documents.Document) -> list[tuple[str, list[tuple[str, str, str | None]]]]:
    """Return the document section by section: name, value, and the former value where that is another one."""
    former = changes.values_of(state.answers)
    sections: dict[str, list[tuple[str, str, str | None]]] = {}
    for field in document.type.fields:
        value = document.values[field.key]
        if field.section == "変更の内容" or (field.key == "qualifications" and not value):
            continue
        before = former.get(field.key, value)
        sections.setdefault(field.section, []).append((field.label, value, before if before != value else None))
    return list(sections.items())


def _new_addresses(state: State, document: documents.Document) -> list[str]:
    """Return the mail addresses that will count only when their code was typed."""
    in_force = {block: contact["email"] for block, contact in state.contacts.items()}
    wanted = {block: document.values[f"{block}_email"] for block in changes.BLOCKS}
    return list(dict.fromkeys(address for block, address in wanted.items() if address != in_force[block]))


@require_POST
@in_section
def change(request: HttpRequest, section: Section) -> HttpResponse:
    """「変更」: take the signed document."""
    now = clock.now()
    presenter = auth.presenter(request, now=now, screen=SCREEN)
    _same_card(request)
    fingerprint = presenter.card.fingerprint
    try:
        draft_id = uuid.UUID(request.POST.get("draft", ""))
    except ValueError:
        raise Http404 from None
    # A lost answer is given again, also after hours: that is no act.
    event = queries.event_from_draft(section=section, draft_id=draft_id, fingerprint=fingerprint)
    if event is None:
        auth.require_registered(section=section, fingerprint=fingerprint)
        auth.require_open(section, rules_now=rules_time(request, now))
        try:
            event = changes.change_registration(
                section=section,
                presenter=presenter,
                draft_id=draft_id,
                jws=request.POST.get("jws", ""),
                now=now,
                salt=secrets.token_bytes(16),
                codes=(_fresh_code(), _fresh_code()),
            )
        except Refused as refused:
            if refused.refusals[0].code != "R-141":
                raise
            count_refused(request, section, refused)
            return redirect(_address("change-form", section) + "?changed")
    return go("change-done", section, event_id=event.id)


def _fresh_code() -> str:
    return f"{secrets.randbelow(10**6):06d}"


def _own_event(request: HttpRequest, section: Section, event_id: uuid.UUID) -> tuple[Event, Presenter]:
    presenter = auth.presenter(request, now=clock.now())
    event = queries.own_event(section=section, event_id=event_id, fingerprint=presenter.card.fingerprint)
    if event is None:
        raise Http404
    return event, presenter


@require_GET
@in_section
def done(request: HttpRequest, section: Section, event_id: uuid.UUID) -> HttpResponse:
    """Say what was changed, and which new mail address still waits for its code."""
    event, _ = _own_event(request, section, event_id)
    assert event.card is not None
    state = _present_state(event.card)
    return page(request, "change_done", section, event=event, unverified=state.unverified if state else {}, steps=STEPS)


def _present_state(card: RegisteredCard) -> State | None:
    """Return what is registered now, or None for a card that has ended: it may be in anybody's hands."""
    return changes.state_of(card, now=clock.now()) if card.status == CardStatus.ACTIVE else None


def _address(name: str, section: Section, *which: object) -> str:
    return reverse(name, args=[section.agency.code, Category(section.category), *which])


def _print_page(request: HttpRequest, section: Section, event_id: uuid.UUID, **more: Any) -> tuple[Event, HttpResponse]:
    event, presenter = _own_event(request, section, event_id)
    assert event.ledger_entry is not None
    assert event.card is not None
    state = _present_state(event.card)
    document = queries.signed_document(event.document)
    if state:
        document = changes.present_document(state, presenter, person=event.person_in_charge)
    context = {
        "registered": event.card,
        "document": document,
        "changed": state is not None,
        "unverified": state.unverified if state else {},
        "event": event,
        "deed": event,
        # Against the published head only, as for 登録.
        "proof": ledger.proof(event.ledger_entry, clock.now()),
        "pdf_url": _address("change-pdf", section, event_id),
        "receipt_url": _address("change-receipt", section, event_id),
    }
    return event, page(request, "print", section, **context, **more)


@require_GET
@in_section
def print_page(request: HttpRequest, section: Section, event_id: uuid.UUID) -> HttpResponse:
    """「利用者情報」 as it is registered now (with a card that has ended: as it changed it), with the receipt of this 変更."""
    return _print_page(request, section, event_id)[1]


@require_GET
@in_section
def print_pdf(request: HttpRequest, section: Section, event_id: uuid.UUID) -> HttpResponse:
    """Return the same page as a PDF that carries the signed 変更届."""
    event, shown = _print_page(request, section, event_id, pdf=True)
    attachments = {"change.jws": event.document.encode()}
    back_url = _address("change-print", section, event_id)
    return pdf_answer(request, section, shown, attachments=attachments, back_url=back_url)


@require_GET
@in_section
def receipt(request: HttpRequest, section: Section, event_id: uuid.UUID) -> HttpResponse:
    """Return the receipt file of this 変更."""
    event, _ = _own_event(request, section, event_id)
    assert event.ledger_entry is not None
    return receipt_answer(ledger.bundle(entry_id=event.ledger_entry, receipt=event.receipt, now=clock.now()))


# -- メールアドレスの確認


def _registered(request: HttpRequest, section: Section, now: datetime) -> tuple[RegisteredCard, Presenter]:
    presenter = auth.presenter(request, now=now)
    return auth.registered_card(section=section, fingerprint=presenter.card.fingerprint), presenter


@require_http_methods(["GET", "POST"])
@in_section
def verify_address(request: HttpRequest, section: Section) -> HttpResponse:
    """「メールアドレスの確認」: type the code that was sent to a new address.

    Also after hours: the code is good for a day only, and who logged in before may still be typing.
    """
    now = clock.now()
    card, presenter = _registered(request, section, now)
    if request.method == "GET":
        state = changes.state_of(card, now=now)
        said = request.session.get("address", {})
        said = said if said.get("section") == section.id else {}
        waiting = [
            _waiting(
                address, [block for block, row in state.unverified.items() if row.address == address], state, said, now
            )
            for address in dict.fromkeys(row.address for row in state.unverified.values())
        ]
        return page(request, "change_address", section, waiting=waiting, verified=said.get("verified", ""))
    address, form = request.POST.get("address", "")[:100], AddressCode(request.POST)
    kept = {"section": section.id, "address": address, "typed": request.POST.get("code", "")[:100], "errors": []}
    if form.is_valid():
        try:
            event = changes.verify_address(
                card=card, presenter=presenter, address=address, code=form.cleaned_data["code"], now=now
            )
        except Refused as refused:
            count_refused(request, section, refused)
            kept["errors"] = [f"{reason.sentence}{reason.remedy}（{reason.code}）" for reason in refused.refusals]
        else:
            kept = {"section": section.id, "verified": address if event else ""}
    else:
        kept["errors"] = [str(error) for error in form.errors["code"]]
    request.session["address"] = kept
    return go("change-address", section)


def _waiting(address: str, blocks: list[str], state: State, said: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return what the page says of one address that waits for its code."""
    row = state.unverified[blocks[0]]
    mine = said if said.get("address") == address else {}
    form = AddressCode({"code": mine["typed"]}) if mine.get("errors") else AddressCode()
    if mine.get("errors"):
        form.full_clean()
        form.errors.pop("code", None)
        for error in mine["errors"]:
            form.add_error("code", error)
    over = "R-147" if row.expires_at <= now else "R-146" if row.tries_left == 0 else ""
    return {
        "address": address,
        "blocks": [changes.BLOCKS[block] for block in blocks],
        "former": dict.fromkeys(state.contacts[block]["email"] for block in blocks),
        "row": row,
        "form": form,
        "over": refusal(over) if over else None,
        "sent_again": mine.get("sent_again", False),
        "not_sent": mine.get("not_sent", []),
    }


@require_POST
@in_section
def send_code(request: HttpRequest, section: Section) -> HttpResponse:
    """「確認コードをもう一度送る」."""
    now = clock.now()
    card, _ = _registered(request, section, now)
    address = request.POST.get("address", "")[:100]
    kept: dict[str, Any] = {"section": section.id, "address": address, "typed": "", "errors": [], "sent_again": True}
    try:
        changes.send_code_again(card=card, address=address, code=_fresh_code(), now=now)
    except Refused as refused:
        count_refused(request, section, refused)
        # About the mail, not about what stands in the field.
        kept["not_sent"] = [f"{reason.sentence}{reason.remedy}（{reason.code}）" for reason in refused.refusals]
        kept["sent_again"] = False
    request.session["address"] = kept
    return go("change-address", section)


# -- 変更の履歴


@require_GET
@in_section
def history(request: HttpRequest, section: Section) -> HttpResponse:
    """「変更の履歴」: who did what when, with which card, and what was before and after."""
    card, _ = _registered(request, section, clock.now())
    return page(
        request,
        "change_history",
        section,
        events=queries.history(card.registration),
        shown_at_most=queries.HISTORY_SHOWN,
        registered=card,
        registration=card.registration,
    )
