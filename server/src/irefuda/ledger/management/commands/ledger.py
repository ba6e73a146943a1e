"""Let the ledger's keys, or its log, pass to others: `ledger prepare`, `ledger rotate`, `ledger succeed`."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from irefuda.ledger import handover, sequencer, witness
from irefuda.ui import clock


class Command(BaseCommand):
    help = "Keys of the ledger and their successors. Each of these may be run again; what was cut off is finished."

    def add_arguments(self, parser: ArgumentParser) -> None:
        commands = parser.add_subparsers(dest="act", required=True)
        which = [handover.HEAD, handover.RECEIPT]
        prepare = commands.add_parser("prepare", help="make the next key and keep it beside the present one")
        prepare.add_argument("--key", choices=which, required=True)
        rotate = commands.add_parser("rotate", help="let the prepared key take the place of the present one")
        rotate.add_argument("--key", choices=which, required=True)
        rotate.add_argument("--reason", required=True, help="why, in Japanese; it goes into the ledger")
        succeed = commands.add_parser(
            "succeed", help="after a restore that lost entries behind a published head: open a log that succeeds it"
        )
        succeed.add_argument("--reason", required=True, help="why, in Japanese; it goes into the ledger")
        succeed.add_argument(
            "--checkpoint",
            type=Path,
            help="the newest head that was published; the one that the sequencer kept unless told",
        )

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        try:
            getattr(self, f"_{act}")(**options)
        except sequencer.KeyNotInForce as reason:
            raise CommandError(f"{reason}; nothing was changed") from reason
        except witness.EntriesLost as reason:
            raise CommandError(f"{reason}; nothing was changed") from reason

    def _prepare(self, *, key: str, **options: Any) -> None:
        made = handover.prepare(key)
        said = "made" if made else "there is one already:"
        self.stdout.write(f"{said} {handover.next_key_file(key)}; keep a sealed copy, then run `ledger rotate`")

    def _rotate(self, *, key: str, reason: str, **options: Any) -> None:
        _refuse_empty(reason)
        if handover.rotate(key, reason=reason, now=clock.now()):
            self.stdout.write(f"the next {key} key is in force; copy ledger-keys.json to every machine")
        else:
            self.stdout.write(f"no next {key} key is prepared, so the present one stays: `ledger prepare --key {key}`")

    def _succeed(self, *, reason: str, checkpoint: Path | None, **options: Any) -> None:
        _refuse_empty(reason)
        try:
            lost = checkpoint.read_text() if checkpoint else witness.kept()
        except OSError as failure:
            raise CommandError(f"{checkpoint} cannot be read ({failure.strerror}); nothing was changed") from failure
        if lost is None:
            raise CommandError("no head was kept here: give the newest published one with --checkpoint")
        try:
            name = handover.succeed(lost, reason=reason, now=clock.now())
        except handover.NothingLost as failure:
            raise CommandError("nothing is lost: the log continues this head; nothing was changed") from failure
        except handover.NotOurs as failure:
            raise CommandError(f"{failure}; nothing was changed") from failure
        self.stdout.write(f"the log is now {name}; copy ledger-keys.json to every machine and tell the public why")


def _refuse_empty(reason: str) -> None:
    if not reason.strip():
        raise CommandError("the reason is empty; nothing was changed")
