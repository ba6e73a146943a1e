"""「契約課からのお知らせ」 as people and feed readers meet it."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from announcing import announced, withdrawn

from irefuda.agencies.models import Agency, Category
from irefuda.disclosure.models import Announcement
from irefuda.ui import clock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

ATOM = "{http://www.w3.org/2005/Atom}"
ID = uuid.UUID(int=7)
BODY = """次の期間、休みます。
ご注意ください。

・ 12月29日から
・ 1月3日まで

詳しくは https://city.example.jp/a?b=1&c=2 と http://localhost:8000/faq/ をご覧ください。<script>alert(1)</script>"""


def test_the_portal_shows_the_newest_five_and_leads_to_all(django_app: Any) -> None:
    for number in range(1, 8):
        announced(f"お知らせ{number}")
    withdrawn(Announcement.objects.get(title="お知らせ7").id, "誤り")
    page = django_app.get("/")
    assert [a.text for a in page.html.select(".news a")] == [f"お知らせ{number}" for number in (6, 5, 4, 3, 2)]
    every = page.click("これまでのお知らせ")
    assert [a.text for a in every.html.select(".news a")] == [f"お知らせ{number}" for number in range(7, 0, -1)]


def test_an_announcement_has_a_page_of_its_own_with_paragraphs_list_and_links(django_app: Any) -> None:
    agency = Agency.objects.create(code="9991", name="入札市 契約課", system_email="ebid@example.jp")
    announced("年末年始の休み", BODY, agency=agency, category=Category.WORKS)
    listed = django_app.get("/announcements/")
    assert "（入札市 契約課　工事、コンサルのかた）" in listed
    page = listed.click("年末年始の休み")
    main = page.html.main
    assert main.h1.text == "年末年始の休み"
    assert [li.text for li in main.find_all("li")] == ["12月29日から", "1月3日まで"]
    assert main.find("br").parent.get_text("/") == "次の期間、休みます。/ご注意ください。"
    links = {a["href"]: a.next_sibling for a in main.find_all("a", rel=True)}
    assert links["https://city.example.jp/a?b=1&c=2"].startswith("（外部リンク）")
    assert not links["http://localhost:8000/faq/"].startswith("（外部リンク）")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page


def test_what_was_withdrawn_says_why_and_no_more(django_app: Any) -> None:
    announced("年末年始の休み", BODY, announcement_id=ID)
    withdrawn(ID, "日付に誤りがありました。")
    page = django_app.get("/announcements/").click("年末年始の休み")
    assert "理由：日付に誤りがありました。" in page
    assert "12月29日から" not in page
    assert "取り下げ" in django_app.get("/announcements/").html.select_one(".news li").text


def test_what_is_over_is_not_listed_but_found_at_its_address(django_app: Any) -> None:
    now = clock.now()
    announced("期間の短いお知らせ", announcement_id=ID)
    Announcement.objects.update(published_at=now - timedelta(days=2), expires_at=now - timedelta(days=1))
    assert "いま、お知らせはありません。" in django_app.get("/announcements/")
    assert "掲載の期間は" in django_app.get(f"/announcements/{ID}/")


def test_what_is_not_published_yet_and_what_never_was_is_not_found(django_app: Any) -> None:
    announced("明日のお知らせ", announcement_id=ID, published_at=clock.now() + timedelta(days=1))
    for address in (ID, uuid.UUID(int=8)):
        assert "ページが見つかりません" in django_app.get(f"/announcements/{address}/", status=404)
    assert "明日のお知らせ" not in django_app.get("/announcements/feed.atom").text


def test_the_day_of_a_page_is_that_of_its_newest_line(django_app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    announced("休み", announcement_id=ID)
    # Sixteen hours in UTC is the next day in Japan.
    changed = datetime(2030, 1, 1, 16, tzinfo=UTC)
    Announcement.objects.update(published_at=changed - timedelta(days=3))
    monkeypatch.setattr(clock, "now", lambda: changed + timedelta(days=1))
    days = {"/": "2029-12-30", "/announcements/": "2029-12-30", f"/announcements/{ID}/": "2029-12-30"}
    assert {address: updated_on(django_app, address) for address in days} == days
    withdrawn(ID, "誤り", now=changed)
    days = {"/": "2026-11-25", "/announcements/": "2030-01-02", f"/announcements/{ID}/": "2030-01-02"}
    assert {address: updated_on(django_app, address) for address in days} == days


def updated_on(app: Any, address: str) -> str:
    return str(app.get(address).html.select_one(".page-meta time")["datetime"])


def test_fifty_stand_on_a_page(django_app: Any) -> None:
    now = clock.now()
    Announcement.objects.bulk_create(
        Announcement(
            id=uuid.UUID(int=number),
            title=f"お知らせ{number}",
            body="本文",
            published_at=now - timedelta(hours=number),
            created_by="契約課",
        )
        for number in range(1, 102)
    )
    pages = [django_app.get("/announcements/")]
    pages += [pages[-1].click("古い50件")]
    pages += [pages[-1].click("古い50件")]
    assert [len(page.html.select(".news li")) for page in pages] == [50, 50, 1]
    assert "古い50件" not in pages[-1]
    assert pages[-1].click("新しい50件").html.select_one(".news a").text == "お知らせ51"
    assert pages[1].html.title.text.startswith("契約課からのお知らせ（2ページ目）")


@pytest.mark.parametrize("page", ["0", "2", "-1", "x", "１", "9" * 32, "1" + "0" * 32, "0" * 9 + "1", ""])
def test_a_page_that_is_none_is_not_found(django_app: Any, page: str) -> None:
    django_app.get("/announcements/", params={"page": page}, status=404)


class TestFeed:
    def feed(self, app: Any) -> ElementTree.Element:
        answer = app.get("/announcements/feed.atom")
        assert answer.headers["Content-Type"] == "application/atom+xml; charset=utf-8"
        return ElementTree.fromstring(answer.body)

    def test_every_page_names_it(self, django_app: Any) -> None:
        for address in ("/", "/announcements/", "/faq/"):
            link = django_app.get(address).html.find("link", rel="alternate")
            assert (link["type"], link["href"]) == ("application/atom+xml", "/announcements/feed.atom")

    def test_it_has_what_rfc_4287_asks_for(self, django_app: Any) -> None:
        older, newer = announced("一"), announced("二 & <b>", BODY)
        feed = self.feed(django_app)
        assert feed.tag == f"{ATOM}feed"
        for name in ("title", "id", "updated", "author"):
            assert len(feed.findall(ATOM + name)) == 1, name
        assert {link.get("rel"): link.get("href") for link in feed.findall(f"{ATOM}link")} == {
            "alternate": "http://localhost:8000/announcements/",
            "self": "http://localhost:8000/announcements/feed.atom",
        }
        entries = feed.findall(f"{ATOM}entry")
        assert [entry.findtext(f"{ATOM}id") for entry in entries] == [newer.id.urn, older.id.urn]
        assert [entry.findtext(f"{ATOM}title") for entry in entries] == ["二 & <b>", "一"]
        for entry, made in zip(entries, (newer, older), strict=True):
            for name in ("published", "updated"):
                moment = datetime.fromisoformat(entry.findtext(ATOM + name) or "")
                assert moment == made.published_at.replace(microsecond=moment.microsecond)
            assert entry.find(f"{ATOM}link").get("href") == f"http://localhost:8000/announcements/{made.id}/"
            assert entry.find(f"{ATOM}summary").get("type") == "html"
        assert "<li>12月29日から</li>" in entries[0].findtext(f"{ATOM}summary")
        assert "&lt;script&gt;" in entries[0].findtext(f"{ATOM}summary")

    def test_ids_stay_and_a_withdrawal_is_an_update(self, django_app: Any) -> None:
        announced("休み", announcement_id=ID)
        before = self.feed(django_app)
        Announcement.objects.update(published_at=clock.now() - timedelta(days=1))
        withdrawn(ID, "日付の誤り")
        after = self.feed(django_app)
        assert before.findtext(f"{ATOM}id") == after.findtext(f"{ATOM}id")
        assert (before.findtext(f"{ATOM}id") or "").startswith("urn:uuid:")
        (entry,) = after.findall(f"{ATOM}entry")
        assert entry.findtext(f"{ATOM}id") == ID.urn
        assert entry.findtext(f"{ATOM}title") == "【取り下げ】休み"
        assert "日付の誤り" in (entry.findtext(f"{ATOM}summary") or "")
        assert (entry.findtext(f"{ATOM}updated") or "") > (entry.findtext(f"{ATOM}published") or "")
        assert after.findtext(f"{ATOM}updated") == entry.findtext(f"{ATOM}updated")

    def test_it_is_valid_without_entries(self, django_app: Any) -> None:
        assert self.feed(django_app).findall(f"{ATOM}entry") == []
