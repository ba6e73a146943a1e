"""The public's site, 入札情報サービス: read-only, without login."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe


@require_safe
def front(request: HttpRequest) -> HttpResponse:
    """Show what the public can look up."""
    return render(request, "disclosure/public.html")
