"""Make 入札市, the practice city: two agencies, fifty suppliers, the demo CA's trust, and the portal's news."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from irefuda.agencies.models import Agency, Category, Section
from irefuda.cards import queries as trust_queries
from irefuda.cards import revocation, trust_store
from irefuda.suppliers import operations as suppliers
from irefuda.suppliers.models import Supplier
from irefuda.ui import clock

AGENCIES = (("9991", "入札市 契約課", Category.WORKS), ("9992", "入札市 物品管理課", Category.GOODS))
COMPANIES = (
    ("青い森商会", "アオイモリショウカイ"),
    ("八甲田工業", "ハッコウダコウギョウ"),
    ("ねぶた物産", "ネブタブッサン"),
    ("合浦建設", "ガッポケンセツ"),
    ("浅虫設備", "アサムシセツビ"),
    ("善知鳥電工", "ウトウデンコウ"),
    ("岩木測量設計", "イワキソクリョウセッケイ"),
    ("奥入瀬造園", "オイラセゾウエン"),
    ("陸奥舗装", "ムツホソウ"),
    ("津軽塗装", "ツガルトソウ"),
    ("三内土木", "サンナイドボク"),
    ("荒川印刷", "アラカワインサツ"),
    ("筒井事務機", "ツツイジムキ"),
    ("堤川清掃", "ツツミガワセイソウ"),
    ("古川警備保障", "フルカワケイビホショウ"),
    ("本町食品", "ホンチョウショクヒン"),
    ("新町文具", "シンマチブング"),
    ("橋本自動車", "ハシモトジドウシャ"),
    ("浪館石油", "ナミダテセキユ"),
    ("油川水道", "アブラカワスイドウ"),
    ("後潟橋梁", "ウシロガタキョウリョウ"),
    ("野内建材", "ノナイケンザイ"),
    ("久栗坂重機", "クグリザカジュウキ"),
    ("戸山ガス", "トヤマガス"),
    ("幸畑緑化", "コウバタリョッカ"),
    ("大野電気", "オオノデンキ"),
    ("金沢情報システム", "カナザワジョウホウシステム"),
    ("細越鉄工", "ホソゴエテッコウ"),
    ("高田硝子", "タカダガラス"),
    ("孫内木材", "マゴナイモクザイ"),
    ("鶴ヶ坂運輸", "ツルガサカウンユ"),
    ("新城薬品", "シンジョウヤクヒン"),
    ("石江医療器", "イシエイリョウキ"),
    ("三好家具", "ミヨシカグ"),
    ("沖館水産", "オキダテスイサン"),
    ("富田写真", "トミタシャシン"),
    ("千刈衣料", "センガリイリョウ"),
    ("久須志書店", "クスシショテン"),
    ("篠田通信", "シノダツウシン"),
    ("栄町計測", "サカエマチケイソク"),
    ("佃冷熱", "ツクダレイネツ"),
    ("中佃防災", "ナカツクダボウサイ"),
    ("小柳地質", "コヤナギチシツ"),
    ("造道設計", "ツクリミチセッケイ"),
    ("八重田空調", "ヤエダクウチョウ"),
    ("矢作板金", "ヤハギバンキン"),
    ("桜川左官", "サクラガワサカン"),
    ("自由ヶ丘塗料", "ジユウガオカトリョウ"),
    ("駒込基礎", "コマゴメキソ"),
)
FORMS = ("株式会社{}", "（株）{}", "有限会社{}", "{}株式会社", "合同会社{}")
GRADES = ("A", "B", "C", "D", "")


class Command(BaseCommand):
    help = "練習用の市（入札市）を作ります。何度実行しても同じ市になります。"

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.PRACTICE:
            raise CommandError("練習用の市は、練習環境だけに作れます。")
        with transaction.atomic():
            for code, name, category in AGENCIES:
                self._make_section(code, name, category)
        cards = settings.STATE_DIR / "cards"
        if (cards / "cards.json").exists():
            self._trust_demo_authority(cards)
        call_command(
            "portal_news", "add", "update", "練習用の市「入札市」を開きました。", on=date(2026, 11, 24), verbosity=0
        )

    def _make_section(self, code: str, name: str, category: Category) -> None:
        agency, _ = Agency.objects.update_or_create(
            code=code,
            defaults={
                "name": name,
                "always_open": True,
                "lookup_text": f"申請先は、{name}（{category.label}）です。業者番号は「登録業者名簿」で確認できます。",
                "helpdesk_name": "入札市電子入札ヘルプデスク",
                "helpdesk_phone": "017-000-0000",
                "helpdesk_email": "helpdesk@example.jp",
                "helpdesk_url": f"{settings.SUPPLIER_ORIGIN}/helpdesk/",
                "system_email": settings.DEFAULT_FROM_EMAIL,
            },
        )
        section, _ = Section.objects.get_or_create(agency=agency, category=category)
        year = clock.now().astimezone(clock.JST).year
        for place, (number, values) in enumerate(self._suppliers(category)):
            term = {"valid_from": date(year - 1, 4, 1), "valid_until": date(year + 2, 3, 31)}
            if place == 48:  # one whose qualification has ended, to meet the reason page
                term = {"valid_from": date(year - 4, 4, 1), "valid_until": date(year - 1, 3, 31)}
            Supplier.objects.update_or_create(section=section, supplier_number=number, defaults={**values, **term})
        suppliers.reindex(section=section)

    def _suppliers(self, category: Category) -> list[tuple[str, dict[str, Any]]]:
        sample = {
            "name": "（株）テスト商会01",
            "name_kana": "テストショウカイ01",
            "representative_name": "テスト 1太郎",
            "representative_title": "代表取締役社長",
            "postal_code": "123-4567",
            "address": "○○○市××町△丁目1-1-1",
            "phone": "03-0920-9991",
            "fax": "03-0920-9991",
            "branch_name": "支店",
            "qualifications": self._grades(category, 0),
        }
        lines = [("990000001", sample)]
        for place, (company, reading) in enumerate(COMPANIES, start=2):
            values = {
                "name": f"（株）テスト商会{place:02d}"
                if place in (2, 3)
                else FORMS[place % len(FORMS)].format(company),
                "name_kana": f"テストショウカイ{place:02d}" if place in (2, 3) else reading,
                "representative_name": f"代表 {place}郎",
                "representative_title": "代表取締役",
                "postal_code": f"030-{800 + place:04d}",
                "address": f"入札市中央{place % 5 + 1}丁目{place}番地",
                "phone": f"017-000-{place:04d}",
                "fax": f"017-001-{place:04d}",
                "branch_name": "本店",
                "qualifications": self._grades(category, place),
            }
            lines.append((f"99{place:07d}", values))
        return lines

    def _grades(self, category: Category, place: int) -> dict[str, str]:
        if category != Category.GOODS:
            return {}
        kinds = ("物品の製造", "物品の販売", "役務等の提供", "物品の購入")
        return {kind: GRADES[(place + step) % len(GRADES)] for step, kind in enumerate(kinds)}

    def _trust_demo_authority(self, cards: Path) -> None:
        found = json.loads((cards / "cards.json").read_text())["authority"]
        now = clock.now()
        if found["name"] not in {row.name for row in trust_queries.authorities()}:
            trust_store.add_authority(
                name=found["name"],
                audience="supplier",
                root=Path(found["root"]).read_bytes(),
                intermediates=[Path(found["issuing"]).read_bytes()],
                policy_oids=[found["policy"]],
                crl_urls=[Path(found["revocation_list"]).resolve().as_uri()],
                demo=True,
                practice=settings.PRACTICE,
                now=now,
            )
        for fetched in revocation.fetch_all(now=now, only=found["name"]):
            if fetched.reason:
                raise CommandError(fetched.reason)
