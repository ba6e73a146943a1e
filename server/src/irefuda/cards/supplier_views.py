"""What only the contractors' site shows of the cards."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from irefuda.cards import queries


@require_safe
def practice_cards(request: HttpRequest) -> HttpResponse:
    """Show 「練習用ICカードとPIN番号」; there is no such page outside the practice realm."""
    if not settings.PRACTICE:
        raise Http404
    cards = queries.practice_cards(settings.STATE_DIR / "cards" / "cards.json")
    return render(request, "cards/practice_cards.html", {"cards": cards})
