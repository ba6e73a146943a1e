"""Finding the one table of a file that is the register, and settling what its columns are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path

from irefuda.suppliers.register_files import header as headers
from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.header import Header, Unclear
from irefuda.suppliers.register_files.reading import PEEKED_ROWS, Row, Sheet, open_sheets
from irefuda_core.refusal import Refused, refusal


@dataclass(frozen=True, slots=True)
class Remembered:
    """The mapping of the section's last import, and the labels that it was made for."""

    labels: list[str]
    mapping: dict[str, Field]


@dataclass(frozen=True, slots=True)
class Table:
    """The register in a file: its sheet, its header, the rows below, and whose answer the mapping is."""

    sheet: Sheet
    header: Header
    rows: Iterator[Row]
    mapping_from: str


@contextmanager
def open_register(
    path: Path, *, sheet: str, given: Mapping[str, Field] | None, remembered: Remembered | None
) -> Iterator[Table]:
    """Open a file and yield its register.

    :raises Unclear: when a column must be asked about, or when no header was found but something looks like one
    :raises Refused: F-500 to F-515
    """
    with open_sheets(path) as sheets:
        looked_at = [_Looked(one, list(islice(one.rows, PEEKED_ROWS))) for one in _chosen(sheets, sheet)]
        found = [
            (one, header, source)
            for one in looked_at
            for header, source in [_header_of(one.rows, given, remembered)]
            if header is not None
        ]
        if len(found) > 1:
            raise Refused(refusal("F-514", sheets="、".join(one.sheet.name for one, _, _ in found)))
        if not found:
            raise _nothing_found(looked_at, given or (remembered.mapping if remembered else {}))
        one, header, source = found[0]
        if missing := [label for label in given or {} if label not in header.labels]:
            raise Refused(refusal("F-513", reason=f"「{missing[0]}」という列は、このファイルにありません"))
        below = one.rows[header.first + header.height :]
        try:
            settled = headers.settle(header, below)
        except Unclear as question:
            raise Unclear(_with_last_answers(question.header, remembered), *question.refusals) from None
        yield Table(one.sheet, settled, chain(below, one.sheet.rows), source)


@dataclass(frozen=True, slots=True)
class _Looked:
    sheet: Sheet
    rows: list[Row]


def _chosen(sheets: Iterator[Sheet], name: str) -> Iterator[Sheet]:
    if not name:
        yield from sheets
        return
    there = list(sheets)
    chosen = [sheet for sheet in there if sheet.name == name]
    if not chosen:
        names = "、".join(sheet.name for sheet in there if sheet.name) or "（シートのないファイルです）"
        raise Refused(refusal("F-515", sheet=name, sheets=names))
    yield from chosen


def _header_of(
    rows: Sequence[Row], given: Mapping[str, Field] | None, remembered: Remembered | None
) -> tuple[Header | None, str]:
    if given is not None:
        return headers.find(rows, given), "given"
    if remembered is not None:
        # What was answered for one header says nothing about another one, even where a label is the same.
        header = headers.find(rows, remembered.mapping)
        if header is not None and header.labels == remembered.labels:
            return header, "remembered"
    return headers.find(rows, {}), "proposed"


def _nothing_found(looked_at: Sequence[_Looked], given: Mapping[str, Field]) -> Refused:
    if not any(cell for one in looked_at for row in one.rows for cell in row.cells):
        return Refused(refusal("F-501"))
    nearest = (headers.nearest(one.rows, given) for one in looked_at)
    reason = refusal("F-509")
    return next((Unclear(header, reason) for header in nearest if header is not None), Refused(reason))


def _with_last_answers(header: Header, remembered: Remembered | None) -> Header:
    if remembered is None:
        return header
    columns = tuple(
        replace(column, suggestion=remembered.mapping.get(column.label, column.suggestion)) for column in header.columns
    )
    return replace(header, columns=columns)
