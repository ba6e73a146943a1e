"""The manual's section 1.3 on the rendered forms: what is registered, typed over, confirmed, changed, verified, told."""

from __future__ import annotations

import re

import pytest
from builders import CONTACT
from steps import main_form, register, send, sign_and_change, type_over, way_to_change

from irefuda.notices.models import Notice
from irefuda.registration.models import Draft, RegisteredCard

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
