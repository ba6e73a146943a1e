"""The practice realm's mail server: takes every mail on loopback and delivers none."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import logging
import signal
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, connection

from irefuda.notices import operations
from irefuda.ui import clock

log = logging.getLogger(__name__)


class Keeper:
    """Keeps what arrives in the database, for the page 「練習用メール」."""

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        try:
            await sync_to_async(keep)(envelope)
        except (OperationalError, InterfaceError) as reason:
            log.warning("a mail could not be kept (%s)", type(reason).__name__)
            return "451 4.3.0 the database is not available"
        return "250 2.0.0 kept"


def keep(envelope: Envelope) -> None:
    """Store one mail per recipient; what cannot be decoded is shown with replacement characters."""
    content = envelope.original_content or b""
    mail = email.message_from_bytes(content, policy=email.policy.default)
    assert isinstance(mail, EmailMessage)
    part = mail.get_body(("plain",))
    body = content.decode("utf-8", "replace")
    with contextlib.suppress(LookupError, ValueError):
        body = part.get_content() if part is not None else body
    try:
        for recipient in envelope.rcpt_tos:
            operations.record_practice_mail(
                message_id=str(mail["Message-ID"] or ""),
                sender=str(mail["From"] or envelope.mail_from or ""),
                to=recipient,
                subject=str(mail["Subject"] or ""),
                body=body,
                received_at=clock.now(),
            )
    except (OperationalError, InterfaceError):
        connection.close()
        raise


async def serve(host: str, port: int) -> None:
    """Take mails until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    server = await loop.create_server(
        lambda: SMTP(Keeper(), hostname="practice.invalid", ident="irefuda practice mail", loop=loop), host, port
    )
    async with server:
        await stop.wait()


class Command(BaseCommand):
    help = "Run the practice realm's mail server: mails stay in the database and are shown on /practice/mail/."

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.PRACTICE:
            raise CommandError("this mail server delivers nothing; it runs in the practice realm only")
        # The library writes addresses into its log.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self.stdout.write(f"practice mail server on {settings.EMAIL_HOST}:{settings.EMAIL_PORT}")
        self.stdout.flush()
        asyncio.run(serve(settings.EMAIL_HOST, settings.EMAIL_PORT))
