"""マイページ and the inbox on the rendered forms: what each card sees, and what it never sees."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from builders import CONTACT, City, make_section, make_supplier, registered
from django.db import connection
from django.test.utils import CaptureQueriesContext
from steps import main_form, present, send, sign_and_register

from irefuda.agencies.models import Category
from irefuda.notices import operations as notices
from irefuda.notices.models import Notice, ReadMark
from irefuda.registration.models import Attempt, CardStatus, Event, EventKind, RegisteredCard, Registration
from irefuda.ui import clock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
START = "/9992/goods/start/"


def enter(app, card):
    """Log in with this card and return the browser."""
    app.reset()
    present(app, app.get("/9992/goods/registration/menu/"), card)
    return app


def text(page):
    """Return the words of the page's main part."""
    main = re.search(r"<main.*?</main>", page.text, re.DOTALL)[0]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main))


def tell(inbox, **values):
    return notices.enqueue(
        **{
            "kind": "k", "to": "hanako@example.jp", "subject": "お知らせの件名", "body": "一行目\n  二  行目 <b>\n",
            "at": clock.now(), "sender": "ebid@example.jp", **values,
        },
        inbox=inbox,
    )  # fmt: skip


@pytest.fixture
def two(city, authority):
    """Two cards of one company, and the stranger's of another one."""
    make_supplier(city.section, supplier_number="990000002", name="別の商会株式会社")
    now = clock.now()
    cards = [authority.card(holder="一郎"), authority.card(holder="次郎"), authority.card(company="別の商会株式会社", holder="他人")]  # fmt: skip
    first, second = (registered(city, card, now=now) for card in cards[:2])
    other = registered(city, cards[2], now=now, supplier_number="990000002", name="別の商会株式会社")
    return cards, [first, second, other]


# -- the inbox


def test_from_the_start_page_to_a_notice_and_back(app, city, authority):
    card = authority.card()
    mine = registered(city, card, now=clock.now())
    page = enter(app, card).get(START)
    assert "未読2件" in text(page)  # to the office and to 代表窓口
    page = page.click("お知らせ（未読2件）")
    assert text(page).count("未読 ") >= 2
    assert "送信待ち" in text(page)
    notice = Notice.objects.filter(to=CONTACT["email"]).get()
    form = next(form for form in page.forms.values() if str(notice.id) in form.action)
    page = form.submit().follow()
    assert page.request.path == f"/inbox/{notice.id}/"
    assert f'<p class="letter">{notice.body}</p>' in page.text.replace("&#x27;", "'")
    assert mine.company_id in text(page)
    assert "既読にする" not in page.text
    page = page.click("お知らせの一覧に戻る")
    assert "未読が1件あります" in text(page)
    assert "既読" in text(page)
    assert "未読1件" in text(app.get(START))


def test_looking_at_a_notice_marks_nothing_but_its_button_does(app, two):
    cards, (mine, *_) = two
    notice = tell(mine.fingerprint)
    page = enter(app, cards[0]).get(f"/inbox/{notice.id}/")
    assert not ReadMark.objects.exists()
    page = next(form for form in page.forms.values() if form.action.endswith("/open/")).submit().follow()
    assert "既読にする" not in page.text
    assert ReadMark.objects.get().reader == mine.fingerprint


def test_the_notice_is_shown_as_it_was_mailed(app, two):
    cards, (mine, *_) = two
    notice = tell(mine.fingerprint)
    page = enter(app, cards[0]).get(f"/inbox/{notice.id}/")
    assert '<p class="letter">一行目\n  二  行目 &lt;b&gt;\n</p>' in page.text


@pytest.mark.parametrize(
    ("state", "said", "more"),
    [("queued", "送信待ち", "まもなく送られます"), ("claimed", "送信待ち", "まもなく"), ("sent", "送信済み", ""), ("failed", "届きませんでした", "「変更」で正しいアドレスにする")],
)  # fmt: skip
def test_what_became_of_the_mail_is_said_in_words(app, two, state, said, more):
    cards, (mine, *_) = two
    notice = tell(mine.fingerprint)
    now = clock.now()
    Notice.objects.filter(id=notice.id).update(state=state, sent_at=now, claimed_until=now)
    enter(app, cards[0])
    assert said in text(app.get("/inbox/"))
    page = app.get(f"/inbox/{notice.id}/")
    assert said in text(page)
    assert more in text(page)


def test_what_is_the_company_s_all_its_cards_read_each_for_itself(app, two):
    cards, (mine, *_) = two
    notice = tell(mine.company_id)
    for card in cards[:2]:
        page = enter(app, card).get("/inbox/")
        form = next(form for form in page.forms.values() if str(notice.id) in form.action)
        row = re.search(rf"<tr>(?:(?!</tr>).)*{notice.id}.*?</tr>", page.text, re.DOTALL)[0]
        assert "<strong>未読</strong>" in row
        form.submit()
    assert set(ReadMark.objects.values_list("reader", flat=True)) == {mine.fingerprint, two[1][1].fingerprint}


def test_all_are_marked_as_read_at_once_by_this_card_alone(app, two):
    cards, (mine, second, _) = two
    shared, own = tell(mine.company_id), tell(mine.fingerprint)
    theirs = tell(second.fingerprint)
    page = enter(app, cards[0]).get("/inbox/")
    notices.mark_read(notice=own, reader=mine.fingerprint, now=clock.now())
    button = next(form for form in page.forms.values() if form.action == "/inbox/read/")
    page = button.submit().follow()
    assert "未読はありません" in text(page)
    assert "すべて既読にする" not in page.text
    assert button.submit().status_int == 302
    assert set(ReadMark.objects.filter(notice__in=[shared, own]).values_list("reader", flat=True)) == {mine.fingerprint}
    assert not ReadMark.objects.filter(notice=theirs).exists()
    assert "すべて既読にする" in enter(app, cards[1]).get("/inbox/").text


def test_another_s_notice_is_not_there(app, two):
    cards, (mine, *_) = two
    own, company = tell(mine.fingerprint), tell(mine.company_id)
    for card, visible in ((cards[1], {company}), (cards[2], set())):
        enter(app, card)
        token = app.get("/inbox/").forms[0]["csrfmiddlewaretoken"].value
        for notice in (own, company):
            expected = (200, 302) if notice in visible else (404, 404)
            address = f"/inbox/{notice.id}/"
            opened = app.post(address + "open/", {"csrfmiddlewaretoken": token})
            assert (app.get(address).status_int, opened.status_int) == expected
    assert app.get(f"/inbox/{uuid.uuid4()}/").status_int == 404


def test_the_successor_of_a_card_has_its_notices_and_what_it_has_read(app, two):
    cards, (old, new, _) = two
    read, fresh = tell(old.fingerprint), tell(old.fingerprint)
    notices.mark_read(notice=read, reader=old.fingerprint, now=clock.now())
    RegisteredCard.objects.filter(id=new.id).update(succeeds=old)
    RegisteredCard.objects.filter(id=old.id).update(status=CardStatus.REPLACED, ended_at=clock.now())
    enter(app, cards[1])
    assert app.get(f"/inbox/{fresh.id}/").status_int == app.get(f"/inbox/{read.id}/").status_int == 200
    assert "既読にする" in app.get(f"/inbox/{fresh.id}/").text
    assert "既読にする" not in app.get(f"/inbox/{read.id}/").text
    # The old card may be in anybody's hands by now.
    assert "R-121" in enter(app, cards[0]).get("/inbox/").text


def test_a_closed_card_reads_nothing_and_a_refused_one_reads_why(app, two):
    cards, (mine, *_) = two
    for status, code in ((CardStatus.CLOSED, "R-122"), (CardStatus.PROVISIONAL, None), ("rejected", None)):
        RegisteredCard.objects.filter(id=mine.id).update(status=status)
        page = enter(app, cards[0]).get("/inbox/")
        assert (page.status_int, code or "", code is None) == (
            403 if code else 200,
            code or "",
            "利用者登録のお知らせ" in page.text,
        )
        # The company's own inbox is for those who may speak for it.
        company = tell(mine.company_id)
        assert app.get(f"/inbox/{company.id}/").status_int == (403 if code else 404)


def test_pages_of_the_inbox(app, two):
    cards, (mine, *_) = two
    for number in range(51):
        tell(mine.fingerprint, subject=f"{number}番", at=clock.now() + timedelta(seconds=number))
    page = enter(app, cards[0]).get("/inbox/")
    assert "50番" in page.text
    page = page.click("古い50件へ")
    assert "0番" in page.text
    assert page.click("新しい50件へ").status_int == 200
    for odd in ("x", "-1", "99999999999999999999", "０"):
        assert app.get("/inbox/", {"page": odd}).status_int == 200


# -- マイページ


def test_the_page_shows_the_company_s_cards_and_history(app, two):
    cards, (mine, second, _) = two
    Event.objects.create(
        id=uuid.uuid4(), registration=mine.registration, kind=EventKind.CHANGED, card=second, person_in_charge="経理 花",
        changes=[["連絡先氏名", "旧い名", "新しい名"]], at=clock.now(),
    )  # fmt: skip
    page = enter(app, cards[0]).get("/mypage/")
    for shown in (mine.company_id, "990000001", "（株）テスト商会01", "一郎 （このICカード）", "次郎", "試験認証局", "あと700日", "連絡先氏名", "経理 花", "未読"):  # fmt: skip
        assert shown.replace(" ", "") in text(page).replace(" ", ""), shown
    for card in (mine, second):
        assert page.html.find("td", string=card.serial), "the letter of 使用停止 names the card by its number"
    # Which values, the notice and the document say; another company's people never.
    for hidden in ("旧い名", "新しい名", "他人", "別の商会"):
        assert hidden not in page.text
    assert page.click("利用者情報$").status_int == 200
    # A receipt is for the card that signed.
    assert "この変更の受付の控え" not in page.text
    assert "この変更の受付の控え" in enter(app, cards[1]).get("/mypage/").text
    page = enter(app, cards[0]).get("/mypage/")
    assert page.click("変更の前と後の内容を見る").status_int == 200
    assert page.click("^変更$").request.path == "/9992/goods/change/"
    assert page.click("^ICカード更新$").request.path == "/9992/goods/renewal/"
    assert page.click("受付の控えを保存").content_type == "application/json"
    assert page.click("電子入札へ進む").request.path == START


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (CardStatus.PROVISIONAL, "確認が終わるとメールでお知らせします"),
        (CardStatus.REPLACED, "新しいICカードを使ってください"),
        (CardStatus.CLOSED, "解除できるのは調達機関だけです"),
        ("rejected", "受理されませんでした"),
    ],
)
def test_a_card_that_may_not_act_is_told_why_and_nothing_of_the_company(app, two, status, said):
    cards, (mine, *_) = two
    RegisteredCard.objects.filter(id=mine.id).update(status=status, ended_at=clock.now())
    page = enter(app, cards[0]).get("/mypage/")
    assert said in text(page)
    assert "電子入札に使える登録はありません" in text(page)
    for hidden in ("次郎", mine.company_id, "別の区分", "ICカード更新</a>"):
        assert hidden not in page.text


def test_a_stranger_who_waits_for_the_agency_s_word_is_not_shown_to_the_company(app, two):
    cards, (mine, second, _) = two
    RegisteredCard.objects.filter(id=second.id).update(status=CardStatus.PROVISIONAL)
    Event.objects.create(
        id=uuid.uuid4(), registration=mine.registration, kind=EventKind.APPROVED, card=second, staff="契約 太郎", at=clock.now()
    )  # fmt: skip
    page = enter(app, cards[0]).get("/mypage/")
    assert "次郎" not in page.text
    assert "契約 太郎" not in page.text


def test_of_staff_the_page_names_nobody(app, two):
    cards, (mine, *_) = two
    Event.objects.create(
        id=uuid.uuid4(), registration=mine.registration, kind=EventKind.REOPENED, card=mine, staff="契約 太郎", reason="本人確認済み", at=clock.now()
    )  # fmt: skip
    page = enter(app, cards[0]).get("/mypage/")
    assert "契約 太郎" not in page.text
    assert "調達機関の職員" in text(page)
    assert "本人確認済み" in text(page)


@pytest.mark.parametrize(
    ("days", "said"),
    [(90, "あと90日です"), (1, "あと1日です"), (0, "本日で有効期限が切れます"), (91, None)],
)
def test_an_end_that_is_near_is_said_in_words(app, city, authority, days, said):
    midnight = clock.now().astimezone(clock.JST).replace(hour=23, minute=59, second=59, microsecond=0)
    card = authority.card(ends=midnight + timedelta(days=days) - authority.at)
    registered(city, card, now=clock.now())
    for address in ("/mypage/", START):
        page = enter(app, card).get(address)
        if said is None:
            assert "あと91日です" not in text(page)
            assert "2〜4週間" not in text(page)
        else:
            assert said in text(page) or address == START
            assert "2〜4週間" in text(page)


def test_a_colleague_s_card_that_ends_soon_is_named(app, two):
    cards, (_, second, _) = two
    RegisteredCard.objects.filter(id=second.id).update(expires_at=clock.now() - timedelta(days=2))
    page = enter(app, cards[0]).get("/mypage/")
    assert "御社のICカード（取得者 次郎）の有効期限が切れています" in text(page)
    assert "（切れています）" in text(page)


def test_without_a_registration_or_a_session_there_is_no_page(app, city, authority):
    page = enter(app, authority.card()).get("/mypage/")
    assert (page.status_int, "R-161" in page.text) == (403, True)
    assert "R-161" in app.get("/inbox/").text
    assert "R-161" in app.get("/mypage/register/").text
    app.reset()
    assert app.get("/mypage/").location == "/mypage/login/"
    assert "T-301" in app.get("/inbox/").text


def test_the_way_in_is_open_at_any_hour(app, two, city):
    cards, (mine, *_) = two
    agency, now = city.section.agency, clock.now().astimezone(clock.JST)
    agency.always_open = False
    agency.opens_at = agency.closes_at = (now + timedelta(hours=3)).time()
    agency.save()
    page = present(app, app.get("/mypage/").follow(), cards[0])
    assert mine.company_id in page.follow().text
    # To act for the company stays a matter of the hours.
    assert "T-302" in present(app, app.get("/9992/goods/login/"), cards[0]).text


# -- register elsewhere


def elsewhere(app, section, number=1):
    page = app.get("/mypage/").click("別の区分・別の調達機関に登録する", index=0)
    form = main_form(page, "source")
    form["section"] = str(section.id)
    return send(form)


def test_another_section_of_the_same_agency_begins_with_all_that_is_known(app, city, authority):
    works = make_section(category=Category.WORKS)
    make_supplier(works)
    card = authority.card()
    mine = registered(city, card, now=clock.now(), rep="daihyo@example.jp")
    page = elsewhere(enter(app, card), works)
    assert page.request.path == "/9992/works/registration/lookup/"
    form = main_form(page, "supplier_number")
    assert (form["supplier_number"].value, form["name"].value) == ("990000001", "（株）テスト商会01")
    page = send(form)
    form = main_form(page, "card_office-email")
    assert "error-summary" not in page.text
    assert form["rep-email"].value == form["rep-email_again"].value == "daihyo@example.jp"
    assert {name: form[f"card_office-{name}"].value for name in CONTACT} == CONTACT
    form["card_office-person"] = "別の係"
    page = sign_and_register(send(form), card).follow()
    assert "利用者登録が完了しました" in page.text
    new = RegisteredCard.objects.exclude(id=mine.id).get()
    assert (new.section, new.office["person"], new.registration.representative["email"]) == (
        works,
        "別の係",
        "daihyo@example.jp",
    )
    # Both are on マイページ now, and nothing is left to be chosen.
    page = app.get("/mypage/")
    assert new.company_id in page.text
    assert mine.company_id in page.text
    assert "すべての調達機関・区分に登録されています" in text(app.get("/mypage/register/"))


def test_the_number_of_another_agency_is_not_guessed(app, city, authority):
    other = make_section(code="9991", category=Category.GOODS, name="入札県")
    make_supplier(other, supplier_number="000000777")
    card = authority.card()
    registered(city, card, now=clock.now())
    form = main_form(elsewhere(enter(app, card), other), "supplier_number")
    assert (form["supplier_number"].value, form["name"].value) == ("", "（株）テスト商会01")
    form["supplier_number"] = "000000777"
    assert main_form(send(form), "card_office-email")["card_office-address"].value == CONTACT["address"]


def test_the_usual_checks_stay(app, city, authority):
    """A company that is not on the other register is not found there, and the try is counted."""
    works = make_section(category=Category.WORKS)
    card = authority.card()
    registered(city, card, now=clock.now())
    page = send(main_form(elsewhere(enter(app, card), works), "supplier_number"))
    assert "R-102" in page.text or "R-103" in page.text


def test_contacts_go_to_no_other_company_and_over_nothing_typed(app, city, authority):
    works = make_section(category=Category.WORKS)
    make_supplier(works), make_supplier(works, supplier_number="990000009", name="よその会社")
    card = authority.card()
    registered(city, card, now=clock.now())
    enter(app, card)
    page = app.get("/9992/works/registration/lookup/")
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    form = main_form(send(form), "card_office-email")
    form["card_office-person"] = "打ちかけ"
    send(form)
    form = main_form(send(main_form(elsewhere(app, works), "supplier_number")), "card_office-email")
    assert (form["card_office-person"].value, form["card_office-address"].value) == ("打ちかけ", "")


def test_only_own_sources_and_open_sections_are_taken(app, two):
    cards, (mine, second, _) = two
    works = make_section(category=Category.WORKS)
    page = enter(app, cards[0]).get("/mypage/register/")
    form = main_form(page, "source")
    token = form["csrfmiddlewaretoken"].value
    for source, section in ((second.id, works.id), (mine.id, mine.section_id), ("x", works.id), (mine.id, "x")):
        answer = app.post(
            "/mypage/register/", {"csrfmiddlewaretoken": token, "source": str(source), "section": str(section)}
        )
        assert answer.status_int == 404


def test_adding_a_card_is_explained(app, two):
    cards, (mine, *_) = two
    page = enter(app, cards[0]).get("/mypage/").click("ICカードを追加する")
    assert mine.company_id in text(page)
    assert "990000001" in text(page)
    assert page.click("利用者登録メニューへ進む").request.path == "/9992/goods/registration/menu/"


# -- how often the pages ask


def asked(app, address):
    with CaptureQueriesContext(connection) as captured:
        assert app.get(address).status_int == 200
    return len([q for q in captured if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))])


def test_the_pages_ask_as_often_with_thirty_registrations_as_with_one(app, city, authority):
    card = authority.card(holder="一郎")
    mine = registered(city, card, now=clock.now())
    enter(app, card).get("/mypage/")
    once = {address: asked(app, address) for address in ("/mypage/", "/inbox/", "/mypage/register/", START)}
    for number in range(29):
        section = make_section(code=f"{8000 + number}", category=Category.GOODS, name=f"第{number}市")
        Attempt.objects.all().delete()
        there = City(section, authority, make_supplier(section))
        registered(there, card, now=clock.now())
        registered(there, authority.card(holder=f"同僚{number}"), now=clock.now())
    app.get("/mypage/")
    assert {address: asked(app, address) for address in once} == once
    assert max(once.values()) <= 10
    page = app.get("/mypage/")
    assert page.text.count('class="holding"') == 30
    assert "同僚28" in page.text
    assert mine.company_id in page.text
    assert len(set(Registration.objects.values_list("id"))) == 30
