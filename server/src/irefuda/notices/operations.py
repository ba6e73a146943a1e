"""What the other slices do with notices: queue one inside the transaction of the deed that it tells of."""

from __future__ import annotations

import re
import uuid
from datetime import datetime

from django.db import IntegrityError

from irefuda.notices import queries
from irefuda.notices.models import Notice, PracticeMail, ReadMark
from irefuda.ui import rows
from irefuda_core.refusal import Refused, refusal

# RFC 5322 dot-atom characters; dots may stand anywhere, as in old addresses of Japanese mobile carriers.
ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,189}")
LINE_BREAKS_AND_CONTROLS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class AlreadyTold(Exception):
    """A notice that is to be told only once is there already; the caller's transaction has to be rolled back."""


def enqueue(
    *, kind: str, to: str, subject: str, body: str, at: datetime, sender: str, inbox: str = "", once: str = ""
) -> Notice:
    """Queue one mail in the caller's transaction: it exists if and only if the deed does.

    `once` names what this notice tells, when that must be told only once: of many at the same moment, one queues it.

    :raises Refused: N-701 when an address has a character that a mail header cannot carry
    :raises AlreadyTold: when a notice of the name `once` exists
    """
    if not (ADDRESS.fullmatch(to) and ADDRESS.fullmatch(sender)):
        raise Refused(refusal("N-701"))
    notice_id = uuid.uuid4()
    notice = Notice(
        id=notice_id,
        message_id=f"<{notice_id}@{sender.rpartition('@')[2]}>",
        kind=kind,
        to=to,
        sender=sender,
        # One line, whatever a name in it contains: nothing typed can add a header.
        subject=LINE_BREAKS_AND_CONTROLS.sub(" ", subject).strip()[:200],
        body=body,
        inbox=inbox,
        once=once,
        queued_at=at,
        next_attempt_at=at,
    )
    try:
        rows.insert(notice)
    except IntegrityError:
        if once:
            raise AlreadyTold(once) from None
        raise
    return notice


def mark_read(*, notice: Notice, reader: str, now: datetime) -> None:
    """Write down that the holder of this card has opened the notice; the first time stays."""
    ReadMark.objects.bulk_create([ReadMark(notice=notice, reader=reader, read_at=now)], ignore_conflicts=True)


def mark_all_read(*, of: queries.Inbox, reader: str, now: datetime) -> None:
    """Write down that the holder of this card has seen every notice that is in the inbox now."""
    marks = [ReadMark(notice=notice, reader=reader, read_at=now) for notice in queries.unread_notices(of)]
    ReadMark.objects.bulk_create(marks, ignore_conflicts=True)


def record_practice_mail(
    *, message_id: str, sender: str, to: str, subject: str, body: str, received_at: datetime
) -> PracticeMail:
    """Keep one mail that the practice mail server took, for the page 「練習用メール」."""
    return PracticeMail.objects.create(
        message_id=message_id[:255],
        sender=sender[:254],
        to=to[:254],
        subject=subject[:500],
        body=body.replace("\x00", ""),
        received_at=received_at,
    )
