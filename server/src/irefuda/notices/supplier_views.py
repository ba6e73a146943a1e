"""「練習用メール」: what the practice realm's mail server took, open to everyone who practises."""

from __future__ import annotations

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from irefuda.notices import queries


def practice_only() -> None:
    """Answer 404 outside the practice realm, where mails are nobody's business but the recipient's."""
    if not settings.PRACTICE:
        raise Http404


@require_safe
def practice_mails(request: HttpRequest) -> HttpResponse:
    """Show the list of the latest mails."""
    practice_only()
    return render(request, "notices/practice_mails.html", {"mails": queries.practice_mails()})


@require_safe
def practice_mail(request: HttpRequest, number: int) -> HttpResponse:
    """Show one mail."""
    practice_only()
    mail = queries.practice_mail(number)
    if mail is None:
        raise Http404
    return render(request, "notices/practice_mail.html", {"mail": mail})
