"""「ICカードの使用を止める」 on the rendered forms: what is said before, what happens once, and who may do it."""

from __future__ import annotations

import datetime
import re
import uuid

import pytest
from builders import City, look_up, make_section, make_supplier, registered
from steps import change, main_form, present, register

from irefuda.notices.models import Notice
from irefuda.registration.models import CardStatus, Draft, Event, EventKind, RegisteredCard
from irefuda.ui import clock
from irefuda_core.refusal import Refused

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
LAST, OWN = "このICカードのほかに、使えるICカードがありません", "いま使っているICカードです"


@pytest.fixture
def company(city, authority):
    """Two cards of one company, 一郎's and 次郎's, and a stranger's."""
    make_supplier(city.section, supplier_number="990000002", name="別の商会株式会社")
    cards = [authority.card(holder="一郎"), authority.card(holder="次郎"), authority.card(company="別の商会株式会社")]
    rows = [registered(city, card, now=clock.now()) for card in cards[:2]]
    rows.append(registered(city, cards[2], now=clock.now(), supplier_number="990000002", name="別の商会株式会社"))
    Notice.objects.all().delete()
    return cards, rows


def enter(app, card):
    app.reset()
    present(app, app.get("/9992/goods/registration/menu/"), card)
    return app


def close_address(card):
    return f"/9992/goods/cards/{card.id}/close/"


def press(app, card, reason="紛失・盗難"):
    form = main_form(app.get(close_address(card)), "reason")
    form["reason"] = reason
    return form.submit()


def test_a_lost_card_is_stopped_from_a_colleague_s_page(app, company):
    cards, (mine, lost, _) = company
    page = enter(app, cards[0]).get("/mypage/")
    page = page.click("使用を止める", href=str(lost.id))
    assert "次郎" in page.text
    assert LAST not in page.text
    assert OWN not in page.text
    form = main_form(page, "reason")
    form["reason"] = "紛失・盗難"
    page = form.submit().follow()
    assert "ICカードの使用を止めました" in page.text
    lost.refresh_from_db()
    assert lost.status == CardStatus.CLOSED
    event = Event.objects.get()
    assert (event.kind, event.card, event.reason, event.person_in_charge, event.staff) == (EventKind.CLOSED, lost, "紛失・盗難", "係 太郎", "")  # fmt: skip
    told = set(Notice.objects.filter(kind="registration.card_closed").values_list("inbox", flat=True))
    assert told == {mine.fingerprint, lost.fingerprint, lost.company_id}
    assert "使用停止" in app.get("/mypage/").text
    assert "紛失・盗難" in app.get("/mypage/").text
    # The lost card comes in nowhere any more.
    assert "R-122" in enter(app, cards[1]).get("/9992/goods/start/").text
    assert "解除できるのは調達機関だけです" in app.get("/mypage/").text
    assert "R-122" in app.get(close_address(mine)).text


def test_pressing_twice_is_once(app, company):
    cards, (_, lost, _) = company
    enter(app, cards[0])
    form = main_form(app.get(close_address(lost)), "reason")
    form["reason"] = "故障・破損"
    first, second = form.submit(), form.submit()
    assert first.location == second.location
    assert app.get(close_address(lost)).location == first.location
    assert Event.objects.count() == 1
    assert Notice.objects.count() == 3


def test_the_own_and_last_card_is_warned_of_and_the_end_is_still_told(app, company):
    cards, (mine, colleague, _) = company
    RegisteredCard.objects.filter(id=colleague.id).update(status=CardStatus.REPLACED)
    page = enter(app, cards[0]).get(close_address(mine))
    assert LAST in page.text
    assert OWN in page.text
    page = press(app, mine).follow()
    assert "この区分の手続きはもうできません" in page.text
    assert "R-122" in app.get("/9992/goods/start/").text


def test_a_colleague_s_card_that_has_ended_helps_nobody(app, company):
    cards, (mine, colleague, _) = company
    RegisteredCard.objects.filter(id=colleague.id).update(expires_at=clock.now() - datetime.timedelta(days=1))
    assert LAST in enter(app, cards[0]).get(close_address(mine)).text


def test_what_was_typed_with_the_card_is_spoken_of(app, company, city):
    cards, (mine, *_) = company
    enter(app, cards[0])
    assert "入力の途中の内容は" not in app.get(close_address(mine)).text
    Draft.objects.create(
        id=uuid.uuid4(), section=city.section, supplier=city.supplier, fingerprint=mine.fingerprint, kind="change", updated_at=clock.now()
    )  # fmt: skip
    assert "入力の途中の内容は" in app.get(close_address(mine)).text


@pytest.mark.parametrize("reason", [None, "", "何か別の理由"])
def test_without_a_reason_nothing_happens(app, company, reason):
    cards, (_, lost, _) = company
    enter(app, cards[0])
    token = main_form(app.get(close_address(lost)), "reason")["csrfmiddlewaretoken"].value
    sent = {"csrfmiddlewaretoken": token} | ({} if reason is None else {"reason": reason})
    page = app.post(close_address(lost), sent).follow()
    assert "理由を選んでください。" in page.text
    assert "<title>エラー：" in page.text
    assert not Event.objects.exists()


def test_another_company_s_card_is_not_there(app, company):
    cards, (mine, lost, other) = company
    enter(app, cards[0])
    token = main_form(app.get(close_address(mine)), "reason")["csrfmiddlewaretoken"].value
    assert app.get(close_address(other)).status_int == 404
    assert app.post(close_address(other), {"csrfmiddlewaretoken": token, "reason": "その他"}).status_int == 404
    press(app, lost)
    enter(app, cards[2])
    for end in ("close", "closed"):
        assert app.get(f"/9992/goods/cards/{lost.id}/{end}/").status_int == 404
        assert app.get(f"/9992/goods/cards/{uuid.uuid4()}/{end}/").status_int == 404


@pytest.mark.parametrize("status", [CardStatus.PROVISIONAL, CardStatus.REJECTED])
def test_who_only_claims_to_be_the_company_closes_nothing(app, company, status):
    cards, (mine, lost, _) = company
    RegisteredCard.objects.filter(id=lost.id).update(status=status)
    page = enter(app, cards[1]).get(close_address(mine))
    assert page.status_int == 403
    # Nor does the company see, or close, what is not its own yet.
    assert enter(app, cards[0]).get(close_address(lost)).status_int == 404


def test_a_replaced_card_needs_no_stopping(app, company):
    cards, (_, lost, _) = company
    RegisteredCard.objects.filter(id=lost.id).update(status=CardStatus.REPLACED)
    assert "R-163" in enter(app, cards[0]).get(close_address(lost)).text


def test_it_is_stopped_at_any_hour(app, company, city):
    cards, (_, lost, _) = company
    enter(app, cards[0])
    now = clock.now().astimezone(clock.JST)
    agency = city.section.agency
    agency.always_open = False
    agency.opens_at = agency.closes_at = (now + datetime.timedelta(hours=3)).time()
    agency.save()
    assert press(app, lost).status_int == 302
    lost.refresh_from_db()
    assert lost.status == CardStatus.CLOSED


def test_other_sections_stay_as_they_are(app, company, authority):
    cards, (_, lost, _) = company
    other = make_section(code="9991", name="別の市")
    there = registered(City(other, authority, make_supplier(other)), cards[1], now=clock.now())
    press(enter(app, cards[0]), lost)
    there.refresh_from_db()
    assert there.status == CardStatus.ACTIVE
    page = enter(app, cards[1]).get("/mypage/")
    states = re.findall(r"<dt>状態</dt><dd>(?:<strong>)?(\S+?)[<（\n]", page.text)
    assert sorted(states) == ["使用停止", "有効"]


def test_a_closed_card_may_register_again_only_when_the_agency_lets_it(app, company, city):
    cards, (_, lost, _) = company
    press(enter(app, cards[0]), lost)
    with pytest.raises(Refused, match="R-122"):
        look_up(city, cards[1], now=clock.now())


@pytest.mark.parametrize("status", [CardStatus.CLOSED, CardStatus.REPLACED])
def test_a_card_that_has_ended_shows_what_it_signed_and_nothing_that_came_after(app, city, status):
    lost, kept = city.authority.card(), city.authority.card()
    register(app, lost)
    own = RegisteredCard.objects.get()
    app.reset()
    done = change(app, lost, rep_person="前の担当").location
    app.reset()
    register(app, kept)
    app.reset()
    change(app, kept, rep_person="後の担当", rep_email="kakushin@example.jp")
    RegisteredCard.objects.filter(id=own.id).update(status=status, ended_at=clock.now())
    enter(app, lost)
    printed = app.get("/mypage/").click("^利用者情報$", index=0)
    changed = app.get(done.replace("/done/", "/print/"))
    assert "前の担当" in changed
    assert "受付の控え" in changed
    for page in (printed, changed, app.get(done)):
        assert page.status_int == 200
        for words in ("後の担当", "kakushin@example.jp", "いま登録されている内容です"):
            assert words not in page
    assert app.get(printed.request.path + "receipt.json").json["receipt"]
