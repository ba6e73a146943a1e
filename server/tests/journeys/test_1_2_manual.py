"""The manual's chapters 1.1 and 1.2, line by line: what their 操作説明 and 項目説明 name stands on the page that they speak of.

The labels and limits are the manual's own words; the field table is `Field`, one row for each line of a form.
"""

from __future__ import annotations

import pytest
from builders import CONTACT
from manual_pages import (
    COMPANY,
    CONTACT_FIELDS,
    KINDS,
    MAIL_SENTENCE,
    OF_THE_CARD,
    Field,
    buttons,
    has_field,
    text_of,
    values_under,
)
from steps import fill, main_form, present, send, sign_and_register

from irefuda.agencies.models import Category

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


LOOKUP = [
    Field("業者番号", "supplier_number", "半角英数字9文字"),
    Field("商号又は名称", "name", "40文字以内"),
    Field("ユーザID", "login_id", "半角英数字20文字以内"),
    Field("パスワード", "password", "半角英数字20文字以内"),
]


def test_chapter_1_1_from_the_main_menu_to_the_registration_menu(app, city):
    city.section.agency.name = "9992調達機関(物品)"
    city.section.agency.save()
    page = app.get("/bidding/")
    assert {"工事、コンサル", "物品、役務"} <= set(buttons(page))
    page = page.click("物品、役務").click("9992調達機関")
    assert {"利用者登録", "電子入札"} <= set(buttons(page))
    page = page.click("^利用者登録$")
    # 中央上部『〇〇〇〇年〇〇月〇〇日〇〇時〇〇分』
    assert page.html.select_one("header time[data-clock]").get_text()[4] == "年"
    assert "利用者登録処理" in buttons(page)
    page = page.click("利用者登録処理")
    assert page.html.h1.get_text() == "利用者登録メニュー"
    assert [title.get_text() for title in page.html.select("main h2")] == ["登録", "変更", "ICカード更新"]
    assert "登録" in buttons(page)
    # 登録ボタン：ICカードPIN番号入力画面が表示されます。
    assert main_form(page, "token").action.endswith("/9992/goods/registration/present/")
    header = page.html.select_one("header").get_text()
    assert "電子入札システム" in header
    assert "入札情報サービス" in header


@pytest.fixture
def card(authority):
    return authority.card()


@pytest.fixture
def lookup(app, city, card):
    return present(app, app.get("/9992/goods/registration/menu/"), card).follow()


@pytest.fixture
def contacts(lookup):
    form = main_form(lookup, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    return send(form)


@pytest.fixture
def check(contacts):
    form = main_form(contacts, "rep-email")
    fill(form, "rep", department="総務部", email="daihyo@example.jp")
    fill(form, "card_office")
    return send(form)


def test_the_look_up(app, city, lookup):
    agency = city.section.agency
    agency.lookup_text = "9992調達機関(物品) 調達機関毎の文言です。\n上記内容を入力して下さい。"
    agency.lookup_needs_password = True
    agency.save()
    page = app.get(lookup.request.path)
    assert page.html.h1.get_text() == "資格審査情報検索"
    assert "資格審査情報の検索を行います。業者番号と、確認のために商号又は名称を入力して下さい。" in text_of(page)
    assert "(※)の項目は、必須入力です。" in text_of(page)
    for field in LOOKUP:
        has_field(page, field)
    assert page.text.index("調達機関毎の文言です。") < page.text.index(">検索<")
    assert buttons(page)["戻る"].endswith("/registration/menu/")
    assert "ログアウト" in page.html.select_one("header").get_text()


def test_user_id_and_password_are_asked_only_where_the_agency_asks(lookup):
    assert main_form(lookup, "name").fields.keys() & {"login_id", "password"} == set()


def test_the_registration_form(contacts):
    assert contacts.html.h1.get_text() == "利用者登録"
    assert "利用者登録では、業者情報とICカードの登録を行います。" in text_of(contacts)
    assert "(※)の項目は、必須入力です。" in text_of(contacts)
    company = values_under(contacts, "企業情報")
    assert {label: company[label] for label in COMPANY} == COMPANY
    # ※1 資格の種類（等級）が表示されますが、選択不可です。
    grades = contacts.html.select(".grades li")
    assert [row.select_one(".grade-kind").get_text() for row in grades] == KINDS
    assert all([mark.get_text()[1] for mark in row.select(".grade")][:4] == list("ABCD") for row in grades)
    assert not contacts.html.select(".grades input")
    assert "指名時はここにメールが送られます。" in text_of(contacts)
    assert values_under(contacts, "ICカード利用部署情報") == OF_THE_CARD
    for block in ("rep", "card_office"):
        for field in CONTACT_FIELDS:
            has_field(contacts, field, prefix=block)
        assert MAIL_SENTENCE in contacts.html.select_one(f"#id_{block}-email_helptext").get_text()  # ※2
    assert buttons(contacts)["戻る"].endswith("/registration/lookup/")
    assert "入力内容確認" in buttons(contacts)


def test_works_have_no_grades(app, city, card):
    city.section.category = Category.WORKS
    city.section.save()
    page = present(app, app.get("/9992/works/registration/menu/"), card).follow()
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    page = send(form)
    assert "企業情報" in page
    assert not page.html.select(".grades")


def test_the_confirmation(check, card):
    assert check.html.h1.get_text() == "登録内容確認"
    company = values_under(check, "企業情報")
    assert {label: company[label] for label in COMPANY} == COMPANY
    assert all(kind in company["資格の種類"] for kind in KINDS)
    typed = {field.label: CONTACT[field.name] for field in CONTACT_FIELDS if field.name in CONTACT}
    representative = {"連絡先名称(部署名等)": "総務部", "連絡先メールアドレス": "daihyo@example.jp"}
    assert values_under(check, "代表窓口情報") == {**typed, **representative}
    assert values_under(check, "ICカード利用部署情報") == {**OF_THE_CARD, **typed}
    certificate = values_under(check, "ICカード情報")
    assert certificate["証明書シリアル番号"] == str(card.certificate.serial_number)
    assert certificate["証明書発行者"] == "OU=testca,O=test,ST=Kanagawa,C=JP"
    assert certificate["証明書有効期限"][4::3] == "//"
    assert "企業情報及びICカード利用部署情報の企業名称が御社の企業名称であることを確認してください。" in text_of(check)
    assert "この内容でよろしければ登録ボタンを押してください。" in text_of(check)
    assert "登録" in buttons(check)
    assert buttons(check)["戻る"].endswith("/registration/contacts/")


def test_going_back_keeps_what_was_typed_and_leads_forward_again(check):
    form = main_form(check.click("^戻る$"), "rep-email")
    assert form["rep-department"].value == "総務部"
    assert form["card_office-email_again"].value == CONTACT["email"]
    assert send(form).html.h1.get_text() == "登録内容確認"


def test_done_and_the_print_page(check, card):
    done = sign_and_register(check, card).follow()
    assert "これからは、このICカードで電子入札システムにログインできます。" in text_of(done)
    link = done.html.find("a", string=lambda words: words and words.startswith("印刷"))
    assert link["target"] == "_blank"
    printed = done.click("^印刷")
    assert printed.html.h1.get_text() == "利用者情報"
    number = done.html.select_one(".company-id").get_text()
    assert len(number) == 15
    assert number.startswith("99921")
    assert f"企業ID {number}" in text_of(printed)
    company = values_under(printed, "企業情報")
    assert {label: company[label] for label in COMPANY} == COMPANY
    assert values_under(printed, "代表窓口情報")["連絡先名称(部署名等)"] == "総務部"
    assert values_under(printed, "ICカード利用部署情報")["連絡先氏名"] == CONTACT["person"]
    assert OF_THE_CARD.items() <= values_under(printed, "ICカード利用部署情報").items()
