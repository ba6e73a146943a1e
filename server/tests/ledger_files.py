"""A ledger with keys in files, and what its tests do with it: append, sequence, take a bundle, check it as a citizen does."""

from __future__ import annotations

import io
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core.management import call_command
from django.db import transaction

from irefuda.ledger import audit, keys, operations, queries, sequencer
from irefuda.ledger.models import Entry
from irefuda_verify import receipts

NOW = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)


@dataclass
class LedgerFiles:
    """Where keys and witness of this test's ledger lie."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        names = {
            "RECEIPT_KEY_FILE": "receipt.pem",
            "HEAD_KEY_FILE": "head.pem",
            "LEDGER_KEYS_FILE": "ledger-keys.json",
            "LEDGER_WITNESS_FILE": "ledger-head",
        }
        return {f"IREFUDA_{name}": str(self.folder / file) for name, file in names.items()}

    def saved_keys(self) -> bytes:
        """Return the file of the public keys, as a citizen saves it."""
        return (self.folder / "ledger-keys.json").read_bytes()


def make(settings: Any, folder: Path) -> LedgerFiles:
    """Make the keys and point the settings at them."""
    call_command("make_ledger_keys", directory=folder, stdout=io.StringIO())
    made = LedgerFiles(folder)
    for name, value in made.environment.items():
        setattr(settings, name.removeprefix("IREFUDA_"), value)
    return made


def append(at: datetime = NOW) -> Entry:
    with transaction.atomic():
        return operations.append(
            document=secrets.token_hex(20).encode(), kind="test.deed", at=at, salt=secrets.token_bytes(16)
        )


def sequence(now: datetime = NOW) -> int:
    sequencer.sign_first_checkpoint(key=keys.head_key(), now=now)
    return sequencer.sequence_batch(key=keys.head_key(), now=now)


def bundle_of(entry: Entry, told: str = "") -> dict[str, Any]:
    """Return the receipt file of an entry; `told` is the receipt that was given at the time."""
    return queries.bundle(entry_id=entry.id, receipt=told or operations.receipt_for(entry))


def problems(bundle: dict[str, Any], saved_keys: bytes) -> list[str]:
    """Return what irefuda-verify has against it, but for the document's own signature, which these documents lack."""
    report = receipts.check(receipts.read_bundle(json.dumps(bundle).encode()), receipts.read_keys(saved_keys))
    return [
        line.text for line in report.lines if line.mark is not receipts.Mark.GOOD and "文書の電子署名" not in line.text
    ]


def praise(bundle: dict[str, Any], saved_keys: bytes) -> str:
    """Return what irefuda-verify found right."""
    report = receipts.check(receipts.read_bundle(json.dumps(bundle).encode()), receipts.read_keys(saved_keys))
    return "\n".join(line.text for line in report.lines if line.mark is receipts.Mark.GOOD)


def findings(now: datetime = NOW) -> list[str]:
    return [str(finding) for finding in audit.findings(now)]
