"""Delivery status notifications in the shape of RFC 3464's own examples."""

from __future__ import annotations

import base64

RECIPIENT = """Final-Recipient: rfc822; keiri@example.jp
Action: {action}
Status: {status}
Diagnostic-Code: smtp; 550 5.1.1 <keiri@example.jp>:
 Recipient address rejected: User unknown
"""


def report(
    message_id: str,
    *,
    action: str = "failed",
    status: str = "5.1.1",
    returned: str = "message/rfc822",
    encoded: bool = False,
    before: str = "",
) -> bytes:
    """Write a report in the shape of RFC 3464's own examples."""
    fields = "Reporting-MTA: dns; mail.city.example.jp\nArrival-Date: Tue, 24 Nov 2026 10:00:00 +0900\n\n" + before
    fields += RECIPIENT.format(action=action, status=status)
    original = f"Date: Tue, 24 Nov 2026 01:00:00 +0000\nMessage-ID: {message_id}\nFrom: nyusatsu@city.example.jp\n\n"
    if returned == "message/rfc822":
        original += "5LyB5qWtSUQK\n"
    encoding = "base64" if encoded else "7bit"
    if encoded:
        fields, original = (base64.encodebytes(text.encode()).decode() for text in (fields, original))
    lines = [
        "From: MAILER-DAEMON@mail.city.example.jp",
        "To: irefuda@city.example.jp",
        "Subject: Undelivered Mail Returned to Sender",
        "MIME-Version: 1.0",
        'Content-Type: multipart/report; report-type=delivery-status; boundary="cut"',
        "",
        "--cut",
        "Content-Type: text/plain; charset=us-ascii",
        "",
        "I'm sorry to have to inform you that your message could not be delivered.",
        "--cut",
        "Content-Type: message/delivery-status",
        f"Content-Transfer-Encoding: {encoding}",
        "",
        fields,
        "--cut",
        f"Content-Type: {returned}",
        f"Content-Transfer-Encoding: {encoding}",
        "",
        original,
        "--cut--",
        "",
    ]
    return "\n".join(lines).encode()
