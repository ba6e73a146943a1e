"""The portal: eight entries, hours, news, 利用手順, 電子くじ; no dead link, nothing to log in to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from announcing import announced
from django.test import Client

from irefuda.agencies.models import Agency, Category, Section
from irefuda.registration.operations import TRIES_KEPT
from irefuda.registration.queries import DRAFT_LIFE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

EIGHT_ENTRIES = (
    "契約課からのお知らせ",
    "入札情報公開システム",
    "電子入札システム",
    "電子くじ",
    "電子入札に参加するには(利用手順等)",
    "模擬入札",
    "よくある質問と回答(FAQ)",
    "ヘルプデスク",
)


@pytest.fixture
def works() -> Section:
    agency = Agency.objects.create(
        code="9991",
        name="入札市 契約課（工事・コンサル）",
        system_email="ebid@example.jp",
        helpdesk_phone="017-000-0000",
        helpdesk_email="help@example.jp",
        helpdesk_url="https://help.example.jp/",
    )
    return Section.objects.create(agency=agency, category=Category.WORKS)


@pytest.fixture
def goods(works: Section) -> Section:
    agency = Agency.objects.create(
        code="9992", name="入札市 契約課（物品・役務）", system_email="ebid@example.jp", always_open=True
    )
    return Section.objects.create(agency=agency, category=Category.GOODS)


def internal_links(page: Any) -> set[str]:
    """Return every address of this site that the page leads to, without fragments."""
    found = {a["href"].split("#")[0] for a in page.html.find_all("a", href=True)}
    return {page.request.relative_url(link) if link.startswith("?") else link for link in found if link[:1] in "/?"}


def test_the_portal_has_the_eight_entries_hours_and_news(django_app: Any, goods: Section) -> None:
    announced("練習環境を開きました。")
    page = django_app.get("/")
    entries = [a.text for a in page.html.select(".entries a")]
    assert entries == list(EIGHT_ENTRIES)
    assert "入札市電子入札ポータルサイト" in page
    assert "平日8時30分～20時" in page
    assert [a.text for a in page.html.select(".news a")] == ["練習環境を開きました。"]


def test_no_link_of_the_portal_is_dead(django_app: Any, goods: Section) -> None:
    announced("年末年始の休みについて")
    waiting, seen = ["/"], set()
    while waiting:
        address = waiting.pop()
        if address in seen:
            continue
        seen.add(address)
        page = django_app.get(address)
        assert page.status_code == 200, address
        if page.content_type == "text/html":
            waiting += [link for link in internal_links(page) if link not in seen and not link.startswith("/static/")]
    assert {
        "/guide/5/",
        "/sections/works/",
        "/lottery/",
        "/helpdesk/",
        "/practice/",
        "/announcements/feed.atom",
    } <= seen
    # The decision tree to its last leaf.
    assert len([address for address in seen if "/changed/?" in address]) > 50


@pytest.mark.parametrize(
    "address",
    [
        *(
            "/",
            "/announcements/",
            "/tenders/",
            "/bidding/",
            "/lottery/",
            "/guide/",
            "/practice/",
            "/faq/",
            "/helpdesk/",
        ),
        *(f"/guide/{chapter}/" for chapter in range(1, 6)),
        *("/sections/works/", "/sections/goods/", "/accessibility/", "/privacy/", "/messages/", "/faq/?q=R-102"),
        *("/changed/", "/changed/?event=contact"),
    ],
)
def test_every_portal_page_has_place_number_date_and_two_ways_to_print(
    django_app: Any, goods: Section, address: str
) -> None:
    page = django_app.get(address)
    for words in ("現在の位置", "ページ番号", "更新日", "印刷", "大きな文字で印刷", "お困りのときは"):
        assert words in page
    assert len(page.html.find_all("h1")) == 1
    assert [li.get("aria-current") for li in page.html.select(".breadcrumb li")][-1] == "page"
    assert page.html.select_one("time[data-clock]")["datetime"].endswith("+09:00")


def test_page_numbers_are_unique(django_app: Any, goods: Section) -> None:
    addresses = ["/", "/announcements/", "/tenders/", "/bidding/", "/lottery/", "/guide/", "/practice/", "/faq/"]
    addresses += ["/helpdesk/", "/accessibility/", "/sections/works/", "/sections/goods/"]
    addresses += ["/privacy/", "/messages/", "/changed/", f"/announcements/{announced('年末年始の休みについて').id}/"]
    addresses += [f"/guide/{chapter}/" for chapter in range(1, 6)]
    numbers = [django_app.get(address).html.select_one(".page-meta p").text.split()[0] for address in addresses]
    assert len(set(numbers)) == len(addresses)


def test_large_print_works_without_script_and_keeps_the_page(django_app: Any, goods: Section) -> None:
    page = django_app.get("/lottery/?chosen1=418&given1=210&chosen2=210&given2=040")
    large = page.click("大きな文字で印刷")
    assert large.html.html["class"] == ["large-print"]
    assert "1位は" in large


def test_the_way_from_the_portal_to_the_agency(django_app: Any, goods: Section) -> None:
    choice = django_app.get("/").click(href="^/bidding/$").click("工事、コンサル")
    assert choice.request.path == "/sections/works/"
    assert "入札市 契約課（工事・コンサル）" in choice
    assert "入札市 契約課（物品・役務）" not in choice
    assert choice.click("入札市 契約課（工事・コンサル）").request.path == "/9991/works/"


def test_a_category_without_agency_says_so(django_app: Any, works: Section) -> None:
    assert "まだ登録されていません" in django_app.get("/sections/goods/")


def test_the_practice_page_leads_to_the_practice_cards_and_mail(django_app: Any) -> None:
    page = django_app.get("/practice/")
    for words in ("練習用ICカード", "練習用メール"):
        # Once in the banner of every practice page, once in the text.
        for place in (0, 1):
            assert page.click(words, index=place).status_code == 200


def test_in_production_the_practice_page_says_where_practice_is(django_app: Any, settings: Any) -> None:
    settings.PRACTICE = False
    page = django_app.get("/practice/")
    assert "いまご覧のサイトは<strong>本番</strong>です" in page
    assert "practice-banner" not in page


@pytest.mark.parametrize("address", ["/sections/roads/", "/guide/0/", "/guide/6/"])
def test_what_does_not_exist_is_not_found(django_app: Any, address: str) -> None:
    assert "ページが見つかりません" in django_app.get(address, status=404)


def test_what_is_not_there_yet_says_so_and_when_it_opens(django_app: Any) -> None:
    page = django_app.get("/tenders/")
    assert "準備中です。" in page
    assert page.click("契約課からのお知らせ", index=0).request.path == "/announcements/"


def test_the_help_desk_page_names_every_agency_and_marks_outside_links(django_app: Any, goods: Section) -> None:
    page = django_app.get("/helpdesk/")
    for words in ("017-000-0000", "help@example.jp", "https://help.example.jp/</a>（外部リンク）", "平日8時30分～20時"):
        assert words in page
    assert "入札市 契約課（物品・役務）" in page
    for place in ("よくある質問と回答", "メッセージ一覧", "カードや会社の情報が変わったとき"):
        assert page.click(place, index=0).html.h1.text.startswith(place)


def test_every_page_leads_to_the_help_desk_and_says_how_it_treats_people(django_app: Any) -> None:
    for address in ("/", "/faq/", "/practice/cards/"):
        footer = [(a.text, a["href"]) for a in django_app.get(address).html.select(".site-footer a")]
        assert footer == [
            ("ヘルプデスク", "/helpdesk/"),
            ("よくある質問と回答(FAQ)", "/faq/"),
            ("ウェブアクセシビリティ方針", "/accessibility/"),
            ("プライバシー", "/privacy/"),
        ]


def test_accessibility_says_the_target_what_was_tested_and_what_was_not(django_app: Any) -> None:
    page = django_app.get("/accessibility/")
    for words in ("JIS X 8341-3:2016 の適合レベルAA", "WCAG 2.2 のレベルAA", "試験したこと", "まだ試験していないこと"):
        assert words in page
    assert page.click("ヘルプデスク", index=0).status_code == 200


def test_privacy_names_the_cookies_of_this_installation_and_no_page_of_text_sets_one(
    django_app: Any, client: Client, settings: Any
) -> None:
    named = {row.th.text for row in django_app.get("/privacy/").html.find_all("table")[1].tbody.find_all("tr")}
    assert named == {settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME, settings.BROWSER_COOKIE_NAME}
    for address in ("/", "/announcements/", "/faq/?q=PIN", "/messages/", "/changed/?event=card", "/privacy/"):
        assert client.get(address).status_code == 200
    assert not client.cookies


def test_privacy_says_the_times_that_the_code_keeps(django_app: Any, settings: Any) -> None:
    page = django_app.get("/privacy/")
    assert timedelta(seconds=settings.SESSION_IDLE_SECONDS) == timedelta(minutes=30)
    assert (timedelta(days=30), timedelta(days=1)) == (DRAFT_LIFE, TRIES_KEPT)
    assert timedelta(seconds=settings.SESSION_COOKIE_AGE) == timedelta(weeks=2)
    assert timedelta(seconds=settings.CSRF_COOKIE_AGE) == timedelta(weeks=52)
    for words in ("操作のないまま30分", "最後に触ってから30日", "1日を過ぎると消します", "2週間で消します", "1年後"):
        assert words in page


def test_the_guide_leads_through_its_five_chapters(django_app: Any, goods: Section) -> None:
    page = django_app.get("/guide/")
    assert [a.text for a in page.html.select(".chapters a")] == [
        *("パソコンの準備", "ICカードとリーダー", "ソフトウェア", "パソコンの環境設定", "利用者登録")
    ]
    page = page.click("パソコンの準備")
    for chapter in range(2, 6):
        page = page.click("次の章")
        assert page.request.path == f"/guide/{chapter}/"
    assert "次の章" not in page
    assert page.click("前の章").request.path == "/guide/4/"


def test_the_guide_has_a_place_for_the_manual_and_what_comes_after(django_app: Any) -> None:
    page = django_app.get("/guide/")
    links = page.html.find("section", attrs={"aria-labelledby": "manual"}).select("a")
    assert [link["href"] for link in links] == ["/guide/manual/", "/guide/manual/manual.pdf"]
    for words in ("カードや会社の情報が変わったとき", "メッセージ一覧"):
        assert page.click(words).html.h1.text == words


class TestLottery:
    def test_the_published_example_is_computed_step_by_step(self, django_app: Any) -> None:
        page = django_app.get("/lottery/").click("例の数字で計算する")
        assert "1位は <strong>Ｂ社</strong> です" in page
        assert "くじ値の合計は 1219。1219 ÷ 3 の余りは 1" in page
        cells = [cell.text for cell in page.html.select(".result td.number")]
        assert cells == [*("0", "418", "210", "628"), *("1", "210", "040", "250"), *("2", "861", "480", "341")]

    def test_full_width_digits_are_converted_and_leading_zeros_kept(self, django_app: Any) -> None:
        form = django_app.get("/lottery/").forms[0]
        form["chosen1"], form["given1"], form["chosen2"], form["given2"] = "１２２", "000", "691", "０００"
        page = form.submit()
        assert "1位は <strong>Ｂ社</strong> です" in page
        assert page.forms[0]["given1"].value == "000"

    @pytest.mark.parametrize(
        ("typed", "sentence"),
        [
            ({"chosen1": "12", "given1": "000"}, "Ａ社のくじ入力番号は3桁の数字で入力してください。例：007"),
            ({"chosen1": "１２a", "given1": "000"}, "Ａ社のくじ入力番号は3桁の数字で入力してください。例：007"),
            ({"chosen1": "٠١٢", "given1": "000"}, "Ａ社のくじ入力番号は3桁の数字で入力してください。例：007"),
            ({"chosen1": "123"}, "Ａ社のくじ番号を入力してください。"),
            ({"given1": "123"}, "Ａ社のくじ入力番号を入力してください。"),
            ({"chosen1": "123", "given1": "000"}, "くじには2社以上が必要です。"),
            ({}, "くじには2社以上が必要です。"),
            (
                {"chosen1": "123", "given1": "000", "chosen3": "123", "given3": "000"},
                "Ｃ社より上の行を先に入力してください。",
            ),
        ],
    )
    def test_what_is_mistyped_is_answered_at_the_field_and_kept(
        self, django_app: Any, typed: dict[str, str], sentence: str
    ) -> None:
        form = django_app.get("/lottery/").forms[0]
        for name, value in typed.items():
            form[name] = value
        page = form.submit()
        assert page.html.title.text.startswith("エラー：")
        summary = page.html.select_one(".error-summary a")
        assert sentence in summary.text
        field = page.html.select_one(summary["href"])
        assert field["aria-invalid"] == "true"
        assert sentence in page.html.find(id=field["aria-describedby"].split()[-1]).text
        assert all(page.forms[0][name].value == value for name, value in typed.items())

    def test_markup_in_the_address_is_shown_as_text(self, django_app: Any) -> None:
        page = django_app.get("/lottery/", params={"chosen1": '"><script>alert(1)</script>'})
        assert "<script>alert" not in page


@pytest.mark.parametrize("address", ["/", "/lottery/", "/guide/1/", "/sections/works/", "/changed/", "/faq/"])
def test_pages_are_read_only(client: Client, address: str) -> None:
    assert client.post(address).status_code == 405


@pytest.mark.urls("irefuda.config.urls_public")
def test_the_public_front_page(django_app: Any) -> None:
    page = django_app.get("/")
    assert [(a.text, a["href"]) for a in page.html.select(".entries a")] == [
        ("登録業者名簿", "/register/"),
        ("台帳", "/ledger/"),
    ]
    assert "準備中です。" in page
    for link in ("登録業者名簿", "台帳"):
        assert page.click(link).html.h1.text == link
