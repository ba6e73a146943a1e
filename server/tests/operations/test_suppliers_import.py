"""`import_suppliers`: registers as cities publish them, the report, and what a second import does."""

from __future__ import annotations

import hashlib
import io
import json
import re
import uuid
from datetime import date
from pathlib import Path

import pytest
from builders import make_section, make_supplier
from django.core.management import CommandError, call_command
from register_files import build, expected
from register_office import register_card

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration import register as changes
from irefuda.registration.models import CardStatus, RegisteredCard, Registration
from irefuda.staff.models import StaffAct
from irefuda.suppliers import queries
from irefuda.suppliers.models import ColumnMapping, ImportState, RegisterImport, RegisterMark, Supplier

FILES = Path(build.__file__).parent


@pytest.fixture
def works(db):
    return make_section(code="9991", category="0", name="入札市（工事・コンサル）")


def run(file, **options):
    """Run the command as a person does and return what it printed, the last words of a refusal included.

    Asked to confirm how many companies end or change, the person does.
    """
    said, place = io.StringIO(), {"agency": "9991", "category": "works", "reason": "月初の名簿"}
    try:
        call_command("import_suppliers", str(file), **{**place, "stdout": said, **options})
    except CommandError as refused:
        if (asked := re.search(r"--yes (\d+)", str(refused))) and "yes" not in options:
            return run(file, yes=int(asked[1]), **options)
        return f"{said.getvalue()}{refused}"
    return said.getvalue()


def register(section):
    """Return the register by 業者番号, of each supplier the columns that say something."""
    silent = ("", None, {}, [])
    hidden = {"id", "section_id", "supplier_number", "login_id", "login_password"}
    return {
        row["supplier_number"]: {
            column: value
            for column, value in row.items()
            if column not in hidden and value not in silent and (column, value) != ("status", "active")
        }
        for row in Supplier.objects.filter(section=section).values()
    }


def write(folder, *lines, encoding="utf-8"):
    file = folder / f"{uuid.uuid4().hex}.csv"
    file.write_bytes("\r\n".join([*lines, ""]).encode(encoding))
    return file


# -- the samples


@pytest.mark.parametrize("name", build.FILES)
def test_the_samples_are_what_their_script_makes(name):
    assert (FILES / name).read_bytes() == build.FILES[name]()


@pytest.mark.parametrize("name", expected.SUPPLIERS)
def test_a_register_as_cities_publish_it_is_read_without_a_question(works, name):
    said = run(FILES / name, **expected.OPTIONS.get(name, {}))
    assert register(works) == expected.SUPPLIERS[name]
    assert f"新しく載る会社：{len(expected.SUPPLIERS[name])}社" in said


@pytest.mark.parametrize("name", expected.SUPPLIERS)
def test_the_same_file_again_changes_nothing(works, name):
    options = expected.OPTIONS.get(name, {})
    run(FILES / name, **options)
    before = list(Supplier.objects.order_by("id").values())
    said = run(FILES / name, **options)
    assert f"変わらない会社：{len(before)}社" in said
    assert "列の対応（前回と同じ）" in said
    assert list(Supplier.objects.order_by("id").values()) == before


def test_what_was_imported_is_found_by_name_reading_and_number(works):
    run(FILES / "title_rows_cp932.csv")
    for typed in ("高崎", "たかさき", "98760"):
        found = queries.search_register(section=works, typed=typed)
        assert [supplier.supplier_number for supplier in found.suppliers] == ["000098760"]


def test_two_registers_in_one_workbook_are_asked_about(works):
    said = run(FILES / "grades_by_trade.xlsx")
    assert "F-514　名簿のあるシートが二つ以上あります：工事、委託" in said
    said = run(FILES / "grades_by_trade.xlsx", sheet="物品")
    assert "F-515　シート「物品」がありません。　→ あるシート：工事、委託" in said
    assert not Supplier.objects.exists()


# -- questions and answers


def test_an_unknown_shape_ends_in_a_question_and_its_answer_is_remembered(works, tmp_path):
    file = FILES / "unknown_shape.csv"
    said = run(file)
    assert "F-509" in said
    question = json.loads(said[said.index("{") : said.index("}") + 1])
    assert question == {
        "管理番号": "？",
        "屋号": "？",
        "登記名": "？",
        "ISO9001": "？",
        "担当": "？",
        "電話": "電話番号",
    }
    assert not Supplier.objects.exists()
    assert not ColumnMapping.objects.exists()
    answer = tmp_path / "mapping.json"
    answer.write_text(json.dumps(question), encoding="utf-8")
    assert "F-513　列の対応表を読み取れません（「管理番号」がまだ「？」です）" in run(file, mapping=answer)
    answered = {
        **question,
        "管理番号": "業者番号",
        "屋号": "使わない",
        "登記名": "商号又は名称",
        "ISO9001": "使わない",
        "担当": "使わない",
    }
    answer.write_text(json.dumps(answered), encoding="utf-8")
    assert "取り込みました" in run(file, mapping=answer)
    assert register(works) == {
        "000000901": {"name": "株式会社こぎん工芸", "phone": "017-722-0901"},
        "000000902": {"name": "りんご商事合同会社", "phone": "017-722-0902"},
    }
    assert "列の対応（前回と同じ）" in run(file)
    # The same words in a file of other columns say nothing: the answer is shown again, for a person to look at.
    other = write(tmp_path, "管理番号,登記名,数", "000000901,株式会社こぎん工芸,1")
    said = run(other)
    assert "F-509" in said
    assert '"登記名": "商号又は名称"' in said
    assert '"数": "？"' in said


def test_marks_below_a_word_that_names_no_trade_are_asked_about(works, tmp_path):
    file = write(tmp_path, "業者番号,商号,舗装,障害者雇用,格付", "1,青森舗装,○,○,A")
    said = run(file)
    assert "F-510　次の列が何か分かりません：「障害者雇用」" in said
    assert "F-532　列「格付」が、どの業種・品目のものか分かりません" in said
    assert '"舗装": "○か等級を付ける業種・品目"' in said
    assert '"障害者雇用": "○か等級を付ける業種・品目"' in said
    assert not Supplier.objects.exists()


def test_two_columns_for_one_thing_are_asked_about(works, tmp_path):
    file = write(tmp_path, "業者番号,商号,業者名,電話", "1,青森,あおもり,")
    assert "F-511　「商号又は名称」に当たる列が二つ以上あります：商号、業者名" in run(file)
    answer = tmp_path / "mapping.json"
    answer.write_text(json.dumps({"業者名": "使わない"}), encoding="utf-8")
    run(file, mapping=answer)
    assert register(works) == {"000000001": {"name": "青森"}}


def test_the_contact_person_s_name_is_not_taken_for_the_representative_s(works, tmp_path):
    file = write(tmp_path, "業者番号,商号,担当者,", ",,氏名,電話番号", "1,青森,花子,017-000-0000")
    said = run(file)
    assert "「担当者／氏名」、「担当者／電話番号」" in said


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ('{"業者番号": "業者番号"', "UTF-8のJSONではありません"),
        ('["業者番号"]', "の形ではありません"),
        ('{"業者番号": 1}', "の形ではありません"),
        ('{"業者番号": "番号"}', "「業者番号」の項目「番号」はありません"),
        ('{"電話": "電話番号"}', "「電話」という列は、このファイルにありません"),
        ('{"商号": "商号又は名称", "商号": "使わない"}', "「商号」が二度出てきます"),
        ("[" * 100_000, "UTF-8のJSONではありません"),
        (" " * 300_000, "大きすぎます"),
    ],
)
def test_a_mapping_that_cannot_be_used_is_refused_with_its_reason(works, tmp_path, written, reason):
    file = write(tmp_path, "業者番号,商号", "1,青森")
    answer = tmp_path / "mapping.json"
    answer.write_text(written, encoding="utf-8")
    said = run(file, mapping=answer)
    assert "F-513" in said
    assert reason in said
    assert not Supplier.objects.exists()


# -- a second import


def test_a_second_import_updates_ends_and_takes_back(works, tmp_path):
    first = write(tmp_path, "業者番号,商号,所在地", "1,青森建設,青森市1", "2,弘前舗装,弘前市2", "3,八戸電気,八戸市3")
    run(first)
    kept = dict(Supplier.objects.values_list("supplier_number", "id"))
    second = write(tmp_path, "業者番号,商号,所在地", "1,青森土木,青森市1", "3,八戸電気,八戸市3", "4,五所川原造園,")
    said = run(second)
    assert "新しく載る会社：1社\n  4行目　000000004　五所川原造園" in said
    assert "内容が変わる会社：1社\n  2行目　000000001　青森土木：商号又は名称「青森建設」→「青森土木」" in said
    assert "名簿から外れる会社：1社\n  000000002　弘前舗装" in said
    assert "変わらない会社：1社" in said
    assert "利用者登録のある会社への影響はありません" in said
    rows = dict(Supplier.objects.values_list("supplier_number", "status"))
    assert rows == {"000000001": "active", "000000002": "ended", "000000003": "active", "000000004": "active"}
    assert not queries.search_register(section=works, typed="弘前").suppliers
    assert not queries.search_register(section=works, typed="青森建設").suppliers
    assert queries.search_register(section=works, typed="青森土木").total == 1
    said = run(first)
    assert "名簿に戻る会社：1社\n  3行目　000000002　弘前舗装" in said
    assert queries.search_register(section=works, typed="弘前").total == 1
    assert {number: Supplier.objects.get(supplier_number=number).id for number in kept} == kept


def test_a_dry_run_tells_the_same_and_changes_nothing(works, tmp_path):
    run(write(tmp_path, "業者番号,商号", "1,青森建設", "2,弘前舗装"))
    before = (list(Supplier.objects.order_by("id").values()), list(ColumnMapping.objects.values()))
    second = write(tmp_path, "業者番号,商号", "1,青森土木", "3,八戸電気")
    told = run(second, dry_run=True)
    assert (list(Supplier.objects.order_by("id").values()), list(ColumnMapping.objects.values())) == before
    done = run(second)
    assert told.splitlines()[0] == "【確認だけ：何も変更していません】"
    asked = ["", "1割より多くの会社が外れるか変わります。取り込むときは --yes 2 を付けてください。"]
    assert told.splitlines()[1:] == [*done.splitlines()[1:], *asked]


def test_companies_with_registered_users_are_named_and_their_registrations_stay(works, tmp_path):
    run(write(tmp_path, "業者番号,商号", "1,青森建設", "2,弘前舗装", "3,八戸電気", "4,黒石硝子"))
    for number in "123":
        register_card(works, f"00000000{number}")
    register_card(works, "000000001", status=CardStatus.PROVISIONAL)
    register_card(works, "000000004", status=CardStatus.CLOSED)
    before = [list(model.objects.order_by("id").values()) for model in (Registration, RegisteredCard)]
    second = write(tmp_path, "業者番号,商号", "1,青森土木", "3,八戸電気")
    for options, tense in (({"dry_run": True}, "知らせる"), ({}, "知らせた")):
        said = run(second, **options)
        touched = said[said.index("利用者登録のある会社への影響") :].splitlines()
        assert touched[:5] == [
            "利用者登録のある会社への影響：2社（登録とICカードはそのままです）",
            "  【名簿から外れる会社】000000002　弘前舗装（ICカード1枚）",
            f"    {tense}こと：資格が終了したこと",
            "  【内容が変わる会社】2行目　000000001　青森土木：商号又は名称「青森建設」→「青森土木」（ICカード2枚）",
            f"    {tense}こと：名簿の内容が変わったこと（ICカードの取り直しが要るかもしれないこと）",
        ]
    assert [list(model.objects.order_by("id").values()) for model in (Registration, RegisteredCard)] == before


# -- the deed


def test_it_is_the_deed_of_the_page_with_ledger_marks_notices_and_report(works, tmp_path):
    run(write(tmp_path, "業者番号,商号,住所", "1,青森建設,青森市", "2,弘前舗装,", "3,八戸電気,"))
    for number in ("000000001", "000000002"):
        register_card(works, number)
    second = write(tmp_path, "業者番号,商号,住所", "1,青森建設,弘前市", "3,八戸電気,", "4,=,")
    assert "F-526" in run(second, reason="四月の名簿")
    second = write(tmp_path, "業者番号,商号,住所", "1,青森建設,弘前市", "3,八戸電気,", "4,黒石硝子,")
    run(second, dry_run=True, reason="")
    assert RegisterImport.objects.count() == StaffAct.objects.count() == 1
    assert not Notice.objects.exists()
    run(second, reason="四月の名簿")
    report = RegisterImport.objects.get(reason="四月の名簿")
    assert (report.state, report.done_by, report.file_name) == (ImportState.DONE, "（コマンド）", second.name)
    assert report.sha256 == hashlib.sha256(second.read_bytes()).hexdigest()
    assert report.counts == {"new": 1, "changed": 1, "returned": 0, "ended": 1, "unchanged": 1, "touched": 2, "told": 2}
    assert [one["name"] for one in queries.changes_of(report, kind="ended", page=1)] == ["弘前舗装"]
    assert not report.parts.exists()
    act = StaffAct.objects.get(id=report.act)
    assert (act.kind, act.member, act.subject) == ("register.imported", None, "register:9991:0")
    assert act.changes == [list(row) for row in changes.import_changes(report)]
    document = json.loads(bytes(Entry.objects.get(id=act.ledger_entry).document))
    assert (document["member_name"], document["reason"]) == ("（コマンド）", "四月の名簿")
    assert json.loads(document["changes"]) == act.changes
    marks = {mark.supplier.supplier_number: mark.told for mark in RegisterMark.objects.select_related("supplier")}
    assert marks == {"000000001": [changes.COMPANY_CHANGED], "000000002": [changes.ENDED]}
    assert set(RegisterMark.objects.values_list("act", flat=True)) == {report.act}
    told = Notice.objects.values_list("kind", "to").order_by("kind", "to")
    assert list(told) == [
        (kind, to)
        for kind in (changes.COMPANY_CHANGED, changes.ENDED)
        for to in ("daihyo@example.jp", "shain@example.jp")
    ]


def test_a_reason_is_asked_for_whatever_changes_something(works, tmp_path):
    file = write(tmp_path, "業者番号,商号", "1,青森建設")
    for reason in ("", "　", "あ" * 201, "月\x1b[31m"):
        assert "--reason に、理由を200文字以内で書いてください" in run(file, reason=reason)
    assert not Supplier.objects.exists()
    assert "取り込みました" in run(file, reason="あ" * 200)


def test_without_the_address_for_the_ledger_only_a_dry_run_is_done(works, tmp_path, settings):
    settings.STAFF_ORIGIN = ""
    file = write(tmp_path, "業者番号,商号", "1,青森建設")
    assert "新しく載る会社：1社" in run(file, dry_run=True)
    assert "IREFUDA_STAFF_ORIGIN がありません" in run(file)
    assert not Supplier.objects.exists()


def test_a_wrong_file_does_not_end_the_register_by_a_command(works, tmp_path):
    companies = [f"{number},会社{number}" for number in range(1, 21)]
    run(write(tmp_path, "業者番号,商号", *companies))
    before = (register(works), list(RegisterImport.objects.values()), list(StaffAct.objects.values()))
    wrong = write(tmp_path, "業者番号,商号", "1,別の名前", "2,別の名前", *companies[3:])
    for number in (0, 1, 2, 4, 20):
        said = run(wrong, yes=number)
        assert "S-937　1割より多くの会社が、外れるか変わります：合わせて3社（いまの名簿は20社）" in said
        assert said.endswith("何も変更していません。")
    assert (register(works), list(RegisterImport.objects.values()), list(StaffAct.objects.values())) == before
    assert "取り込みました" in run(wrong, yes=3)
    # A tenth is let through, and nobody is asked to type a number for it.
    assert "取り込みました" in run(write(tmp_path, "業者番号,商号", "1,別の名前", *companies[3:]), yes=None)


def test_what_the_file_has_no_column_for_stays_as_it_is(works, tmp_path):
    make_supplier(
        works, supplier_number="000000001", status="suspended", suspended_from=date(2026, 1, 1), login_password="hash"
    )
    before = Supplier.objects.values().get()
    run(write(tmp_path, "業者番号,商号", "1,（株）テスト商会01"))
    assert Supplier.objects.values().get() == before
    run(write(tmp_path, "業者番号,商号,状態,指名停止期間,電話", "1,（株）テスト商会01,,,"))
    after = Supplier.objects.values().get()
    assert after == {**before, "status": "active", "suspended_from": None, "suspended_until": None, "phone": ""}


def test_another_section_s_register_is_not_touched(works, tmp_path):
    goods = make_section(code="9991", category="1")
    make_supplier(goods, supplier_number="000000009", name="物品の会社")
    run(write(tmp_path, "業者番号,商号", "1,青森建設"))
    assert register(goods)["000000009"]["name"] == "物品の会社"
    assert "status" not in register(goods)["000000009"]


def test_a_section_that_does_not_exist_is_named_beside_those_that_do(works, tmp_path):
    with pytest.raises(CommandError, match="調達機関9999に、works の区分はありません。あるもの：9991 works"):
        call_command(
            "import_suppliers",
            str(write(tmp_path, "業者番号,商号", "1,青")),
            agency="9999",
            category="works",
            dry_run=True,
        )


def test_long_lists_in_the_report_are_cut_and_counted(works, tmp_path):
    said = run(write(tmp_path, "業者番号,商号", *(f"{n},会社{n}" for n in range(1, 2502))))
    assert "新しく載る会社：2501社" in said
    assert "  ほか2471社" in said
    assert len(said.splitlines()) < 60
    assert Supplier.objects.filter(section=works).count() == 2501
    assert queries.search_register(section=works, typed="会社2501").total == 1
