"""The sending side of the outbox: claim one notice, hand it to the mail server, write down what the server said.

May be killed at any moment. A notice is never lost, because it stays in the table until a reply has been committed; it
can go out twice only when the sender dies between the server's 250 and its own commit, then under the same Message-ID.
"""

from __future__ import annotations

import contextlib
import logging
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.header import Header
from email.headerregistry import Address
from email.mime.text import MIMEText
from email.utils import format_datetime

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.db.models import F, QuerySet

from irefuda.notices.models import Bounce, BounceOrigin, Notice, State
from irefuda.ui.stopping import StopRequest

log = logging.getLogger(__name__)

# A claim outlives the longest submission by far, so that no second worker takes what a slow server is still reading.
SUBMISSION_LIMIT = timedelta(minutes=2)
CLAIM = timedelta(minutes=5)
FIRST_RETRY, LAST_RETRY = timedelta(seconds=30), timedelta(hours=1)
# Claims that ran out come first: they have waited longest.
WAITING = (State.CLAIMED, State.QUEUED)
IDLE_SECONDS = 1.0
UNREACHABLE_SECONDS = (1.0, 2.0, 5.0, 10.0, 30.0)
DATABASE_GONE_SECONDS = 1.0
TRIES_WHEN_STOPPING = 10
# RFC 5321 section 4.2.2: these speak of the dialogue or of our credentials, not of this notice; it is tried again.
OUR_OWN_FAULT = {500, 502, 503, 504, 530, 534, 535, 538}
ENHANCED_STATUS = re.compile(r"\s*([245]\.\d{1,3}\.\d{1,3})\b")


class MailServerUnreachable(Exception):
    """There is no usable mail server at the moment; no notice is to blame."""


class NotTaken(Exception):
    """The mail server did not take this notice: `permanent` as RFC 5321 has it, or to be tried again."""

    def __init__(self, code: int, reply: str, *, permanent: bool) -> None:
        super().__init__(code)
        self.code, self.reply, self.permanent = code, reply, permanent

    @property
    def status(self) -> str:
        """The enhanced status code (RFC 3463) when the reply has one, else the three digits."""
        found = ENHANCED_STATUS.match(self.reply)
        return found[1] if found else str(self.code)


def letter(notice: Notice) -> bytes:
    """Return the mail of a notice; the same notice always gives the same mail."""
    # RFC 2045 section 6.8: text is put into CRLF lines before it is encoded.
    mail = MIMEText(notice.body.replace("\r\n", "\n").replace("\n", "\r\n"), "plain", "utf-8")
    mail["Date"] = format_datetime(notice.queued_at)
    mail["Message-ID"] = notice.message_id
    mail["From"] = _address(notice.sender).addr_spec
    mail["To"] = _address(notice.to).addr_spec
    # The older Header class: folding by the policies drops blanks between encoded words.
    mail["Subject"] = Header(" ".join(notice.subject.splitlines()), "utf-8", header_name="Subject").encode()
    # RFC 3834: keeps out-of-office programs from answering.
    mail["Auto-Submitted"] = "auto-generated"
    # smtplib sends bytes as they are, and a server reads lines only where CRLF stands (RFC 5321, 2.3.8).
    return mail.as_bytes().replace(b"\n", b"\r\n")


def _address(text: str) -> Address:
    user, _, domain = text.rpartition("@")
    return Address(username=user, domain=domain)


class MailServer:
    """One connection to the mail server, kept for several notices and opened anew after a failure."""

    def __init__(self, *, submission_limit: timedelta = SUBMISSION_LIMIT) -> None:
        self.submission_limit = submission_limit
        self._smtp: smtplib.SMTP | None = None

    def connect(self) -> None:
        """Open the connection unless it is open.

        :raises MailServerUnreachable: when no server answers, or it does not let us in
        """
        if self._smtp is not None:
            return
        try:
            smtp = smtplib.SMTP(
                settings.EMAIL_HOST,
                settings.EMAIL_PORT,
                local_hostname=settings.ALLOWED_HOSTS[0],
                timeout=settings.EMAIL_TIMEOUT,
            )
        except (OSError, smtplib.SMTPException) as failure:
            raise MailServerUnreachable(_words(failure)) from failure
        try:
            with self._limited(smtp):
                smtp.ehlo_or_helo_if_needed()
                if settings.EMAIL_USE_TLS:
                    smtp.starttls(context=_tls())
                if settings.EMAIL_HOST_USER:
                    smtp.login(settings.EMAIL_HOST_USER, settings.EMAIL_HOST_PASSWORD)
        except (OSError, smtplib.SMTPException) as failure:
            smtp.close()
            raise MailServerUnreachable(_words(failure)) from failure
        self._smtp = smtp

    def submit(self, notice: Notice, *, still_ours: Callable[[], bool]) -> None:
        """Hand over one notice; returning means that the server answered 250.

        :raises NotTaken: when it was refused, or the connection failed
        """
        smtp = self._smtp
        if smtp is None:
            raise NotTaken(0, "not connected", permanent=False)
        try:
            content = letter(notice)
        except ValueError as failure:
            # One row that no mail can be made of must not hold up all the others.
            raise NotTaken(0, f"no mail can be made of it: {failure}", permanent=True) from failure
        try:
            with self._limited(smtp):
                # MAIL names our sender alone: whatever its refusal says, it says of us and not of this notice.
                _expect_success(smtp.mail(_envelope(settings.DEFAULT_FROM_EMAIL)), of_us=True)
                answer = smtp.rcpt(_envelope(notice.to))
                _expect_success(answer, of_us=_forbids(answer[1]))
                if not still_ours():
                    raise NotTaken(0, "the claim ran out before the message was handed over", permanent=False)
                _expect_success(smtp.data(content))
        except smtplib.SMTPResponseException as failure:
            self.close()
            raise _not_taken(failure.smtp_code, failure.smtp_error) from failure
        except (OSError, smtplib.SMTPException) as failure:
            self.close()
            raise NotTaken(0, _words(failure), permanent=False) from failure
        except NotTaken:
            # A refused message leaves the dialogue half open; a fresh connection is simpler than trusting RSET.
            self.close()
            raise

    def close(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp is not None:
            with contextlib.suppress(OSError, smtplib.SMTPException), self._limited(smtp):
                smtp.quit()
            smtp.close()

    @contextlib.contextmanager
    def _limited(self, smtp: smtplib.SMTP) -> Iterator[None]:
        """Cut the connection at the limit: a server that sends one byte a second never trips the socket's time-out."""

        def cut() -> None:
            with contextlib.suppress(OSError, AttributeError):
                smtp.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]

        watch = threading.Timer(self.submission_limit.total_seconds(), cut)
        watch.daemon = True
        watch.start()
        try:
            yield
        finally:
            watch.cancel()


def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()


def _envelope(text: str) -> str:
    """Quote the local part where SMTP needs it (dots in a row, as in old mobile addresses)."""
    return _address(text).addr_spec


def _expect_success(reply: tuple[int, bytes], *, of_us: bool = False) -> None:
    if not 200 <= reply[0] <= 299:
        raise _not_taken(*reply, of_us=of_us)


def _forbids(reply: bytes) -> bool:
    """Return whether a server will not relay for us (RFC 3463, X.7.X): a setting is wrong, not the address."""
    found = ENHANCED_STATUS.match(reply.decode("utf-8", "replace"))
    return found is not None and found[1].split(".")[1] == "7"


def _not_taken(code: int, reply: bytes | str, *, of_us: bool = False) -> NotTaken:
    text = reply.decode("utf-8", "replace") if isinstance(reply, bytes) else reply
    return NotTaken(code, text, permanent=500 <= code <= 599 and not of_us and code not in OUR_OWN_FAULT)


def _words(failure: Exception) -> str:
    return f"{type(failure).__name__}: {failure}"[:300]


def due(now: datetime, state: State) -> QuerySet[Notice]:
    """Return what may be claimed: queued and its time has come, or claimed by a worker whose claim ran out."""
    # One state at a time: each is one step into the index, whatever number of sent notices lies beside it.
    return Notice.objects.filter(state=state, next_attempt_at__lte=now)


def anything_due(now: datetime) -> bool:
    """Return whether there is something to claim."""
    return any(due(now, state).exists() for state in WAITING)


def claim(*, worker: str, now: datetime, claim_for: timedelta = CLAIM) -> Notice | None:
    """Take the notice that has waited longest, or None when there is none; of many workers, one gets it."""
    for state in WAITING:
        waiting = due(now, state)
        while (first := waiting.order_by("next_attempt_at").values_list("id", flat=True).first()) is not None:
            # The row count decides: whoever comes second finds the time of the next attempt moved, and changes nothing.
            if waiting.filter(id=first).update(
                state=State.CLAIMED,
                claimed_by=worker,
                claimed_until=now + claim_for,
                next_attempt_at=now + claim_for,
                attempts=F("attempts") + 1,
            ):
                return Notice.objects.get(id=first)
    return None


def record_sent(notice: Notice, *, now: datetime) -> bool:
    """Write down the 250. True unless it had been written down already: then the mail went out twice."""
    return bool(
        Notice.objects.filter(id=notice.id)
        .exclude(state=State.SENT)
        .update(state=State.SENT, sent_at=now, claimed_until=None, last_error="")
    )


def record_not_taken(notice: Notice, reason: NotTaken, *, now: datetime) -> None:
    """Write down a refusal: for good with its bounce, or until the next attempt."""
    ours = Notice.objects.filter(id=notice.id, state=State.CLAIMED, claimed_by=notice.claimed_by)
    error = f"{reason.code} {reason.reply}".replace("\x00", "")[:300]
    if not reason.permanent:
        ours.update(
            state=State.QUEUED, claimed_until=None, last_error=error, next_attempt_at=now + retry_after(notice.attempts)
        )
        return
    with transaction.atomic():
        if ours.update(state=State.FAILED, claimed_until=None, last_error=error):
            Bounce.objects.create(
                notice=notice,
                origin=BounceOrigin.SMTP,
                action="failed",
                status=reason.status,
                diagnostic=error,
                recorded_at=now,
                source=str(notice.attempts),
            )


def retry_failed(*, since: datetime, now: datetime) -> int:
    """Queue again what was refused for good since then, and return how many; attempts and bounces stay as they are."""
    bounced = Bounce.objects.filter(action="failed", recorded_at__gte=since)
    # The state is asked of the row itself: of two at once, the second finds it queued, or claimed by a worker already.
    failed = Notice.objects.filter(state=State.FAILED, id__in=bounced.values("notice_id"))
    return failed.update(state=State.QUEUED, next_attempt_at=now, sent_at=None)


def retry_after(attempts: int) -> timedelta:
    """Return how long a notice waits after its n-th attempt: 30 s, doubled each time up to one hour, without end."""
    return min(LAST_RETRY, FIRST_RETRY * (1 << min(attempts - 1, 10)))


@dataclass
class Outbox:
    """One worker. `run()` returns when stopped, or with `once` when nothing is due any more."""

    worker: str
    clock: Callable[[], datetime]
    stop: StopRequest
    server: MailServer = field(default_factory=MailServer)
    claim_for: timedelta = CLAIM
    sent: int = 0

    def run(self, *, once: bool = False) -> None:
        """Send what is due.

        :raises MailServerUnreachable: only with `once`; otherwise it waits for the server to come back
        """
        failures = 0
        try:
            while not self.stop.made:
                try:
                    worked = self._send_next()
                    failures = 0
                except MailServerUnreachable as reason:
                    if once:
                        raise
                    log.warning("mail server unreachable (%s)", type(reason.__cause__).__name__)
                    self.stop.wait(UNREACHABLE_SECONDS[min(failures, len(UNREACHABLE_SECONDS) - 1)])
                    failures += 1
                    continue
                except (OperationalError, InterfaceError) as reason:
                    if once:
                        raise
                    log.warning("database not available (%s)", type(reason).__name__)
                    connection.close()
                    self.stop.wait(DATABASE_GONE_SECONDS)
                    continue
                if not worked:
                    self.server.close()
                    if once:
                        return
                    self.stop.wait(IDLE_SECONDS)
        finally:
            self.server.close()

    def _send_next(self) -> bool:
        if not anything_due(self.clock()):
            return False
        # Connected before anything is claimed: a server that is down costs no notice an attempt.
        self.server.connect()
        notice = claim(worker=self.worker, now=self.clock(), claim_for=self.claim_for)
        if notice is None:
            return False
        try:
            self.server.submit(notice, still_ours=lambda: self._still_ours(notice))
        except NotTaken as reason:
            refused = reason
            self._write(lambda: record_not_taken(notice, refused, now=self.clock()))
            log.info("notice %s not taken: %s, attempt %d", notice.id, refused.code, notice.attempts)
            return True
        self._write(lambda: self._record_sent(notice))
        self.sent += 1
        log.info("notice %s sent, attempt %d", notice.id, notice.attempts)
        return True

    def _still_ours(self, notice: Notice) -> bool:
        """Return whether the claim outlasts a whole submission; a process that was suspended finds that it does not."""
        until = notice.claimed_until
        return until is not None and self.clock() + self.server.submission_limit <= until

    def _record_sent(self, notice: Notice) -> None:
        if not record_sent(notice, now=self.clock()):
            log.warning("notice %s had been sent by another worker as well", notice.id)

    def _write(self, record: Callable[[], None]) -> None:
        """Commit what the server said, however long the database is away: it is known nowhere else."""
        tries = 0
        while True:
            try:
                return record()
            except (OperationalError, InterfaceError) as reason:
                tries += 1
                if self.stop.made and tries >= TRIES_WHEN_STOPPING:
                    raise
                log.warning("database not available (%s) to record an outcome", type(reason).__name__)
                connection.close()
                # After a wish to stop, `wait` returns at once; the outcome is still worth a second.
                time.sleep(DATABASE_GONE_SECONDS)
