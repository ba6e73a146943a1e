"""「カードや会社の情報が変わったとき」: one question per page, answers in the address, nothing stored."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from irefuda.agencies.models import Agency, Category, Section
from irefuda_core.procedure import OUTCOMES, QUESTIONS, START

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

RENEWAL = ("ICカードの有効期限が近い", "いいえ、まだ使えます", "はい、届いています", "はい、どれも同じです")


@pytest.fixture
def sections() -> None:
    for code, category in (("9991", Category.WORKS), ("9992", Category.GOODS)):
        agency = Agency.objects.create(code=code, name=f"入札市 {code}", system_email="ebid@example.jp")
        Section.objects.create(agency=agency, category=category)


def to_outcome(app: Any, *answers: str) -> Any:
    page = app.get("/changed/")
    for words in answers:
        page = page.click(words)
    return page


def test_each_page_asks_one_question_and_shows_what_was_answered(django_app: Any) -> None:
    page = django_app.get("/changed/")
    assert page.html.find(id="question").text == QUESTIONS[START].words
    assert [a.text for a in page.html.select(".entries a")] == [answer.words for answer in QUESTIONS[START].answers]
    page = page.click("ICカードの有効期限が近い")
    assert page.html.find(id="question").text == QUESTIONS["valid"].words
    assert page.html.title.text.startswith(QUESTIONS["valid"].words)
    assert [dt.text for dt in page.html.select("section[aria-labelledby=answered] dt")] == [QUESTIONS[START].words]


@pytest.mark.usefixtures("sections")
def test_the_way_to_renewal_ends_at_the_section_s_menu(django_app: Any) -> None:
    page = to_outcome(django_app, *RENEWAL)
    assert page.html.find(id="outcome").text == OUTCOMES["renewal"].title
    for words in (*OUTCOMES["renewal"].steps, *OUTCOMES["renewal"].ready, *OUTCOMES["renewal"].beware):
        assert words in page
    assert [a["href"] for a in page.html.select(".choices a")] == [
        "/9991/works/registration/menu/",
        "/9992/goods/registration/menu/",
    ]
    assert page.click("入札市 9992").html.h1.text == "利用者登録メニュー"


def test_a_former_answer_can_be_changed_and_forgets_what_came_after(django_app: Any) -> None:
    page = to_outcome(django_app, *RENEWAL)
    again = page.click("答えを変える", index=1)
    assert again.html.find(id="question").text == QUESTIONS["valid"].words
    assert again.request.query_string == "event=card"
    assert again.click("はい、切れています").html.find(id="question").text == QUESTIONS["have-after-end"].words
    back = page.click("1つ前の質問に戻る")
    assert back.html.find(id="question").text == QUESTIONS["same-while-valid"].words
    assert page.click("はじめからやり直す").html.find(id="question").text == QUESTIONS[START].words


def test_every_outcome_is_a_page_with_something_to_go_on_with(django_app: Any, client: Client) -> None:
    met, waiting = set(), [""]
    while waiting:
        query = waiting.pop()
        page = django_app.get(f"/changed/{query}")
        waiting += [link["href"] for link in page.html.select(".entries a")]
        if outcome := page.html.find(id="outcome"):
            met.add(outcome.text)
            assert page.html.select("section[aria-labelledby=outcome] ol li")
    assert met == {outcome.title for outcome in OUTCOMES.values()}


@pytest.mark.parametrize(
    ("query", "question"),
    [
        ({"event": "nonsense"}, START),
        ({"event": "card", "valid": '"><script>'}, "valid"),
        ({"valid": "yes"}, START),
        ({"event": "card", "x" * 500: "\0"}, "valid"),
    ],
)
def test_an_answer_that_is_none_is_asked_again(django_app: Any, query: dict[str, str], question: str) -> None:
    page = django_app.get(f"/changed/?{urlencode(query)}")
    assert page.html.find(id="question").text == QUESTIONS[question].words
    assert "<script>" not in page.html.main.decode()


def test_without_an_agency_it_says_so(django_app: Any) -> None:
    assert "まだ登録されていません" in django_app.get("/changed/?event=contact")


@pytest.mark.usefixtures("sections")
def test_what_was_lost_leads_to_people(django_app: Any) -> None:
    page = to_outcome(django_app, "ICカードをなくした", "なくした、または盗まれた")
    assert page.html.find(id="outcome").text == OUTCOMES["lost"].title
    assert "「ICカードの使用を止める」" in page.html.select_one("section ol").text
    assert page.click("マイページに入って、ICカードの使用を止める").request.path == "/mypage/login/"
    assert page.click("契約課とヘルプデスクの連絡先").request.path == "/helpdesk/"
