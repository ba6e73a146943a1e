"""What the other slices and the commands ask of the notices."""

from __future__ import annotations

from django.db.models import QuerySet

from irefuda.notices.models import Notice, PracticeMail

PRACTICE_MAILS_SHOWN = 100


def inbox(key: str) -> QuerySet[Notice]:
    """Return the notices of one inbox (certificate fingerprint or 企業ID), latest first; an empty key has none."""
    return Notice.objects.filter(inbox=key).exclude(inbox="").order_by("-queued_at", "id")


def practice_mails() -> list[PracticeMail]:
    """Return the latest mails that the practice mail server took."""
    return list(PracticeMail.objects.order_by("-received_at", "-id")[:PRACTICE_MAILS_SHOWN])


def practice_mail(number: int) -> PracticeMail | None:
    """Return one mail that the practice mail server took, or None."""
    return PracticeMail.objects.filter(id=number).first()
