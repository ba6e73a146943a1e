"""Every registered card, and every deed after 登録, beside its ledger entry: whoever changes one of the two is found."""

from __future__ import annotations

import hashlib
import heapq
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db.models import Count

from irefuda.agencies.models import Category
from irefuda.ledger import keys
from irefuda.ledger import queries as ledger
from irefuda.ledger.audit import Finding, as_bytes
from irefuda.registration.models import DEEDS, CardStatus, Event, EventKind, RegisteredCard, Registration
from irefuda_core import canonical, documents, jws, receipt
from irefuda_core import registration as rules

PAGE = 200
REGISTERED, RENEWED = "registration.registered", "registration.renewed"
TABLE, EVENTS = "registration_registeredcard", "registration_event"
# Of the company as a whole, and of none of its cards.
OF_COMPANY = (EventKind.HALTED, EventKind.RESUMED)
# Cards that never took the place of the one that they would succeed.
NEVER_COUNTED = (CardStatus.PROVISIONAL, CardStatus.REJECTED)
# How an event names what it changed: the mail address of each contact block, and the items of 企業情報.
EMAILS = {
    field.key.removesuffix("_email"): f"{field.section}の{field.label}"
    for field in documents.registration_change.fields
    if field.key.endswith("_email")
}
ITEMS = {field.label: field.key for field in documents.registration_change.fields if field.section == "企業情報"}


@dataclass(slots=True)
class _Story:
    """What the ledger tells of one card: its own document, then what 変更 made of it, and what was decided."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    # The mail addresses whose codes were typed, one after the other.
    verified: list[str] = field(default_factory=list)

    def blocks(self, prefix: str) -> list[dict[str, str]]:
        """Return every contact block that was signed, one after the other."""
        return [_block(document, prefix) for document in self.documents if f"{prefix}_email" in document]


def findings(now: datetime) -> Iterator[Finding]:
    """Yield every card, company and deed that is not what was signed and the ledger holds, and every one that is gone."""
    published = {
        str(key["kid"]): Ed25519PublicKey.from_public_bytes(jws.from_b64url(key["x"]))
        for key in keys.published_keys()["receipt_keys"]
    }
    for page in _pages():
        entries = ledger.entries(card.ledger_entry for card in page)
        stories = _stories(page)
        counted = _successors(page)
        for card in page:
            entry = entries.get(card.ledger_entry)
            if entry is None:
                yield Finding(TABLE, str(card.id), f"台帳に記録がありません（{card.ledger_entry}）。")
                continue
            story = stories[card.id]
            for column, text in (
                *_differences(card, entry, published),
                *_office(card, story),
                *_succession(card),
                *_standing(card, story.kinds, replaced=card.id in counted),
            ):
                yield Finding(TABLE, str(card.id), f"{column}：{text}")
    yield from _companies()
    yield from _events(published)
    yield from _deeds_without_row()
    twice = RegisteredCard.objects.values("ledger_entry").annotate(cards=Count("id")).filter(cards__gt=1)
    for row in twice.iterator(chunk_size=PAGE):
        yield Finding(TABLE, str(row["ledger_entry"]), "一つの台帳の記録に、二つ以上の登録があります。")


def _pages() -> Iterator[list[RegisteredCard]]:
    cards = RegisteredCard.objects.select_related("registration__supplier", "section__agency", "succeeds")
    rows = cards.order_by("id")
    page = list(rows[:PAGE])
    while page:
        yield page
        page = list(rows.filter(id__gt=page[-1].id)[:PAGE])


def _stories(page: Sequence[RegisteredCard]) -> dict[uuid.UUID, _Story]:
    """Return what the ledger tells of each of these cards; of one that came by 更新, from its first predecessor on."""
    lines = {card.id: _line(card) for card in page}
    wanted = {card.id for line in lines.values() for card in line}
    events: dict[uuid.UUID, list[Event]] = {}
    kinds = (*DEEDS, EventKind.ADDRESS_VERIFIED)
    for event in Event.objects.filter(card__in=wanted, kind__in=kinds).order_by("at", "id"):
        assert event.card_id is not None
        events.setdefault(event.card_id, []).append(event)
    ids = {card.ledger_entry for line in lines.values() for card in line}
    entries = ledger.entries(ids | {e.ledger_entry for told in events.values() for e in told if e.ledger_entry})
    stories = {}
    for card in page:
        story = stories[card.id] = _Story()
        for one in lines[card.id]:
            changed = [e.ledger_entry for e in events.get(one.id, ()) if e.kind == EventKind.CHANGED]
            signed = (_signed(entries[entry]) for entry in (one.ledger_entry, *changed) if entry in entries)
            story.documents += [document for document in signed if document]
            story.verified += _verified(events.get(one.id, ()), "card_office")
        story.kinds = [event.kind for event in events.get(card.id, ())]
    return stories


def _verified(events: Iterable[Event], prefix: str) -> list[str]:
    """Return the mail addresses of a contact block that these events let count."""
    proven = (event for event in events if event.kind == EventKind.ADDRESS_VERIFIED)
    return [str(after) for event in proven for label, _, after in event.changes if label == EMAILS[prefix]]


def _address_counts(address: str, *, applied: Iterable[str], signed: Iterable[str], verified: Sequence[str]) -> bool:
    """Return whether this is the address that counts: the last one verified, which a card asked for; before that, of 登録."""
    return address in set(signed) and address in (verified[-1:] or set(applied))


def _line(card: RegisteredCard) -> list[RegisteredCard]:
    """Return the card after those whose place it took, one after the other."""
    line = [card]
    while (before := line[0].succeeds) is not None and before not in line:
        line.insert(0, before)
    return line


def _successors(page: Sequence[RegisteredCard]) -> set[uuid.UUID | None]:
    """Return which of these cards another one has replaced."""
    counted = RegisteredCard.objects.filter(succeeds__in=page).exclude(status__in=NEVER_COUNTED)
    return set(counted.values_list("succeeds_id", flat=True))


def _differences(
    card: RegisteredCard, entry: Any, published: Mapping[str, Ed25519PublicKey]
) -> Iterator[tuple[str, str]]:
    """Yield column and difference of one card against its own entry."""
    kind = RENEWED if card.succeeds_id else REGISTERED
    if card.application.encode() != as_bytes(entry.document):
        yield "application", "署名された申請書が、台帳の文書と違います。"
    if entry.kind != kind:
        yield "ledger_entry", f"台帳の記録の種別が違います（{entry.kind}）。"
    if card.registered_at != entry.recorded_at:
        yield "registered_at", "登録日時が、台帳の受付日時と違います。"
    yield from _promise(card.receipt, entry, published)
    signed = _signed(entry)
    if signed is None:
        yield "application", "台帳の文書を、申請書として読み取れません。"
        return
    prefix = "new_" if card.succeeds_id else ""
    for column, kept in _columns(card, prefix).items():
        if kept != {name: signed.get(name) for name in kept}:
            yield column, "申請書に署名された内容と違います。"
    if hashlib.sha256(as_bytes(card.certificate)).hexdigest() != signed.get(f"{prefix}certificate_fingerprint"):
        yield "certificate", "申請書に署名された証明書と違います。"


def _promise(signed_receipt: str, entry: Any, published: Mapping[str, Ed25519PublicKey]) -> Iterator[tuple[str, str]]:
    try:
        told = receipt.verify_receipt(signed_receipt, published)
    except receipt.ReceiptFailure as failure:
        yield "receipt", f"{failure.refusal.sentence}（{failure.code}）"
        return
    promised = (told.entry_id, told.entry_hash.hex(), told.received_at)
    if promised != (str(entry.id), entry.entry_hash, entry.recorded_at.replace(microsecond=0)):
        yield "receipt", "受付の控え（レシート）が、台帳の記録と違います。"


def _signed(entry: Any) -> dict[str, Any] | None:
    """Return what the ledger's own document says: whatever became of the columns, this is what the tree vouches for."""
    try:
        return canonical.parse_canonical(jws.parse(as_bytes(entry.document).decode()).payload)
    except (jws.SignatureFailure, ValueError):
        return None


def _block(document: Mapping[str, Any], prefix: str) -> dict[str, str]:
    return {name.removeprefix(f"{prefix}_"): value for name, value in document.items() if name.startswith(f"{prefix}_")}


def _columns(card: RegisteredCard, prefix: str) -> dict[str, dict[str, Any]]:
    """Return what the row keeps beside what its card signed, by column, under the names that the document uses."""
    agency = card.section.agency
    return {
        "fingerprint": {f"{prefix}certificate_fingerprint": card.fingerprint},
        "serial": {f"{prefix}certificate_serial": card.serial},
        "section": {"agency_code": agency.code, "category": Category(card.section.category).label},
        "registration（業者番号）": {"supplier_number": card.registration.supplier.supplier_number},
        "person_in_charge": {"person_in_charge": card.person_in_charge},
    }


def _office(card: RegisteredCard, story: _Story) -> Iterator[tuple[str, str]]:
    blocks = story.blocks("card_office")
    emails = [block["email"] for block in blocks]
    # One that never counted has what its predecessor had when it was brought.
    told = blocks if card.succeeds_id and card.status in NEVER_COUNTED else blocks[-1:]
    same = any(_same_but_email(card.office, block) for block in told)
    address = str(card.office.get("email"))
    if not same or not _address_counts(address, applied=emails[:1], signed=emails, verified=story.verified):
        yield "office", "申請書と変更届に署名された内容と違います。"


def _succession(card: RegisteredCard) -> Iterator[tuple[str, str]]:
    """Yield what does not fit between a card that came by 更新 and the one whose place it takes."""
    signed = _payload(card.application)
    if card.succeeds is None:
        return
    if signed.get("old_certificate_fingerprint") != card.succeeds.fingerprint:
        yield "succeeds", "申請書に署名された更新前のICカードと違います。"
    if signed.get("handover_sha256") != hashlib.sha256(card.handover.encode()).hexdigest():
        yield "handover", "申請書に署名された引継届のハッシュ値と違います。"


def _payload(signed: str) -> dict[str, Any]:
    try:
        return canonical.parse_canonical(jws.parse(signed).payload)
    except (jws.SignatureFailure, ValueError):
        return {}


def _standing(card: RegisteredCard, kinds: Sequence[str], *, replaced: bool) -> Iterator[tuple[str, str]]:
    """Yield what of the card's status the deeds do not explain."""
    last = next((kind for kind in reversed(kinds) if kind in (EventKind.CLOSED, EventKind.REOPENED)), None)
    if EventKind.REJECTED in kinds:
        expected = CardStatus.REJECTED
    elif card.doubts and EventKind.APPROVED not in kinds:
        expected = CardStatus.PROVISIONAL
    elif replaced:
        expected = CardStatus.REPLACED
    else:
        expected = CardStatus.CLOSED if last == EventKind.CLOSED else CardStatus.ACTIVE
    if card.status != expected:
        yield "status", f"状態が、台帳の記録から導かれるもの（{expected.label}）と違います。"
    if (card.ended_at is None) != (card.status in (CardStatus.ACTIVE, CardStatus.PROVISIONAL)):
        yield "ended_at", "終わった日時が、状態と合いません。"


def _companies() -> Iterator[Finding]:
    """Yield every company whose 代表窓口情報, or changed 企業情報, no card of it has signed."""
    rows = Registration.objects.prefetch_related("cards", "events").order_by("id")
    for registration in rows.iterator(chunk_size=PAGE):
        changed = sorted(
            (e for e in registration.events.all() if e.kind == EventKind.CHANGED), key=lambda event: event.at
        )
        applied = [card.ledger_entry for card in registration.cards.all()]
        entries = ledger.entries([*applied, *(e.ledger_entry for e in changed if e.ledger_entry)])
        applications = [_signed(entries[entry]) or {} for entry in applied if entry in entries]
        changes = [_signed(entries[e.ledger_entry]) or {} for e in changed if e.ledger_entry in entries]
        happened = sorted(registration.events.all(), key=lambda event: event.at)
        for column, text in (
            *_representative(registration, applications, changes, _verified(happened, "rep")),
            *_company(registration, changed, entries),
            *_halted(registration, happened),
        ):
            yield Finding("registration_registration", str(registration.id), f"{column}：{text}")


def _representative(
    registration: Registration,
    applications: list[dict[str, Any]],
    changes: list[dict[str, Any]],
    verified: Sequence[str],
) -> Iterator[tuple[str, str]]:
    kept = dict(registration.representative or {})
    applied, changed = (
        [_block(document, "rep") for document in told if "rep_email" in document] for told in (applications, changes)
    )
    # The last 変更 says all of it; before that, one of the applications did. Where no entry is left, the cards are named.
    told = changed[-1:] or applied
    emails = [[block["email"] for block in blocks] for blocks in (applied, changed)]
    same = any(_same_but_email(kept, block) for block in told)
    counts = _address_counts(
        str(kept.get("email")), applied=emails[0], signed=[*emails[0], *emails[1]], verified=verified
    )
    if kept and told and not (same and counts):
        yield "representative", "代表窓口情報が、どのICカードの申請書・変更届とも違います。"


def _company(
    registration: Registration, changed: list[Event], entries: Mapping[uuid.UUID, Any]
) -> Iterator[tuple[str, str]]:
    """Yield where 企業情報 is not what 変更 has said last of each item that it changed."""
    said: dict[str, str] = {}
    for event in changed:
        entry = entries.get(event.ledger_entry) if event.ledger_entry else None
        signed = _signed(entry) if entry else None
        keys = [ITEMS[label] for label, *_ in event.changes if label in ITEMS]
        said |= {key: str(signed.get(key)) for key in keys} if signed else {}
    if {name: change.get("value") for name, change in registration.company_changes.items()} != said:
        yield "company_changes", "変更された企業情報が、変更届に署名された内容と違います。"


def _halted(registration: Registration, happened: Sequence[Event]) -> Iterator[tuple[str, str]]:
    last = next((event for event in reversed(happened) if event.kind in OF_COMPANY), None)
    since = last.at if last is not None and last.kind == EventKind.HALTED else None
    if registration.halted_at != since:
        yield "halted_at", "利用停止の状態が、台帳の記録から導かれるものと違います。"


def _same_but_email(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    return {**one, "email": ""} == {**other, "email": ""}


def _events(published: Mapping[str, Ed25519PublicKey]) -> Iterator[Finding]:
    """Yield every deed of a company's history that is not what the ledger holds."""
    rows = Event.objects.select_related("registration__section__agency").exclude(ledger_entry=None).order_by("id")
    page = list(rows[:PAGE])
    while page:
        entries = ledger.entries(event.ledger_entry for event in page if event.ledger_entry)
        for event in page:
            entry = entries.get(event.ledger_entry) if event.ledger_entry else None
            if entry is None:
                yield Finding(EVENTS, str(event.id), f"台帳に記録がありません（{event.ledger_entry}）。")
                continue
            for column, text in (*_deed(event, entry), *_promise(event.receipt, entry, published)):
                yield Finding(EVENTS, str(event.id), f"{column}：{text}")
        page = list(rows.filter(id__gt=page[-1].id)[:PAGE])


def _deed(event: Event, entry: Any) -> Iterator[tuple[str, str]]:
    if entry.kind != f"registration.{event.kind}":
        yield "ledger_entry", f"台帳の記録の種別が違います（{entry.kind}）。"
    if event.at != entry.recorded_at:
        yield "at", "日時が、台帳の受付日時と違います。"
    if event.document:
        if event.document.encode() != as_bytes(entry.document):
            yield "document", "署名された文書が、台帳の文書と違います。"
        said = _payload(event.document)
        kept = {"person_in_charge": event.person_in_charge}
        if event.kind == EventKind.CHANGED:
            kept["changes"] = "／".join(str(rules.Change(*item)) for item in event.changes if len(item) == 3)
    else:
        said = _plain(entry)
        kept = {"staff": event.staff, "reason": event.reason}
        if event.kind in OF_COMPANY:
            kept["company_id"] = event.registration.company_id
        else:
            kept |= {"card_id": str(event.card_id), "person_in_charge": event.person_in_charge}
    for name, value in kept.items():
        if said.get(name) != value:
            yield name, "台帳の文書に書かれた内容と違います。"


def _plain(entry: Any) -> dict[str, Any]:
    try:
        return canonical.parse_canonical(as_bytes(entry.document))
    except ValueError:
        return {}


def _deeds_without_row() -> Iterator[Finding]:
    """Yield the deeds that the ledger holds and the database no longer has."""
    cards = RegisteredCard.objects.order_by("ledger_entry").values_list("ledger_entry", flat=True)
    told = heapq.merge(ledger.ids_of_kind(REGISTERED), ledger.ids_of_kind(RENEWED))
    for entry_id in _missing(told, cards.iterator(chunk_size=2000)):
        yield Finding(TABLE, f"（台帳の記録 {entry_id}）", "登録の行がありません。")
    for kind in DEEDS:
        events = Event.objects.filter(kind=kind).exclude(ledger_entry=None).order_by("ledger_entry")
        rows = events.values_list("ledger_entry", flat=True).iterator(chunk_size=2000)
        for entry_id in _missing(ledger.ids_of_kind(f"registration.{kind.value}"), rows):
            yield Finding(EVENTS, f"（台帳の記録 {entry_id}）", "履歴の行がありません。")


def _missing(told: Iterable[uuid.UUID], rows: Iterable[Any]) -> Iterator[uuid.UUID]:
    """Yield what is told and has no row: two sorted lists side by side."""
    kept = iter(rows)
    row = next(kept, None)
    for entry_id in told:
        while row is not None and row < entry_id:
            row = next(kept, None)
        if row != entry_id:
            yield entry_id
