"""Warn of cards that end in 90, 60, 30 or 7 days, and tell of those that have ended."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from irefuda.registration import card_notices
from irefuda.ui import clock


class Command(BaseCommand):
    help = "Queue 有効期限予告 90, 60, 30 and 7 days before a registered card ends, and a notice when it has. Run it daily."

    def handle(self, *args: Any, **options: Any) -> None:
        count = card_notices.warn_of_expiry(now=clock.now())
        self.stdout.write(f"有効期限のお知らせ：ICカード {count} 枚について送信待ちにしました。")
