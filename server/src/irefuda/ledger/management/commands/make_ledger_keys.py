"""Make the two private keys of the ledger and the file of their public halves."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management.base import BaseCommand, CommandError

from irefuda.ledger import keys


class Command(BaseCommand):
    help = "Write receipt.pem and head.pem (readable by their owner only) and ledger-keys.json into a directory."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--directory", type=Path, required=True)

    def handle(self, *args: Any, directory: Path, **options: Any) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        present = [name for name in ("receipt.pem", "head.pem", "ledger-keys.json") if (directory / name).exists()]
        if present:
            # A new key in the place of the old one would make every receipt given so far unprovable.
            raise CommandError(f"{', '.join(present)} exist(s) in {directory}; nothing was written")
        receipt_key, head_key = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
        _write(directory / "receipt.pem", _pem(receipt_key), 0o600)
        _write(directory / "head.pem", _pem(head_key), 0o600)
        public = keys.public_keys(receipt_key=receipt_key.public_key(), head_key=head_key.public_key())
        _write(directory / "ledger-keys.json", (json.dumps(public, indent=1) + "\n").encode(), 0o644)
        self.stdout.write(f"wrote receipt.pem, head.pem and ledger-keys.json to {directory}")


def _pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _write(path: Path, content: bytes, mode: int) -> None:
    # The mode is set at creation: there is no moment in which others could read a key.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
