"""Give every company of a register a ユーザID and a password for 資格審査情報検索, in a file for the letters to them."""

from __future__ import annotations

import os
import secrets
import sys
from argparse import ArgumentParser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from irefuda.agencies import queries as agencies
from irefuda.registration import register
from irefuda.registration.management.commands.import_suppliers import (
    CATEGORIES,
    Bar,
    refuse_to_change,
    sections_known,
    sentence,
)
from irefuda.registration.reports import Table, as_csv
from irefuda.suppliers.register_files.cells import printable
from irefuda.ui import clock
from irefuda_core.refusal import Refused


class Command(BaseCommand):
    help = "資格審査情報検索のユーザIDとパスワードを、まだ無い会社すべてに決めて、CSVに書き出します。"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="書き出すファイル（まだ無い名前）")
        parser.add_argument("--agency", required=True, help="調達機関のコード（4桁）")
        parser.add_argument(
            "--category", required=True, choices=sorted(CATEGORIES), help="works＝工事、コンサル／goods＝物品、役務"
        )
        parser.add_argument("--reason", default="", help="決める理由（台帳に残ります）")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_to_change(options["reason"])
        section = agencies.section(agency_code=options["agency"], category=CATEGORIES[options["category"]])
        if section is None:
            raise CommandError(f"その調達機関に、その区分はありません。{sections_known()}")
        file: Path = options["file"]
        bar = Bar(self.stderr if sys.stderr.isatty() else None)
        written = False

        def hand_out(logins: Sequence[register.Login]) -> None:
            nonlocal written
            rows: list[list[str | int]] = [
                [one.supplier.supplier_number, one.supplier.name, one.login_id, one.password] for one in logins
            ]
            # For its owner alone, and never over a file that is there.
            place = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            written = True
            with os.fdopen(place, "w", encoding="utf-8", newline="") as opened:
                opened.write(as_csv(Table(["業者番号", "商号又は名称", "ユーザID", "パスワード"], rows)))
                opened.flush()
                os.fsync(place)

        try:
            count = register.hand_out_logins(
                section=section,
                reason=options["reason"].strip(),
                now=clock.now(),
                salt=secrets.token_bytes(16),
                hand_out=hand_out,
                progress=bar.show,
            )
        except (Refused, OSError) as failure:
            # After anything else the file stays: an answer to a commit may be lost when the commit is not.
            if written:
                file.unlink(missing_ok=True)
            why = (
                map(sentence, failure.refusals)
                if isinstance(failure, Refused)
                else [f"{file} に書けません（{failure}）。"]
            )
            raise CommandError("\n".join(map(printable, [*why, "何も変更していません。"]))) from None
        finally:
            bar.clear()
        self.stdout.write(
            f"{count}社のユーザIDとパスワードを決め、{printable(str(file))} に書きました。パスワードはこのファイルにしかありません。会社に渡した後、消してください。"
        )
