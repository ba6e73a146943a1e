"""「お知らせ」 on the staff's site: what is announced, was, and will be."""

from __future__ import annotations

import uuid

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from irefuda.agencies import queries as agencies
from irefuda.disclosure import decisions, queries
from irefuda.disclosure.forms import AnnouncementForm, WithdrawForm
from irefuda.disclosure.models import Announcement
from irefuda.staff import auth
from irefuda.staff import queries as staff
from irefuda.staff.operations import Actor
from irefuda.staff.views import change, deed_is_done
from irefuda.ui import clock

GET_POST = ["GET", "POST"]


@require_GET
def announcements(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List every announcement that concerns this member, with its state."""
    now = clock.now()
    found = [(a, queries.state_of(a, now=now)) for a in queries.announcements_of(actor.agency)]
    context = {"actor": actor, "rows": found, "may_change": auth.opens(actor, "staff-announcement-publish")}
    return render(request, "disclosure/staff_announcements.html", context)


@require_GET
def announcement(request: HttpRequest, actor: Actor, announcement_id: uuid.UUID) -> HttpResponse:
    """Show one announcement, its state, and what was done to it."""
    found = _seen_by(actor, announcement_id)
    context = {
        "actor": actor,
        "announcement": found,
        "state": queries.state_of(found, now=clock.now()),
        "acts": staff.acts(decisions.subject_of(found)),
        "may_withdraw": _is_own(actor, found) and auth.opens(actor, "staff-announcement-withdraw"),
    }
    return render(request, "disclosure/staff_announcement.html", context)


@require_http_methods(GET_POST)
def publish(request: HttpRequest, actor: Actor) -> HttpResponse:
    """「お知らせを掲載する」."""
    choices = [agency for agency in agencies.agencies() if actor.may_see(agency)]
    form = AnnouncementForm(
        request.POST if request.method == "POST" else None, agencies=choices, all_allowed=actor.agency is None
    )
    return change(
        request,
        actor,
        form,
        title="お知らせを掲載する",
        changes=lambda: decisions.publication(form.values()),
        do=lambda deed: decisions.publish(deed=deed, values=form.values()),
        done_url=reverse("staff-announcements"),
    )


@require_http_methods(GET_POST)
def withdraw(request: HttpRequest, actor: Actor, announcement_id: uuid.UUID) -> HttpResponse:
    """「お知らせを取り下げる」."""
    done_url = reverse("staff-announcement", args=[announcement_id])
    if deed_is_done(request):
        return redirect(f"{done_url}?done")
    found = _seen_by(actor, announcement_id)
    if not _is_own(actor, found) or found.withdrawn_at is not None:
        raise Http404
    form = WithdrawForm(request.POST if request.method == "POST" else None)
    return change(
        request,
        actor,
        form,
        title="お知らせを取り下げる",
        changes=lambda: decisions.withdrawal(found, form.cleaned_data["shown_reason"]),
        do=lambda deed: decisions.withdraw(
            deed=deed, announcement=found, shown_reason=form.cleaned_data["shown_reason"]
        ),
        done_url=done_url,
    )


def _is_own(actor: Actor, found: Announcement) -> bool:
    return actor.agency is None or found.agency == actor.agency


def _seen_by(actor: Actor, announcement_id: uuid.UUID) -> Announcement:
    found = next((a for a in queries.announcements_of(actor.agency) if a.id == announcement_id), None)
    if found is None:
        raise Http404
    return found
