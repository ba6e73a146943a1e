"""The whole ledger computed again from its documents: every row that is not what it must be is named.

Nothing that the database says of itself is believed but what the head key has signed. The walk goes once through the
places, a page at a time, and keeps one hash for each level of the tree: memory stays flat however long the log is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Exists, OuterRef, Q

from irefuda.ledger import keys, locks
from irefuda.ledger.models import Checkpoint, Entry, Leaf, Node, Pending
from irefuda_core import chain, merkle, note, receipt, succession
from irefuda_core.canonical import NotCanonical, parse_canonical

PAGE = 200
# The deeds that stand in a head of their own, which carries their line.
HANDOVERS = ("ledger.head_key_rotated", "ledger.receipt_key_rotated", "ledger.succeeded")


@dataclass(frozen=True, slots=True)
class Finding:
    """One row that is not what it must be, and what differs."""

    table: str
    row: str
    differs: str

    def __str__(self) -> str:
        return f"{self.table} {self.row}：{self.differs}"


def findings(now: datetime) -> Iterator[Finding]:
    """Yield every row of the ledger that differs from what documents and signatures say."""
    for table in locks.missing_guards():
        yield Finding(table, "（表）", "書き換えを禁じる仕組み（トリガー）が外れています。")
    verifiers = keys.verifiers()
    size = _signed_size(verifiers)
    yield from _Walk(verifiers, size).findings()
    yield from _beyond(size)
    yield from _without_place()
    yield from _waiting(now)


def sizes() -> str:
    """Return in a few words how much there is to compute again."""
    return (
        f"記録 {Entry.objects.count()} 件、署名された先頭 {Checkpoint.objects.count()} 件、"
        f"順番待ち {Pending.objects.count()} 件"
    )


def as_bytes(value: Any) -> bytes:
    """Return what a binary column holds; SQLite gives text back where somebody has written text into it."""
    return value.encode() if isinstance(value, str) else bytes(value)


def _content(entry: Entry) -> bytes | None:
    """Return the hash that document and salt give, or None for a salt that cannot be one."""
    try:
        return receipt.entry_hash(salt=as_bytes(entry.salt), document=as_bytes(entry.document))
    except ValueError:
        return None


def _column(entry: Entry) -> bytes | None:
    """Return the hash that stands in the entry's own column, or None when it is none."""
    try:
        return bytes.fromhex(entry.entry_hash)
    except ValueError:
        return None


def _signed_size(verifiers: Sequence[note.VerifierKey]) -> int:
    """Return how many places the newest head vouches for whose signature is good."""
    for row in Checkpoint.objects.order_by("-size").iterator(chunk_size=PAGE):
        try:
            return note.verify_checkpoint(row.note, verifiers).size
        except note.NoteFailure:
            continue
    return 0


@dataclass(slots=True)
class _Walk:
    """One pass over the places 0 … size-1, with tree and chain computed beside it."""

    verifiers: Sequence[note.VerifierKey]
    size: int
    # The completed subtrees of what was passed, left to right; None where it cannot be known.
    peaks: list[bytes | None] = field(default_factory=list)
    # What the last row's link may be: as stored, then as computed. Empty after a row that is not there.
    links: list[bytes] = field(default_factory=lambda: [chain.START])
    # A row whose link does not fit: whether the link or the rest was changed, only the next row or head can tell.
    suspect: Leaf | None = None
    # Whose signature the next head must bear; None where the head before cannot tell.
    key: note.VerifierKey | None = None
    log: str = field(default_factory=lambda: keys.logs()[0])
    # The line that the next head must carry because of its last entry, and which entry that is.
    owed: tuple[str, Entry] | None = None

    def findings(self) -> Iterator[Finding]:
        heads = Checkpoint.objects.order_by("size").iterator(chunk_size=PAGE)
        head = next(heads, None)
        for start in range(0, self.size + 1, PAGE):
            end = min(start + PAGE, self.size)
            leaves = {leaf.seq: leaf for leaf in Leaf.objects.filter(seq__gte=start, seq__lt=end)}
            entries = Entry.objects.in_bulk([leaf.entry_id for leaf in leaves.values()])
            nodes = _nodes_completed(start, end)
            for seq in range(start, end + 1):
                while head is not None and head.size <= seq:
                    yield from self._head(head, seq)
                    head = next(heads, None)
                if seq < end:
                    leaf = leaves.get(seq)
                    entry = entries.get(leaf.entry_id) if leaf else None
                    yield from self._place(seq, leaf, entry, nodes)
        if self.suspect:
            yield _ambiguous(self.suspect)
        while head is not None:
            yield Finding(
                "ledger_checkpoint", str(head.size), f"台帳には、署名された記録が {self.size} 件しかありません。"
            )
            head = next(heads, None)

    def _place(
        self, seq: int, leaf: Leaf | None, entry: Entry | None, nodes: dict[tuple[int, int], bytes]
    ) -> Iterator[Finding]:
        stored = nodes.get((0, seq))
        truth = stored
        if self.owed:
            yield _not_handed_over(self.owed[1])
        self.owed = None
        if entry is not None and entry.kind in HANDOVERS:
            self.owed = (_line_of(entry), entry)
        if leaf is None:
            yield Finding("ledger_leaf", str(seq), "この順番の行がありません。")
            yield from self._break_chain()
        elif entry is None:
            yield Finding("ledger_entry", str(leaf.entry_id), f"記録がありません（順番 {seq}）。")
            yield from self._break_chain(as_bytes(leaf.link))
        else:
            content, column = _content(entry), _column(entry)
            of_content, of_column = _leaf_hash(content), _leaf_hash(column)
            # The tree knows which of the two stood there when it was signed.
            told = content if content and stored == of_content else column
            fits, resolved = self._chain(leaf, entry, told)
            yield from resolved
            if content != column:
                yield Finding("ledger_entry", str(entry.id), _what_differs(stored, of_content, of_column))
                truth = stored
            elif stored is None:
                truth = of_column
            elif stored != of_column and fits:
                yield Finding("ledger_node", f"0/{seq}", f"記録 {entry.id} の指紋（ハッシュ値）と違います。")
                truth = of_column
            elif stored != of_column:
                # The suspicion of the chain is the same fact: it is told once, at the place.
                self.suspect, self.links = None, [as_bytes(leaf.link)]
                yield Finding(
                    "ledger_leaf",
                    str(seq),
                    f"この順番にあった記録ではありません（いまは {entry.id}）。入れ替えられたか、文書ごと書き換えられました。",
                )
        if stored is None:
            yield Finding("ledger_node", f"0/{seq}", "木の行がありません。")
        yield from self._complete(seq, truth, nodes)

    def _chain(self, leaf: Leaf, entry: Entry, content: bytes | None) -> tuple[bool, list[Finding]]:
        """Return whether the row's link fits, and what this says of the row before."""
        stored = as_bytes(leaf.link)
        if not self.links:
            self.links = [stored]
            return True, []
        computed = []
        if content is not None and entry.recorded_at is not None:
            computed = [
                chain.next_link(
                    link, entry_id=str(entry.id), kind=entry.kind, recorded_at=entry.recorded_at, entry_hash=content
                )
                for link in self.links
            ]
        told: list[Finding] = []
        if stored in computed:
            if self.suspect:
                told = [_row_changed(self.suspect) if stored == computed[0] else _link_changed(self.suspect)]
            self.suspect, self.links = None, [stored]
            return True, told
        if self.suspect:
            told = [_ambiguous(self.suspect)]
        self.suspect, self.links = leaf, [stored, *computed[:1]]
        return False, told

    def _break_chain(self, *known: bytes) -> Iterator[Finding]:
        if self.suspect:
            yield _ambiguous(self.suspect)
        self.suspect, self.links = None, list(known)

    def _complete(self, seq: int, truth: bytes | None, nodes: dict[tuple[int, int], bytes]) -> Iterator[Finding]:
        """Compare every subtree that this leaf completes with its stored hash."""
        level, position, current = 0, seq, truth
        while position & 1:
            left = self.peaks.pop()
            level, position = level + 1, position >> 1
            stored = nodes.get((level, position))
            current = merkle.node_hash(left, current) if left and current else stored
            if stored is None:
                yield Finding("ledger_node", f"{level}/{position}", "木の行がありません。")
            elif stored != current:
                yield Finding("ledger_node", f"{level}/{position}", "下の二つの値から計算した値と違います。")
        self.peaks.append(current)

    def _root(self) -> bytes | None:
        if not self.peaks:
            return merkle.EMPTY_ROOT
        current = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            current = merkle.node_hash(peak, current) if peak and current else None
        return current

    def _head(self, row: Checkpoint, seq: int) -> Iterator[Finding]:
        """Judge the signed head that stands at this size."""
        try:
            head = note.verify_checkpoint(row.note, self.verifiers)
            named = succession.named_head_key(head)
            ended = succession.succeeded(head)
        except note.NoteFailure as failure:
            self.key = None
            yield Finding("ledger_checkpoint", str(row.size), f"{failure.refusal.sentence}（{failure.code}）")
            return
        yield from self._handed_over(row, head, ended)
        signers = [key for key in self.verifiers if key.name == head.origin and succession.may_follow(row.note, key)]
        self.key = named or next(iter(signers), None)
        seals = [chain.seal_line(link, row.signed_at) for link in self.links]
        if self.suspect and any(seal in head.extensions for seal in seals):
            yield _row_changed(self.suspect) if seals[0] in head.extensions else _link_changed(self.suspect)
            self.suspect = None
        if head.origin != self.log:
            yield Finding("ledger_checkpoint", str(row.size), f"別の台帳の署名です（{head.origin}）。")
        elif not head.size == row.size == seq:
            yield Finding("ledger_checkpoint", str(row.size), f"別の件数への署名です（{head.size} 件）。")
        elif self._root() not in (None, head.root):
            yield Finding(
                "ledger_checkpoint", str(row.size), "署名された根が、ここまでの記録から計算した根と違います。"
            )
        elif self.links and not any(seal in head.extensions for seal in seals):
            yield Finding(
                "ledger_checkpoint",
                str(row.size),
                "署名の日時か、ここまでの記録の種別・受付日時・番号が、署名と違います。",
            )

    def _handed_over(self, row: Checkpoint, head: note.Checkpoint, ended: succession.Ended | None) -> Iterator[Finding]:
        """Judge who signed this head, and whether it hands over exactly what its last entry says."""
        owed, self.owed = self.owed, None
        if succession.is_handover(head) and not (owed and owed[0] in head.extensions):
            yield Finding("ledger_checkpoint", str(row.size), "鍵または台帳を引き継ぐ行に当たる記録がありません。")
        elif owed and owed[0] not in head.extensions:
            yield _not_handed_over(owed[1])
        if ended is not None:
            old = [key for key in self.verifiers if key.name == ended.log]
            try:
                note.verify_note(row.note, old)
            except note.NoteFailure:
                yield Finding("ledger_checkpoint", str(row.size), "引き継がれた台帳の鍵の署名がありません。")
            if ended.log in keys.logs() and head.origin in keys.logs():
                self.log = head.origin
        elif self.key is not None and not _signed_by(row.note, self.key):
            differs = "この時点で署名できる鍵の署名ではありません（すでに交代した鍵か、まだ引き継いでいない鍵です）。"
            yield Finding("ledger_checkpoint", str(row.size), differs)


def _not_handed_over(entry: Entry) -> Finding:
    return Finding("ledger_entry", str(entry.id), "鍵または台帳の引継ぎの記録ですが、これを示す署名がありません。")


def _line_of(entry: Entry) -> str:
    """Return the line that this deed puts into its head, or what no head carries."""
    try:
        return str(parse_canonical(as_bytes(entry.document)).get("line", ""))
    except NotCanonical:
        return ""


def _signed_by(text: str, key: note.VerifierKey) -> bool:
    try:
        note.verify_checkpoint(text, [key])
    except note.NoteFailure:
        return False
    return True


def _leaf_hash(content: bytes | None) -> bytes | None:
    return merkle.leaf_hash(content) if content is not None else None


def _what_differs(stored: bytes | None, of_content: bytes | None, of_column: bytes | None) -> str:
    if stored is not None and stored == of_column:
        return "文書（document）かソルト（salt）が、台帳に入れた時と違います。"
    if stored is not None and stored == of_content:
        return "指紋（entry_hash）が、台帳に入れた時と違います。"
    return "文書（document）、ソルト（salt）、指紋（entry_hash）が、台帳に入れた時と違います。"


def _row_changed(leaf: Leaf) -> Finding:
    differs = f"種別（kind）か受付日時（recorded_at）が、台帳に入れた時と違います（順番 {leaf.seq}）。"
    return Finding("ledger_entry", str(leaf.entry_id), differs)


def _link_changed(leaf: Leaf) -> Finding:
    return Finding("ledger_leaf", str(leaf.seq), "鎖の値（link）が、台帳に入れた時と違います。")


def _ambiguous(leaf: Leaf) -> Finding:
    differs = (
        f"種別（kind）か受付日時（recorded_at）、または順番 {leaf.seq} の鎖の値（link）が、台帳に入れた時と違います。"
    )
    return Finding("ledger_entry", str(leaf.entry_id), differs)


def _nodes_completed(start: int, end: int) -> dict[tuple[int, int], bytes]:
    """Return the stored hashes of the subtrees that the leaves start … end-1 complete."""
    wanted = Q()
    for level in range(end.bit_length()):
        if end >> level > start >> level:
            wanted |= Q(level=level, index__gte=start >> level, index__lt=end >> level)
    rows = Node.objects.filter(wanted).values_list("level", "index", "hash") if wanted else ()
    return {(level, index): as_bytes(content) for level, index, content in rows}


def _beyond(size: int) -> Iterator[Finding]:
    """Yield places and subtrees that no signed head vouches for."""
    for leaf in Leaf.objects.filter(Q(seq__lt=0) | Q(seq__gte=size)).iterator(chunk_size=PAGE):
        yield Finding("ledger_leaf", str(leaf.seq), f"署名された {size} 件の外にあります（記録 {leaf.entry_id}）。")
    known = Q()
    for level in range(size.bit_length()):
        known |= Q(level=level, index__gte=0, index__lt=size >> level)
    rows = Node.objects.exclude(known) if known else Node.objects.all()
    for node in rows.iterator(chunk_size=PAGE):
        yield Finding("ledger_node", f"{node.level}/{node.index}", f"署名された {size} 件の木の外にあります。")


def _without_place() -> Iterator[Finding]:
    """Yield what is neither in the log nor on its way there, or both."""
    lost = Entry.objects.filter(leaf=None, pending=None).values_list("id", flat=True)
    for entry_id in lost.iterator(chunk_size=PAGE):
        yield Finding(
            "ledger_entry", str(entry_id), "順番（ledger_leaf）にも順番待ち（ledger_pending）にもありません。"
        )
    twice = Pending.objects.filter(entry__leaf__isnull=False).values_list("entry_id", flat=True)
    for entry_id in twice.iterator(chunk_size=PAGE):
        yield Finding("ledger_pending", str(entry_id), "順番が決まっているのに、順番待ちに残っています。")
    orphans = Pending.objects.filter(~Exists(Entry.objects.filter(id=OuterRef("entry_id"))))
    for entry_id in orphans.values_list("entry_id", flat=True).iterator(chunk_size=PAGE):
        yield Finding("ledger_entry", str(entry_id), "記録がありません（順番待ち）。")


def _waiting(now: datetime) -> Iterator[Finding]:
    """Yield what waits longer than its receipt promised, or was changed while it waited."""
    for entry in Entry.objects.filter(pending__isnull=False, leaf=None).iterator(chunk_size=PAGE):
        if _content(entry) != _column(entry):
            differs = "文書（document）、ソルト（salt）、指紋（entry_hash）が合いません（順番待ち）。"
            yield Finding("ledger_entry", str(entry.id), differs)
        if entry.recorded_at < now - receipt.PROMISE:
            yield Finding("ledger_pending", str(entry.id), "約束の60秒を過ぎても、台帳に入っていません。")
