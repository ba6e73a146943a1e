"""What is typed into 変更 outlives the session, the closing hour and the card that cannot be judged; it changes once, by its card."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from builders import sign_document, trust_authority
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from steps import (
    CHANGE_TYP,
    change,
    main_form,
    present,
    register,
    registered_card,
    send,
    sign_and_change,
    type_over,
    way_to_change,
)

from irefuda.agencies.models import Installation
from irefuda.registration.models import Draft, DraftKind, Event, RegisteredCard, Registration
from irefuda.ui import clock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
FORM, CHECK, SUBMIT = (f"/9992/goods/{name}/" for name in ("change", "change/check", "change/submit"))
SAVED = "「利用者変更」の画面で入力した内容は保存されています。"
NOT_SAVED = "いま送られた内容は保存されていません。"


@pytest.fixture
def card(app, city):
    return registered_card(app, city)


def typed_form(app, card, **typed):
    form = main_form(way_to_change(app, card), "rep-email")
    type_over(form, **(typed or {"rep_person": "次郎"}))
    return form


def let_idle(app, seconds):
    session = SessionStore(app.cookies[settings.SESSION_COOKIE_NAME].strip('"'))
    session["card"] = {**session["card"], "seen_at": (clock.now() - timedelta(seconds=seconds)).isoformat()}
    session.save()


def hours(city, **values):
    agency = city.section.agency
    for name, value in values.items():
        setattr(agency, name, value)
    agency.save()


def close(city):
    hours(city, always_open=False, opens_at="00:00", closes_at="00:00")


def test_the_session_that_ends_while_someone_types(app, card):
    form = typed_form(app, card)
    let_idle(app, settings.SESSION_IDLE_SECONDS)
    answer = form.submit()
    assert "T-301" in answer
    assert SAVED in answer
    page = way_to_change(app, card)
    assert main_form(page, "rep-email")["rep-person"].value == "次郎"
    assert "登録内容と違う項目" in page
    assert "R-141" not in page


def test_a_browser_that_never_had_this_card_saves_nothing(app, card):
    form = typed_form(app, card)
    (session,) = [cookie for cookie in app.cookiejar if cookie.name == settings.SESSION_COOKIE_NAME]
    app.cookiejar.clear(session.domain, session.path, session.name)
    answer = form.submit()
    assert "T-301" in answer
    assert NOT_SAVED in answer
    assert not Draft.objects.exists()


def test_a_card_that_is_stopped_while_someone_types_saves_nothing_and_says_why(app, card):
    form = typed_form(app, card)
    RegisteredCard.objects.update(status="closed")
    assert "R-122" in form.submit()
    assert not Draft.objects.exists()


def test_reload_and_the_back_button_show_what_was_typed(app, card):
    form = typed_form(app, card, rep_person="次郎", rep_postal_code="1")
    answer = form.submit()
    assert (answer.status_int, answer.location) == (302, f"{FORM}?mistakes")
    for _ in range(2):
        assert main_form(app.get(answer.location), "rep-email")["rep-postal_code"].value == "1"
    again = main_form(app.get(FORM), "rep-email")
    assert again["rep-person"].value == "次郎"
    again["rep-postal_code"] = "0300801"
    back = send(again).click("^戻る$")
    assert main_form(back, "rep-email")["rep-person"].value == "次郎"
    assert back.click("^戻る$").html.h1.get_text() == "利用者登録メニュー"


def test_the_closing_hour_in_the_middle_of_the_form(app, city, card):
    form = typed_form(app, card)
    close(city)
    answer = form.submit()
    assert "T-302" in answer
    assert Draft.objects.get().document == ""
    assert main_form(app.get(FORM), "rep-email")["rep-person"].value == "次郎"
    hours(city, always_open=True)
    assert "変更内容確認" in send(main_form(app.get(FORM), "rep-email")).html.title.get_text()


def test_at_the_closing_second_nothing_is_changed_any_more(app, city, card, monkeypatch):
    now = clock.now().replace(microsecond=0)
    monkeypatch.setattr(clock, "now", lambda: now)
    # A Tuesday that is no holiday, by the clock of the practice realm, which moves the hours and nothing else.
    last = datetime(2026, 11, 24, 19, 59, 59, tzinfo=clock.JST)
    hours(city, always_open=False, opens_at="08:30", closes_at="20:00")

    def let_it_be(moment):
        Installation.objects.update_or_create(id=1, defaults={"clock_offset_seconds": (moment - now).total_seconds()})

    let_it_be(last)
    check = send(typed_form(app, card))
    let_it_be(last + timedelta(seconds=1))
    assert "T-302" in sign_and_change(check, card)
    assert not Event.objects.exists()
    let_it_be(last)
    assert sign_and_change(check, card).status_int == 302
    let_it_be(last + timedelta(seconds=1))
    # A lost answer is given again also after hours: that is no act.
    assert sign_and_change(check, card).follow().html.h1.get_text() == "利用者変更が完了しました"
    assert "T-302" in way_to_change(app, card)


def test_a_certificate_revoked_during_the_session(app, city, card):
    form = typed_form(app, card)
    check = send(form)
    trust_authority(
        city.authority, crl=city.authority.crl(revoked={card.certificate.serial_number: clock.now()}, number=2)
    )
    for page in (form.submit(), sign_and_change(check, card), app.get(FORM), app.get("/9992/goods/change/address/")):
        assert "K-409" in page
    assert not Event.objects.exists()
    assert Draft.objects.get().typed["rep-person"] == "次郎"


def test_another_card_in_the_same_browser_starts_from_what_is_registered(app, city, card):
    send(typed_form(app, card))
    second = city.authority.card()
    register(app, second)
    page = way_to_change(app, second)
    assert main_form(page, "rep-email")["rep-person"].value == "青森 花子"
    assert app.get(CHECK).follow().request.path == FORM


def test_a_form_from_another_session_changes_nothing(app, city, card):
    theirs = send(typed_form(app, card))
    second = city.authority.card()
    app.reset()
    register(app, second)
    own = send(typed_form(app, second, card_office_person="三郎"))
    form = main_form(own, "jws")
    form["draft"].force_value(main_form(theirs, "jws")["draft"].value)
    form["jws"].force_value(sign_document(card, main_form(theirs, "jws")["document"].value, CHANGE_TYP))
    assert "R-144" in form.submit()
    assert not Event.objects.exists()


def test_a_confirmation_that_another_window_has_changed_meanwhile_changes_nothing(app, card):
    stale = send(typed_form(app, card))
    send(typed_form(app, card, rep_person="三郎"))
    assert "R-117" in sign_and_change(stale, card)
    assert Registration.objects.get().representative["person"] == "青森 花子"
    sign_and_change(app.get(CHECK), card)
    assert Registration.objects.get().representative["person"] == "三郎"


def test_another_person_in_charge_signs_under_the_own_name(app, card):
    stale = send(typed_form(app, card))
    present(app, app.get("/9992/goods/registration/menu/"), card, person="経理 次郎", to="/change/present/")
    assert "R-143" in sign_and_change(stale, card)
    check = app.get(CHECK).follow()
    assert "経理 次郎" in check
    sign_and_change(check, card)
    assert Event.objects.get().person_in_charge == "経理 次郎"


def test_pressing_twice_and_a_lost_answer_end_at_the_same_change(app, card):
    check = send(typed_form(app, card))
    first, second = sign_and_change(check, card), sign_and_change(check, card)
    assert first.location == second.location
    assert Event.objects.count() == 1
    assert app.get(CHECK).follow().request.path == FORM


@pytest.mark.parametrize("draft", ["", "../../etc", "\x00", "x"])
def test_a_draft_that_never_was(app, card, draft):
    form = main_form(send(typed_form(app, card)), "jws")
    form["draft"].force_value(draft)
    assert form.submit().status_int == 404
    assert not Event.objects.exists()


def test_a_post_from_another_site_or_without_the_forms_token_changes_nothing(app, card):
    form = main_form(send(typed_form(app, card)), "jws")
    fields = {"draft": form["draft"].value, "jws": sign_document(card, form["document"].value, CHANGE_TYP)}
    assert app.post(SUBMIT, fields).status_int == 403
    fields["csrfmiddlewaretoken"] = form["csrfmiddlewaretoken"].value
    assert app.post(SUBMIT, fields, headers={"Origin": "http://staff.localhost:8000"}).status_int == 403
    assert not Event.objects.exists()


def test_a_form_of_one_card_is_not_sent_with_another_that_came_in_meanwhile(app, city, card):
    other = city.authority.card()
    register(app, other)
    first_tab = typed_form(app, card, rep_person="次郎")
    way_to_change(app, other)
    answer = first_tab.submit()
    assert answer.status_int == 403
    assert "R-158" in answer
    assert "別のICカードで入り直しました" in answer
    assert not Draft.objects.filter(kind=DraftKind.CHANGE).exists()
    last_word = main_form(send(typed_form(app, card)), "jws")
    last_word["jws"].force_value(sign_document(card, last_word["document"].value, CHANGE_TYP))
    way_to_change(app, other)
    assert "R-158" in last_word.submit()
    assert not Event.objects.exists()


def test_the_way_into_the_registration_leads_a_registered_card_to_the_change(app, card):
    answer = present(app, app.get("/9992/goods/registration/menu/"), card, to="/present/")
    assert "R-105" in answer
    assert answer.click("電子入札", href="/start/").request.path == "/9992/goods/start/"
    assert answer.click("変更").request.path == FORM
    assert change(app, card, rep_person="次郎").status_int == 302
