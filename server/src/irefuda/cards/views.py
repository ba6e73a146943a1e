"""The card dialogue's server side, the same on every site that people enter with a card."""

from __future__ import annotations

import secrets

from django.conf import settings
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
    if request.card_session is None:  # type: ignore[attr-defined]
        return JsonResponse({"extended": False}, status=401)
    auth.touch(request, now=clock.now())
    return JsonResponse({"extended": True, "seconds": settings.SESSION_IDLE_SECONDS})
