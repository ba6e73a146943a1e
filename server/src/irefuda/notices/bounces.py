"""Delivery status notifications (RFC 3464): which notice does not arrive, found by the Message-ID of the mail returned."""

from __future__ import annotations

import email
import hashlib
from dataclasses import dataclass
from datetime import datetime
from email.message import Message
from email.parser import HeaderParser

from django.db import transaction

from irefuda.notices.models import Bounce, BounceOrigin, Notice, State

# RFC 3464 section 2.3.3; the other actions (delivered, relayed, expanded) are good news and are not recorded.
BAD_NEWS = ("failed", "delayed")
RETURNED_MAIL = ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers")
STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")


@dataclass(frozen=True, slots=True)
class Report:
    """What one report says about one mail: the worst action of all its recipients."""

    message_id: str
    action: str
    status: str
    diagnostic: str


def read_report(content: bytes) -> Report | None:
    """Return what a delivery status notification says, or None when `content` is something else."""
    mail = email.message_from_bytes(content)
    if mail.get_content_type() != "multipart/report" or not mail.is_multipart():
        return None
    message_id, recipients = "", list[Message]()
    for part in mail.get_payload():
        if not isinstance(part, Message):
            return None
        if part.get_content_type() in STATUS_PARTS:
            # The first block is about the report itself, each further one about a recipient (section 2.1).
            recipients += _blocks(part)[1:]
        elif part.get_content_type() in RETURNED_MAIL:
            message_id = _field(_returned(part), "Message-ID")
    for action in BAD_NEWS:
        for recipient in recipients:
            if str(recipient.get("Action", "")).strip().lower() == action:
                return Report(message_id, action, _field(recipient, "Status"), _field(recipient, "Diagnostic-Code"))
    return None


def _blocks(part: Message) -> list[Message]:
    """Return the blocks of fields; the parser splits them itself unless the part is encoded."""
    payload = part.get_payload()
    if isinstance(payload, list) and len(payload) > 1:
        return [block for block in payload if isinstance(block, Message)]
    text = _text(part).replace("\r\n", "\n").strip("\n")
    return [HeaderParser().parsestr(block) for block in text.split("\n\n")]


def _returned(part: Message) -> Message:
    payload = part.get_payload()
    if isinstance(payload, list) and payload and isinstance(payload[0], Message) and payload[0].keys():
        return payload[0]
    return HeaderParser().parsestr(_text(part).lstrip("\r\n"))


def _text(part: Message) -> str:
    if part.is_multipart():
        # An encoded message part, which RFC 2046 forbids and servers send: the parser leaves one child with the raw text.
        inner = part.get_payload(0)
        assert isinstance(inner, Message)
        inner["Content-Transfer-Encoding"] = part.get("Content-Transfer-Encoding", "7bit")
        part = inner
    decoded = part.get_payload(decode=True)
    return decoded.decode("utf-8", "replace") if isinstance(decoded, bytes) else ""


def _field(block: Message, name: str) -> str:
    return " ".join(str(block.get(name, "")).replace("\x00", "").split())


def record_report(content: bytes, *, now: datetime) -> str:
    """Write one report down against its notice; the same report read again adds nothing.

    Returns what became of it: "recorded", "known", "not ours" (no such notice) or "no report".
    """
    report = read_report(content)
    if report is None:
        return "no report"
    notice = Notice.objects.filter(message_id=report.message_id).first()
    if notice is None:
        return "not ours"
    with transaction.atomic():
        _, fresh = Bounce.objects.get_or_create(
            notice=notice,
            origin=BounceOrigin.REPORT,
            source=hashlib.sha256(content).hexdigest(),
            defaults={
                "action": report.action,
                "status": report.status[:15],
                "diagnostic": report.diagnostic[:500],
                "recorded_at": now,
            },
        )
        if fresh and report.action == "failed":
            # Whatever else comes: it was handed over once (sent_at stays), and it did not arrive.
            Notice.objects.filter(id=notice.id, state=State.SENT).update(
                state=State.FAILED, last_error=f"{report.status} {report.diagnostic}"[:300]
            )
    return "recorded" if fresh else "known"
