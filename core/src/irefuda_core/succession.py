"""How a log passes from one key to the next, and from one log to another: lines in its own signed heads.

The last head that a key signs names the key that comes after it; a new key of receipts is named by a head too. A log that
lost entries behind a published head ends there: the first head of the log that succeeds it names that head, and is signed
by the old log's key beside the new one's. Whoever trusts one key of the line can so follow it to the newest.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from irefuda_core import note, receipt

_HEAD = "next-head-key "
_RECEIPT = "next-receipt-key "
_SUCCEEDS = "succeeds "


class RetiredKey(note.NoteFailure):
    """Signed by a key beyond the last head that it could sign."""

    code = "L-631"


@dataclass(frozen=True, slots=True)
class Ended:
    """The last head of a log that has been succeeded."""

    log: str
    size: int
    root: bytes


@dataclass(slots=True)
class Trusted:
    """What one may believe after having followed the line: keys, where each of them ended, which log follows which."""

    head_keys: list[note.VerifierKey]
    receipt_keys: dict[str, Ed25519PublicKey]
    last_size: dict[note.VerifierKey, int] = field(default_factory=dict)
    next_log: dict[str, str] = field(default_factory=dict)

    def leads(self, old: str, new: str) -> bool:
        """Return whether the log `new` is the log `old` or one that succeeded it."""
        passed = set()
        while old != new and old in self.next_log and old not in passed:
            passed.add(old)
            old = self.next_log[old]
        return old == new


def next_head_key_line(key: note.VerifierKey) -> str:
    """Return the line by which the old key's last head names the new key."""
    return f"{_HEAD}{key}"


def next_receipt_key_line(key: Ed25519PublicKey) -> str:
    """Return the line by which a head names a new key of receipts."""
    return _RECEIPT + base64.b64encode(key.public_bytes_raw()).decode()


def succeeds_line(old: note.Checkpoint) -> str:
    """Return the line by which the first head of a new log names the last one of the log that it succeeds."""
    return f"{_SUCCEEDS}{old.origin} {old.size} {base64.b64encode(old.root).decode()}"


def named_head_key(head: note.Checkpoint) -> note.VerifierKey | None:
    """Return the key that comes after this head, or None when its own goes on.

    :raises MalformedNote: when what is named is no key of this log
    """
    for line in _lines(head, _HEAD):
        key = note.parse_verifier_key(line)
        if key.name != head.origin:
            raise note.MalformedNote
        return key
    return None


def named_receipt_key(head: note.Checkpoint) -> Ed25519PublicKey | None:
    """Return the key of receipts that this head makes known, or None.

    :raises MalformedNote: when what is named is no key
    """
    for line in _lines(head, _RECEIPT):
        raw = note.from_base64(line)
        if len(raw) != 32:
            raise note.MalformedNote
        return Ed25519PublicKey.from_public_bytes(raw)
    return None


def succeeded(head: note.Checkpoint) -> Ended | None:
    """Return the last head of the log that this head's log succeeds, or None.

    :raises MalformedNote: when what is named is no head of another log
    """
    for line in _lines(head, _SUCCEEDS):
        log, _, rest = line.partition(" ")
        size, _, root = rest.partition(" ")
        old = note.read_checkpoint(f"{log}\n{size}\n{root}\n")
        if old.origin == head.origin:
            raise note.MalformedNote
        return Ended(old.origin, old.size, old.root)
    return None


def is_handover(head: note.Checkpoint) -> bool:
    """Return whether this head names a key or a log."""
    return any(line.startswith((_HEAD, _RECEIPT, _SUCCEEDS)) for line in head.extensions)


def may_follow(head: str, key: note.VerifierKey) -> bool:
    """Return whether `key` is the one that signs after this head (a note): the one it names, or else its own."""
    try:
        named = named_head_key(note.read_checkpoint(note.text_of(head)))
        if named is None:
            note.verify_checkpoint(head, [key])
    except note.NoteFailure:
        return False
    return named in (None, key)


def follow(
    head_keys: Iterable[note.VerifierKey], receipt_keys: Mapping[str, Ed25519PublicKey], handovers: Sequence[str]
) -> Trusted:
    """Return what is to be believed by someone who believes these keys and has these heads (notes) that hand over.

    A head that nobody believed has signed is passed by: it proves nothing, and what hangs on it will not be believed.
    """
    trusted = Trusted(list(head_keys), dict(receipt_keys))
    waiting = list(dict.fromkeys(handovers))
    while True:
        # In whatever order they were given: one that hangs on another is believed in the round after it.
        left = [text for text in waiting if not _believed(text, trusted)]
        if len(left) == len(waiting):
            return trusted
        waiting = left


def _believed(text: str, trusted: Trusted) -> bool:
    try:
        head = note.read_checkpoint(note.text_of(text))
        ended = succeeded(head)
        if ended is not None:
            # By the old log's key, or anybody could say that his log is the one which goes on.
            old = [key for key in trusted.head_keys if key.name == ended.log]
            _verify(text, old, ended.size, trusted)
            known = [key for key in old if _signed(text, key)]
            new = [note.VerifierKey(head.origin, key.public) for key in known]
            note.verify_note(text, new)
            trusted.head_keys += [key for key in new if key not in trusted.head_keys]
            for key in old:
                trusted.last_size[key] = min(ended.size, trusted.last_size.get(key, ended.size))
            trusted.next_log[ended.log] = head.origin
            return True
        signers = [key for key in trusted.head_keys if key.name == head.origin]
        _verify(text, signers, head.size, trusted)
        if (receipts := named_receipt_key(head)) is not None:
            trusted.receipt_keys[receipt.public_jwk(receipts)["kid"]] = receipts
        if (next_key := named_head_key(head)) is not None:
            for key in [key for key in signers if _signed(text, key)]:
                if key in trusted.last_size:
                    # It has named another key before: whoever stole it later cannot name his own as well.
                    return False
                trusted.last_size[key] = head.size
            if next_key not in trusted.head_keys:
                trusted.head_keys.append(next_key)
    except note.NoteFailure:
        return False
    return True


def verify_head(text: str, trusted: Trusted) -> note.Checkpoint:
    """Return the checkpoint in this note, signed by a believed key that had not ended by then.

    :raises NoteFailure: otherwise
    """
    head = note.verify_checkpoint(text, trusted.head_keys)
    _verify(text, [key for key in trusted.head_keys if key.name == head.origin], head.size, trusted)
    return head


def _verify(text: str, keys: Sequence[note.VerifierKey], size: int, trusted: Trusted) -> None:
    note.verify_note(text, keys)
    signers = [key for key in keys if _signed(text, key)]
    if all(size > trusted.last_size.get(key, size) for key in signers):
        raise RetiredKey


def _signed(text: str, key: note.VerifierKey) -> bool:
    try:
        note.verify_note(text, [key])
    except note.NoteFailure:
        return False
    return True


def _lines(head: note.Checkpoint, label: str) -> list[str]:
    return [line.removeprefix(label) for line in head.extensions if line.startswith(label)]
