"""The manual's section 1.3 on the rendered forms: what is registered, typed over, confirmed, changed, verified, told."""

from __future__ import annotations

import re
import subprocess
import sys
import uuid
from pathlib import Path

import ledger_files
import pytest
from builders import CONTACT, registered
from steps import change, main_form, present, register, send, sign_and_change, type_over, way_to_change

from irefuda import ui
from irefuda.ledger import keys, sequencer
from irefuda.notices.models import Notice
from irefuda.registration.models import (
    CardStatus,
    Draft,
    Event,
    EventKind,
    RegisteredCard,
    Registration,
    UnverifiedAddress,
)
from irefuda.ui import clock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
FORM, CHECK, ADDRESS, START = (f"/9992/goods/{name}/" for name in ("change", "change/check", "change/address", "start"))


@pytest.fixture
def card(app, city):
    """Return the company's first card, registered; 代表窓口 is daihyo@, its department hanako@."""
    issued = city.authority.card()
    register(app, issued)
    app.reset()
    Notice.objects.all().delete()
    return issued


def code_for(address):
    mail = Notice.objects.filter(kind="registration.address_code", to=address).latest("queued_at")
    return re.search(r"確認コード : ([0-9]{6})\n", mail.body)[1]


def type_code(app, code, number=0):
    forms = [form for form in app.get(ADDRESS).forms.values() if "code" in form.fields]
    forms[number]["code"] = code
    return send(forms[number])


def test_from_the_menu_to_what_is_changed_and_in_force(app, card):
    page = way_to_change(app, card)
    form = main_form(page, "rep-email")
    assert form["rep-email"].value == form["rep-email_again"].value == "daihyo@example.jp"
    type_over(
        form,
        company_representative_phone="０１７ー７７７ー１１１１",
        rep_person="代表 次郎",
        card_office_email="new@example.jp",
    )
    page = send(form)
    assert page.html.h1.get_text() == "変更内容確認"
    marked = {
        row.dt.get_text(" ", strip=True): row.dd.get_text(" ", strip=True) for row in page.html.select(".changed")
    }
    assert marked == {
        "代表電話番号 変更": "変更前 03-0920-9991 変更後 017-777-1111",
        "連絡先氏名 変更": "変更前 青森 花子 変更後 代表 次郎",
        "連絡先メールアドレス 変更": "変更前 hanako@example.jp 変更後 new@example.jp",
    }
    done = sign_and_change(page, card).follow()
    assert "利用者変更が完了しました" in done
    assert "メールアドレスの確認がまだです。" in done
    registered = RegisteredCard.objects.get()
    assert registered.registration.representative == {**CONTACT, "email": "daihyo@example.jp", "person": "代表 次郎"}
    assert registered.office == CONTACT
    assert (registered.registration.changes, registered.changes) == (1, 1)
    assert not Draft.objects.exists()
    printed = done.click("^印刷")
    for words in ("017-777-1111", "代表 次郎", "hanako@example.jp", "new@example.jp は、確認コード", "変更日時"):
        assert words in printed
    start = app.get(START)
    assert "確認待ちのメールアドレスがあります" in start
    page = type_code(app, code_for("new@example.jp"))
    assert "new@example.jp の確認が済みました" in page
    assert RegisteredCard.objects.get().office["email"] == "new@example.jp"
    assert "確認待ち" not in app.get(START)
    history = app.get(START).click("変更の履歴")
    assert [title.get_text().split("　")[1] for title in history.html.select("main section h2")] == [
        "メールアドレスの確認",
        "利用者変更",
    ]
    assert "017-777-1111" in history
    assert "new@example.jp" in app.get(START).click("^利用者情報$")


def test_the_second_of_two_windows_is_told_and_sees_the_new_state_beside_what_it_typed(app, card):
    first, second = (main_form(way_to_change(app, card), "rep-email") for _ in range(2))
    type_over(first, rep_person="一郎")
    type_over(second, rep_phone="017-000-0009")
    sign_and_change(send(first), card)
    page = send(second)
    assert "R-141" in page.html.select_one(".error-summary").get_text()
    compared = [
        [cell.get_text() for cell in row.select("th, td")] for row in page.html.select("table.stacked tbody tr")
    ]
    assert compared == [
        ["代表窓口情報の連絡先氏名", "一郎", "青森 花子"],
        ["代表窓口情報の連絡先電話番号", "017-000-0000", "017-000-0009"],
    ]
    form = main_form(page, "rep-email")
    assert form["rep-phone"].value == "017-000-0009"
    assert Registration.objects.get().representative["person"] == "一郎"
    # Reloading says it again; having seen it, the holder decides.
    assert "R-141" in app.get(FORM)
    form["rep-person"] = "一郎"
    assert send(form).html.h1.get_text() == "変更内容確認"


def test_a_window_that_was_open_at_the_confirmation_is_told_too(app, city, card):
    page = send(typed_form(app, card, rep_person="一郎"))
    other = city.authority.card()
    register(other_app := fresh(app), other)
    change(other_app, other, rep_person="二郎")
    answer = sign_and_change(page, card)
    assert answer.status_int == 302
    page = answer.follow()
    assert "R-141" in page
    assert main_form(page, "rep-email")["rep-person"].value == "一郎"
    assert app.get(CHECK).follow().request.path == FORM
    assert Registration.objects.get().representative["person"] == "二郎"


def fresh(app):
    """Return another browser."""
    other = type(app)(app.app, extra_environ=app.extra_environ)
    other.do_request = lambda *args, **kwargs: type(app).do_request(other, *args, **{**kwargs, "status": "*"})
    return other


def typed_form(app, card, **typed):
    form = main_form(way_to_change(app, card), "rep-email")
    type_over(form, **typed)
    return form


def test_nothing_changed_is_said_at_the_form(app, card):
    page = send(typed_form(app, card))
    assert "R-142" in page.html.select_one(".error-summary").get_text()
    assert page.html.h1.get_text() == "利用者変更"
    assert not Event.objects.exists()


def test_another_card_of_the_company_sees_and_changes_the_company(app, city, card):
    second = city.authority.card()
    change(app, card, rep_person="一郎", company_branch_name="八戸支店")
    app.reset()
    register(app, second)
    app.reset()
    form = main_form(way_to_change(app, second), "rep-email")
    assert (form["rep-person"].value, form["company-branch_name"].value) == ("一郎", "八戸支店")
    type_over(form, rep_person="二郎")
    sign_and_change(send(form), second)
    history = app.get("/9992/goods/change/history/")
    rows = [[cell.get_text() for cell in row.select("th, td")] for row in history.html.select("table tbody tr")]
    assert ["代表窓口情報の連絡先氏名", "一郎", "二郎"] in rows
    assert ["代表窓口情報の連絡先氏名", "青森 花子", "一郎"] in rows
    assert "八戸支店" in app.get(START)


@pytest.mark.parametrize("status", ["provisional", "replaced", "closed"])
def test_a_card_that_is_not_in_use_gets_its_own_reason(app, card, status):
    RegisteredCard.objects.update(status=status)
    code = {"provisional": "R-118", "replaced": "R-121", "closed": "R-122"}[status]
    for page in (way_to_change(app, card), app.get(FORM), app.get(CHECK), app.get(ADDRESS)):
        assert code in page
        assert "次にすること" in page


def test_an_unregistered_card_is_led_to_the_registration(app, city):
    page = way_to_change(app, city.authority.card())
    assert "R-120" in page
    assert "「利用者登録」の「登録」を行ってください。" in page


# -- the codes


def test_a_wrong_code_is_answered_at_its_field_with_what_is_left(app, card):
    change(app, card, card_office_email="new@example.jp")
    right = code_for("new@example.jp")
    wrong = f"{(int(right) + 1) % 10**6:06d}"
    for left in range(4, 0, -1):
        page = type_code(app, wrong)
        assert f"あと{left}回入力できます" in page.html.select_one("#id_code_error").get_text()
        assert main_form(page, "code")["code"].value == wrong
        assert app.get(ADDRESS).text.count("R-145") == 1
    assert "R-146" in type_code(app, wrong)
    page = app.get(ADDRESS)
    send_again = next(form for form in page.forms.values() if form.action.endswith("/change/address/send/"))
    page = send(send_again)
    assert "R-148" in page
    # It is about the mail: nothing is wrong with what stands in the field.
    assert page.html.select_one("#id_code_error") is None
    UnverifiedAddress.objects.update(sent_at="2026-01-01T00:00:00Z")
    page = send(send_again)
    assert "新しい確認コードのメールを送りました。" in page
    assert "の確認が済みました" in type_code(app, code_for("new@example.jp"))


@pytest.mark.parametrize("typed", ["", "12345", "1234567", "abcdef", "12345\n7x", "１２３"])
def test_what_is_no_code_is_said_so_and_is_no_try(app, card, typed):
    change(app, card, card_office_email="new@example.jp")
    form = next(form for form in app.get(ADDRESS).forms.values() if "code" in form.fields)
    form["code"].force_value(typed)
    page = send(form)
    assert page.html.select_one("#id_code_error")
    assert UnverifiedAddress.objects.get().tries_left == 5


def test_widths_and_spaces_of_a_code_are_our_work(app, card):
    change(app, card, card_office_email="new@example.jp")
    code = code_for("new@example.jp")
    wide = "".join(chr(ord(digit) + 0xFEE0) for digit in code[:3]) + " " + code[3:]
    assert "の確認が済みました" in type_code(app, wide)


def test_a_second_press_and_a_page_of_before_end_where_the_first_did(app, card):
    change(app, card, card_office_email="new@example.jp")
    form = next(form for form in app.get(ADDRESS).forms.values() if "code" in form.fields)
    form["code"] = code_for("new@example.jp")
    send(form)
    assert "確認を待っているメールアドレスはありません" in send(form)
    assert Event.objects.filter(kind="address_verified").count() == 1


def test_two_addresses_are_verified_one_by_one_each_with_its_own_words(app, card):
    change(app, card, card_office_email="new@example.jp", rep_email="rep@example.jp")
    page = type_code(app, "000000" if code_for("rep@example.jp") != "000000" else "111111", number=0)
    assert page.text.count("R-145") == 1
    page = type_code(app, code_for("new@example.jp"), number=1)
    assert "new@example.jp の確認が済みました" in page
    assert "rep@example.jp" in page


def test_the_form_shows_what_waits_and_can_take_it_back(app, card):
    change(app, card, card_office_email="wrong@example.jp")
    page = app.get(FORM)
    assert "確認待ちのメールアドレスがあります" in page.html.select_one("#card-office").get_text()
    form = main_form(page, "rep-email")
    assert form["card_office-email"].value == form["card_office-email_again"].value == "wrong@example.jp"
    type_over(form, card_office_email="hanako@example.jp")
    sign_and_change(send(form), card)
    assert not UnverifiedAddress.objects.exists()
    assert "確認待ち" not in app.get(START)


def test_a_bounce_is_shown_at_the_next_login_until_the_address_is_another(app, card):
    change(app, card, rep_person="一郎")
    Notice.objects.filter(to="hanako@example.jp").update(state="failed")
    app.reset()
    page = present(app, app.get("/9992/goods/login/"), card).follow()
    assert "hanako@example.jp にメールが届きませんでした。" in page
    assert "「変更」で、連絡先メールアドレスを正しいものに変えてください。" in " ".join(page.html.get_text().split())
    change(app, card, card_office_email="new@example.jp")
    type_code(app, code_for("new@example.jp"))
    assert "メールが届きませんでした" not in app.get(START)


# -- a receipt, a PDF


def test_the_receipt_of_a_change_is_proved_by_the_citizens_checker(app, city, card, settings, tmp_path):
    ledger_files.make(settings, tmp_path / "keys")
    done = change(app, card, rep_person="一郎").follow()
    sequencer.sign_first_checkpoint(key=keys.head_key(), now=clock.now())
    sequencer.sequence_batch(key=keys.head_key(), now=clock.now())
    (tmp_path / "receipt.json").write_bytes(done.click("受付の控えを保存").body)
    checked = [sys.executable, "-m", "irefuda_verify", "receipt", str(tmp_path / "receipt.json"), "--keys", settings.LEDGER_KEYS_FILE]  # fmt: skip
    said = subprocess.run(checked, capture_output=True, check=False, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    assert "番目に記録されています" in done.click("^印刷")


def test_the_print_of_a_change_fits_on_two_sheets(app, card, settings, tmp_path):
    settings.STATIC_ROOT = Path(str(ui.__file__)).with_name("static")
    made = app.get(change(app, card, rep_person="次郎").location.replace("/done/", "/print/") + "user.pdf")
    (tmp_path / "made.pdf").write_bytes(made.body)
    told = subprocess.run(["pdfinfo", str(tmp_path / "made.pdf")], capture_output=True, check=True, text=True)
    assert re.search(r"^Pages: +2$", told.stdout, re.MULTILINE)


def test_the_pdf_carries_the_signed_document(app, card, tmp_path):
    done = change(app, card, rep_person="一郎").follow()
    made = done.click("PDFで保存")
    assert made.content_type == "application/pdf"
    (tmp_path / "made.pdf").write_bytes(made.body)
    subprocess.run(["pdfdetach", "-saveall", "-o", str(tmp_path), str(tmp_path / "made.pdf")], check=True)
    assert (tmp_path / "change.jws").read_text() == Event.objects.get().document
    text = subprocess.run(["pdftotext", str(tmp_path / "made.pdf"), "-"], capture_output=True, check=True, text=True)
    assert "一郎" in text.stdout.replace(" ", "")


def test_nobody_sees_another_cards_change(app, city, card):
    location = change(app, card, rep_person="一郎").location
    second = city.authority.card()
    app.reset()
    register(app, second)
    for page in ("done", "print"):
        assert app.get(location.replace("/done/", f"/{page}/")).status_int == 404
    assert app.get(location.replace("/done/", "/print/") + "receipt.json").status_int == 404
    assert "この変更の受付の控え" not in app.get("/9992/goods/change/history/")


def test_the_history_names_nobody_who_only_claimed_to_be_the_company(app, city, card):
    own = RegisteredCard.objects.get()
    stranger = registered(city, city.authority.card(holder="見知らぬ人"), now=clock.now())
    RegisteredCard.objects.filter(id=stranger.id).update(status=CardStatus.REJECTED)
    for about, kind in ((stranger, EventKind.REJECTED), (own, EventKind.CLOSED), (None, EventKind.HALTED)):
        Event.objects.create(
            id=uuid.uuid4(), registration=own.registration, kind=kind, card=about, staff="係", reason=f"理由{kind}", at=clock.now()
        )  # fmt: skip
    way_to_change(app, card)
    history = app.get("/9992/goods/change/history/")
    assert "理由closed" in history
    assert "理由halted" in history
    assert "理由rejected" not in history
    assert "見知らぬ人" not in history


def test_the_print_page_of_the_registration_shows_the_present_state(app, card):
    change(app, card, rep_person="一郎", company_branch_name="八戸支店")
    page = app.get(START).click("^利用者情報$")
    for words in ("一郎", "八戸支店", "いま登録されている内容です。", "受付の控え（利用者登録）"):
        assert words in page
