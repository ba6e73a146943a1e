"""From the rows below a header to suppliers: one row each, or one row per company and trade.

What was read of a supplier is kept as packed bytes, so that a register of 100,000 fits into a few dozen megabytes.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from irefuda.suppliers.register_files import cells
from irefuda.suppliers.register_files.cells import Wrong
from irefuda.suppliers.register_files.columns import NAMES
from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.header import Header
from irefuda.suppliers.register_files.reading import Row
from irefuda.suppliers.register_files.values import RowReader
from irefuda_core.refusal import Refusal, Refused, refusal

LISTED_PROBLEMS = 1000
_AS_ABOVE = frozenset({"〃", "″", "同上"})


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
        # What the columns were taken for: a column that was mistaken makes every line a wrong one.
        self.mapping: dict[str, str] = {}


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
        try:
            self.row = RowReader(header)
        except Wrong as wrong:
            raise Refused(wrong.reason) from None
        self.width = max(column.place for column in header.columns) + 1
        self.used = [column.place for column in header.columns if column.field is not Field.IGNORED]
        self.number, self.name = self.row.place[Field.SUPPLIER_NUMBER], self.row.place[Field.NAME]
        self.trade = self.row.trade
        # A list by trade has the trade first, and there an empty trade is the one above; else the company has none.
        self.by_trade = self.trade is not None and self.trade < self.number
        self.labels = {part for column in header.columns for part in column.parts}
        self.register = Register(stored=self.row.stored)
        self.problems: list[Problem] = []
        self.count = 0
        # The company that is being read, when it may have more rows, and the cells of the row above.
        self.current: dict[str, Any] | None = None
        self.above: list[str] = []
        # Whether the rows that follow belong to a company whose own row is wrong: one reason is enough.
        self.skipping = False

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
            values = self.row.values(found)
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
        values = self.row.values(found)
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
        values = self.row.values(found)
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
                if self.row.says_status(found) and value != before:
                    raise Wrong(_contradiction(column, current))
            elif value and value != before:
                raise Wrong(_contradiction(column, current))

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


def _contradiction(column: str, current: dict[str, Any]) -> Refusal:
    return refusal("F-525", number=current["number"], field=NAMES[column], line=current["line"])
