"""What the screens of 登録 do beyond the manual: less typing, names side by side, grades that can be read."""

import io
from datetime import UTC, datetime, timedelta

import pytest
from builders import make_supplier
from django.core.management import call_command
from steps import fill, main_form, register, send, way_in

from irefuda.ledger import keys, sequencer
from irefuda.registration.models import Draft
from irefuda.ui import clock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


def contacts(app, card):
    form = main_form(way_in(app, card), "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    return form.submit().follow()


def test_a_mark_copies_the_representative_contact_into_the_card_office(django_app, city):
    form = main_form(contacts(django_app, city.authority.card()), "same")
    fill(form, "rep", department="総務部", email="daihyo@example.jp")
    form["same"] = True
    check = form.submit().follow()
    assert check.text.count("総務部") == check.text.count("daihyo@example.jp") == 2 + 2  # shown, and in what is signed
    assert "代表窓口情報を修正する" in check
    form = main_form(check.click("ICカード利用部署情報を修正する"), "same")
    assert form["card_office-email_again"].value == "daihyo@example.jp"


def test_the_mark_copies_nothing_wrong_and_loses_nothing(django_app, city):
    form = main_form(contacts(django_app, city.authority.card()), "same")
    fill(form, "rep", postal_code="12")
    fill(form, "card_office", department="営業部")
    form["same"] = True
    page = send(form)
    # Told once in the summary and once at the field where it was typed, not again for the copy.
    assert page.text.count("郵便番号は7桁の数字で入力してください。") == 2
    assert main_form(page, "same")["card_office-postal_code"].value == "12"
    assert main_form(page, "same")["same"].checked
    assert not Draft.objects.get().document


def test_a_further_card_copies_from_what_its_company_has_registered(django_app, city):
    register(django_app, city.authority.card())
    form = main_form(contacts(django_app, city.authority.card()), "same")
    assert "rep-email" not in form.fields
    form["same"] = True
    check = form.submit().follow()
    assert "daihyo@example.jp" in check
    # What the company's first card has entered is changed by 「変更」, not here.
    assert "ICカード利用部署情報を修正する" in check
    assert "代表窓口情報を修正する" not in check


def test_a_draft_is_shown_again_without_complaints_until_it_is_sent(django_app, city):
    card = city.authority.card()
    form = main_form(contacts(django_app, card), "same")
    fill(form, "rep", department="")
    assert "field-with-error" in send(form)
    page = django_app.get("/9992/goods/registration/contacts/")
    assert "field-with-error" not in page
    assert main_form(page, "same")["rep-person"].value == "青森 花子"


@pytest.mark.parametrize(
    ("company", "words"),
    [
        ("（株）テスト商会01", "一致しています。"),
        ("株式会社テスト商会０１", "同じ会社名です（書き方だけが違います）。"),
        ("テスト商会01株式会社", "同じ会社名です（株式会社などの位置だけが違います）。"),
    ],
)
def test_the_names_of_register_and_card_stand_side_by_side(django_app, city, company, words):
    form = main_form(contacts(django_app, city.authority.card(company=company)), "same")
    fill(form, "rep")
    form["same"] = True
    compared = form.submit().follow().html.select_one("[aria-labelledby=names]").get_text()
    assert words in compared
    assert company in compared
    assert "（株）テスト商会01" in compared


def test_the_grades_are_marked_in_the_manuals_four_rows(django_app, city):
    city.supplier.qualifications = {"物品の製造": "A", "物品の販売": "D"}
    city.supplier.save()
    page = contacts(django_app, city.authority.card())
    rows = [row.get_text(" ", strip=True) for row in page.html.select(".grades li")]
    assert len(rows) == 4
    assert rows[0].startswith("物品の製造 ☑ A （該当） ☐ B （該当しない）")
    assert "☑ D" in rows[1]
    assert "☑ 無し" in rows[2]


def test_the_lookup_leads_to_this_sections_register(django_app, city):
    page = way_in(django_app, city.authority.card())
    assert page.html.find("a", string=lambda text: text and "登録業者名簿" in text)["href"].endswith(
        "/register/9992/goods/"
    )


def test_a_card_that_expires_soon_is_told_at_the_start(django_app, city):
    soon, later = city.authority.card(ends=timedelta(days=20)), city.authority.card(ends=timedelta(days=200))
    register(django_app, soon)
    page = django_app.get("/9992/goods/start/")
    assert "このICカードの有効期限まで、あと" in page
    django_app.reset()
    register(django_app, later)
    assert "このICカードの有効期限まで" not in django_app.get("/9992/goods/start/")


def test_a_card_without_an_end_is_registered_and_logs_in(django_app, city):
    # RFC 5280 section 4.1.2.5: 99991231235959Z; in Japan that is in a year that no calendar has.
    never = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - city.authority.at
    assert register(django_app, city.authority.card(ends=never)).status_int == 302
    assert "9999年12月31日" in django_app.get("/9992/goods/start/")


@pytest.mark.usefixtures("half_past")
def test_the_proof_follows_at_the_same_address_and_in_production_at_the_hour(django_app, city, settings, tmp_path):
    call_command("make_ledger_keys", directory=tmp_path / "keys", stdout=io.StringIO())
    settings.HEAD_KEY_FILE = str(tmp_path / "keys" / "head.pem")
    address = register(django_app, city.authority.card()).location.replace("/done/", "/print/")
    assert "台帳への記録は受付から60秒以内に行われます。" in django_app.get(address)
    sequencer.sequence_batch(key=keys.head_key(), now=clock.now())
    assert "台帳の1番目に記録されています（台帳の件数 1）。" in django_app.get(address)
    assert django_app.get(f"{address}receipt.json").json["proof"]["leaf_index"] == 0
    # A place in the newest head would tell how many others have applied.
    settings.PRACTICE = False
    assert "次の正時（00分）を過ぎてから" in django_app.get(address)
    assert django_app.get(f"{address}receipt.json").json["proof"] is None


def test_the_kinds_of_qualification_stand_on_the_pages_of_goods_only(django_app, city):
    city.supplier.qualifications = {}
    city.supplier.save()
    form = main_form(contacts(django_app, city.authority.card()), "same")
    fill(form, "rep")
    form["same"] = True
    shown = form.submit().follow().html.select_one("main")
    assert "支店名等" in shown.get_text()
    assert "資格の種類" not in [label.get_text() for label in shown.select("dt")]


def test_a_company_that_another_tab_looked_up_is_never_taken_silently(django_app, city):
    make_supplier(city.section, supplier_number="990000002", name="（株）テスト商会01", address="別の町")
    card = city.authority.card()
    form = main_form(contacts(django_app, card), "same")
    fill(form, "rep")
    form["same"] = True
    other = main_form(django_app.get("/9992/goods/registration/lookup/"), "supplier_number")
    other["supplier_number"], other["name"] = "990000002", "（株）テスト商会01"
    assert "別の町" in other.submit().follow()
    answer = form.submit(status=403)
    assert "R-127" in answer
    assert not Draft.objects.get().document
    assert main_form(django_app.get("/9992/goods/registration/contacts/"), "same")["rep-person"].value == "青森 花子"
