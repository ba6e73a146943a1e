"""ICカード更新: the site's side of the conversation with the card agent, and what comes of it (manual 1.4)."""

from __future__ import annotations

import secrets
import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from irefuda.agencies.models import Category, Section
from irefuda.cards import auth as card_auth
from irefuda.cards import operations as cards
from irefuda.registration import auth, queries, renewals
from irefuda.registration.section_pages import count_refused, go, in_section, page, rules_time
from irefuda.ui import clock
from irefuda.ui.pages import refusal_page
from irefuda_core.refusal import Refusal, Refused

PURPOSE = "ICカード更新"
# A double click or a lost answer comes again at once; a form that is sent again later lets nobody in.
ANSWERED_AGAIN = timedelta(minutes=1)
# These are put right by 「登録」, not by trying 更新 again.
TO_REGISTER = frozenset({"R-120", "R-133", "R-135"})


@require_GET
@in_section
def top(request: HttpRequest, section: Section) -> HttpResponse:
    """Say what ICカード更新 does and what to have at hand, and offer to begin."""
    return page(request, "renewal_top", section)


@require_POST
@in_section
def begin(request: HttpRequest, section: Section) -> HttpResponse:
    """Answer with what the page tells the card agent first."""
    now, rules_now = _moments(request)
    try:
        auth.require_open(section, rules_now=rules_now)
    except Refused as refused:
        return _stop(request, section, refused)
    browser = card_auth.browser_of(request)
    renewal = renewals.begin(section=section, browser=browser, now=now)
    message = renewals.first_message(renewal, rules_now=rules_now, now=now)
    response = JsonResponse({"message": {"v": 1, "type": "renew", "purpose": PURPOSE, **message}})
    card_auth.remember_browser(request, response, browser)
    return response


@require_POST
@in_section
def prepare(request: HttpRequest, section: Section) -> HttpResponse:
    """Judge both cards; answer with the document for the new one to sign, or with where the reasons stand."""
    now, rules_now = _moments(request)
    try:
        auth.require_open(section, rules_now=rules_now)
        renewal = renewals.prepare(
            section=section,
            renewal_id=_renewal_id(request),
            browser=_known_browser(request),
            handover=request.POST.get("handover", ""),
            certificate=request.POST.get("certificate", ""),
            rules_now=rules_now,
            now=now,
        )
    except Refused as refused:
        return _stop(request, section, refused)
    return JsonResponse({"document": renewal.document, "waits": bool(renewal.doubts)})


@require_POST
@in_section
def renew(request: HttpRequest, section: Section) -> HttpResponse:
    """「更新」: take the document that the new card has signed."""
    now, rules_now = _moments(request)
    renewal_id, browser = _renewal_id(request), _known_browser(request)
    try:
        # A lost answer is given again, also after hours: that is no act.
        card = renewals.renewed(section=section, renewal_id=renewal_id, browser=browser, now=now)
        if card is None:
            auth.require_open(section, rules_now=rules_now)
            card = renewals.renew_card(
                section=section,
                renewal_id=renewal_id,
                browser=browser,
                jws_text=request.POST.get("jws", ""),
                now=now,
                salt=secrets.token_bytes(16),
            )
    except Refused as refused:
        _keep_reasons(request, section, refused)
        return go("renewal-stopped", section)
    if now - card.registered_at < ANSWERED_AGAIN:
        # The new card has just signed for this browser, which proves as much as a challenge would.
        proven = cards.check_still_good(der=bytes(card.certificate), audience="supplier", now=now)
        card_auth.begin(request, proven, person_in_charge=card.person_in_charge, now=now)
    return go("renewal-done", section, card_id=card.id)


@require_GET
@in_section
def stopped(request: HttpRequest, section: Section) -> HttpResponse:
    """Show why an ICカード更新 did not go on, and the way that leads further; at every reload the same."""
    kept = request.session.get("renewal", {}) if settings.SESSION_COOKIE_NAME in request.COOKIES else {}
    if kept.get("section") != section.id:
        return go("renewal-top", section)
    reasons = [Refusal(*reason) for reason in kept["reasons"]]
    place = [section.agency.code, Category(section.category)]
    if TO_REGISTER & {reason.code for reason in reasons}:
        address, label = f"{reverse('registration-menu', args=place)}#menu-register", "「登録」へ"
    else:
        address, label = reverse("renewal-top", args=place), "「ICカード更新」をもう一度はじめる"
    heading = "ICカード更新を進められません"
    return refusal_page(request, reasons, heading=heading, section=section, back_url=address, back_label=label)


@require_GET
@in_section
def done(request: HttpRequest, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """Show both cards, and what comes next."""
    presenter = auth.presenter(request, now=clock.now())
    card = queries.card_by_id(section=section, card_id=card_id, fingerprint=presenter.card.fingerprint)
    if card is None or card.succeeds_id is None:
        raise Http404
    return page(request, "renewal_done", section, registered=card, document=queries.application_of(card))


def _moments(request: HttpRequest) -> tuple[datetime, datetime]:
    now = clock.now()
    return now, rules_time(request, now)


def _renewal_id(request: HttpRequest) -> uuid.UUID:
    try:
        return uuid.UUID(request.POST.get("renewal", ""))
    except ValueError:
        raise Http404 from None


def _known_browser(request: HttpRequest) -> str:
    return request.COOKIES.get(settings.BROWSER_COOKIE_NAME, "")


def _stop(request: HttpRequest, section: Section, refused: Refused) -> HttpResponse:
    """Keep the reasons for the page that shows them, and tell the script where that is."""
    _keep_reasons(request, section, refused)
    return JsonResponse(
        {"refused": reverse("renewal-stopped", args=[section.agency.code, Category(section.category)])}, status=403
    )


def _keep_reasons(request: HttpRequest, section: Section, refused: Refused) -> None:
    count_refused(request, section, refused)
    # In the session and not in the address: they name people, and addresses stand in logs.
    reasons = [[reason.code, reason.sentence, reason.remedy] for reason in refused.refusals]
    request.session["renewal"] = {"section": section.id, "reasons": reasons}
