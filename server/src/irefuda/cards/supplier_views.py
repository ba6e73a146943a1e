"""What only the contractors' site shows of the cards."""

from __future__ import annotations

import base64
import binascii

from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import ensure_csrf_cookie
from django.views.decorators.http import require_POST, require_safe

from irefuda.cards import auth, operations, queries, releases
from irefuda.cards.limits import Limit
from irefuda.ui import clock
from irefuda_core import card_life
from irefuda_core.refusal import Refusal, Refused, refusal

# A certificate has some 2,000 bytes; nobody's has more than this.
MAX_CERTIFICATE = 16_000
certificate_checks = Limit(30, seconds=60)


@require_safe
def practice_cards(request: HttpRequest) -> HttpResponse:
    """Show 「練習用ICカードとPIN番号」; there is no such page outside the practice realm."""
    if not settings.PRACTICE:
        raise Http404
    cards = queries.practice_cards(settings.STATE_DIR / "cards" / "cards.json")
    return render(request, "cards/practice_cards.html", {"cards": cards})


@require_safe
@ensure_csrf_cookie
def environment(request: HttpRequest) -> HttpResponse:
    """Show 「利用環境の確認」, which asks for no card's session."""
    minimum = ".".join(str(part) for part in settings.AGENT_MINIMUM_VERSION)
    newest = releases.newest(_system_of_visitor(request), releases.offered())
    values = {"agent_minimum": minimum, "agent_newest": newest.release.version if newest else ""}
    return render(request, "cards/environment.html", values)


@require_safe
def environment_clock(request: HttpRequest) -> HttpResponse:
    """Tell the browser what time it is, and whether it sends the cookie that the page gave it."""
    now = clock.now()
    cookies = settings.CSRF_COOKIE_NAME in request.COOKIES
    return JsonResponse({"now": int(now.timestamp() * 1000), "cookies": cookies})


@require_POST
def environment_certificate(request: HttpRequest) -> HttpResponse:
    """Judge a certificate by the trust store, as every login does; nothing is kept, and no registration is looked up."""
    if not certificate_checks.allows(auth.client_address(request)):
        return JsonResponse(_refused(refusal("C-228")), status=429)
    now = clock.now()
    try:
        proven = operations.check_still_good(
            der=_certificate(request.POST.get("certificate", "")), audience="supplier", now=now
        )
    except Refused as refused:
        return JsonResponse(_refused(refused.refusals[0]))
    expires_on = f"{proven.card.not_after.astimezone(clock.JST):%Y/%m/%d}"
    left = card_life.days_left(proven.card.not_after, now=now)
    return JsonResponse({"good": True, "expires_on": expires_on, "days_left": left})


def _certificate(encoded: str) -> bytes:
    """Return the certificate in base64; what is none is judged as an unreadable one."""
    try:
        return base64.b64decode(encoded, validate=True) if len(encoded) <= MAX_CERTIFICATE else b""
    except (binascii.Error, ValueError):
        return b""


def _refused(reason: Refusal) -> dict[str, object]:
    return {"good": False, "code": reason.code, "sentence": reason.sentence, "remedy": reason.remedy}


# In this order: an Android phone calls itself Linux as well, and an iPhone is "like Mac OS X".
_SYSTEMS_BY_NAME = (
    ("Android", "phone"), ("iPhone", "phone"), ("iPad", "phone"),
    ("Windows", "windows"), ("Mac OS X", "macos"), ("Macintosh", "macos"), ("Linux", "linux"), ("X11", "linux"),
)  # fmt: skip


def _system_of_visitor(request: HttpRequest) -> str:
    """Return the slug of the visitor's system as the browser names it, "phone", or ""."""
    said = request.headers.get("User-Agent", "")
    return next((slug for name, slug in _SYSTEMS_BY_NAME if name in said), "")


@require_safe
def agent_download(request: HttpRequest) -> HttpResponse:
    """Show 「補助アプリの入手」: every system's page, the visitor's own first."""
    visitor, found = _system_of_visitor(request), releases.offered()
    systems = sorted(releases.SYSTEMS, key=lambda system: system.slug != visitor)
    values = {
        "systems": [(system, releases.newest(system.slug, found), system.slug == visitor) for system in systems],
        "phone": visitor == "phone",
    }
    return render(request, "cards/agent_download.html", values)


@require_safe
def agent_system(request: HttpRequest, slug: str) -> HttpResponse:
    """Show how the program is fetched, checked, installed and removed on one kind of computer."""
    system = next((system for system in releases.SYSTEMS if system.slug == slug), None)
    if system is None:
        raise Http404
    others = [each for each in releases.SYSTEMS if each is not system]
    values = {"system": system, "others": others, "offered": releases.newest(slug, releases.offered())}
    return render(request, f"cards/agent_{slug}.html", values)


@require_safe
def agent_file(request: HttpRequest, name: str) -> FileResponse:
    """Send a release, or its signed note."""
    path = releases.path_of(name)
    if path is None:
        raise Http404
    kind = "text/plain; charset=utf-8" if path.suffix == ".note" else "application/octet-stream"
    return FileResponse(path.open("rb"), as_attachment=True, filename=name, content_type=kind)
