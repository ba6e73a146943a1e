"""The steps of ICカード更新 for every test that takes them: the card agent's messages, made in the process."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime, timedelta
from typing import Any

from builders import City, sign_document
from pki_builder import Issued

from irefuda.cards import operations as cards
from irefuda.registration import renewals
from irefuda.registration.models import RegisteredCard, Renewal
from irefuda.ui.clock import JST
from irefuda_core import canonical, documents

BROWSER = "r" * 43
HANDOVER, RENEWAL = (kind.typ("practice") for kind in (documents.card_handover, documents.card_renewal))
LATER = timedelta(days=1500)


def newer(city: City, **options: Any) -> Issued:
    """Return a new card that may take an old one's place."""
    return city.authority.card(**{"ends": LATER, **options})


def handover_document(message: dict[str, Any], old: Issued, *, person: str = "係 太郎", **changes: str) -> str:
    """Return the ICカード引継届 that the agent writes for this card in answer to the site's first message."""
    card = cards.read(old.der)
    said: dict[str, str | int] = {
        "type": "card-handover",
        "realm": "practice",
        "origin": "http://localhost:8000",
        "document_id": message["renewal_id"],
        **{name: message[name] for name in ("agency_code", "agency_name", "category", "issued_at")},
        "certificate_serial": card.serial_text,
        "certificate_issuer": card.issuer_text,
        "certificate_expires_on": f"{card.not_after.astimezone(JST):%Y/%m/%d}",
        "certificate_fingerprint": card.fingerprint,
        "person_in_charge": person,
        **changes,
    }
    return canonical.canonical_json(said).decode()


def hand_over(message: dict[str, Any], old: Issued, **changes: str) -> str:
    """Return the signed ICカード引継届."""
    return sign_document(old, handover_document(message, old, **changes), HANDOVER)


def begun(city: City, *, now: datetime, browser: str = BROWSER) -> tuple[Renewal, dict[str, str]]:
    """Return a renewal that has just begun, and the first message."""
    renewal = renewals.begin(section=city.section, browser=browser, now=now)
    return renewal, renewals.first_message(renewal, rules_now=now, now=now)


def prepare_renewal(
    city: City, old: Issued, new: Issued, *, now: datetime, browser: str = BROWSER, person: str = "係 太郎"
) -> Renewal:
    """Return a renewal whose two cards were judged and taken."""
    renewal, message = begun(city, now=now, browser=browser)
    return present_both(city, renewal, hand_over(message, old, person=person), new, now=now, browser=browser)


def present_both(
    city: City, renewal: Renewal, handover: str, new: Issued, *, now: datetime, browser: str = BROWSER
) -> Renewal:
    """Return the renewal after the page has sent what the agent told of both cards."""
    return renewals.prepare(
        section=city.section,
        renewal_id=renewal.id,
        browser=browser,
        handover=handover,
        certificate=base64.b64encode(new.der).decode(),
        rules_now=now,
        now=now,
    )


def press_renew(
    city: City, renewal: Renewal, new: Issued, *, now: datetime, browser: str = BROWSER, jws: str = ""
) -> RegisteredCard:
    """Return what 「更新」 makes of a prepared renewal."""
    return renewals.renew_card(
        section=city.section,
        renewal_id=renewal.id,
        browser=browser,
        jws_text=jws or sign_document(new, renewal.document, RENEWAL),
        now=now,
        # The ledger takes the same document twice only under another salt.
        salt=uuid.uuid4().bytes,
    )


def renewed(city: City, old: Issued, new: Issued, *, now: datetime) -> RegisteredCard:
    """Return the new card's registration, from the first message on."""
    return press_renew(city, prepare_renewal(city, old, new, now=now), new, now=now)


# -- on the rendered pages, as the script and the agent do it

PAGES = "/9992/goods/renewal/"


def renewal_form(app: Any) -> Any:
    """Return the form of the page 「ICカード更新」."""
    page = app.get(PAGES)
    return next(form for form in page.forms.values() if "renewal" in form.fields)


def begin_on_page(app: Any, form: Any) -> Any:
    """Return the answer to the script's first question."""
    return app.post(f"{PAGES}begin/", {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"].value})


def prepare_on_page(app: Any, form: Any, message: dict[str, str], old: Issued, new: Issued, **changes: str) -> Any:
    """Return the answer to what the agent told of both cards."""
    told = {
        "csrfmiddlewaretoken": form["csrfmiddlewaretoken"].value,
        "renewal": message["renewal_id"],
        "handover": hand_over(message, old),
        "certificate": base64.b64encode(new.der).decode(),
        **changes,
    }
    return app.post(f"{PAGES}prepare/", told)


def renew_on_pages(app: Any, old: Issued, new: Issued) -> Any:
    """Walk from 「ICカード更新」 to the answer of 「更新」."""
    form = renewal_form(app)
    message = begin_on_page(app, form).json["message"]
    document = prepare_on_page(app, form, message, old, new).json["document"]
    form["renewal"].force_value(message["renewal_id"])
    form["jws"].force_value(sign_document(new, document, RENEWAL))
    return form.submit()
