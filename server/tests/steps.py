"""The steps of the manual's section 1.2 on the rendered forms, for every journey that takes them."""

from __future__ import annotations

from typing import Any

from builders import CONTACT, make_token, sign_document
from pki_builder import Issued

from irefuda_core import documents

TYP = documents.registration_application.typ("practice")


def present(app: Any, page: Any, card: Issued, person: str = "係 太郎") -> Any:
    """Press the button of a card form as the browser and the agent do."""
    form = next(form for form in page.forms.values() if "token" in form.fields)
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
