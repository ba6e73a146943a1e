"""The ledger's keys and its log pass to others: prepared as a file, done in one transaction, finished when run again.

Each step may be the last before a power cut. What the database has committed is the truth; the files are brought to it by
running the same command once more.
"""

from __future__ import annotations

import json
import secrets
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import transaction

from irefuda.ledger import keys, locks, operations, queries, sequencer, witness
from irefuda.ledger.models import Checkpoint
from irefuda_core import note, receipt, succession
from irefuda_core.canonical import canonical_json

HEAD, RECEIPT = "head", "receipt"


class NothingLost(Exception):
    """The log continues the head that was published: there is nothing to succeed."""


class NotOurs(Exception):
    """The head is none that this installation has signed."""


def next_key_file(which: str) -> Path:
    """Return where the key waits that comes after the present one.

    :raises ImproperlyConfigured: when the setting of the present one is empty
    """
    path = _key_file(which)
    return path.with_name(f"{path.stem}-next{path.suffix}")


def prepare(which: str) -> bool:
    """Make the next key and keep it beside the present one; return False when one waits there already."""
    path = next_key_file(which)
    if path.exists():
        return False
    keys.write(path, keys.private_pem(Ed25519PrivateKey.generate()), mode=0o600, like=_key_file(which))
    return True


def rotate(which: str, *, reason: str, now: datetime) -> bool:
    """Let the prepared key take the place of the present one; return False when none is prepared.

    The head of the present key names it. A rotation that was cut off is finished.

    :raises KeyNotInForce: when the head key is not the one that may sign now
    :raises EntriesLost: when entries are missing behind a signed head
    """
    waiting = next_key_file(which)
    if not waiting.exists():
        return False
    fresh = keys.read_private(waiting)
    head = _rotate_head(fresh, reason, now) if which == HEAD else _rotate_receipt(fresh, reason, now)
    _publish(head, now)
    # From here on the new key signs; everyone has been told of it before.
    keys.rename(waiting, _key_file(which))
    return True


def succeed(lost_note: str, *, reason: str, now: datetime) -> str:
    """Open a log that succeeds the one whose published head (a note) is not continued; return the new log's name.

    Run again, it finishes what was cut off and changes nothing else.

    :raises NotOurs: when no key of ours has signed that head
    :raises NothingLost: when the log continues that head
    """
    try:
        lost = note.verify_checkpoint(lost_note, keys.verifiers())
    except note.NoteFailure as failure:
        raise NotOurs(failure.refusal.sentence) from failure
    key = keys.head_key()
    if note.verifier_key(lost.origin, key.public_key()) not in keys.verifiers():
        raise NotOurs("the head key is none of the log that was lost")
    line = succession.succeeds_line(lost)
    done = queries.handover_naming(line)
    if done is None:
        with transaction.atomic():
            locks.become_only_sequencer()
            latest = queries.latest_checkpoint()
            if witness.continues(lost, latest):
                raise NothingLost
            name = f"{keys.logs()[0]}/{len(keys.logs()) + 1}"
            _sign_over("ledger.succeeded", line, reason, now, key=key, log=name, cosigner=lost.origin)
        done = queries.handover_naming(line)
    if done is None:
        raise RuntimeError("the head that was just signed is not there")
    _publish(done, now)
    return note.read_checkpoint(note.text_of(done.note)).origin


def _rotate_head(fresh: Ed25519PrivateKey, reason: str, now: datetime) -> Checkpoint:
    with transaction.atomic():
        locks.become_only_sequencer()
        latest = queries.latest_checkpoint()
        witness.refuse_loss(latest)
        key = keys.head_key()
        name = note.read_checkpoint(note.text_of(latest.note)).origin if latest else keys.log_name()
        line = succession.next_head_key_line(note.verifier_key(name, fresh.public_key()))
        if (done := queries.handover_naming(line)) is not None:
            return done
        log = sequencer.log_to_sign(key, latest)
        _sign_over("ledger.head_key_rotated", line, reason, now, key=key, log=log)
    return _found(line)


def _rotate_receipt(fresh: Ed25519PrivateKey, reason: str, now: datetime) -> Checkpoint:
    line = succession.next_receipt_key_line(fresh.public_key())
    with transaction.atomic():
        locks.become_only_sequencer()
        if (done := queries.handover_naming(line)) is not None:
            return done
        latest = queries.latest_checkpoint()
        witness.refuse_loss(latest)
        key = keys.head_key()
        _sign_over("ledger.receipt_key_rotated", line, reason, now, key=key, log=sequencer.log_to_sign(key, latest))
    return _found(line)


def _sign_over(
    kind: str, line: str, reason: str, now: datetime, *, key: Ed25519PrivateKey, log: str, cosigner: str = ""
) -> None:
    """Append the deed and give it the next place, alone, under a head that carries the line."""
    document = canonical_json(
        {"type": kind, "realm": settings.REALM, "log": log, "line": line, "reason": reason, "at": keys.as_text(now)}
    )
    entry = operations.append(document=document, kind=kind, at=now, salt=secrets.token_bytes(16))
    row = (entry.id, entry.kind, entry.recorded_at, entry.entry_hash)
    sequencer.place([row], key=key, log=log, now=now, lines=(line,), cosigner=cosigner)


def _found(line: str) -> Checkpoint:
    found = queries.handover_naming(line)
    if found is None:
        raise RuntimeError("the head that was just signed is not there")
    return found


def _publish(head: Checkpoint, now: datetime) -> None:
    """Bring the file of the public keys and the witness to what this head says; done twice, it changes nothing."""
    path = Path(settings.LEDGER_KEYS_FILE)
    published: dict[str, Any] = json.loads(json.dumps(keys.published_keys()))
    told = note.read_checkpoint(note.text_of(head.note))
    if head.note not in published.setdefault("handovers", []):
        published["handovers"].append(head.note)
        published.setdefault("logs", [published["log"]])
        periods, at = published.setdefault("periods", {}), keys.as_text(head.signed_at)
        if (fresh := succession.named_head_key(told)) is not None:
            _begin(periods, published["head_keys"], str(fresh), str(fresh), at)
        if (receipts := succession.named_receipt_key(told)) is not None:
            jwk = receipt.public_jwk(receipts)
            _begin(periods, published["receipt_keys"], jwk, jwk["kid"], at)
        if succession.succeeded(told) is not None:
            published["log"] = told.origin
            published["logs"].append(told.origin)
            successor = str(note.verifier_key(told.origin, keys.head_key().public_key()))
            _begin(periods, published["head_keys"], successor, successor, at)
        content = json.dumps(published, indent=1, ensure_ascii=False) + "\n"
        keys.write(path, content.encode(), mode=0o644, like=path)
    newest = queries.latest_checkpoint()
    if newest is not None:
        witness.keep(newest.note)


def _begin(periods: dict[str, Any], listed: list[Any], key: Any, name: str, at: str) -> None:
    """List the key, from this moment on, and end the period of the one before it in the same list."""
    before = listed[-1]
    periods.setdefault(before if isinstance(before, str) else before["kid"], {"from": None, "until": None})["until"] = (
        at
    )
    listed.append(key)
    periods[name] = {"from": at, "until": None}


def _key_file(which: str) -> Path:
    setting = settings.HEAD_KEY_FILE if which == HEAD else settings.RECEIPT_KEY_FILE
    if not setting:
        raise ImproperlyConfigured(f"IREFUDA_{which.upper()}_KEY_FILE is not set")
    return Path(setting)
