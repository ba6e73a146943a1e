"""A real mail server on loopback for tests, that answers as it is told to."""

from __future__ import annotations

import asyncio
import contextlib
import email
import email.policy
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session, syntax

ACCEPTED = "250 OK"
CUT_BEFORE_CONTENT = "cut before content"
CUT_INSTEAD_OF_REPLY = "cut instead of the reply"


@dataclass
class Postbox:
    """What arrived, and how to answer: per recipient a list of answers, the first of which is used up each time."""

    mails: list[EmailMessage] = field(default_factory=list)
    # Answers to MAIL, whoever the mail is for.
    at_sender: list[str] = field(default_factory=list)
    at_recipient: dict[str, list[str]] = field(default_factory=dict)
    at_content: dict[str, list[str]] = field(default_factory=dict)
    seconds_per_mail: float = 0.0
    # Set when a content has come; the reply waits for the other.
    arrived: threading.Event = field(default_factory=threading.Event)
    reply: threading.Event | None = None

    def times_arrived(self) -> Counter[str]:
        return Counter(mail["Message-ID"] for mail in self.mails)

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.at_sender.pop(0) if self.at_sender else ACCEPTED
        if answer == ACCEPTED:
            envelope.mail_from = address
        return answer

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = _next(self.at_recipient, address)
        if answer == ACCEPTED:
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        await asyncio.sleep(self.seconds_per_mail)
        self.arrived.set()
        if self.reply is not None:
            await asyncio.to_thread(self.reply.wait, 30)
        answer = _next(self.at_content, envelope.rcpt_tos[0])
        if answer == CUT_INSTEAD_OF_REPLY:
            server.transport.abort()
        elif answer == ACCEPTED:
            assert isinstance(envelope.original_content, bytes)
            parsed = email.message_from_bytes(envelope.original_content, policy=email.policy.default)
            assert isinstance(parsed, EmailMessage)
            self.mails.append(parsed)
        return answer


def _next(answers: dict[str, list[str]], address: str) -> str:
    return answers[address].pop(0) if answers.get(address) else ACCEPTED


class CuttingSMTP(SMTP):
    """May cut the connection when the content is about to come."""

    @syntax("DATA")
    async def smtp_DATA(self, arg: str) -> None:
        postbox: Any = self.event_handler
        waiting = postbox.at_content.get(self.envelope.rcpt_tos[0], []) if self.envelope.rcpt_tos else []
        if waiting[:1] == [CUT_BEFORE_CONTENT]:
            waiting.pop(0)
            await self.push("354 go on")
            self.transport.abort()
            return
        await super().smtp_DATA(arg)


class PostboxController(Controller):
    def factory(self) -> SMTP:
        return CuttingSMTP(self.handler, hostname="mail.test")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def mail_server(port: int) -> Iterator[Postbox]:
    """Run a mail server on a loopback port for the length of the block."""
    postbox = Postbox()
    controller = PostboxController(postbox, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield postbox
    finally:
        controller.stop()
