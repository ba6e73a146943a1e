"""Read the delivery reports that mail servers returned."""

from __future__ import annotations

import contextlib
import os
from argparse import ArgumentParser
from collections import Counter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from irefuda.notices import bounces
from irefuda.ui import clock

# A report returns the headers or the whole of a short letter; what is larger is not one.
LARGEST_REPORT = 5_000_000
READ = ("recorded", "known")


class Command(BaseCommand):
    help = "Record the delivery reports of a Maildir against their notices; what is none stays in new/ for a person."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("maildir", type=Path)

    def handle(self, *args: Any, maildir: Path, **options: Any) -> None:
        new, seen = maildir / "new", maildir / "cur"
        if not (new.is_dir() and seen.is_dir()):
            raise CommandError("this is no Maildir: it has no folders new and cur")
        outcomes: Counter[str] = Counter()
        for file in sorted(new.iterdir()):
            # Another reader, or a person's mail program, may move files at the same time.
            with contextlib.suppress(FileNotFoundError):
                outcome = read(file)
                outcomes[outcome] += 1
                if outcome in READ:
                    # Moved only after the commit: killed in between, it is read once more and found known.
                    os.rename(file, seen / f"{file.name}:2,S")
        self.stdout.write(", ".join(f"{outcome}: {count}" for outcome, count in sorted(outcomes.items())) or "no mail")


def read(file: Path) -> str:
    """Record one file and return what became of it."""
    if file.is_symlink() or not file.is_file() or file.stat().st_size > LARGEST_REPORT:
        return "no report"
    return bounces.record_report(file.read_bytes(), now=clock.now())
