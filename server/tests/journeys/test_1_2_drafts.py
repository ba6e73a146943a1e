"""What is typed outlives the session, the closing hour and the card that cannot be judged; a draft registers once, for its card."""

from __future__ import annotations

import io
import uuid
from datetime import datetime, timedelta

import pytest
from builders import sign_document, trust_authority
from django.conf import settings
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from steps import TYP, fill, main_form, present, register, send, sign_and_register, way_in
from webtest import TestApp

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration import audit
from irefuda.registration.models import Draft, RegisteredCard, Registration
from irefuda.ui import clock

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
SAVED = "「利用者登録」の画面で入力した内容は保存されています。"
NOT_SAVED = "いま送られた内容は保存されていません。"
LOOKUP, CONTACTS, CHECK = (f"/9992/goods/registration/{name}/" for name in ("lookup", "contacts", "check"))


def contacts_page(app, card):
    form = main_form(way_in(app, card), "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    return send(form)


def check_page(app, card, **office):
    form = main_form(contacts_page(app, card), "rep-email")
    fill(form, "rep", email="daihyo@example.jp")
    fill(form, "card_office", **office)
    return send(form)


def close(city):
    agency = city.section.agency
    agency.always_open, agency.opens_at, agency.closes_at = False, "00:00", "00:00"
    agency.save()


def reopen(city):
    city.section.agency.always_open = True
    city.section.agency.save()


def let_idle(app, seconds):
    """Move the browser's last act into the past."""
    session = SessionStore(app.cookies[settings.SESSION_COOKIE_NAME].strip('"'))
    session["card"] = {**session["card"], "seen_at": (clock.now() - timedelta(seconds=seconds)).isoformat()}
    session.save()


def let_last(app, time):
    """Move the beginning of the browser's session into the past; its last act was a moment ago."""
    session = SessionStore(app.cookies[settings.SESSION_COOKIE_NAME].strip('"'))
    session["card"] = {**session["card"], "begun_at": (clock.now() - time).isoformat()}
    session.save()


def session_of(app):
    """Return all that the browser's session holds."""
    return SessionStore(app.cookies[settings.SESSION_COOKIE_NAME].strip('"')).load()


def rows():
    return [model.objects.count() for model in (Draft, Registration, RegisteredCard, Entry, Notice)]


# -- nothing typed is lost


def test_the_session_that_ends_while_someone_types(app, city):
    card = city.authority.card()
    form = main_form(contacts_page(app, card), "rep-email")
    fill(form, "rep", department="総務部")
    fill(form, "card_office")
    let_idle(app, settings.SESSION_IDLE_SECONDS)
    answer = form.submit()
    assert answer.status_int == 403
    assert "T-301" in answer
    assert SAVED in answer
    assert session_of(app).keys() == {"ended_card"}
    again = main_form(way_in(app, card).click("続きから入力する"), "rep-email")
    assert again["rep-department"].value == "総務部"
    assert again["card_office-person"].value == "青森 花子"


def test_a_browser_that_never_had_this_card_writes_into_no_draft(app, city):
    form = main_form(contacts_page(app, city.authority.card()), "rep-email")
    fill(form, "rep", department="総務部")
    (session,) = [cookie for cookie in app.cookiejar if cookie.name == settings.SESSION_COOKIE_NAME]
    app.cookiejar.clear(session.domain, session.path, session.name)
    answer = form.submit()
    assert "T-301" in answer
    assert NOT_SAVED in answer
    assert SAVED not in answer
    assert Draft.objects.get().typed == {}


@pytest.mark.parametrize("first", ["「ログインを続ける」", "another tab"])
def test_the_form_is_not_the_first_to_find_the_session_over(app, city, first):
    card = city.authority.card()
    form = main_form(contacts_page(app, card), "rep-email")
    fill(form, "rep", department="総務部")
    let_idle(app, settings.SESSION_IDLE_SECONDS)
    if first == "another tab":
        assert SAVED in app.get("/9992/goods/start/")
    else:
        token = form["csrfmiddlewaretoken"].value
        assert app.post("/session/extend/", {"csrfmiddlewaretoken": token}).status_int == 401
    answer = form.submit()
    assert "T-301" in answer
    assert SAVED in answer
    assert Draft.objects.get().typed["rep-department"] == "総務部"
    # Good for nothing else: nothing is shown, and no act is done.
    for page in (LOOKUP, CONTACTS, CHECK, "/9992/goods/start/"):
        assert "T-301" in app.get(page)
    key = app.cookies[settings.SESSION_COOKIE_NAME]
    assert "続きから入力する" in way_in(app, card)
    assert app.cookies[settings.SESSION_COOKIE_NAME] != key
    assert "ended_card" not in session_of(app)


def test_a_session_that_ended_long_ago_saves_nothing_and_says_so(app, city, monkeypatch):
    form = main_form(contacts_page(app, city.authority.card()), "rep-email")
    fill(form, "rep", department="総務部")
    let_idle(app, settings.SESSION_IDLE_SECONDS)
    app.get("/9992/goods/start/")
    late = clock.now() + timedelta(hours=12)
    monkeypatch.setattr(clock, "now", lambda: late)
    answer = form.submit()
    assert "T-301" in answer
    assert NOT_SAVED in answer
    assert Draft.objects.get().typed == {}
    assert not Session.objects.exists()


def test_a_session_lasts_no_longer_for_a_clock_that_was_set_back(app, city):
    way_in(app, city.authority.card())
    let_idle(app, -3600)
    app.get("/9992/goods/start/")
    assert datetime.fromisoformat(session_of(app)["card"]["seen_at"]) <= clock.now()


def test_after_logging_out_nothing_more_is_saved_and_nothing_is_promised(app, city):
    form = main_form(page := contacts_page(app, city.authority.card()), "rep-email")
    fill(form, "rep", department="総務部")
    next(form for form in page.forms.values() if form.action == "/logout/").submit()
    assert NOT_SAVED in form.submit()
    assert "保存されて" not in app.get(CONTACTS)
    assert Draft.objects.get().typed == {}


def test_number_and_name_that_a_session_cannot_keep_are_not_said_to_be_kept(app, city):
    form = main_form(way_in(app, city.authority.card()), "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "㈱テスト商会01"
    let_idle(app, settings.SESSION_IDLE_SECONDS)
    answer = form.submit()
    assert "T-301" in answer
    assert NOT_SAVED in answer
    assert SAVED not in answer


def test_the_mark_copies_no_empty_contact_when_the_representative_is_not_asked(app, city):
    register(app, city.authority.card())
    app.reset()
    form = main_form(contacts_page(app, city.authority.card()), "card_office-email")
    assert "rep-email" not in form.fields
    fill(form, "card_office", department="総務部")
    form["same"] = True
    let_idle(app, settings.SESSION_IDLE_SECONDS)
    assert SAVED in form.submit()
    typed = Draft.objects.get().typed
    assert (typed["card_office-department"], typed["card_office-email"]) == ("総務部", "hanako@example.jp")


def test_a_revocation_list_that_runs_out_while_someone_types(app, city):
    card = city.authority.card()
    form = main_form(contacts_page(app, card), "rep-email")
    fill(form, "rep", department="総務部")
    stale = {"issued": timedelta(days=-3), "next_in": timedelta(hours=-25)}
    trust_authority(city.authority, crl=city.authority.crl(number=2, **stale))
    assert "K-410" in form.submit()
    assert Draft.objects.get().typed["rep-department"] == "総務部"


def test_a_company_that_is_suspended_while_someone_types(app, city):
    form = main_form(contacts_page(app, city.authority.card()), "rep-email")
    fill(form, "rep", department="総務部")
    city.supplier.status = "suspended"
    city.supplier.save()
    assert "R-107" in form.submit()
    assert Draft.objects.get().typed["rep-department"] == "総務部"


def test_the_closing_hour_in_the_middle_of_the_form(app, city):
    form = main_form(contacts_page(app, city.authority.card()), "rep-email")
    fill(form, "rep", department="総務部")
    fill(form, "card_office")
    close(city)
    answer = form.submit()
    assert "T-302" in answer
    assert "次の受付開始は" in answer
    assert Draft.objects.get().document == ""
    # It can be read meanwhile, with all that was typed.
    assert main_form(app.get(CONTACTS), "rep-email")["rep-department"].value == "総務部"
    reopen(city)
    assert "登録内容確認" in send(main_form(app.get(CONTACTS), "rep-email")).html.title.get_text()


def test_the_closing_hour_before_the_last_press(app, city):
    card = city.authority.card()
    check = check_page(app, card)
    close(city)
    answer = sign_and_register(check, card)
    assert "T-302" in answer
    assert rows() == [1, 0, 0, 0, 0]
    reopen(city)
    assert "利用者登録が完了しました" in sign_and_register(app.get(CHECK), card).follow()


def test_the_closing_hour_before_the_look_up_keeps_number_and_name(app, city):
    form = main_form(way_in(app, city.authority.card()), "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "㈱テスト商会01"
    close(city)
    assert "T-302" in form.submit()
    form = main_form(app.get(LOOKUP), "supplier_number")
    assert (form["supplier_number"].value, form["name"].value) == ("990000001", "㈱テスト商会01")


def test_no_door_opens_outside_the_hours(app, city):
    card = city.authority.card()
    register(app, card)
    app.reset()
    close(city)
    for door in ("/9992/goods/registration/menu/", "/9992/goods/login/"):
        assert "T-302" in present(app, app.get(door), card)
        assert "T-301" in app.get("/9992/goods/start/")


# -- one card, one draft, one registration


def test_another_card_in_the_same_browser_starts_empty(app, city):
    first, second = city.authority.card(), city.authority.card()
    form = main_form(contacts_page(app, first), "rep-email")
    fill(form, "rep", department="総務部")
    send(form)
    key = app.cookies[settings.SESSION_COOKIE_NAME]
    page = way_in(app, second)
    assert app.cookies[settings.SESSION_COOKIE_NAME] != key
    assert "入力の途中の内容があります" not in page
    assert main_form(page, "supplier_number")["supplier_number"].value == ""
    assert app.get(CONTACTS).follow().request.path == LOOKUP
    assert Session.objects.count() == 1
    # The first card's form is still open in another tab: the browser is the second card's now.
    assert form.submit().follow().request.path == LOOKUP


def test_the_session_key_changes_at_every_proof_of_the_same_card(app, city):
    card = city.authority.card()
    keys = set()
    for _ in range(3):
        way_in(app, card)
        keys.add(app.cookies[settings.SESSION_COOKIE_NAME])
    assert len(keys) == 3
    assert Session.objects.count() == 1


def test_a_form_from_another_session_registers_nothing(app, city):
    mine, theirs = city.authority.card(), city.authority.card()
    check = check_page(app, theirs)
    app.reset()
    own = check_page(app, mine)
    form = main_form(own, "jws")
    form["draft"].force_value(main_form(check, "jws")["draft"].value)
    form["jws"].force_value(sign_document(theirs, main_form(check, "jws")["document"].value, TYP))
    assert "R-115" in form.submit()
    assert rows() == [2, 0, 0, 0, 0]


def test_a_form_from_a_draft_that_changed_meanwhile_registers_nothing(app, city):
    card = city.authority.card()
    stale = check_page(app, card)
    form = main_form(app.get(CONTACTS), "rep-email")
    form["card_office-person"] = "青森 次郎"
    fresh = send(form)
    answer = sign_and_register(stale, card)
    assert "R-117" in answer
    assert rows() == [1, 0, 0, 0, 0]
    sign_and_register(fresh, card)
    assert RegisteredCard.objects.get().office["person"] == "青森 次郎"


def test_another_person_in_charge_takes_up_the_draft_and_signs_under_the_own_name(app, city, settings, tmp_path):
    card = city.authority.card()
    stale = check_page(app, card)
    present(app, app.get("/9992/goods/registration/menu/"), card, person="経理 次郎")
    # 「登録内容確認」 is still open in another tab, in the name of who went home.
    answer = sign_and_register(stale, card)
    assert "R-126" in answer
    check = app.get(CHECK).follow()
    assert "経理 次郎" in check
    assert "係 太郎" not in check
    sign_and_register(check, card)
    assert RegisteredCard.objects.get().person_in_charge == "経理 次郎"
    call_command("make_ledger_keys", directory=tmp_path / "keys", stdout=io.StringIO())
    settings.LEDGER_KEYS_FILE = str(tmp_path / "keys" / "ledger-keys.json")
    assert [line for line in map(str, audit.findings(clock.now())) if "person_in_charge" in line] == []


@pytest.mark.parametrize(
    ("draft", "status"), [(str(uuid.UUID(int=7)), 403), ("", 404), ("../../etc", 404), ("\x00", 404)]
)
def test_a_draft_that_never_was(app, city, draft, status):
    form = main_form(check_page(app, city.authority.card()), "jws")
    form["draft"].force_value(draft)
    assert form.submit().status_int == status
    assert rows() == [1, 0, 0, 0, 0]


def test_pressing_twice_reloading_and_a_lost_answer_end_at_the_same_registration(app, city):
    card = city.authority.card()
    check = check_page(app, card)
    first, second = sign_and_register(check, card), sign_and_register(check, card)
    assert first.location == second.location
    assert rows() == [0, 1, 1, 1, 2]
    # Also after hours, and with the browser's back button to what is no longer there.
    close(city)
    assert sign_and_register(check, card).location == first.location
    for gone in (CHECK, CONTACTS):
        assert app.get(gone).maybe_follow().request.path == first.follow().request.path
    assert rows() == [0, 1, 1, 1, 2]


def test_a_post_without_the_forms_token_or_from_another_site_changes_nothing(app, city):
    card = city.authority.card()
    form = main_form(check_page(app, card), "jws")
    fields = {"draft": form["draft"].value, "jws": sign_document(card, form["document"].value, TYP)}
    assert app.post("/9992/goods/registration/register/", fields).status_int == 403
    fields["csrfmiddlewaretoken"] = form["csrfmiddlewaretoken"].value
    foreign = {"Origin": "http://staff.localhost:8000"}
    assert app.post("/9992/goods/registration/register/", fields, headers=foreign).status_int == 403
    assert rows() == [1, 0, 0, 0, 0]
    assert app.post("/9992/goods/registration/register/", fields).status_int == 302


# -- how long a session lasts


def test_a_session_lasts_thirty_idle_minutes_and_every_act_begins_them_anew(app, city):
    register(app, city.authority.card())
    let_idle(app, settings.SESSION_IDLE_SECONDS - 10)
    assert app.get("/9992/goods/start/").status_int == 200
    let_idle(app, settings.SESSION_IDLE_SECONDS - 10)
    assert app.get("/9992/goods/start/").status_int == 200
    let_idle(app, settings.SESSION_IDLE_SECONDS + 1)
    assert "T-301" in app.get("/9992/goods/start/")
    assert session_of(app).keys() == {"ended_card"}


def test_after_twelve_hours_the_card_is_asked_for_again_however_busy_somebody_is(app, city):
    register(app, city.authority.card())
    token = main_form(app.get("/9992/goods/start/"), "csrfmiddlewaretoken")["csrfmiddlewaretoken"].value
    let_last(app, timedelta(hours=12) - timedelta(seconds=50))
    assert app.get("/9992/goods/start/").status_int == 200
    # The button cannot put that off, and says so by what is left.
    assert 0 < app.post("/session/extend/", {"csrfmiddlewaretoken": token}).json["seconds"] <= 50
    let_last(app, timedelta(hours=12))
    assert "T-301" in app.get("/9992/goods/start/")
    assert app.post("/session/extend/", {"csrfmiddlewaretoken": token}).status_int == 401
    assert session_of(app).keys() == {"ended_card"}


def test_the_extension_button_begins_them_anew(app, city):
    register(app, city.authority.card())
    let_idle(app, settings.SESSION_IDLE_SECONDS - 10)
    token = main_form(app.get("/9992/goods/start/"), "csrfmiddlewaretoken")["csrfmiddlewaretoken"].value
    let_idle(app, 50)  # too short for the page to count it by itself
    before = clock.now().isoformat()
    assert app.post("/session/extend/", {"csrfmiddlewaretoken": token}).json["seconds"] == settings.SESSION_IDLE_SECONDS
    assert SessionStore(app.cookies[settings.SESSION_COOKIE_NAME].strip('"'))["card"]["seen_at"] >= before
    app.reset()
    assert app.post("/session/extend/", {"csrfmiddlewaretoken": token}).status_int == 403


def test_two_browsers_may_hold_one_card_and_log_out_apart(app, city):
    card = city.authority.card()
    register(app, card)
    other = TestApp(app.app, extra_environ=app.extra_environ)
    present(other, other.get("/9992/goods/login/"), card)
    out = next(form for form in app.get("/9992/goods/start/").forms.values() if form.action == "/logout/")
    assert "ログアウトしました" in out.submit()
    assert "T-301" in app.get("/9992/goods/start/")
    assert other.get("/9992/goods/start/").status_int == 200
