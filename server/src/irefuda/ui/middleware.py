"""Headers that every answer of the site carries."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse


class ResponseHeaders:
    """Forbid caching of pages and every browser capability that this site does not use."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        response.headers.setdefault(
            "Permissions-Policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), interest-cohort=()"
        )
        return response
