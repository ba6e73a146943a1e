"""How often each page of ICカード更新 asks the database: exactly so often with one card of the company and with three."""

from __future__ import annotations

import pytest
from builders import sign_document
from steps import register, statements
from succession import PAGES, RENEWAL, begin_on_page, newer, prepare_on_page, renewal_form

from irefuda.registration.models import RegisteredCard

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
ASKED = {"top": 1, "begin": 3, "prepare": 8, "done": 2}


@pytest.fixture
def walk(app, city):
    """Return a walk through 更新 with a pair of cards of its own, which counts what each step asks."""

    def once():
        old, new, asked = city.authority.card(), newer(city), {}
        app.reset()
        register(app, old)
        app.reset()

        def count(name, call):
            answer, own = statements(call)
            asked[name] = len(own)
            return answer

        form = count("top", lambda: renewal_form(app))
        message = count("begin", lambda: begin_on_page(app, form)).json["message"]
        judged = count("prepare", lambda: prepare_on_page(app, form, message, old, new))
        form["renewal"].force_value(message["renewal_id"])
        form["jws"].force_value(sign_document(new, judged.json["document"], RENEWAL))
        count("renew", form.submit)
        card = RegisteredCard.objects.get(draft=message["renewal_id"])
        count("done", lambda: app.get(f"{PAGES}done/{card.id}/"))
        return asked

    return once


def test_pages_and_presses_ask_as_often_with_one_card_as_with_three(walk, app, city):
    app.get(PAGES)  # what a process reads once
    first = walk()
    walk()
    third = walk()
    assert {name: first[name] for name in ASKED} == {name: third[name] for name in ASKED} == ASKED
    # 「更新」 writes the deed, its entry and its notices: one more for every other card that is told of it.
    assert third["renew"] == first["renew"] + 2
    assert first["renew"] <= 30
