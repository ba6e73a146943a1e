"""「認証局と失効リスト」 and 「監査」: what is looked at, and changes nothing."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlencode

from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from irefuda.ledger import queries as ledger
from irefuda.staff import inspection, operations, trust
from irefuda.staff.forms import HeadsForm, LedgerSearch, PeriodForm
from irefuda.staff.operations import Actor, Deed
from irefuda.ui import clock

PAGE = 50


def trust_store(counts: Sequence[trust.CardCounts] = ()) -> Callable[..., HttpResponse]:
    """Return the page of the trust store; `counts` come from the slices above, which know the registered cards."""

    @require_GET
    def page(request: HttpRequest, actor: Actor) -> HttpResponse:
        """Show every authority with the state of its revocation lists."""
        now = clock.now()
        found = trust.authorities(now=now, counts=counts)
        return render(request, "staff/trust.html", {"actor": actor, "authorities": found, "now": now})

    return page


@require_GET
def search(request: HttpRequest, actor: Actor) -> HttpResponse:
    """「監査」: search the ledger."""
    form = LedgerSearch(request.GET or None)
    context: dict[str, Any] = {"actor": actor, "form": form, "waiting": ledger.waiting(), "asked": form.is_bound}
    if form.is_bound and not form.is_valid():
        return render(request, "staff/audit.html", {**context, "show_errors": True})
    asked = form.cleaned_data if form.is_bound else {}
    since, until = inspection.moments(asked.get("first_day"), asked.get("last_day"))
    found = None
    if asked.get("entry"):
        found = ledger.entry(asked["entry"])
    elif asked.get("digest"):
        found = inspection.find_digest(asked["digest"], since=since, until=until)
    if found is not None:
        return redirect("staff-audit-entry", found.id)
    rows = []
    if not (asked.get("entry") or asked.get("digest")):
        rows = list(
            ledger.placed(kind=asked.get("kind", ""), since=since, until=until, below=_place(request), limit=PAGE + 1)
        )
    more = ""
    if len(rows) > PAGE:
        kept = {name: request.GET[name] for name in form.fields if request.GET.get(name)}
        more = urlencode({**kept, "below": rows[PAGE - 1][0]})
    shown = [(place, found, inspection.kind_shown(found.kind)) for place, found in rows[:PAGE]]
    return render(request, "staff/audit.html", {**context, "rows": shown, "more": more})


def _place(request: HttpRequest) -> int | None:
    typed = request.GET.get("below", "")
    return int(typed) if typed.isascii() and typed.isdigit() and len(typed) < 18 else None


@require_GET
def entry(request: HttpRequest, actor: Actor, entry_id: uuid.UUID) -> HttpResponse:
    """Show one entry: what it says, its place, its proof, and whether the promise was kept."""
    found = ledger.entry(entry_id)
    if found is None:
        raise Http404
    return render(request, "staff/entry.html", {"actor": actor, "reading": inspection.read(found, now=clock.now())})


@require_GET
def consistency(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Prove that a head of the ledger only added to an earlier one."""
    form = HeadsForm(request.GET) if "old" in request.GET else HeadsForm()
    result = None
    if form.is_bound and form.is_valid():
        result = inspection.compare(old=form.cleaned_data["old"], new=form.cleaned_data["new"])
    context = {"actor": actor, "form": form, "result": result, "heads": ledger.checkpoints(limit=20)}
    return render(request, "staff/consistency.html", {**context, "show_errors": form.is_bound})


@require_http_methods(["GET", "POST"])
def export(request: HttpRequest, actor: Actor) -> HttpResponseBase:
    """Give a period of the ledger as a file; who took it and why is an entry itself."""
    form = PeriodForm(request.POST) if request.method == "POST" else PeriodForm()
    if not (form.is_bound and form.is_valid()):
        context = {"actor": actor, "form": form, "act": uuid.uuid4(), "show_errors": form.is_bound}
        return render(request, "staff/export.html", context)
    try:
        act = uuid.UUID(request.POST.get("act", ""))
    except ValueError:
        raise Http404 from None
    first, last = form.cleaned_data["first_day"], form.cleaned_data["last_day"]
    # Sent twice, it stands in the ledger once; under a name that was used for anything else, it stands there all the same.
    name = uuid.uuid5(act, f"{actor.member.id} {first} {last}")
    deed = Deed(name, actor, form.cleaned_data["reason"], clock.now(), secrets.token_bytes(16))
    operations.note_export(deed=deed, first=first, last=last)
    return StreamingHttpResponse(
        inspection.export(first, last),
        content_type="application/jsonl; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="ledger-{first:%Y%m%d}-{last:%Y%m%d}.jsonl"'},
    )
