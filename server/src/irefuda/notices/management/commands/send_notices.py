"""Send the notices of the outbox."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError

from irefuda.notices import delivery
from irefuda.ui import clock
from irefuda.ui.stopping import StopRequest


class Command(BaseCommand):
    help = "Send queued notices until stopped; several may run at once, and each may be killed at any moment."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="send what is due now, then end")
        parser.add_argument(
            "--retry-failed",
            type=int,
            metavar="HOURS",
            help="send nothing: queue again what was refused for good in the last HOURS, then end",
        )

    def handle(self, *args: Any, once: bool, retry_failed: int | None, **options: Any) -> None:
        if retry_failed is not None:
            now = clock.now()
            queued = delivery.retry_failed(since=now - timedelta(hours=retry_failed), now=now)
            self.stdout.write(f"queued again {queued}")
            return
        stop = StopRequest()
        for number in (signal.SIGTERM, signal.SIGINT):
            # The mail in hand is finished and written down before the end.
            signal.signal(number, lambda *_: stop.make())
        worker = f"{socket.gethostname()[:60]}:{os.getpid()}:{secrets.token_hex(4)}"
        outbox = delivery.Outbox(worker=worker, clock=clock.now, stop=stop)
        try:
            outbox.run(once=once)
        except delivery.MailServerUnreachable as reason:
            raise CommandError("the mail server cannot be reached; the notices stay queued") from reason
        except (OperationalError, InterfaceError) as reason:
            raise CommandError("the database is not available; the notices stay queued") from reason
        self.stdout.write(f"sent {outbox.sent}")
