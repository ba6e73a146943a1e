"""A register of a made-up city, as large as asked: some words are in a tenth of the names, some in three, whatever the size."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Iterator
from pathlib import Path

from irefuda.agencies.models import Section
from irefuda.suppliers.models import Supplier

PARTS = (("青", "アオ"), ("森", "モリ"), ("津", "ツ"), ("軽", "カル"), ("岩", "イワ"), ("木", "キ"), ("浅", "アサ"), ("虫", "ムシ"), ("八", "ハチ"), ("甲", "コウ"), ("田", "ダ"), ("合", "ゴウ"), ("浦", "ウラ"), ("野", "ノ"), ("内", "ナイ"), ("堤", "ツツミ"))  # fmt: skip
FORMS = ("株式会社{}", "（株）{}", "有限会社{}", "{}合同会社")
RARE = (7, 377, 877)
COLUMNS = {
    "業者番号": "supplier_number",
    "商号又は名称": "name",
    "商号フリガナ": "name_kana",
    "代表者氏名": "representative_name",
    "郵便番号": "postal_code",
    "所在地": "address",
    "電話番号": "phone",
    "FAX番号": "fax",
}


def suppliers(section: Section, count: int) -> Iterator[Supplier]:
    """Return so many suppliers of this section, unsaved: 舗装 in a tenth of the names, 橋梁 in three."""
    parts = itertools.cycle(itertools.product(PARTS, repeat=3))
    for place, (form, chosen) in enumerate(zip(itertools.cycle(FORMS), parts, strict=False)):
        if place == count:
            return
        name, kana = "".join(part for part, _ in chosen), "".join(part for _, part in chosen)
        if place % 10 == 3:
            name, kana = f"{name}舗装", f"{kana}ホソウ"
        if place in RARE:
            name, kana = f"{name}橋梁", f"{kana}キョウリョウ"
        yield Supplier(
            section=section,
            supplier_number=f"{place % 10}{place:08d}",
            name=form.format(name),
            name_kana=kana,
            representative_name=f"代表 {place}郎",
            postal_code=f"030-{place % 10000:04d}",
            address=f"青森市新町{place % 30 + 1}-{place % 50 + 1}",
            phone="017-000-0000",
            fax="017-000-0001",
        )


def write_file(file: Path, section: Section, count: int) -> Path:
    """Write the same suppliers as a city's CSV file, and return it."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.writer(lines)
        writer.writerow(COLUMNS)
        for supplier in suppliers(section, count):
            writer.writerow([getattr(supplier, column) for column in COLUMNS.values()])
    return file
