"""Every page of the staff's site as everybody: what is not theirs is not there. The cases are the table's own rows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from datetime import timedelta
from typing import Any

import pytest
from builders import make_section, make_token, trust_authority
from django.apps import apps
from django.contrib.sessions.models import Session
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import get_resolver, path
from staff_office import HOST, ORIGIN, Office, present, supplier_card

from irefuda.agencies.models import Section
from irefuda.agencies.urls import SECTION
from irefuda.cards import views as card_views
from irefuda.config import urls_staff
from irefuda.staff import auth, operations
from irefuda.staff.auth import OpenPage, StaffPage
from irefuda.staff.models import Role
from irefuda.ui import clock

SETTERS = urls_staff.SETS_AGENCIES
PAGES = [page for page in urls_staff.TABLE if isinstance(page, StaffPage)]
OPEN = {"staff-login", "staff-enrol", "logout", "card-nonce", "session-extend", "practice-cards"}


def address_of(page: StaffPage, office: Office, member: uuid.UUID) -> str:
    """Return an address of this page that is there: the office's agency, a member, something never changed."""
    filled = page.path
    for placeholder, value in {
        "<agency:agency>": "9991",
        "<category:category>": "works",
        "<uuid:member_id>": str(member),
        "<uuid:entry_id>": str(uuid.uuid4()),
        "<int:closure_id>": "1",
        "<uuid:import_id>": str(uuid.uuid4()),
        "<str:supplier_number>": "999999999",
        "<int:number>": "1",
        "<uuid:card_id>": str(uuid.uuid4()),
        "<uuid:event_id>": str(uuid.uuid4()),
        "<uuid:announcement_id>": str(uuid.uuid4()),
    }.items():
        filled = filled.replace(placeholder, value)
    assert "<" not in filled, f"{page.name}: how is {page.path} filled?"
    return f"/{filled}"


def logged_in(card) -> Client:
    client = Client(headers={"host": HOST})
    nonce = client.post("/card/nonce/").json()["nonce"]
    answer = client.post("/login/", {"token": make_token(card, nonce, origin=ORIGIN)})
    assert (answer.status_code, answer.headers.get("Location")) == (302, "/")
    return client


@pytest.fixture
def people(office: Office):
    """A browser for each role of the whole installation, and a member to look at."""
    section = make_section(code="9991", category="0", name="入札市 契約課")
    office.agency = section.agency
    found = {role: logged_in(office.let_in(role, name=role.label)[0]) for role in Role}
    _, looked_at = office.let_in(Role.WITNESS, name="見られる人")
    return found, looked_at.id


def is_refused(answer) -> bool:
    return answer.status_code == 404 and "ページが見つかりません" in answer.content.decode()


def test_every_page_opens_to_its_roles_and_to_nobody_else(office: Office, people):
    browsers, looked_at = people
    asked = 0
    for page in PAGES:
        address = address_of(page, office, looked_at)
        for role, client in browsers.items():
            got, posted = client.get(address), client.post(address)
            if role in page.roles:
                # 404 for what is not there (an entry nobody made) is the page's own word, after it let this role in.
                assert got.status_code in (200, 302, 404, 405), (page.name, role, got.status_code)
                assert got.wsgi_request.actor.roles == {role}
            else:
                assert is_refused(got), (page.name, role)
                assert is_refused(posted), (page.name, role)
            asked += 1
    assert asked == len(PAGES) * len(Role) > 100


def test_the_staff_of_one_agency_meets_no_other_agency_and_not_the_whole(office: Office, people):
    _, stranger = people
    other = make_section(code="9992", name="別の機関").agency
    everything = logged_in(office.let_in(*Role, agency=other, name="別の機関の人")[0])
    for page in PAGES:
        if page.whole or "<agency" in page.path or "member_id" in page.path:
            assert is_refused(everything.get(address_of(page, office, stranger))), page.name
    listed = everything.get("/agencies/").content.decode()
    assert "別の機関" in listed
    assert "入札市 契約課" not in listed
    assert "見られる人" not in everything.get("/members/").content.decode()
    assert "監査" not in [page.menu for page, _ in everything.get("/").context["menu"]]


def test_without_login_every_page_leads_to_the_login(office: Office):
    client = Client(headers={"host": HOST})
    for page in PAGES:
        address = address_of(page, office, uuid.uuid4())
        got = client.get(address)
        assert (got.status_code, got.headers["Location"]) == (302, "/login/"), page.name
        posted = client.post(address)
        assert posted.status_code == 403, page.name
        assert "S-901" in posted.content.decode(), page.name


def test_the_pages_without_login_are_these(staff_site):
    assert {page.name for page in urls_staff.TABLE if isinstance(page, OpenPage)} == OPEN


def test_the_table_is_the_whole_site(staff_site):
    assert list(auth.table()) == urls_staff.TABLE
    assert len(get_resolver().url_patterns) == len(urls_staff.TABLE)
    assert all(page.roles <= set(Role) for page in PAGES)


def test_a_row_without_roles_or_with_a_name_twice_is_no_row():
    with pytest.raises(ValueError, match="names the roles"):
        StaffPage("x/", card_views.nonce, "x", frozenset())
    with pytest.raises(ValueError, match="one name"):
        auth.paths([OpenPage("x/", card_views.nonce, "x"), OpenPage("y/", card_views.nonce, "x")])


def test_an_address_that_came_past_the_table_is_not_there(staff_site, monkeypatch, db):
    resolver = get_resolver()
    sneaked = [*urls_staff.urlpatterns, path("sneaked/", card_views.nonce, name="sneaked")]
    monkeypatch.setitem(resolver.__dict__, "url_patterns", sneaked)
    assert is_refused(Client(headers={"host": HOST}).post("/sneaked/"))


def test_a_page_of_another_slice_gets_its_section_and_stands_on_the_start_page(office: Office, monkeypatch):
    works = make_section(code="9991", category="0", name="入札市 契約課")
    make_section(code="9992", name="別の機関")

    def reviews(request: HttpRequest, actor: operations.Actor, section: Section) -> HttpResponse:
        return HttpResponse(f"{actor.member.name} {section.agency.code} {section.category}")

    def everything(request: HttpRequest, actor: operations.Actor) -> HttpResponse:
        return HttpResponse("一覧")

    rows = [
        StaffPage("reviews/", everything, "reviews", SETTERS, menu="審査", waiting=lambda actor, now: "審査待ち3件"),
        StaffPage("reviews/" + SECTION, reviews, "section-reviews", SETTERS),
    ]
    patterns = [*urls_staff.urlpatterns, *auth.paths(rows)]
    resolver = get_resolver()
    monkeypatch.setitem(resolver.__dict__, "url_patterns", patterns)
    for cached in ("_reverse_dict", "_namespace_dict", "_app_dict"):
        monkeypatch.setattr(resolver, cached, {})
    monkeypatch.setattr(resolver, "_populated", False)
    client = logged_in(office.let_in(Role.CONTRACTS, agency=works.agency, name="契約 花子")[0])
    assert client.get("/reviews/9991/works/").content.decode() == "契約 花子 9991 0"
    for elsewhere in ("/reviews/9992/goods/", "/reviews/9991/goods/", "/reviews/9993/works/"):
        assert is_refused(client.get(elsewhere)), elsewhere
    start = client.get("/").content.decode()
    assert "審査待ち3件" in start
    assert "審査待ち3件" not in logged_in(office.let_in(Role.WITNESS)[0]).get("/").content.decode()


# -- what a GET and a POST from elsewhere may do, and what stands on every answer


def everything_stored() -> dict[str, list[Any]]:
    """Return every row of every table; of sessions only which there are (their time is counted once a minute)."""
    stored = {}
    for model in apps.get_models(include_auto_created=True):
        found = model.objects.values_list("pk", flat=True) if model is Session else model.objects.values_list()
        stored[model._meta.label] = sorted(map(repr, found))
    return stored


def test_a_get_changes_nothing_and_a_post_from_elsewhere_is_refused(office: Office, people):
    _, looked_at = people
    everybody = logged_in(office.let_in(Role.ADMINISTRATOR, Role.CONTRACTS, Role.AUDITOR)[0])
    everybody.handler.enforce_csrf_checks = True
    before = everything_stored()
    for page in PAGES:
        address = address_of(page, office, looked_at)
        everybody.get(address)
        posted = everybody.post(address, {"reason": "x", "confirmed": "1", "act": str(uuid.uuid4())})
        assert posted.status_code == 403, page.name
        assert "画面の有効期限が切れました" in posted.content.decode(), page.name
        assert everything_stored() == before, page.name


def test_every_answer_carries_the_headers(office: Office, people):
    browsers, looked_at = people
    for page in PAGES:
        for client in (browsers[Role.ADMINISTRATOR], Client(headers={"host": HOST})):
            headers = client.get(address_of(page, office, looked_at)).headers
            policy = headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy, page.name
            assert "frame-ancestors 'none'" in policy, page.name
            assert "'unsafe" not in policy
            assert "http" not in policy, "nothing is fetched from elsewhere: the site is reached over LGWAN"
            assert (headers["X-Content-Type-Options"], headers["X-Frame-Options"]) == ("nosniff", "DENY"), page.name
            assert "no-store" in headers["Cache-Control"], page.name
            assert headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups", page.name


def test_production_has_cookies_of_its_own_that_are_tied_to_the_host():
    environment = {
        **os.environ,
        "IREFUDA_REALM": "production",
        "IREFUDA_SITE": "staff",
        "IREFUDA_CITY_NAME": "例市",
        "IREFUDA_SUPPLIER_ORIGIN": "https://ebid.example.lg.jp",
        "IREFUDA_PUBLIC_ORIGIN": "https://open.example.lg.jp",
        "IREFUDA_STAFF_ORIGIN": "https://staff.example.lg.jp",
    }
    program = (
        "import json; from irefuda.config import settings as s; "
        "print(json.dumps([s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, s.BROWSER_COOKIE_NAME, s.SESSION_COOKIE_SECURE, "
        "s.ALLOWED_HOSTS, s.MIDDLEWARE[-1], s.ROOT_URLCONF]))"
    )

    def run() -> Any:
        return subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)

    assert json.loads(run().stdout) == [
        "__Host-irefuda-staff",
        "__Host-irefuda-staff-csrf",
        "__Host-irefuda-staff-browser",
        True,
        ["staff.example.lg.jp"],
        "irefuda.staff.auth.OnlyStaffPages",
        "irefuda.config.urls_staff",
    ]
    environment["IREFUDA_STAFF_ORIGIN"] = "http://staff.example.lg.jp"
    assert "needs an https origin" in run().stderr
    del environment["IREFUDA_STAFF_ORIGIN"]
    assert "IREFUDA_STAFF_ORIGIN" in run().stderr


# -- the two sites and their two trust stores


def test_a_supplier_s_card_and_session_open_nothing_here(office: Office, settings):
    _, card = supplier_card()
    client = Client(headers={"host": HOST})
    nonce = client.post("/card/nonce/").json()["nonce"]
    refused = client.post("/login/", {"token": make_token(card, nonce, origin=ORIGIN)})
    assert refused.status_code == 403
    assert "K-402" in refused.content.decode()
    # A session that the contractors' site began, carried over under this site's name.
    client.post("/card/nonce/")
    nonce = client.post("/card/nonce/").json()["nonce"]
    client.post("/login/", {"token": make_token(office.first, nonce, origin=ORIGIN)})
    assert client.get("/").status_code == 200
    row = Session.objects.get()
    store = client.session
    store["card"] = {**store["card"], "site": "supplier"}
    store.save()
    assert Session.objects.get().session_key == row.session_key
    assert client.get("/").headers["Location"] == "/login/"
    store = client.session
    store["card"] = {name: value for name, value in store["card"].items() if name != "site"}
    store.save()
    assert client.get("/").headers["Location"] == "/login/"


def test_a_staff_card_opens_nothing_on_the_contractors_site(office: Office, settings):
    settings.SITE, settings.ROOT_URLCONF = "supplier", "irefuda.config.urls_supplier"
    settings.ALLOWED_HOSTS = ["localhost"]
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("irefuda.staff.")]
    make_section()
    client = Client(headers={"host": "localhost:8000"})
    nonce = client.post("/card/nonce/").json()["nonce"]
    token = make_token(office.first, nonce, origin="http://localhost:8000")
    refused = client.post("/9992/goods/login/", {"token": token, "person_in_charge": ""})
    assert refused.status_code == 403
    assert "K-402" in refused.content.decode()


def test_a_token_for_the_contractors_origin_is_none_here(office: Office):
    client = Client(headers={"host": HOST})
    nonce = client.post("/card/nonce/").json()["nonce"]
    refused = client.post("/login/", {"token": make_token(office.first, nonce, origin="http://localhost:8000")})
    assert refused.status_code == 403
    assert "K-423" in refused.content.decode()


# -- the session


def test_the_cookies_are_this_site_s_own_and_the_key_changes_with_every_proof(office: Office, browser):
    app = browser(office.first)
    assert set(app.cookies) == {"irefuda-staff", "irefuda-staff-csrf", "irefuda-staff-browser"}
    before = app.cookies["irefuda-staff"]
    present(app, office.first)
    assert app.cookies["irefuda-staff"] != before
    assert Session.objects.count() == 1


def test_who_is_ended_is_out_at_the_next_click(office: Office, browser):
    card, member = office.let_in(Role.CONTRACTS)
    app = browser(card)
    assert app.get("/").status_code == 200
    operations.end_member(deed=office.deed(), member_id=member.id)
    answer = app.get("/")
    assert answer.status_code == 403
    assert "S-902" in answer.text


def test_a_card_that_is_revoked_or_expires_is_out_at_the_next_click(office: Office, browser, monkeypatch):
    authority = office.authority
    card, _ = office.let_in(Role.CONTRACTS)
    app = browser(card)
    assert app.get("/").status_code == 200
    revoked = {card.certificate.serial_number: clock.now() - timedelta(minutes=1)}
    trust_authority(authority, audience="staff", name="入札市職員認証局", crl=authority.crl(number=2, revoked=revoked))
    answer = app.get("/agencies/")
    assert (answer.status_code, "K-409" in answer.text) == (403, True)
    # No list that is fresh enough: nobody of this authority goes on.
    other = browser(office.first)
    late = clock.now() + timedelta(hours=48)
    monkeypatch.setattr(clock, "now", lambda: late)
    monkeypatch.setattr("irefuda.cards.auth.CardSession.ends_at", late + timedelta(minutes=1))
    answer = other.get("/")
    assert (answer.status_code, "K-410" in answer.text) == (403, True)


def test_the_login_ends_after_thirty_idle_minutes_and_can_be_put_off(office: Office, browser, monkeypatch):
    app = browser(office.first)
    page = app.get("/")
    started = clock.now()
    assert "data-session-seconds" in page.text
    for minutes in (0, 29, 58):
        moment = started + timedelta(minutes=minutes)
        monkeypatch.setattr(clock, "now", lambda moment=moment: moment)
        token = page.forms[0]["csrfmiddlewaretoken"].value
        assert app.post("/session/extend/", {"csrfmiddlewaretoken": token}).json["extended"], minutes
    monkeypatch.setattr(clock, "now", lambda: started + timedelta(minutes=58 + 31))
    assert app.get("/").headers["Location"].endswith("/login/")


def test_log_out_ends_the_session(office: Office, browser):
    app = browser(office.first)
    form = next(form for form in app.get("/").forms.values() if form.action == "/logout/")
    assert "ログアウトしました" in form.submit().text
    assert Session.objects.count() == 0
    assert app.get("/").headers["Location"].endswith("/login/")
