"""The ledger's keys: the web process signs receipts, the sequencer alone signs heads, everyone reads the public ones."""

from __future__ import annotations

import json
from functools import cache
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


def log_name() -> str:
    """Return the name that the log signs under; the realm is in it, so that no proof passes for the other realm's."""
    return f"{urlsplit(settings.PUBLIC_ORIGIN).netloc}/ledger/{settings.REALM}"


def receipt_key() -> Ed25519PrivateKey:
    """Return the key of this installation's receipts, read at first use."""
    return _private_key("IREFUDA_RECEIPT_KEY_FILE", settings.RECEIPT_KEY_FILE)


def head_key() -> Ed25519PrivateKey:
    """Return the key of the log's head; only the sequencer's user can read it."""
    return _private_key("IREFUDA_HEAD_KEY_FILE", settings.HEAD_KEY_FILE)


def published_keys() -> dict[str, Any]:
    """Return the public keys as they were written by `make_ledger_keys`.

    :raises ImproperlyConfigured: when there is no such file
    """
    return _published_keys(settings.LEDGER_KEYS_FILE)


def public_keys(*, receipt_key: Ed25519PublicKey, head_key: Ed25519PublicKey) -> dict[str, Any]:
    """Return what the public needs in order to check receipts and checkpoints."""
    return {
        "format": FORMAT,
        "log": log_name(),
        "realm": settings.REALM,
        "receipt_keys": [receipt.public_jwk(receipt_key)],
        "head_keys": [str(note.verifier_key(log_name(), head_key))],
    }


def _private_key(setting: str, path: str) -> Ed25519PrivateKey:
    if not path:
        raise ImproperlyConfigured(f"{setting} is not set; `manage.py make_ledger_keys` makes the keys")
    return _read_private_key(path)


@cache
def _read_private_key(path: str) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm) as reason:
        raise ImproperlyConfigured(f"{path} cannot be read as a private key") from reason
    if not isinstance(key, Ed25519PrivateKey):
        raise ImproperlyConfigured(f"{path} is not an Ed25519 key")
    return key


@cache
def _published_keys(path: str) -> dict[str, Any]:
    if not path:
        raise ImproperlyConfigured("IREFUDA_LEDGER_KEYS_FILE is not set")
    try:
        keys = json.loads(Path(path).read_text())
    except (OSError, ValueError) as reason:
        raise ImproperlyConfigured(f"{path} cannot be read as the ledger's public keys") from reason
    if not isinstance(keys, dict) or keys.get("format") != FORMAT:
        raise ImproperlyConfigured(f"{path} is not a file of the ledger's public keys")
    return keys
