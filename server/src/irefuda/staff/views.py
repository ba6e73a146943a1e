"""How a staff page changes something: form, then before and after with the last word, then done; the same for every slice."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from irefuda.staff import queries
from irefuda.staff.forms import Reasoned
from irefuda.staff.operations import Actor, Change, Deed, digest
from irefuda.ui import clock
from irefuda_core.refusal import Refusal, Refused, refusal


def change(
    request: HttpRequest,
    actor: Actor,
    form: Reasoned,
    *,
    title: str,
    changes: Callable[[], Sequence[Change]],
    do: Callable[[Deed], object],
    done_url: str,
    template: str = "staff/form.html",
    check_template: str = "staff/check.html",
    **context: Any,
) -> HttpResponse:
    """Answer one step of a change: the form, its mistakes, before and after, or the way on once it is done.

    `form` is bound when the request is a POST. `changes` tells what the valid form would change; `do` does it, in one
    transaction that calls `record(deed, …)`. The page that asks for the last word names the deed, so that a page sent
    twice changes once, and what it has shown, so that nothing is overwritten unseen. `trail=[(address, name), …]` in the
    context are the pages above, for 「現在の位置」.
    """
    page = {"title": title, "form": form, "actor": actor, "done_url": done_url, **context}
    if request.method != "POST" or "back" in request.POST:
        return render(request, template, page)
    if not form.is_valid():
        return render(request, template, {**page, "show_errors": True})
    if "confirmed" in request.POST:
        do(_deed(request, actor, form))
        return redirect(f"{done_url}?done")
    try:
        rows = list(changes())
    except Refused as refused:
        return _with_reasons(request, template, page, refused.refusals)
    if not rows:
        return _with_reasons(request, template, page, [refusal("S-909")])
    page |= {"changes": rows, "act": uuid.uuid4(), "seen": digest(rows), "reason": form.cleaned_data["reason"]}
    return render(request, check_template, page)


def deed_is_done(request: HttpRequest) -> bool:
    """Return whether the deed that this page names is done: the page was sent twice, and what it was about may be gone."""
    try:
        act = uuid.UUID(request.POST.get("act", ""))
    except ValueError:
        return False
    return queries.is_done(act)


def _with_reasons(
    request: HttpRequest, template: str, page: dict[str, Any], reasons: Sequence[Refusal]
) -> HttpResponse:
    return render(request, template, {**page, "show_errors": True, "reasons": reasons})


def _deed(request: HttpRequest, actor: Actor, form: Reasoned) -> Deed:
    try:
        act = uuid.UUID(request.POST.get("act", ""))
    except ValueError:
        raise Http404 from None
    return Deed(
        id=act,
        actor=actor,
        reason=form.cleaned_data["reason"],
        at=clock.now(),
        salt=secrets.token_bytes(16),
        seen=request.POST.get("seen", "") or "nothing",
    )
