"""What changes the register: an import as a whole, and one entry by a member of staff."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import F

from irefuda.agencies.models import Section
from irefuda.suppliers import search
from irefuda.suppliers.models import ColumnMapping, RegisterMark, RegisterState, Supplier, SupplierStatus
from irefuda.suppliers.register_files import lines
from irefuda.suppliers.register_files.columns import DAYS, DELEGATE_NAMES
from irefuda.suppliers.register_files.fields import Field
from irefuda.suppliers.register_files.finding import Remembered, open_register
from irefuda.suppliers.register_files.lines import Line, Register
from irefuda.suppliers.register_files.mapping import recognise
from irefuda.suppliers.register_files.reading import Row
from irefuda_core.refusal import Refused, refusal

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


# Told of every change in the order of the difference, with the supplier's id; None for a company that is new.
Told = Callable[[Change, int | None], None]


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
    # How many companies the register had.
    listed_before: int = 0
    # The first of each kind, and every one with registered users.
    listed: dict[str, list[Change]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    registered: list[Change] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """What was read of a file, before it is compared with anything."""

    section: Section
    labels: list[str]
    mapping: dict[str, str]
    mapping_from: str
    sheet: str
    kind: str
    register: Register


def read_file(
    *, section: Section, path: Path, given: Mapping[str, Field] | None, sheet: str, progress: Progress
) -> ReadFile:
    """Return what the file says; no row of the database is locked meanwhile.

    :raises Unclear: when somebody must say what a column is
    :raises Faulty: when a line is wrong
    :raises Refused: for a file that cannot be read
    """
    with open_register(path, sheet=sheet, given=given, remembered=_remembered(section)) as table:
        rows = _watched(table.rows, lambda: progress("ファイルを読んでいます", table.sheet.read_so_far()))
        try:
            register = lines.read(rows, table.header)
        except lines.Faulty as faulty:
            faulty.mapping = table.header.mapping
            raise
    return ReadFile(
        section=section,
        labels=table.header.labels,
        mapping=table.header.mapping,
        mapping_from=table.mapping_from,
        sheet=table.sheet.name,
        kind=table.sheet.kind,
        register=register,
    )


def compare(
    read: ReadFile, *, registered_among: RegisteredAmong, progress: Progress, told: Told | None = None
) -> Report:
    """Return what taking the file would change; nothing is written."""
    report = _report_of(read, dry_run=True)
    _compare(read.section, read.register, report, registered_among, progress, write=False, told=told)
    return report


def take(
    read: ReadFile, *, now: datetime, registered_among: RegisteredAmong, progress: Progress, told: Told | None = None
) -> Report:
    """Make the register what the file says, in the caller's transaction, and return what that changed.

    A supplier that the file does not have is ended, never deleted. What the file has no column for stays as it is.
    """
    report = _report_of(read, dry_run=False)
    # First of all, so that whatever changes this register at the same moment waits here.
    hold(read.section)
    ColumnMapping.objects.update_or_create(
        section=read.section,
        defaults={"header": read.labels, "mapping": read.mapping, "remembered_at": now},
    )
    _compare(read.section, read.register, report, registered_among, progress, write=True, told=told)
    return report


def hold(section: Section) -> None:
    """Keep the section's register to the caller's transaction: every other change of it waits for its end."""
    mine = RegisterState.objects.filter(section=section)
    if not mine.update(revision=F("revision") + 1):
        RegisterState.objects.bulk_create([RegisterState(section=section)], ignore_conflicts=True)
        mine.update(revision=F("revision") + 1)


def _report_of(read: ReadFile, *, dry_run: bool) -> Report:
    return Report(
        sheet=read.sheet,
        kind=read.kind,
        mapping=read.mapping,
        mapping_from=read.mapping_from,
        rows=read.register.rows,
        padded=read.register.padded,
        as_above=read.register.as_above,
        dry_run=dry_run,
    )


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
    told: Told | None = None,
) -> None:
    """Compare the file with the register batch by batch, and write the difference."""
    first_import = not Supplier.objects.filter(section=section).exists()
    waiting, done, searched = iter(register), 0, 0
    _end_the_missing(section, register, report, registered_among, write=write, told=told)
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
        cards = _list(report, [change for _, change in changes], touched, registered_among)
        if told is not None:
            for line, change in changes:
                before = stored.get(line.supplier_number)
                told(change._replace(cards=cards.get(before.id, 0) if before else 0), before.id if before else None)
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
) -> Mapping[int, int]:
    """Put these changes into the report, and return how many cards the touched companies have."""
    for change in changes:
        if len(report.listed[change.kind]) < LISTED:
            report.listed[change.kind].append(change)
    cards = registered_among(list(touched)) if touched else {}
    report.registered += [touched[key]._replace(cards=cards[key]) for key in touched if cards.get(key)]
    return cards


# -- writing


def _end_the_missing(
    section: Section,
    register: Register,
    report: Report,
    registered_among: RegisteredAmong,
    *,
    write: bool,
    told: Told | None,
) -> None:
    listed = Supplier.objects.filter(section=section).exclude(status=SupplierStatus.ENDED)
    rows = listed.order_by("supplier_number").values_list("id", "supplier_number", "name", "name_kana")
    missing = []
    for row in rows.iterator():
        report.listed_before += 1
        if row[1] not in register:
            missing.append(row)
    for start in range(0, len(missing), BATCH):
        batch = missing[start : start + BATCH]
        some = {key: Change("ended", 0, number, name) for key, number, name, _ in batch}
        report.counts["ended"] += len(some)
        cards = _list(report, list(some.values()), some, registered_among)
        if told is not None:
            for key, change in some.items():
                told(change._replace(cards=cards.get(key, 0)), key)
        if write:
            Supplier.objects.filter(id__in=list(some)).update(status=SupplierStatus.ENDED)
            search.write(search.Entry(key, section.id, name, kana, ended=True) for key, _, name, kana in batch)


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
    entries = []
    for supplier in written:
        before = stored.get(supplier.supplier_number)
        kana = supplier.name_kana if "name_kana" in columns or before is None else before.name_kana
        ended = supplier.status == SupplierStatus.ENDED
        searched = (supplier.name, kana, ended)
        if before is None or (before.name, before.name_kana, before.status == SupplierStatus.ENDED) != searched:
            entries.append(search.Entry(supplier.pk, section.id, supplier.name, kana, ended))
    search.write(entries, fresh=fresh)
    return len(entries)


# -- one entry


def add_entry(*, section: Section, supplier_number: str, values: Mapping[str, Any]) -> Supplier:
    """Put one company into the register, in the caller's transaction that holds it.

    :raises Refused: S-933 when the number is in the register already, ended or not
    """
    if Supplier.objects.filter(section=section, supplier_number=supplier_number).exists():
        raise Refused(refusal("S-933", number=supplier_number))
    supplier = Supplier.objects.create(section=section, supplier_number=supplier_number, **_stored_as(values))
    search.write([_entry_of(supplier)], fresh=True)
    return supplier


def write_entry(*, supplier: Supplier, values: Mapping[str, Any]) -> Change:
    """Change columns of one company, in the caller's transaction that holds the register, and return the change."""
    change = change_of(supplier, values)
    for column, value in _stored_as(values).items():
        setattr(supplier, column, value)
    supplier.save(update_fields=list(values))
    search.write([_entry_of(supplier)])
    return change


def write_login(*, supplier: Supplier, login_id: str, password: str) -> None:
    """Give one company the ユーザID of 資格審査情報検索 and the hash of its password; nothing else of it changes."""
    supplier.login_id, supplier.login_password = login_id, password
    supplier.save(update_fields=["login_id", "login_password"])


def change_of(supplier: Supplier, values: Mapping[str, Any]) -> Change:
    """Return what these values do to a company, as an import would name it."""
    differences = tuple(differences_of(supplier, values))
    standing = {column: (before, now) for column, before, now in differences}.get("status", ("", ""))
    kind = "ended" if standing[1] == SupplierStatus.ENDED else "changed"
    if standing[0] == SupplierStatus.ENDED:
        kind = "returned"
    return Change(kind, 0, supplier.supplier_number, supplier.name, differences)


def differences_of(supplier: Supplier, values: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return which columns of this company these values change: (column, before, now)."""
    pairs = [(column, _plain(getattr(supplier, column)), _plain(value)) for column, value in values.items()]
    return [(column, before, now) for column, before, now in pairs if before != now]


def value_shown(column: str, value: Any) -> str:
    """Return a stored value of a column in words."""
    if value in (None, ""):
        return ""
    if column == "status":
        return SupplierStatus(value).label
    if column == "trades":
        return "、".join(" ".join(filter(None, trade.values())) for trade in value)
    if column == "delegate":
        return "、".join(f"{name} {value[key]}" for key, name in DELEGATE_NAMES.items() if value.get(key))
    if isinstance(value, dict):
        return "、".join(" ".join(filter(None, pair)) for pair in value.items())
    if column in DAYS:
        day = value if isinstance(value, date) else date.fromisoformat(value)
        return f"{day.year}年{day.month}月{day.day}日"
    return str(value)


def mark(*, told: Mapping[int, Sequence[str]], act: uuid.UUID, now: datetime) -> None:
    """Mark companies, by their ids, for staff to look at, in the caller's transaction that holds the register."""
    open_ones = RegisterMark.objects.filter(supplier_id__in=list(told), settled_at=None)
    for kept in open_ones:
        kept.told = [*dict.fromkeys([*kept.told, *told[kept.supplier_id]])]
        kept.act, kept.marked_at = act, now
        kept.save(update_fields=["told", "act", "marked_at"])
    marked = set(open_ones.values_list("supplier_id", flat=True))
    RegisterMark.objects.bulk_create(
        RegisterMark(supplier_id=key, told=list(kinds), act=act, marked_at=now)
        for key, kinds in told.items()
        if key not in marked
    )


def settle_mark(*, supplier: Supplier, now: datetime) -> bool:
    """Write down that staff have looked at a company that was touched; return whether there was something to look at."""
    return bool(RegisterMark.objects.filter(supplier=supplier, settled_at=None).update(settled_at=now))


def _stored_as(values: Mapping[str, Any]) -> dict[str, Any]:
    return {column: (value or None) if column in DAYS else value for column, value in values.items()}


def _entry_of(supplier: Supplier) -> search.Entry:
    ended = supplier.status == SupplierStatus.ENDED
    return search.Entry(supplier.pk, supplier.section_id, supplier.name, supplier.name_kana, ended)


@transaction.atomic
def reindex(*, section: Section) -> None:
    """Write the search terms of a whole register anew."""
    rows = Supplier.objects.filter(section=section).values_list("id", "section_id", "name", "name_kana", "status")
    search.write(
        search.Entry(key, section_id, name, kana, status == SupplierStatus.ENDED)
        for key, section_id, name, kana, status in rows.iterator()
    )
    search.settle()
