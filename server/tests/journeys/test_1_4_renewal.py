"""ICカード更新 through the pages: the script's three posts, the reasons, the session afterwards (manual 1.4)."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from builders import ORIGIN, make_supplier, set_policy, sign_document, trust_authority
from pki_builder import Authority
from steps import present, register
from succession import (
    PAGES,
    RENEWAL,
    begin_on_page,
    hand_over,
    newer,
    prepare_on_page,
    renew_on_pages,
    renewal_form,
)

from irefuda.agencies.queries import national_holidays
from irefuda.registration.models import Event, RegisteredCard, Renewal
from irefuda.ui import clock
from irefuda_core import jws as core_jws

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
STOPPED = f"{PAGES}stopped/"


@pytest.fixture
def old(app, city):
    """The card of the company, registered; the browser has forgotten it."""
    card = city.authority.card()
    assert register(app, card).status_code == 302
    app.reset()
    return card


def text_of(page):
    return " ".join(page.html.select_one("main").get_text(" ").split())


def move_clock(monkeypatch, **by):
    moment = clock.now() + timedelta(**by)
    monkeypatch.setattr(clock, "now", lambda: moment)


def log_in(app, card):
    return present(app, app.get("/9992/goods/login/"), card)


def prepared(app, old, new, **changes):
    form = renewal_form(app)
    message = begin_on_page(app, form).json["message"]
    return form, message, prepare_on_page(app, form, message, old, new, **changes)


def reasons(app, answer):
    """Return the codes on the page to which the script is led, after seeing that a reload shows the same."""
    assert answer.status_code == 403
    assert answer.json == {"refused": STOPPED}
    page = app.get(answer.json["refused"])
    assert page.html.h1.get_text() == "ICカード更新を進められません"
    assert app.get(STOPPED).html.select_one("main") == page.html.select_one("main")
    return [code.get_text() for code in page.html.select(".code strong")]


def test_from_the_menu_to_the_result_with_a_session_of_the_new_card(app, city, old):
    new = newer(city)
    page = app.get("/9992/goods/registration/menu/").click("^ICカード更新$")
    assert page.request.path == PAGES
    answer = renew_on_pages(app, old, new)
    card = RegisteredCard.objects.get(status="active")
    assert (answer.status_code, answer.location) == (302, f"{PAGES}done/{card.id}/")
    done = answer.follow()
    assert done.html.h1.get_text() == "ICカードの更新が終了しました"
    assert card.company_id in text_of(done)
    # The browser is logged in with the new card.
    start = app.get("/9992/goods/start/")
    assert card.company_id in text_of(start)
    assert done.click("^閉じる$").html.h1.get_text() == "利用者登録メニュー"
    printed = done.click("^印刷")
    assert printed.html.h1.get_text() == "利用者情報"
    assert "daihyo@example.jp" in text_of(printed)
    assert "受付の控え（ICカード更新）" in text_of(printed)
    bundle = json.loads(done.click("受付の控え").body)
    assert bundle["handover"] == card.handover


def test_the_history_names_what_differs_between_the_cards(app, city, old):
    renew_on_pages(app, old, newer(city))
    assert [name for name, _, _ in Event.objects.get().changes] == ["証明書シリアル番号", "証明書有効期限"]


def test_the_old_card_gets_in_no_more_and_its_open_session_ends(app, city, old):
    log_in(app, old)
    cookie = app.cookies["irefuda"]
    # Meanwhile, in another browser.
    app.reset()
    new = newer(city)
    renew_on_pages(app, old, new)
    app.reset()
    assert "R-121" in log_in(app, old)
    app.reset()
    assert log_in(app, new).location == "/9992/goods/start/"
    app.reset()
    app.set_cookie("irefuda", cookie)
    refused = app.get("/9992/goods/start/")
    assert refused.status_code == 403
    assert "R-121" in refused


def test_the_first_message_says_what_the_old_card_will_sign(app, city, old):
    answer = begin_on_page(app, renewal_form(app))
    message = answer.json["message"]
    renewal = Renewal.objects.get()
    assert message.pop("issued_at").endswith("+09:00")
    assert message == {
        "v": 1, "type": "renew", "purpose": "ICカード更新", "renewal_id": str(renewal.id), "agency_code": "9992",
        "agency_name": "入札市（物品）", "category": "物品、役務",
    }  # fmt: skip
    cookie = answer.headers["Set-Cookie"].strip()
    assert cookie.startswith("irefuda-browser=")
    assert {"HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    # The browser is known from then on.
    assert "Set-Cookie" not in begin_on_page(app, renewal_form(app)).headers


@pytest.mark.parametrize(
    ("pair", "code"),
    [
        (lambda city, old: (old, old), "R-131"),
        (lambda city, old: (newer(city), old), "R-134"),
        (lambda city, old: (city.authority.card(), newer(city)), "R-120"),
        (lambda city, old: (old, newer(city, company="株式会社合浦商事")), "R-108"),
        (lambda city, old: (old, newer(city, holder="別人 次郎")), "R-133"),
        (lambda city, old: (old, newer(city, ends=timedelta(days=10))), "R-132"),
        (lambda city, old: (old, Authority(label="stranger", at=clock.now()).card(ends=timedelta(days=1500))), "K-402"),
    ],
    ids=["same", "order", "nobody", "company", "holder", "sooner", "authority"],
)
def test_reasons_stand_on_a_page_of_their_own_and_nothing_is_changed(app, city, old, pair, code):
    _, _, answer = prepared(app, *pair(city, old))
    assert reasons(app, answer) == [code]
    assert [card.status for card in RegisteredCard.objects.all()] == ["active"]


def test_every_reason_is_said_at_once(app, city, old):
    worse = newer(city, company="株式会社合浦商事", holder="別人 次郎", ends=timedelta(days=10))
    _, _, answer = prepared(app, old, worse)
    assert reasons(app, answer) == ["R-132", "R-108", "R-133"]


def test_an_expired_card_is_led_to_registration(app, city, authority, monkeypatch):
    card = authority.card(ends=timedelta(minutes=10))
    register(app, card)
    app.reset()
    move_clock(monkeypatch, minutes=20)
    _, _, answer = prepared(app, card, newer(city))
    assert reasons(app, answer) == ["R-135"]
    button = app.get(STOPPED).html.select_one("main a.button")
    assert (button.get_text(), button["href"]) == ("「登録」へ", "/9992/goods/registration/menu/#menu-register")
    new = newer(city)
    page = register(app, new).follow()
    # The same 企業ID, and 代表窓口情報 as it is known.
    first, second = RegisteredCard.objects.order_by("registered_at")
    assert first.registration == second.registration
    assert first.company_id in text_of(page)
    assert "daihyo@example.jp" in core_jws.parse(second.application).payload.decode()


def test_another_holder_is_led_to_registration(app, city, old):
    prepared(app, old, newer(city, holder="別人 次郎"))
    button = app.get(STOPPED).html.select_one("main a.button")
    assert (button.get_text(), button["href"]) == ("「登録」へ", "/9992/goods/registration/menu/#menu-register")


def test_other_reasons_lead_back_to_the_beginning(app, city, old):
    prepared(app, old, old)
    button = app.get(STOPPED).html.select_one("main a.button")
    assert (button.get_text(), button["href"]) == ("「ICカード更新」をもう一度はじめる", PAGES)


def test_without_reasons_there_is_nothing_to_show(app, city):
    assert app.get(STOPPED).location == PAGES


def test_a_renewal_that_waits_says_what_for_and_that_the_old_card_still_works(app, city, old):
    set_policy(city, renewal_other_holder="review")
    new = newer(city, holder="別人 次郎")
    form, message, answer = prepared(app, old, new)
    assert answer.json["waits"] is True
    form["renewal"].force_value(message["renewal_id"])
    form["jws"].force_value(sign_document(new, answer.json["document"], RENEWAL))
    done = form.submit().follow()
    assert done.html.h1.get_text() == "ICカード更新の申請を受け付けました（仮登録）"
    assert "新しいICカードの取得者が、現在のICカードの取得者と異なること" in text_of(done)
    assert "現在使用しているICカードの登録がそのまま続きます" in text_of(done)
    assert "R-118" in app.get("/9992/goods/start/")
    # Whoever brought it is not shown what is the company's.
    assert "daihyo@example.jp" not in done.click("^印刷").text
    app.reset()
    assert log_in(app, old).location == "/9992/goods/start/"


def test_a_revoked_old_card_waits_for_the_agency(app, city, old):
    trust_authority(
        city.authority, crl=city.authority.crl(revoked={old.certificate.serial_number: clock.now()}, number=2)
    )
    done = renew_on_pages(app, old, newer(city)).follow()
    assert "本人確認" in text_of(done)


@pytest.mark.parametrize("lost", ["irefuda-browser", "everything"])
def test_without_the_cookie_of_the_browser_nothing_goes_on(app, city, old, lost):
    new = newer(city)
    form = renewal_form(app)
    message = begin_on_page(app, form).json["message"]
    csrf = app.cookies["irefuda-csrf"]
    app.reset()
    if lost != "everything":
        app.set_cookie("irefuda-csrf", csrf)
    else:
        form = renewal_form(app)
    assert reasons(app, prepare_on_page(app, form, message, old, new)) == ["R-136"]


def test_another_browser_gets_neither_renewal_nor_session(app, city, old):
    new = newer(city)
    form, message, answer = prepared(app, old, new)
    signed = sign_document(new, answer.json["document"], RENEWAL)
    app.reset()
    form = renewal_form(app)
    begin_on_page(app, form)
    form["renewal"].force_value(message["renewal_id"])
    form["jws"].force_value(signed)
    assert form.submit().follow().html.select_one(".code strong").get_text() == "R-136"
    assert "T-301" in app.get("/9992/goods/start/")
    assert [card.status for card in RegisteredCard.objects.all()] == ["active"]


def test_a_form_that_is_sent_twice_gets_the_one_result_and_later_no_session(app, city, old, monkeypatch):
    new = newer(city)
    form, message, answer = prepared(app, old, new)
    form["renewal"].force_value(message["renewal_id"])
    form["jws"].force_value(sign_document(new, answer.json["document"], RENEWAL))
    first, second = form.submit(), form.submit()
    assert first.location == second.location
    assert second.follow().html.h1.get_text() == "ICカードの更新が終了しました"
    assert RegisteredCard.objects.count() == 2
    # Somebody else sits down at the browser after 「ログアウト」 and goes back.
    browser = app.cookies["irefuda-browser"], app.cookies["irefuda-csrf"]
    app.reset()
    app.set_cookie("irefuda-browser", browser[0])
    app.set_cookie("irefuda-csrf", browser[1])
    move_clock(monkeypatch, minutes=2)
    again = form.submit()
    assert again.location == first.location
    assert "T-301" in again.follow()


def test_a_renewal_is_over_after_fifteen_minutes(app, city, old, monkeypatch):
    new = newer(city)
    form, message, answer = prepared(app, old, new)
    move_clock(monkeypatch, minutes=15)
    form["renewal"].force_value(message["renewal_id"])
    form["jws"].force_value(sign_document(new, answer.json["document"], RENEWAL))
    assert form.submit().follow().html.select_one(".code strong").get_text() == "R-136"


def test_at_the_second_at_which_the_office_closes(app, city, old, monkeypatch):
    agency = city.section.agency
    opens = (clock.now().astimezone(clock.JST) + timedelta(days=(7 - clock.now().weekday()) % 7)).replace(
        hour=20, minute=0, second=0, microsecond=0
    )
    # A Monday that is no holiday.
    while opens.date() in national_holidays(opens.year):
        opens += timedelta(days=7)
    agency.always_open = False
    agency.save()
    new = newer(city)
    last = opens - timedelta(seconds=1)
    trust_authority(city.authority, crl=city.authority.crl(number=3, next_in=timedelta(days=30)))
    monkeypatch.setattr(clock, "now", lambda: last)
    form, message, answer = prepared(app, old, new)
    assert "document" in answer.json
    form["renewal"].force_value(message["renewal_id"])
    form["jws"].force_value(sign_document(new, answer.json["document"], RENEWAL))
    monkeypatch.setattr(clock, "now", lambda: opens)
    assert reasons(app, begin_on_page(app, form)) == ["T-302"]
    assert reasons(app, prepare_on_page(app, form, message, old, new)) == ["T-302"]
    assert form.submit().follow().html.select_one(".code strong").get_text() == "T-302"
    monkeypatch.setattr(clock, "now", lambda: last)
    done = form.submit()
    # A lost answer is given again, also after hours.
    monkeypatch.setattr(clock, "now", lambda: opens)
    assert form.submit().location == done.location


@pytest.mark.parametrize("field", ["handover", "certificate", "jws"])
def test_a_megabyte_is_too_much_everywhere(app, city, old, field):
    form = renewal_form(app)
    message = begin_on_page(app, form).json["message"]
    if field == "jws":
        form["renewal"].force_value(message["renewal_id"])
        form["jws"].force_value("x" * 1_000_000)
        answer = form.submit()
    else:
        answer = prepare_on_page(app, form, message, old, newer(city), **{field: "x" * 1_000_000})
    assert answer.status_code == 413
    assert "P-807" in answer


@pytest.mark.parametrize("renewal", ["", "x", "00000000-0000-4000-8000-000000000000"])
def test_a_renewal_that_is_none(app, city, old, renewal):
    form = renewal_form(app)
    form["renewal"].force_value(renewal)
    answer = form.submit()
    assert answer.status_code == (404 if len(renewal) < 2 else 302)
    if answer.status_code == 302:
        assert "R-136" in answer.follow()


def test_a_result_is_its_own_cards_alone(app, city, old):
    renew_on_pages(app, old, newer(city))
    path = f"{PAGES}done/{RegisteredCard.objects.get(status='active').id}/"
    assert app.get(path).status_code == 200
    other = city.authority.card(company="別の商会株式会社")
    make_supplier(city.section, supplier_number="990000002", name="別の商会株式会社")
    present(app, app.get("/9992/goods/registration/menu/"), other)
    assert app.get(path).status_code == 404
    # A card that came by 登録 has no such page.
    first = RegisteredCard.objects.get(status="replaced")
    present(app, app.get("/9992/goods/registration/menu/"), old)
    assert app.get(f"{PAGES}done/{first.id}/").status_code == 404


def test_what_was_not_accepted_says_so(app, city, old):
    renew_on_pages(app, old, newer(city))
    card = RegisteredCard.objects.get(status="active")
    RegisteredCard.objects.filter(id=card.id).update(status="rejected")
    page = app.get(f"{PAGES}done/{card.id}/")
    assert "更新前のICカードの登録は、そのまま続いています" in text_of(page)


def test_a_handover_of_another_site_is_refused(app, city, old):
    form = renewal_form(app)
    message = begin_on_page(app, form).json["message"]
    elsewhere = hand_over(message, old, origin=ORIGIN.replace("localhost", "elsewhere"))
    answer = prepare_on_page(app, form, message, old, newer(city), handover=elsewhere)
    assert reasons(app, answer) == ["R-137"]
