"""Give every entry of the ledger its place and sign the log's head."""

from __future__ import annotations

import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from irefuda.ledger import keys, sequencer
from irefuda.ui import clock
from irefuda.ui.stopping import StopRequest


class Command(BaseCommand):
    help = "Sequence the ledger until stopped; several may run (one works, others stand by), each may be killed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="place what is pending now, then end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        key = keys.head_key()
        if once:
            sequencer.sign_first_checkpoint(key=key, now=clock.now())
            while sequencer.sequence_batch(key=key, now=clock.now()):
                pass
            return
        stop = StopRequest()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.make())
        sequencer.run(clock=clock.now, key=key, stop=stop)
