"""ユーザID and パスワード of 資格審査情報検索: given to one company on its page, or to all that have none by the command."""

from __future__ import annotations

import csv
import io
import re
import stat
from pathlib import Path

import pytest
from django.contrib.auth.hashers import check_password
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from register_office import PLACE, Counter, changed_rows, confirm, form_of, open_counter
from staff_office import Office

from irefuda.ledger.models import Entry
from irefuda.registration import register
from irefuda.registration.management.commands import hand_out_lookup_passwords as command
from irefuda.staff.models import StaffAct
from irefuda.suppliers import operations as suppliers
from irefuda_core.refusal import Refused

COMPANY = f"{PLACE}/suppliers/000000001/"


@pytest.fixture
def counter(office: Office) -> Counter:
    return open_counter(office)


def opens(counter: Counter, number: str, login_id: str, password: str) -> bool:
    """Return whether a company's stored pair is this one, as the look-up compares it."""
    kept = counter.supplier(number)
    return kept.login_id == login_id and check_password(password, kept.login_password)


def everything_kept() -> str:
    """Return all that the ledger and the history of the staff hold."""
    return "".join(bytes(entry.document).decode() for entry in Entry.objects.all()) + repr(
        list(StaffAct.objects.values())
    )


def test_an_agency_asks_for_them_and_a_company_gets_its_own(counter: Counter, browser):
    app = browser(counter.card)
    assert "資格審査情報検索のユーザID" not in app.get(COMPANY).text
    form = form_of(app.get("/agencies/9991/texts/"), "lookup_needs_password")
    form["lookup_needs_password"], form["reason"] = True, "なりすましを防ぐため"
    page = form.submit()
    assert ("資格審査情報検索で、ユーザIDとパスワードも求める", "いいえ", "はい") in changed_rows(page)
    assert re.search(r"ユーザIDとパスワードも求める</dt>\s*<dd>はい", confirm(page).text)

    page = app.get(COMPANY)
    assert "この会社は検索を通れません" in page.text
    form = form_of(page.click("検索のユーザIDとパスワードを決める"), "login_id")
    assert form["login_id"].value == "000000001"
    assert re.fullmatch("[2-9A-HJ-NP-Za-km-z]{12}", form["password"].value)
    form["login_id"], form["password"], form["reason"] = "ａｏｍｏｒｉ", "himitsu-1", "資格の申請があったため"
    page = form.submit()
    assert "検索のパスワードは、半角英数字8文字以上20文字以内で入力してください。" in page.text
    form = form_of(page, "login_id")
    form["password"] = "Himitsu1"
    page = form.submit()
    assert changed_rows(page) == [
        ("検索のユーザID", "なし", "aomori"),
        ("検索のパスワード", "なし", "新しいパスワード"),
    ]
    assert "<code>Himitsu1</code>" in page.text
    page = confirm(page)
    assert "aomori（パスワードも決まっています）" in page.text
    assert "Himitsu1" not in page.text + app.get(f"{COMPANY}login/").text + everything_kept()
    assert opens(counter, "000000001", "aomori", "Himitsu1")

    form = form_of(app.get(f"{COMPANY}login/"), "login_id")
    form["password"], form["reason"] = "Betsuno22", "忘れたとの届出"
    page = form.submit()
    assert changed_rows(page) == [("検索のパスワード", "決まっている", "新しいパスワード")]
    confirm(page)
    assert opens(counter, "000000001", "aomori", "Betsuno22")


def test_a_company_off_the_register_gets_none(counter: Counter):
    one = {"section": counter.section, "supplier_number": "000000001"}
    register.end_entry(deed=counter.office.deed(counter.actor), **one)
    with pytest.raises(Refused) as failure:
        register.set_login(deed=counter.office.deed(counter.actor), login_id="aomori", password="Himitsu1", **one)
    assert failure.value.refusals[0].code == "S-934"
    assert counter.supplier().login_password == ""


# -- all that have none, by the command


def hand_out(file: Path, **options: str) -> str:
    """Run the command as a person does, and return what it said."""
    said = io.StringIO()
    place = {"agency": "9991", "category": "works", "reason": "資格の更新の年"}
    try:
        call_command("hand_out_lookup_passwords", str(file), **{**place, "stdout": said, **options})
    except CommandError as refused:
        return str(refused)
    return said.getvalue()


def test_whoever_has_none_is_in_the_file_and_nobody_else(counter: Counter, tmp_path: Path):
    register.end_entry(deed=counter.office.deed(counter.actor), section=counter.section, supplier_number="000000003")
    suppliers.write_login(supplier=counter.supplier(), login_id="aomori", password="a hash")
    file = tmp_path / "渡すもの.csv"
    assert "1社のユーザIDとパスワードを決め" in hand_out(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (line,) = csv.DictReader(io.StringIO(file.read_text("utf-8-sig")))
    assert (line["業者番号"], line["商号又は名称"], line["ユーザID"]) == ("000000002", "有限会社弘前組", "000000002")
    assert opens(counter, "000000002", "000000002", line["パスワード"])
    assert counter.supplier().login_password == "a hash"
    assert counter.supplier("000000003").login_password == ""
    act = StaffAct.objects.get(kind="register.logins_handed_out")
    assert (act.reason, act.changes) == ("資格の更新の年", [["検索のユーザIDとパスワードを決めた会社", "", "1社"]])
    assert line["パスワード"] not in everything_kept()
    assert "S-939" in hand_out(tmp_path / "もう一度.csv")
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_leaves_every_company_as_it_was(counter: Counter, tmp_path: Path):
    there = tmp_path / "ある.csv"
    there.write_text("大切なもの")
    for file in (there, tmp_path / "ない" / "渡すもの.csv"):
        assert hand_out(file).endswith("何も変更していません。")
    assert there.read_text() == "大切なもの"
    assert "--reason に、理由を200文字以内で" in hand_out(tmp_path / "a.csv", reason="")
    assert "あるもの：9991 works" in hand_out(tmp_path / "a.csv", agency="0000")
    assert {counter.supplier(number).login_password for number in ("000000001", "000000002")} == {""}


def test_somebody_else_s_password_is_not_overwritten(counter: Counter, tmp_path: Path, monkeypatch):
    written = command.as_csv

    def meanwhile(table):
        suppliers.write_login(supplier=counter.supplier(), login_id="aomori", password="a hash")
        return written(table)

    monkeypatch.setattr(command, "as_csv", meanwhile)
    assert "S-910" in hand_out(tmp_path / "渡すもの.csv")
    assert list(tmp_path.iterdir()) == []
    assert counter.supplier().login_password == "a hash"
    assert counter.supplier("000000002").login_password == ""


def test_what_fails_in_another_way_leaves_the_file(counter: Counter, tmp_path: Path, monkeypatch):
    """The answer to a commit may be lost when the commit is not: then the file is all that there is."""

    def lost(*_: object, **__: object) -> None:
        raise DatabaseError("the connection is gone")

    monkeypatch.setattr(register.staff, "record", lost)
    with pytest.raises(DatabaseError):
        hand_out(tmp_path / "渡すもの.csv")
    assert (tmp_path / "渡すもの.csv").exists()


def test_a_password_is_made_by_chance_of_characters_that_cannot_be_misread():
    made = [register.new_password() for _ in range(50)]
    assert len(set(made)) == 50
    assert all(re.fullmatch("[2-9A-HJ-NP-Za-km-z]{12}", one) for one in made)
