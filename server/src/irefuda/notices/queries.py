"""What the other slices and the commands ask of the notices."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from django.db import connection
from django.db.models import Exists, OuterRef, QuerySet

from irefuda.notices.models import Notice, PracticeMail, ReadMark, State

PRACTICE_MAILS_SHOWN = 100
PAGE = 50
# How far back an address is looked for among the notices of an inbox.
LATEST = 200


@dataclass(frozen=True, slots=True)
class Inbox:
    """Whose notices someone may read, and whose marks of having read them count."""

    # Fingerprints of certificates and 企業ID.
    keys: frozenset[str]
    # Fingerprints: the card's own, and those of the cards whose place it has taken.
    readers: frozenset[str]


@dataclass(frozen=True, slots=True)
class InboxPage:
    """One page of an inbox; every notice has `read`."""

    notices: list[Notice]
    page: int
    has_next: bool

    @property
    def previous_page(self) -> int:
        """Return the number of the page before this one."""
        return self.page - 1

    @property
    def next_page(self) -> int:
        """Return the number of the page after this one."""
        return self.page + 1


def is_waiting_since(moment: datetime) -> bool:
    """Return whether a notice that could have gone out before this moment has not: nobody sends, or nobody takes."""
    waiting = (State.QUEUED, State.CLAIMED)
    return Notice.objects.filter(state__in=waiting, next_attempt_at__lt=moment).exists()


def inbox(*keys: str) -> QuerySet[Notice]:
    """Return the notices of these inboxes (certificate fingerprint or 企業ID), latest first; an empty key has none."""
    return Notice.objects.filter(inbox__in=keys).exclude(inbox="").order_by("-queued_at", "kind", "to", "id")


def unread(of: Inbox) -> int:
    """Return how many notices nobody of the readers has opened."""
    keys, readers = sorted(filter(None, of.keys)), sorted(of.readers)
    with connection.cursor() as cursor:
        # Plain SQL: the start page asks this, and to build the query takes longer than to answer it.
        cursor.execute(
            f"""SELECT COUNT(*) FROM notices_notice notice WHERE inbox IN ({_places(keys)}) AND NOT EXISTS (
            SELECT 1 FROM notices_readmark mark WHERE mark.notice_id = notice.id AND mark.reader IN ({_places(readers)}))""",  # noqa: S608 -- places only
            [*keys, *readers],
        )
        (count,) = cursor.fetchone()
    return int(count)


def unread_notices(of: Inbox) -> QuerySet[Notice]:
    """Return the notices that nobody of the readers has opened, by their numbers alone."""
    return inbox(*of.keys).exclude(_read_by(of.readers)).only("id")


def inbox_page(of: Inbox, *, page: int) -> InboxPage:
    """Return one page of an inbox, latest first."""
    page = max(page, 1)
    start = (page - 1) * PAGE
    found = list(_with_read(of).defer("body")[start : start + PAGE + 1])
    return InboxPage(found[:PAGE], page, len(found) > PAGE)


def inbox_notice(of: Inbox, notice_id: uuid.UUID) -> Notice | None:
    """Return one notice of an inbox, or None; another's is as good as not there."""
    return _with_read(of).filter(id=notice_id).first()


def undelivered(*, inboxes: Collection[str], addresses: Collection[str]) -> list[str]:
    """Return which of these addresses the last mail of these inboxes did not reach for good."""
    over = inbox(*inboxes).filter(to__in=addresses, state__in=[State.SENT, State.FAILED])
    # The latest one of each address comes last, and stays.
    last = dict(reversed(over.values_list("to", "state")[:LATEST]))
    return [address for address in addresses if last.get(address) == State.FAILED]


def told(names: Collection[str]) -> set[str]:
    """Return which of these names of what must be told only once have been told."""
    wanted = [name for name in names if name]
    if not wanted:
        return set()
    with connection.cursor() as cursor:
        # Plain SQL, for the last condition as it stands in the index: with a parameter in it no engine would use that.
        cursor.execute(f"SELECT once FROM notices_notice WHERE once IN ({_places(wanted)}) AND NOT (once = '')", wanted)  # noqa: S608 -- places only
        return {name for (name,) in cursor.fetchall()}


def _places(values: Collection[str]) -> str:
    return ", ".join(["%s"] * len(values))


def _with_read(of: Inbox) -> QuerySet[Notice]:
    return inbox(*of.keys).annotate(read=_read_by(of.readers))


def _read_by(readers: Collection[str]) -> Exists:
    return Exists(ReadMark.objects.filter(notice=OuterRef("id"), reader__in=readers))


def practice_mails() -> list[PracticeMail]:
    """Return the latest mails that the practice mail server took."""
    return list(PracticeMail.objects.order_by("-received_at", "-id")[:PRACTICE_MAILS_SHOWN])


def practice_mail(number: int) -> PracticeMail | None:
    """Return one mail that the practice mail server took, or None."""
    return PracticeMail.objects.filter(id=number).first()
