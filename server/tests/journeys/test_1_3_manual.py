"""The manual's chapter 1.3, line by line: what its 操作説明 and 項目説明 name stands on the page that they speak of."""

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
from steps import main_form, present, registered_card, send, sign_and_change, type_over

from irefuda.agencies.models import Category
from irefuda.registration.models import Registration

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
CHANGED_COMPANY = [
    Field("代表電話番号", "representative_phone", "半角　例：03-0000-0000"),
    Field("代表FAX番号", "representative_fax", "半角　例：03-0000-0000"),
    Field("支店名等", "branch_name", "30文字以内"),
]
READ_ONLY = {
    label: value for label, value in COMPANY.items() if label not in {field.label for field in CHANGED_COMPANY}
}


@pytest.fixture
def card(app, city):
    return registered_card(app, city)


@pytest.fixture
def form_page(app, card):
    return present(app, app.get("/9992/goods/registration/menu/"), card, to="/change/present/").follow()


@pytest.fixture
def check(form_page):
    form = main_form(form_page, "rep-email")
    type_over(form, company_representative_phone="017-777-1111", rep_department="支店", card_office_person="次郎")
    return send(form)


def company_id():
    return Registration.objects.get().company_id


def test_the_menu(app, city):
    page = app.get("/9992/goods/registration/menu/")
    # 変更ボタン：ICカードPIN番号入力画面が表示されます。
    assert "変更" in buttons(page)
    form = page.html.select_one("form[action$='/9992/goods/change/present/']")
    assert form["data-card-dialogue"] == "authenticate"


def test_the_form(form_page):
    assert form_page.html.h1.get_text() == "利用者変更"
    assert "利用者変更では、登録されている業者情報の変更を行います。" in text_of(form_page)
    assert "(※)の項目は、必須入力です。" in text_of(form_page)
    assert "既に競争参加資格確認申請書等の参加申請書で入力した連絡先には反映されません。" in text_of(form_page)
    company = values_under(form_page, "企業情報")
    assert company["企業ID"] == company_id()
    assert {label: company[label] for label in READ_ONLY} == READ_ONLY
    # 資格の種類は、選択できません。
    assert [row.select_one(".grade-kind").get_text() for row in form_page.html.select(".grades li")] == KINDS
    assert not form_page.html.select(".grades input")
    for field in CHANGED_COMPANY:
        has_field(form_page, field, prefix="company")
    form = main_form(form_page, "rep-email")
    for field in CHANGED_COMPANY:
        assert form[f"company-{field.name}"].value == COMPANY[field.label]
    assert "指名時はここにメールが送信されます。" in text_of(form_page)
    assert values_under(form_page, "ICカード利用部署情報") == OF_THE_CARD
    for block, email in (("rep", "daihyo@example.jp"), ("card_office", CONTACT["email"])):
        for field in CONTACT_FIELDS:
            has_field(form_page, field, prefix=block)
            registered = {**CONTACT, "email": email, "email_again": email}
            assert form[f"{block}-{field.name}"].value == registered[field.name]
        assert MAIL_SENTENCE in form_page.html.select_one(f"#id_{block}-email_helptext").get_text()
    # 戻るボタン：利用者登録メニュー画面に戻ります。
    assert buttons(form_page)["戻る"].endswith("/registration/menu/")
    assert "入力内容確認" in buttons(form_page)


def test_works_have_no_grades(app, city, card):
    city.section.category = Category.WORKS
    city.section.save()
    page = present(app, app.get("/9992/works/registration/menu/"), card, to="/change/present/").follow()
    assert "企業情報" in page
    assert not page.html.select(".grades")


def test_the_confirmation(check, card):
    assert check.html.h1.get_text() == "変更内容確認"
    company = values_under(check, "企業情報")
    assert company["企業ID"] == company_id()
    assert {label: company[label] for label in READ_ONLY} == READ_ONLY
    assert company["代表電話番号 変更"] == "変更前 03-0920-9991 変更後 017-777-1111"
    assert company["支店名等"] == COMPANY["支店名等"]
    assert all(kind in company["資格の種類"] for kind in KINDS)
    typed = {field.label: CONTACT[field.name] for field in CONTACT_FIELDS if field.name in CONTACT}
    representative = values_under(check, "代表窓口情報")
    assert representative.pop("連絡先名称(部署名等) 変更") == "変更前 営業部 変更後 支店"
    assert representative == {
        **{label: value for label, value in typed.items() if label != "連絡先名称(部署名等)"},
        "連絡先メールアドレス": "daihyo@example.jp",
    }
    office = values_under(check, "ICカード利用部署情報")
    assert office.pop("連絡先氏名 変更") == "変更前 青森 花子 変更後 次郎"
    assert OF_THE_CARD.items() <= office.items()
    certificate = values_under(check, "ICカード情報")
    assert certificate["証明書シリアル番号"] == str(card.certificate.serial_number)
    assert certificate["証明書発行者"] == "OU=testca,O=test,ST=Kanagawa,C=JP"
    assert certificate["証明書有効期限"][4::3] == "//"
    assert "この内容でよろしければ変更ボタンを押してください" in text_of(check)
    assert "変更" in buttons(check)
    # 戻るボタン：前画面に戻ります。
    assert buttons(check)["戻る"].endswith("/9992/goods/change/")


def test_done_and_the_print_page(check, card):
    done = sign_and_change(check, card).follow()
    assert done.html.h1.get_text() == "利用者変更が完了しました"
    link = done.html.find("a", string=lambda words: words and words.startswith("印刷"))
    assert link["target"] == "_blank"
    printed = done.click("^印刷")
    assert printed.html.h1.get_text() == "利用者情報"
    assert f"企業ID {company_id()}" in text_of(printed)
    company = values_under(printed, "企業情報")
    assert {label: company[label] for label in READ_ONLY} == READ_ONLY
    assert company["代表電話番号"] == "017-777-1111"
    assert values_under(printed, "代表窓口情報")["連絡先名称(部署名等)"] == "支店"
    assert values_under(printed, "ICカード利用部署情報")["連絡先氏名"] == "次郎"
    assert OF_THE_CARD.items() <= values_under(printed, "ICカード利用部署情報").items()
