"""Signed notes and checkpoints (C2SP signed-note and tlog-checkpoint), Ed25519: how the ledger's head is signed."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from irefuda_core.refusal import Refusal, refusal

_ED25519 = b"\x01"
_NAME = re.compile(r"[^\s+\x00-\x1f]{1,200}")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")
MAX_LENGTH = 20_000
MAX_SIGNATURES = 16


class NoteFailure(Exception):
    """A note is not what it must be; `refusal` says so to the person."""

    code = "L-610"

    @property
    def refusal(self) -> Refusal:
        return refusal(self.code)


class MalformedNote(NoteFailure):
    """Not a signed note, or not a checkpoint."""

    code = "L-611"


class UnsignedNote(NoteFailure):
    """No signature by the expected key."""

    code = "L-612"


class WrongNoteSignature(NoteFailure):
    """A signature that names the expected key is not by it."""

    code = "L-613"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """The name and public key by which a log's checkpoints are known."""

    name: str
    public: bytes

    @property
    def key_id(self) -> bytes:
        """The four bytes that tell a reader which key signed (C2SP signed-note)."""
        return hashlib.sha256(self.name.encode() + b"\n" + _ED25519 + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself: its name, how many leaves it has, and their root."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()


def verifier_key(name: str, key: Ed25519PublicKey) -> VerifierKey:
    """Return the verifier key of `key` under `name`.

    :raises ValueError: for a name with white space or a plus sign
    """
    if not _NAME.fullmatch(name):
        raise ValueError("a key name has neither white space nor plus signs")
    return VerifierKey(name, key.public_bytes_raw())


def parse_verifier_key(text: str) -> VerifierKey:
    """Return the key that `name+id+base64` spells.

    :raises MalformedNote: for anything else, a wrong id included
    """
    parts = text.split("+", 2)
    if len(parts) != 3 or not _NAME.fullmatch(parts[0]):
        raise MalformedNote
    content = from_base64(parts[2])
    key = VerifierKey(parts[0], content[1:])
    if content[:1] != _ED25519 or len(key.public) != 32 or key.key_id.hex() != parts[1]:
        raise MalformedNote
    return key


def sign_note(text: str, *, name: str, key: Ed25519PrivateKey) -> str:
    """Return `text` with a signature line.

    :raises ValueError: when the text could not be read back: it ends with a line break and has no control characters
    """
    if not text.endswith("\n") or _has_controls(text):
        raise ValueError("a note ends with a line break and has no other control characters")
    return f"{text}\n{_signature(text, name, key)}"


def cosign_note(signed: str, *, name: str, key: Ed25519PrivateKey) -> str:
    """Return the signed note with one more signature line."""
    return signed + _signature(text_of(signed), name, key)


def _signature(text: str, name: str, key: Ed25519PrivateKey) -> str:
    content = verifier_key(name, key.public_key()).key_id + key.sign(text.encode())
    return f"— {name} {base64.b64encode(content).decode()}\n"


def text_of(note: str) -> str:
    """Return the text of a signed note, without asking who signed."""
    # C2SP signed-note: the text may contain blank lines, the signatures cannot, so the last one divides.
    return note.rpartition("\n\n")[0] + "\n"


def verify_note(note: str, keys: Sequence[VerifierKey]) -> str:
    """Return the text of `note`, which one of `keys` has signed.

    :raises NoteFailure: otherwise; a wrong signature that names one of the keys spoils the note
    """
    # C2SP signed-note: the text may contain blank lines, the signatures cannot, so the last one divides.
    text, divider, signatures = note.rpartition("\n\n")
    if not divider or len(note) > MAX_LENGTH or not signatures.endswith("\n") or _has_controls(note):
        raise MalformedNote
    text += "\n"
    lines = signatures[:-1].split("\n")
    if len(lines) > MAX_SIGNATURES:
        raise MalformedNote
    known = {(key.name, key.key_id): key for key in keys}
    verified = False
    for line in lines:
        name, key_id, signature = _signature_line(line)
        key = known.get((name, key_id))
        if key is None:
            continue
        try:
            Ed25519PublicKey.from_public_bytes(key.public).verify(signature, text.encode())
        except InvalidSignature:
            raise WrongNoteSignature from None
        verified = True
    if not verified:
        raise UnsignedNote
    return text


def _signature_line(line: str) -> tuple[str, bytes, bytes]:
    mark, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    content = from_base64(encoded)
    if mark != "—" or not _NAME.fullmatch(name) or len(content) < 5:
        raise MalformedNote
    return name, content[:4], content[4:]


def _has_controls(text: str) -> bool:
    return any(character < " " and character != "\n" for character in text)


def from_base64(text: str) -> bytes:
    """Return the bytes that this base64 spells.

    :raises MalformedNote: for anything else
    """
    try:
        return base64.b64decode(text.encode("ascii"), validate=True)
    except (ValueError, binascii.Error):
        raise MalformedNote from None


def checkpoint_text(checkpoint: Checkpoint) -> str:
    """Return the lines that are signed (C2SP tlog-checkpoint)."""
    lines = [checkpoint.origin, str(checkpoint.size), base64.b64encode(checkpoint.root).decode()]
    return "\n".join([*lines, *checkpoint.extensions]) + "\n"


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey) -> str:
    """Return the signed checkpoint; the key's name is the log's origin."""
    return sign_note(checkpoint_text(checkpoint), name=checkpoint.origin, key=key)


def read_checkpoint(text: str) -> Checkpoint:
    """Return the checkpoint in the text of a note.

    :raises MalformedNote: when it is none
    """
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not lines[0] or not all(lines[3:-1]) or not _SIZE.fullmatch(lines[1]):
        raise MalformedNote
    root = from_base64(lines[2])
    if len(root) != 32:
        raise MalformedNote
    return Checkpoint(lines[0], int(lines[1]), root, tuple(lines[3:-1]))


def verify_checkpoint(note: str, keys: Sequence[VerifierKey]) -> Checkpoint:
    """Return the checkpoint in `note`, signed by one of `keys` under the log's own name.

    :raises NoteFailure: otherwise
    """
    checkpoint = read_checkpoint(text_of(note))
    # A key of another log, or of the other realm, has another name and does not count.
    return read_checkpoint(verify_note(note, [key for key in keys if key.name == checkpoint.origin]))
