"""What the other slices do with notices: queue one inside the transaction of the deed that it tells of."""

from __future__ import annotations

import re
import uuid
from datetime import datetime

from irefuda.notices.models import Notice, PracticeMail
from irefuda.ui import rows
from irefuda_core.refusal import Refused, refusal

# RFC 5322 dot-atom characters; dots may stand anywhere, as in old addresses of Japanese mobile carriers.
ADDRESS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9.-]{1,189}")
LINE_BREAKS_AND_CONTROLS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def enqueue(*, kind: str, to: str, subject: str, body: str, at: datetime, sender: str, inbox: str = "") -> Notice:
    """Queue one mail in the caller's transaction: it exists if and only if the deed does.

    :raises Refused: N-701 when an address has a character that a mail header cannot carry
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
        queued_at=at,
        next_attempt_at=at,
    )
    rows.insert(notice)
    return notice


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
