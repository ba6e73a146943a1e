"""In and out with a card, and the start page."""

from __future__ import annotations

import logging
import secrets

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from irefuda.cards import auth as card_auth
from irefuda.cards import operations as cards
from irefuda.cards import queries as card_queries
from irefuda.cards.operations import ProvenCard
from irefuda.staff import auth, operations
from irefuda.staff.models import Role
from irefuda.staff.operations import Actor
from irefuda.ui import clock
from irefuda_core.refusal import Refused

log = logging.getLogger(__name__)


def _prove(request: HttpRequest) -> ProvenCard:
    """Judge the token that the card agent made, as a staff card's, over this site's own origin."""
    return cards.prove_card(
        token_text=request.POST.get("token", ""),
        nonce_browser=request.COOKIES.get(settings.BROWSER_COOKIE_NAME, ""),
        origin=settings.STAFF_ORIGIN,
        audience="staff",
        now=clock.now(),
    )


@require_http_methods(["GET", "POST"])
def log_in(request: HttpRequest) -> HttpResponse:
    """「職員用ログイン」."""
    if request.method == "GET":
        return render(request, "staff/login.html")
    now, address = clock.now(), card_auth.client_address(request)
    try:
        proven = _prove(request)
        # Before the session begins: whoever is no member gets none.
        actor = auth.actor_from(der=proven.card.der, address=address, now=now)
    except Refused as refused:
        log.warning("a staff login from %s was refused: %s", address, refused)
        raise
    card_auth.begin(request, proven, person_in_charge="", now=now)
    log.info("staff member %s logged in from %s", actor.member.id, address)
    return redirect("staff-start")


@require_GET
def start(request: HttpRequest, actor: Actor) -> HttpResponse:
    """Show who is logged in, what this person may do, until when the card lasts, and what waits."""
    now = clock.now()
    context = {
        "actor": actor,
        "roles": [role for role in Role if role in actor.roles],
        "menu": list(auth.menu_of(actor, now=now)),
        "expires_in_days": (actor.expires_at - now).days,
    }
    return render(request, "staff/start.html", context)


@require_POST
def log_out(request: HttpRequest) -> HttpResponse:
    """End the session and say so."""
    request.session.flush()
    request.card_session = None  # type: ignore[attr-defined]
    return render(request, "staff/logged_out.html")


@require_http_methods(["GET", "POST"])
def enrol(request: HttpRequest) -> HttpResponse:
    """「新しいICカードの申し込み」: prove a card, and get the code that an administrator asks for."""
    if request.method == "GET":
        return render(request, "staff/enrol.html")
    proven = _prove(request)
    waiting = operations.present_card(proven=proven, now=clock.now(), entropy=secrets.token_bytes(16))
    code = f"{waiting.code[:4]} {waiting.code[4:7]} {waiting.code[7:]}"
    return render(request, "staff/enrolled.html", {"waiting": waiting, "code": code, "card": proven.card})


@require_safe
def practice_cards(request: HttpRequest) -> HttpResponse:
    """Show the staff's 「練習用ICカードとPIN番号」; there is no such page outside the practice realm."""
    if not settings.PRACTICE:
        raise Http404
    found = card_queries.practice_cards(settings.STATE_DIR / "cards" / "cards.json", "staff_cards")
    return render(request, "staff/practice_cards.html", {"cards": found})
