"""The portal of the contractors' site. Every page is read-only: GET, without login."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.feedgenerator import Atom1Feed
from django.views.decorators.http import require_safe

from irefuda.agencies.models import Category
from irefuda.agencies.queries import sections as every_section
from irefuda.disclosure import faq as questions
from irefuda.disclosure import manual as pictured
from irefuda.disclosure import messages as catalogue
from irefuda.disclosure import queries
from irefuda.disclosure.forms import BIDDERS, TryDraw
from irefuda.disclosure.models import Announcement
from irefuda.ui import clock, pdf
from irefuda.ui.context import site
from irefuda.ui.pages import refusal_page
from irefuda_core import procedure
from irefuda_core.refusal import refusal

CHAPTERS = ("パソコンの準備", "ICカードとリーダー", "ソフトウェア", "パソコンの環境設定", "利用者登録")
# The chapters before the registration, which has the numbered sections of the manual.
BEFORE = CHAPTERS[:4]
CATEGORIES = {category.slug: category for category in Category}


def _page(request: HttpRequest, name: str, *, status: int = 200, **context: object) -> HttpResponse:
    """Render one page of the portal with the offices' state at the rules' time."""
    now, counters = queries.counters(now=clock.now())
    shown = {"server_time": now, "counters": counters, **context}
    return render(request, f"disclosure/{name}.html", shown, status=status)


def _updated_on(shown: Iterable[Announcement], written_on: str = "2026-11-25") -> str:
    """Return the 更新日 of a page with these announcements, whose own words were last changed on `written_on`."""
    return max([written_on, *(f"{found.updated_at.astimezone(clock.JST):%Y-%m-%d}" for found in shown)])


@require_safe
def portal(request: HttpRequest) -> HttpResponse:
    """Show the eight entries, the hours and what is new."""
    news = queries.newest_announcements(now=clock.now())
    return _page(request, "portal", announcements=news, updated_on=_updated_on(news))


@require_safe
def page(request: HttpRequest, name: str) -> HttpResponse:
    """Show one of the portal's pages of text."""
    return _page(request, name)


@require_safe
def privacy(request: HttpRequest) -> HttpResponse:
    """Show 「プライバシー」 with the cookies by the names that they have on this installation."""
    cookies = [
        (settings.SESSION_COOKIE_NAME, "ICカードで入ったかたを覚えておくため", "ブラウザを閉じたとき"),
        (settings.CSRF_COOKIE_NAME, "ほかのサイトから、なりすまして送られた内容を断るため", "1年後"),
        (settings.BROWSER_COOKIE_NAME, "ICカードの確認を、同じブラウザから続けるため", "ブラウザを閉じたとき"),
    ]
    return _page(request, "privacy", cookies=cookies)


@require_safe
def announcements(request: HttpRequest) -> HttpResponse:
    """Show one page of 「契約課からのお知らせ」."""
    number = request.GET.get("page", "1")
    if not (number.isascii() and number.isdecimal() and len(number) < 6 and int(number) > 0):
        raise Http404
    found = queries.announcements(now=clock.now(), page=int(number))
    if not found.announcements and found.number > 1:
        raise Http404
    return _page(request, "announcements", found=found, updated_on=_updated_on(found.announcements))


@require_safe
def announcement(request: HttpRequest, announcement_id: uuid.UUID) -> HttpResponse:
    """Show one announcement; one that was withdrawn shows why instead of its text."""
    now = clock.now()
    found = queries.announcement(announcement_id=announcement_id, now=now)
    if found is None:
        raise Http404
    is_over = found.expires_at is not None and found.expires_at <= now
    return _page(request, "announcement", announcement=found, is_over=is_over, updated_on=_updated_on([found], ""))


@require_safe
def feed(request: HttpRequest) -> HttpResponse:
    """Answer with the newest announcements as an Atom feed (RFC 4287)."""
    home = settings.SUPPLIER_ORIGIN
    # Its id stays the same for as long as the site has this origin, whatever the feed's address becomes.
    written = Atom1Feed(
        title=f"{settings.CITY_NAME}電子入札　契約課からのお知らせ",
        link=home + reverse("portal-announcements"),
        description=None,
        language="ja",
        author_name=f"{settings.CITY_NAME} 契約課",
        feed_url=home + reverse("portal-feed"),
        feed_guid=uuid.uuid5(uuid.NAMESPACE_URL, f"{home}/announcements").urn,
    )
    for found in queries.announcements(now=clock.now()).announcements:
        written.add_item(
            title=f"【取り下げ】{found.title}" if found.withdrawn_at else found.title,
            link=home + reverse("portal-announcement", args=[found.id]),
            description=_summary(found),
            unique_id=found.id.urn,
            pubdate=found.published_at,
            updateddate=found.updated_at,
        )
    return HttpResponse(written.writeString("utf-8"), content_type="application/atom+xml; charset=utf-8")


def _summary(found: Announcement) -> str:
    return render_to_string("disclosure/announcement_body.html", {"announcement": found})


@require_safe
def bidding(request: HttpRequest) -> HttpResponse:
    """Show 「電子入札システム」: what is new, the way in, the hours."""
    news = queries.newest_announcements(now=clock.now())
    return _page(request, "bidding", announcements=news, categories=Category)


@require_safe
def sections(request: HttpRequest, slug: str) -> HttpResponse:
    """List the 調達機関 of one 区分."""
    if slug not in CATEGORIES:
        raise Http404
    chosen = CATEGORIES[slug]
    now, counters = queries.counters(now=clock.now(), category=chosen)
    context = {"server_time": now, "category": chosen, "slug": slug, "counters": counters}
    return render(request, "disclosure/sections.html", context)


@require_safe
def guide_chapter(request: HttpRequest, number: int) -> HttpResponse:
    """Show one chapter of 利用手順."""
    if not 1 <= number <= len(CHAPTERS):
        raise Http404
    previous = (number - 1, CHAPTERS[number - 2]) if number > 1 else None
    following = (number + 1, CHAPTERS[number]) if number < len(CHAPTERS) else None
    title = CHAPTERS[number - 1]
    return _page(
        request,
        f"guide_{number}",
        number=number,
        title=title,
        previous=previous,
        following=following,
        chapter_steps=pictured.chapter_steps(number),
    )


@require_safe
def guide(request: HttpRequest) -> HttpResponse:
    """Show the contents of 利用手順."""
    return _page(request, "guide", chapters=CHAPTERS)


@require_safe
def manual(request: HttpRequest) -> HttpResponse:
    """Show the contents of the manual with pictures."""
    sections, updated_on = pictured.sections(), pictured.updated_on()
    return _page(request, "manual", sections=sections, chapters=BEFORE, updated_on=updated_on)


@require_safe
def manual_section(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one numbered section of the manual."""
    sections = pictured.sections()
    place = next((place for place, section in enumerate(sections) if section.slug == slug), None)
    if place is None:
        raise Http404
    return _page(
        request,
        "manual_section",
        section=sections[place],
        previous=sections[place - 1] if place else None,
        following=sections[place + 1] if place + 1 < len(sections) else None,
        updated_on=pictured.updated_on(),
    )


@require_safe
def manual_all(request: HttpRequest) -> HttpResponse:
    """Show the whole manual on one page, to be searched or printed."""
    return _page(request, "manual_all", **_whole_manual())


@require_safe
def manual_pdf(request: HttpRequest) -> HttpResponse:
    """Answer with the whole manual as a PDF; it is laid out once per process, for it is the same for everybody."""
    # Without the request, so that nothing of the one who asks first comes to the others.
    told = {**site(HttpRequest()), "server_time": None, "pdf": True, **_whole_manual()}
    try:
        made = pdf.make_once(render_to_string("disclosure/manual_all.html", told))
    except pdf.PdfNotMade:
        return refusal_page(
            request,
            [refusal("P-808")],
            status=503,
            heading="PDFを作れませんでした",
            back_url=reverse("portal-manual-all"),
            back_label="1つの画面で読む・印刷する",
        )
    headers = {"Content-Disposition": 'inline; filename="manual.pdf"'}
    return HttpResponse(made, content_type="application/pdf", headers=headers)


def _whole_manual() -> dict[str, Any]:
    chapters = [
        (number, title, f"disclosure/guide_{number}_body.html", pictured.chapter_steps(number))
        for number, title in enumerate(BEFORE, 1)
    ]
    return {"sections": pictured.sections(), "chapters": chapters, "updated_on": pictured.updated_on()}


@require_safe
def lottery(request: HttpRequest) -> HttpResponse:
    """Explain 電子くじ, and draw with the numbers in the address when there are any."""
    form = TryDraw(request.GET) if "chosen1" in request.GET else TryDraw()
    result = form.result() if form.is_bound and form.is_valid() else None
    rows = list(zip(BIDDERS, result.lots, strict=False)) if result else []
    order = [BIDDERS[place] for place in result.order] if result else []
    return _page(request, "lottery", form=form, result=result, rows=rows, order=order)


@require_safe
def faq(request: HttpRequest) -> HttpResponse:
    """Show 「よくある質問と回答(FAQ)」, all of it or what holds the words that were typed."""
    typed = _typed(request)
    found = questions.search(typed) if typed else None
    return _page(request, "faq", typed=typed, found=found, groups=questions.groups(), message=catalogue.message(typed))


@require_safe
def messages(request: HttpRequest) -> HttpResponse:
    """Show 「メッセージ一覧」, all of it or what holds the words that were typed."""
    typed = _typed(request)
    return _page(request, "messages", typed=typed, chapters=catalogue.chapters(typed))


def _typed(request: HttpRequest) -> str:
    return request.GET.get("q", "").replace("\x00", "").strip()[: questions.LONGEST_QUERY]


@require_safe
def changed(request: HttpRequest) -> HttpResponse:
    """Ask the next question of 「カードや会社の情報が変わったとき」, or show the procedure that the answers lead to."""
    walked = procedure.walk(request.GET.dict())
    given = [(question.key, answer.value) for question, answer in walked.answered]
    question = walked.question
    return _page(
        request,
        "changed",
        # Each with the address that asks it again and forgets what came after.
        answered=[(*pair, f"?{urlencode(given[:place])}") for place, pair in enumerate(walked.answered)],
        question=question,
        answers=[(answer, f"?{urlencode([*given, (question.key, answer.value)])}") for answer in question.answers]
        if question
        else [],
        outcome=walked.outcome,
        back=f"?{urlencode(given[:-1])}" if given else "",
        sections=every_section(),
    )
