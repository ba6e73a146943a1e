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
from openpyxl import Workbook

from irefuda.registration import register
from irefuda.registration.management.commands.import_suppliers import (
    Bar,
    add_place,
    refuse_to_change,
    section_named,
    sentence,
)
from irefuda.suppliers.register_files.cells import printable
from irefuda.ui import clock
from irefuda.ui.spreadsheets import harmless
from irefuda_core.refusal import Refused


class Command(BaseCommand):
    help = "資格審査情報検索のユーザIDとパスワードを、まだ無い会社すべてに決めて、XLSXに書き出します。"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="書き出すXLSXのファイル（まだ無い名前）")
        add_place(parser)
        parser.add_argument("--reason", default="", help="決める理由（台帳に残ります）")

    def handle(self, *args: Any, **options: Any) -> None:
        refuse_to_change(options["reason"])
        section = section_named(options)
        file: Path = options["file"]
        if file.suffix.lower() != ".xlsx":
            raise CommandError("ファイルの名前の終わりを .xlsx にしてください。何も変更していません。")
        bar = Bar(self.stderr if sys.stderr.isatty() else None)
        created = complete = False

        def hand_out(logins: Sequence[register.Login]) -> None:
            nonlocal created, complete
            # For its owner alone, and never over a file that is there.
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
                created = True
                _workbook(logins).save(opened)
                opened.flush()
                os.fsync(opened.fileno())
            complete = True

        try:
            count = register.hand_out_logins(
                section=section,
                reason=options["reason"].strip(),
                now=clock.now(),
                salt=secrets.token_bytes(16),
                hand_out=hand_out,
                progress=bar.show,
            )
        except BaseException as failure:
            bar.clear()
            if complete:
                # Only the commit was left, and its answer may be lost when the commit is not.
                raise CommandError(
                    f"{printable(str(file))} のパスワードが決まったかどうか、分かりません。会社のページで確かめてください。"
                ) from failure
            if created:
                file.unlink(missing_ok=True)
            if not isinstance(failure, Refused | OSError):
                raise
            why = (
                map(sentence, failure.refusals)
                if isinstance(failure, Refused)
                else [f"{file} に書けません（{failure}）。"]
            )
            raise CommandError("\n".join(map(printable, [*why, "何も変更していません。"]))) from None
        bar.clear()
        self.stdout.write(
            f"{count}社のユーザIDとパスワードを決め、{printable(str(file))} に書きました。"
            "パスワードはこのファイルにしかありません。会社に渡した後、消してください。"
        )


def _workbook(logins: Sequence[register.Login]) -> Workbook:
    """Return the table with text in every cell: a spreadsheet that reads a CSV takes the zeros off a 業者番号."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet("ユーザIDとパスワード")
    sheet.append(["業者番号", "商号又は名称", "ユーザID", "パスワード"])
    for one in logins:
        sheet.append([one.supplier.supplier_number, harmless(one.supplier.name), one.login_id, one.password])
    return book
