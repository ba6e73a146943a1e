"""Whatever the shape of the file, the same suppliers are read from it."""

from __future__ import annotations

import csv
import io
from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import Workbook

from irefuda.suppliers.register_files import lines
from irefuda.suppliers.register_files.cells import split_person
from irefuda.suppliers.register_files.finding import open_register
from irefuda_core import text

NAME = st.text("青森橋梁舗装建設株式会社髙﨑ガパＡｱ（）・ー１1 ", min_size=1, max_size=20).filter(
    lambda name: name.strip() == name and text.fold_for_search(name).strip("ー1")
)
SUPPLIERS = st.lists(
    st.fixed_dictionaries(
        {
            "number": st.integers(1, 999_999_999),
            "name": NAME,
            "address": st.one_of(st.just(""), NAME.map(lambda name: f"青森市{name}")),
            "until": st.one_of(st.none(), st.dates(date(2019, 5, 1), date(2060, 12, 31))),
        }
    ),
    min_size=1,
    max_size=8,
    unique_by=lambda supplier: supplier["number"],
)
NUMBERS = {
    "as a spreadsheet leaves it": str,
    "with its zeros": lambda number: f"{number:09}",
    "in full width": lambda number: text.to_full_width(str(number)),
    "kept by a formula": lambda number: f'="{number:09}"',
}
DAYS = {
    "era": lambda day: f"令和{day.year - 2018}年{day.month}月{day.day}日",
    "short era": lambda day: f"R{day.year - 2018}.{day.month}.{day.day}",
    "slashes": lambda day: f"{day.year}/{day.month:02}/{day.day:02}",
    "digits": lambda day: f"{day:%Y%m%d}",
}
SHAPE = st.fixed_dictionaries(
    {
        "form": st.sampled_from(["utf-8", "utf-8-sig", "cp932", "tabs", "xlsx"]),
        "titles": st.lists(st.sampled_from(["令和7年度　登録業者名簿", "", "令和7年4月1日現在"]), max_size=3),
        "order": st.permutations(range(5)),
        "words": st.tuples(
            st.sampled_from(["業者番号", "業者コード", "登録番号", "業者ＮＯ"]),
            st.sampled_from(["商号又は名称", "商号", "業者名", "会社名", "商 号"]),
            st.sampled_from(["所在地", "住所", "本社所在地"]),
            st.sampled_from(["有効期限", "有効期間（至）", "有効期間終了日"]),
            st.sampled_from(["備考", "No.", "摘要"]),
        ),
        "number": st.sampled_from(sorted(NUMBERS)),
        "day": st.sampled_from(sorted(DAYS)),
        "empty_lines": st.booleans(),
    }
)


def written(suppliers, shape):
    """Return the suppliers as a file of this shape."""
    body = [
        [
            NUMBERS[shape["number"]](supplier["number"]),
            supplier["name"],
            supplier["address"],
            DAYS[shape["day"]](supplier["until"]) if supplier["until"] else "",
            str(place),
        ]
        for place, supplier in enumerate(suppliers)
    ]
    rows = [[title] for title in shape["titles"]]
    for row in [shape["words"], *body]:
        rows.append([row[place] for place in shape["order"]])
        if shape["empty_lines"] and len(rows) > len(shape["titles"]) + 1:
            rows.append([])
    made = io.BytesIO()
    if shape["form"] == "xlsx":
        book = Workbook()
        for number, row in enumerate(rows, start=1):
            for place, value in enumerate(row, start=1):
                # As text: what begins with = would be a formula, and that has no value before a spreadsheet has opened it.
                cell = book.active.cell(number, place, value)
                cell.data_type = "s"
        book.save(made)
        return made.getvalue()
    lined = io.StringIO(newline="")
    csv.writer(lined, delimiter="\t" if shape["form"] == "tabs" else ",", lineterminator="\r\n").writerows(rows)
    return lined.getvalue().encode("utf-8" if shape["form"] == "tabs" else shape["form"])


@settings(max_examples=150, deadline=None)
@given(suppliers=SUPPLIERS, shape=SHAPE)
def test_the_same_suppliers_are_read_from_every_shape(tmp_path_factory, suppliers, shape):
    file = tmp_path_factory.getbasetemp() / "shape"
    file.write_bytes(written(suppliers, shape))
    with open_register(file, sheet="", given=None, remembered=None) as table:
        register = lines.read(table.rows, table.header)
    read = [
        (
            line.supplier_number,
            *(line.values[register.stored.index(name)] for name in ("name", "address", "valid_until")),
        )
        for line in register
    ]
    assert read == [
        (
            f"{supplier['number']:09}",
            text.clean_text(supplier["name"], max_length=100),
            text.clean_text(supplier["address"], max_length=120),
            supplier["until"].isoformat() if supplier["until"] else "",
        )
        for supplier in suppliers
    ]


@pytest.mark.parametrize(
    ("said", "parted"),
    [
        ("代表取締役　青森　太郎", ("代表取締役", "青森　太郎")),
        ("代表取締役社長 青森太郎", ("代表取締役社長", "青森太郎")),
        ("代表取締役青森太郎", ("代表取締役", "青森太郎")),
        ("専務取締役　青森太郎", ("専務取締役", "青森太郎")),
        ("青森支店長　服部長太郎", ("青森支店長", "服部長太郎")),
        ("服部長太郎", ("", "服部長太郎")),
        ("会長谷川　一", ("", "会長谷川　一")),
        ("青森　太郎", ("", "青森　太郎")),
        ("代表取締役", ("", "代表取締役")),
        ("", ("", "")),
    ],
)
def test_a_title_is_parted_from_a_name_only_when_it_surely_is_one(said, parted):
    assert split_person(said) == parted
