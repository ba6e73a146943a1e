"""What the contractors' site refuses is counted by day, reason and section, and nothing else is kept of it."""

from __future__ import annotations

import pytest
from builders import registered
from steps import present, way_in
from succession import begin_on_page, newer, prepare_on_page, renewal_form

from irefuda.registration import queries, standing
from irefuda.registration.models import RefusedTry
from irefuda.ui import clock
from irefuda_core.certificate import fingerprint_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
SECTION = "/9992/goods/"


def counted() -> dict[tuple[str, str], int]:
    rows = RefusedTry.objects.values_list("code", "place", "tries", "on")
    assert {on for *_, on in rows} <= {clock.now().astimezone(clock.JST).date()}
    return {(code, place): tries for code, place, tries, _ in rows}


def test_a_wrong_pair_a_stranger_and_a_card_without_proof_are_counted(app, city):
    card = city.authority.card()
    page = way_in(app, card)
    form = next(form for form in page.forms.values() if "supplier_number" in form.fields)
    form["supplier_number"], form["name"] = "990000001", "だれか"
    assert "R-102" in form.submit().follow().text
    app.get(f"{SECTION}registration/lookup/")
    assert counted() == {("R-102", "99921"): 1}
    form.submit()
    assert counted() == {("R-102", "99921"): 2}
    token = form["csrfmiddlewaretoken"].value
    assert "K-421" in app.post(f"{SECTION}login/", {"csrfmiddlewaretoken": token}).text
    assert "K-421" in app.post("/mypage/login/", {"csrfmiddlewaretoken": token}).text
    assert counted() == {("R-102", "99921"): 2, ("K-421", "99921"): 1, ("K-421", ""): 1}
    # Looking at a page that refuses is no try.
    assert "R-120" in app.get(f"{SECTION}start/").text
    assert "R-161" in app.get("/mypage/").text
    assert counted() == {("R-102", "99921"): 2, ("K-421", "99921"): 1, ("K-421", ""): 1}


def test_a_renewal_that_is_refused_is_counted_where_its_reason_is_kept(app, city):
    form = renewal_form(app)
    message = begin_on_page(app, form).json["message"]
    # Neither card is registered.
    answer = prepare_on_page(app, form, message, city.authority.card(), newer(city))
    assert answer.status_code == 403
    app.get(f"{SECTION}renewal/stopped/")
    assert counted() == {("R-120", "99921"): 1}


def test_a_mistake_that_is_told_at_its_field_is_no_refusal(app, city):
    page = way_in(app, city.authority.card())
    form = next(form for form in page.forms.values() if "supplier_number" in form.fields)
    form["supplier_number"], form["name"] = "", ""
    form.submit()
    assert counted() == {}


def test_a_halted_company_is_told_at_the_contacts_and_on_its_page(app, city):
    mine = city.authority.card()
    card = registered(city, mine, now=clock.now())
    standing.halt_registration(
        section=city.section,
        number=card.registration_id,
        decision=standing.Decision("契約 花子", "不正使用の疑い"),
        now=clock.now(),
        salt=bytes(16),
    )
    present(app, app.get("/mypage/login/"), mine)
    account = app.get("/mypage/")
    assert "調達機関により停止されています" in account.text
    assert "不正使用の疑い" in account.text
    assert "契約 花子" not in account.text
    page = way_in(app, city.authority.card())
    form = next(form for form in page.forms.values() if "supplier_number" in form.fields)
    form["supplier_number"], form["name"] = "990000001", "（株）テスト商会01"
    assert "R-157" in form.submit().follow().text
    assert queries.card_standing(section=city.section, fingerprint=fingerprint_of(mine.der)) == "halted"
