"""Give every entry of the ledger its place and sign the log's head."""

from __future__ import annotations

import logging
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from irefuda.ledger import keys, sequencer, witness
from irefuda.ui import clock
from irefuda.ui.stopping import StopRequest

log = logging.getLogger(__name__)


class Command(BaseCommand):
    help = "Sequence the ledger until stopped; several may run (one works, others stand by), each may be killed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="place what is pending now, then end")

    def handle(self, *args: Any, once: bool, **options: Any) -> None:
        # Both are asked for before anything is signed: a process that lacks them says so and ends.
        key, _ = keys.head_key(), keys.published_keys()
        if once:
            try:
                sequencer.sign_first_checkpoint(key=key, now=clock.now())
                while sequencer.sequence_batch(key=key, now=clock.now()):
                    pass
            except (sequencer.KeyNotInForce, witness.EntriesLost) as reason:
                raise CommandError(str(reason)) from reason
            return
        stop = StopRequest()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.make())
        while not stop.made:
            try:
                sequencer.run(clock=clock.now, key=key, stop=stop)
            except sequencer.KeyNotInForce as reason:
                if (renewed := keys.head_key()) is key:
                    log.error("%s: finish `ledger rotate`", reason)
                    stop.wait(1)
                key = renewed
