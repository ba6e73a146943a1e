"""「利用者申請書受理メール」 word by word, to whom it goes, and what other mails must not say."""

from __future__ import annotations

import pytest
from mail_server import free_port
from steps import fill, main_form, register, send, sign_and_register, way_in

from irefuda.notices import queries
from irefuda.notices.models import Notice
from irefuda.registration.models import RegisteredCard

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
SIGNED = """
電子入札システム

E-mail : ebid@example.jp
ヘルプデスク E-mail : help@example.jp
ヘルプデスク URL : http://localhost:8000/helpdesk/
"""


def register_at(app, card, *, office, rep="daihyo@example.jp"):
    """Register a card with these addresses and return it."""
    form = main_form(way_in(app, card), "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    form = main_form(send(form), "card_office-email")
    if "rep-email" in form.fields:
        fill(form, "rep", email=rep)
    fill(form, "card_office", email=office, person="森 <花子> & 'Co'")
    sign_and_register(send(form), card)
    return RegisteredCard.objects.latest("registered_at")


def test_the_mail_of_a_registration_word_by_word(app, city):
    card = register_at(app, city.authority.card(), office="hanako@example.jp")
    mails = list(Notice.objects.order_by("to"))
    assert [mail.to for mail in mails] == ["daihyo@example.jp", "hanako@example.jp"]
    for mail in mails:
        assert mail.subject == "利用者登録のお知らせ（利用者申請書受理メール）"
        assert mail.sender == "ebid@example.jp"
        # Plain text: nothing is escaped for HTML.
        assert mail.body == (
            "利用者が以下のように登録されましたのでお知らせ致します。\n"
            "このメールは登録された連絡先メールアドレス宛に送信されています。\n\n"
            f"企業ID     : {card.registration.company_id}\n"
            "企業名称   : （株）テスト商会01\n"
            "連絡先氏名 : 森 <花子> & 'Co'\n"
            "連絡先住所 : 青森市新町1-3-7\n" + SIGNED
        )
    assert set(queries.inbox(card.fingerprint)) == set(mails)


def test_one_address_for_both_gets_one_mail(app, city):
    register_at(app, city.authority.card(), office="hanako@example.jp", rep="hanako@example.jp")
    assert Notice.objects.get().to == "hanako@example.jp"


def test_a_further_card_is_announced_without_telling_what_it_entered(app, city):
    first = register_at(app, city.authority.card(), office="hanako@example.jp")
    Notice.objects.all().delete()
    app.reset()
    second = register_at(app, city.authority.card(), office="secret@example.jp")
    told = {mail.to: mail for mail in Notice.objects.filter(kind="registration.further_card")}
    assert told.keys() == {"daihyo@example.jp", "hanako@example.jp"}
    for mail in told.values():
        assert mail.subject == "新しいICカードが登録されました"
        assert second.registration.company_id in mail.body
        assert "すぐに下のヘルプデスクに連絡してください" in mail.body
        assert "secret@example.jp" not in mail.body
        assert "森" not in mail.body
        assert mail.body.endswith(SIGNED)
    assert [mail.kind for mail in queries.inbox(first.fingerprint)] == ["registration.further_card"]
    # 代表窓口 did not change, so only the new card's own department has the mail with the four items.
    (own,) = queries.inbox(second.fingerprint)
    assert (own.kind, own.to) == ("registration.registered", "secret@example.jp")


def test_a_provisional_card_gets_no_company_id_on_any_page_or_mail(app, city):
    number = register_at(app, city.authority.card(), office="hanako@example.jp").registration.company_id
    Notice.objects.all().delete()
    city.section.agency.policy = {"name_mismatch": "provisional"}
    city.section.agency.save()
    app.reset()
    done = register(app, city.authority.card(company="株式会社合浦商事")).follow()
    mail = Notice.objects.get()
    assert mail.subject == "利用者登録の申請を受け付けました（仮登録）"
    assert mail.body.startswith("利用者登録の申請を受け付けました（仮登録）。\n")
    assert mail.body.endswith(SIGNED)
    printed = done.click("^印刷")
    for words in (done.text, printed.text, mail.body):
        assert number not in words
    assert "R-118" in app.get("/9992/goods/start/")


def test_nothing_typed_becomes_a_header(app, city):
    register_at(app, city.authority.card(), office="hanako@example.jp")
    for mail in Notice.objects.all():
        assert "\n" not in mail.subject + mail.to + mail.sender + mail.message_id


def test_a_mail_server_that_is_down_is_no_reason_not_to_register(app, city, settings):
    settings.EMAIL_PORT = free_port()
    card = register_at(app, city.authority.card(), office="hanako@example.jp")
    assert card.status == "active"
    assert set(Notice.objects.values_list("state", "attempts")) == {("queued", 0)}
