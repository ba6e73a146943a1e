"""Take a city's own file as the 登録業者名簿 of one section: the deed of the staff's page, done by the operator.

The command stands in this slice because the companies with registered users are told, whom the register itself does not
know of.
"""

from __future__ import annotations

import json
import secrets
import sys
import uuid
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError, InterfaceError

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Category, Section
from irefuda.registration import queries, register
from irefuda.staff.operations import Deed
from irefuda.suppliers import imports, operations
from irefuda.suppliers.operations import KINDS, LISTED, Change, Report
from irefuda.suppliers.register_files.cells import printable
from irefuda.suppliers.register_files.columns import NAMES
from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.header import Unclear
from irefuda.suppliers.register_files.lines import Faulty
from irefuda.suppliers.register_files.mapping import read_mapping
from irefuda.ui import clock
from irefuda_core.refusal import Refusal, Refused, refusal

CATEGORIES = {category.slug: category for category in Category}
KIND_NAMES = {
    "new": "新しく載る会社",
    "changed": "内容が変わる会社",
    "returned": "名簿に戻る会社",
    "ended": "名簿から外れる会社",
    "unchanged": "変わらない会社",
}
BAR = 30
REASON = 200


class Command(BaseCommand):
    help = "登録業者名簿のファイル（CSV、XLSX）を取り込みます。使い方は docs/import.md にあります。"

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE", help="名簿のファイル（CSV、XLSX）")
        add_place(parser)
        parser.add_argument("--dry-run", action="store_true", help="何も変更せずに、結果の報告だけを表示します")
        parser.add_argument("--reason", default="", help="取り込む理由（台帳と取り込みの記録に残ります）")
        parser.add_argument(
            "--yes", type=int, metavar="N", help="1割より多くの会社が外れるか変わるときに、確かめたその数"
        )
        parser.add_argument("--mapping", type=Path, help="列の対応表（JSON）")
        parser.add_argument("--sheet", default="", help="取り込むシートの名前（XLSX）")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["dry_run"]:
            refuse_to_change(options["reason"])
        bar = Bar(self.stderr if sys.stderr.isatty() else None)
        try:
            report = self._import(options, bar)
        except Faulty as faulty:
            bar.clear()
            self._tell(_problems(faulty))
            raise _refused(f"{faulty.count}行に直すところがあるため、取り込みませんでした。") from None
        except Unclear as question:
            bar.clear()
            self._tell(_question(question, options["file"].name))
            raise _refused("列の意味が決まらないため、取り込みませんでした。") from None
        except Refused as refused:
            raise _refused(*map(sentence, refused.refusals), "取り込みませんでした。") from None
        except (DatabaseError, InterfaceError) as failure:
            # The first line is the engine's own reason: the disk is full, the server is gone, another writer has the lock.
            why = (str(failure).strip() or type(failure).__name__).splitlines()[0]
            raise CommandError(printable(sentence(refusal("F-516", reason=why)))) from failure
        finally:
            bar.clear()
        self._tell(_told(report))

    def _import(self, options: dict[str, Any], bar: Bar) -> Report:
        section = section_named(options)
        path, given = options["file"], read_mapping(options["mapping"]) if options["mapping"] else None
        read = operations.read_file(section=section, path=path, given=given, sheet=options["sheet"], progress=bar.show)
        if options["dry_run"]:
            return operations.compare(read, registered_among=queries.living_cards_among, progress=bar.show)
        deed = Deed(uuid.uuid4(), None, options["reason"].strip(), clock.now(), secrets.token_bytes(16))
        return register.take_file(
            deed=deed, read=read, path=path, given=given, confirmed=options["yes"], progress=bar.show
        )

    def _tell(self, lines: Iterator[str]) -> None:
        for line in lines:
            self.stdout.write(printable(line))


class Bar:
    """A progress bar on a terminal, nothing elsewhere."""

    def __init__(self, terminal: Any) -> None:
        self.terminal = terminal
        self.shown = ""

    def show(self, doing: str, share: float) -> None:
        """Draw the bar again when it looks different."""
        filled = round(share * BAR)
        drawn = f"{doing} [{'#' * filled}{'.' * (BAR - filled)}] {share:4.0%}" if doing else ""
        if self.terminal is None or drawn == self.shown:
            return
        self.terminal.write(f"\r\x1b[K{drawn}", ending="")
        self.terminal.flush()
        self.shown = drawn

    def clear(self) -> None:
        """Take the bar off the terminal."""
        self.show("", 0.0)


def refuse_to_change(reason: str) -> None:
    """Refuse to change anything that the ledger could not name.

    :raises CommandError: without a reason of 200 characters at most, or without the address that the ledger writes down
    """
    if not reason.strip() or len(reason.strip()) > REASON or not reason.isprintable():
        raise _refused(
            f"--reason に、理由を{REASON}文字以内で書いてください（台帳に残ります。--dry-run には要りません）。"
        )
    if not settings.STAFF_ORIGIN:
        raise _refused("IREFUDA_STAFF_ORIGIN がありません。台帳の記録に、職員用サイトのアドレスを書くために要ります。")


# -- what is told


def _problems(faulty: Faulty) -> Iterator[str]:
    for problem in faulty.problems:
        yield f"{problem.line}行目　{sentence(problem.reason)}"
    if more := faulty.count - len(faulty.problems):
        yield f"ほか{more}行"


def _question(question: Unclear, file: str) -> Iterator[str]:
    yield from map(sentence, question.refusals)
    yield ""
    yield f"列の対応表（{file}）："
    yield from json.dumps(question.header.mapping, ensure_ascii=False, indent=2).splitlines()
    yield ""
    yield f"項目に使える言葉：{'、'.join(field.value for field in Field)}"


def _refused(*lines: str) -> CommandError:
    return CommandError("\n".join(printable(line) for line in (*lines, "何も変更していません。")))


def _told(report: Report) -> Iterator[str]:
    yield "【確認だけ：何も変更していません】" if report.dry_run else "取り込みました。"
    sheet = f"、シート「{report.sheet}」" if report.sheet else ""
    yield f"ファイル：{report.kind}{sheet}、{report.rows}行"
    sources = {"given": "--mapping で指定したもの", "remembered": "前回と同じ", "proposed": "見出しから判断したもの"}
    yield f"列の対応（{sources[report.mapping_from]}）："
    for label, word in report.mapping.items():
        yield f"  {label} → {word}"
    if report.padded:
        yield f"業者番号の先頭に0を補って9桁にした行：{report.padded}行"
    if report.as_above:
        yield f"空欄や「〃」を上の行と同じ内容として読んだ行：{report.as_above}行"
    yield ""
    yield from _counted(report)
    yield from _registered(report)


def _counted(report: Report) -> Iterator[str]:
    for kind in KINDS:
        yield f"{KIND_NAMES[kind]}：{report.counts[kind]}社"
        for change in report.listed[kind]:
            yield f"  {_change(change)}"
        if kind != "unchanged" and (more := report.counts[kind] - LISTED) > 0:
            yield f"  ほか{more}社"


def _registered(report: Report) -> Iterator[str]:
    yield ""
    if not report.registered:
        yield "利用者登録のある会社への影響はありません。"
    else:
        yield f"利用者登録のある会社への影響：{len(report.registered)}社（登録とICカードはそのままです）"
    for change in report.registered:
        yield f"  【{KIND_NAMES[change.kind]}】{_change(change)}（ICカード{change.cards}枚）"
        for kind in register.told_of(change):
            yield f"    {'知らせる' if report.dry_run else '知らせた'}こと：{register.TOLD_NAMES[kind]}"
    if report.dry_run and (alarming := imports.alarming(report)):
        yield ""
        yield f"1割より多くの会社が外れるか変わります。取り込むときは --yes {alarming} を付けてください。"


def _change(change: Change) -> str:
    line = f"{change.line}行目　" if change.line else ""
    different = "、".join(
        f"{NAMES[column]}「{operations.value_shown(column, before)}」→「{operations.value_shown(column, now)}」"
        for column, before, now in change.differences
    )
    return f"{line}{change.supplier_number}　{change.name}{f'：{different}' if different else ''}"


def sentence(reason: Refusal) -> str:
    """Return a refusal as a command says it: code, sentence, and what to do."""
    return f"{reason.code}　{reason.sentence}　→ {reason.remedy}"


def add_place(parser: ArgumentParser) -> None:
    """Let a command be told whose register it is about."""
    parser.add_argument("--agency", required=True, help="調達機関のコード（4桁）")
    parser.add_argument(
        "--category", required=True, choices=sorted(CATEGORIES), help="works＝工事、コンサル／goods＝物品、役務"
    )


def section_named(options: dict[str, Any]) -> Section:
    """Return the section that the command was told.

    :raises CommandError: when there is none, with those that there are
    """
    section = agencies.section(agency_code=options["agency"], category=CATEGORIES[options["category"]])
    if section is None:
        raise CommandError(
            f"調達機関{options['agency']}に、{options['category']} の区分はありません。{_sections_known()}"
        )
    return section


def _sections_known() -> str:
    known = "、".join(f"{one.agency.code} {Category(one.category).slug}" for one in agencies.sections())
    return f"あるもの：{known or 'まだ一つもありません'}"
