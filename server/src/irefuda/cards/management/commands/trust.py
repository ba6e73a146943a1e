"""The trust store: `trust add`, `trust list`, `trust remove`."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from irefuda.cards import queries, trust_store
from irefuda.cards.models import Audience
from irefuda.ui import clock
from irefuda_core.certificate import fingerprint_of


class Command(BaseCommand):
    help = "Add, list or remove the certification authorities whose cards are taken."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        add = acts.add_parser("add", help="take the cards of an authority")
        add.add_argument("--name", required=True, help="認証局の名前（画面と記録に出ます）")
        add.add_argument("--audience", required=True, choices=Audience.values)
        add.add_argument("--root", required=True, type=Path, help="ルート証明書（PEMまたはDER）")
        add.add_argument(
            "--intermediate", action="append", default=[], type=Path, help="中間認証局の証明書（繰り返し可）"
        )
        add.add_argument(
            "--policy", action="append", default=[], help="証明書ポリシーOID（繰り返し可、どれか一つが必要）"
        )
        add.add_argument(
            "--crl", action="append", default=[], help="失効リストの取得先（http、https、file、繰り返し可）"
        )
        add.add_argument("--grace-hours", type=int, default=24, help="失効リストの次回更新日時からの猶予")
        add.add_argument("--mapping", type=Path, help="証明書の項目の対応表（JSON）")
        add.add_argument("--demo", action="store_true", help="練習用の認証局（本番では登録できません）")
        acts.add_parser("list", help="show the authorities and how fresh their revocation lists are")
        remove = acts.add_parser("remove", help="take the cards of an authority no longer")
        remove.add_argument("--name", required=True)

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        try:
            {"add": self._add, "list": self._list, "remove": self._remove}[act](options)
        except trust_store.BadAuthority as reason:
            raise CommandError(str(reason)) from None

    def _add(self, options: dict[str, Any]) -> None:
        mapping = options["mapping"]
        authority = trust_store.add_authority(
            name=options["name"],
            audience=options["audience"],
            root=_read(options["root"]),
            intermediates=[_read(path) for path in options["intermediate"]],
            policy_oids=options["policy"],
            crl_urls=options["crl"],
            grace_hours=options["grace_hours"],
            mapping=_json(mapping) if mapping else None,
            demo=options["demo"],
            practice=settings.PRACTICE,
            now=clock.now(),
        )
        self.stdout.write(f"認証局「{options['name']}」を登録しました。")
        self.stdout.write("次のルート証明書の指紋(SHA-256)が、認証局が公表している値と同じか確かめてください。")
        self.stdout.write(f"  {fingerprint_of(bytes(authority.root))}")
        if not options["crl"]:
            self.stdout.write(
                "失効リストの取得先がないため、このままではICカードを使えません（--crl で指定してください）。"
            )
        else:
            self.stdout.write(
                "続けて fetch_revocations を実行してください。失効リストを取得するまで、ICカードは使えません。"
            )

    def _list(self, options: dict[str, Any]) -> None:
        rows = queries.authorities()
        for row in rows:
            authority = queries.accepted(row)
            self.stdout.write(f"{row.name}（{Audience(row.audience).label}{'、練習用' if row.demo else ''}）")
            self.stdout.write(f"  ルート証明書   {authority.root.subject.rfc4514_string()}")
            self.stdout.write(f"  有効期限       {_moment(authority.root.not_valid_after_utc)}")
            self.stdout.write(f"  指紋(SHA-256)  {fingerprint_of(authority.root_der)}")
            for certificate in authority.intermediates:
                self.stdout.write(f"  中間認証局     {certificate.subject.rfc4514_string()}")
                self.stdout.write(f"  有効期限       {_moment(certificate.not_valid_after_utc)}")
            self.stdout.write(f"  ポリシー       {'、'.join(row.policy_oids) or '指定なし'}")
            for url in row.crl_urls:
                self.stdout.write(f"  失効リスト     {url}")
            for record in queries.newest_records(authority):
                state = "" if clock.now() <= record.next_update else "（期限切れ）"
                self.stdout.write(
                    f"  手元の失効リスト  番号{int(record.number)}、次回更新 {_moment(record.next_update)}{state}"
                )
        if not rows:
            self.stdout.write("認証局は登録されていません。")

    def _remove(self, options: dict[str, Any]) -> None:
        trust_store.remove_authority(name=options["name"])
        self.stdout.write(f"認証局「{options['name']}」の登録を外しました。失効リストの記録は残ります。")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as failure:
        raise CommandError(f"ファイルを読めません：{path}（{failure.strerror}）") from None


def _json(path: Path) -> Any:
    try:
        return json.loads(_read(path))
    except ValueError as failure:
        raise CommandError(f"対応表がJSONとして読めません：{path}（{failure}）") from None


def _moment(moment: Any) -> str:
    return f"{moment.astimezone(clock.JST):%Y/%m/%d %H:%M}"
