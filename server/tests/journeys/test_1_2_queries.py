"""How often each page of 登録 and login asks the database: exactly so often with one card of the company and with three."""

from __future__ import annotations

import pytest
from builders import make_token, sign_document
from steps import TYP, fill, main_form, register, statements

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
SECTION = "/9992/goods/"
PAGES = {
    "choose": 1, "top": 1, "menu": 1, "lookup": 3, "contacts": 3, "mistakes": 3, "check": 2, "done": 2, "print": 3,
    "receipt": 4, "login": 1, "start": 6,
}  # fmt: skip
PRESSES = {
    "nonce": 1, "present": 6, "wrong pair": 5, "right pair": 6, "wrong contact": 4, "right contact": 4, "log in": 6,
}  # fmt: skip


@pytest.fixture
def walk(app, city):
    """Return a walk through everything with a new card, which counts what each step asks."""

    def once():
        card, asked = city.authority.card(), {}

        def count(name, call):
            answer, own = statements(call)
            asked[name] = len(own)
            if name in PAGES:
                assert [sql for sql in own if not sql.lstrip("(").startswith("SELECT")] == []
            return answer

        def prove(page, name):
            form = main_form(page, "token")
            fields = {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"].value}
            nonce = count("nonce", lambda: app.post("/card/nonce/", fields)).json["nonce"]
            form["token"].force_value(make_token(card, nonce))
            count(name, form.submit)

        def see(name, path):
            return count(name, lambda: app.get(SECTION + path))

        app.reset()
        see("choose", "")
        see("top", "registration/")
        prove(see("menu", "registration/menu/"), "present")
        form = main_form(see("lookup", "registration/lookup/"), "supplier_number")
        form["supplier_number"], form["name"] = "990000001", "だれか"
        count("wrong pair", form.submit)
        app.get(SECTION + "registration/lookup/")
        form["name"] = "（株）テスト商会01"
        count("right pair", form.submit)
        form = main_form(see("contacts", "registration/contacts/"), "card_office-email")
        if "rep-email" in form.fields:
            fill(form, "rep", email="daihyo@example.jp")
        fill(form, "card_office", person="")
        count("wrong contact", form.submit)
        see("mistakes", "registration/contacts/?mistakes")
        form["card_office-person"] = "青森 花子"
        count("right contact", form.submit)
        form = main_form(see("check", "registration/check/"), "jws")
        form["jws"].force_value(sign_document(card, form["document"].value, TYP))
        done = count("register", form.submit).location.partition(SECTION)[2]
        see("done", done)
        see("print", done.replace("/done/", "/print/"))
        see("receipt", done.replace("/done/", "/print/") + "receipt.json")
        app.reset()
        prove(see("login", "login/"), "log in")
        see("start", "start/")
        return asked

    return once


def test_pages_and_presses_ask_as_often_with_one_card_as_with_three(walk, app, city):
    app.get(SECTION)  # what a process reads once
    register(app, city.authority.card())
    second = walk()
    walk()
    fourth = walk()
    assert {name: second[name] for name in PAGES} == {name: fourth[name] for name in PAGES} == PAGES
    assert {name: second[name] for name in PRESSES} == {name: fourth[name] for name in PRESSES} == PRESSES
    assert max(PAGES.values()) <= 10
    # 「登録」 writes the deed, its entry and its notices: one more only for every card that is told of it.
    assert fourth["register"] == second["register"] + 2
