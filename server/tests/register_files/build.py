"""Make the sample registers beside this file: `python server/tests/register_files/build.py [FOLDER]`.

Each has a shape in which cities publish theirs; the companies are invented. `expected.py` says what an import must read.
A test makes them anew and compares the bytes, so that script and files stay one.
"""

from __future__ import annotations

import csv
import io
import re
import sys
import zipfile
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from openpyxl import Workbook

HERE = Path(__file__).resolve().parent
Rows = Sequence[Sequence[Any]]


def title_rows_cp932() -> bytes:
    """CP932 with title rows, a running number, full-width digits, era dates, and numbers without their leading zeros."""
    return as_csv(
        [
            ["令和７年度　競争入札参加資格者名簿（工事）"],
            ["令和７年４月１日現在"],
            [],
            ["№", "業者番号", "商号又は名称", "フリガナ", "代表者職氏名", "〒", "所在地", "電話番号", "ＦＡＸ番号", "有効期間（自）", "有効期間（至）"],
            ["1", "１２３４５", "㈱青い森商会", "ｱｵｲﾓﾘｼｮｳｶｲ", "代表取締役　青森　太郎", "030-0801", "青森市新町１－３－７", "０１７（７２２）００００", "―", "令和7年4月1日", "令和9年3月31日"],
            ["2", "000098760", "髙﨑建設（株）", "ﾀｶｻｷｹﾝｾﾂ", "代表取締役社長 髙﨑　次郎", "〒０３８－０００１", "青森市新城平岡１", "017-788-0001", "017-788-0002", "R7.4.1", "R9.3.31"],
            ["3", "990000003", "合資会社ねぶた物産", "ﾈﾌﾞﾀﾌﾞｯｻﾝ", "ねぶた　花子", "0300812", "青森市堤町2丁目4番1号", "0177340003", "", "令和元年4月1日", "平成32年3月31日"],
            ["4"],
        ],
        "cp932",
    )  # fmt: skip


def plain_utf8() -> bytes:
    """UTF-8 without a mark: other words in the header, letters in the number, a line break inside a cell, ISO dates."""
    return as_csv(
        [
            ["登録番号", "法人番号", "名称", "役職", "氏名", "住所", "TEL", "FAX", "市内外", "有効期限", "備考"],
            ["AB0000012", "4011001098993", "八甲田工業株式会社", "代表取締役", "八甲田　山", "青森市大字荒川\n字品川111番地", "017-739-0000", "017-739-0001", "市内", "2027-03-31", "=HYPERLINK(\"http://x\")"],
            ["000000100", "", "𠮷田鉄工所", "店主", "𠮷田　一", "弘前市上白銀町1-1", "0172-35-0000", "なし", "県内", "2027/3/31", ""],
        ],
        "utf-8",
    )  # fmt: skip


def trade_rows_bom() -> bytes:
    """UTF-8 with a mark: one row per company and trade, an empty cell or 〃 means the cell above."""
    return as_csv(
        [
            ["業者コード", "業者名", "代表者名", "業種", "等級", "総合点数"],
            ["000000201", "合浦建設株式会社", "合浦　公", "土木一式工事", "Ａ", "1012"],
            ["", "", "", "舗装工事", "B", "804"],
            ["〃", "〃", "〃", "造園工事", "", ""],
            ["000000202", "（有）浅虫設備", "浅虫　温", "管工事", "B", "740"],
            ["000000203", "善知鳥電工㈱", "善知鳥　泳", "電気工事", "A", "950"],
            ["", "", "", "電気通信工事", "C", "655"],
        ],
        "utf-8-sig",
    )


def kept_zeros_tab() -> bytes:
    """Tabs in CP932, as a spreadsheet saves text; leading zeros kept by ="…"; several trades in one cell."""
    return as_csv(
        [
            ["業者番号", "商号", "取扱品目", "地域区分"],
            ['="000000301"', "荒川印刷", "印刷・製本（A）、看板", "市内"],
            ['="000000302"', "筒井事務機（株）", "事務機器、文具（Ｂ）", "準市内"],
        ],
        "cp932",
        delimiter="\t",
    )


def merged_header() -> bytes:
    """A workbook: merged title, merged two-line header with a group for the branch, numbers and days as real cells."""
    book = Workbook()
    sheet = book.active
    sheet.title = "登録業者名簿"
    sheet.append(["入札市　登録業者名簿（測量・建設コンサルタント等）"])
    sheet.append(
        ["業者番号", "商号又は名称", "代表者", None, "本社", None, None, "委任先", None, None, None, "有効期間", None]
    )
    sheet.append(
        [None, None, "役職", "氏名", "郵便番号", "所在地", "電話番号", "名称", "役職", "氏名", "電話番号", "自", "至"]
    )
    begin, end = datetime(2025, 4, 1), datetime(2027, 3, 31)
    sheet.append(
        [
            401,
            "岩木測量設計株式会社",
            "代表取締役",
            "岩木　峰",
            "036-8001",
            "弘前市代官町1",
            "0172-32-0000",
            "青森支店",
            "支店長",
            "岩木　緑",
            "017-776-0000",
            begin,
            end,
        ]
    )
    sheet.append(
        [
            990000402,
            "小柳地質（株）",
            "代表取締役",
            "小柳　岩男",
            "030-0915",
            "青森市小柳2-1-1",
            "017-741-0402",
            None,
            None,
            None,
            None,
            begin,
            end,
        ]
    )
    for merged in ("A1:M1", "A2:A3", "B2:B3", "C2:D2", "E2:G2", "H2:K2", "L2:M2"):
        sheet.merge_cells(merged)
    hidden = book.create_sheet("作業用")
    hidden.append(["業者番号", "商号又は名称"])
    hidden.append([1, "数えない会社"])
    hidden.sheet_state = "hidden"
    return as_xlsx(book)  # fmt: skip


def mark_columns() -> bytes:
    """○ marks and grades, one column per trade below a merged heading; the header comes again on the second page."""
    trades = ["土木一式", "建築一式", "電気", "電話", "舗装"]
    first = ["No.", "業者番号", "商号又は名称", "所在地", "希望業種", None, None, None, None, "摘要"]
    second = [None, None, None, None, *trades, None]
    book = Workbook()
    sheet = book.active
    for row in (
        ["工事希望業種一覧"],
        first,
        second,
        [1, "000000501", "陸奥舗装（株）", "青森市浪館1", "○", None, None, None, "A", None],
        [2, "000000502", "大野電気", "青森市大野2", "×", "-", "特A", "◯", None, "新規"],
        [None],
        first,
        second,
        [3, "000000503", "三内土木（有）", "青森市三内3", "〇", "〇", None, None, "Ｂ", None],
        [4, "000000504", "自由ヶ丘塗料", "青森市自由ヶ丘4", None, None, None, None, None, None],
    ):
        sheet.append(row)
    for merged in ("A2:A3", "B2:B3", "C2:C3", "D2:D3", "E2:I2", "J2:J3"):
        sheet.merge_cells(merged)
    return as_xlsx(book)


def by_trade() -> bytes:
    """A list by trade: the trade stands first in a merged cell, and a company comes again under each of its trades."""
    book = Workbook()
    sheet = book.active
    for row in (
        ["業種", "業者番号", "商号又は名称", "格付", "総合評点"],
        ["土木一式", 601, "奥入瀬造園（株）", "A", 900],
        [None, 602, "久栗坂重機（株）", "B", 700],
        [None, 603, "後潟橋梁（株）", "C", 600],
        ["舗装", 602, "久栗坂重機（株）", "A", 820],
        [None, 601, "奥入瀬造園（株）", "B", 710],
        ["解体", 602, "久栗坂重機（株）", None, None],
    ):
        sheet.append(row)
    sheet.merge_cells("A2:A4")
    sheet.merge_cells("A5:A6")
    return as_xlsx(book)


def goods_states() -> bytes:
    """物品・役務: kinds of qualification as columns, one cell for the period, a state, a period of 指名停止."""
    book = Workbook()
    sheet = book.active
    for row in (
        [
            "登録業者番号",
            "会社名",
            "会社名カナ",
            "物品の製造",
            "物品の販売",
            "役務の提供等",
            "有効期間",
            "状態",
            "指名停止期間",
        ],
        [
            "000000701",
            "本町食品㈱",
            "ホンチョウショクヒン",
            None,
            "A",
            "○",
            "令和7年4月1日～令和9年3月31日",
            "有効",
            None,
        ],
        [
            "000000702",
            "新町文具",
            "シンマチブング",
            "B",
            "B",
            None,
            "令和7年4月1日～令和9年3月31日",
            "指名停止中",
            "R7.6.1～R7.8.31",
        ],
        ["000000703", "三好家具（株）", "ミヨシカグ", "C", None, None, "～令和7年3月31日", "取消", None],
    ):
        sheet.append(row)
    return as_xlsx(book)  # fmt: skip


def grades_by_trade() -> bytes:
    """Two sheets with a register each; a grade column below every trade's name, in three header lines."""
    book = Workbook()
    works = book.active
    works.title = "工事"
    for row in (
        ["業者番号", "商号又は名称", "登録業種", None, None],
        [None, None, "土木一式", "とび・土工・コンクリート", "水道施設"],
        [None, None, "等級", "等級", "等級"],
        ["000000801", "油川水道（株）", "B", None, "A"],
        ["000000802", "野内建材", None, "C", None],
    ):
        works.append(row)
    other = book.create_sheet("委託")
    other.append(["業者番号", "商号又は名称"])
    other.append(["000000899", "造道設計"])
    return as_xlsx(book)


def unknown_shape() -> bytes:
    """Words that no list of words can settle: two names, a number that may be another one, marks of who knows what."""
    return as_csv(
        [
            ["管理番号", "屋号", "登記名", "ISO9001", "担当", "電話"],
            ["000000901", "こぎん", "株式会社こぎん工芸", "○", "契約係", "017-722-0901"],
            ["000000902", "りんご", "りんご商事合同会社", "", "契約係", "017-722-0902"],
        ],
        "utf-8",
    )


FILES: dict[str, Callable[[], bytes]] = {
    "title_rows_cp932.csv": title_rows_cp932,
    "plain_utf8.csv": plain_utf8,
    "trade_rows_bom.csv": trade_rows_bom,
    "kept_zeros_tab.csv": kept_zeros_tab,
    "merged_header.xlsx": merged_header,
    "mark_columns.xlsx": mark_columns,
    "by_trade.xlsx": by_trade,
    "goods_states.xlsx": goods_states,
    "grades_by_trade.xlsx": grades_by_trade,
    "unknown_shape.csv": unknown_shape,
}


def as_csv(rows: Rows, encoding: str, *, delimiter: str = ",") -> bytes:
    """Return rows as a spreadsheet program saves them."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode(encoding)


def as_xlsx(book: Workbook) -> bytes:
    """Return a workbook as bytes that depend on its content only: no times, no compression."""
    saved, fixed = io.BytesIO(), io.BytesIO()
    book.save(saved)
    with zipfile.ZipFile(saved) as source, zipfile.ZipFile(fixed, "w", zipfile.ZIP_STORED) as target:
        for part in source.infolist():
            content = re.sub(rb"\d{4}-\d\d-\d\dT[\d:]+Z", b"2026-01-01T00:00:00Z", source.read(part))
            target.writestr(zipfile.ZipInfo(part.filename, (2026, 1, 1, 0, 0, 0)), content)
    return fixed.getvalue()


def main(folder: Path) -> None:
    """Write every file."""
    for name, make in FILES.items():
        (folder / name).write_bytes(make())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
