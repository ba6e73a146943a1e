"""What views and operations ask about registrations."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count

from irefuda.agencies.models import Section
from irefuda.ledger import queries as ledger
from irefuda.registration.models import (
    HALTED,
    CardStatus,
    Draft,
    DraftKind,
    Event,
    EventKind,
    RegisteredCard,
    Registration,
    Renewal,
    UnverifiedAddress,
)
from irefuda.suppliers import queries as suppliers
from irefuda.suppliers.models import Supplier
from irefuda.ui import rows
from irefuda_core import canonical, documents, jws, text
from irefuda_core.certificate import CardCertificate, shown
from irefuda_core.registration import ExistingCard

LIVING = (CardStatus.ACTIVE, CardStatus.PROVISIONAL)
# The items of 企業情報 that 変更 puts in place of the register's own.
COMPANY_CHANGED_BY_USERS = ("representative_phone", "representative_fax", "branch_name")
DRAFT_LIFE = timedelta(days=30)
HISTORY_SHOWN = 200
# A UNION, because no index serves both halves of an OR. Plain SQL, because every step of 登録 asks it, and to build the
# query takes longer than to answer it. The company is asked for by its key and each card's number by the card, without a
# join: a plan that was made while nobody had registered would go through all companies once for every card.
_CARDS = """SELECT card.fingerprint, card.issuer_key, card.serial, (
    SELECT supplier.supplier_number FROM suppliers_supplier supplier WHERE supplier.id = (
        SELECT registration.supplier_id FROM registration_registration registration WHERE registration.id = card.registration_id)
), card.holder_name, card.status
FROM registration_registeredcard card
"""
EXISTING_CARDS = f"""{_CARDS} WHERE card.registration_id = (
    SELECT id FROM registration_registration WHERE section_id = %s AND supplier_id = %s)
UNION
{_CARDS} WHERE card.section_id = %s AND card.issuer_key = %s AND card.serial = %s
"""  # noqa: S608 -- our own names
# What every step asks is plain SQL: Django takes three to five times as long to build such a query as to run it.
DRAFT_COLUMNS, REGISTRATION_COLUMNS, CARD_COLUMNS = map(rows.columns, (Draft, Registration, RegisteredCard))
DRAFT_OF = f"""SELECT {DRAFT_COLUMNS} FROM registration_draft
WHERE section_id = %s AND fingerprint = %s AND kind = %s AND updated_at > %s"""  # noqa: S608 -- our own names
DRAFT_AND_COMPANY = f"""SELECT {rows.columns(Draft, "draft")}, {rows.columns(Supplier, "supplier")},
    {rows.columns(Registration, "registration")}
FROM registration_draft draft JOIN suppliers_supplier supplier ON supplier.id = draft.supplier_id
LEFT JOIN registration_registration registration
    ON registration.section_id = draft.section_id AND registration.supplier_id = draft.supplier_id
WHERE draft.section_id = %s AND draft.fingerprint = %s AND draft.kind = %s AND draft.updated_at > %s"""  # noqa: S608 -- our own names
REGISTRATION_OF = f"""SELECT {REGISTRATION_COLUMNS} FROM registration_registration
WHERE section_id = %s AND supplier_id = %s"""  # noqa: S608 -- our own names
CARD_BY_ID = f"""SELECT {CARD_COLUMNS} FROM registration_registeredcard
WHERE section_id = %s AND id = %s AND fingerprint = %s"""  # noqa: S608 -- our own names
CARD_ID_FROM_DRAFT = (
    "SELECT id FROM registration_registeredcard WHERE section_id = %s AND draft = %s AND fingerprint = %s"
)
WITH_COMPANY = f"""SELECT {rows.columns(RegisteredCard, "card")}, {rows.columns(Registration, "registration")},
    {rows.columns(Supplier, "supplier")}
FROM registration_registeredcard card JOIN registration_registration registration ON registration.id = card.registration_id
JOIN suppliers_supplier supplier ON supplier.id = registration.supplier_id WHERE card.section_id = %s"""  # noqa: S608 -- our own names
# `RegisteredCard.standing`, without reading the card.
CARD_STANDING = f"""SELECT
    CASE WHEN card.status = '{CardStatus.ACTIVE}' AND registration.halted_at IS NOT NULL THEN '{HALTED}' ELSE card.status END
FROM registration_registeredcard card JOIN registration_registration registration ON registration.id = card.registration_id
WHERE card.section_id = %s AND card.fingerprint = %s ORDER BY card.registered_at DESC LIMIT 1"""  # noqa: S608 -- our own names


def uuid_value(value: uuid.UUID) -> uuid.UUID | str:
    """Return a UUID as this engine takes it: SQLite has no type for it."""
    taken: uuid.UUID | str = RegisteredCard._meta.pk.get_db_prep_value(value, connection)
    return taken


def registration_of(*, section: Section, supplier: Supplier) -> Registration | None:
    """Return the registration of this supplier with its section, or None."""
    found = rows.fetch(Registration, REGISTRATION_OF, [section.id, supplier.id])
    return with_company(next(iter(found), None), section=section, supplier=supplier)


def with_company(registration: Registration | None, *, section: Section, supplier: Supplier) -> Registration | None:
    """Return the registration after giving it the section and the supplier that it was asked for by."""
    if registration is not None:
        registration.section, registration.supplier = section, supplier
    return registration


def company_of(registration: Registration) -> dict[str, str]:
    """Return the 企業情報 of a registered company: what 変更 said, wherever the register says what it said then."""
    company = suppliers.company_shown(registration.supplier)
    for name, change in registration.company_changes.items():
        if company[name] == change["register"]:
            company[name] = change["value"]
    return company


def existing_cards(*, section: Section, supplier: Supplier, card: CardCertificate) -> list[ExistingCard]:
    """Return every active card of this supplier, and this very certificate wherever it is or was registered in the section.

    A card of the supplier that still waits for the agency's word (仮登録) counts for nothing: a stranger could have
    brought it. One that was not accepted (不受理) never was.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            EXISTING_CARDS,
            [section.id, supplier.id, section.id, card.issuer_key, card.serial_text],
        )
        found = cursor.fetchall()
    return [
        ExistingCard(
            fingerprint,
            issuer_key,
            int(serial),
            number,
            holder_name,
            active=status in LIVING,
            replaced=status == CardStatus.REPLACED,
        )
        for fingerprint, issuer_key, serial, number, holder_name, status in found
        # Not in the statement: a company has a handful of cards, but a plan could begin with all that have this status.
        if status == CardStatus.ACTIVE
        or (status != CardStatus.REJECTED and (issuer_key, serial) == (card.issuer_key, card.serial_text))
    ]


def draft_of(
    *, section: Section, fingerprint: str, now: datetime, kind: DraftKind = DraftKind.REGISTRATION
) -> Draft | None:
    """Return what the holder of this card has typed in the last 30 days, or None."""
    return draft_and_registration(section=section, fingerprint=fingerprint, now=now, kind=kind)[0]


def draft_and_registration(
    *, section: Section, fingerprint: str, now: datetime, kind: DraftKind = DraftKind.REGISTRATION
) -> tuple[Draft | None, Registration | None]:
    """Return the same, and the registration of the draft's company if other cards of it have made one."""
    found = rows.fetch_together(
        (Draft, Supplier, Registration),
        DRAFT_AND_COMPANY,
        [section.id, fingerprint, str(kind), now - DRAFT_LIFE],
    )
    for draft, supplier, registration in found:
        draft.section = supplier.section = section
        draft.supplier = supplier
        return draft, with_company(registration, section=section, supplier=supplier)
    return None, None


def bare_draft_of(
    *, section: Section, fingerprint: str, now: datetime, kind: DraftKind = DraftKind.REGISTRATION
) -> Draft | None:
    """Return the same draft for a caller that reads its supplier anew."""
    found = rows.fetch(Draft, DRAFT_OF, [section.id, fingerprint, str(kind), now - DRAFT_LIFE])
    draft = next(iter(found), None)
    if draft is not None:
        # The caller has read the section with its agency; to join both in again costs as much as all the rest.
        draft.section = section
    return draft


def card_of(*, section: Section, fingerprint: str) -> RegisteredCard | None:
    """Return the newest registration of this card in the section, living or not, with its company."""
    return _with_company(section, fingerprint=fingerprint)


def card_standing(*, section: Section, fingerprint: str) -> str | None:
    """Return how the newest registration of this card in the section stands, or None."""
    with connection.cursor() as cursor:
        cursor.execute(CARD_STANDING, [section.id, fingerprint])
        row = cursor.fetchone()
    return row[0] if row else None


def card_by_id(*, section: Section, card_id: uuid.UUID, fingerprint: str) -> RegisteredCard | None:
    """Return one registered card if it is the caller's own; another's is as good as not there."""
    found = rows.fetch(RegisteredCard, CARD_BY_ID, [section.id, uuid_value(card_id), fingerprint])
    card = next(iter(found), None)
    if card is not None:
        card.section = section
    return card


def own_card(*, section: Section, card_id: uuid.UUID, fingerprint: str) -> RegisteredCard | None:
    """Return one registered card with its company if it is the caller's own."""
    return _with_company(section, id=card_id, fingerprint=fingerprint)


def card_from_draft(*, section: Section, draft_id: uuid.UUID, fingerprint: str) -> RegisteredCard | None:
    """Return what this draft has already become, or None."""
    return _with_company(section, draft=draft_id, fingerprint=fingerprint)


def card_id_from_draft(*, section: Section, draft_id: uuid.UUID, fingerprint: str) -> uuid.UUID | None:
    """Return the id of the card that this draft has already become, or None."""
    with connection.cursor() as cursor:
        cursor.execute(CARD_ID_FROM_DRAFT, [section.id, uuid_value(draft_id), fingerprint])
        row = cursor.fetchone()
    return uuid.UUID(str(row[0])) if row else None


def renewal_of(*, section: Section, renewal_id: uuid.UUID) -> Renewal | None:
    """Return one ICカード更新 on its way, with the old card's company."""
    found = Renewal.objects.select_related("old_card__registration__supplier").filter(id=renewal_id, section=section)
    renewal = found.first()
    if renewal is not None:
        renewal.section = section
        if renewal.old_card is not None:
            _in_section(renewal.old_card, section)
    return renewal


def status_of(card: RegisteredCard) -> str:
    """Return the status of this card as it is now."""
    return str(RegisteredCard.objects.values_list("status", flat=True).get(id=card.id))


def card_of_section(*, section: Section, card_id: uuid.UUID) -> RegisteredCard | None:
    """Return one registered card of this section with its company, whosever it is."""
    return _with_company(section, id=card_id)


def receipt_bundle(card: RegisteredCard, *, now: datetime) -> dict[str, object]:
    """Return the file that `irefuda-verify receipt` checks; of ICカード更新 with what the old card signed."""
    bundle = ledger.bundle(entry_id=card.ledger_entry, receipt=card.receipt, now=now)
    return bundle | {"handover": card.handover} if card.handover else bundle


def other_cards(*, registration: Registration, fingerprint: str) -> list[RegisteredCard]:
    """Return the active cards of this company other than this one."""
    return [card for card in active_cards(registration) if card.fingerprint != fingerprint]


def active_cards(registration: Registration) -> list[RegisteredCard]:
    """Return the active cards of this company, the oldest first."""
    active = RegisteredCard.objects.filter(registration=registration, status=CardStatus.ACTIVE)
    return list(active.order_by("registered_at"))


def registration_in(*, section: Section, number: int) -> Registration | None:
    """Return the registration of this number (the end of its 企業ID) in this section with its company, or None."""
    found = Registration.objects.select_related("supplier").filter(section=section, id=number).first()
    if found is not None:
        found.section = found.supplier.section = section
    return found


def unverified_of(card: RegisteredCard) -> list[UnverifiedAddress]:
    """Return the mail addresses that wait for their code: of the card's company, and of the card."""
    of_company = UnverifiedAddress.objects.filter(registration_id=card.registration_id, card=None)
    of_card = UnverifiedAddress.objects.filter(card=card)
    return list(of_company.union(of_card, all=True).order_by("id"))


def event_from_draft(*, section: Section, draft_id: uuid.UUID, fingerprint: str) -> Event | None:
    """Return what this draft of 変更 has already become, or None."""
    return Event.objects.filter(draft=draft_id, card__fingerprint=fingerprint, card__section=section).first()


def own_event(*, section: Section, event_id: uuid.UUID, fingerprint: str) -> Event | None:
    """Return one 変更 with its card and company if the caller's own card made it; another's is as good as not there."""
    found = Event.objects.select_related("card__registration__supplier").filter(
        id=event_id, kind=EventKind.CHANGED, card__fingerprint=fingerprint, card__section=section
    )
    event = found.first()
    if event is not None:
        card = event.card
        assert card is not None
        card.section = card.registration.section = card.registration.supplier.section = section
        event.registration = card.registration
    return event


def history(registration: Registration) -> list[Event]:
    """Return what became of a registration after 登録, latest first, with the cards that did it.

    Not of a card that only claimed to be the company's: it may be a stranger's.
    """
    found = Event.objects.select_related("card").filter(registration=registration)
    found = found.exclude(card__status__in=[CardStatus.PROVISIONAL, CardStatus.REJECTED])
    return list(found.order_by("-at", "id")[:HISTORY_SHOWN])


def living_cards_among(supplier_ids: Sequence[int]) -> dict[int, int]:
    """Return which of these suppliers have registered users: by supplier, how many cards are in use or wait for approval."""
    living = RegisteredCard.objects.filter(registration__supplier_id__in=supplier_ids, status__in=LIVING)
    counted = living.values_list("registration__supplier_id").annotate(cards=Count("id"))
    return dict(counted)


def _with_company(section: Section, **which: object) -> RegisteredCard | None:
    conditions = "".join(f" AND card.{name} = %s" for name in which)
    values = [uuid_value(value) if isinstance(value, uuid.UUID) else value for value in which.values()]
    found = rows.fetch_together(
        (RegisteredCard, Registration, Supplier),
        f"{WITH_COMPANY}{conditions} ORDER BY card.registered_at DESC LIMIT 1",
        [section.id, *values],
    )
    for card, registration, supplier in found:
        card.registration, registration.supplier = registration, supplier
        _in_section(card, section)
    return found[0][0] if found else None


def _in_section(card: RegisteredCard, section: Section) -> None:
    """Give card, registration and supplier the section that the caller has read with its agency."""
    card.section = card.registration.section = card.registration.supplier.section = section


@dataclass(frozen=True, slots=True)
class NamesBeside:
    """The company's name as the register and as the certificate have it, and how well they agree."""

    register_name: str
    card_name: str
    level: text.MatchLevel
    agree: bool
    # A demo authority certifies nobody, so a difference stops nothing there.
    demo: bool


def names_beside(*, card: CardCertificate, supplier: Supplier, demo: bool) -> NamesBeside:
    """Return both names for 「登録内容確認」, where the holder is asked to look at them."""
    level = text.match_names(card.company_name, supplier.name)
    return NamesBeside(supplier.name, shown(card.company_name), level, text.accepts(level), demo)


def application_of(card: RegisteredCard) -> documents.Document:
    """Return the application exactly as the card signed it, for showing and printing."""
    return signed_document(card.application)


def signed_document(text_of_jws: str) -> documents.Document:
    """Return the document in a JWS that the server has taken."""
    signed = jws.parse(text_of_jws)
    values = canonical.parse_canonical(signed.payload)
    return documents.read_document(signed.payload, realm=str(values["realm"]), origin=str(values["origin"]))


def cards_per_issuer() -> dict[str, int]:
    """Return how many living cards each issuer made, for the staff's page of the trust store."""
    living = RegisteredCard.objects.filter(status__in=[CardStatus.ACTIVE, CardStatus.PROVISIONAL])
    return dict(living.values_list("issuer_key").annotate(Count("id")).order_by())
