"""Fetch the revocation lists of the trusted authorities, and delete challenges that are over."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from irefuda.cards import operations, revocation
from irefuda.ui import clock


class Command(BaseCommand):
    help = "Fetch, verify and keep the revocation lists of every trusted authority. Run it every hour."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--authority", default="", help="この名前の認証局だけを取得します")

    def handle(self, *args: Any, authority: str, **options: Any) -> None:
        now = clock.now()
        operations.purge_nonces(now=now)
        failures = sources = 0
        for fetched in revocation.fetch_all(now=now, only=authority):
            sources += 1
            failures += bool(fetched.reason)
            self.stdout.write(f"{fetched.authority}  {fetched.source}")
            self.stdout.write(f"  {_outcome(fetched)}")
        for overdue in revocation.overdue(now=now):
            self.stdout.write(f"注意：{overdue}")
        if not sources:
            raise CommandError("取得先のある認証局がありません。trust add で登録してください。")
        if failures:
            raise CommandError(f"{sources}件のうち{failures}件を取得できませんでした。手元の失効リストはそのままです。")


def _outcome(fetched: revocation.Fetched) -> str:
    if fetched.next_update is None:
        return f"使えません：{fetched.reason}"
    until = f"{fetched.next_update.astimezone(clock.JST):%Y/%m/%d %H:%M}"
    return f"{'新しい失効リストを取得しました' if fetched.taken else '変わりありません'}（次回更新 {until}）。"
