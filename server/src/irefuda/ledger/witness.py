"""The newest head that was signed, kept outside the database: a database that was restored too far back does not fit it."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from irefuda.ledger import keys, queries
from irefuda.ledger.models import Checkpoint
from irefuda_core import note, succession


class EntriesLost(Exception):
    """The log does not continue a head that was signed: entries are lost, and to sign on would be a fork."""

    def __init__(self, lost: note.Checkpoint) -> None:
        super().__init__(f"the log does not continue its signed head of {lost.size} entries; see `ledger succeed`")
        self.lost = lost


def keep(head: str) -> None:
    """Write the head (a note) down where the next start will look for it."""
    if settings.LEDGER_WITNESS_FILE:
        path = Path(settings.LEDGER_WITNESS_FILE)
        keys.write(path, head.encode(), mode=0o644, like=path)


def kept() -> str | None:
    """Return the head (a note) that was kept, or None when there is none yet."""
    path = Path(settings.LEDGER_WITNESS_FILE) if settings.LEDGER_WITNESS_FILE else None
    return path.read_text() if path and path.exists() else None


def refuse_loss(latest: Checkpoint | None, *, text: str | None = None) -> None:
    """Compare the log, whose newest head this is, with the head that was kept, or with that of `text`.

    Whoever does not hold the sequencer's lock asks for `kept()` first and for `latest` then: the other way round, a head
    that is signed between the two would look like a loss.

    :raises EntriesLost: when the log does not continue it
    :raises NoteFailure: when what was kept is no head
    """
    text = kept() if text is None else text
    if text is None or (latest is not None and latest.note == text):
        return
    head = note.read_checkpoint(note.text_of(text))
    if not continues(head, latest) and not _was_succeeded(head):
        raise EntriesLost(head)


def continues(head: note.Checkpoint, latest: Checkpoint | None) -> bool:
    """Return whether the log, whose newest head is `latest`, begins with what `head` vouches for."""
    if latest is None or head.size > latest.size:
        return False
    origin = note.read_checkpoint(note.text_of(latest.note)).origin
    if origin != head.origin and not _was_succeeded(head):
        return False
    return queries.root(head.size) == head.root


def _was_succeeded(head: note.Checkpoint) -> bool:
    """Return whether a log has succeeded this head's log, at this head or a later one."""
    for row in Checkpoint.objects.filter(note__contains=f"\nsucceeds {head.origin} "):
        ended = succession.succeeded(note.read_checkpoint(note.text_of(row.note)))
        if ended is not None and ended.log == head.origin and ended.size >= head.size:
            return True
    return False
