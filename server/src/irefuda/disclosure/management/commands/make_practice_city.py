"""Make 入札市, the practice city: two agencies, fifty suppliers, the demo CA's trust, and three announcements."""

from __future__ import annotations

import json
import secrets
import uuid
from datetime import date
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from irefuda.agencies.models import Agency, Category, Section
from irefuda.cards import queries as trust_queries
from irefuda.cards import revocation, trust_store
from irefuda.disclosure import operations
from irefuda.staff import operations as staff
from irefuda.staff import queries as staff_queries
from irefuda.staff.models import Role
from irefuda.staff.operations import Actor, Deed
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
# Title, body, and whether it is for 物品、役務 only; the last one is the newest.
ANNOUNCEMENTS = (
    (
        "年末年始の電子入札システムの休止について",
        """電子入札システムは、次の期間、受付を休みます。

・ 12月29日から1月3日まで

休みの間も、画面を読むことはできます。締切が近い手続きは、12月28日の運用時間が終わる前に済ませてください。
練習用のこの市（入札市）は、休みの間も使えます。""",
        False,
    ),
    (
        "物品、役務の入札参加資格の追加受付について",
        """物品、役務の入札参加資格の追加申請を、次のとおり受け付けます。

1. 申請書を契約課の窓口で受け取ります（郵送もできます）。
2. 必要な書類をそろえて、契約課に出します。
3. 審査が終わると、登録業者名簿に載ります。名簿に載ってから、利用者登録をしてください。

ICカードは、届くまでに2週間から1か月ほどかかります。申請と並行して、認証局に申し込んでください。""",
        True,
    ),
    (
        "練習用の市「入札市」を開きました",
        """本番と同じ画面で、利用者登録を練習できます。練習した内容は、本番には使われません。

・ 練習用のICカードとPIN番号は、画面の上の帯から見られます。
・ 練習で送られるメールも、画面の上の帯から見られます。外には出ません。

はじめてのかたは「電子入札に参加するには(利用手順等)」を順に読んでください。""",
        False,
    ),
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
            found = json.loads((cards / "cards.json").read_text())
            self._trust_demo_authority(found["authority"], "supplier")
            self._trust_demo_authority(found["staff_authority"], "staff")
            self._let_staff_in(found["staff_cards"])
        self._announce()

    def _announce(self) -> None:
        goods = Agency.objects.get(code="9992")
        for title, body, for_goods in ANNOUNCEMENTS:
            operations.publish_announcement(
                # The same city, the same announcement, however often it is made.
                announcement_id=uuid.uuid5(uuid.NAMESPACE_URL, title),
                title=title,
                body=body,
                agency=goods if for_goods else None,
                category=Category.GOODS if for_goods else None,
                created_by="入札市 契約課",
                now=clock.now(),
                salt=secrets.token_bytes(16),
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

    def _trust_demo_authority(self, found: dict[str, Any], audience: str) -> None:
        now = clock.now()
        if found["name"] not in {row.name for row in trust_queries.authorities()}:
            trust_store.add_authority(
                name=found["name"],
                audience=audience,
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

    def _let_staff_in(self, found: list[dict[str, Any]]) -> None:
        """Let one member in for each role: the first administrator by the operator's word, the others by that one's."""
        administrator: Actor | None = None
        for card in found:
            der = x509.load_pem_x509_certificate(Path(card["certificate"]).read_bytes()).public_bytes(Encoding.DER)
            now = clock.now()
            if kept := staff_queries.card_of(card["fingerprint"]):
                member = kept.member
            else:
                deed = Deed(uuid.uuid4(), administrator, "練習用の市の職員", now, secrets.token_bytes(16))
                member = staff.let_in(
                    der=der, name=card["holder"], section=card["section"], role=Role(card["role"]), deed=deed
                )
            if card["role"] == Role.ADMINISTRATOR:
                administrator = staff.Actor(member, frozenset({Role.ADMINISTRATOR}), card["fingerprint"], now, "")
