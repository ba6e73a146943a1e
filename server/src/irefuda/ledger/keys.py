"""The ledger's keys: the web process signs receipts, the sequencer alone signs heads, everyone reads the public ones."""

from __future__ import annotations

import json
import os
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from irefuda_core import note, receipt

FORMAT = "irefuda-ledger-keys/1"


def first_log_name() -> str:
    """Return the name of this installation's first log; the realm is in it, so that no proof passes for the other realm's."""
    return f"{urlsplit(settings.PUBLIC_ORIGIN).netloc}/ledger/{settings.REALM}"


def log_name() -> str:
    """Return the name that the log signs under: the one in the file of the public keys, where there is such a file."""
    return str(published_keys()["log"]) if settings.LEDGER_KEYS_FILE else first_log_name()


def receipt_key() -> Ed25519PrivateKey:
    """Return the key of this installation's receipts, read at first use."""
    return _private_key("IREFUDA_RECEIPT_KEY_FILE", settings.RECEIPT_KEY_FILE)


def head_key() -> Ed25519PrivateKey:
    """Return the key of the log's head; only the sequencer's user can read it."""
    return _private_key("IREFUDA_HEAD_KEY_FILE", settings.HEAD_KEY_FILE)


def published_keys() -> dict[str, Any]:
    """Return the public keys as `make_ledger_keys` wrote them, and `ledger rotate` and `ledger succeed` after it.

    :raises ImproperlyConfigured: when there is no such file
    """
    path = settings.LEDGER_KEYS_FILE
    if not path:
        raise ImproperlyConfigured("IREFUDA_LEDGER_KEYS_FILE is not set")
    return _published_keys(path, _version(path))


def verifiers() -> list[note.VerifierKey]:
    """Return every key that signs or signed heads of this installation."""
    return [note.parse_verifier_key(key) for key in published_keys()["head_keys"]]


def logs() -> list[str]:
    """Return the names of this installation's logs, the first one first."""
    published = published_keys()
    return list(published.get("logs", [published["log"]]))


def handovers() -> list[str]:
    """Return the heads by which keys passed to others, or the log to another, the oldest first."""
    return list(published_keys().get("handovers", [])) if settings.LEDGER_KEYS_FILE else []


def public_keys(*, receipt_key: Ed25519PublicKey, head_key: Ed25519PublicKey, at: datetime) -> dict[str, Any]:
    """Return what the public needs in order to check receipts and checkpoints."""
    jwk, head = receipt.public_jwk(receipt_key), str(note.verifier_key(first_log_name(), head_key))
    return {
        "format": FORMAT,
        "log": first_log_name(),
        "logs": [first_log_name()],
        "realm": settings.REALM,
        "receipt_keys": [jwk],
        "head_keys": [head],
        "periods": {name: {"from": as_text(at), "until": None} for name in (jwk["kid"], head)},
        "handovers": [],
    }


def as_text(moment: datetime) -> str:
    """Return the moment as it stands in the file of the public keys."""
    return moment.isoformat(timespec="seconds")


def write(path: Path, content: bytes, *, mode: int, like: Path | None = None) -> None:
    """Put the content at `path` in one step; `like` names a file whose owner and mode it takes."""
    # Under another name first: whoever reads, or a power cut, finds the old file or the new one, never a half.
    beside = path.with_name(f".{path.name}.new")
    beside.unlink(missing_ok=True)
    # The mode is set at creation: there is no moment in which others could read a key.
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        if like is not None and like.exists():
            found = like.stat()
            os.fchmod(file.fileno(), found.st_mode & 0o777)
            if (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(file.fileno(), found.st_uid, found.st_gid)
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    rename(beside, path)


def rename(old: Path, new: Path) -> None:
    """Give the file its new name, for good."""
    os.rename(old, new)
    folder = os.open(new.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def private_pem(key: Ed25519PrivateKey) -> bytes:
    """Return the key as it is kept in a file."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_private(path: Path) -> Ed25519PrivateKey:
    """Return the private key in this file.

    :raises ImproperlyConfigured: when there is none
    """
    return _read_private_key(str(path), _version(str(path)))


def _version(path: str) -> tuple[int, int, int]:
    """Return what changes when the file is replaced: a process that runs for months takes a new key without a restart."""
    try:
        found = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _private_key(setting: str, path: str) -> Ed25519PrivateKey:
    if not path:
        raise ImproperlyConfigured(f"{setting} is not set; `manage.py make_ledger_keys` makes the keys")
    return _read_private_key(path, _version(path))


@lru_cache(maxsize=8)
def _read_private_key(path: str, _: tuple[int, int, int]) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as reason:
        raise ImproperlyConfigured(f"{path} cannot be read as a private key") from reason
    if not isinstance(key, Ed25519PrivateKey):
        raise ImproperlyConfigured(f"{path} is not an Ed25519 key")
    return key


@lru_cache(maxsize=8)
def _published_keys(path: str, _: tuple[int, int, int]) -> dict[str, Any]:
    try:
        keys = json.loads(Path(path).read_text())
    except (OSError, ValueError) as reason:
        raise ImproperlyConfigured(f"{path} cannot be read as the ledger's public keys") from reason
    if not isinstance(keys, dict) or keys.get("format") != FORMAT:
        raise ImproperlyConfigured(f"{path} is not a file of the ledger's public keys")
    if keys.get("realm") != settings.REALM:
        raise ImproperlyConfigured(f"{path} holds the keys of the {keys.get('realm')} realm, not of {settings.REALM}")
    return keys
