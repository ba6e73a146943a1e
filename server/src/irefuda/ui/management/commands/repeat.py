"""Run other commands again and again: the timer of an installation that has no other."""

from __future__ import annotations

import io
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management import call_command, get_commands
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError, close_old_connections

from irefuda.ui.stopping import StopRequest

RETRY_SECONDS = 60.0


class Command(BaseCommand):
    help = "Run the named commands now and then every so many hours, one after the other, until stopped."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("commands", nargs="+", metavar="COMMAND")
        parser.add_argument("--quiet", action="store_true", help="say only what went wrong")
        parser.add_argument("--every-hours", type=float, default=24.0, metavar="HOURS", help="24 unless told")

    def handle(self, *args: Any, commands: list[str], every_hours: float, quiet: bool, **options: Any) -> None:
        if unknown := sorted({*commands} - get_commands().keys()):
            raise CommandError(f"no such command: {', '.join(unknown)}")
        if every_hours <= 0:
            raise CommandError("--every-hours is more than 0")
        stop = StopRequest()
        for number in (signal.SIGTERM, signal.SIGINT):
            # The command in hand is finished before the end.
            signal.signal(number, lambda *_: stop.make())
        while not stop.made:
            stop.wait(
                every_hours * 3600 if self._run(commands, stop, quiet=quiet) else min(RETRY_SECONDS, every_hours * 3600)
            )

    def _run(self, commands: list[str], stop: StopRequest, *, quiet: bool) -> bool:
        """Run each command once; return whether the database was there for all of them."""
        reached = True
        for name in commands:
            if stop.made:
                break
            try:
                call_command(name, stdout=io.StringIO() if quiet else self.stdout, stderr=self.stderr)
            except CommandError as failure:
                # Said, and no reason to leave the others out.
                self.stderr.write(f"{name}: {failure}")
            except (OperationalError, InterfaceError) as failure:
                self.stderr.write(f"{name}: the database is not available ({failure})")
                reached = False
            # A connection that broke is opened anew; one that is good is kept no longer than the wait.
            close_old_connections()
        return reached
