"""Tell the people of registered cards that are on the newest revocation lists."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from irefuda.registration import card_notices
from irefuda.ui import clock


class Command(BaseCommand):
    help = "Tell once of every registered card that its CA has revoked. Run it after fetch_revocations."

    def handle(self, *args: Any, **options: Any) -> None:
        count = card_notices.tell_of_revocations(now=clock.now())
        self.stdout.write(f"失効のお知らせ：ICカード {count} 枚について送信待ちにしました。")
