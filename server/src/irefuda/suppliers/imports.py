"""A register's file: brought through the page, kept for its last word and shown as a difference; then a report.

The file waits in pieces in the database (ADR 24), so that any web process can go on with it and a restart loses nothing.
One that the command takes does not wait, and is a report at once.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from django.db import IntegrityError, transaction

from irefuda.agencies.models import Section
from irefuda.suppliers import operations
from irefuda.suppliers.models import ImportFilePart, ImportPage, ImportState, RegisterImport
from irefuda.suppliers.operations import KINDS, Change, RegisteredAmong, Report
from irefuda.suppliers.register_files.fields import UNKNOWN, Field
from irefuda.suppliers.register_files.header import Header, Unclear
from irefuda.suppliers.register_files.lines import Faulty
from irefuda.suppliers.register_files.mapping import recognise
from irefuda_core.refusal import Refusal, Refused, refusal

WAITS = timedelta(hours=24)
PART = 512 * 1024
PAGE = 50
SHOWN_PROBLEMS = 200
# From this share of the register on, ending or changing so many is confirmed by typing the number.
ALARMING = 0.1
TOUCHED = "touched"
# What a change makes the company be told, as kinds of notices; () for nothing.
ToldOf = Callable[[Change], Sequence[str]]


@dataclass(frozen=True, slots=True)
class Asking:
    """What the slice above knows of companies: which have registered users, and what a change makes them be told."""

    registered_among: RegisteredAmong
    told_of: ToldOf


class Difference:
    """The changes of an import as they come, in pages of fifty of each kind, and the digest of all of them."""

    def __init__(self, told_of: ToldOf) -> None:
        self.told_of = told_of
        self.touched: list[tuple[int, Sequence[str]]] = []
        self.counts = {TOUCHED: 0}
        self._digest = hashlib.sha256()
        # Full pages as text: a first import has a change for every line.
        self._pages: list[tuple[str, int, str]] = []
        self._begun: dict[str, list[dict[str, Any]]] = {}
        self._numbers: dict[str, int] = {}

    def take(self, change: Change, supplier_id: int | None) -> None:
        """Take the next change."""
        told = self.told_of(change) if change.cards else ()
        written = [change.kind, change.line, change.supplier_number, change.name, change.differences]
        self._digest.update(json.dumps(written, ensure_ascii=False).encode())
        shown = {**change._asdict(), "told": list(told)}
        self._put(change.kind, shown)
        if change.cards and supplier_id is not None:
            self._put(TOUCHED, shown)
            self.counts[TOUCHED] += 1
            if told:
                self.touched.append((supplier_id, told))

    @property
    def digest(self) -> str:
        """Return what stands for this difference."""
        return self._digest.hexdigest()

    def pages(self, owner: RegisterImport) -> Iterator[ImportPage]:
        """Yield every page, the last and half-empty ones too."""
        for kind in list(self._begun):
            self._turn(kind)
        for kind, number, changes in self._pages:
            yield ImportPage(owner=owner, kind=kind, number=number, changes=json.loads(changes))

    def _put(self, kind: str, shown: dict[str, Any]) -> None:
        begun = self._begun.setdefault(kind, [])
        begun.append(shown)
        if len(begun) == PAGE:
            self._turn(kind)

    def _turn(self, kind: str) -> None:
        if begun := self._begun.pop(kind, []):
            self._numbers[kind] = number = self._numbers.get(kind, 0) + 1
            self._pages.append((kind, number, json.dumps(begun, ensure_ascii=False)))


def bring(
    *,
    section: Section,
    import_id: uuid.UUID,
    path: Path,
    file_name: str,
    sheet: str,
    by: str,
    asking: Asking,
    now: datetime,
) -> RegisterImport:
    """Keep a file and what taking it would change; the same page sent twice keeps it once.

    A file with wrong lines or unknown columns is kept with the questions. Nothing of the register is changed.

    :raises Refused: F-500 to F-515 for a file that cannot be read; it is not kept
    """
    if kept := RegisterImport.objects.filter(id=import_id, section=section).first():
        return kept
    brought = RegisterImport(
        id=import_id,
        section=section,
        state=ImportState.ASKED,
        file_name=_name(file_name),
        sheet=sheet,
        brought_by=by,
        brought_at=now,
        expires_at=now + WAITS,
    )
    difference = _look(brought, path, {}, asking)
    brought.size, brought.sha256 = path.stat().st_size, _sha256(path)
    try:
        with transaction.atomic():
            purge(now=now)
            brought.save(force_insert=True)
            _keep_file(brought, path)
            _keep_pages(brought, difference)
    except IntegrityError:
        # The same page, sent twice at the same moment.
        return RegisterImport.objects.get(id=import_id, section=section)
    return brought


def answer_columns(*, brought: RegisterImport, given: Mapping[str, str], asking: Asking) -> None:
    """Look at a waiting file again with what a person says its columns are.

    :raises Refused: F-513 for a word that is no field, F-5xx when it cannot be a register so, S-932 when it waits no more
    """
    brought.given = dict(given)
    look_again(brought=brought, asking=asking)


def look_again(*, brought: RegisterImport, asking: Asking) -> None:
    """Compare a waiting file with the register as it is now.

    :raises Refused: as `answer_columns`
    """
    with file_of(brought) as path:
        difference = _look(brought, path, brought.given, asking)
    with transaction.atomic():
        seen = [
            "state",
            "given",
            "columns",
            "problems",
            "problem_count",
            "facts",
            "counts",
            "listed_before",
            "difference",
        ]
        values = {name: getattr(brought, name) for name in seen}
        # Not one that was taken or given up meanwhile.
        waiting = RegisterImport.objects.filter(id=brought.id).exclude(state=ImportState.DONE)
        if not waiting.update(**values):
            raise Refused(refusal("S-932"))
        ImportPage.objects.filter(owner=brought).delete()
        _keep_pages(brought, difference)


@contextmanager
def file_of(brought: RegisterImport) -> Iterator[Path]:
    """Yield the waiting file on the disk, for as long as it is looked at.

    :raises Refused: S-932 when it waits no more
    """
    with tempfile.NamedTemporaryFile(prefix="register-") as written:
        hashed, size = hashlib.sha256(), 0
        numbers = list(brought.parts.order_by("number").values_list("number", flat=True))
        for number in numbers:
            # One by one: a database's driver would read all of them at once.
            part = bytes(ImportFilePart.objects.values_list("content", flat=True).get(owner=brought, number=number))
            hashed.update(part)
            size += len(part)
            written.write(part)
        written.flush()
        if not size or hashed.hexdigest() != brought.sha256:
            raise Refused(refusal("S-932"))
        yield Path(written.name)


def read(brought: RegisterImport) -> operations.ReadFile:
    """Return what a waiting file says, read once more.

    :raises Refused: S-932, or what the file is refused for
    """
    with file_of(brought) as path:
        return operations.read_file(
            section=brought.section,
            path=path,
            given=recognise(brought.given) if brought.given else None,
            sheet=brought.sheet,
            progress=_silently,
        )


def finish(*, brought: RegisterImport, act: uuid.UUID, by: str, reason: str, now: datetime) -> None:
    """Make a waiting file a report, in the caller's transaction: the file itself goes.

    :raises Refused: S-932 when it was taken or given up meanwhile
    """
    waiting = RegisterImport.objects.filter(id=brought.id, state=ImportState.SHOWN, difference=brought.difference)
    # This one UPDATE decides between two that take the same file.
    done = {"state": ImportState.DONE, "act": act, "done_by": by, "reason": reason, "done_at": now}
    if not waiting.update(**done):
        raise Refused(refusal("S-932"))
    ImportFilePart.objects.filter(owner=brought).delete()


def at_once(
    *,
    read: operations.ReadFile,
    path: Path,
    given: Mapping[str, Field] | None,
    act: uuid.UUID,
    by: str,
    reason: str,
    now: datetime,
) -> RegisterImport:
    """Return what is to be kept of a file that is taken without waiting."""
    return RegisterImport(
        id=act,
        section=read.section,
        file_name=_name(path.name),
        size=path.stat().st_size,
        sha256=_sha256(path),
        sheet=read.sheet[:100],
        given={label: field.value for label, field in (given or {}).items()},
        brought_by=by,
        brought_at=now,
        expires_at=now,
        act=act,
        done_by=by,
        reason=reason,
        done_at=now,
    )


def keep_report(*, taken: RegisterImport, report: Report, difference: Difference) -> None:
    """Keep what a file that did not wait has changed, in the caller's transaction."""
    _shown(taken, report, difference)
    taken.state = ImportState.DONE
    taken.save(force_insert=True)
    _keep_pages(taken, difference)


@transaction.atomic
def give_up(*, brought: RegisterImport) -> None:
    """Delete a waiting file; one that was taken stays a report."""
    waiting = RegisterImport.objects.filter(id=brought.id).exclude(state=ImportState.DONE)
    waiting.delete()


def purge(*, now: datetime) -> int:
    """Delete the files whose day is over, with all that was read of them, and return how many."""
    over = RegisterImport.objects.exclude(state=ImportState.DONE).filter(expires_at__lte=now)
    gone = list(over.values_list("id", flat=True))
    RegisterImport.objects.filter(id__in=gone).exclude(state=ImportState.DONE).delete()
    return len(gone)


def alarming(seen: RegisterImport | Report) -> int:
    """Return how many companies would end or change when that is more than a tenth of the register; 0 otherwise."""
    touched = int(seen.counts["ended"]) + int(seen.counts["changed"])
    return touched if touched > ALARMING * seen.listed_before else 0


def _look(brought: RegisterImport, path: Path, given: Mapping[str, str], asking: Asking) -> Difference:
    """Read the file and write down what is to be asked or shown."""
    difference = Difference(asking.told_of)
    answers = recognise(given) if given else None
    brought.problems, brought.problem_count, brought.counts, brought.difference = [], 0, {}, ""
    try:
        read = operations.read_file(
            section=brought.section, path=path, given=answers, sheet=brought.sheet, progress=_silently
        )
    except Unclear as question:
        _asked(brought, question.header, question.refusals)
        return difference
    except Faulty as faulty:
        brought.state = ImportState.ASKED
        brought.problems = [[p.line, *_words(p.reason)] for p in faulty.problems[:SHOWN_PROBLEMS]]
        brought.problem_count = faulty.count
        brought.columns = [[label, str(word)] for label, word in faulty.mapping.items()]
        return difference
    report = operations.compare(
        read, registered_among=asking.registered_among, progress=_silently, told=difference.take
    )
    _shown(brought, report, difference)
    return difference


def _asked(brought: RegisterImport, header: Header, reasons: Iterable[Refusal]) -> None:
    brought.state = ImportState.ASKED
    brought.columns = [[label, str(word)] for label, word in header.mapping.items()]
    brought.problems = [[0, *_words(reason)] for reason in reasons]
    brought.problem_count = len(brought.problems)


def _shown(brought: RegisterImport, report: Report, difference: Difference) -> None:
    brought.state = ImportState.SHOWN
    brought.columns = [[label, str(word)] for label, word in report.mapping.items()]
    brought.facts = {
        "kind": report.kind,
        "sheet": report.sheet,
        "rows": report.rows,
        "padded": report.padded,
        "as_above": report.as_above,
        "mapping_from": report.mapping_from,
    }
    brought.counts = {kind: report.counts[kind] for kind in KINDS} | difference.counts
    brought.counts["told"] = len(difference.touched)
    brought.listed_before = report.listed_before
    brought.difference = difference.digest


def _words(reason: Refusal) -> list[str]:
    return [reason.code, reason.sentence, reason.remedy]


def _name(file_name: str) -> str:
    """Return nothing but a name: a browser may send a path, and no control character is one of a name."""
    return "".join(c for c in file_name if c.isprintable())[-200:] or "名称なし"


def _keep_file(brought: RegisterImport, path: Path) -> None:
    with path.open("rb") as source:
        for number, content in enumerate(iter(lambda: source.read(PART), b"")):
            ImportFilePart.objects.create(owner=brought, number=number, content=content)


def _keep_pages(brought: RegisterImport, difference: Difference) -> None:
    waiting = difference.pages(brought)
    # In batches of our own: bulk_create would first hold every page as objects.
    while pages := list(islice(waiting, 100)):
        ImportPage.objects.bulk_create(pages)


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def _silently(doing: str, share: float) -> None:
    """A page has no bar: the browser shows that it waits."""


def fields() -> list[str]:
    """Return the words that a column can be, and the mark of one that nobody knows."""
    return [UNKNOWN, *(field.value for field in Field)]
