"""Add the first administrator, or one more when no administrator can come in any longer."""

from __future__ import annotations

import secrets
import uuid
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from irefuda.staff import operations
from irefuda.staff.operations import Deed
from irefuda.ui import clock
from irefuda_core.refusal import Refused


class Command(BaseCommand):
    help = "Let the first administrator in; everyone after that is let in by an administrator, on a page."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--first", required=True, type=Path, help="管理者のICカードの証明書（PEMまたはDER）")
        parser.add_argument("--name", required=True, help="管理者の氏名")
        parser.add_argument("--section", default="", help="管理者の所属")
        parser.add_argument("--recover", default="", metavar="REASON", help="管理者が入れなくなったときの理由")

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.STAFF_ORIGIN:
            raise CommandError(
                "IREFUDA_STAFF_ORIGIN がありません。台帳の記録に、職員用サイトのアドレスを書くために要ります。"
            )
        reason = options["recover"].strip()
        deed = Deed(
            id=uuid.uuid4(),
            actor=None,
            reason=reason[:200] or "最初の管理者の登録",
            at=clock.now(),
            salt=secrets.token_bytes(16),
        )
        try:
            member = operations.add_first_administrator(
                der=_certificate(options["first"]),
                name=options["name"],
                section=options["section"],
                recover=bool(reason),
                deed=deed,
            )
        except Refused as refused:
            told = "\n".join(f"{r.code} {r.sentence}{r.remedy}" for r in refused.refusals)
            raise CommandError(told) from None
        self.stdout.write(f"{member.name} を管理者として登録しました。")


def _certificate(path: Path) -> bytes:
    """Return the certificate in the file as DER.

    :raises CommandError: when there is none
    """
    try:
        content = path.read_bytes()
        if b"-----BEGIN CERTIFICATE-----" in content:
            return x509.load_pem_x509_certificate(content).public_bytes(Encoding.DER)
        return x509.load_der_x509_certificate(content).public_bytes(Encoding.DER)
    except OSError as reason:
        raise CommandError(f"ファイル {path} を開けません（{reason.strerror}）。") from None
    except ValueError:
        raise CommandError(f"ファイル {path} は証明書として読めません（PEMまたはDER）。") from None
