"""What people type into 「利用者変更」: mistakes are answered at the field, and what was typed stays there."""

from __future__ import annotations

import pytest
from builders import CONTACT
from steps import main_form, registered_card, send, way_to_change

from irefuda.registration.models import Draft, Event, Registration
from irefuda.suppliers.models import Supplier

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
P_801 = "使えない文字（改行などの制御文字）が含まれています。"
P_802 = "文字数が多すぎます。"
PHONE = "電話番号・FAX番号は"


def words_at(page, field):
    found = page.html.select_one(f"#id_{field}_error")
    return found.get_text() if found else ""


@pytest.fixture
def card(app, city):
    return registered_card(app, city)


@pytest.fixture
def form(app, card):
    return main_form(way_to_change(app, card), "rep-email")


OF_THE_COMPANY = [
    ("representative_phone", "", "代表電話番号を入力してください。"),
    ("representative_phone", "12", PHONE),
    ("representative_phone", "017-000\n-0000 内線", PHONE),
    ("representative_phone", "0" * 5000, PHONE),
    ("representative_fax", "", "代表FAX番号を入力してください。"),
    ("representative_fax", "なし", PHONE),
    ("branch_name", "", "支店名等を入力してください。"),
    ("branch_name", "あ" * 31, P_802),
    ("branch_name", "支店\nBcc: all@example.jp", P_801),
    ("branch_name", "支店\x00", P_801),
    ("branch_name", "支店\u202e", P_801),
]
OF_A_CONTACT = [
    ("department", "", "連絡先名称（部署名等）を入力してください。"),
    ("department", "あ" * 61, P_802),
    ("postal_code", "030-08011", "郵便番号は7桁の数字で入力してください。"),
    ("address", "あ" * 61, P_802),
    ("address", "青森市\n新町", P_801),
    ("person", "あ" * 21, P_802),
    ("person", "青森\r\n花子", P_801),
    ("phone", "", "連絡先電話番号を入力してください。"),
    ("fax", "なし", PHONE),
    ("email", "a" * 60 + "@" + "b" * 37 + ".jp", "メールアドレスが長すぎます。"),
    ("email", "hanako@example.jp\nBcc: all@example.jp", "メールアドレスの形が正しくありません。"),
    ("email", "hanako@example.jp, all@example.jp", "メールアドレスの形が正しくありません。"),
    ("email_again", "", "メールアドレスをもう一度入力してください。"),
    ("email_again", "hanaka@example.jp", "二つのメールアドレスが一致しません。"),
]
MISTAKES = [
    *((f"company-{field}", typed, words) for field, typed, words in OF_THE_COMPANY),
    *((f"{block}-{field}", typed, words) for block in ("rep", "card_office") for field, typed, words in OF_A_CONTACT),
]


@pytest.mark.parametrize(("field", "typed", "words"), MISTAKES)
def test_a_mistake_is_answered_at_its_field_and_everything_typed_stays(form, field, typed, words):
    form["rep-address"] = "青森市別の町1"
    form[field].force_value(typed)
    page = send(form)
    assert words in words_at(page, field)
    assert page.html.h1.get_text() == "利用者変更"
    kept = main_form(page, "rep-email")
    assert kept[field].value.replace("\r\n", "\n").replace("\x01", "\x00") == typed.replace("\r\n", "\n")[:1000]
    if field != "rep-address":
        assert kept["rep-address"].value == "青森市別の町1"
    assert len(page.html.select(".field-with-error")) == 1
    assert page.html.select_one(".error-summary")
    assert Draft.objects.get().document == ""
    assert not Event.objects.exists()


@pytest.mark.parametrize(
    ("field", "typed", "stored"),
    [
        ("company-representative_phone", "０１７（７７７）１１１１", "017-777-1111"),
        ("company-branch_name", "あ" * 30, "あ" * 30),
        ("company-branch_name", "ｱｵﾓﾘ支店", "アオモリ支店"),
        ("rep-department", "<b>営業</b> & 'SQL' ／ → ：", "<b>営業</b> & 'SQL' ／ → ："),
        ("rep-person", "葛\U000e0100" * 20, "葛\U000e0100" * 20),
        ("card_office-postal_code", "〒０３８－０００１", "038-0001"),
        ("card_office-address", "髙橋ビル１階", "髙橋ビル１階"),
    ],
)
def test_what_is_right_is_shown_on_the_next_page_as_it_will_be_stored(form, field, typed, stored):
    form[field] = typed
    page = send(form)
    assert [mark.get_text() for mark in page.html.select(".changed .after strong")] == [stored]
    assert "<b>営業" not in page.text


def test_both_mail_addresses_are_asked_only_where_one_changes(form):
    form["card_office-email"] = form["card_office-email_again"] = "ｎｅｗ＠ｅｘａｍｐｌｅ．ｊｐ"
    page = send(form)
    assert [mark.get_text() for mark in page.html.select(".changed .after strong")] == ["new@example.jp"]
    assert "新しいメールアドレス（new@example.jp）には、確認コードのメールを送ります。" in page


def test_fax_numbers_are_required_only_where_the_agency_asks(app, city, card):
    city.section.agency.policy = {"fax_required": False}
    city.section.agency.save()
    page = way_to_change(app, card)
    for name in ("company-representative_fax", "rep-fax", "card_office-fax"):
        assert "※必須" not in page.html.select_one(f"label[for=id_{name}]").get_text()
    form = main_form(page, "rep-email")
    form["company-representative_fax"] = form["rep-fax"] = ""
    page = send(form)
    marked = [row.get_text(" ", strip=True) for row in page.html.select(".changed dd")]
    assert marked == ["変更前 03-0920-9991 変更後 （なし）", "変更前 017-000-0001 変更後 （なし）"]


def test_what_the_register_has_in_its_own_way_is_no_mistake_and_no_change(app, card):
    odd = {"phone": "(代)017-722-1111", "fax": "017-1", "branch_name": "とても長い名前の" * 5}
    Supplier.objects.update(**odd)
    form = main_form(way_to_change(app, card), "rep-email")
    assert form["company-branch_name"].value == odd["branch_name"]
    assert "R-142" in send(form)
    form["rep-person"] = "次郎"
    page = send(form)
    assert [row.get_text(" ", strip=True) for row in page.html.select(".changed dd")] == [
        f"変更前 {CONTACT['person']} 変更後 次郎"
    ]
    # One that is typed over has to be right.
    form["company-branch_name"] = odd["branch_name"] + "！"
    assert P_802 in words_at(send(form), "company-branch_name")
    assert Registration.objects.get().company_changes == {}


def test_fields_of_nobodys_form_are_not_kept(app, form):
    fields = {name: form[name].value for name in form.fields if name}
    evil = {"company-company_name": "別の商会", "rep-evil": "x", "same": "1", "supplier": "990000002"}
    app.post("/9992/goods/change/", {**fields, **evil, "rep-person": "次郎"})
    draft = Draft.objects.get()
    assert draft.typed.keys() & {*evil} == set()
    assert "別の商会" not in draft.document
