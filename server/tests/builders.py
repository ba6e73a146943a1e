"""The small city of the tests: 入札市, its register, a test CA, and cards that sign in the process."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pki_builder import POLICY, Authority, Issued, sign

from irefuda.agencies.models import Agency, Category, Section
from irefuda.cards import operations as cards
from irefuda.cards.models import RevocationListRecord, TrustedAuthority, TrustVersion
from irefuda.registration import changes, operations, queries
from irefuda.registration.models import Draft, DraftKind, Event, RegisteredCard
from irefuda.suppliers.models import Supplier
from irefuda.ui import clock
from irefuda_core import documents, jws, trust
from irefuda_core.possession import message_to_sign

ORIGIN = "http://localhost:8000"
CONTACT = {
    "department": "営業部",
    "postal_code": "030-0801",
    "address": "青森市新町1-3-7",
    "person": "青森 花子",
    "phone": "017-000-0000",
    "fax": "017-000-0001",
    "email": "hanako@example.jp",
}


@dataclass(frozen=True)
class City:
    """What a registration needs: a section that is open, its CA, and one supplier."""

    section: Section
    authority: Authority
    supplier: Supplier


def make_section(*, code: str = "9992", category: str = Category.GOODS, **agency: Any) -> Section:
    """Return a section of an agency that is always open."""
    values = {"name": "入札市（物品）", "always_open": True, "system_email": "ebid@example.jp", "helpdesk_email": "help@example.jp", "helpdesk_url": "http://localhost:8000/helpdesk/"}  # fmt: skip
    made, _ = Agency.objects.get_or_create(code=code, defaults={**values, **agency})
    return Section.objects.create(agency=made, category=category)


def make_supplier(section: Section, **values: Any) -> Supplier:
    """Return the manual's sample supplier, or another one."""
    sample = {
        "supplier_number": "990000001",
        "name": "（株）テスト商会01",
        "representative_name": "テスト 1太郎",
        "representative_title": "代表取締役社長",
        "postal_code": "123-4567",
        "address": "○○○市××町△丁目1-1-1",
        "phone": "03-0920-9991",
        "fax": "03-0920-9991",
        "branch_name": "支店",
        "qualifications": {"物品の製造": "", "物品の販売": "A", "役務等の提供": "", "物品の購入": ""},
    }
    return Supplier.objects.create(section=section, **{**sample, **values})


def trust_authority(authority: Authority, *, crl: bytes | None = None, **values: Any) -> None:
    """Take the cards of this CA, with a fresh revocation list."""
    TrustedAuthority.objects.update_or_create(
        name=values.pop("name", "試験認証局"),
        defaults={
            "audience": "supplier",
            "root": authority.root.der,
            "intermediates": [base64.b64encode(authority.issuing.der).decode()],
            "policy_oids": [POLICY],
            "added_at": clock.now(),
            **values,
        },
    )
    der = crl or authority.crl()
    listed = trust.read_crl(der, authority.issuing.der)
    RevocationListRecord.objects.create(
        issuer_key=listed.signer.issuer_key,
        signing_key=listed.signer.signing_key,
        number=f"{listed.number:049d}",
        this_update=listed.this_update,
        next_update=listed.next_update,
        sha256=hashlib.sha256(der).hexdigest(),
        der=der,
        source="test",
        fetched_at=clock.now(),
    )
    TrustVersion.objects.filter(id=1).delete()
    TrustVersion.objects.create(id=1)


def make_city(authority: Authority) -> City:
    """Return a city with one open section and the manual's sample supplier."""
    section = make_section()
    trust_authority(authority)
    return City(section, authority, make_supplier(section))


def set_policy(city: City, **knobs: Any) -> None:
    """Give the city's agency these knobs and no others."""
    city.section.agency.policy = knobs
    city.section.agency.save()


def make_authority() -> Authority:
    """Return a CA whose certificates and lists are good today."""
    return Authority(at=clock.now().replace(microsecond=0))


def make_authority_at_noon() -> Authority:
    """Return a CA for tests that say themselves what time it is: its certificates and lists are good at `NOON`."""
    return Authority()


def make_token(card: Issued, nonce: str, *, origin: str = ORIGIN, algorithm: str = "ES256") -> str:
    """Return the Web eID token that this card makes for a nonce."""
    signature = sign(card.key, algorithm, message_to_sign(origin=origin, nonce=nonce, algorithm=algorithm))
    token = {
        "unverifiedCertificate": base64.b64encode(card.der).decode(),
        "algorithm": algorithm,
        "signature": base64.b64encode(signature).decode(),
        "format": "web-eid:1.0",
        "appVersion": "test",
    }
    return json.dumps(token)


def sign_document(card: Issued, document: str, typ: str, *, algorithm: str = "ES256") -> str:
    """Return the compact JWS that this card makes of a document."""
    header = jws.header_for([card.der], algorithm=algorithm, typ=typ, iat=int(clock.now().timestamp()))
    signed = jws.signing_input(document.encode(), header)
    return jws.assemble(signed, sign(card.key, algorithm, signed))


def ledger_key() -> bytes:
    """Return a fresh Ed25519 key as PEM."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


APPLICATION = documents.registration_application.typ("practice")
CHANGE = documents.registration_change.typ("practice")
CODES = ("111111", "222222")


def make_presenter(
    card: Issued, *, demo: bool = False, person: str = "係 太郎", address: str = "192.0.2.1"
) -> operations.Presenter:
    """Return who acts with this card."""
    return operations.Presenter(cards.read(card.der), demo, person, address)


def look_up(city: City, card: Issued, *, now: datetime, **typed: str) -> Draft:
    """Return the draft that 資格審査情報検索 opens for the city's supplier, or for what is given."""
    lookup = operations.Lookup(**{"supplier_number": "990000001", "name": "（株）テスト商会01", **typed})
    presenter = make_presenter(card)
    return operations.look_up(section=city.section, presenter=presenter, lookup=lookup, rules_now=now, now=now)


def prepare(city: City, card: Issued, *, now: datetime, rep: str = "daihyo@example.jp", **typed: str) -> Draft:
    """Return the card's draft with the document that it is asked to sign; `rep` is the address of 代表窓口."""
    draft = look_up(city, card, now=now, **typed)
    who = {"section": city.section, "draft": draft, "presenter": make_presenter(card), "rules_now": now}
    registration = queries.registration_of(section=city.section, supplier=draft.supplier)
    known = operations.company_known(**who, registration=registration)
    answers = operations.Answers(known.representative or {**CONTACT, "email": rep}, CONTACT, known.company)
    return operations.prepare_document(**who, answers=answers, now=now)


def press_register(city: City, card: Issued, draft: Draft, *, now: datetime, jws: str = "") -> RegisteredCard:
    """Return what 「登録」 makes of a prepared draft."""
    return operations.register_card(
        section=city.section,
        presenter=make_presenter(card),
        draft_id=draft.id,
        jws=jws or sign_document(card, draft.document, APPLICATION),
        rules_now=now,
        now=now,
        salt=bytes(16),
    )


def registered(city: City, card: Issued, *, now: datetime, **typed: str) -> RegisteredCard:
    """Return the card's registration, from the look-up on."""
    return press_register(city, card, prepare(city, card, now=now, **typed), now=now)


def state_of(city: City, card: Issued, *, now: datetime) -> changes.State:
    """Return what is registered for this card."""
    found = queries.card_of(section=city.section, fingerprint=cards.read(card.der).fingerprint)
    assert found is not None
    return changes.state_of(found, now=now)


def prepare_change(
    city: City, card: Issued, *, now: datetime, state: changes.State | None = None, **typed: str
) -> Draft:
    """Return the card's draft of 変更 with the document that it is asked to sign; `typed` by the document's keys."""
    state = state or state_of(city, card, now=now)
    values = {**changes.values_of(state.answers), **typed}
    company = {**state.company, **{name: values[name] for name in changes.COMPANY_ITEMS}}
    answers = operations.Answers(
        operations.contact_of(values, "rep"), operations.contact_of(values, "card_office"), company
    )
    changes.prepare_change(
        state=state,
        presenter=make_presenter(card),
        answers=answers,
        typed={},
        based_on=state.based_on,
        rules_now=now,
        now=now,
    )
    draft = queries.bare_draft_of(
        section=city.section, fingerprint=state.card.fingerprint, now=now, kind=DraftKind.CHANGE
    )
    assert draft is not None
    return draft


def press_change(
    city: City, card: Issued, draft: Draft, *, now: datetime, jws: str = "", codes: tuple[str, str] = CODES
) -> Event:
    """Return what 「変更」 makes of a prepared draft."""
    return changes.change_registration(
        section=city.section,
        presenter=make_presenter(card),
        draft_id=draft.id,
        jws=jws or sign_document(card, draft.document, CHANGE),
        now=now,
        salt=bytes(16),
        codes=codes,
    )


def changed(city: City, card: Issued, *, now: datetime, **typed: str) -> Event:
    """Return the 変更 of a registered card, from the form on."""
    return press_change(city, card, prepare_change(city, card, now=now, **typed), now=now)
