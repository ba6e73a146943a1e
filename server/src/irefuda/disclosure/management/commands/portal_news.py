"""What the portal announces: add, list, remove."""

from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from irefuda.disclosure import operations, queries
from irefuda.disclosure.models import NewsKind
from irefuda.ui import clock


class Command(BaseCommand):
    help = "The portal's 更新情報 (update) and 契約課からのお知らせ (office): add, list or remove a line."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        add = acts.add_parser("add", help="put a line on the portal; the same line twice stays one")
        add.add_argument("kind", choices=NewsKind.values)
        add.add_argument("sentence")
        add.add_argument("--on", type=date.fromisoformat, help="date shown, YYYY-MM-DD (today without it)")
        add.add_argument("--link", default="", help="a path of this site or an https address")
        acts.add_parser("list", help="list the lines with their numbers")
        remove = acts.add_parser("remove", help="take a line off the portal")
        remove.add_argument("number", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        getattr(self, f"_{options['act']}")(options)

    def _add(self, options: dict[str, Any]) -> None:
        published_on = options["on"] or clock.now().astimezone(clock.JST).date()
        kind, sentence, link = NewsKind(options["kind"]), options["sentence"], options["link"]
        try:
            news = operations.announce(kind=kind, published_on=published_on, sentence=sentence, link=link)
        except ValueError as wrong:
            raise CommandError(str(wrong)) from wrong
        self.stdout.write(f"{news.id} {news.published_on} {news.sentence}")

    def _list(self, options: dict[str, Any]) -> None:
        for kind in NewsKind:
            for news in queries.news(kind, limit=1000):
                self.stdout.write(f"{news.id} {kind.value} {news.published_on} {news.sentence} {news.link}".rstrip())

    def _remove(self, options: dict[str, Any]) -> None:
        if not operations.withdraw(news_id=options["number"]):
            raise CommandError(f"there is no line {options['number']}: see `portal_news list`")
