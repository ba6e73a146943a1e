"""The manual's section 1.2, filled in on the rendered forms: from the menu to the mail, and in with the card."""

import pytest
from builders import sign_document
from steps import TYP, fill, main_form, present, register, send, sign_and_register, way_in

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration.models import Draft, RegisteredCard

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


def test_from_the_portal_to_the_mail_and_in(django_app, city):
    card = city.authority.card()
    page = django_app.get("/9992/goods/").click("利用者登録").click("利用者登録処理")
    assert "利用者登録メニュー" in page
    page = present(django_app, page, card).follow()

    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "９９００００００１", "㈱ テスト商会 01"  # widths and spaces are our work
    page = form.submit().follow()
    assert "（株）テスト商会01" in page
    assert "代表取締役社長" in page

    form = main_form(page, "rep-email")
    fill(form, "rep", email="daihyo@example.jp")
    fill(form, "card_office", postal_code="０３０ー０８０１")
    page = form.submit().follow()
    assert "登録内容確認" in page
    assert "030-0801" in page
    assert "企業情報及びICカード利用部署情報の企業名称が御社の企業名称であることを確認してください。" in page

    page = sign_and_register(page, card).follow()
    registered = RegisteredCard.objects.get()
    number = registered.registration.company_id
    assert len(number) == 15
    assert number.startswith("99921")
    assert number in page
    assert {notice.to for notice in Notice.objects.all()} == {"hanako@example.jp", "daihyo@example.jp"}
    assert all(number in notice.body for notice in Notice.objects.all())
    assert bytes(Entry.objects.get().document).decode() == registered.application
    assert Pending.objects.count() == 1
    assert not Draft.objects.exists()

    printed = page.click("印刷")
    for value in (number, "係 太郎", registered.serial, "OU=testca,O=test,ST=Kanagawa,C=JP", "証明書に記載なし"):
        assert value in printed

    page = page.click("電子入札へ進む")
    assert number in page


def test_a_registered_card_logs_in_and_out(django_app, city):
    card = city.authority.card()
    register(django_app, card)
    django_app.reset()
    page = present(django_app, django_app.get("/9992/goods/login/"), card).follow()
    assert "（株）テスト商会01" in page
    out = next(f for f in page.forms.values() if f.action == "/logout/").submit()
    assert "ログアウトしました" in out
    assert "T-301" in django_app.get("/9992/goods/start/", status=403)


def test_an_unregistered_card_is_told_so(django_app, city):
    page = present(django_app, django_app.get("/9992/goods/login/"), city.authority.card())
    assert page.follow(status="*") if page.status_int == 302 else page
    answer = page if page.status_int != 302 else page.follow(status="*")
    assert "R-120" in answer


@pytest.fixture
def django_app(django_app):
    # Refusals are answered with pages of their own and their status: the journeys look at them.
    submit = django_app.do_request

    def do_request(request, status=None, expect_errors=None):
        return submit(request, status="*" if status is None else status, expect_errors=True)

    django_app.do_request = do_request
    return django_app


def test_a_wrong_pair_gets_one_answer_whichever_half_is_wrong(django_app, city):
    page = way_in(django_app, city.authority.card())
    answers = []
    for number, name in (("990000002", "（株）テスト商会01"), ("990000001", "（株）別の商会")):
        form = main_form(page, "supplier_number")
        form["supplier_number"], form["name"] = number, name
        page = send(form)
        assert name in page  # nothing typed is lost
        answers.append(page.html.select_one(".error-summary").get_text())
    assert answers[0] == answers[1]
    assert "R-102" in answers[0]


@pytest.mark.usefixtures("half_past")
def test_too_many_tries_are_refused_for_the_hour(django_app, city):
    page = way_in(django_app, city.authority.card())
    for _ in range(10):
        form = main_form(page, "supplier_number")
        form["supplier_number"], form["name"] = "990000009", "だれか"
        page = send(form)
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    assert "R-113" in send(form)


def test_what_was_typed_survives_a_mistake_and_the_end_of_the_session(django_app, city):
    card = city.authority.card()
    page = way_in(django_app, card)
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    page = form.submit().follow()
    form = main_form(page, "rep-email")
    fill(form, "rep", email_again="other@example.jp")
    fill(form, "card_office", department="")
    page = send(form)
    assert "二つのメールアドレスが一致しません。" in page
    assert "連絡先名称（部署名等）を入力してください。" in page
    django_app.reset()
    page = way_in(django_app, card).click("続きから入力する")
    assert main_form(page, "rep-email")["rep-email_again"].value == "other@example.jp"


def test_a_second_press_of_register_returns_the_same_registration(django_app, city):
    card = city.authority.card()
    page = way_in(django_app, card)
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    form = main_form(form.submit().follow(), "rep-email")
    fill(form, "rep")
    fill(form, "card_office")
    check = form.submit().follow()
    first, second = sign_and_register(check, card), sign_and_register(check, card)
    assert first.location == second.location
    assert RegisteredCard.objects.count() == 1


def test_another_card_of_the_company_shares_its_company_id_and_is_announced(django_app, city):
    first, second = city.authority.card(), city.authority.card()
    register(django_app, first)
    Notice.objects.all().delete()
    page = way_in(django_app, second)
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    page = form.submit().follow()
    form = main_form(page, "card_office-email")
    assert "rep-email" not in form.fields
    assert "daihyo@example.jp" in page
    fill(form, "card_office", email="second@example.jp")
    sign_and_register(form.submit().follow(), second)
    assert len({card.registration.company_id for card in RegisteredCard.objects.all()}) == 1
    told = {(notice.kind, notice.to) for notice in Notice.objects.all()}
    assert ("registration.further_card", "daihyo@example.jp") in told
    assert ("registration.further_card", "hanako@example.jp") in told
    assert ("registration.registered", "second@example.jp") in told


def test_a_card_of_another_company_is_refused(django_app, city):
    page = way_in(django_app, city.authority.card(company="株式会社合浦商事"))
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    answer = send(form)
    assert "R-108" in answer
    assert "株式会社合浦商事" in answer


def test_by_policy_a_card_of_another_name_is_kept_without_company_id(django_app, city):
    city.section.agency.policy = {"name_mismatch": "provisional"}
    city.section.agency.save()
    done = register(django_app, city.authority.card(company="株式会社合浦商事")).follow()
    registered = RegisteredCard.objects.get()
    assert registered.status == "provisional"
    assert "仮登録" in done
    assert registered.registration.company_id not in done
    assert "R-118" in django_app.get("/9992/goods/start/")


def test_the_signature_must_be_over_what_the_screen_showed(django_app, city):
    card = city.authority.card()
    page = way_in(django_app, card)
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    form = main_form(form.submit().follow(), "rep-email")
    fill(form, "rep")
    fill(form, "card_office")
    form = main_form(form.submit().follow(), "jws")
    changed = form["document"].value.replace("青森 花子", "青森 太郎")
    form["jws"].force_value(sign_document(card, changed, TYP))
    assert "R-117" in send(form)
    form["jws"].force_value(sign_document(city.authority.card(), form["document"].value, TYP))
    assert "K-425" in send(form)
    assert not RegisteredCard.objects.exists()
    assert Draft.objects.exists()


def test_another_companys_pages_are_not_there(django_app, city):
    location = register(django_app, city.authority.card()).location
    django_app.reset()
    way_in(django_app, city.authority.card())
    assert django_app.get(location, status=404)


def test_outside_the_hours_every_act_is_refused_and_pages_can_be_read(django_app, city):
    agency = city.section.agency
    agency.always_open, agency.opens_at, agency.closes_at = False, "00:00", "00:00"
    agency.save()
    page = django_app.get("/9992/goods/registration/menu/")
    assert "受付時間外" in page
    answer = present(django_app, page, city.authority.card())
    assert "T-302" in answer
    assert "次の受付開始は" in answer
