"""What every page of a section on the contractors' site does: resolve the address, refuse with the reason, render, prove."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Category, Section
from irefuda.cards import auth as card_auth
from irefuda.cards import operations as cards
from irefuda.registration import auth, tally
from irefuda.ui import clock, pdf
from irefuda.ui.pages import refusal_page
from irefuda_core import text
from irefuda_core.refusal import Refused, refusal

View = Callable[..., HttpResponse]


def in_section(view: View) -> View:
    """Resolve the address to a section, and answer a refusal with its reason page."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, agency: str, category: Category, **kwargs: Any) -> HttpResponse:
        section, clock_moved = agencies.section_and_clock(agency_code=agency, category=category)
        if section is None:
            raise Http404
        request.clock_moved = clock_moved  # type: ignore[attr-defined]
        try:
            response: HttpResponse = view(request, section, **kwargs)
        except Refused as refused:
            count_refused(request, section, refused)
            return refusal_page(
                request,
                refused.refusals,
                section=section,
                back_url=reverse("section", args=[section.agency.code, Category(section.category)]),
                back_label="「利用者登録」「電子入札」の選択に戻る",
            )
        return response

    return wrapped


def count_refused(request: HttpRequest, section: Section | None, refused: Refused) -> None:
    """Count why something that was sent is refused; a GET changes nothing, not even a count."""
    if request.method == "POST":
        tally.count(refused, section=section, now=clock.now())


def rules_time(request: HttpRequest, now: datetime) -> datetime:
    """Return `agencies.rules_time` by the clock that `in_section` has read with the section."""
    moved: timedelta = request.clock_moved  # type: ignore[attr-defined]
    return now + moved


def go(name: str, section: Section, **kwargs: Any) -> HttpResponse:
    """Return the redirection to this page of the section."""
    response: HttpResponse = redirect(name, agency=section.agency.code, category=Category(section.category), **kwargs)
    return response


def page(request: HttpRequest, template: str, section: Section, **context: Any) -> HttpResponse:
    """Return one page of the section, which knows whether the office is open."""
    state = agencies.office_state(section.agency, now=rules_time(request, clock.now()))
    status = context.pop("status", 200)
    return render(
        request, f"registration/{template}.html", {"section": section, "office": state, **context}, status=status
    )


def prove(request: HttpRequest, section: Section) -> None:
    """Judge the token that the card agent made within the agency's hours, and begin the card's session."""
    auth.require_open(section, rules_now=rules_time(request, clock.now()))
    begin_session(request)


def begin_session(request: HttpRequest) -> None:
    """Judge the token that the card agent made, and begin the card's session."""
    now = clock.now()
    # Before the proof, which uses up the nonce.
    try:
        person = text.clean_text(request.POST.get("person_in_charge", ""), max_length=20)
    except text.InvalidText as invalid:
        raise Refused(invalid.refusal) from None
    proven = cards.prove_card(
        token_text=request.POST.get("token", ""),
        nonce_browser=request.COOKIES.get(settings.BROWSER_COOKIE_NAME, ""),
        origin=settings.SUPPLIER_ORIGIN,
        audience="supplier",
        now=now,
    )
    card_auth.begin(request, proven, person_in_charge=person, now=now)


def pdf_answer(
    request: HttpRequest, section: Section, shown: HttpResponse, *, attachments: dict[str, bytes], back_url: str
) -> HttpResponse:
    """Return a print page as a PDF that carries the signed documents, or the reason why there is none."""
    try:
        made = pdf.make(shown.content.decode(), attachments=attachments)
    except pdf.PdfNotMade:
        return refusal_page(
            request,
            [refusal("P-808")],
            status=503,
            heading="PDFを作れませんでした",
            section=section,
            back_url=back_url,
            back_label="「印刷」の画面へ",
        )
    return HttpResponse(
        made,
        content_type="application/pdf",
        headers={"Content-Disposition": 'inline; filename="user.pdf"'},
    )


def receipt_answer(bundle: Mapping[str, object]) -> HttpResponse:
    """Return the receipt file that `irefuda-verify receipt` checks offline."""
    return HttpResponse(
        json.dumps(bundle, ensure_ascii=False, indent=1),
        content_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="receipt.json"'},
    )
