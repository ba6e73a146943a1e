"""What one row says of a supplier, by the columns of the model."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from irefuda.suppliers.register_files import cells
from irefuda.suppliers.register_files.cells import Wrong
from irefuda.suppliers.register_files.columns import DELEGATE, PERIODS, TEXTS
from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.header import Column, Header
from irefuda.suppliers.register_files.marks import is_blank, is_mark, read_mark
from irefuda_core.refusal import refusal
from irefuda_core.text import to_half_width

_BETWEEN_TRADES = re.compile(r"[、，,;；/／\s]+")
_TRADE_WITH_GRADE = re.compile(r"(.+?)\s*[(（]([^()（）]{1,4})[)）]")


class RowReader:
    """Reads rows below one header.

    :raises Wrong: for a label that cannot be stored as the name of a trade
    """

    def __init__(self, header: Header) -> None:
        self.texts: list[tuple[int, Field, str, Callable[[str, Field, int], str], int]] = []
        self.delegates: list[tuple[int, Field, str, Callable[[str, Field, int], str], int]] = []
        self.periods: list[tuple[int, Field]] = []
        # Columns of marks with the name of their trade or kind.
        self.marks: list[tuple[Column, str]] = []
        self.qualifications: list[tuple[Column, str]] = []
        self.place: dict[Field, int] = {}
        for column in header.columns:
            self._arrange(column)
        self.trade, self.grade = self.place.get(Field.TRADE), self.place.get(Field.GRADE)
        self.points, self.trades = self.place.get(Field.POINTS), self.place.get(Field.TRADES)
        # Which columns of the model the file fills; what it has no column for stays as it is stored.
        self.stored = self._stored()

    def _arrange(self, column: Column) -> None:
        said = column.field
        assert said is not None
        if said in TEXTS:
            self.texts.append((column.place, said, *TEXTS[said]))
        elif said in DELEGATE:
            self.delegates.append((column.place, said, *DELEGATE[said]))
        elif said in PERIODS:
            self.periods.append((column.place, said))
        elif said is Field.MARK:
            self.marks.append((column, cells.read_text(column.trade, said, 60)))
        elif said is Field.QUALIFICATION:
            self.qualifications.append((column, cells.read_text(column.parts[-1], said, 60)))
        self.place[said] = column.place

    def _stored(self) -> tuple[str, ...]:
        stored = [column for _, _, column, _, _ in self.texts if column != "representative"]
        if Field.REPRESENTATIVE in self.place:
            stored += ["representative_title", "representative_name"]
        for _, said in self.periods:
            stored += PERIODS[said]
        if self.delegates:
            stored.append("delegate")
        if self.qualifications:
            stored.append("qualifications")
        if self.marks or self.trade is not None or self.trades is not None:
            stored.append("trades")
        if {"suspended_from", "suspended_until"} & {*stored}:
            stored.append("status")
        return tuple(dict.fromkeys(stored))

    def values(self, found: list[str]) -> dict[str, Any]:
        """Return what a row says, by the columns of the model.

        :raises Wrong: for the first cell that cannot be stored
        """
        values: dict[str, Any] = {
            column: read_cell(found[place], said, longest) for place, said, column, read_cell, longest in self.texts
        }
        for place, said in self.periods:
            for column, day in zip(PERIODS[said], cells.read_period(found[place], said), strict=True):
                values[column] = values.get(column) or day
        for said, (first, last) in PERIODS.items():
            begin, end = values.get(first), values.get(last)
            if begin and end and begin > end:
                raise Wrong(refusal("F-534", field=said.value, first=begin, last=end))
        if "representative" in values:
            _part_person(values, "representative", "representative_title", "representative_name")
        if "status" in self.stored:
            values.setdefault("status", "active")
            # Who is under 指名停止 from an open day on is suspended; with a first day the days decide (domain).
            if values["status"] == "active" and (values.get("suspended_from") or values.get("suspended_until")):
                values["status"] = "suspended"
        if self.delegates:
            values["delegate"] = self._delegate(found)
        if self.qualifications:
            values["qualifications"] = {
                kind: grade
                for column, kind in self.qualifications
                if (grade := _mark(found[column.place], column)) is not None
            }
        if "trades" in self.stored:
            values["trades"] = self._trades(found)
        return values

    def says_status(self, found: list[str]) -> bool:
        """Return whether the row says anything about the standing."""
        asked = (Field.STATUS, Field.SUSPENDED_FROM, Field.SUSPENDED_UNTIL, Field.SUSPENDED_PERIOD)
        return any(found[self.place[said]] for said in asked if said in self.place)

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
            {"name": name, "grade": grade}
            for column, name in self.marks
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
    for key, part, what in (
        (title, parted[0], Field.REPRESENTATIVE_TITLE),
        (name, parted[1], Field.REPRESENTATIVE_NAME),
    ):
        values[key] = values.get(key) or cells.read_text(part, what, 60)


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
