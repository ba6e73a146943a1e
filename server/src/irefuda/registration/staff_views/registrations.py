"""「利用者登録」 and 「確認待ち」 for staff: finding a company, seeing all of it, and deciding about its cards."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Category, Section
from irefuda.registration import decisions, overview, queries
from irefuda.registration.models import CardStatus, Event, EventKind, RegisteredCard, Registration
from irefuda.registration.staff_views.registration_forms import Approval, Decision, RegistrationSearch, Rejection
from irefuda.staff import auth
from irefuda.staff import queries as staff
from irefuda.staff.forms import Reasoned
from irefuda.staff.models import Role
from irefuda.staff.operations import Actor, Change, Deed
from irefuda.staff.views import change, deed_is_done
from irefuda.ui import clock
from irefuda_core.refusal import Refusal, Refused

GET_POST = ["GET", "POST"]
# Who sees addresses, telephones and names of people; ヘルプデスク helps without them.
SEES_PERSONS = frozenset({Role.CONTRACTS, Role.AUDITOR})
Trail = list[tuple[str, str]]


def waiting(actor: Actor, now: datetime) -> str:
    """Return how many cards wait for a word, for the start page."""
    return overview.waiting_shown(actor.agency)


def _may_decide(actor: Actor) -> bool:
    return auth.opens(actor, "staff-review-approve")


def _place(section: Section) -> list[str]:
    return [section.agency.code, Category(section.category)]


def _section_name(section: Section) -> str:
    return f"{section.agency.name}　{section.get_category_display()}"


def _trail(section: Section, registration: Registration | None = None) -> Trail:
    place = _place(section)
    trail = [
        (reverse("staff-registrations"), "利用者登録"),
        (reverse("staff-registrations-section", args=place), _section_name(section)),
    ]
    if registration is not None:
        name = registration.supplier.name
        trail.append((reverse("staff-registration", args=[*place, registration.id]), name))
    return trail


@require_GET
def choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show whose registrations this member may look at."""
    found = [section for section in agencies.sections() if actor.may_see(section.agency)]
    return render(request, "registration/staff_registration_choose.html", {"actor": actor, "sections": found})


@require_GET
def search(request: HttpRequest, actor: Actor, section: Section) -> HttpResponse:
    """Show the registrations of a section that fit what was typed."""
    form = RegistrationSearch(request.GET or None)
    after = request.GET.get("after", "")
    found = None
    if not form.is_bound or form.is_valid():
        asked = form.cleaned_data if form.is_bound else {}
        found = overview.find(
            section=section,
            typed=asked.get("q", ""),
            state=asked.get("state", ""),
            after=int(after) if after.isascii() and after.isdigit() and len(after) < 11 else 0,
        )
    context = {"actor": actor, "section": section, "form": form, "found": found, "show_errors": form.is_bound}
    return render(request, "registration/staff_registration_search.html", context)


@require_GET
def show(request: HttpRequest, actor: Actor, section: Section, number: int) -> HttpResponse:
    """Show one registration: the company, its cards, what happened, and whether mail arrives."""
    registration = _registration(section, number)
    personal = bool(actor.roles & SEES_PERSONS)
    context = {
        "actor": actor,
        "section": section,
        "registration": registration,
        "sheet": overview.sheet(registration, personal=personal, now=clock.now()),
        "acts": staff.acts(decisions.subject_of(registration)) if personal else [],
        "may_decide": _may_decide(actor),
        "may_review": auth.opens(actor, "staff-review"),
        "may_see_register": auth.opens(actor, "staff-register-supplier"),
        "trail": _trail(section),
    }
    return render(request, "registration/staff_registration.html", context)


def _registration(section: Section, number: int) -> Registration:
    registration = queries.registration_in(section=section, number=number)
    if registration is None:
        raise Http404
    return registration


def _card(section: Section, card_id: uuid.UUID) -> RegisteredCard:
    card = queries.card_of_section(section=section, card_id=card_id)
    if card is None:
        raise Http404
    return card


@require_GET
def document(request: HttpRequest, actor: Actor, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """Show what a card signed when it was registered, and check it anew."""
    card = _card(section, card_id)
    context = {
        "title": "署名された申請書",
        "document": queries.application_of(card),
        "handover": queries.signed_document(card.handover) if card.handover else None,
        "entry": card.ledger_entry,
        "checked": overview.verify(
            card.application, entry_id=card.ledger_entry, fingerprint=card.fingerprint, now=clock.now()
        ),
    }
    return _document(request, actor, section, card, context)


@require_GET
def change_document(request: HttpRequest, actor: Actor, section: Section, event_id: uuid.UUID) -> HttpResponse:
    """Show a 変更届 that a card signed, and check it anew."""
    found = Event.objects.select_related("card__registration__supplier")
    event = found.filter(id=event_id, kind=EventKind.CHANGED, registration__section=section).first()
    if event is None or event.card is None or event.ledger_entry is None:
        raise Http404
    card = event.card
    card.section = card.registration.section = section
    context = {
        "title": "署名された変更届",
        "document": queries.signed_document(event.document),
        "entry": event.ledger_entry,
        "checked": overview.verify(
            event.document, entry_id=event.ledger_entry, fingerprint=card.fingerprint, now=clock.now()
        ),
    }
    return _document(request, actor, section, card, context)


def _document(
    request: HttpRequest, actor: Actor, section: Section, card: RegisteredCard, context: dict[str, Any]
) -> HttpResponse:
    context |= {
        "actor": actor,
        "section": section,
        "card": card,
        "may_see_entry": auth.opens(actor, "staff-audit-entry"),
        "trail": _trail(section, card.registration),
    }
    return render(request, "registration/staff_registration_document.html", context)


# -- 使用停止, 利用停止 and their ends


def _about_card(
    request: HttpRequest,
    actor: Actor,
    section: Section,
    card_id: uuid.UUID,
    *,
    title: str,
    changes: Callable[[RegisteredCard], Sequence[Change]],
    do: Callable[[Deed], object],
    possible: CardStatus,
) -> HttpResponse:
    card = _card(section, card_id)
    if request.method != "POST" and card.status != possible:
        raise Http404
    return change(
        request,
        actor,
        Decision(request.POST if request.method == "POST" else None),
        title=title,
        changes=lambda: changes(card),
        do=do,
        done_url=reverse("staff-registration", args=[*_place(section), card.registration_id]),
        template="registration/staff_registration_act.html",
        trail=_trail(section, card.registration),
        card=card,
        registration=card.registration,
    )


@require_http_methods(GET_POST)
def close(request: HttpRequest, actor: Actor, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """「ICカードを使用停止にする」."""
    return _about_card(
        request,
        actor,
        section,
        card_id,
        title="ICカードを使用停止にする",
        changes=decisions.close_changes,
        do=lambda deed: decisions.close(deed=deed, section=section, card_id=card_id),
        possible=CardStatus.ACTIVE,
    )


@require_http_methods(GET_POST)
def reopen(request: HttpRequest, actor: Actor, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """「ICカードの使用停止を解除する」."""
    return _about_card(
        request,
        actor,
        section,
        card_id,
        title="ICカードの使用停止を解除する",
        changes=decisions.reopen_changes,
        do=lambda deed: decisions.reopen(
            deed=deed, section=section, card_id=card_id, rules_now=agencies.rules_time(deed.at)
        ),
        possible=CardStatus.CLOSED,
    )


def _about_company(
    request: HttpRequest,
    actor: Actor,
    section: Section,
    number: int,
    *,
    title: str,
    do: Callable[[Deed], object],
    halted: bool,
) -> HttpResponse:
    registration = _registration(section, number)
    if request.method != "POST" and (registration.halted_at is not None) != halted:
        raise Http404
    return change(
        request,
        actor,
        Decision(request.POST if request.method == "POST" else None),
        title=title,
        changes=lambda: decisions.halt_changes(registration),
        do=do,
        done_url=reverse("staff-registration", args=[*_place(section), number]),
        template="registration/staff_registration_act.html",
        trail=_trail(section, registration),
        registration=registration,
    )


@require_http_methods(GET_POST)
def halt(request: HttpRequest, actor: Actor, section: Section, number: int) -> HttpResponse:
    """「利用停止にする」."""
    return _about_company(
        request,
        actor,
        section,
        number,
        title="企業の利用停止",
        do=lambda deed: decisions.halt(deed=deed, section=section, number=number),
        halted=False,
    )


@require_http_methods(GET_POST)
def resume(request: HttpRequest, actor: Actor, section: Section, number: int) -> HttpResponse:
    """「利用停止を解除する」."""
    return _about_company(
        request,
        actor,
        section,
        number,
        title="企業の利用停止の解除",
        do=lambda deed: decisions.resume(deed=deed, section=section, number=number),
        halted=True,
    )


# -- 確認待ち


@require_GET
def queue(request: HttpRequest, actor: Actor) -> HttpResponse:
    """「確認待ち」: every card that waits, the oldest first."""
    context = {
        "actor": actor,
        "waiting": overview.waiting(agency=actor.agency, now=clock.now()),
        "at_most": overview.COUNTED,
        "may_review": auth.opens(actor, "staff-review"),
    }
    return render(request, "registration/staff_registration_queue.html", context)


@require_GET
def review(request: HttpRequest, actor: Actor, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """Show a card that waits beside the register, with what there is to decide; or how it was decided."""
    card = _card(section, card_id)
    decided = _decided(card)
    context = {
        "actor": actor,
        "section": section,
        "card": card,
        "registration": card.registration,
        "decided": decided,
        "done": "done" in request.GET,
        "review": None if decided else overview.review(card, now=clock.now()),
        "may_decide": _may_decide(actor),
        "may_see_register": auth.opens(actor, "staff-register-supplier"),
        "trail": [(reverse("staff-review-queue"), "確認待ち")],
    }
    return render(request, "registration/staff_registration_review.html", context)


def _decided(card: RegisteredCard) -> Sequence[Refusal]:
    """Return by whom and how it was decided about a card, or nothing while it waits."""
    try:
        decisions.refuse_if_decided(card)
    except Refused as refused:
        return refused.refusals
    return ()


def _decide(
    request: HttpRequest,
    actor: Actor,
    section: Section,
    card: RegisteredCard,
    form: Reasoned,
    *,
    title: str,
    changes: Callable[[RegisteredCard], Sequence[Change]],
    do: Callable[[Deed], object],
) -> HttpResponse:
    if not deed_is_done(request):
        # Whoever comes second reads who was first, instead of filling in a form for nothing.
        decisions.refuse_if_decided(card)
    review_url = reverse("staff-review", args=[*_place(section), card.id])
    return change(
        request,
        actor,
        form,
        title=title,
        changes=lambda: changes(card),
        do=do,
        done_url=review_url,
        template="registration/staff_registration_act.html",
        trail=[
            (reverse("staff-review-queue"), "確認待ち"),
            (review_url, card.registration.supplier.name),
        ],
        card=card,
        registration=card.registration,
    )


@require_http_methods(GET_POST)
def approve(request: HttpRequest, actor: Actor, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """「受理する」."""
    card = _card(section, card_id)
    form = Approval(request.POST if request.method == "POST" else None, checks=decisions.checks_of(card))
    return _decide(
        request,
        actor,
        section,
        card,
        form,
        title="受理する",
        changes=decisions.approve_changes,
        do=lambda deed: decisions.approve(
            deed=deed,
            section=section,
            card_id=card_id,
            checked=form.checked(),
            rules_now=agencies.rules_time(deed.at),
        ),
    )


@require_http_methods(GET_POST)
def reject(request: HttpRequest, actor: Actor, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """「不受理とする」."""
    return _decide(
        request,
        actor,
        section,
        _card(section, card_id),
        Rejection(request.POST if request.method == "POST" else None),
        title="不受理とする",
        changes=decisions.reject_changes,
        do=lambda deed: decisions.reject(deed=deed, section=section, card_id=card_id),
    )
