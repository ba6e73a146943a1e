"""ICカード更新 as transactions: begin, judge both cards, put the new one in the old one's place (manual 1.4)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from irefuda.agencies.models import Category, Section
from irefuda.cards import operations as cards
from irefuda.ledger import operations as ledger
from irefuda.registration import operations, queries
from irefuda.registration.models import (
    CardStatus,
    Draft,
    Event,
    EventKind,
    RegisteredCard,
    Renewal,
    UnverifiedAddress,
)
from irefuda.suppliers import queries as suppliers
from irefuda.suppliers.models import Supplier
from irefuda.ui import rows
from irefuda.ui.clock import JST
from irefuda_core import canonical, documents, jws
from irefuda_core import registration as rules
from irefuda_core.certificate import CardCertificate, fingerprint_of, shown
from irefuda_core.refusal import Refused, refusal

RENEWAL_LIFE = timedelta(minutes=15)
# Someone may begin again after a mistake, but no browser needs more of them at once than this.
RENEWALS_PER_BROWSER = 5
# A certificate is some 2,000 bytes; the form's own limit is far beyond what is worth decoding.
LONGEST_CERTIFICATE = 20_000


# -- the first message


def begin(*, section: Section, browser: str, now: datetime) -> Renewal:
    """Begin an ICカード更新 for this browser; it is good once, for fifteen minutes."""
    digest = hashlib.sha256(browser.encode()).hexdigest()
    renewal = Renewal(id=uuid.uuid4(), section=section, browser_sha256=digest, begun_at=now)
    with transaction.atomic():
        rows.insert(renewal)
        mine = Renewal.objects.filter(browser_sha256=digest).order_by("-begun_at").values_list("id", flat=True)
        Renewal.objects.filter(id__in=list(mine[RENEWALS_PER_BROWSER:])).delete()
    return renewal


def first_message(renewal: Renewal, *, rules_now: datetime, now: datetime) -> dict[str, str]:
    """Return what the card agent is told, and what the old card's ICカード引継届 will say of this renewal."""
    section = renewal.section
    return {
        "renewal_id": str(renewal.id),
        "agency_code": section.agency.code,
        "agency_name": section.agency.name,
        "category": Category(section.category).label,
        # By the rules' time, however far it was from real time when this began.
        "issued_at": (renewal.begun_at + (rules_now - now)).astimezone(JST).isoformat(timespec="seconds"),
    }


def purge(*, now: datetime) -> int:
    """Delete the renewals that are over, and return how many."""
    return Renewal.objects.filter(begun_at__lte=now - RENEWAL_LIFE).delete()[0]


# -- both cards


@dataclass(frozen=True, slots=True)
class Succession:
    """Two cards, judged: the one may take the other's place, at once or after the agency has looked at the doubts."""

    old_card: RegisteredCard
    old: CardCertificate
    new: CardCertificate
    doubts: list[rules.Doubt]

    @property
    def supplier(self) -> Supplier:
        """Return whose cards they are."""
        return self.old_card.registration.supplier


def prepare(
    *,
    section: Section,
    renewal_id: uuid.UUID,
    browser: str,
    handover: str,
    certificate: str,
    rules_now: datetime,
    now: datetime,
) -> Renewal:
    """Judge both cards, and write the exact document that the new one will be asked to sign.

    `handover` is the ICカード引継届 (compact JWS) of the old card, `certificate` the new card's (DER in base64).

    :raises Refused: with every reason
    """
    renewal = _renewal(section=section, renewal_id=renewal_id, browser=browser, now=now)
    if _already(renewal):
        raise Refused(refusal("R-136"))
    signed = _check_handover(renewal, handover, rules_now=rules_now, now=now)
    new_der = _certificate(certificate)
    judged = _judge(section=section, old_der=signed.unverified_certificate, new_der=new_der, now=now)
    said = documents.read_document(signed.payload, realm=settings.REALM, origin=settings.SUPPLIER_ORIGIN).values
    renewal.document = _write(
        operations.envelope_of(documents.card_renewal, rules_now=rules_now),
        judged,
        handover=handover,
        person_in_charge=said["person_in_charge"],
    )
    renewal.old_card, renewal.handover = judged.old_card, handover
    renewal.new_certificate, renewal.doubts = new_der, list(judged.doubts)
    renewal.save(update_fields=["old_card", "handover", "new_certificate", "document", "doubts"])
    return renewal


def _renewal(*, section: Section, renewal_id: uuid.UUID, browser: str, now: datetime) -> Renewal:
    """Return this browser's own renewal.

    :raises Refused: R-136 when there is none that is still good
    """
    renewal = queries.renewal_of(section=section, renewal_id=renewal_id)
    mine = renewal is not None and renewal.browser_sha256 == hashlib.sha256(browser.encode()).hexdigest()
    if renewal is None or not mine or now >= renewal.begun_at + RENEWAL_LIFE:
        raise Refused(refusal("R-136"))
    return renewal


def _check_handover(renewal: Renewal, handover: str, *, rules_now: datetime, now: datetime) -> jws.SignedDocument:
    """Return the ICカード引継届 if whoever holds its card signed it for this very renewal.

    :raises Refused: K-43x for a signature that does not hold, R-137 for anything else than this renewal's
    """
    try:
        signed = jws.parse(handover)
        jws.verify_document(signed)
        document = documents.read_document(signed.payload, realm=settings.REALM, origin=settings.SUPPLIER_ORIGIN)
    except jws.SignatureFailure as failure:
        raise Refused(failure.refusal) from None
    except documents.UnknownDocument:
        raise Refused(refusal("R-137")) from None
    asked = first_message(renewal, rules_now=rules_now, now=now)
    expected = {
        "document_id": asked.pop("renewal_id"),
        **asked,
        "certificate_fingerprint": fingerprint_of(signed.unverified_certificate),
    }
    said = {name: document.values.get(name) for name in expected}
    typ = documents.card_handover.typ(settings.REALM)
    if document.type is not documents.card_handover or signed.header["typ"] != typ or said != expected:
        raise Refused(refusal("R-137"))
    return signed


def _certificate(text: str) -> bytes:
    try:
        if len(text) > LONGEST_CERTIFICATE:
            raise ValueError
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise Refused(refusal("K-401")) from None


def _judge(*, section: Section, old_der: bytes, new_der: bytes, now: datetime) -> Succession:
    """Return both cards with what the agency has to look at.

    :raises Refused: with every reason why the new one may not take the old one's place
    """
    if old_der == new_der:
        raise Refused(refusal("R-131"))
    policy = rules.Policy.from_knobs(section.agency.policy)
    # By its whole certificate: another one with the same names and number tells its maker nothing.
    old_card = queries.card_of(section=section, fingerprint=fingerprint_of(old_der))
    if old_card is not None:
        operations.refuse_unless_active(old_card.standing)
        # Before its path is judged: the lists of an authority that is long gone would hide the way on.
        if reasons := rules.refusals_of_expired(old_card.expires_at, policy, at=now):
            raise Refused(*reasons)
    old = cards.check_predecessor(der=old_der, audience="supplier", now=now)
    new = cards.check_still_good(der=new_der, audience="supplier", now=now)
    known = old_card or queries.card_of(section=section, fingerprint=new.card.fingerprint)
    if known is None:
        raise Refused(refusal("R-120"))
    supplier = known.registration.supplier
    facts = suppliers.facts(supplier)
    existing = queries.existing_cards(section=section, supplier=supplier, card=new.card)
    reasons = rules.refusals_to_renew(facts, old.card, new.card, existing, policy, authority_demo=new.demo, at=now)
    if reasons:
        raise Refused(*reasons)
    doubts = rules.doubts_of_renewal(facts, old.card, new.card, authority_demo=new.demo, old_revoked=old.revoked)
    return Succession(known, old.card, new.card, doubts)


def _write(envelope: dict[str, str], judged: Succession, *, handover: str, person_in_charge: str) -> str:
    """Return the canonical text of 「電子証明書更新確認」.

    :raises Refused: R-125 when register or certificate hold what no document can
    """
    card = judged.old_card
    company = suppliers.company_shown(judged.supplier)
    fields: dict[str, str | int] = {
        **envelope,
        "agency_code": card.section.agency.code,
        "agency_name": card.section.agency.name,
        "category": Category(card.section.category).label,
        "company_id": card.company_id,
        "supplier_number": judged.supplier.supplier_number,
        "handover_sha256": hashlib.sha256(handover.encode()).hexdigest(),
        "person_in_charge": person_in_charge,
    }
    for prefix, certificate in (("old", judged.old), ("new", judged.new)):
        fields |= {
            f"{prefix}_company_name": company["company_name"],
            f"{prefix}_company_address": company["company_address"],
            f"{prefix}_card_company_name": shown(certificate.company_name),
            f"{prefix}_card_company_address": shown(certificate.company_address),
            f"{prefix}_card_holder_name": shown(certificate.holder_name),
            f"{prefix}_card_holder_address": shown(certificate.holder_address),
            f"{prefix}_certificate_serial": certificate.serial_text,
            f"{prefix}_certificate_issuer": certificate.issuer_text,
            f"{prefix}_certificate_expires_on": f"{certificate.not_after.astimezone(JST):%Y/%m/%d}",
            f"{prefix}_certificate_fingerprint": certificate.fingerprint,
        }
    text = canonical.canonical_json(fields)
    try:
        documents.read_document(text, realm=settings.REALM, origin=settings.SUPPLIER_ORIGIN)
    except documents.UnknownDocument:
        raise Refused(refusal("R-125")) from None
    return text.decode()


# -- 「更新」


def renewed(*, section: Section, renewal_id: uuid.UUID, browser: str, now: datetime) -> RegisteredCard | None:
    """Return the card that this browser's renewal has already become, or None.

    :raises Refused: R-136 when there is no such renewal that is still good
    """
    return _already(_renewal(section=section, renewal_id=renewal_id, browser=browser, now=now))


def _already(renewal: Renewal) -> RegisteredCard | None:
    if not renewal.document:
        return None
    fingerprint = fingerprint_of(bytes(renewal.new_certificate))
    return queries.card_from_draft(section=renewal.section, draft_id=renewal.id, fingerprint=fingerprint)


def renew_card(
    *, section: Section, renewal_id: uuid.UUID, browser: str, jws_text: str, now: datetime, salt: bytes
) -> RegisteredCard:
    """Put the new card in the old one's place, or let it wait for the agency (仮登録); a renewal that is done returns its card.

    :raises Refused: with every reason; then nothing is written
    """
    renewal = _renewal(section=section, renewal_id=renewal_id, browser=browser, now=now)
    if not renewal.document:
        raise Refused(refusal("R-136"))
    new_der = bytes(renewal.new_certificate)
    cards.check_signature(
        jws_text=jws_text,
        fingerprint=fingerprint_of(new_der),
        payload=renewal.document.encode(),
        typ=documents.card_renewal.typ(settings.REALM),
        audience="supplier",
        now=now,
        differs=refusal("R-138"),
    )
    return _renew(renewal, jws_text, now, salt)


# The new card may be registered for another company in this very moment.
@rows.again_if_raced
@transaction.atomic
def _renew(renewal: Renewal, jws_text: str, now: datetime, salt: bytes) -> RegisteredCard:
    assert renewal.old_card is not None
    section, new_der = renewal.section, bytes(renewal.new_certificate)
    # Before anything is judged: from here to the commit no other card of the company comes, goes or changes.
    operations.hold_registration(section, renewal.old_card.registration.supplier)
    if done := _already(renewal):
        return done
    judged = _judge(section=section, old_der=bytes(renewal.old_card.certificate), new_der=new_der, now=now)
    document = canonical.parse_canonical(renewal.document.encode())
    person = str(document["person_in_charge"])
    envelope = {name: document[name] for name in documents.ENVELOPE}
    if _write(envelope, judged, handover=renewal.handover, person_in_charge=person) != renewal.document:
        raise Refused(refusal("R-139"))
    entry = ledger.append(document=jws_text.encode(), kind="registration.renewed", at=now, salt=salt)
    old = judged.old_card
    card = RegisteredCard(
        id=uuid.uuid4(),
        registration=old.registration,
        section=section,
        issuer_key=judged.new.issuer_key,
        serial=judged.new.serial_text,
        fingerprint=judged.new.fingerprint,
        certificate=judged.new.der,
        holder_name=judged.new.holder_name,
        expires_at=judged.new.not_after,
        status=CardStatus.PROVISIONAL if judged.doubts else CardStatus.ACTIVE,
        doubts=list(judged.doubts),
        office=old.office,
        person_in_charge=person,
        application=jws_text,
        ledger_entry=entry.id,
        receipt=ledger.receipt_for(entry),
        draft=renewal.id,
        registered_at=now,
        changes=old.changes,
        succeeds=old,
        handover=renewal.handover,
    )
    rows.insert(card)
    if not judged.doubts:
        succeed(card, now=now)
        rows.insert(
            Event(
                id=uuid.uuid4(),
                registration=card.registration,
                kind=EventKind.RENEWED,
                card=card,
                person_in_charge=person,
                changes=changes_of(old, card),
                document=jws_text,
                ledger_entry=entry.id,
                receipt=card.receipt,
                draft=renewal.id,
                at=now,
            )
        )
    _announce(card, now=now)
    return card


def succeed(card: RegisteredCard, *, now: datetime) -> None:
    """End the card whose place this one takes, and hand over what belongs to it; in the caller's transaction.

    :raises Refused: R-155 when the old card is not in use any more
    """
    old = card.succeeds
    assert old is not None
    mine = RegisteredCard.objects.filter(id=old.id, status=CardStatus.ACTIVE)
    if not mine.update(status=CardStatus.REPLACED, ended_at=now):
        raise Refused(refusal("R-155", status=CardStatus(queries.status_of(old)).label))
    UnverifiedAddress.objects.filter(card=old).update(card=card)
    # What somebody has typed with the new card already stands before what was typed with the old one.
    theirs = Draft.objects.filter(section=card.section, fingerprint=card.fingerprint).values_list("kind", flat=True)
    # Of the same company, but what it says of the card is of the old one: the document is shown and signed anew.
    typed = Draft.objects.filter(section=card.section, fingerprint=old.fingerprint).exclude(kind__in=list(theirs))
    typed.update(fingerprint=card.fingerprint, document="")


def changes_of(old: RegisteredCard, new: RegisteredCard) -> list[list[str]]:
    """Return what an ICカード更新 changes, by the names on the screen."""
    items = [
        ["証明書シリアル番号", old.serial, new.serial],
        ["証明書有効期限", *(f"{card.expires_at.astimezone(JST):%Y/%m/%d}" for card in (old, new))],
        ["ICカード取得者氏名", shown(old.holder_name), shown(new.holder_name)],
    ]
    return [[name, before, after] for name, before, after in items if before != after]


def _announce(card: RegisteredCard, *, now: datetime) -> None:
    """Tell ICカード利用部署, 代表窓口 and the company's other cards; also of one that waits, for it may be a thief's."""
    if card.status == CardStatus.PROVISIONAL:
        operations.tell_company(
            kind="registration.renewal_provisional",
            subject="ICカード更新の申請を受け付けました（仮登録）",
            letter="renewal_provisional",
            card=card,
            now=now,
        )
        return
    operations.tell_company(
        kind="registration.renewed",
        subject="ICカード更新完了のお知らせ",
        letter="renewal_done",
        card=card,
        now=now,
    )


# -- 「利用者情報」 of a renewed card


def user_information(card: RegisteredCard) -> documents.Document:
    """Return what the print page of a card shows: what it signed, or, of a renewed one, all that it took over.

    One that still waits shows no more than it signed: whoever brought it need not be the company. Nor does one that has
    ended, which may be in anybody's hands.
    """
    signed = queries.application_of(card)
    if signed.type is not documents.card_renewal or card.status != CardStatus.ACTIVE:
        return signed
    owner = queries.own_card(section=card.section, card_id=card.id, fingerprint=card.fingerprint)
    assert owner is not None
    said = signed.values
    named = ("card_company_name", "card_company_address", "card_holder_name", "card_holder_address", "certificate_serial",
             "certificate_issuer", "certificate_expires_on", "certificate_fingerprint")  # fmt: skip
    return documents.Document(
        documents.registration_application,
        {
            **{name: said[name] for name in (*documents.ENVELOPE, "agency_code", "agency_name", "category")},
            **{name: said[name] for name in ("supplier_number", "person_in_charge")},
            **{name: said[f"new_{name}"] for name in named},
            **queries.company_of(owner.registration),
            **operations.contact_fields("rep", owner.registration.representative or {}),
            **operations.contact_fields("card_office", owner.office),
        },
    )
