"""マイページ, the inbox, and what a company does with its cards: the pages of a card that are not of one section."""

from __future__ import annotations

import functools
import secrets
import uuid
from collections.abc import Callable
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from irefuda.agencies.models import Section
from irefuda.notices import operations as notices
from irefuda.notices import queries as inboxes
from irefuda.notices.models import Notice
from irefuda.registration import account, auth, standing
from irefuda.registration.forms import ClosingReason
from irefuda.registration.section_pages import begin_session, count_refused, go, in_section, page
from irefuda.ui import clock
from irefuda.ui.pages import refusal_page
from irefuda_core.refusal import Refused, refusal

View = Callable[..., HttpResponse]


def _of_card(view: View) -> View:
    """Answer a refusal with its reason page, on the pages that belong to no section."""

    @functools.wraps(view)
    def wrapped(request: HttpRequest, **kwargs: Any) -> HttpResponse:
        try:
            response: HttpResponse = view(request, **kwargs)
        except Refused as refused:
            count_refused(request, None, refused)
            if request.card_session is None:  # type: ignore[attr-defined]
                return refusal_page(
                    request,
                    refused.refusals,
                    back_url=reverse("account-login"),
                    back_label="マイページのログインへ",
                )
            return refusal_page(request, refused.refusals, back_label="電子入札ポータルサイトへ")
        return response

    return wrapped


@require_http_methods(["GET", "POST"])
@_of_card
def log_in(request: HttpRequest) -> HttpResponse:
    """The way into マイページ, at any hour: it is where a lost card is stopped."""
    if request.method == "GET":
        return render(request, "registration/account_login.html")
    begin_session(request)
    response: HttpResponse = redirect("account")
    return response


@require_GET
@_of_card
def show_account(request: HttpRequest) -> HttpResponse:
    """マイページ; for whoever has not come in yet, the way in."""
    if request.card_session is None:  # type: ignore[attr-defined]
        return redirect("account-login")
    now = clock.now()
    presenter = auth.presenter(request, now=now)
    fingerprint = presenter.card.fingerprint
    shown = account.account_of(fingerprint=fingerprint, now=now)
    return render(
        request,
        "registration/account.html",
        {
            "account": shown,
            "card": presenter.card,
            "person": presenter.person_in_charge,
            # A card that is good nowhere any more has no inbox.
            "unread": inboxes.unread(account.inbox_of(fingerprint=fingerprint)) if shown.has_inbox else None,
        },
    )


@require_GET
@_of_card
def show_inbox(request: HttpRequest) -> HttpResponse:
    """「お知らせ」: the newest first, fifty on a page."""
    presenter = auth.presenter(request, now=clock.now())
    inbox = account.inbox_of(fingerprint=presenter.card.fingerprint)
    try:
        number = int(request.GET.get("page", "1"))
    except ValueError:
        number = 1
    shown = inboxes.inbox_page(inbox, page=min(number, 10_000))
    return render(request, "registration/account_inbox.html", {"inbox": shown, "unread": inboxes.unread(inbox)})


@require_POST
@_of_card
def read_all(request: HttpRequest) -> HttpResponse:
    """「すべて既読にする」: mark every notice of the inbox as read by this card."""
    now = clock.now()
    fingerprint = auth.presenter(request, now=now).card.fingerprint
    notices.mark_all_read(of=account.inbox_of(fingerprint=fingerprint), reader=fingerprint, now=now)
    response: HttpResponse = redirect("inbox")
    return response


def _notice(request: HttpRequest, notice_id: uuid.UUID) -> tuple[str, Notice]:
    """Return who reads (the fingerprint of the card) and the notice; another's is as good as not there."""
    fingerprint = auth.presenter(request, now=clock.now()).card.fingerprint
    notice = inboxes.inbox_notice(account.inbox_of(fingerprint=fingerprint), notice_id)
    if notice is None:
        raise Http404
    return fingerprint, notice


@require_GET
@_of_card
def show_notice(request: HttpRequest, notice_id: uuid.UUID) -> HttpResponse:
    """One notice, in the words of the mail. Looking marks nothing: that is `open_notice`."""
    _, notice = _notice(request, notice_id)
    return render(request, "registration/account_notice.html", {"notice": notice})


@require_POST
@_of_card
def open_notice(request: HttpRequest, notice_id: uuid.UUID) -> HttpResponse:
    """Mark one notice as read by this card, and show it."""
    reader, notice = _notice(request, notice_id)
    notices.mark_read(notice=notice, reader=reader, now=clock.now())
    response: HttpResponse = redirect("inbox-notice", notice_id=notice.id)
    return response


@require_http_methods(["GET", "POST"])
@_of_card
def register_elsewhere(request: HttpRequest) -> HttpResponse:
    """「別の区分・別の調達機関に登録する」: choose where, and whose data 登録 begins with."""
    presenter = auth.presenter(request, now=clock.now(), saved=False if request.method == "POST" else None)
    sources, sections = account.sources(presenter.card.fingerprint)
    if request.method == "GET":
        return render(request, "registration/account_elsewhere.html", {"sources": sources, "sections": sections})
    source = next((one for one in sources if str(one.card.id) == request.POST.get("source")), None)
    section = next((one for one in sections if str(one.id) == request.POST.get("section")), None)
    if source is None or section is None:
        raise Http404
    # Only proposals: 資格審査情報検索 judges them as it judges what is typed, and counts the try.
    request.session["lookup"] = {
        "section": section.id,
        "typed": source.lookup_for(section),
        "password_errors": [],
        "answer": "",
    }
    request.session["carry_over"] = {"section": section.id, "card": str(source.card.id)}
    return go("registration-lookup", section)


@require_GET
@in_section
def add_card(request: HttpRequest, section: Section) -> HttpResponse:
    """「ICカードを追加する」: what to type with the other card, and the way to 登録."""
    presenter = auth.presenter(request, now=clock.now())
    own = auth.registered_card(section=section, fingerprint=presenter.card.fingerprint)
    return page(request, "account_add_card", section, registration=own.registration)


@require_http_methods(["GET", "POST"])
@in_section
def close_card(request: HttpRequest, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """「ICカードの使用を止める」: first what would happen, then it happens. At any hour: a lost card does not wait."""
    now = clock.now()
    presenter = auth.presenter(request, now=now, saved=False if request.method == "POST" else None)
    fingerprint = presenter.card.fingerprint
    if account.closed_card(section=section, fingerprint=fingerprint, card_id=card_id):
        # Pressed twice, or by a colleague meanwhile: that is what was wanted.
        return go("account-closed", section, card_id=card_id)
    own = auth.registered_card(section=section, fingerprint=fingerprint)
    closing = account.closing_of(own=own, card_id=card_id, now=now)
    if closing is None:
        raise Http404
    if not closing.line.usable:
        raise Refused(refusal("R-163"))
    form = ClosingReason(request.POST if request.method == "POST" else {} if "mistakes" in request.GET else None)
    if request.method == "GET":
        return page(request, "account_close", section, closing=closing, form=form)
    if not form.is_valid():
        # Answered by a GET, so that the back button never asks to send a form again.
        return redirect(f"{request.path}?mistakes")
    try:
        standing.close_card(
            section=section,
            card_id=card_id,
            closing=standing.Closing(fingerprint, presenter.person_in_charge, form.cleaned_data["reason"]),
            now=now,
            salt=secrets.token_bytes(16),
        )
    except Refused:
        # Somebody else has closed this card, or the very one that acts, since it was looked at.
        if not account.closed_card(section=section, fingerprint=fingerprint, card_id=card_id):
            raise
    return go("account-closed", section, card_id=card_id)


@require_GET
@in_section
def show_closed(request: HttpRequest, section: Section, card_id: uuid.UUID) -> HttpResponse:
    """Say that the card may no longer be used, also to the holder of that very card."""
    presenter = auth.presenter(request, now=clock.now())
    fingerprint = presenter.card.fingerprint
    card = account.closed_card(section=section, fingerprint=fingerprint, card_id=card_id)
    if card is None:
        raise Http404
    return page(request, "account_closed", section, closed=card, own=card.fingerprint == fingerprint)
