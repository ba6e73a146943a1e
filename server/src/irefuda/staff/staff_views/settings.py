"""「調達機関の設定」: texts, hours, closures and knobs of one agency."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Agency, SpecialClosure
from irefuda.staff import agency_settings, auth, queries
from irefuda.staff.forms import AgencyTextsForm, ClosureForm, HoursForm, PolicyForm, Reasoned, ReopenForm
from irefuda.staff.operations import Actor
from irefuda.staff.views import change, deed_is_done
from irefuda.ui import clock
from irefuda_core.registration import Policy

GET_POST = ["GET", "POST"]


@require_GET
def choose(request: HttpRequest, actor: Actor) -> HttpResponse:
    """List the agencies whose settings this member may look at."""
    found = [agency for agency in agencies.agencies() if actor.may_see(agency)]
    return render(request, "staff/agencies.html", {"actor": actor, "agencies": found})


@require_GET
def agency(request: HttpRequest, actor: Actor, agency: Agency) -> HttpResponse:
    """Show everything that is set for one agency, its calendar, and what was changed."""
    now = clock.now()
    context = {
        "actor": actor,
        "agency": agency,
        "columns": agency_settings.columns_shown(agency)[:-2],
        "office": agencies.office_state(agency, now=agencies.rules_time(now)),
        "knobs": agency_settings.policy_shown(agency),
        "closures": agencies.closures(agency, since=queries.today(now)),
        "holidays": agencies.holidays_named(queries.today(now).year),
        "acts": queries.acts(agency_settings.subject_of(agency)),
        "may_change": auth.opens(actor, "staff-agency-texts"),
    }
    return render(request, "staff/agency.html", context)


def _done_url(agency: Agency) -> str:
    return reverse("staff-agency", args=[agency.code])


def _columns(
    request: HttpRequest, actor: Actor, agency: Agency, form: AgencyTextsForm | HoursForm, title: str
) -> HttpResponse:
    return change(
        request,
        actor,
        form,
        title=title,
        changes=lambda: agency_settings.column_changes(agency, form.values()),
        do=lambda deed: agency_settings.change_columns(deed=deed, agency_id=agency.id, values=form.values()),
        done_url=_done_url(agency),
        agency=agency,
    )


def _form(kind: type[Any], request: HttpRequest, initial: dict[str, Any]) -> Any:
    return kind(request.POST) if request.method == "POST" else kind(initial=initial)


@require_http_methods(GET_POST)
def texts(request: HttpRequest, actor: Actor, agency: Agency) -> HttpResponse:
    """「案内と連絡先を変える」."""
    kept = {column: getattr(agency, column) for column in agency_settings.COLUMNS}
    return _columns(request, actor, agency, _form(AgencyTextsForm, request, kept), "案内と連絡先を変える")


@require_http_methods(GET_POST)
def hours(request: HttpRequest, actor: Actor, agency: Agency) -> HttpResponse:
    """「運用時間を変える」."""
    kept = {"opens_at": agency.opens_at, "closes_at": agency.closes_at}
    return _columns(request, actor, agency, _form(HoursForm, request, kept), "運用時間を変える")


@require_http_methods(GET_POST)
def policy(request: HttpRequest, actor: Actor, agency: Agency) -> HttpResponse:
    """「利用者登録の扱いを変える」."""
    form: PolicyForm = _form(PolicyForm, request, asdict(Policy.from_knobs(agency.policy)))
    return change(
        request,
        actor,
        form,
        title="利用者登録の扱いを変える",
        changes=lambda: agency_settings.policy_changes(agency, form.policy()),
        do=lambda deed: agency_settings.change_policy(deed=deed, agency_id=agency.id, policy=form.policy()),
        done_url=_done_url(agency),
        agency=agency,
    )


@require_http_methods(GET_POST)
def close_day(request: HttpRequest, actor: Actor, agency: Agency) -> HttpResponse:
    """「臨時休止日を加える」."""
    form: ClosureForm = _form(ClosureForm, request, {})

    def values() -> dict[str, Any]:
        return {"closed_on": form.cleaned_data["closed_on"], "shown_reason": form.cleaned_data["shown_reason"]}

    return change(
        request,
        actor,
        form,
        title="臨時休止日を加える",
        changes=lambda: agency_settings.closure_changes(**values()),
        do=lambda deed: agency_settings.close_day(deed=deed, agency_id=agency.id, **values()),
        done_url=_done_url(agency),
        agency=agency,
    )


@require_http_methods(GET_POST)
def reopen_day(request: HttpRequest, actor: Actor, agency: Agency, closure_id: int) -> HttpResponse:
    """「臨時休止をやめる」."""
    if deed_is_done(request):
        return redirect(f"{_done_url(agency)}?done")
    closure = SpecialClosure.objects.filter(id=closure_id, agency=agency).first()
    if closure is None:
        raise Http404
    form: Reasoned = _form(ReopenForm, request, {})
    return change(
        request,
        actor,
        form,
        title="臨時休止をやめる",
        changes=lambda: agency_settings.closure_changes(closure.closed_on, closure.reason, reopens=True),
        do=lambda deed: agency_settings.reopen_day(deed=deed, agency_id=agency.id, closure_id=closure.id),
        done_url=_done_url(agency),
        agency=agency,
    )
