"""What changes the register: an import as a whole, nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction

from irefuda.agencies.models import Section
from irefuda.suppliers import search
from irefuda.suppliers.models import ColumnMapping, Supplier, SupplierStatus
from irefuda.suppliers.register_files import lines
from irefuda.suppliers.register_files.columns import DAYS
from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.finding import Remembered, open_register
from irefuda.suppliers.register_files.lines import Line, Register
from irefuda.suppliers.register_files.mapping import recognise
from irefuda.suppliers.register_files.reading import Row

KINDS = ("new", "changed", "returned", "ended", "unchanged")
BATCH = 1000
# How many companies of each kind a report names; those with registered users are all named.
LISTED = 30
# From so many changed names on it pays to put the whole search in order.
SETTLED_FROM = 2000

# Which of these suppliers have registered users, and how many cards: asked of the slice above, which knows.
RegisteredAmong = Callable[[Sequence[int]], Mapping[int, int]]
# Told what is being done and how much of it is done, from 0 to 1.
Progress = Callable[[str, float], None]


class Change(NamedTuple):
    """What an import does to one supplier: `kind` is new, changed, returned or ended."""

    kind: str
    # The line of the file; 0 for a supplier that the file does not have.
    line: int
    supplier_number: str
    name: str
    # (column of the model, stored before, stored now)
    differences: tuple[tuple[str, Any, Any], ...] = ()
    cards: int = 0


@dataclass(slots=True)
class Report:
    """What an import did, or would do."""

    sheet: str
    kind: str
    mapping: dict[str, str]
    mapping_from: str
    rows: int
    padded: int
    as_above: int
    dry_run: bool
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    # The first of each kind, and every one with registered users.
    listed: dict[str, list[Change]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    registered: list[Change] = field(default_factory=list)


def import_register(
    *,
    section: Section,
    path: Path,
    now: datetime,
    registered_among: RegisteredAmong,
    progress: Progress,
    given: Mapping[str, Field] | None = None,
    sheet: str = "",
    dry_run: bool = False,
) -> Report:
    """Make the section's register what the file says, all of it or nothing, and return what that changed.

    A supplier that the file does not have is ended, never deleted. What the file has no column for stays as it is.
    With `dry_run` nothing is written, and the report says what would be.

    :raises Unclear: when somebody must say what a column is
    :raises Faulty: when a line is wrong
    :raises Refused: for a file that cannot be read
    """
    with open_register(path, sheet=sheet, given=given, remembered=_remembered(section)) as table:
        rows = _watched(table.rows, lambda: progress("ファイルを読んでいます", table.sheet.read_so_far()))
        register = lines.read(rows, table.header)
    report = Report(
        sheet=table.sheet.name,
        kind=table.sheet.kind,
        mapping=table.header.mapping,
        mapping_from=table.mapping_from,
        rows=register.rows,
        padded=register.padded,
        as_above=register.as_above,
        dry_run=dry_run,
    )
    if dry_run:
        _compare(section, register, report, registered_among, progress, write=False)
        return report
    with transaction.atomic():
        # First of all, so that two imports of one section wait for each other at this row.
        ColumnMapping.objects.update_or_create(
            section=section,
            defaults={"header": table.header.labels, "mapping": table.header.mapping, "remembered_at": now},
        )
        _compare(section, register, report, registered_among, progress, write=True)
    return report


def _remembered(section: Section) -> Remembered | None:
    kept = ColumnMapping.objects.filter(section=section).first()
    return Remembered(kept.header, recognise(kept.mapping)) if kept else None


def _watched(rows: Iterator[Row], tell: Callable[[], None]) -> Iterator[Row]:
    for place, row in enumerate(rows):
        if place % BATCH == 0:
            tell()
        yield row


# -- what changes


def _compare(
    section: Section,
    register: Register,
    report: Report,
    registered_among: RegisteredAmong,
    progress: Progress,
    *,
    write: bool,
) -> None:
    """Compare the file with the register batch by batch, and write the difference."""
    first_import = not Supplier.objects.filter(section=section).exists()
    waiting, done, searched = iter(register), 0, 0
    _end_the_missing(section, register, report, registered_among, write=write)
    while batch := list(islice(waiting, BATCH)):
        progress("名簿と比べています" if report.dry_run else "名簿に書き込んでいます", done / len(register))
        stored = {} if first_import else _stored(section, register, batch)
        changes: list[tuple[Line, Change]] = []
        for line in batch:
            change = _change(line, register.stored, stored.get(line.supplier_number))
            report.counts[change.kind] += 1
            if change.kind != "unchanged":
                changes.append((line, change))
        touched = {stored[line.supplier_number].id: change for line, change in changes if change.kind != "new"}
        _list(report, [change for _, change in changes], touched, registered_among)
        if write:
            searched += _write(section, register.stored, changes, stored, fresh=first_import)
        done += len(batch)
    if write and searched >= SETTLED_FROM:
        progress("検索の用意をしています", 0.99)
        search.settle()
    progress("", 1.0)


class _Stored(NamedTuple):
    id: int
    name: str
    name_kana: str
    status: str
    values: tuple[Any, ...]


def _stored(section: Section, register: Register, batch: Sequence[Line]) -> dict[str, _Stored]:
    found = Supplier.objects.filter(section=section, supplier_number__in=[line.supplier_number for line in batch])
    rows = found.values_list("supplier_number", "id", "name", "name_kana", "status", *register.stored)
    return {
        number: _Stored(key, name, kana, status, tuple(_plain(value) for value in values))
        for number, key, name, kana, status, *values in rows.iterator()
    }


def _plain(value: Any) -> Any:
    """Return a stored value as `lines` has it: a day as text, "" for none."""
    if value is None:
        return ""
    return value.isoformat() if isinstance(value, date) else value


def _change(line: Line, columns: Sequence[str], stored: _Stored | None) -> Change:
    name = line.values[columns.index("name")]
    if stored is None:
        return Change("new", line.line, line.supplier_number, name)
    differences = () if line.values == stored.values else _differences(line, columns, stored)
    kind = "changed" if differences else "unchanged"
    if stored.status == SupplierStatus.ENDED and _status(line, columns, stored) != SupplierStatus.ENDED:
        kind = "returned"
    return Change(kind, line.line, line.supplier_number, name, differences)


def _differences(line: Line, columns: Sequence[str], stored: _Stored) -> tuple[tuple[str, Any, Any], ...]:
    pairs = zip(columns, stored.values, line.values, strict=True)
    return tuple((column, before, now) for column, before, now in pairs if before != now)


def _status(line: Line, columns: Sequence[str], stored: _Stored | None) -> str:
    """Return what the supplier's status becomes. A file without that column says only who is on the register."""
    if "status" in columns:
        return str(line.values[columns.index("status")])
    if stored is None or stored.status == SupplierStatus.ENDED:
        return SupplierStatus.ACTIVE
    return stored.status


def _list(
    report: Report, changes: Sequence[Change], touched: Mapping[int, Change], registered_among: RegisteredAmong
) -> None:
    for change in changes:
        if len(report.listed[change.kind]) < LISTED:
            report.listed[change.kind].append(change)
    if touched:
        cards = registered_among(list(touched))
        report.registered += [touched[key]._replace(cards=cards[key]) for key in touched if cards.get(key)]


# -- writing


def _end_the_missing(
    section: Section, register: Register, report: Report, registered_among: RegisteredAmong, *, write: bool
) -> None:
    listed = Supplier.objects.filter(section=section).exclude(status=SupplierStatus.ENDED)
    rows = listed.order_by("supplier_number").values_list("id", "supplier_number", "name")
    missing = [row for row in rows.iterator() if row[1] not in register]
    for start in range(0, len(missing), BATCH):
        some = {key: Change("ended", 0, number, name) for key, number, name in missing[start : start + BATCH]}
        report.counts["ended"] += len(some)
        _list(report, list(some.values()), some, registered_among)
        if write:
            Supplier.objects.filter(id__in=list(some)).update(status=SupplierStatus.ENDED)
            search.remove(list(some))


def _write(
    section: Section,
    columns: Sequence[str],
    changes: Sequence[tuple[Line, Change]],
    stored: Mapping[str, _Stored],
    *,
    fresh: bool,
) -> int:
    """Write what is new or different and return how many suppliers' search terms that changed."""
    rows = []
    for line, _ in changes:
        values = {
            column: (value or None) if column in DAYS else value
            for column, value in zip(columns, line.values, strict=True)
        }
        values["status"] = _status(line, columns, stored.get(line.supplier_number))
        rows.append(Supplier(section=section, supplier_number=line.supplier_number, **values))
    if not rows:
        return 0
    written = Supplier.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["section", "supplier_number"],
        update_fields=sorted({*columns, "status"}),
    )
    gone, entries = [], []
    for supplier in written:
        before = stored.get(supplier.supplier_number)
        kana = supplier.name_kana if "name_kana" in columns or before is None else before.name_kana
        if supplier.status == SupplierStatus.ENDED:
            if before is not None:
                gone.append(before.id)
        elif before is None or (before.status == SupplierStatus.ENDED) or (before.name, before.name_kana) != (supplier.name, kana):  # fmt: skip
            entries.append(search.Entry(supplier.pk, section.id, supplier.name, kana))
    search.remove(gone)
    search.write(entries, fresh=fresh)
    return len(entries)


@transaction.atomic
def reindex(*, section: Section) -> None:
    """Write the search terms of a whole register anew."""
    rows = Supplier.objects.filter(section=section)
    search.remove(list(rows.filter(status=SupplierStatus.ENDED).values_list("id", flat=True)))
    listed = rows.exclude(status=SupplierStatus.ENDED).values_list("id", "section_id", "name", "name_kana")
    search.write(search.Entry(*row) for row in listed.iterator())
    search.settle()
