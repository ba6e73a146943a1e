"""Finding the header of a register and what its columns are. What is not certain is asked, never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from irefuda.suppliers.register_files import fields
from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.marks import is_mark
from irefuda.suppliers.register_files.reading import Row
from irefuda_core.refusal import Refusal, Refused, refusal

TITLE_ROWS, HEADER_ROWS, SAMPLE_ROWS = 30, 3, 20
REQUIRED = (Field.SUPPLIER_NUMBER, Field.NAME)


@dataclass(frozen=True, slots=True)
class Column:
    """A column that has a label: its place in the row, the label, and what it is (None = nobody knows yet)."""

    place: int
    label: str
    field: Field | None
    # The label from top to bottom, as it stands in the header's rows.
    parts: tuple[str, ...]
    # What the column may be; only a person can say whether it is.
    suggestion: Field | None = None

    @property
    def trade(self) -> str:
        """Return, of a column of ○ marks or grades, the name of the trade."""
        return fields.trade_of(self.parts) or self.parts[-1]


@dataclass(frozen=True, slots=True)
class Header:
    """The header: its rows among those that were looked at, and its columns."""

    first: int
    height: int
    columns: tuple[Column, ...]

    def has(self, field: Field) -> bool:
        """Return whether a column is this field."""
        return any(column.field is field for column in self.columns)

    @property
    def labels(self) -> list[str]:
        """Return the labels in their order."""
        return [column.label for column in self.columns]

    @property
    def mapping(self) -> dict[str, str]:
        """Return the mapping as it is kept and shown, 「？」 for what nobody knows."""
        return {column.label: column.field or column.suggestion or fields.UNKNOWN for column in self.columns}


class Unclear(Refused):
    """Raised when a column must be asked about; carries the header so that the question can show all of it."""

    def __init__(self, header: Header, *reasons: Refusal) -> None:
        super().__init__(*reasons)
        self.header = header


def find(rows: Sequence[Row], given: Mapping[str, Field]) -> Header | None:
    """Return the header among these first rows of a sheet, or None. `given` says what labels are, above every proposal."""
    return _best(rows, given, REQUIRED)


def nearest(rows: Sequence[Row], given: Mapping[str, Field]) -> Header | None:
    """Return what may be the header where none was found, for the question; None when nothing looks like one."""
    wide = (first for first, row in enumerate(rows[:TITLE_ROWS]) if len(_filled(row)) > 1)
    return _best(rows, given, ()) or next((_header_at(rows, first, 1, given) for first in wide), None)


def _best(rows: Sequence[Row], given: Mapping[str, Field], required: Sequence[Field]) -> Header | None:
    best: tuple[tuple[int, ...], Header] | None = None
    for first in range(min(TITLE_ROWS, len(rows))):
        for height in range(1, min(HEADER_ROWS, len(rows) - first) + 1):
            header = _header_at(rows, first, height, given)
            known = [column.field for column in header.columns if column.field]
            if not known or not all(field in known for field in required):
                continue
            # A column that is filled below but has no label tells that the header is higher than this.
            below = rows[first + height : first + height + SAMPLE_ROWS]
            unlabelled = len(set().union(*map(_filled, below)) - {column.place for column in header.columns})
            doubled = len(known) - len({*known}) - sum(known.count(f) - 1 for f in {*known} & fields.REPEATABLE)
            # So does a row of words below it in which no company stands, such as 「等級」 below every trade.
            identity = {column.place for column in header.columns if column.field in REQUIRED}
            headless = bool(below) and any(below[0].cells) and not identity & _filled(below[0])
            # Of equals the flatter and the earlier one, which takes no line of the list and no title row.
            score = (len(known) - 2 * doubled - unlabelled - headless, -height, -first)
            if best is None or score > best[0]:
                best = score, header
    return best[1] if best else None


def _filled(row: Row) -> set[int]:
    return {place for place, cell in enumerate(row.cells) if cell}


def settle(header: Header, sample: Sequence[Row]) -> Header:
    """Return the header with the columns of ○ marks recognised by what is in them.

    :raises Unclear: F-510 for columns that nobody knows, F-511 for a field with two columns, F-532 for a grade of nothing
    """
    # A long list repeats its header on every page.
    parts = {part for column in header.columns for part in column.parts} | {""}
    sample = [row for row in sample if not parts.issuperset(row.cells)]
    settled = Header(header.first, header.height, tuple(_by_content(column, sample) for column in header.columns))
    reasons = []
    for field in Field:
        labels = [column.label for column in settled.columns if column.field is field]
        if len(labels) > 1 and field not in fields.REPEATABLE:
            reasons.append(refusal("F-511", field=field.value, labels="、".join(labels)))
        if labels and field in (Field.GRADE, Field.POINTS) and not settled.has(Field.TRADE):
            reasons.append(refusal("F-532", label=labels[0]))
    if unknown := [column.label for column in settled.columns if column.field is None]:
        reasons.append(refusal("F-510", labels="、".join(f"「{label}」" for label in unknown)))
    if reasons:
        raise Unclear(settled, *reasons)
    return settled


def _header_at(rows: Sequence[Row], first: int, height: int, given: Mapping[str, Field]) -> Header:
    parts = _parts([rows[first + step].cells for step in range(height)])
    columns: list[Column] = []
    taken: dict[str, int] = {}
    for place, label_parts in enumerate(parts):
        if not label_parts:
            continue
        label = "／".join(label_parts)
        taken[label] = taken.get(label, 0) + 1
        if taken[label] > 1:
            label = f"{label}（{taken[label]}）"
        field = given.get(label) or fields.propose(label_parts)
        columns.append(Column(place, label, field, label_parts))
    return Header(first, height, tuple(columns))


def _parts(rows: list[list[str]]) -> list[tuple[str, ...]]:
    """Return the parts of each column's label from top to bottom.

    A merged cell has its text in its first column only: a heading reaches over the empty cells to its right as long as
    something stands below them.
    """
    width = max(len(cells) for cells in rows)
    full = [[*cells, *[""] * (width - len(cells))] for cells in rows]
    for above, below in pairwise(full):
        heading = ""
        for place in range(width):
            if above[place] or not below[place]:
                heading = above[place] if below[place] else ""
            else:
                above[place] = heading
    return [tuple(cells[place] for cells in full if cells[place]) for place in range(width)]


def _by_content(column: Column, sample: Sequence[Row]) -> Column:
    """A column of nothing but marks and grades is one of ○ marks when its label names a trade; else that is a suggestion."""
    if column.field:
        return column
    found = {row.cells[column.place] for row in sample if len(row.cells) > column.place} - {""}
    if not found or not fields.trade_of(column.parts) or not all(is_mark(value) for value in found):
        return column
    if fields.surely_a_trade(column.parts):
        return replace(column, field=Field.MARK)
    return replace(column, suggestion=Field.MARK)
