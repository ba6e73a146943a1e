"""One cell of a register made fit to be stored, or the reason why it cannot be."""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.marks import is_blank
from irefuda_core import days, text
from irefuda_core.refusal import Refusal, refusal

# What names and addresses are made of nearly always; such a cell needs no look at each of its characters.
_PLAIN = re.compile("[ -~\u3000-\u303f\u3041-\u3096\u309b-\u30ff\u4e00-\u9fff\uff01-\uff5e－―○△×]*")
_FORMULA = re.compile(r"[=+@\t\r-]|#(?:N/A|REF!|VALUE!|NAME\?|DIV/0!|NUM!|NULL!|SPILL!|#+)", re.IGNORECASE)
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ud800-\udfff\ufeff]")
_SHOWN = 30
_STANDINGS = {
    "active": "有効 有 登録 登録中 資格有 資格あり 継続 新規 更新 正常",
    "suspended": "停止 停止中 指名停止 指名停止中 資格停止 資格停止中",
    "ended": "取消 取消し 取り消し 資格取消 抹消 登録抹消 廃業 失効 終了 辞退 無効",
}
_STANDING_OF = {word: standing for standing, words in _STANDINGS.items() for word in words.split()}
_TITLES = (
    "代表取締役社長|代表取締役会長|代表取締役|取締役社長|取締役会長|取締役|代表執行役|執行役員|代表社員|代表理事|理事長|代表者|代表|社長|会長|組合長"
    "|院長|店主|店長|支店長|支社長|営業所長|事業所長|所長|支配人"
)
_SPACED = re.compile(rf"(\S*(?:{_TITLES}))[ \u3000]+(.+)")
# Without a space only what no name begins with; 「服部長太郎」 is no 部長.
_GLUED = re.compile(r"(代表取締役(?:社長|会長)?|取締役社長|代表社員|代表理事)(.+)")
_PHONE = re.compile(r"0[0-9]{1,4}-[0-9]{1,4}-[0-9]{4}")
_POSTAL_CODE = re.compile(r"[0-9]{3}-[0-9]{4}")


class Wrong(Exception):
    """Raised for a cell that cannot be stored."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.code)
        self.reason = reason


def read_number(cell: str) -> str:
    """Return the 業者番号 of nine characters, with the leading zeros that a spreadsheet dropped."""
    number = text.to_half_width(cell).strip().upper()
    if number.isascii() and number.isdigit():
        number = number.zfill(9)
    if not (len(number) == 9 and number.isascii() and number.isalnum()):
        refuse_formula(cell, Field.SUPPLIER_NUMBER)
        raise Wrong(refusal("F-522", number=short(cell)))
    return number


def read_text(cell: str, field: Field, longest: int) -> str:
    """Return a name, an address or another line of text; nothing of it is rewritten but half-width kana."""
    if not cell:
        return ""
    if cell[0] in "=+-@#\t\r" or is_blank(cell):
        if is_blank(cell):
            return ""
        refuse_formula(cell, field)
    if len(cell) <= longest and _PLAIN.fullmatch(cell):
        return cell
    try:
        value = text.clean_text(cell, max_length=longest)
    except text.InvalidText as reason:
        if reason.refusal.code == "P-802":
            raise Wrong(refusal("F-527", field=field.value, max_length=longest)) from None
        raise Wrong(refusal("F-528", field=field.value)) from None
    # The column counts code points, a person does not: a variation selector takes a place as well.
    if len(value) > longest:
        raise Wrong(refusal("F-527", field=field.value, max_length=longest))
    return value


def read_postal_code(cell: str, field: Field, longest: int) -> str:
    """Return a 郵便番号 as 123-4567; what is none is kept as it stands."""
    if _POSTAL_CODE.fullmatch(cell):
        return cell
    try:
        return text.clean_postal_code(cell)
    except text.InvalidText:
        return read_text(cell, field, longest)


def read_phone(cell: str, field: Field, longest: int) -> str:
    """Return a 電話番号 in half-width; what is none, such as two numbers in one cell, is kept as it stands."""
    if 12 <= len(cell) <= 13 and _PHONE.fullmatch(cell):
        return cell
    try:
        return text.clean_phone(cell)
    except text.InvalidText:
        return read_text(cell, field, longest)


def read_corporate_number(cell: str, field: Field, longest: int) -> str:
    """Return a 法人番号 of 13 digits whose first is the check digit of the others."""
    if is_blank(cell):
        return ""
    refuse_formula(cell, field)
    digits = re.sub(r"[\s-]", "", text.to_half_width(cell))
    if not re.fullmatch(r"[0-9]{13}", digits):
        raise Wrong(refusal("F-533", value=short(cell)))
    weighed = sum(int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(digits[1:])))
    if int(digits[0]) != 9 - weighed % 9:
        raise Wrong(refusal("F-533", value=short(cell)))
    return digits


def read_day(cell: str, field: Field, longest: int) -> str:
    """Return a day as 2025-04-01, or "" for none."""
    if is_blank(cell):
        return ""
    day = _iso(_day(cell))
    if not day:
        refuse_formula(cell, field)
        raise Wrong(refusal("F-529", field=field.value, value=short(cell)))
    return day


def read_period(cell: str, field: Field) -> tuple[str, str]:
    """Return the first and the last day of a period, "" for the one that is left open."""
    if is_blank(cell):
        return "", ""
    period = days.read_period(cell)
    if period is None:
        refuse_formula(cell, field)
        raise Wrong(refusal("F-529", field=field.value, value=short(cell)))
    return _iso(period[0]), _iso(period[1])


def read_standing(cell: str, field: Field, longest: int) -> str:
    """Return active, suspended or ended; an empty cell is active."""
    if is_blank(cell) and cell not in ("×", "無"):
        return "active"
    standing = _STANDING_OF.get(text.to_half_width(cell).strip())
    if standing is None:
        known = "、".join(words.split()[0] for words in _STANDINGS.values())
        raise Wrong(refusal("F-530", field=field.value, value=short(cell), known=known))
    return standing


def split_person(said: str) -> tuple[str, str]:
    """Return 役職 and 氏名 of a cell that has both; a cell without a known 役職 is a name."""
    match = _SPACED.fullmatch(said) or _GLUED.fullmatch(said)
    return (match[1], match[2]) if match else ("", said)


def refuse_formula(cell: str, field: Field) -> None:
    """Refuse what a spreadsheet would run or what it shows instead of a result."""
    if _FORMULA.match(cell):
        raise Wrong(refusal("F-526", field=field.value, value=short(cell)))


def short(cell: str) -> str:
    """Return the cell as a report shows it: not too long."""
    return cell if len(cell) <= _SHOWN else f"{cell[:_SHOWN]}…"


def printable(line: str) -> str:
    """Return the line without what a terminal would obey or hide: labels and names come from a file of others."""
    return _UNPRINTABLE.sub("�", line)


@lru_cache(maxsize=1000)
def _day(cell: str) -> date | None:
    """A register has thousands of lines and a handful of days."""
    return days.read_day(cell)


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""
