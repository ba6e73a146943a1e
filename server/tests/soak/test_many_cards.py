"""100,000 registered cards: no page of a card's holder reads a whole table, whoever is registered beside."""

import itertools
import re

import many_cards
import pytest
import steps
import succession
from builders import City, make_authority, make_city, make_supplier
from django.db import connection

from irefuda.ui import clock

pytestmark = [pytest.mark.soak, pytest.mark.committing, pytest.mark.usefixtures("static_files")]
COUNT = 100_000
TABLES = {model._meta.db_table for model in many_cards.LARGE}
READS = re.compile(r"\s*\(*(SELECT|WITH|UPDATE|DELETE)\b")
# What an engine says of a step that reads a table from one end to the other.
WHOLE = {"sqlite": re.compile(r"SCAN (\w+)"), "postgresql": re.compile(r"Seq Scan on (\w+)")}


@pytest.fixture
def city(own_database, django_db_blocker, receipt_key) -> City:
    with django_db_blocker.unblock():
        made = make_city(make_authority())
        many_cards.fill(made, cards=COUNT, now=clock.now())
        yield made


def walk(app, city, number):
    """Go through everything that a holder does: 登録, login, マイページ, お知らせ, 変更, 更新, and closing a card."""
    card, new = city.authority.card(), succession.newer(city)
    supplier = make_supplier(city.section, supplier_number=f"98{number:07d}")
    app.reset()
    form = steps.main_form(steps.way_in(app, card), "supplier_number")
    form["supplier_number"], form["name"] = supplier.supplier_number, supplier.name
    form = steps.main_form(form.submit().follow(), "card_office-email")
    steps.fill(form, "rep")
    steps.fill(form, "card_office")
    done = steps.sign_and_register(form.submit().follow(), card).follow()
    printed = done.request.path.replace("/done/", "/print/")
    for page in (printed, printed + "receipt.json"):
        app.get(page)
    app.reset()
    steps.present(app, app.get("/9992/goods/login/"), card).follow()
    for page in ("/mypage/", "/mypage/register/", "/inbox/"):
        app.get(page)
    next(form for form in app.get("/inbox/").forms.values() if form.action.endswith("/open/")).submit().follow()
    changed = steps.change(app, card, card_office_person="別 人").follow()
    printed = changed.request.path.replace("/done/", "/print/")
    for page in (printed, printed + "receipt.json", "/9992/goods/change/history/"):
        app.get(page)
    app.reset()
    renewed = succession.renew_on_pages(app, card, new).follow()
    own = re.search(r"/done/([0-9a-f-]{36})/", renewed.request.path)[1]
    steps.present(app, app.get("/9992/goods/login/"), new).follow()
    app.get("/mypage/")
    app.get(f"/9992/goods/cards/{own}/close/")


def test_no_page_of_a_holder_reads_a_whole_table(city, django_app):
    numbers = itertools.count(1)
    walk(django_app, city, next(numbers))
    asked: dict[str, object] = {}

    def note(execute, sql, params, many, context):
        if READS.match(sql) and not many and any(table in sql for table in TABLES):
            asked[sql] = params
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        walk(django_app, city, next(numbers))
    assert len(asked) > 20
    explain = "EXPLAIN QUERY PLAN" if connection.vendor == "sqlite" else "EXPLAIN"
    for sql, params in asked.items():
        with connection.cursor() as cursor:
            cursor.execute(f"{explain} {sql}", params)
            plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
        named = set(WHOLE[connection.vendor].findall(plan))
        aliases = {alias for table, alias in re.findall(r'"?(\w+)"? (?:AS )?"?(\w+)"?', sql) if table in TABLES}
        assert not named & (TABLES | aliases), f"{sql}\n{plan}"
