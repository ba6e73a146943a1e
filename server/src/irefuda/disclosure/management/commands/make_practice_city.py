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

AGENCIES = (("9991", "入札市（工事・コンサル）", Category.WORKS), ("9992", "入札市（物品・役務）", Category.GOODS))
COMPANIES = (
    "青い森商会", "八甲田工業", "ねぶた物産", "合浦建設", "浅虫設備", "善知鳥電工", "岩木測量設計", "奥入瀬造園", "陸奥舗装", "津軽塗装",
    "三内土木", "荒川印刷", "筒井事務機", "堤川清掃", "古川警備保障", "本町食品", "新町文具", "橋本自動車", "浪館石油", "油川水道",
    "後潟橋梁", "野内建材", "久栗坂重機", "戸山ガス", "幸畑緑化", "大野電気", "金沢情報システム", "細越鉄工", "高田硝子", "孫内木材",
    "鶴ヶ坂運輸", "新城薬品", "石江医療器", "三好家具", "沖館水産", "富田写真", "千刈衣料", "久須志書店", "篠田通信", "栄町計測",
    "佃冷熱", "中佃防災", "小柳地質", "造道設計", "八重田空調", "矢作板金", "桜川左官", "自由ヶ丘塗料", "駒込基礎",
)  # fmt: skip
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
                "lookup_text": f"{code}調達機関（{category.label}）　業者番号は「登録業者名簿」で確認できます。",
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
        for place, company in enumerate(COMPANIES, start=2):
            values = {
                "name": f"（株）テスト商会{place:02d}"
                if place in (2, 3)
                else FORMS[place % len(FORMS)].format(company),
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
