"""Files that are no register, lines that are wrong, and a database that fails: a clear sentence, nothing half done."""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import uuid
import zipfile
from pathlib import Path
from random import Random

import pytest
from builders import make_section, make_supplier
from django.core.management import CommandError, call_command
from django.db import connection, connections
from openpyxl import Workbook
from register_files import build

from irefuda.registration import register
from irefuda.staff.operations import Deed
from irefuda.suppliers import operations, queries
from irefuda.suppliers.models import ColumnMapping, ImportState, RegisterImport, Supplier
from irefuda.suppliers.register_files import reading
from irefuda.ui import clock
from irefuda_core.refusal import Refused

FILES = Path(build.__file__).parent
# The one company that every test has there beforehand is ended by its file.
PLACE = {"agency": "9991", "category": "works", "reason": "月初の名簿", "yes": 1}
MANAGE = Path(__file__).resolve().parents[2] / "manage.py"


@pytest.fixture
def works(db):
    section = make_section(code="9991", category="0", name="入札市（工事・コンサル）")
    make_supplier(section, supplier_number="990000001", name="前からある会社")
    return section


def refused(file, **options):
    """Run the command, which must refuse and leave everything as it was, and return all that it said."""
    said, before = io.StringIO(), list(Supplier.objects.order_by("id").values())
    with pytest.raises(CommandError) as refusal:
        call_command("import_suppliers", str(file), **PLACE, stdout=said, **options)
    assert list(Supplier.objects.order_by("id").values()) == before
    assert not ColumnMapping.objects.exists()
    return f"{said.getvalue()}{refusal.value}"


def lines(folder, *rows, header="業者番号,商号"):
    file = folder / "list.csv"
    file.write_bytes("\r\n".join([header, *rows, ""]).encode("utf-8"))
    return file


def repacked(folder, change):
    """Return a good workbook with its parts changed: `change(name, content)` returns the new content."""
    file = folder / "changed.xlsx"
    with (
        zipfile.ZipFile(FILES / "by_trade.xlsx") as source,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target,
    ):
        for part in source.infolist():
            target.writestr(part.filename, change(part.filename, source.read(part)))
    return file


# -- files


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "F-501"),
        (b"\r\n,,\r\n", "F-501"),
        ("業者番号,商号\r\n1,青森".encode("utf-16"), "F-502"),
        ("業者番号,商号\r\n1,青森".encode("iso2022_jp"), "F-502"),
        ("業者番号,商号\r\n1,青森".encode("euc_jp") + b"\xff\xff", "F-502"),
        ("業者番号,商号\r\n1,青".encode() + "森".encode("cp932"), "F-502"),
        (b"\x89PNG\r\n\x1a\n" + bytes(100), "F-502"),
        (bytes(range(256)) * 20, "F-502"),
        (b"%PDF-1.7\n", "F-504"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(2000), "F-504"),
        ("青森建設,青森市\r\n弘前舗装,弘前市".encode(), "F-509"),
        ("業者番号,商号\r\n".encode(), "F-512"),
        ("業者番号,商号\r\n,\r\n".encode(), "F-512"),
        ('業者番号,商号\r\n1,"青森\r\n2,弘前\r\n'.encode(), "F-507"),
        (("業者番号,商号\r\n1," + "青" * 200_000).encode(), "F-507"),
        (b"PK\x03\x04" + bytes(100), "F-506"),
    ],
)
def test_a_file_that_is_no_register_is_refused_with_its_reason(works, tmp_path, content, code):
    file = tmp_path / "list.csv"
    file.write_bytes(content)
    assert code in refused(file)


def test_a_file_that_is_not_there_or_is_no_file_is_refused(works, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "nothing.csv", tmp_path, tmp_path / "pipe"):
        assert f"F-500　ファイル「{path.name}」を開けません" in refused(path)


def test_a_file_over_the_limit_is_refused_before_any_of_it_is_read(works, tmp_path):
    file = tmp_path / "large.csv"
    with file.open("wb") as sparse:
        sparse.truncate(2**40)  # a sparse file that would take an hour to read
    assert "F-503　ファイルが大きすぎます（1048576MB、上限64MB）" in refused(file)


def test_too_many_rows_are_refused(works, tmp_path):
    assert "F-508" in refused(lines(tmp_path, *(f"{n},青" for n in range(reading.MOST_ROWS + 1))))


def test_a_workbook_with_a_password_and_other_office_files_are_refused(works, tmp_path):
    # A workbook with a password is an OLE2 container, as the old .xls is; a letter is a ZIP file without a workbook.
    assert "パスワードは外してください" in refused(_written(tmp_path, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(512)))
    letter = tmp_path / "letter.docx"
    with zipfile.ZipFile(letter, "w") as made:
        made.writestr("word/document.xml", "<w/>")
    assert "F-504" in refused(letter)


def _written(folder, content):
    file = folder / "list.xlsx"
    file.write_bytes(content)
    return file


def test_a_workbook_that_unpacks_to_very_much_is_not_unpacked(works, tmp_path):
    assert "F-505" in refused(repacked(tmp_path, lambda name, content: content + b" " * (30 * 2**20)))


def test_a_workbook_that_lies_about_its_size_is_damaged(works, tmp_path):
    file = repacked(tmp_path, lambda name, content: content + b" " * (3 * 2**20))
    packed = bytearray(file.read_bytes())
    for start in [match.start() for match in re.finditer(rb"PK\x01\x02", bytes(packed))]:
        packed[start + 24 : start + 28] = (1000).to_bytes(4, "little")
    assert "F-506" in refused(_written(tmp_path, bytes(packed)))


def test_entities_that_multiply_are_not_expanded(works, tmp_path):
    entities = "".join(f'<!ENTITY a{n + 1} "{f"&a{n};" * 10}">' for n in range(9))
    bomb = f'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a0 "aaaaaaaaaa">{entities}]>'.encode()

    def change(name, content):
        if not name.endswith("sheet1.xml"):
            return content
        return bomb + re.sub(rb"<\?xml[^>]*>", b"", content).replace(b"</sheetData>", b"&a9;</sheetData>")

    assert "F-506" in refused(repacked(tmp_path, change))


def test_cells_far_away_cost_nothing(works, tmp_path):
    book = Workbook()
    for row in (["業者番号", "商号"], [1, "青森"]):
        book.active.append(row)
    book.active["XFD1"] = "遠い列"
    file = tmp_path / "far.xlsx"
    book.save(file)
    assert "F-508" not in _said(file)
    book.active["A1048576"] = 2
    book.save(file)
    assert "F-508" in refused(file)


def _said(file):
    said = io.StringIO()
    call_command("import_suppliers", str(file), **PLACE, stdout=said, dry_run=True)
    return said.getvalue()


def test_no_damage_to_a_workbook_breaks_the_import(works, tmp_path):
    """Parts cut off, bytes changed, tags lost: each is refused, or was without meaning for the register."""
    chance, good = Random(20261125), (FILES / "merged_header.xlsx").read_bytes()
    outcomes = {"read": 0, "refused": 0}
    for _ in range(150):
        packed = bytearray(good)
        for _ in range(chance.choice((1, 3, 30))):
            place = chance.randrange(len(packed))
            packed[place] = chance.randrange(256)
        if chance.random() < 0.2:
            del packed[chance.randrange(len(packed)) :]
        # The archive's own check sums would stop most of the damage; here the parts themselves are to be met.
        try:
            operations.read_file(
                section=works,
                path=_written(tmp_path, _with_right_sums(bytes(packed))),
                given=None,
                sheet="",
                progress=lambda doing, share: None,
            )
        except Refused:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
    assert min(outcomes.values()) > 10, outcomes


def _with_right_sums(packed):
    made = io.BytesIO()
    with (
        zipfile.ZipFile(FILES / "merged_header.xlsx") as good,
        zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as target,
    ):
        for part in good.infolist():
            start = part.header_offset + 30 + len(part.filename.encode())
            target.writestr(part.filename, packed[start : start + part.file_size])
    return made.getvalue()


# -- lines


@pytest.mark.parametrize(
    ("header", "row", "said"),
    [
        ("業者番号,商号", ",青森", "F-521"),
        ("業者番号,商号", "12345678X0,青森", "F-522　業者番号「12345678X0」は半角英数字9文字ではありません"),
        ("業者番号,商号", "1.23E+08,青森", "F-522"),
        ("業者番号,商号", "=1+1,青森", "F-526"),
        ("業者番号,商号", "1,", "F-523"),
        ("業者番号,商号", "1,－", "F-523"),
        ("業者番号,商号", "1,=cmd|'/C calc'!A0", "F-526　「商号又は名称」が数式かエラー値のようです：=cmd|'/C calc'!A0"),
        ("業者番号,商号", "1,@SUM(A1)", "F-526"),
        ("業者番号,商号", "1,+青森", "F-526"),
        ("業者番号,商号", "1,-2+3", "F-526"),
        ("業者番号,商号", "1,#REF!", "F-526"),
        ("業者番号,商号,電話番号", "1,青森,=1+1", "F-526　「電話番号」"),
        ("業者番号,商号,有効期限", "1,青森,=TODAY()", "F-526　「有効期間の末日」"),
        ("業者番号,商号,舗装", "1,青森,=A1", "F-510"),
        ("業者番号,商号", f"1,{'青' * 101}", "F-527　「商号又は名称」が長すぎます（100文字まで）"),
        ("業者番号,商号", f"1,{'葛󠄀' * 60}", "F-527"),
        ("業者番号,商号", "1,青\u202e森", "F-528"),
        ("業者番号,商号", "1,青\ue000森", "F-528"),
        ("業者番号,商号,有効期限", "1,青森,令和7年2月30日", "F-529　「有効期間の末日」の日付を読み取れません：令和7年2月30日"),
        ("業者番号,商号,有効期限", "1,青森,7/4/1", "F-529"),
        ("業者番号,商号,有効期間", "1,青森,令和7年4月1日", "F-529　「有効期間」"),
        ("業者番号,商号,有効期間", "1,青森,R9.4.1～R7.3.31", "F-534　「有効期間」の末日（2025-03-31）が、初日（2027-04-01）より前"),
        ("業者番号,商号,指名停止開始日,指名停止終了日", "1,青森,R7.4.2,R7.4.1", "F-534　「指名停止の期間」"),
        ("業者番号,商号,代表者", f"1,青森,代表取締役　{'青' * 61}", "F-527　「代表者の氏名」が長すぎます（60文字まで）"),
        ("業者番号,商号,状態", "1,青森,保留", "F-530　「状態」の値が分かりません：保留　→ 有効、停止、取消 のどれかに"),
        ("業者番号,商号,業種,等級", "1,青森,,A", "F-531"),
        ("業種,業者番号,商号", ",1,青森", "F-531"),
        ("業者番号,商号,業種", ",,舗装", "F-531"),
        ("業者番号,商号,法人番号", "1,青森,5011001098993", "F-533　「5011001098993」は正しい13桁の法人番号ではありません"),
        ("業者番号,商号,法人番号", "1,青森,4.011E+12", "F-533"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named_with_its_number_its_reason_and_what_to_do(works, tmp_path, header, row, said):
    told = refused(lines(tmp_path, row, header=header))
    assert said in told
    assert "→" in told
    if "F-510" not in said:
        assert told.startswith("2行目　")
        assert "1行に直すところがあるため、取り込みませんでした。\n何も変更していません。" in told


def test_every_wrong_line_is_named_and_the_good_ones_are_not_taken(works, tmp_path):
    told = refused(lines(tmp_path, "1,青森", ",弘前", '2,"八戸\r\n本店"', "2,黒石", "３,", "4,つがる"))
    assert [line.split("　")[0:2] for line in told.splitlines()[:3]] == [
        ["3行目", "F-521"],
        ["6行目", "F-524"],
        ["7行目", "F-523"],
    ]
    assert "業者番号「000000002」は4行目にもあります" in told
    assert "3行に直すところがあるため" in told


def test_a_company_s_rows_that_contradict_each_other_are_named(works, tmp_path):
    header = "業者番号,商号,所在地,業種,等級"
    rows = (
        "1,青森,青森市1,舗装,A",
        ",,青森市2,管,B",
        "1,青森,,舗装,C",
        "2,弘前,,電気,",
        ",八戸,,管,",
        "X,黒石,,管,",
        ",,,電気,",
    )
    told = refused(lines(tmp_path, *rows, header=header)).splitlines()
    assert told[0].startswith("3行目　F-525　業者番号「000000001」の「所在地」が、2行目の内容と違います")
    assert told[1].startswith("4行目　F-524　業者番号「000000001（舗装）」は2行目にもあります")
    assert told[2].startswith("6行目　F-521")
    assert told[3].startswith("7行目　F-522")
    # The row below a company whose own row is wrong is not blamed for that.
    assert told[4].startswith("4行に直すところ")


def test_very_many_wrong_lines_are_counted_but_not_all_shown(works, tmp_path):
    told = refused(lines(tmp_path, *(f"X{n},青森" for n in range(1200))))
    assert told.count("F-522") == 1000
    assert "ほか200行" in told
    assert "1200行に直すところ" in told


def test_what_a_terminal_would_obey_is_not_printed(works, tmp_path):
    # U+009B begins a terminal's command as ESC [ does; U+202E turns the direction of what follows.
    told = refused(lines(tmp_path, "1,青森,有効,", header="業者番号,商号,状態,題\x9b31m\u202e"))
    assert "「題�31m�」" in told
    assert '"題\\u009b31m' not in told
    told = refused(lines(tmp_path, "1,青森,\x9b31m赤", header="業者番号,商号,状態"))
    assert "F-530　「状態」の値が分かりません：�31m赤" in told


def test_a_trade_s_name_in_the_header_must_be_fit_to_be_stored(works, tmp_path):
    for label, code in (("舗" * 61, "F-527"), ("舗\u202e装", "F-528"), ("=1+1", "F-526")):
        assert code in refused(lines(tmp_path, "1,青森,○", header=f"業者番号,商号,希望業種,\r\n,,{label}"))


# -- the database


@pytest.fixture
def own_works(own_database, django_db_blocker):
    """A section in a database of this test's own, where commits are real."""
    with django_db_blocker.unblock():
        section = make_section(code="9991", category="0", name="入札市（工事・コンサル）")
        make_supplier(section, supplier_number="990000001", name="前からある会社")
        yield section


def command(file, *options):
    place = ["--agency", "9991", "--category", "works", "--reason", "月初の名簿"]
    return [sys.executable, str(MANAGE), "import_suppliers", str(file), *place, *options]


def take(section, path, progress):
    """Do what the command does, with this in place of its bar."""
    read = operations.read_file(section=section, path=path, given=None, sheet="", progress=progress)
    deed = Deed(uuid.uuid4(), None, "月初の名簿", clock.now(), bytes(16))
    register.take_file(deed=deed, read=read, path=path, given=None, confirmed=1, progress=progress)


def environment(database_url):
    return {**os.environ, "DATABASE_URL": database_url, "DJANGO_SETTINGS_MODULE": "irefuda.config.settings"}


def many(folder):
    return lines(folder, *(f"{n},青森建設{n},青森市中央{n}丁目" for n in range(1, 3001)), header="業者番号,商号,所在地")


@pytest.mark.committing
def test_a_full_disk_ends_the_import_with_nothing_half_done(own_works, tmp_path):
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA page_count")
            cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0] + 40}")
        else:
            # The error that PostgreSQL raises for a full disk, out of the middle of the import.
            cursor.execute(
                "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.supplier_number > "
                "'000002000' THEN RAISE disk_full USING MESSAGE = 'No space left on device'; END IF; RETURN NEW; END $$"
            )
            cursor.execute(
                "CREATE TRIGGER full_disk BEFORE INSERT ON suppliers_supplier FOR EACH ROW EXECUTE FUNCTION full_disk()"
            )
    told = refused(many(tmp_path))
    assert "F-516　データベースを読み書きできないため、取り込めません（" in told
    assert "full" in told or "No space left" in told
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM suppliers_search")
        assert cursor.fetchone() == (0,)


@pytest.mark.committing
def test_a_database_that_goes_away_ends_the_import_with_nothing_half_done(own_works, tmp_path):
    def progress(doing, share):
        if doing == "名簿に書き込んでいます" and share > 0.5:
            if connection.vendor == "sqlite":
                connection.connection.interrupt()
                connection.connection.close()
            else:
                with connection._nodb_cursor() as other:
                    other.execute("SELECT pg_terminate_backend(%s)", [connection.connection.info.backend_pid])

    before = list(Supplier.objects.values())
    with pytest.raises(Exception, match=r"closed|terminat|lost"):
        take(own_works, many(tmp_path), progress)
    connections.close_all()
    assert list(Supplier.objects.values()) == before
    assert not ColumnMapping.objects.exists()


@pytest.mark.committing
def test_a_database_that_is_not_there_is_said_in_a_sentence(own_works, tmp_path):
    file, there = many(tmp_path), connection.settings_dict["NAME"]
    connections.close_all()
    connection.settings_dict["NAME"] = f"{there}-gone/away"
    try:
        with pytest.raises(CommandError, match="F-516　データベースを読み書きできないため、取り込めません"):
            call_command("import_suppliers", str(file), **PLACE)
    finally:
        connection.settings_dict["NAME"] = there


@pytest.mark.committing
def test_who_stops_the_import_stops_all_of_it(own_works, tmp_path):
    def progress(doing, share):
        if doing == "名簿に書き込んでいます" and share > 0.5:
            raise KeyboardInterrupt

    before = list(Supplier.objects.values())
    with pytest.raises(KeyboardInterrupt):
        take(own_works, many(tmp_path), progress)
    assert list(Supplier.objects.values()) == before
    assert not ColumnMapping.objects.exists()


@pytest.mark.committing
def test_two_imports_at_once_wait_for_each_other(own_works, own_database, tmp_path):
    # So many that neither file ends or changes a tenth of them.
    both = {f"{n:09}": f"青森建設{n}" for n in range(1, 3001)}
    take(own_works, many(tmp_path), lambda doing, share: None)
    outcomes = {
        one: both | {f"{n:09}": f"{one}建設{n}" for n in numbers}
        for one, numbers in (("甲", range(3001, 3151)), ("乙", range(3070, 3221)))
    }
    files = []
    for one, companies in outcomes.items():
        (tmp_path / one).mkdir()
        files.append(lines(tmp_path / one, *(f"{number},{name}" for number, name in companies.items())))
    running = [
        subprocess.Popen(command(file), env=environment(own_database), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for file in files
    ]
    for process in running:
        _, wrong = process.communicate(timeout=60)
        assert (process.returncode, wrong) == (0, b"")
    listed = dict(Supplier.objects.exclude(status="ended").values_list("supplier_number", "name"))
    assert listed in outcomes.values()
    last, other = ("甲", "乙") if listed == outcomes["甲"] else ("乙", "甲")
    assert queries.search_register(section=own_works, typed=f"{last}建設").total == len(listed) - len(both)
    assert queries.search_register(section=own_works, typed=f"{other}建設").total == 0
    assert RegisterImport.objects.filter(state=ImportState.DONE).count() == 3


@pytest.mark.committing
def test_an_import_that_is_killed_leaves_the_old_register_or_the_new_one(own_works, own_database, tmp_path):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(many(tmp_path), "--yes", "1"), env=environment(own_database), stdout=subprocess.DEVNULL, stderr=theirs
    )
    drawn = b""
    while "名簿に書き込んでいます [####".encode() not in drawn:
        drawn += os.read(ours, 65536)
    process.kill()
    process.wait()
    os.close(ours)
    os.close(theirs)
    rows = dict(Supplier.objects.values_list("supplier_number", "status"))
    assert rows == {"990000001": "active"} or (len(rows), rows["990000001"]) == (3001, "ended")
    # Whatever it left, the next import finds everything in order.
    call_command("import_suppliers", str(tmp_path / "list.csv"), **PLACE, stdout=io.StringIO())
    assert queries.search_register(section=own_works, typed="青森建設3000").total == 1


# -- the terminal


@pytest.mark.committing
def test_a_bar_shows_the_progress_on_a_terminal_and_only_there(own_works, own_database, tmp_path):
    file = many(tmp_path)
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command(file, "--yes", "1"),
        env=environment(own_database),
        stdout=subprocess.PIPE,
        stderr=theirs,
        timeout=60,
        check=True,
    )
    drawn = os.read(ours, 65536).decode()
    os.close(ours)
    os.close(theirs)
    assert "ファイルを読んでいます [" in drawn
    assert "名簿に書き込んでいます [####################" in drawn
    assert drawn.endswith("\r\x1b[K")
    assert "新しく載る会社：3000社" in done.stdout.decode()
    quiet = subprocess.run(
        [*command(file), "--dry-run"], env=environment(own_database), capture_output=True, timeout=60, check=True
    )
    assert quiet.stderr == b""
    assert "変わらない会社：3000社" in quiet.stdout.decode()
