"""Delete what 登録, 変更 and 更新 no longer need: drafts after 30 days, counted tries after a day, what is over."""

from __future__ import annotations

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand

from irefuda.registration import changes, operations, renewals
from irefuda.suppliers import imports
from irefuda.ui import clock


class Command(BaseCommand):
    help = "Delete drafts after 30 days, counted tries after a day, unverified addresses and sessions that are over. Run it every day."

    def handle(self, *args: Any, **options: Any) -> None:
        now = clock.now()
        drafts, attempts = operations.purge(now=now)
        renewals.purge(now=now)
        addresses = changes.purge_unverified(now=now)
        files = imports.purge(now=now)
        call_command("clearsessions")
        self.stdout.write(
            f"入力の途中の内容 {drafts} 件、試行の記録 {attempts} 件、確認されなかったメールアドレス {addresses} 件、"
            f"取り込まれなかった名簿のファイル {files} 件、終わったセッションを消しました。"
        )
