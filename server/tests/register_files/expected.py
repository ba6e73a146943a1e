"""What an import must read from each sample register: by 業者番号, every column of the model that is not empty."""

from __future__ import annotations

from datetime import date
from typing import Any

FROM, UNTIL = date(2025, 4, 1), date(2027, 3, 31)
TERM = {"valid_from": FROM, "valid_until": UNTIL}


def trade(name: str, grade: str = "", points: str = "") -> dict[str, str]:
    """Return one 業種・品目 as it is stored."""
    return {"name": name, "grade": grade, **({"points": points} if points else {})}


SUPPLIERS: dict[str, dict[str, dict[str, Any]]] = {
    "title_rows_cp932.csv": {
        "000012345": {
            "name": "㈱青い森商会",
            "name_kana": "アオイモリショウカイ",
            "representative_title": "代表取締役",
            "representative_name": "青森　太郎",
            "postal_code": "030-0801",
            "address": "青森市新町１－３－７",
            "phone": "017-722-0000",
            **TERM,
        },
        "000098760": {
            "name": "髙﨑建設（株）",
            "name_kana": "タカサキケンセツ",
            "representative_title": "代表取締役社長",
            "representative_name": "髙﨑　次郎",
            "postal_code": "038-0001",
            "address": "青森市新城平岡１",
            "phone": "017-788-0001",
            "fax": "017-788-0002",
            **TERM,
        },
        "990000003": {
            "name": "合資会社ねぶた物産",
            "name_kana": "ネブタブッサン",
            "representative_name": "ねぶた　花子",
            "postal_code": "030-0812",
            "address": "青森市堤町2丁目4番1号",
            "phone": "0177340003",
            "valid_from": date(2019, 4, 1),
            "valid_until": date(2020, 3, 31),
        },
    },
    "plain_utf8.csv": {
        "AB0000012": {
            "name": "八甲田工業株式会社",
            "corporate_number": "4011001098993",
            "representative_title": "代表取締役",
            "representative_name": "八甲田　山",
            "address": "青森市大字荒川 字品川111番地",
            "phone": "017-739-0000",
            "fax": "017-739-0001",
            "area": "市内",
            "valid_until": UNTIL,
        },
        "000000100": {
            "name": "𠮷田鉄工所",
            "representative_title": "店主",
            "representative_name": "𠮷田　一",
            "address": "弘前市上白銀町1-1",
            "phone": "0172-35-0000",
            "area": "県内",
            "valid_until": UNTIL,
        },
    },
    "trade_rows_bom.csv": {
        "000000201": {
            "name": "合浦建設株式会社",
            "representative_name": "合浦　公",
            "trades": [trade("土木一式工事", "A", "1012"), trade("舗装工事", "B", "804"), trade("造園工事")],
        },
        "000000202": {
            "name": "（有）浅虫設備",
            "representative_name": "浅虫　温",
            "trades": [trade("管工事", "B", "740")],
        },
        "000000203": {
            "name": "善知鳥電工㈱",
            "representative_name": "善知鳥　泳",
            "trades": [trade("電気工事", "A", "950"), trade("電気通信工事", "C", "655")],
        },
    },
    "kept_zeros_tab.csv": {
        "000000301": {"name": "荒川印刷", "trades": [trade("印刷・製本", "A"), trade("看板")], "area": "市内"},
        "000000302": {
            "name": "筒井事務機（株）",
            "trades": [trade("事務機器"), trade("文具", "B")],
            "area": "準市内",
        },
    },
    "merged_header.xlsx": {
        "000000401": {
            "name": "岩木測量設計株式会社",
            "representative_title": "代表取締役",
            "representative_name": "岩木　峰",
            "postal_code": "036-8001",
            "address": "弘前市代官町1",
            "phone": "0172-32-0000",
            "delegate": {"name": "青森支店", "title": "支店長", "person": "岩木　緑", "phone": "017-776-0000"},
            **TERM,
        },
        "990000402": {
            "name": "小柳地質（株）",
            "representative_title": "代表取締役",
            "representative_name": "小柳　岩男",
            "postal_code": "030-0915",
            "address": "青森市小柳2-1-1",
            "phone": "017-741-0402",
            **TERM,
        },
    },
    "mark_columns.xlsx": {
        "000000501": {
            "name": "陸奥舗装（株）",
            "address": "青森市浪館1",
            "trades": [trade("土木一式"), trade("舗装", "A")],
        },
        "000000502": {
            "name": "大野電気",
            "address": "青森市大野2",
            "trades": [trade("電気", "特A"), trade("電話")],
        },
        "000000503": {
            "name": "三内土木（有）",
            "address": "青森市三内3",
            "trades": [trade("土木一式"), trade("建築一式"), trade("舗装", "B")],
        },
        "000000504": {"name": "自由ヶ丘塗料", "address": "青森市自由ヶ丘4"},
    },
    "by_trade.xlsx": {
        "000000601": {"name": "奥入瀬造園（株）", "trades": [trade("土木一式", "A", "900"), trade("舗装", "B", "710")]},
        "000000602": {
            "name": "久栗坂重機（株）",
            "trades": [trade("土木一式", "B", "700"), trade("舗装", "A", "820"), trade("解体")],
        },
        "000000603": {"name": "後潟橋梁（株）", "trades": [trade("土木一式", "C", "600")]},
    },
    "goods_states.xlsx": {
        "000000701": {
            "name": "本町食品㈱",
            "name_kana": "ホンチョウショクヒン",
            "qualifications": {"物品の販売": "A", "役務の提供等": ""},
            **TERM,
        },
        "000000702": {
            "name": "新町文具",
            "name_kana": "シンマチブング",
            "qualifications": {"物品の製造": "B", "物品の販売": "B"},
            "status": "suspended",
            "suspended_from": date(2025, 6, 1),
            "suspended_until": date(2025, 8, 31),
            **TERM,
        },
        "000000703": {
            "name": "三好家具（株）",
            "name_kana": "ミヨシカグ",
            "qualifications": {"物品の製造": "C"},
            "status": "ended",
            "valid_until": date(2025, 3, 31),
        },
    },
    "grades_by_trade.xlsx": {
        "000000801": {"name": "油川水道（株）", "trades": [trade("土木一式", "B"), trade("水道施設", "A")]},
        "000000802": {"name": "野内建材", "trades": [trade("とび・土工・コンクリート", "C")]},
    },
}
# Options that the command needs for a file.
OPTIONS: dict[str, dict[str, str]] = {"grades_by_trade.xlsx": {"sheet": "工事"}}
