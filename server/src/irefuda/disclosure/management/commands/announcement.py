"""What the portal announces: publish, list, withdraw."""

import secrets
import uuid
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Category
from irefuda.disclosure import operations, queries
from irefuda.disclosure.models import Announcement
from irefuda.ui import clock
from irefuda_core.refusal import Refused

CATEGORIES = {category.slug: category for category in Category}


class Command(BaseCommand):
    help = "契約課からのお知らせ: publish one now, list all of them, withdraw one with a reason."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        publish = acts.add_parser("publish", help="announce this from now on")
        publish.add_argument("title")
        publish.add_argument("--body", help="the text; an empty line ends a paragraph, 「・」 begins an item of a list")
        publish.add_argument("--body-file", type=Path, help="a UTF-8 file with the text")
        publish.add_argument("--agency", help="code of the 調達機関 that it is for (all without it)")
        publish.add_argument("--category", choices=sorted(CATEGORIES), help="区分 that it is for (all without it)")
        publish.add_argument("--until", type=datetime.fromisoformat, help="last day on the list, YYYY-MM-DD")
        publish.add_argument("--by", default="契約課", help="who announces it (契約課 without it)")
        acts.add_parser("list", help="list them with their numbers, also those that nobody sees")
        withdraw = acts.add_parser("withdraw", help="withdraw one; its page then shows the reason")
        withdraw.add_argument("number", type=uuid.UUID)
        withdraw.add_argument("--reason", required=True)
        withdraw.add_argument("--by", default="契約課", help="who withdraws it (契約課 without it)")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            getattr(self, f"_{options['act']}")(options)
        except Refused as refused:
            raise CommandError("\n".join(f"{r.code} {r.sentence}{r.remedy}" for r in refused.refusals)) from refused

    def _publish(self, options: dict[str, Any]) -> None:
        known = {section.agency.code: section.agency for section in agencies.sections()}
        code, path, until = options["agency"], options["body_file"], options["until"]
        if code and code not in known:
            raise CommandError(f"there is no agency {code}: {', '.join(known) or 'none'}")
        try:
            body = path.read_text() if path else options["body"] or ""
        except (OSError, UnicodeDecodeError) as failure:
            raise CommandError(f"{path} cannot be read as UTF-8: {failure}") from failure
        announcement = operations.publish_announcement(
            announcement_id=uuid.uuid4(),
            title=options["title"],
            body=body,
            agency=known[code] if code else None,
            category=CATEGORIES[options["category"]] if options["category"] else None,
            # Through the whole of that day.
            expires_at=datetime.combine(until.date(), time.min, clock.JST) + timedelta(days=1) if until else None,
            created_by=options["by"],
            now=clock.now(),
            salt=secrets.token_bytes(16),
        )
        self.stdout.write(_told(announcement))

    def _list(self, options: dict[str, Any]) -> None:
        for announcement in queries.every_announcement():
            self.stdout.write(_told(announcement))

    def _withdraw(self, options: dict[str, Any]) -> None:
        announcement = operations.withdraw_announcement(
            announcement_id=options["number"],
            reason=options["reason"],
            withdrawn_by=options["by"],
            now=clock.now(),
            salt=secrets.token_bytes(16),
        )
        self.stdout.write(_told(announcement))


def _told(announcement: Announcement) -> str:
    published_on = announcement.published_at.astimezone(clock.JST).date()
    withdrawn = f"（取り下げ：{announcement.withdrawn_reason}）" if announcement.withdrawn_at else ""
    return f"{announcement.id} {published_on} {announcement.title}{withdrawn}"
