"""One line of the log for every request, and the number by which its other lines are found."""

from __future__ import annotations

import logging
import re
import secrets
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from irefuda.cards.auth import client_address, is_peer_our_proxy
from irefuda.config.logs import network_of, request_id

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")
log = logging.getLogger("irefuda.request")


class RequestLog:
    """Write one line for every request but the static files and a good `/healthz`, and give the answer its number."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        begun = time.monotonic()
        number = _number(request)
        # For the page that tells of a defect: the help desk finds these lines by it.
        request.number = number  # type: ignore[attr-defined]
        token = request_id.set(number)
        try:
            response = self.get_response(request)
        finally:
            request_id.reset(token)
        route = _route(request)
        response.headers["X-Request-ID"] = number
        if route in ("static", "healthz") and response.status_code < 500:
            return response
        facts: dict[str, Any] = {
            "site": settings.SITE,
            "method": request.method,
            "route": route,
            "status": response.status_code,
            "ms": round((time.monotonic() - begun) * 1000, 1),
            "request_id": number,
            "client": network_of(client_address(request)),
        }
        if refused := getattr(response, "refused", None):
            facts["refused"] = refused
        log.info("", extra={"facts": facts})
        return response


def _number(request: HttpRequest) -> str:
    """Return the request's number: the proxy's, if a proxy of ours gave one, or a new one."""
    given = request.headers.get("X-Request-ID", "")
    return given if is_peer_our_proxy(request) and REQUEST_ID.fullmatch(given) else secrets.token_hex(8)


def _route(request: HttpRequest) -> str:
    if request.path_info in ("/healthz", "/readyz"):
        return request.path_info[1:]
    if request.path_info.startswith(settings.STATIC_URL):
        return "static"
    match = request.resolver_match
    return (match.url_name or "unnamed") if match else "unmatched"
