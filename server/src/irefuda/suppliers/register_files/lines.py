"""From the rows below a header to suppliers: one row each, or one row per company and trade.

What was read of a supplier is kept as packed bytes, so that a register of 100,000 fits into a few dozen megabytes.
"""

from __future__ import annotations

import marshal
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from irefuda.suppliers.register_files import cells
from irefuda.suppliers.register_files.cells import Wrong
from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.header import Column, Header
from irefuda.suppliers.register_files.marks import is_blank, is_mark, read_mark
from irefuda.suppliers.register_files.reading import Row
from irefuda_core.refusal import Refusal, Refused, refusal
from irefuda_core.text import to_half_width

LISTED_PROBLEMS = 1000
_AS_ABOVE = frozenset({"〃", "″", "同上"})
_BETWEEN_TRADES = re.compile(r"[、，,;；/／\s]+")
_TRADE_WITH_GRADE = re.compile(r"(.+?)\s*[(（]([^()（）]{1,4})[)）]")

# The columns of the model: how a field is read, and how long it may be.
_TEXTS: dict[Field, tuple[str, Callable[[str, Field, int], str], int]] = {
    Field.CORPORATE_NUMBER: ("corporate_number", cells.read_corporate_number, 13),
    Field.NAME: ("name", cells.read_text, 100),
    Field.NAME_KANA: ("name_kana", cells.read_text, 100),
    Field.REPRESENTATIVE: ("representative", cells.read_text, 120),
    Field.REPRESENTATIVE_TITLE: ("representative_title", cells.read_text, 60),
    Field.REPRESENTATIVE_NAME: ("representative_name", cells.read_text, 60),
    Field.POSTAL_CODE: ("postal_code", cells.read_postal_code, 8),
    Field.ADDRESS: ("address", cells.read_text, 120),
    Field.PHONE: ("phone", cells.read_phone, 20),
    Field.FAX: ("fax", cells.read_phone, 20),
    Field.BRANCH_NAME: ("branch_name", cells.read_text, 60),
    Field.AREA: ("area", cells.read_text, 20),
    Field.VALID_FROM: ("valid_from", cells.read_day, 10),
    Field.VALID_UNTIL: ("valid_until", cells.read_day, 10),
    Field.STATUS: ("status", cells.read_standing, 9),
    Field.SUSPENDED_FROM: ("suspended_from", cells.read_day, 10),
    Field.SUSPENDED_UNTIL: ("suspended_until", cells.read_day, 10),
}
_DELEGATE: dict[Field, tuple[str, Callable[[str, Field, int], str], int]] = {
    Field.DELEGATE_NAME: ("name", cells.read_text, 60),
    Field.DELEGATE: ("both", cells.read_text, 120),
    Field.DELEGATE_TITLE: ("title", cells.read_text, 60),
    Field.DELEGATE_PERSON: ("person", cells.read_text, 60),
    Field.DELEGATE_POSTAL_CODE: ("postal_code", cells.read_postal_code, 8),
    Field.DELEGATE_ADDRESS: ("address", cells.read_text, 120),
    Field.DELEGATE_PHONE: ("phone", cells.read_phone, 20),
    Field.DELEGATE_FAX: ("fax", cells.read_phone, 20),
}
_PERIODS = {
    Field.VALID_PERIOD: ("valid_from", "valid_until"),
    Field.SUSPENDED_PERIOD: ("suspended_from", "suspended_until"),
}
_DAYS = ("valid_from", "valid_until", "suspended_from", "suspended_until")
# How the report names a column of the model.
NAMES = {column: said.value for said, (column, _, _) in _TEXTS.items()} | {
    "delegate": "委任先",
    "qualifications": "資格の種類",
    "trades": "業種・品目",
}


class Problem(NamedTuple):
    """What is wrong with a line."""

    line: int
    reason: Refusal


class Faulty(Refused):
    """Raised for a file with wrong lines; `problems` has the first of them, `count` says how many there are."""

    def __init__(self, problems: Sequence[Problem], count: int) -> None:
        super().__init__(*(problem.reason for problem in problems))
        self.problems = problems
        self.count = count


class Line(NamedTuple):
    """One supplier as the file has it: `values` in the order of `Register.stored`."""

    line: int
    supplier_number: str
    values: tuple[Any, ...]


@dataclass(slots=True)
class Register:
    """What a file says: the columns of the model that it fills, its suppliers, and what was done for it on the way."""

    stored: tuple[str, ...]
    packed: dict[str, bytes] = field(default_factory=dict)
    rows: int = 0
    # Rows whose 業者番号 had lost its leading zeros, and rows whose empty cells were read as the cells above.
    padded: int = 0
    as_above: int = 0

    def __contains__(self, supplier_number: str) -> bool:
        return supplier_number in self.packed

    def __len__(self) -> int:
        return len(self.packed)

    def __iter__(self) -> Iterator[Line]:
        for number, packed in self.packed.items():
            line, *values = marshal.loads(packed)  # noqa: S302 -- packed by ourselves a moment ago
            yield Line(line, number, tuple(values))


def read(rows: Iterable[Row], header: Header) -> Register:
    """Return what the rows below the header say.

    :raises Faulty: with every line that is wrong (F-521 to F-533)
    :raises Refused: F-512 when there is no line
    """
    reader = _Reader(header)
    for row in rows:
        reader.take(row)
    return reader.finish()


class _Reader:
    def __init__(self, header: Header) -> None:
        self.texts: list[tuple[int, Field, str, Callable[[str, Field, int], str], int]] = []
        self.delegates: list[tuple[int, Field, str, Callable[[str, Field, int], str], int]] = []
        self.periods: list[tuple[int, Field]] = []
        self.marks: list[Column] = []
        self.qualifications: list[Column] = []
        self.place: dict[Field, int] = {}
        for column in header.columns:
            self._arrange(column)
        self.width = max(column.place for column in header.columns) + 1
        self.used = [column.place for column in header.columns if column.field is not Field.IGNORED]
        self.number, self.name = self.place[Field.SUPPLIER_NUMBER], self.place[Field.NAME]
        self.trade, self.grade = self.place.get(Field.TRADE), self.place.get(Field.GRADE)
        self.points, self.trades = self.place.get(Field.POINTS), self.place.get(Field.TRADES)
        # A list by trade has the trade first, and there an empty trade is the one above; else the company has none.
        self.by_trade = self.trade is not None and self.trade < self.number
        self.labels = {part for column in header.columns for part in column.parts}
        self.register = Register(stored=self._stored())
        self.problems: list[Problem] = []
        self.count = 0
        # The company that is being read, when it may have more rows, and the cells of the row above.
        self.current: dict[str, Any] | None = None
        self.above: list[str] = []
        # Whether the rows that follow belong to a company whose own row is wrong: one reason is enough.
        self.skipping = False

    def _arrange(self, column: Column) -> None:
        said = column.field
        assert said is not None
        if said in _TEXTS:
            self.texts.append((column.place, said, *_TEXTS[said]))
        elif said in _DELEGATE:
            self.delegates.append((column.place, said, *_DELEGATE[said]))
        elif said in _PERIODS:
            self.periods.append((column.place, said))
        elif said is Field.MARK:
            self.marks.append(column)
        elif said is Field.QUALIFICATION:
            self.qualifications.append(column)
        self.place[said] = column.place

    def _stored(self) -> tuple[str, ...]:
        """Return which columns of the model the file fills; what it has no column for stays as it is stored."""
        stored = [column for _, _, column, _, _ in self.texts if column != "representative"]
        if Field.REPRESENTATIVE in self.place:
            stored += ["representative_title", "representative_name"]
        for _, said in self.periods:
            stored += _PERIODS[said]
        if self.delegates:
            stored.append("delegate")
        if self.qualifications:
            stored.append("qualifications")
        if self.marks or self.trade is not None or self.trades is not None:
            stored.append("trades")
        if {"suspended_from", "suspended_until"} & {*stored}:
            stored.append("status")
        return tuple(dict.fromkeys(stored))

    # -- rows

    def take(self, row: Row) -> None:
        """Read one row."""
        found = row.cells
        if len(found) < self.width:
            found = [*found, *[""] * (self.width - len(found))]
        if not found[self.number] or found[self.number] in self.labels:
            said = {found[place] for place in self.used} - {""}
            # An empty line, a line with nothing but a running number, or the header again on the next page.
            if said <= self.labels:
                return
        if not _AS_ABOVE.isdisjoint(found) and self.above:
            found = [up if cell in _AS_ABOVE else cell for cell, up in zip(found, self.above, strict=False)]
            self.register.as_above += 1
        self.register.rows += 1
        try:
            self._take(row.line, found)
        except Wrong as wrong:
            self._note(row.line, wrong.reason)
            if found[self.number]:
                self.current, self.skipping = None, True
        self.above = found

    def _take(self, line: int, found: list[str]) -> None:
        written = found[self.number]
        if self.by_trade and not found[self.trade or 0]:
            if not self.above or not self.above[self.trade or 0]:
                raise Wrong(refusal("F-531"))
            found[self.trade or 0] = self.above[self.trade or 0]
            self.register.as_above += 1
        if not written:
            if not self.skipping:
                self._continue(line, found)
            return
        self.skipping = False
        number = cells.read_number(written)
        if len(written) < 9:
            self.register.padded += 1
        if self.trade is None:
            if number in self.register.packed:
                first = marshal.loads(self.register.packed[number])[0]  # noqa: S302 -- our own
                raise Wrong(refusal("F-524", number=number, line=first))
            values = self._values(found)
            if not values["name"]:
                raise Wrong(refusal("F-523"))
            self._pack(line, number, values)
        elif self.current is not None and self.current["number"] == number:
            self._merge(line, found)
        else:
            self._begin(line, number, found)

    def _begin(self, line: int, number: str, found: list[str]) -> None:
        """Read the first row of a company, or one of its later rows in a list that is by trade."""
        self._put_away()
        if (packed := self.register.packed.get(number)) is not None:
            first, *values = marshal.loads(packed)  # noqa: S302 -- our own
            self.current = {"number": number, "line": first, **dict(zip(self.register.stored, values, strict=True))}
            self._merge(line, found)
            return
        values = self._values(found)
        if not values["name"]:
            raise Wrong(refusal("F-523"))
        self.current = {"number": number, "line": line, **values}

    def _continue(self, line: int, found: list[str]) -> None:
        """Read a row without a number: one more trade of the company above."""
        if self.trade is None or self.current is None:
            # Every cell of a row in which nothing but the number is missing deserves the plain reason.
            raise Wrong(refusal("F-521" if found[self.name] or self.trade is None else "F-531"))
        if found[self.name] and found[self.name] != self.current["name"]:
            self._put_away()
            raise Wrong(refusal("F-521"))
        if not found[self.trade]:
            raise Wrong(refusal("F-531"))
        self.register.as_above += 1
        self._merge(line, found)

    def _merge(self, line: int, found: list[str]) -> None:
        """Add a row to the company that is being read; an empty cell is as above, another content is a contradiction."""
        current = self.current
        assert current is not None
        values = self._values(found)
        for column in self.register.stored:
            value, before = values[column], current[column]
            if column == "trades":
                if not value:
                    raise Wrong(refusal("F-524", number=current["number"], line=current["line"]))
                if taken := {trade["name"] for trade in before} & {trade["name"] for trade in value}:
                    double = f"{current['number']}（{cells.short(min(taken))}）"
                    raise Wrong(refusal("F-524", number=double, line=current["line"]))
                current[column] = [*before, *value]
            elif column == "qualifications":
                if any(before.get(kind, grade) != grade for kind, grade in value.items()):
                    raise Wrong(_contradiction(column, current))
                current[column] = {**before, **value}
            elif column == "status":
                if self._says_status(found) and value != before:
                    raise Wrong(_contradiction(column, current))
            elif value and value != before:
                raise Wrong(_contradiction(column, current))

    def _says_status(self, found: list[str]) -> bool:
        asked = (Field.STATUS, Field.SUSPENDED_FROM, Field.SUSPENDED_UNTIL, Field.SUSPENDED_PERIOD)
        return any(found[self.place[said]] for said in asked if said in self.place)

    def _put_away(self) -> None:
        if self.current is not None:
            self._pack(self.current["line"], self.current["number"], self.current)
            self.current = None

    def _pack(self, line: int, number: str, values: dict[str, Any]) -> None:
        self.register.packed[number] = marshal.dumps((line, *[values[column] for column in self.register.stored]))

    def _note(self, line: int, reason: Refusal) -> None:
        self.count += 1
        if len(self.problems) < LISTED_PROBLEMS:
            self.problems.append(Problem(line, reason))

    def finish(self) -> Register:
        """Return what was read."""
        self._put_away()
        if self.count:
            raise Faulty(self.problems, self.count)
        if not self.register.packed:
            raise Refused(refusal("F-512"))
        return self.register

    # -- the cells of a row

    def _values(self, found: list[str]) -> dict[str, Any]:
        """Return what a row says, by the columns of the model.

        :raises Wrong: for the first cell that cannot be stored
        """
        values: dict[str, Any] = {
            column: read_cell(found[place], said, longest) for place, said, column, read_cell, longest in self.texts
        }
        for place, said in self.periods:
            for column, day in zip(_PERIODS[said], cells.read_period(found[place], said), strict=True):
                values[column] = values.get(column) or day
        if "representative" in values:
            _part_person(values, "representative", "representative_title", "representative_name")
        if "status" in self.register.stored:
            values.setdefault("status", "active")
            # Who is under 指名停止 from an open day on is suspended; with a first day the days decide (domain).
            if values["status"] == "active" and (values.get("suspended_from") or values.get("suspended_until")):
                values["status"] = "suspended"
        if self.delegates:
            values["delegate"] = self._delegate(found)
        if self.qualifications:
            values["qualifications"] = {
                column.parts[-1]: grade
                for column in self.qualifications
                if (grade := _mark(found[column.place], column)) is not None
            }
        if "trades" in self.register.stored:
            values["trades"] = self._trades(found)
        return values

    def _delegate(self, found: list[str]) -> dict[str, str]:
        said = {
            key: value
            for place, what, key, read_cell, longest in self.delegates
            if (value := read_cell(found[place], what, longest))
        }
        if "both" in said:
            _part_person(said, "both", "title", "person")
        return {key: value for key, value in said.items() if value}

    def _trades(self, found: list[str]) -> list[dict[str, str]]:
        trades = [
            {"name": column.trade, "grade": grade}
            for column in self.marks
            if (grade := _mark(found[column.place], column)) is not None
        ]
        if self.trades is not None:
            trades += _listed(found[self.trades], Field.TRADES)
        if self.trade is not None:
            own = _listed(found[self.trade], Field.TRADE)
            for said, place, key in ((Field.GRADE, self.grade, "grade"), (Field.POINTS, self.points, "points")):
                value = to_half_width(cells.read_text(found[place], said, 10)) if place is not None else ""
                if value and len(own) != 1:
                    # One grade beside several trades, or beside none, could belong to any of them.
                    raise Wrong(refusal("F-531"))
                if value:
                    own[0][key] = value
            trades += own
        return trades


def _part_person(values: dict[str, Any], both: str, title: str, name: str) -> None:
    """Put 「代表者職氏名」 into its two places; beside a column for the 役職 it is the 氏名 alone."""
    said = values.pop(both)
    parted = ("", said) if title in values else cells.split_person(said)
    values[title] = values.get(title) or parted[0]
    values[name] = values.get(name) or parted[1]


def _mark(cell: str, column: Column) -> str | None:
    try:
        return read_mark(cell)
    except ValueError:
        assert column.field is not None
        cells.refuse_formula(cell, column.field)
        named = Field(column.field).value
        raise Wrong(
            refusal("F-530", field=f"{named}：{column.label}", value=cells.short(cell), known="○、等級、空欄")
        ) from None


def _listed(cell: str, said: Field) -> list[dict[str, str]]:
    """Return the trades of one cell, such as 「土木一式（A）、舗装」."""
    if is_blank(cell):
        return []
    cells.refuse_formula(cell, said)
    trades: list[dict[str, str]] = []
    parts = _BETWEEN_TRADES.split(cell) if said is Field.TRADES or "、" in cell else [cell]
    for part in filter(None, parts):
        graded = _TRADE_WITH_GRADE.fullmatch(part)
        name, grade = (graded[1], graded[2]) if graded and is_mark(graded[2]) else (part, "")
        trades.append({"name": cells.read_text(name, said, 60), "grade": read_mark(grade) or ""})
    return trades


def _contradiction(column: str, current: dict[str, Any]) -> Refusal:
    return refusal("F-525", number=current["number"], field=NAMES[column], line=current["line"])
