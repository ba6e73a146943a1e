"""The card dialogue's server side, the same on every site that people enter with a card."""

from __future__ import annotations

import secrets
from dataclasses import replace

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from irefuda.cards import auth, operations
from irefuda.ui import clock


@require_POST
@never_cache
def nonce(request: HttpRequest) -> HttpResponse:
    """Hand a challenge to this browser, which is known by a cookie of its own (a session begins only with a card)."""
    browser = auth.browser_of(request)
    value = operations.issue_nonce(browser=browser, now=clock.now(), entropy=secrets.token_bytes(32))
    response = JsonResponse({"nonce": value})
    auth.remember_browser(request, response, browser)
    return response


@require_POST
def extend(request: HttpRequest) -> HttpResponse:
    """Count the idle minutes of this session anew."""
    session: auth.CardSession | None = request.card_session  # type: ignore[attr-defined]
    if session is None:
        return JsonResponse({"extended": False}, status=401)
    now = clock.now()
    auth.touch(request, now=now)
    left = replace(session, seen_at=now).ends_at - now
    return JsonResponse({"extended": True, "seconds": int(left.total_seconds())})
