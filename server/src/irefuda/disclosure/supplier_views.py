"""The portal of the contractors' site. Every page is read-only: GET, without login."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from irefuda.agencies.models import Category
from irefuda.agencies.queries import rules_time
from irefuda.disclosure import queries
from irefuda.disclosure.forms import BIDDERS, TryDraw
from irefuda.disclosure.models import NewsKind
from irefuda.ui import clock

CHAPTERS = ("パソコンの準備", "ICカードとリーダー", "ソフトウェア", "パソコンの環境設定", "利用者登録")
CATEGORIES = {category.slug: category for category in Category}


def _page(request: HttpRequest, name: str, **context: object) -> HttpResponse:
    """Render one page of the portal with the offices' state at the rules' time."""
    now = rules_time(clock.now())
    counters = queries.counters(now=now)
    return render(request, f"disclosure/{name}.html", {"server_time": now, "counters": counters, **context})


@require_safe
def portal(request: HttpRequest) -> HttpResponse:
    """Show the eight entries, the hours and what is new."""
    updates, notices = queries.news(NewsKind.UPDATE), queries.news(NewsKind.OFFICE)
    return _page(request, "portal", updates=updates, notices=notices)


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one of the portal's pages of text."""
    return _page(request, name)


@require_safe
def news(request: HttpRequest) -> HttpResponse:
    """Show 「契約課からのお知らせ」."""
    return _page(request, "news", notices=queries.news(NewsKind.OFFICE, limit=100))


@require_safe
def bidding(request: HttpRequest) -> HttpResponse:
    """Show 「電子入札システム」: what is new, the way in, the hours."""
    return _page(request, "bidding", updates=queries.news(NewsKind.UPDATE, limit=100), categories=Category)


@require_safe
def sections(request: HttpRequest, slug: str) -> HttpResponse:
    """List the 調達機関 of one 区分."""
    if slug not in CATEGORIES:
        raise Http404
    now = rules_time(clock.now())
    chosen = CATEGORIES[slug]
    context = {
        "server_time": now,
        "category": chosen,
        "slug": slug,
        "counters": queries.counters(now=now, category=chosen),
    }
    return render(request, "disclosure/sections.html", context)


@require_safe
def guide_chapter(request: HttpRequest, number: int) -> HttpResponse:
    """Show one chapter of 利用手順."""
    if not 1 <= number <= len(CHAPTERS):
        raise Http404
    previous = (number - 1, CHAPTERS[number - 2]) if number > 1 else None
    following = (number + 1, CHAPTERS[number]) if number < len(CHAPTERS) else None
    title = CHAPTERS[number - 1]
    return _page(request, f"guide_{number}", number=number, title=title, previous=previous, following=following)


@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    """Show the contents of 利用手順."""
    return _page(request, "guide", chapters=CHAPTERS)


@require_safe
def lottery(request: HttpRequest) -> HttpResponse:
    """Explain 電子くじ, and draw with the numbers in the address when there are any."""
    form = TryDraw(request.GET) if "chosen1" in request.GET else TryDraw()
    result = form.result() if form.is_bound and form.is_valid() else None
    rows = list(zip(BIDDERS, result.lots, strict=False)) if result else []
    order = [BIDDERS[place] for place in result.order] if result else []
    return _page(request, "lottery", form=form, result=result, rows=rows, order=order)
