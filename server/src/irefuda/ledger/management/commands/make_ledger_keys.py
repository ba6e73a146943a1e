"""Make the two private keys of the ledger and the file of their public halves."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management.base import BaseCommand, CommandError

from irefuda.ledger import keys
from irefuda.ui import clock


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
        keys.write(directory / "receipt.pem", keys.private_pem(receipt_key), mode=0o600)
        keys.write(directory / "head.pem", keys.private_pem(head_key), mode=0o600)
        public = keys.public_keys(receipt_key=receipt_key.public_key(), head_key=head_key.public_key(), at=clock.now())
        keys.write(directory / "ledger-keys.json", (json.dumps(public, indent=1) + "\n").encode(), mode=0o644)
        self.stdout.write(f"wrote receipt.pem, head.pem and ledger-keys.json to {directory}")
