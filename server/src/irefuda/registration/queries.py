"""What views and operations ask about registrations."""

from __future__ import annotations

import uuid
from dataclasses import dataclass

from django.db.models import QuerySet

from irefuda.agencies.models import Section
from irefuda.registration.models import CardStatus, Draft, RegisteredCard, Registration
from irefuda.suppliers.models import Supplier
from irefuda_core import canonical, documents, jws, text
from irefuda_core.certificate import CardCertificate, shown
from irefuda_core.registration import ExistingCard

LIVING = (CardStatus.ACTIVE, CardStatus.PROVISIONAL)


def registration_of(*, section: Section, supplier: Supplier) -> Registration | None:
    """Return the registration of this supplier with its section, or None."""
    found = Registration.objects.select_related("section__agency").filter(section=section, supplier=supplier)
    return found.first()


def existing_cards(*, section: Section, supplier: Supplier, fingerprint: str) -> list[ExistingCard]:
    """Return every living card of this supplier, and this very card wherever it is registered in the section."""
    rows = RegisteredCard.objects.select_related("registration__supplier").filter(section=section, status__in=LIVING)
    mine = rows.filter(registration__supplier=supplier)
    same = rows.filter(fingerprint=fingerprint)
    return [_existing(row) for row in (mine | same).order_by("registered_at", "id")]


def _existing(row: RegisteredCard) -> ExistingCard:
    return ExistingCard(
        fingerprint=row.fingerprint,
        issuer_key=row.issuer_key,
        serial=int(row.serial),
        supplier_number=row.registration.supplier.supplier_number,
        holder_name=row.holder_name,
        active=True,
    )


def draft_of(*, section: Section, fingerprint: str) -> Draft | None:
    """Return what the holder of this card has typed so far, or None."""
    return (
        Draft.objects.select_related("supplier", "section__agency")
        .filter(section=section, fingerprint=fingerprint)
        .first()
    )


def card_of(*, section: Section, fingerprint: str) -> RegisteredCard | None:
    """Return the newest registration of this card in the section, living or not, with its company."""
    return _with_company().filter(section=section, fingerprint=fingerprint).order_by("-registered_at").first()


def card_by_id(*, card_id: uuid.UUID, fingerprint: str) -> RegisteredCard | None:
    """Return one registered card if it is the caller's own; another's is as good as not there."""
    return _with_company().filter(id=card_id, fingerprint=fingerprint).first()


def card_from_draft(*, draft_id: uuid.UUID, fingerprint: str) -> RegisteredCard | None:
    """Return what this draft has already become, or None."""
    return _with_company().filter(draft=draft_id, fingerprint=fingerprint).first()


def other_cards(*, registration: Registration, fingerprint: str) -> list[RegisteredCard]:
    """Return the active cards of this company other than this one."""
    rows = RegisteredCard.objects.filter(registration=registration, status=CardStatus.ACTIVE)
    return list(rows.exclude(fingerprint=fingerprint).order_by("registered_at"))


def _with_company() -> QuerySet[RegisteredCard]:
    return RegisteredCard.objects.select_related(
        "registration__supplier", "section__agency", "registration__section__agency"
    )


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
    signed = jws.parse(card.application)
    values = canonical.parse_canonical(signed.payload)
    return documents.read_document(signed.payload, realm=str(values["realm"]), origin=str(values["origin"]))
