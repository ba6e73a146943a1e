"""The card dialogue's server side on the contractors' site."""

from __future__ import annotations

import re
import secrets

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from irefuda.cards import operations, queries
from irefuda.ui import clock

_COOKIE = re.compile(r"[A-Za-z0-9_-]{43}")


@require_POST
@never_cache
def nonce(request: HttpRequest) -> HttpResponse:
    """Hand a challenge to this browser, which is known by a cookie of its own (a session begins only with a card)."""
    browser = request.COOKIES.get(settings.BROWSER_COOKIE_NAME, "")
    known = _COOKIE.fullmatch(browser) is not None
    if not known:
        browser = secrets.token_urlsafe(32)
    value = operations.issue_nonce(browser=browser, now=clock.now(), entropy=secrets.token_bytes(32))
    response = JsonResponse({"nonce": value})
    if not known:
        response.set_cookie(
            settings.BROWSER_COOKIE_NAME, browser, secure=settings.SECURE_ORIGIN, httponly=True, samesite="Lax"
        )
    return response


@require_safe
def practice_cards(request: HttpRequest) -> HttpResponse:
    """Show 「練習用ICカードとPIN番号」; there is no such page outside the practice realm."""
    if not settings.PRACTICE:
        raise Http404
    cards = queries.practice_cards(settings.STATE_DIR / "cards" / "cards.json")
    return render(request, "cards/practice_cards.html", {"cards": cards})
