"""「報告」 for staff: numbers of registrations by month, on a page and as a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Section
from irefuda.registration import reports
from irefuda.registration.staff_views.registration_forms import ReportPeriod
from irefuda.staff import auth
from irefuda.staff.operations import Actor
from irefuda.ui import clock


@dataclass(frozen=True, slots=True)
class Asked:
    """What a report is asked for; `sections` and `months` stand for what was chosen, or for everything and the usual."""

    form: ReportPeriod
    sections: Sequence[Section]
    months: Sequence[date]
    # Whether every section of the installation is asked for.
    everywhere: bool


def _asked(request: HttpRequest, actor: Actor, *, first: int, last: int) -> Asked:
    """Return what the address asks for; without months, from so many months away to so many."""
    own = [section for section in agencies.sections() if actor.may_see(section.agency)]
    this = reports.month_of(clock.now())
    usual = (reports.later(this, first), reports.later(this, last))
    shown = {name: f"{month:%Y-%m}" for name, month in zip(("first", "last"), usual, strict=True)}
    form = ReportPeriod(request.GET or None, sections=own, initial=shown)
    everything = actor.agency is None
    if not form.is_bound:
        return Asked(form, own, reports.months_between(*usual), everything)
    if not form.is_valid():
        return Asked(form, [], [], False)
    return Asked(form, form.chosen(), form.months(*usual), everything and not form.cleaned_data["place"])


def _page(request: HttpRequest, actor: Actor, template: str, asked: Asked, **context: Any) -> HttpResponse:
    shown = [reports.month_shown(month) for month in (asked.months[0], asked.months[-1])] if asked.months else []
    return render(
        request,
        f"registration/staff_report_{template}.html",
        {
            "actor": actor,
            "form": asked.form,
            "show_errors": asked.form.is_bound,
            "period": shown,
            # The file is asked for with what the page was asked for.
            "asked": request.GET.urlencode(),
            "may_see_addresses": auth.opens(actor, "staff-report-bounces-csv"),
            **context,
        },
    )


def _file(name: str, asked: Asked, table: reports.Table) -> HttpResponse:
    span = f"{asked.months[0]:%Y%m}-{asked.months[-1]:%Y%m}"
    return HttpResponse(
        reports.as_csv(table),
        content_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}-{span}.csv"'},
    )


# -- 登録の件数


@require_GET
def by_month(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how much of what happened in each month."""
    asked = _asked(request, actor, first=-11, last=0)
    table = reports.by_month(asked.sections, asked.months) if asked.months else None
    return _page(request, actor, "months", asked, table=table)


@require_GET
def by_month_csv(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Give the same as a file."""
    asked = _asked(request, actor, first=-11, last=0)
    if not asked.months:
        return by_month(request, actor)
    return _file("registrations", asked, reports.by_month(asked.sections, asked.months))


# -- 有効期限を迎えるICカード


@require_GET
def expiring(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how many cards end in each month, by authority: as a plot, and in numbers."""
    asked = _asked(request, actor, first=0, last=23)
    table = reports.expiring(asked.sections, asked.months) if asked.months else None
    plot = reports.plot(table) if table and table.rows else None
    return _page(request, actor, "expiring", asked, table=table, plot=plot)


@require_GET
def expiring_csv(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Give the same as a file."""
    asked = _asked(request, actor, first=0, last=23)
    if not asked.months:
        return expiring(request, actor)
    return _file("expiring", asked, reports.expiring(asked.sections, asked.months))


# -- 届かなかったメール


@require_GET
def bounces(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how much mail did not arrive; which addresses, only to those who call the company."""
    asked = _asked(request, actor, first=-2, last=0)
    found = reports.bounces(asked.sections, asked.months) if asked.months else None
    may_see = auth.opens(actor, "staff-report-bounces-csv")
    addresses = found.addresses if found and may_see else None
    return _page(
        request,
        actor,
        "bounces",
        asked,
        table=found.by_section if found else None,
        addresses=addresses,
        cut=bool(found and found.cut),
        at_most=reports.BOUNCES,
    )


@require_GET
def bounces_csv(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Give the addresses as a file."""
    asked = _asked(request, actor, first=-2, last=0)
    if not asked.months:
        return bounces(request, actor)
    return _file("bounces", asked, reports.bounces(asked.sections, asked.months).as_table)


# -- 受け付けなかった操作


@require_GET
def refused(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show how often which reason was given to contractors."""
    asked = _asked(request, actor, first=-2, last=0)
    table = None
    if asked.months:
        table = reports.refused(asked.sections, asked.months, everywhere=asked.everywhere)
    return _page(request, actor, "refused", asked, table=table, everywhere=asked.everywhere)


@require_GET
def refused_csv(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Give the same as a file."""
    asked = _asked(request, actor, first=-2, last=0)
    if not asked.months:
        return refused(request, actor)
    return _file("refused", asked, reports.refused(asked.sections, asked.months, everywhere=asked.everywhere))
