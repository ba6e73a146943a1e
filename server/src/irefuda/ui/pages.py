"""Answers that any slice may give: a reason page, and the error pages of Django's handlers."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from django.core.exceptions import RequestDataTooBig, TooManyFieldsSent
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from irefuda_core.refusal import Refusal, refusal

TOO_MUCH = (RequestDataTooBig, TooManyFieldsSent)
DATABASE_AWAY = (OperationalError, InterfaceError)


def refusal_page(
    request: HttpRequest,
    refusals: Sequence[Refusal],
    *,
    status: int = 403,
    heading: str = "手続きを進められません",
    back_url: str = "/",
    back_label: str = "トップページへ",
    ways: Sequence[tuple[str, str]] = (),
    section: object = None,
) -> HttpResponse:
    """Answer with a page of its own that names each reason, its code, and what to do next.

    `ways` are (address, label) of buttons that lead on. `section` (a 区分 of a 調達機関) puts that agency's help desk into the footer.
    """
    context = {
        "refusals": refusals,
        "heading": heading,
        "back_url": back_url,
        "back_label": back_label,
        "ways": ways,
        "section": section,
    }
    answer = render(request, "ui/refusal.html", context, status=status)
    # For the log: the codes say what happened, and nothing of whom.
    answer.refused = [reason.code for reason in refusals]  # type: ignore[attr-defined]
    return answer


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400 in the site's own look, or 413 when more was sent than any form here holds (`handler400`)."""
    if isinstance(exception, TOO_MUCH):
        return refusal_page(request, [refusal("P-807")], status=413, heading="受け取れない内容でした")
    return render(request, "400.html", status=400)


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer in the site's own look, asking nothing of the database (`handler500`).

    503 with what to do when the database is locked or gone, which passes by itself; 500 for a defect.
    """
    if isinstance(sys.exc_info()[1], DATABASE_AWAY):
        answer = refusal_page(request, [refusal("P-800")], status=503, heading="しばらく待って、もう一度お試しください")
        answer.headers["Retry-After"] = "30"
        return answer
    return render(request, "500.html", {"number": getattr(request, "number", "")}, status=500)
