"""The steps of the manual's section 1.2 on the rendered forms, for every journey that takes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from builders import CONTACT, City, make_token, sign_document
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pki_builder import Issued

from irefuda_core import documents

TYP = documents.registration_application.typ("practice")
CHANGE_TYP = documents.registration_change.typ("practice")


def present(app: Any, page: Any, card: Issued, person: str = "係 太郎", to: str = "") -> Any:
    """Press the button of a card form as the browser and the agent do; `to` is how its address ends where there are several."""
    form = next(form for form in page.forms.values() if "token" in form.fields and form.action.endswith(to))
    nonce = app.post("/card/nonce/", {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"].value}).json["nonce"]
    form["token"].force_value(make_token(card, nonce))
    form["person_in_charge"].force_value(person)
    return form.submit()


def way_in(app: Any, card: Issued) -> Any:
    """Return 資格審査情報検索 after the card was presented at the menu."""
    return present(app, app.get("/9992/goods/registration/menu/"), card).follow()


def fill(form: Any, prefix: str, **changes: str) -> None:
    """Fill one contact block."""
    values = {**CONTACT, **changes}
    for field, value in {**values, "email_again": changes.get("email_again", values["email"])}.items():
        form[f"{prefix}-{field}"] = value


def sign_and_register(page: Any, card: Issued) -> Any:
    """Sign the document of 「登録内容確認」 as it is shown, and press 「登録」."""
    form = next(form for form in page.forms.values() if "jws" in form.fields)
    form["jws"].force_value(sign_document(card, form["document"].value, TYP))
    return form.submit()


def way_to_change(app: Any, card: Issued, person: str = "係 太郎") -> Any:
    """Return 「利用者変更」 after the card was presented at the menu's 「変更」, or the reason why not."""
    menu = app.get("/9992/goods/registration/menu/")
    return present(app, menu, card, person, to="/change/present/").maybe_follow()


def change(app: Any, card: Issued, **typed: str) -> Any:
    """Walk from the menu to the answer of 「変更」; `typed` names fields as `rep_email` for `rep-email`."""
    form = main_form(way_to_change(app, card), "rep-email")
    type_over(form, **typed)
    return sign_and_change(send(form), card)


def type_over(form: Any, **typed: str) -> None:
    """Type into the fields of 「利用者変更」, a mail address twice."""
    for key, value in typed.items():
        name = next(f"{block}-{key.removeprefix(f'{block}_')}" for block in ("company", "rep", "card_office") if key.startswith(f"{block}_"))  # fmt: skip
        form[name] = value
        if name.endswith("-email"):
            form[f"{name}_again"] = value


def sign_and_change(page: Any, card: Issued) -> Any:
    """Sign the document of 「変更内容確認」 as it is shown, and press 「変更」."""
    form = main_form(page, "jws")
    form["jws"].force_value(sign_document(card, form["document"].value, CHANGE_TYP))
    return form.submit()


def main_form(page: Any, field: str) -> Any:
    """Return the form of the page that has this field."""
    return next(form for form in page.forms.values() if field in form.fields)


def send(form: Any) -> Any:
    """Press the button of a form and return the page that the browser ends at."""
    return form.submit().maybe_follow()


def register(app: Any, card: Issued) -> Any:
    """Walk from the menu to the answer of 「登録」."""
    page = way_in(app, card)
    form = main_form(page, "supplier_number")
    form["supplier_number"], form["name"] = "990000001", "(株)テスト商会01"
    page = form.submit().follow()
    form = main_form(page, "card_office-email")
    if "rep-email" in form.fields:
        fill(form, "rep", email="daihyo@example.jp")
    fill(form, "card_office")
    return sign_and_register(form.submit().follow(), card)


def registered_card(app: Any, city: City) -> Issued:
    """Return a card that is registered, with the browser as if nobody had used it."""
    card = city.authority.card()
    register(app, card)
    app.reset()
    return card


def statements(call: Callable[[], Any]) -> tuple[Any, list[str]]:
    """Return the answer of a step and what it asked of the database, savepoints apart."""
    with CaptureQueriesContext(connection) as captured:
        answer = call()
    asked = [query["sql"] for query in captured]
    return answer, [sql for sql in asked if not sql.startswith(("SAVEPOINT", "RELEASE"))]
