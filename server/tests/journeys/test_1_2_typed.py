"""What people type into 資格審査情報検索 and 利用者登録: mistakes are answered at the field, and what was typed stays there."""

from __future__ import annotations

import pytest
from builders import CONTACT
from steps import fill, main_form, send, way_in

from irefuda.registration.models import Attempt, Draft, RegisteredCard

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
NUMBER, NAME = "990000001", "（株）テスト商会01"
R_101 = "業者番号は半角英数字9文字で入力してください。"
R_102 = "入力された業者番号と商号又は名称の組み合わせが確認できません。"
P_801 = "使えない文字（改行などの制御文字）が含まれています。"
P_802 = "文字数が多すぎます。"


def words_at(page, field):
    """Return what is said at a field."""
    found = page.html.select_one(f"#id_{field}_error")
    return found.get_text() if found else ""


def shown(form, field):
    """Return what stands in an input."""
    return form[field].value


@pytest.fixture
def looking(app, city):
    """Return what 検索 answers to a number and a name."""
    page = way_in(app, city.authority.card())

    def look(number, name):
        form = main_form(page, "supplier_number")
        form["supplier_number"].force_value(number)
        form["name"].force_value(name)
        return send(form)

    return look


@pytest.mark.parametrize(
    ("number", "words"),
    [
        ("99000001", R_101),
        ("9900000001", R_101),
        ("", "業者番号を入力してください。"),
        ("99000-001", R_101),
        ("99000\n0001", R_101),
        ("99000\x000001", R_101),
        ("٩٩٠٠٠٠٠٠١", R_101),
        ("九九〇〇〇〇〇〇一", R_101),
        ("' OR 1=1", R_101),
        ("<b>990000", R_101),
        ("9" * 5000, R_101),
    ],
)
def test_a_number_that_cannot_be_one_is_said_so_at_its_field_and_is_no_try(looking, number, words):
    page = looking(number, NAME)
    assert words in words_at(page, "supplier_number")
    form = main_form(page, "supplier_number")
    assert shown(form, "supplier_number").replace("\ufffd", "\x00") == number[:1000]
    assert shown(form, "name") == NAME
    assert not Attempt.objects.exists()
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    "number", ["９９０００００ａ１", "99000 00A1".replace(" ", ""), "99000000a1"[:6] + "0a1", " 9900000a1 "]
)
def test_widths_lower_case_and_outer_spaces_are_our_work(looking, city, number):
    city.supplier.supplier_number = "9900000A1"
    city.supplier.save()
    assert "企業情報" in looking(number, NAME)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "商号又は名称を入力してください。"),
        ("あ" * 41, P_802),
        ("ｱ" * 41, P_802),
        ("（株）テスト\n商会01", P_801),
        ("（株）テスト\x00商会01", P_801),
        ("（株）テスト\u202e商会01", P_801),
        ("（株）テスト\ue000商会01", P_801),
    ],
)
def test_a_name_that_cannot_be_one_is_said_so_at_its_field(looking, name, words):
    page = looking(NUMBER, name)
    assert words in words_at(page, "name")
    assert shown(main_form(page, "name"), "supplier_number") == NUMBER
    assert not Attempt.objects.exists()


@pytest.mark.parametrize(
    "name",
    [
        "あ" * 40,
        "（株）テスト商会😀",
        "' OR '1'='1' --",
        '<script>alert("x")</script>',
        "%",
        "_",
        "{{ section }}",
        "㈱",
    ],
)
def test_a_name_of_any_other_characters_is_just_a_wrong_one(looking, name):
    page = looking(NUMBER, name)
    assert page.status_int == 200
    assert R_102 in page
    assert shown(main_form(page, "name"), "name") == name
    assert "<script>alert" not in page.text
    assert not Draft.objects.exists()


@pytest.mark.parametrize(
    "name", ["㈱テスト商会０１", "(株)　テスト 商会 01", "株式会社ﾃｽﾄ商会01", "テスト商会０１（株）"]
)
def test_a_name_is_right_however_it_is_written(looking, name):
    assert "企業情報" in looking(NUMBER, name)


def test_the_password_is_asked_where_the_agency_asks_and_is_never_shown_again(app, city):
    city.section.agency.lookup_needs_password = True
    city.section.agency.save()
    form = main_form(way_in(app, city.authority.card()), "password")
    form["supplier_number"], form["name"], form["login_id"], form["password"] = NUMBER, NAME, "shokai01", "chigau1"
    page = send(form)
    assert R_102 in page
    assert "chigau1" not in page
    assert shown(main_form(page, "login_id"), "login_id") == "shokai01"
    form = main_form(page, "password")
    form["login_id"], form["password"] = "あ", "a" * 21
    page = send(form)
    for field in ("login_id", "password"):
        assert "半角英数字で入力してください。" in words_at(page, field)
    # A password that was right has to be typed again, but is no mistake.
    form = main_form(page, "password")
    form["login_id"], form["password"] = "あ", "himitsu1"
    assert not words_at(send(form), "password")


# -- 利用者登録


@pytest.fixture
def contacts(app, city):
    """Return the form 「利用者登録」."""
    form = main_form(way_in(app, city.authority.card()), "supplier_number")
    form["supplier_number"], form["name"] = NUMBER, NAME
    return main_form(send(form), "rep-email")


MISTAKES = [
    ("department", "", "連絡先名称（部署名等）を入力してください。"),
    ("department", "あ" * 61, P_802),
    ("department", "営業\n部", P_801),
    ("postal_code", "", "連絡先郵便番号を入力してください。"),
    ("postal_code", "030-08011", "郵便番号は7桁の数字で入力してください。"),
    ("postal_code", "030\n-080x", "郵便番号は7桁の数字で入力してください。"),
    ("address", "", "連絡先住所を入力してください。"),
    ("address", "あ" * 61, P_802),
    ("address", "青森市\n新町", P_801),
    ("person", "", "連絡先氏名を入力してください。"),
    ("person", "あ" * 21, P_802),
    ("person", "青森\r\n花子", P_801),
    ("person", "青森\x00花子", P_801),
    ("phone", "", "連絡先電話番号を入力してください。"),
    ("phone", "017-000-00000-0", "電話番号・FAX番号は"),
    ("phone", "017-000\n-0000 内線", "電話番号・FAX番号は"),
    ("fax", "", "連絡先FAX番号を入力してください。"),
    ("fax", "なし", "電話番号・FAX番号は"),
    ("email", "", "連絡先メールアドレスを入力してください。"),
    ("email", "a" * 60 + "@" + "b" * 37 + ".jp", "メールアドレスが長すぎます。"),
    ("email", "hanako@example.jp\nBcc: all@example.jp", "メールアドレスの形が正しくありません。"),
    ("email", "花子@example.jp", "メールアドレスの形が正しくありません。"),
    ("email", "hanako@example.jp, all@example.jp", "メールアドレスの形が正しくありません。"),
    ("email_again", "", "メールアドレスをもう一度入力してください。"),
    ("email_again", "hanaka@example.jp", "二つのメールアドレスが一致しません。"),
]


@pytest.mark.parametrize(("field", "typed", "words"), MISTAKES)
def test_a_mistake_is_answered_at_its_field_and_everything_typed_stays(contacts, field, typed, words):
    values = {**CONTACT, "email_again": CONTACT["email"], field: typed}
    for block in ("rep", "card_office"):
        for name, value in values.items():
            contacts[f"{block}-{name}"].force_value(value)
    page = send(contacts)
    form = main_form(page, "rep-email")
    for block in ("rep", "card_office"):
        assert words in words_at(page, f"{block}-{field}")
        for name, value in values.items():
            kept = shown(form, f"{block}-{name}")
            assert kept.replace("\r\n", "\n") == value.replace("\r\n", "\n").replace("\x00", "\x01")
    assert page.html.select_one(".error-summary")
    assert Draft.objects.get().document == ""
    assert not RegisteredCard.objects.exists()


def test_only_the_block_with_the_mistake_is_complained_of(contacts):
    fill(contacts, "rep")
    fill(contacts, "card_office", person="")
    page = send(contacts)
    assert words_at(page, "card_office-person")
    assert len(page.html.select(".field-with-error")) == 1


@pytest.mark.parametrize(
    ("field", "typed", "stored"),
    [
        ("department", "あ" * 60, "あ" * 60),
        ("department", "<b>営業</b> & 'SQL'", "<b>営業</b> & 'SQL'"),
        ("address", "髙橋ビル１階", "髙橋ビル１階"),
        ("address", "ﾃｽﾄﾋﾞﾙ", "テストビル"),
        ("person", "葛\U000e0100" * 20, "葛\U000e0100" * 20),
        ("person", "森😀", "森😀"),
        ("postal_code", "〒０３０－０８０１", "030-0801"),
        ("phone", "０１７（０００）００００", "017-000-0000"),
        ("email", "ｈａｎａｋｏ＠ｅｘａｍｐｌｅ．ｊｐ", "hanako@example.jp"),
    ],
)
def test_what_is_right_is_shown_on_the_next_page_as_it_will_be_stored(contacts, field, typed, stored):
    fill(contacts, "rep")
    again = {"email_again": typed} if field == "email" else {}
    fill(contacts, "card_office", **{field: typed}, **again)
    page = send(contacts)
    assert "登録内容確認" in page.html.title.get_text()
    office = page.html.find("h2", string="ICカード利用部署情報").parent
    assert stored in [value.get_text() for value in office.select("dd")]
    assert "<b>営業" not in page.text


def test_an_agency_may_do_without_fax_numbers(app, city):
    city.section.agency.policy = {"fax_required": False}
    city.section.agency.save()
    form = main_form(way_in(app, city.authority.card()), "supplier_number")
    form["supplier_number"], form["name"] = NUMBER, NAME
    page = send(form)
    assert "※必須" not in page.html.select_one("label[for=id_rep-fax]").get_text()
    assert "※必須" in page.html.select_one("label[for=id_rep-phone]").get_text()
    form = main_form(page, "rep-email")
    fill(form, "rep", fax="")
    fill(form, "card_office", fax="12")
    page = send(form)
    assert words_at(page, "card_office-fax")
    assert not words_at(page, "rep-fax")
    form = main_form(page, "rep-email")
    form["card_office-fax"] = ""
    assert "登録内容確認" in send(form).html.title.get_text()
