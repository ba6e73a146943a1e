"""Say in words what the result code of 利用環境の確認 holds, for the help desk."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from irefuda_core.check_code import BadCheckCode, read_check_code
from irefuda_core.refusal import CATALOGUE


class Command(BaseCommand):
    help = "Say in words what a caller's result code (利用環境の確認) holds."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("code", nargs="+", help="結果の番号（20文字。空白やハイフンで区切れます）")

    def handle(self, *args: Any, code: list[str], **options: Any) -> None:
        try:
            result = read_check_code("".join(code))
        except BadCheckCode as reason:
            raise CommandError(str(reason)) from None
        for line in result.lines():
            self.stdout.write(line)
        for number in result.codes.values():
            if words := CATALOGUE.get(number):
                self.stdout.write(f"\n{number}　{words.sentence}\n　　→ {words.remedy}")
