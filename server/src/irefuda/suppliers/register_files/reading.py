"""From a file to rows of text: CSV in UTF-8 or CP932, XLSX. Everything is streamed, and nothing in a file is believed."""

from __future__ import annotations

import csv
import re
import stat
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from xml.etree.ElementTree import ParseError

from irefuda_core.refusal import Refused, refusal

LARGEST_FILE = 64 * 1024 * 1024
# What a workbook may unpack to: 100,000 full lines are about 200 MB of XML, and repeated cells pack to about 1:30.
LARGEST_UNPACKED, LARGEST_TEXTS, TIGHTEST_PACKING, MOST_PARTS = 400 * 2**20, 160 * 2**20, 150, 500
MOST_ROWS, MOST_COLUMNS = 300_000, 256
PEEKED_ROWS = 300
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1f]")
_FOR_SPREADSHEETS = re.compile(r'="([0-9A-Za-z-]*)"')
_OTHER_KINDS = (b"\xd0\xcf\x11\xe0", b"%PDF", b"{\\rtf", b"\x1f\x8b", b"7z\xbc\xaf", b"Rar!")
# A damaged workbook fails inside openpyxl in as many ways as there are parts of it.
DAMAGED = (
    *(
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ),
    *(ParseError, zipfile.BadZipFile, zlib.error),
)


class Row(NamedTuple):
    """One row: the line that the report names, and its cells as text without outer spaces."""

    line: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of a file. `read_so_far` says how much of it was read, from 0 to 1."""

    name: str
    kind: str
    rows: Iterator[Row]
    read_so_far: Callable[[], float]


@contextmanager
def open_sheets(path: Path) -> Iterator[Iterator[Sheet]]:
    """Open the file and yield its visible sheets; a CSV file has one, with no name.

    :raises Refused: F-500 to F-508 for a file that cannot be read, at once or while its rows are read
    """
    try:
        kind, size = path.stat().st_mode, path.stat().st_size
        # A pipe would be waited for, and it can be read only once.
        if not stat.S_ISREG(kind):
            raise Refused(refusal("F-500", file=path.name))
        source = path.open("rb")
    except OSError as reason:
        raise Refused(refusal("F-500", file=path.name)) from reason
    with source:
        if size == 0:
            raise Refused(refusal("F-501"))
        if size > LARGEST_FILE:
            raise Refused(refusal("F-503", size=-(-size // 2**20), limit=LARGEST_FILE // 2**20))
        first = source.read(8)
        source.seek(0)
        if first.startswith(_OTHER_KINDS):
            raise Refused(refusal("F-504"))
        if first.startswith(b"PK"):
            with warnings.catch_warnings():
                # What openpyxl leaves out (drawings, validation lists, print headers) is nothing that a register says.
                warnings.simplefilter("ignore", UserWarning)
                yield _sheets_of_workbook(source)
        else:
            yield iter([_sheet_of_text(source, size)])


# -- CSV


def _sheet_of_text(source: BinaryIO, size: int) -> Sheet:
    encoding = _encoding(source)
    source.seek(0)
    sample = source.read(64 * 1024).decode(encoding, "ignore")
    delimiter = "\t" if sample.count("\t") > sample.count(",") else ","
    source.seek(0)
    kind = "CSV（UTF-8）" if encoding.startswith("utf") else "CSV（シフトJIS／CP932）"
    return Sheet("", kind, _rows_of_text(source, encoding, delimiter), lambda: min(1.0, source.tell() / size))


def _encoding(source: BinaryIO) -> str:
    """Return the encoding that the whole file is in; a file that is in neither is refused, never patched up."""
    for encoding in ("utf-8-sig", "cp932"):
        source.seek(0)
        try:
            for line in source:
                if _NO_TEXT.search(line):
                    raise Refused(refusal("F-502"))
                line.decode(encoding)
        except UnicodeDecodeError:
            continue
        return encoding
    raise Refused(refusal("F-502"))


def _rows_of_text(source: BinaryIO, encoding: str, delimiter: str) -> Iterator[Row]:
    # In both encodings a line break is one byte that is part of no other character.
    lines = csv.reader((written.decode(encoding) for written in source), delimiter=delimiter, strict=True)
    line = 0
    try:
        for cells in lines:
            # A cell may hold line breaks; the report names the line where the row begins.
            yield Row(line + 1, [_one_line(cell) for cell in cells])
            line = lines.line_num
            if line > MOST_ROWS:
                raise Refused(refusal("F-508", limit=MOST_ROWS))
    except csv.Error as reason:
        raise Refused(refusal("F-507", line=line + 1)) from reason


# -- XLSX


def _sheets_of_workbook(source: BinaryIO) -> Iterator[Sheet]:
    _refuse_bombs(source)
    # Only where a workbook is read: a web process is a third larger with it.
    from openpyxl import load_workbook

    try:
        book = load_workbook(source, read_only=True, data_only=True, keep_links=False)
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    except DAMAGED as reason:
        raise Refused(refusal("F-506")) from reason
    for sheet in visible:
        yield _sheet_of_workbook(sheet)


def _refuse_bombs(source: BinaryIO) -> None:
    """Look at what the archive declares before any of it is unpacked; zipfile never unpacks more than is declared."""
    try:
        parts = zipfile.ZipFile(source).infolist()
    except DAMAGED as reason:
        raise Refused(refusal("F-506")) from reason
    if "xl/workbook.xml" not in {part.filename for part in parts}:
        raise Refused(refusal("F-504"))
    unpacked = sum(part.file_size for part in parts)
    tight = any(p.file_size > 2**20 and p.file_size > TIGHTEST_PACKING * max(p.compress_size, 1) for p in parts)
    texts = sum(part.file_size for part in parts if part.filename.lower().endswith("sharedstrings.xml"))
    if unpacked > LARGEST_UNPACKED or texts > LARGEST_TEXTS or tight or len(parts) > MOST_PARTS:
        raise Refused(refusal("F-505"))


def _sheet_of_workbook(sheet: Any) -> Sheet:
    state = {"line": 0}

    def rows() -> Iterator[Row]:
        try:
            # The width is looked up first: a cell may claim a column of any number, and a row is as wide as that.
            peeked = sheet.iter_rows(values_only=True, max_row=PEEKED_ROWS, max_col=MOST_COLUMNS)
            width = max((_width(values) for values in peeked), default=0)
            if not width:
                return
            read = sheet.iter_rows(values_only=True, max_row=MOST_ROWS + 1, max_col=width)
            for line, values in enumerate(read, start=1):
                state["line"] = line
                if line > MOST_ROWS:
                    raise Refused(refusal("F-508", limit=MOST_ROWS))
                yield Row(line, [_text(value) for value in values])
        except DAMAGED as reason:
            raise Refused(refusal("F-506")) from reason

    declared = min(sheet.max_row or MOST_ROWS, MOST_ROWS)
    return Sheet(sheet.title, "XLSX", rows(), lambda: min(1.0, state["line"] / declared))


def _width(values: tuple[Any, ...]) -> int:
    return max((place for place, value in enumerate(values, start=1) if value is not None), default=0)


# -- cells


def _text(value: Any) -> str:
    """Return what a cell shows, as far as a register needs it: a number without the .0, a day as 2025-04-01."""
    if value is None:
        return ""
    if type(value) is str:
        return _one_line(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime):
        return value.date().isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)


def _one_line(value: str) -> str:
    value = value.strip()
    if "\n" in value or "\r" in value:
        value = " ".join(part.strip() for part in value.splitlines())
    if value.startswith('="') and (kept := _FOR_SPREADSHEETS.fullmatch(value)):
        # How CSV files keep leading zeros from spreadsheets: ="000012345".
        return kept[1]
    return value
