"""A registered company under 指名停止, or off the register (ADR 25): in, told so, 変更 and 更新 as ever, no further card."""

from __future__ import annotations

import pytest
from steps import change, present, register, way_in
from succession import newer, renew_on_pages

from irefuda.registration.models import CardStatus, Event, EventKind, RegisteredCard
from irefuda.suppliers.models import Supplier

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


@pytest.mark.parametrize(
    ("status", "told", "code"),
    [
        ("suspended", "御社は指名停止になっています", "R-107"),
        ("ended", "御社の入札参加資格は終了しています", "R-112"),
    ],
)
def test_who_is_suspended_or_ended_comes_in_changes_and_renews(app, city, status, told, code):
    card = city.authority.card()
    assert register(app, card).status_code == 302
    start = app.get("/9992/goods/start/")
    assert "指名停止" not in start.text
    assert "資格は終了" not in start.text
    Supplier.objects.filter(id=city.supplier.id).update(status=status)
    app.reset()
    start = present(app, app.get("/9992/goods/login/"), card).follow()
    assert told in start.text
    assert city.section.agency.contracts_office in start.text
    assert change(app, card, rep_department="新しい部署").status_code == 302
    assert Event.objects.filter(kind=EventKind.CHANGED).count() == 1
    app.reset()
    new = newer(city)
    renew_on_pages(app, card, new)
    assert RegisteredCard.objects.get(status=CardStatus.ACTIVE).certificate == new.der
    app.reset()
    page = way_in(app, city.authority.card())
    form = next(form for form in page.forms.values() if "supplier_number" in form.fields)
    form["supplier_number"], form["name"] = "990000001", city.supplier.name
    assert code in form.submit().text
