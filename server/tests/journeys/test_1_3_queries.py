"""How often each page of 変更 asks the database: exactly so often with one card of the company as with three."""

from __future__ import annotations

import re

import pytest
from builders import sign_document
from steps import CHANGE_TYP, main_form, register, statements, type_over, way_to_change

from irefuda.notices.models import Notice

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
CHANGE = "/9992/goods/change/"
PAGES = {"form": 4, "mistakes": 4, "check": 4, "done": 3, "print": 4, "receipt": 4, "address": 3, "history": 3}
PRESSES = {"mistake": 5, "confirm": 5, "wrong code": 5, "right code": 12}


@pytest.fixture
def walk(app, city):
    """Return a walk through everything with a registered card, which counts what each step asks."""

    def once(card, number):
        asked = {}

        def count(name, call):
            answer, own = statements(call)
            asked[name] = len(own)
            if name in PAGES:
                assert [sql for sql in own if not sql.lstrip("(").startswith("SELECT")] == []
            return answer

        def see(name, path):
            return count(name, lambda: app.get(CHANGE + path))

        app.reset()
        way_to_change(app, card)
        form = main_form(see("form", ""), "rep-email")
        type_over(form, rep_person="", card_office_email=f"new{number}@example.jp")
        count("mistake", form.submit)
        form = main_form(see("mistakes", "?mistakes"), "rep-email")
        type_over(form, rep_person=f"{number}郎")
        count("confirm", form.submit)
        form = main_form(see("check", "check/"), "jws")
        form["jws"].force_value(sign_document(card, form["document"].value, CHANGE_TYP))
        done = count("change", form.submit).location.partition(CHANGE)[2]
        see("done", done)
        see("print", done.replace("done/", "print/"))
        see("receipt", done.replace("done/", "print/") + "receipt.json")
        form = main_form(see("address", "address/"), "code")
        mail = Notice.objects.filter(kind="registration.address_code").latest("queued_at")
        right = re.search(r"確認コード : ([0-9]{6})\n", mail.body)[1]
        form["code"] = f"{(int(right) + 1) % 10**6:06d}"
        count("wrong code", form.submit)
        form["code"] = right
        count("right code", form.submit)
        see("history", "history/")
        return asked

    return once


def test_pages_and_presses_ask_as_often_with_one_card_as_with_three(walk, app, city):
    cards = [city.authority.card() for _ in range(3)]
    register(app, cards[0])
    walk(cards[0], 1)
    one = walk(cards[0], 2)
    for card in cards[1:]:
        app.reset()
        register(app, card)
    three = walk(cards[2], 3)
    assert {name: one[name] for name in PAGES} == {name: three[name] for name in PAGES} == PAGES
    assert {name: one[name] for name in PRESSES} == {name: three[name] for name in PRESSES} == PRESSES
    assert max(PAGES.values()) <= 10
    # 「変更」 writes the deed, its entry and its notices: one more only for every card that is told of it.
    assert three["change"] == one["change"] + 2
