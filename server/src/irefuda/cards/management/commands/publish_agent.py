"""Sign a release of the companion program and offer it on 「補助アプリの入手」."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from irefuda.cards import releases
from irefuda.ui import clock
from irefuda_core.refusal import Refused


class Command(BaseCommand):
    help = "Sign a release of the companion program (補助アプリ) and offer it on the contractors' site."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, help="the package as the build script named it")
        parser.add_argument("--key", type=Path, required=True, help="private key of releases (Ed25519, PEM)")
        parser.add_argument("--make-key", action="store_true", help="make the key when its file does not exist")
        parser.add_argument("--key-name", help="name of the key (HOST/card-agent of the contractors' site without it)")
        parser.add_argument("--new-key", action="store_true", help="the key is another than before, and is meant to be")

    def handle(self, *args: Any, file: Path, key: Path, make_key: bool, new_key: bool, **options: Any) -> None:
        try:
            content = file.read_bytes()
        except OSError as failure:
            raise CommandError(f"{file} cannot be read: {failure.strerror}") from None
        if make_key and not key.exists():
            _make_key(key)
        try:
            made = releases.publish(
                file.name,
                content,
                key=_read_key(key),
                key_name=options["key_name"] or f"{urlsplit(settings.SUPPLIER_ORIGIN).netloc}/card-agent",
                new_key=new_key,
                now=clock.now(),
            )
        except Refused as refused:
            raise CommandError("\n".join(f"{r.code} {r.sentence}{r.remedy}" for r in refused.refusals)) from refused
        except OSError as failure:
            raise CommandError(f"{failure.filename} cannot be written: {failure.strerror}") from None
        self.stdout.write(f"{made.release.file}（版 {made.release.version}）を、補助アプリの入手のページに載せました。")
        self.stdout.write(f"  SHA-256  {made.release.sha256}\n  鍵       {made.key}")


def _make_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (OSError, ValueError, TypeError, UnsupportedAlgorithm):
        raise CommandError(f"{path} cannot be read as a private key; --make-key makes one") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise CommandError(f"{path} is not an Ed25519 key")
    return key
