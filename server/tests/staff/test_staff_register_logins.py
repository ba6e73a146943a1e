"""ユーザID and パスワード of 資格審査情報検索: given to one company on its page, or to all that have none by the command."""

from __future__ import annotations

import contextlib
import io
import re
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib.auth.hashers import check_password
from django.core.management import CommandError, call_command
from django.db import DatabaseError
from openpyxl import load_workbook
from register_office import PLACE, Counter, changed_rows, confirm, form_of, open_counter
from staff_office import Office

from irefuda.agencies.models import Agency
from irefuda.ledger.models import Entry
from irefuda.registration import register
from irefuda.registration.management.commands import hand_out_lookup_passwords as command
from irefuda.staff.models import Role, StaffAct
from irefuda.suppliers import operations as suppliers
from irefuda.ui import clock
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
    assert changed_rows(page) == [
        ("資格審査情報検索で、ユーザIDとパスワードも求める", "いいえ", "はい"),
        ("ユーザIDとパスワードのない会社（工事、コンサル）", "―", "3社"),
    ]
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
    ((item, before, after),) = changed_rows(page)
    assert (item, after) == ("検索のパスワード", "新しいパスワード")
    assert re.fullmatch(r"決まっている（\d{4}年\d\d月\d\d日 \d\d時\d\d分\d\d秒）", before)
    confirm(page)
    assert opens(counter, "000000001", "aomori", "Betsuno22")


def test_of_two_who_give_a_password_the_second_is_told(counter: Counter, browser):
    app = browser(counter.card)
    pages = []
    for password in ("Himitsu01", "Himitsu02"):
        form = form_of(app.get(f"{COMPANY}login/"), "login_id")
        form["password"], form["reason"] = password, "届出"
        pages.append(form.submit())
    confirm(pages[0])
    assert "S-910" in form_of(pages[1], "seen").submit("confirmed").text
    assert opens(counter, "000000001", "000000001", "Himitsu01")
    # And once more, when there was one before.
    StaffAct.objects.update(acted_at=clock.now() - timedelta(hours=1))
    pages = [form.submit() for _ in range(2)]
    confirm(pages[0])
    assert "S-910" in form_of(pages[1], "seen").submit("confirmed").text


def test_who_does_not_see_persons_does_not_see_the_user_id(counter: Counter, browser):
    Agency.objects.update(lookup_needs_password=True)
    suppliers.write_login(supplier=counter.supplier(), login_id="aomori", password="a hash")
    card, _ = counter.office.let_in(Role.HELPDESK)
    page = browser(card).get(COMPANY)
    assert "資格審査情報検索のユーザID：決まっています" in page.text
    assert "aomori" not in page.text


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
    file = tmp_path / "渡すもの.xlsx"
    assert "1社のユーザIDとパスワードを決め" in hand_out(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    header, line = load_workbook(file).active.iter_rows(values_only=True)
    assert header == ("業者番号", "商号又は名称", "ユーザID", "パスワード")
    assert line[:3] == ("000000002", "有限会社弘前組", "000000002")
    assert opens(counter, "000000002", "000000002", line[3])
    assert counter.supplier().login_password == "a hash"
    assert counter.supplier("000000003").login_password == ""
    act = StaffAct.objects.get(kind="register.logins_handed_out")
    assert (act.reason, act.changes) == ("資格の更新の年", [["検索のユーザIDとパスワードを決めた会社", "", "1社"]])
    assert line[3] not in everything_kept()
    assert "S-939" in hand_out(tmp_path / "もう一度.xlsx")
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_cannot_be_written_leaves_every_company_as_it_was(counter: Counter, tmp_path: Path):
    there = tmp_path / "ある.xlsx"
    there.write_text("大切なもの")
    for file in (there, tmp_path / "ない" / "渡すもの.xlsx"):
        assert hand_out(file).endswith("何も変更していません。")
    assert there.read_text() == "大切なもの"
    assert "--reason に、理由を200文字以内で" in hand_out(tmp_path / "a.xlsx", reason="")
    assert "終わりを .xlsx にしてください" in hand_out(tmp_path / "a.csv")
    assert "あるもの：9991 works" in hand_out(tmp_path / "a.xlsx", agency="0000")
    assert {counter.supplier(number).login_password for number in ("000000001", "000000002")} == {""}


def test_somebody_else_s_password_is_not_overwritten(counter: Counter, tmp_path: Path, monkeypatch):
    hashed = register.make_password

    def meanwhile(password: str) -> str:
        suppliers.write_login(supplier=counter.supplier(), login_id="aomori", password="a hash")
        return hashed(password)

    monkeypatch.setattr(register, "make_password", meanwhile)
    assert "S-910" in hand_out(tmp_path / "渡すもの.xlsx")
    assert list(tmp_path.iterdir()) == []
    assert counter.supplier().login_password == "a hash"
    assert counter.supplier("000000002").login_password == ""


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt(), DatabaseError("gone")], ids=repr)
def test_what_fails_before_the_commit_leaves_no_file_and_no_password(counter, tmp_path, monkeypatch, failure):
    def full(self: object, file: object) -> None:
        raise failure

    monkeypatch.setattr(command.Workbook, "save", full)
    with pytest.raises(type(failure)) if not isinstance(failure, OSError) else contextlib.nullcontext():
        assert "disk full）。" in hand_out(tmp_path / "渡すもの.xlsx")
    assert list(tmp_path.iterdir()) == []
    assert counter.supplier().login_password == ""


def test_when_the_answer_to_the_commit_is_lost_the_file_stays_and_it_is_said(counter, tmp_path, monkeypatch):
    handed_out = register.hand_out_logins

    def lost(**named: object) -> None:
        handed_out(**named)
        raise DatabaseError("the connection is gone")

    monkeypatch.setattr(register, "hand_out_logins", lost)
    said = hand_out(tmp_path / "渡すもの.xlsx")
    assert "パスワードが決まったかどうか、分かりません" in said
    assert load_workbook(tmp_path / "渡すもの.xlsx").active.max_row == 4


def test_a_password_is_made_by_chance_of_characters_that_cannot_be_misread():
    made = [register.new_password() for _ in range(50)]
    assert len(set(made)) == 50
    assert all(re.fullmatch("[2-9A-HJ-NP-Za-km-z]{12}", one) for one in made)
