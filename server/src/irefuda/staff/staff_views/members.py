"""「職員の管理」: who works here, with which card and which roles."""

from __future__ import annotations

import uuid
from typing import Any

from django.forms import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Agency
from irefuda.cards import operations as cards
from irefuda.cards.operations import ProvenCard
from irefuda.staff import auth, operations, queries
from irefuda.staff.forms import CodeForm, EndForm, MemberForm, NewCardForm, NewMemberForm, RolesForm, code_of
from irefuda.staff.models import StaffMember
from irefuda.staff.operations import Actor
from irefuda.staff.views import change, deed_is_done
from irefuda.ui import clock
from irefuda_core.refusal import Refused, refusal

GET_POST = ["GET", "POST"]


@require_GET
def members(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the staff with their roles and cards."""
    today = queries.today(clock.now())
    context = {
        "actor": actor,
        "members": queries.members(agency=actor.agency),
        "may_change": auth.opens(actor, "staff-member-add"),
        "today": today,
    }
    return render(request, "staff/members.html", context)


@require_GET
def member(request: HttpRequest, actor: Actor, member_id: uuid.UUID) -> HttpResponse:
    """Show one member: cards, roles, and everything that was ever changed."""
    found = _member(actor, member_id)
    context = {
        "actor": actor,
        "member": found,
        "agency_shown": operations.agency_shown(found.agency),
        "cards": queries.cards_of(found),
        "roles": queries.roles_given(found),
        "acts": queries.acts(operations.subject_of(found.id)),
        "may_change": auth.opens(actor, "staff-member-add") and found.ended_at is None and found != actor.member,
        "is_self": found == actor.member,
        "today": queries.today(clock.now()),
        "now": clock.now(),
    }
    return render(request, "staff/member.html", context)


def _member(actor: Actor, member_id: uuid.UUID) -> StaffMember:
    found = queries.member(member_id, agency=actor.agency)
    if found is None:
        raise Http404
    return found


def _living(actor: Actor, member_id: uuid.UUID) -> StaffMember:
    """Return a member whom this administrator may change.

    :raises Refused: S-905 for the administrator's own entry
    """
    found = _member(actor, member_id)
    if found.ended_at is not None:
        raise Http404
    if found == actor.member:
        raise Refused(refusal("S-905"))
    return found


def _agencies(actor: Actor) -> dict[str, Any]:
    """Return whose staff this administrator may let in."""
    mine: list[Agency] = [agency for agency in agencies.agencies() if actor.may_see(agency)]
    return {"agencies": mine, "all_allowed": actor.agency is None}


def _waiting(code: str) -> ProvenCard:
    """Return the card that waits under a code, judged as it is now.

    :raises Refused: S-904, K-40x
    """
    now = clock.now()
    found = queries.enrolment(code, now=now)
    if found is None:
        raise Refused(refusal("S-904"))
    return cards.check_still_good(der=bytes(found.certificate), audience="staff", now=now)


def _asked_code(request: HttpRequest) -> str:
    try:
        return code_of(request.POST.get("code", "") or request.GET.get("code", ""))
    except ValidationError:
        raise Refused(refusal("S-904")) from None


def _ask_code(request: HttpRequest, actor: Actor, title: str, **context: Any) -> HttpResponse | None:
    """Return the page that asks for the code of a card, or None when a card waits under the code in the address."""
    if request.method == "POST":
        return None
    form = CodeForm(request.GET) if "code" in request.GET else CodeForm()
    reasons = []
    if form.is_bound and form.is_valid():
        try:
            _waiting(form.cleaned_data["code"])
            return None
        except Refused as refused:
            reasons = list(refused.refusals)
    page = {"form": form, "actor": actor, "title": title, "reasons": reasons, **context}
    return render(request, "staff/code.html", {**page, "show_errors": form.is_bound})


@require_http_methods(GET_POST)
def add_member(request: HttpRequest, actor: Actor) -> HttpResponse:
    """「職員を追加する」: the code of the colleague's card, then who they are and what they may do."""
    title = "職員を追加する"
    trail = [(reverse("staff-members"), "職員の管理")]
    if asked := _ask_code(request, actor, title, trail=trail):
        return asked
    # Its code is used up: nothing else could be told.
    if deed_is_done(request):
        return redirect(f"{reverse('staff-members')}?done")
    code = _asked_code(request)
    choices = _agencies(actor)
    if request.method == "POST":
        form = NewMemberForm(request.POST, **choices)
    proven = _waiting(code)
    if request.method != "POST":
        form = NewMemberForm(initial={"name": proven.card.holder_name.replace("　", " ")}, **choices)

    def values() -> dict[str, Any]:
        chosen = form.cleaned_data
        return {
            "name": chosen["name"],
            "section": chosen["section"],
            "agency": form.agency_chosen(),
            "roles": form.roles(),
        }

    return change(
        request,
        actor,
        form,
        title=title,
        changes=lambda: operations.added_changes(**values(), card=operations.card_line(proven)),
        do=lambda deed: operations.add_member(deed=deed, member_id=deed.id, code=code, **values()),
        done_url=reverse("staff-members"),
        template="staff/member_form.html",
        trail=trail,
        code=code,
        card=proven.card,
        authority=proven.authority_name,
    )


@require_http_methods(GET_POST)
def change_member(request: HttpRequest, actor: Actor, member_id: uuid.UUID) -> HttpResponse:
    """「氏名・所属を変える」."""
    found = _living(actor, member_id)
    choices = _agencies(actor)
    known = {"name": found.name, "section": found.section, "agency": found.agency.code if found.agency else ""}
    form = MemberForm(request.POST, **choices) if request.method == "POST" else MemberForm(initial=known, **choices)

    def values() -> dict[str, Any]:
        chosen = form.cleaned_data
        return {"name": chosen["name"], "section": chosen["section"], "agency": form.agency_chosen()}

    return change(
        request,
        actor,
        form,
        title="氏名・所属を変える",
        changes=lambda: operations.member_changes(found, **values()),
        do=lambda deed: operations.change_member(deed=deed, member_id=found.id, **values()),
        done_url=reverse("staff-member", args=[found.id]),
        member=found,
    )


@require_http_methods(GET_POST)
def change_roles(request: HttpRequest, actor: Actor, member_id: uuid.UUID) -> HttpResponse:
    """「役割を変える」."""
    found = _living(actor, member_id)
    kept = operations.kept_roles(found)
    form = RolesForm(request.POST) if request.method == "POST" else RolesForm(initial=RolesForm.initial_of(kept))
    return change(
        request,
        actor,
        form,
        title="役割を変える",
        changes=lambda: operations.role_changes(kept, form.roles()),
        do=lambda deed: operations.change_roles(deed=deed, member_id=found.id, roles=form.roles()),
        done_url=reverse("staff-member", args=[found.id]),
        template="staff/member_form.html",
        member=found,
    )


@require_http_methods(GET_POST)
def add_card(request: HttpRequest, actor: Actor, member_id: uuid.UUID) -> HttpResponse:
    """「新しいICカードを登録する」."""
    found = _living(actor, member_id)
    title = "新しいICカードを登録する"
    if asked := _ask_code(request, actor, title, member=found):
        return asked
    code = _asked_code(request)
    done_url = reverse("staff-member", args=[found.id])
    if deed_is_done(request):
        return redirect(f"{done_url}?done")
    proven = _waiting(code)
    form = NewCardForm(request.POST) if request.method == "POST" else NewCardForm(initial={"end_others": True})
    return change(
        request,
        actor,
        form,
        title=title,
        changes=lambda: operations.card_changes(
            found, operations.card_line(proven), end_others=form.cleaned_data["end_others"]
        ),
        do=lambda deed: operations.add_card(
            deed=deed, member_id=found.id, code=code, end_others=form.cleaned_data["end_others"]
        ),
        done_url=done_url,
        template="staff/member_form.html",
        member=found,
        code=code,
        card=proven.card,
        authority=proven.authority_name,
    )


@require_http_methods(GET_POST)
def end_member(request: HttpRequest, actor: Actor, member_id: uuid.UUID) -> HttpResponse:
    """「利用を終える」."""
    done_url = reverse("staff-member", args=[member_id])
    if deed_is_done(request):
        return redirect(f"{done_url}?done")
    found = _living(actor, member_id)
    form = EndForm(request.POST) if request.method == "POST" else EndForm()
    return change(
        request,
        actor,
        form,
        title="職員の利用を終える",
        changes=lambda: operations.end_changes(found),
        do=lambda deed: operations.end_member(deed=deed, member_id=found.id),
        done_url=done_url,
        member=found,
    )
