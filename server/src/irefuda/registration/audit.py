"""Every registered card beside its ledger entry: whoever changes one of the two is found."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db.models import Count

from irefuda.agencies.models import Category
from irefuda.ledger import keys
from irefuda.ledger import queries as ledger
from irefuda.ledger.audit import Finding, as_bytes
from irefuda.registration.models import RegisteredCard, Registration
from irefuda_core import canonical, jws, receipt

PAGE = 200
KIND = "registration.registered"
TABLE = "registration_registeredcard"


def findings(now: datetime) -> Iterator[Finding]:
    """Yield every registered card that is not what its holder signed and the ledger holds, and every one that is gone."""
    published = {
        str(key["kid"]): Ed25519PublicKey.from_public_bytes(jws.from_b64url(key["x"]))
        for key in keys.published_keys()["receipt_keys"]
    }
    for page in _pages():
        entries = ledger.entries(card.ledger_entry for card in page)
        for card in page:
            entry = entries.get(card.ledger_entry)
            if entry is None:
                yield Finding(TABLE, str(card.id), f"台帳に記録がありません（{card.ledger_entry}）。")
                continue
            for column, text in _differences(card, entry, published):
                yield Finding(TABLE, str(card.id), f"{column}：{text}")
    yield from _representatives()
    yield from _deeds_without_card()
    twice = RegisteredCard.objects.values("ledger_entry").annotate(cards=Count("id")).filter(cards__gt=1)
    for row in twice.iterator(chunk_size=PAGE):
        yield Finding(TABLE, str(row["ledger_entry"]), "一つの台帳の記録に、二つ以上の登録があります。")


def _pages() -> Iterator[list[RegisteredCard]]:
    rows = RegisteredCard.objects.select_related("registration__supplier", "section__agency").order_by("id")
    page = list(rows[:PAGE])
    while page:
        yield page
        page = list(rows.filter(id__gt=page[-1].id)[:PAGE])


def _differences(
    card: RegisteredCard, entry: Any, published: Mapping[str, Ed25519PublicKey]
) -> Iterator[tuple[str, str]]:
    """Yield column and difference of one card."""
    if card.application.encode() != as_bytes(entry.document):
        yield "application", "署名された申請書が、台帳の文書と違います。"
    if entry.kind != KIND:
        yield "ledger_entry", f"台帳の記録の種別が違います（{entry.kind}）。"
    if card.registered_at != entry.recorded_at:
        yield "registered_at", "登録日時が、台帳の受付日時と違います。"
    try:
        told = receipt.verify_receipt(card.receipt, published)
    except receipt.ReceiptFailure as failure:
        yield "receipt", f"{failure.refusal.sentence}（{failure.code}）"
    else:
        promised = (told.entry_id, told.entry_hash.hex(), told.received_at)
        if promised != (str(entry.id), entry.entry_hash, entry.recorded_at.replace(microsecond=0)):
            yield "receipt", "受付の控え（レシート）が、台帳の記録と違います。"
    signed = _signed(entry)
    if signed is None:
        yield "application", "台帳の文書を、申請書として読み取れません。"
        return
    for column, kept in _columns(card).items():
        if kept != {name: signed.get(name) for name in kept}:
            yield column, "申請書に署名された内容と違います。"
    if hashlib.sha256(as_bytes(card.certificate)).hexdigest() != signed.get("certificate_fingerprint"):
        yield "certificate", "申請書に署名された証明書と違います。"


def _signed(entry: Any) -> dict[str, Any] | None:
    """Return what the ledger's own document says: whatever became of the columns, this is what the tree vouches for."""
    try:
        return canonical.parse_canonical(jws.parse(as_bytes(entry.document).decode()).payload)
    except (jws.SignatureFailure, ValueError):
        return None


def _columns(card: RegisteredCard) -> dict[str, dict[str, Any]]:
    """Return what the row keeps beside the application, by column, under the names that the application uses."""
    agency = card.section.agency
    return {
        "fingerprint": {"certificate_fingerprint": card.fingerprint},
        "serial": {"certificate_serial": card.serial},
        "section": {"agency_code": agency.code, "category": Category(card.section.category).label},
        "registration（業者番号）": {"supplier_number": card.registration.supplier.supplier_number},
        "office": {f"card_office_{k}": v for k, v in card.office.items()},
        "person_in_charge": {"person_in_charge": card.person_in_charge},
    }


def _representatives() -> Iterator[Finding]:
    """Yield every company whose 代表窓口情報 stands in the application of none of its cards."""
    rows = Registration.objects.exclude(representative=None).prefetch_related("cards").order_by("id")
    for registration in rows.iterator(chunk_size=PAGE):
        entries = ledger.entries(card.ledger_entry for card in registration.cards.all())
        kept = {f"rep_{name}": value for name, value in dict(registration.representative or {}).items()}
        signed = [_signed(entry) or {} for entry in entries.values()]
        # Where no entry is left, the cards themselves are named.
        if signed and not any(kept == {name: document.get(name) for name in kept} for document in signed):
            differs = "representative：代表窓口情報が、どのICカードの申請書とも違います。"
            yield Finding("registration_registration", str(registration.id), differs)


def _deeds_without_card() -> Iterator[Finding]:
    """Yield the registrations that the ledger holds and the database no longer has: two sorted lists side by side."""
    cards: Iterator[uuid.UUID] = iter(
        RegisteredCard.objects.order_by("ledger_entry").values_list("ledger_entry", flat=True).iterator(chunk_size=2000)
    )
    card = next(cards, None)
    for entry_id in ledger.ids_of_kind(KIND):
        while card is not None and card < entry_id:
            card = next(cards, None)
        if card != entry_id:
            yield Finding(TABLE, f"（台帳の記録 {entry_id}）", "登録の行がありません。")
