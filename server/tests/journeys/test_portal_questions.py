"""「よくある質問と回答(FAQ)」 and 「メッセージ一覧」: found by words, by codes, and by what people call it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.conf import settings

from irefuda.disclosure import faq, messages
from irefuda_core.refusal import CATALOGUE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

ENTRIES = [entry for group in faq.groups() for entry in group.entries]


def questions(page: Any) -> list[str]:
    return [h3.text.removeprefix("問　") for h3 in page.html.select(".faq h3")]


class TestQuestions:
    def test_all_are_shown_by_what_they_are_about(self, django_app: Any) -> None:
        page = django_app.get("/faq/")
        assert questions(page) == [entry.question for entry in ENTRIES]
        assert len(ENTRIES) >= 30
        for link in page.html.select("nav[aria-labelledby=contents] a"):
            assert page.html.select_one(link["href"]).name == "h2"

    def test_every_anchor_is_one(self) -> None:
        anchors = [thing.anchor for group in faq.groups() for thing in (group, *group.entries)]
        assert len(set(anchors)) == len(anchors)
        assert not {"q", "main", "contents", "message", "q-help"} & set(anchors)

    def test_every_code_named_in_an_answer_exists_and_finds_it(self) -> None:
        for entry in ENTRIES:
            named = set(re.findall(r"[A-Z]-\d{3}", entry.question + entry.answer))
            assert named <= set(entry.codes) <= set(CATALOGUE), entry.anchor

    @pytest.mark.parametrize("typed", ["R-102", "r102", "Ｒ－１０２", "Ｒー102"])
    def test_a_code_finds_its_question_and_its_meaning(self, django_app: Any, typed: str) -> None:
        form = django_app.get("/faq/").forms[0]
        form["q"] = typed
        page = form.submit()
        assert questions(page) == [entry.question for entry in ENTRIES if "R-102" in entry.codes]
        assert CATALOGUE["R-102"].sentence in page.html.select_one(".refusal").text
        assert page.click("メッセージ一覧で見る").request.path == "/messages/"

    def test_a_code_without_a_question_of_its_own_is_explained(self, django_app: Any) -> None:
        code = "L-611"
        assert not any(code in entry.codes for entry in ENTRIES)
        page = django_app.get("/faq/", params={"q": code})
        assert CATALOGUE[code].sentence in page
        assert "当たる質問はありません" not in page

    @pytest.mark.parametrize(
        ("typed", "anchor"),
        [
            *(
                ("暗証番号 忘れた", "forgot-pin"),
                ("ﾎﾟｯﾌﾟｱｯﾌﾟ", "popup"),
                ("しゃめいへんこう", ""),
                ("迷惑メール", "no-mail"),
            ),
            *(("社長交代", "company-changed"), ("紛失", "lost-card"), ("null", "holder-address"), ("RSS", "feed")),
            *(
                ("タイムアウト", "interrupted"),
                ("windows", "which-pc"),
                ("資格審査情報が登録されていません", "wrong-pair"),
            ),
        ],
    )
    def test_words_that_people_use_find_it_first(self, typed: str, anchor: str) -> None:
        found = faq.search(typed)
        if anchor:
            assert found.exact
            assert anchor in [entry.anchor for entry in found.entries][:3]
        else:
            assert not found.exact

    def test_a_lost_card_is_stopped_by_the_company_itself(self, django_app: Any) -> None:
        entry = django_app.get("/faq/").html.find(id="lost-card")
        assert "「ICカードの使用を止める」" in entry.text
        address = next(link["href"] for link in entry.select("a") if link.text.startswith("マイページ"))
        assert "マイページ" in django_app.get(address).html.h1.text

    @pytest.mark.parametrize(
        ("typed", "anchor"),
        [
            ("PIN番号を忘れてしまったのですが", "forgot-pin"),
            ("カードをなくしてしまいました", "lost-card"),
            ("業者番号がわかりません", "find-number"),
            ("メールが届かないのですが", "no-mail"),
            ("社長が替わったときの手続き", "company-changed"),
            ("登録ボタンを二回押しました", "twice"),
        ],
    )
    def test_a_whole_sentence_finds_what_is_near(self, django_app: Any, typed: str, anchor: str) -> None:
        page = django_app.get("/faq/", params={"q": typed})
        assert anchor in [article["id"] for article in page.html.select(".faq")]
        assert len(page.html.select(".faq")) <= faq.NEAR

    @pytest.mark.parametrize("typed", ["ほげほげ", "パスタ", "いちご大福", "ラーメンの作り方", "asdfghjkl"])
    def test_nonsense_is_not_answered_with_whatever_shares_a_syllable(self, typed: str) -> None:
        assert faq.search(typed).entries == []

    @pytest.mark.parametrize("typed", ["ΩΩΩΩ", "。", "!", "株式会社ΩΩ"])
    def test_what_is_not_there_says_where_to_ask(self, django_app: Any, typed: str) -> None:
        page = django_app.get("/faq/", params={"q": typed})
        if not questions(page):
            assert "に当たる質問はありません" in page
            assert page.click("ヘルプデスク", index=0).request.path == "/helpdesk/"
        assert page.forms[0]["q"].value == typed

    def test_markup_in_the_search_is_text(self, django_app: Any) -> None:
        page = django_app.get("/faq/", params={"q": '"><script>alert(1)</script>\0'})
        assert "<script>alert" not in page

    @pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.anchor)
    def test_every_entry_is_found_by_its_own_question_and_its_links_lead_somewhere(
        self, django_app: Any, entry: faq.Entry
    ) -> None:
        assert entry in faq.search(entry.question).entries
        assert entry.blocks
        for words, address in entry.links:
            assert words
            # The public's site is another process: that its names resolve is proof enough.
            if not address.startswith(settings.PUBLIC_ORIGIN):
                assert django_app.get(address).status_code == 200


class TestMessages:
    def test_each_code_is_on_the_page_or_is_the_staff_s(self, django_app: Any) -> None:
        page = django_app.get("/messages/")
        shown = {row["id"] for row in page.html.select("tbody tr")}
        of_staff = {code for code in CATALOGUE if code[0] in messages.STAFF_FAMILIES} | messages.STAFF_CODES
        assert set(CATALOGUE) >= messages.STAFF_CODES
        assert not set(messages.CHAPTERS) & messages.STAFF_FAMILIES
        assert shown == set(CATALOGUE) - of_staff

    def test_each_says_sentence_and_remedy_with_gaps_for_what_is_filled_in(self, django_app: Any) -> None:
        page = django_app.get("/messages/")
        assert "{" not in page.html.main.text
        row = page.html.find(id="R-104")
        assert [cell.text for cell in row.find_all("td")] == [
            "入札参加資格の有効期間が終了しています（〇〇まで）。",
            "資格の更新について、契約課にお問い合わせください。",
        ]
        assert (
            page.html.find(id="T-301").find_all("td")[1].text
            == "画面の下のボタンを押し、もう一度ICカードで入ってください。"
        )

    @pytest.mark.parametrize("typed", ["C-212", "c212", "Ｃ－２１２"])
    def test_a_code_finds_its_message_alone(self, django_app: Any, typed: str) -> None:
        form = django_app.get("/messages/").forms[0]
        form["q"] = typed
        assert [row["id"] for row in form.submit().html.select("tbody tr")] == ["C-212"]

    def test_words_find_all_that_hold_them(self, django_app: Any) -> None:
        page = django_app.get("/messages/", params={"q": "ＰＩＮ番号 ロック"})
        assert [row["id"] for row in page.html.select("tbody tr")] == ["C-212"]

    def test_what_is_not_there_is_said(self, django_app: Any) -> None:
        assert "に当たるメッセージはありません" in django_app.get("/messages/", params={"q": "F-501"})
