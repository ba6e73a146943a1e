"""Deeds of the portal: what is announced there."""

from __future__ import annotations

from datetime import date

from irefuda.disclosure.models import NewsKind, PortalNews


def announce(*, kind: NewsKind, published_on: date, sentence: str, link: str = "") -> PortalNews:
    """Put one line on the portal; the same line twice stays one line.

    :raises ValueError: when the link is neither a path of this site nor an https address
    """
    if link and not (link.startswith("/") and not link.startswith("//")) and not link.startswith("https://"):
        raise ValueError(f"a link is a path of this site or an https address, not {link!r}")
    news, _ = PortalNews.objects.get_or_create(
        kind=kind, published_on=published_on, sentence=sentence, defaults={"link": link}
    )
    return news


def withdraw(*, news_id: int) -> bool:
    """Take one line off the portal and return whether it was there."""
    deleted, _ = PortalNews.objects.filter(id=news_id).delete()
    return bool(deleted)
