"""Taking a city's file on the page: upload, columns, difference, last word, report; and every file that is none."""

from __future__ import annotations

import csv
import hashlib
import io
import re
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from register_files import build, expected
from register_office import PLACE, Counter, changed_rows, confirm, form_of, open_counter, register_card
from staff_office import HOST, Office
from webtest import Upload

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration import register
from irefuda.staff.models import Role, StaffAct
from irefuda.suppliers import imports
from irefuda.suppliers.models import (
    ColumnMapping,
    ImportFilePart,
    ImportPage,
    RegisterImport,
    RegisterMark,
    Supplier,
    SupplierStatus,
)
from irefuda.ui import clock
from irefuda.ui.spreadsheets import FORMULA

FILES = Path(build.__file__).parent
HEADER = "業者番号,商号,所在地"
KEPT = ["000000001,青森建設株式会社,○○○市××町△丁目1-1-1", "000000002,有限会社弘前組,○○○市××町△丁目1-1-1", "000000003,八戸舗装株式会社,○○○市××町△丁目1-1-1"]  # fmt: skip


@pytest.fixture
def counter(office: Office) -> Counter:
    return open_counter(office)


@pytest.fixture
def app(counter: Counter, browser):
    return browser(counter.card)


def bring(app: Any, content: bytes, name: str = "名簿.csv", **typed: str) -> Any:
    """Send a file as the page does, and return the page that follows."""
    form = form_of(app.get(f"{PLACE}/").click("ファイルを取り込む"), "file")
    form["file"] = Upload(name, content)
    for field, value in typed.items():
        form[field] = value
    page = form.submit()
    return page.follow() if page.status_code == 302 else page


def lines(*rows: str, header: str = HEADER) -> bytes:
    return "\r\n".join([header, *rows, ""]).encode()


def many(counter: Counter, count: int) -> list[str]:
    """Put so many companies more into the register, and return the lines of all of them."""
    Supplier.objects.bulk_create(
        Supplier(section=counter.section, supplier_number=f"1{place:08d}", name=f"会社{place}", address="青森市")
        for place in range(count)
    )
    return [*KEPT, *(f"1{place:08d},会社{place},青森市" for place in range(count))]


def take(page: Any, reason: str = "月初の名簿", **typed: str) -> Any:
    """Give the last word on a page of a difference, and return the report."""
    form = form_of(page, "reason")
    form["reason"] = reason
    for field, value in typed.items():
        form[field] = value
    return confirm(form.submit())


def counts(page: Any) -> dict[str, str]:
    return dict(re.findall(r'<th scope="row">(?:<a href="#\w+">)?(\w+)(?:</a>)?</th><td data-label="会社の数">(\d+)社', page.text))  # fmt: skip


def register_stored(counter: Counter) -> list[dict[str, Any]]:
    return list(Supplier.objects.filter(section=counter.section).order_by("id").values())


# -- the whole way


def test_a_file_is_sent_looked_at_taken_and_reported(counter: Counter, app):
    before = register_stored(counter)
    content = lines(*many(counter, 40)[:42], "000000009,新しい会社,青森市", "100000039,会社39,八戸市")
    content = content.replace("青森建設株式会社,○○○市".encode(), "青森建設株式会社,弘前市".encode())
    page = bring(app, content)
    assert counts(page) == {
        "利用者登録のある会社への影響": "1",
        "名簿から外れる会社": "0",
        "内容が変わる会社": "2",
        "名簿に戻る会社": "0",
        "新しく載る会社": "1",
        "変わらない会社": "41",
    }
    assert "所在地：「青森市」→「八戸市」" in page.text
    assert register.TOLD_NAMES[register.COMPANY_CHANGED] in page.text
    assert hashlib.sha256(content).hexdigest() in page.text
    assert "1割より多く" not in page.text
    assert register_stored(counter)[:3] == before
    form = form_of(page, "reason")
    assert "理由を入力してください" in form.submit().text
    form["reason"] = "月初の名簿"
    checked = form.submit()
    assert ("新しく載る会社", "―", "1社") in changed_rows(checked)
    last_word = form_of(checked, "seen")
    report = last_word.submit("confirmed").follow()
    assert "取り込み、台帳に記録しました" in report.text
    # Sent once more: the same report, one import.
    assert "取り込みの報告" in last_word.submit("confirmed").follow().text
    assert counter.supplier("000000009").name == "新しい会社"
    assert counter.supplier().address.startswith("弘前市")
    assert counter.supplier("100000039").address == "八戸市"
    brought = RegisterImport.objects.get()
    act = StaffAct.objects.get(kind="register.imported")
    assert (brought.done_by, brought.reason, brought.act) == ("契約 花子", "月初の名簿", act.id)
    assert ["ファイルのSHA-256", "", hashlib.sha256(content).hexdigest()] in act.changes
    assert Entry.objects.filter(id=act.ledger_entry).exists()
    # The file itself is gone; what it has changed is kept.
    assert not ImportFilePart.objects.exists()
    assert ImportPage.objects.filter(owner=brought, kind="changed").count() == 1
    assert sorted(Notice.objects.values_list("kind", "to")) == [
        ("register.company_changed", "daihyo@example.jp"),
        ("register.company_changed", "shain@example.jp"),
    ]
    assert RegisterMark.objects.get().supplier == counter.supplier()
    for part in ("契約 花子", "月初の名簿", "所在地：「青森市」→「八戸市」"):
        assert part in report.text
    assert "名簿.csv" in app.get(f"{PLACE}/reports/").text


def test_the_report_as_csv_says_all_and_runs_nowhere(counter: Counter, app):
    content = lines("000000001,青森建設株式会社,弘前市", *KEPT[1:2], "000000008,（株）新,青森市")
    report = take(bring(app, content), typed_number="2")
    # Such a name cannot come in by a file (F-526), but it may be in the register from before.
    page = ImportPage.objects.get(kind="changed")
    page.changes[0]["name"] = '=HYPERLINK("http://x")'
    page.changes[0]["differences"] = [["address", "-1", "@x"], ["phone", "+81", "\t1"]]
    page.save()
    answer = report.click("CSVで保存する")
    assert answer.content_type == "text/csv"
    assert "attachment" in answer.headers["Content-Disposition"]
    assert answer.body.startswith(b"\xef\xbb\xbf")
    table = list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))
    assert ["内容が変わる会社", "2", "000000001", "'=HYPERLINK(\"http://x\")", "所在地", "'-1", "'@x", "1", register.TOLD_NAMES[register.COMPANY_CHANGED]] in table  # fmt: skip
    assert ["新しく載る会社", "4", "000000008", "（株）新", "", "", "", "", ""] in table
    assert ["名簿から外れる会社", "", "000000003", "八戸舗装株式会社", "", "", "", "", ""] in table
    assert not [cell for row in table for cell in row if cell.startswith(FORMULA)]


def test_a_wrong_file_does_not_end_the_register_by_a_click(counter: Counter, app):
    register_card(counter.section, "000000003")
    page = bring(app, lines(*KEPT[:1], "000000007,よその会社,青森市"))
    assert "1割より多くの会社が、外れるか変わります：合わせて2社（いまの名簿は3社）" in page.text
    form = form_of(page, "reason")
    form["reason"] = "月初の名簿"
    for typed in ("", "3", "x"):
        form["typed_number"] = typed
        refused = form.submit()
        assert "数が違います" in refused.text
        assert "まだ変更していません" not in refused.text
    # Nor past the page that asks.
    sent = form.submit_fields()
    forced = [*[pair for pair in sent if pair[0] != "typed_number"], ("confirmed", "1"), ("act", str(uuid.uuid4()))]
    assert app.post(page.request.path, forced).status_code == 200
    assert counter.supplier("000000003").status == SupplierStatus.ACTIVE
    take(page, typed_number="2")
    assert counter.supplier("000000003").status == SupplierStatus.ENDED
    assert {notice.kind for notice in Notice.objects.all()} == {"register.company_ended"}


def test_each_kind_is_shown_fifty_at_a_time(counter: Counter, app):
    page = bring(app, lines(*KEPT, *(f"2{place:08d},会社{place},青森市" for place in range(120))))
    assert page.text.count("会社") > 50
    assert "会社49<" in page.text
    assert "会社50<" not in page.text
    second = page.click("次の50社")
    assert "会社50<" in second.text
    assert "会社99<" in second.text
    third = second.click("次の50社")
    assert "会社119<" in third.text
    assert "3/3ページ" in third.text
    assert "会社119<" in app.get(page.request.path + "?new=999").text
    report = take(third)
    assert "会社50<" in report.click("次の50社").text
    assert Supplier.objects.filter(section=counter.section).count() == 123


@pytest.mark.parametrize("name", sorted(expected.SUPPLIERS))
def test_registers_as_cities_publish_them_are_read_as_by_the_command(counter: Counter, app, name):
    Supplier.objects.filter(section=counter.section).exclude(supplier_number="000000001").delete()
    options = expected.OPTIONS.get(name, {})
    page = bring(app, (FILES / name).read_bytes(), name, **options)
    if "列の対応の確認" in page.text:
        assert "F-51" in page.text
        form = form_of(page, "column-0")
        for select in re.findall(r'name="(column-\d+)"', page.text):
            if form[select].value == "？":
                form[select] = "使わない"
        page = form.submit("columns").follow()
    take(page, **({"typed_number": "1"} if "typed_number" in page.text else {}))
    by_page = {row["supplier_number"]: {**row, "id": 0} for row in register_stored(counter)}
    Supplier.objects.filter(section=counter.section).exclude(supplier_number="000000001").delete()
    assert ColumnMapping.objects.get().mapping
    place = {"agency": "9991", "category": "works", "reason": "月初の名簿", "yes": 1, "stdout": io.StringIO()}
    call_command("import_suppliers", str(FILES / name), **place, **options)
    by_command = {row["supplier_number"]: {**row, "id": 0} for row in register_stored(counter)}
    assert by_page == by_command
    assert len(by_page) > 1


# -- columns


def test_columns_are_asked_corrected_and_remembered(counter: Counter, app):
    content = lines("1,000000001,青森建設株式会社,x", header="受付No,業者番号,商号,なぞの列")
    page = bring(app, content)
    assert "F-510" in page.text
    assert "--mapping" not in page.text
    form = form_of(page, "column-0")
    assert form["column-1"].value == "業者番号"
    again = form.submit("columns")
    assert "F-513" in again.text
    form = form_of(again, "column-0")
    form["column-0"], form["column-3"] = "使わない", "地域区分"
    page = form.submit("columns").follow()
    assert "地域区分：「」→「x」" in page.text
    # Looked at again and corrected from the difference.
    form = form_of(page.click("列の対応を見る・直す"), "column-0")
    form["column-3"] = "使わない"
    page = form.submit("columns").follow()
    assert "地域区分" not in page.text
    take(page, typed_number="2")
    page = bring(app, content.replace("青森建設株式会社".encode(), "青森建設（株）".encode()))
    assert "前回と同じ" in page.text
    assert "商号又は名称：「青森建設株式会社」→「青森建設（株）」" in page.text


def test_as_many_columns_as_a_file_may_have_are_asked_about(counter: Counter, app):
    header = ",".join(["業者番号", "商号", *(f"なぞ{place}" for place in range(254))])
    page = bring(app, lines("000000001,青森建設株式会社" + ",x" * 254, header=header))
    form = form_of(page, "column-0")
    for place in range(2, 256):
        form[f"column-{place}"] = "使わない"
    page = form.submit("columns").follow()
    assert counts(page)["変わらない会社"] == "1"


def test_a_column_nobody_made_up_is_refused_and_nothing_of_it_is_kept(counter: Counter, app):
    page = bring(app, lines("1,000000001,青森建設株式会社", header="受付No,業者番号,商号"))
    token = form_of(page, "column-0")["csrfmiddlewaretoken"].value
    typed = {"csrfmiddlewaretoken": token, "columns": "1", "column-0": "\x00<b>", "column-1": "業者番号"}
    answer = app.post(page.request.path, typed)
    assert "F-513" in answer.text
    assert "<b>" not in answer.text
    assert RegisterImport.objects.get().given == {}


# -- files that are no register


def bomb() -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as book:
        book.writestr("xl/workbook.xml", b"0" * 50_000_000)
    return written.getvalue()


@pytest.mark.parametrize(
    ("content", "name", "code"),
    [
        (b"", "empty.csv", "F-501"),
        (b"\r\n,,\r\n", "blank.csv", "F-501"),
        ("業者番号,商号\r\n1,青森".encode("utf-16"), "utf16.csv", "F-502"),
        ("業者番号,商号\r\n1,青森".encode("euc_jp") + b"\xff\xff", "euc.csv", "F-502"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "名簿.png", "F-502"),
        (b"%PDF-1.7", "名簿.pdf", "F-504"),
        (b"\xd0\xcf\x11\xe0" + bytes(600), "old.xls", "F-504"),
        (bomb(), "bomb.xlsx", "F-505"),
        (b"PK\x03\x04" + bytes(50), "broken.xlsx", "F-506"),
        ('業者番号,商号\r\n1,"青森'.encode(), "quote.csv", "F-507"),
        ("これは\r\n名簿では\r\nありません".encode(), "memo.txt", "F-509"),
        (lines(header=HEADER), "headless.csv", "F-512"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_and_not_kept(counter: Counter, app, content, name, code):
    before = register_stored(counter)
    page = bring(app, content, name)
    assert code in page.text
    assert "--" not in re.sub(r"<!--.*?-->", "", page.html.main.get_text())
    assert not RegisterImport.objects.exists()
    assert register_stored(counter) == before


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        (["1,=cmd|' /C calc'!A0,青森市"], ["F-526"]),
        (["000000001,一,青森市", "1,二,青森市"], ["F-524"]),
        (["12-3,一,青森市", "000000002,,青森市", ",三,青森市"], ["F-522", "F-523"]),
        ([f"1,{'あ' * 101},青森市"], ["F-527"]),
    ],
)
def test_wrong_lines_are_listed_and_nothing_is_changed(counter: Counter, app, rows, codes):
    before = register_stored(counter)
    page = bring(app, lines(*rows))
    for code in codes:
        assert code in page.text
    assert "行目" in page.text
    assert "直すところがあります" in page.text
    assert register_stored(counter) == before
    # The columns can be corrected from here, and the file given up.
    assert form_of(page, "column-0")["column-1"].value == "商号又は名称"
    assert "まだ取り込んだファイルはありません" in form_of(page, "column-0").submit("give_up").follow().text
    assert not RegisterImport.objects.exists()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(counter: Counter, app, monkeypatch):
    class Unread:
        def read(self, *size: int) -> bytes:
            raise AssertionError("the file was read")

    monkeypatch.setitem(app.extra_environ, "wsgi.input", Unread())
    answer = app.post(
        f"{PLACE}/import/",
        b"",
        headers={"Content-Type": "multipart/form-data; boundary=x", "Content-Length": str(70 * 2**20)},
    )
    assert "F-503" in answer.text
    assert not RegisterImport.objects.exists()


def test_a_file_goes_to_the_disk_and_never_into_memory(counter: Counter, app, monkeypatch):
    kinds = []
    brought = imports.bring

    def noted(**named: Any) -> Any:
        kinds.append(named["path"].exists())
        return brought(**named)

    monkeypatch.setattr(imports, "bring", noted)
    bring(app, lines(*KEPT))
    assert kinds == [True]


def test_no_file_and_no_token_are_told(counter: Counter, app, office: Office):
    form = form_of(app.get(f"{PLACE}/import/"), "file")
    assert "ファイルを選んでください" in form.submit().text
    client = Client(headers={"host": HOST}, enforce_csrf_checks=True)
    client.cookies["irefuda-staff"] = app.cookies["irefuda-staff"]
    client.cookies["irefuda-staff-browser"] = app.cookies["irefuda-staff-browser"]
    answer = client.post(f"{PLACE}/import/", {"file": io.BytesIO(lines(*KEPT)), "id": str(uuid.uuid4())})
    assert answer.status_code == 403
    assert not RegisterImport.objects.exists()


def test_two_registers_in_one_workbook_are_asked_about_by_name(counter: Counter, app):
    from openpyxl import Workbook

    book = Workbook()
    for title, name in (("工事", "青森建設株式会社"), ("委託", "青森測量")):
        sheet = book.create_sheet(title)
        sheet.append(["業者番号", "商号"])
        sheet.append(["000000001", name])
    written = io.BytesIO()
    book.save(written)
    page = bring(app, written.getvalue(), "二つ.xlsx")
    assert "F-514" in page.text
    assert "「シートの名前」に" in page.text
    page = bring(app, written.getvalue(), "二つ.xlsx", sheet="委託")
    assert "商号又は名称：「青森建設株式会社」→「青森測量」" in page.text


# -- waiting


def test_a_form_sent_twice_brings_one_file(counter: Counter, app):
    form = form_of(app.get(f"{PLACE}/import/"), "file")
    form["file"] = Upload("名簿.csv", lines(*KEPT))
    assert form.submit().headers["Location"] == form.submit().headers["Location"]
    assert RegisterImport.objects.count() == 1


def test_a_file_waits_a_day_and_leaves_nothing(counter: Counter, app, monkeypatch):
    page = bring(app, lines("000000001,青森建設株式会社,個人の住所"))
    form = form_of(page, "reason")
    form["reason"], form["typed_number"] = "遅い", "3"
    checked = form.submit()
    later = clock.now() + timedelta(hours=24, minutes=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    brought = RegisterImport.objects.get()
    assert imports.purge(now=brought.expires_at - timedelta(seconds=1)) == 0
    out = io.StringIO()
    call_command("purge_registration", stdout=out)
    assert "取り込まれなかった名簿のファイル 1 件" in out.getvalue()
    assert not RegisterImport.objects.exists()
    assert not ImportFilePart.objects.exists()
    assert not ImportPage.objects.exists()
    assert counter.supplier().address.startswith("○○○市")
    assert form_of(checked, "seen").fields


def test_a_register_that_changed_meanwhile_is_compared_anew(counter: Counter, app):
    page = bring(app, lines(*KEPT[:2], "000000003,八戸舗装株式会社,青森市"))
    form = form_of(page, "reason")
    form["reason"], form["typed_number"] = "月初の名簿", "1"
    checked = form.submit()
    one = {"section": counter.section, "supplier_number": "000000002"}
    register.change_entry(deed=counter.office.deed(counter.actor), values={"address": "後から変えた住所"}, **one)
    page = form_of(checked, "seen").submit("confirmed").follow()
    assert "差分を見ている間に、名簿が変わりました" in page.text
    assert "「後から変えた住所」→" in page.text
    assert counter.supplier("000000002").address == "後から変えた住所"
    assert counter.supplier("000000003").address.startswith("○○○市")
    assert not StaffAct.objects.filter(kind="register.imported").exists()
    take(page, typed_number="2")
    assert counter.supplier("000000002").address.startswith("○○○市")


def test_the_same_file_taken_by_two_is_taken_once(counter: Counter, app, browser):
    page = bring(app, lines(*KEPT, "000000009,新しい会社,青森市"))
    other = browser(counter.office.let_in(Role.CONTRACTS, name="もう一人")[0])
    theirs = form_of(other.get(page.request.path), "reason")
    theirs["reason"] = "こちらも"
    checked = theirs.submit()
    take(page)
    answer = form_of(checked, "seen").submit("confirmed")
    assert answer.status_code == 302
    assert "契約 花子" in answer.follow().text
    assert StaffAct.objects.filter(kind="register.imported").count() == 1


def test_a_last_word_that_comes_too_late_is_told(counter: Counter, app):
    page = bring(app, lines(*KEPT, "000000009,新しい会社,青森市"))
    form = form_of(page, "reason")
    form["reason"] = "遅い"
    checked = form.submit()
    RegisterImport.objects.update(expires_at=clock.now())
    assert "S-932" in form_of(checked, "seen").submit("confirmed").text
    assert app.get(page.request.path).status_code == 404
    assert "名簿.csv" not in app.get(f"{PLACE}/import/").text
    assert Supplier.objects.filter(section=counter.section).count() == 3
    # The next file that comes sweeps it away.
    bring(app, lines(*KEPT, "000000010,別の会社,青森市"))
    assert RegisterImport.objects.count() == 1


def test_a_company_that_cannot_be_told_stops_the_whole_import(counter: Counter, app):
    card = register_card(counter.section, "000000002", email="no address")
    page = bring(
        app, lines("000000001,青森建設株式会社,弘前市", "000000002,有限会社弘前組,弘前市", "000000009,新,青森市")
    )
    before = register_stored(counter)
    form = form_of(page, "reason")
    form["reason"], form["typed_number"] = "月初の名簿", "3"
    checked = form.submit()
    assert "N-701" in form_of(checked, "seen").submit("confirmed").text
    assert register_stored(counter) == before
    assert not Notice.objects.exists()
    assert not RegisterMark.objects.exists()
    assert not ColumnMapping.objects.exists()
    assert not Entry.objects.filter(kind="register.imported").exists()
    # It still waits, and is taken once the address is right.
    card.office = {**card.office, "email": "naoshita@example.jp"}
    card.save()
    take(app.get(page.request.path), typed_number="3")
    assert counter.supplier("000000009").name == "新"
    assert Notice.objects.filter(to="naoshita@example.jp").count() == 1


def test_what_fails_on_the_way_changes_nothing(counter: Counter, app, monkeypatch):
    page = bring(app, lines("000000001,別の名前,青森市"))
    before = register_stored(counter)
    form = form_of(page, "reason")
    form["reason"], form["typed_number"] = "月初の名簿", "3"
    checked = form.submit()
    ImportFilePart.objects.update(content=b"other bytes")
    assert "S-932" in form_of(checked, "seen").submit("confirmed").text
    assert register_stored(counter) == before
    assert not Notice.objects.exists()
    assert not StaffAct.objects.filter(kind="register.imported").exists()
