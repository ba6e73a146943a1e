"""利用者登録 as transactions: look up, keep a draft, register (manual 1.2)."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth.hashers import check_password, make_password
from django.db import connection, transaction
from django.db.models import QuerySet
from django.template.loader import render_to_string

from irefuda.agencies.models import Category, Section
from irefuda.cards import operations as cards
from irefuda.cards.limits import network_of
from irefuda.ledger import operations as ledger
from irefuda.notices import operations as notices
from irefuda.registration import queries
from irefuda.registration.models import HALTED, Attempt, CardStatus, Draft, RegisteredCard, Registration
from irefuda.suppliers import queries as suppliers
from irefuda.suppliers.models import Supplier
from irefuda.ui import rows
from irefuda.ui.clock import JST
from irefuda_core import canonical, documents, text
from irefuda_core import registration as rules
from irefuda_core.certificate import CardCertificate, shown
from irefuda_core.refusal import Refused, refusal

TRIES_PER_CARD, TRIES_PER_ADDRESS = 10, 60
TRIES_KEPT = timedelta(days=1)
CONTACT_FIELDS = ("department", "postal_code", "address", "person", "phone", "fax", "email")
TYPED_FIELDS = frozenset(
    {"same"}
    | {f"{block}-{name}" for block in ("rep", "card_office") for name in (*CONTACT_FIELDS, "email_again")}
    | {f"company-{name}" for name in queries.COMPANY_CHANGED_BY_USERS}
)
# No field takes more than 100 characters; what was pasted by mistake is kept as far as anyone would look for it.
TYPED_LENGTH = 1_000
# What argon2 is asked when no such supplier exists, so that both answers cost the same.
NO_ONES_PASSWORD = make_password("no one's", salt="irefuda-no-one-has-this")


# The UPDATE holds the row to the commit, and answers with it.
HOLD_REGISTRATION = f"""UPDATE registration_registration SET revision = revision + 1
WHERE section_id = %s AND supplier_id = %s RETURNING {queries.REGISTRATION_COLUMNS}"""  # noqa: S608 -- our own names


@dataclass(frozen=True, slots=True)
class Presenter:
    """Who acts: the proven card, whether its CA is a demo, what the holder typed as 担当者, and from where."""

    card: CardCertificate
    demo: bool
    person_in_charge: str
    address: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What was typed into 資格審査情報検索, cleaned."""

    supplier_number: str
    name: str
    login_id: str = ""
    password: str = ""


def count_try(*, presenter: Presenter, now: datetime) -> None:
    """Count one look-up against the card and the address, before it is judged and whatever becomes of it.

    :raises Refused: R-113 when either is over its limit for this hour
    """
    hour = now.replace(minute=0, second=0, microsecond=0)
    subjects = (f"card:{presenter.card.fingerprint}", f"address:{network_of(presenter.address)}")
    limits = dict(zip(subjects, (TRIES_PER_CARD, TRIES_PER_ADDRESS), strict=True))
    # One statement, outside any transaction: a try must stay counted when the look-up that follows is rolled back.
    counted = _count(subjects, hour)
    if any(tries > limits[subject] for subject, tries in counted.items()):
        retry_at = (hour + timedelta(hours=1)).astimezone(JST)
        raise Refused(refusal("R-113", retry_at=f"{retry_at:%H時%M分}"))


def _count(subjects: tuple[str, str], hour: datetime) -> dict[str, int]:
    """Return how often each has tried in this hour, this time included. The card comes first, so that no two wait crosswise."""
    at = connection.ops.adapt_datetimefield_value(hour)
    with connection.cursor() as cursor:
        table = connection.ops.quote_name(Attempt._meta.db_table)
        cursor.execute(
            f"INSERT INTO {table} (subject, hour, tries) VALUES (%s, %s, 1), (%s, %s, 1) "  # noqa: S608 -- our own name
            f"ON CONFLICT (subject, hour) DO UPDATE SET tries = {table}.tries + 1 RETURNING subject, tries",
            [subjects[0], at, subjects[1], at],
        )
        return dict(cursor.fetchall())


def look_up(*, section: Section, presenter: Presenter, lookup: Lookup, rules_now: datetime, now: datetime) -> Draft:
    """Find the supplier whose number and name were typed, and open the card's draft for it.

    A wrong number, a wrong name and a wrong password get one and the same answer, after the same work.

    :raises Refused: R-102 for a pair that is not proven; afterwards R-103 for a company that is qualified in another
        区分 of the agency only, and every reason of the rulebook why this card may not be registered for it
    """
    count_try(presenter=presenter, now=now)
    here, elsewhere = suppliers.in_agency(section=section, supplier_number=lookup.supplier_number)
    supplier = here or next(iter(elsewhere), None)
    named = text.accepts(text.match_names(lookup.name, supplier.name if supplier else "名簿にない商号"))
    admitted = _password_agrees(section, supplier, lookup)
    if supplier is None or not named or not admitted:
        raise Refused(refusal("R-102"))
    if here is None:
        raise Refused(refusal("R-103", category=Category(section.category).label))
    _ask_rulebook(section, supplier, presenter, rules_now)
    return _open_draft(section=section, presenter=presenter, supplier=supplier, now=now)


def _password_agrees(section: Section, supplier: Supplier | None, lookup: Lookup) -> bool:
    if not section.agency.lookup_needs_password:
        return True
    stored = supplier.login_password if supplier and supplier.login_password else NO_ONES_PASSWORD
    agrees = check_password(lookup.password, stored)
    return agrees and supplier is not None and bool(supplier.login_id) and supplier.login_id == lookup.login_id


# A draft that is over begins anew in its row. One statement and one commit instead of seven and a transaction.
OPEN_DRAFT = f"""
INSERT INTO registration_draft AS kept
    (id, kind, fingerprint, section_id, supplier_id, typed, document, based_on, updated_at)
VALUES (%(id)s, 'registration', %(fingerprint)s, %(section)s, %(supplier)s, '{{}}', '', '', %(now)s)
ON CONFLICT (fingerprint, section_id, kind) DO UPDATE SET
    id = CASE WHEN kept.updated_at <= %(over)s THEN excluded.id ELSE kept.id END,
    typed = CASE WHEN kept.updated_at <= %(over)s THEN excluded.typed ELSE kept.typed END,
    supplier_id = excluded.supplier_id, document = excluded.document, updated_at = excluded.updated_at
RETURNING {queries.DRAFT_COLUMNS}
"""  # noqa: S608 -- our own names


def _open_draft(*, section: Section, presenter: Presenter, supplier: Supplier, now: datetime) -> Draft:
    values = {
        "id": queries.uuid_value(uuid.uuid4()),
        "fingerprint": presenter.card.fingerprint,
        "section": section.id,
        "supplier": supplier.id,
        "now": now,
        "over": now - queries.DRAFT_LIFE,
    }
    (draft,) = rows.fetch(Draft, OPEN_DRAFT, values)
    draft.section, draft.supplier = section, supplier
    return draft


def purge(*, now: datetime) -> tuple[int, int]:
    """Delete what is over, and return how many: drafts that nobody has touched for 30 days, counted tries of other days."""
    drafts, _ = Draft.objects.filter(updated_at__lte=now - queries.DRAFT_LIFE).delete()
    attempts, _ = Attempt.objects.filter(hour__lt=now - TRIES_KEPT).delete()
    return drafts, attempts


def keep_typed(*, draft: Draft, typed: dict[str, str], now: datetime) -> None:
    """Store what was typed, right or wrong, so that neither a reload nor the end of the session loses it."""
    Draft.objects.filter(id=draft.id).update(typed=kept_of(typed), updated_at=now)


def kept_of(typed: dict[str, str]) -> dict[str, str]:
    """Return what a draft keeps of what was typed."""
    # PostgreSQL stores no NUL in text; another control character stands for it, which the form refuses just so.
    return {name: typed[name].replace("\0", "\1")[:TYPED_LENGTH] for name in TYPED_FIELDS & typed.keys()}


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the company before this card types anything: 企業情報, and 代表窓口情報 unless this card enters it."""

    company: dict[str, str]
    representative: dict[str, str] | None = None


def company_known(
    *, draft: Draft, registration: Registration | None, section: Section, presenter: Presenter, rules_now: datetime
) -> Known:
    """Return what the company's other cards have entered into its `registration`, beside what the register says.

    A card whose company name does not agree never sees it, whatever the policy: it types its own, for the agency to judge.

    :raises Refused: with every reason of the rulebook
    """
    doubts = _ask_rulebook(section, draft.supplier, presenter, rules_now)
    if "name" in doubts:
        return _known(None, draft.supplier)
    refuse_if_halted(registration)
    return _known(registration, draft.supplier)


def _known(registration: Registration | None, supplier: Supplier) -> Known:
    if registration is None or registration.representative is None:
        return Known(suppliers.company_shown(supplier))
    return Known(queries.company_of(registration), dict(registration.representative))


@dataclass(frozen=True, slots=True)
class Answers:
    """The contact blocks as the form cleaned them, and what `company_known` gave (None: what the register says)."""

    representative: dict[str, str]
    office: dict[str, str]
    company: dict[str, str] | None = None


def prepare_document(
    *,
    section: Section,
    draft: Draft,
    presenter: Presenter,
    answers: Answers,
    rules_now: datetime,
    now: datetime,
    typed: dict[str, str] | None = None,
) -> Draft:
    """Write the exact document that the card will be asked to sign; `register_card` judges it, this only writes it down.

    `typed` is kept as `keep_typed` does, and with the document by one UPDATE.

    :raises Refused: R-125 when register or certificate hold what no document can; R-115 when the draft is no longer
        there, or has become another company's in another tab
    """
    draft.document = canonical.canonical_json(
        _application(
            section=section, supplier=draft.supplier, presenter=presenter, answers=answers, rules_now=rules_now
        )
    ).decode()
    try:
        documents.read_document(draft.document.encode(), realm=settings.REALM, origin=settings.SUPPLIER_ORIGIN)
    except documents.UnknownDocument:
        # The form's own fields are clean; a register or a certificate may hold what no document can.
        if typed is not None:
            keep_typed(draft=draft, typed=typed, now=now)
        raise Refused(refusal("R-125")) from None
    kept = {} if typed is None else {"typed": kept_of(typed)}
    # Not if a look-up in another tab has put another company into the row.
    same = {"id": draft.id, "supplier_id": draft.supplier_id}
    if not rows.update(Draft, {"document": draft.document, "updated_at": now, **kept}, where=same):
        if typed is not None:
            keep_typed(draft=draft, typed=typed, now=now)
        raise Refused(refusal("R-115"))
    return draft


def renew_document(*, draft: Draft, presenter: Presenter, rules_now: datetime, now: datetime) -> Draft:
    """Write the document anew in the name of who is logged in now: whoever signs is the 担当者 that it names.

    :raises Refused: R-115 when another tab has changed the draft meanwhile
    """
    before = draft.document
    document = canonical.parse_canonical(before.encode())
    if document["person_in_charge"] == presenter.person_in_charge:
        return draft
    renewed = {**document, **_fresh(rules_now), "person_in_charge": presenter.person_in_charge}
    draft.document = canonical.canonical_json(renewed).decode()
    if not _same_draft(draft).filter(document=before).update(document=draft.document, updated_at=now):
        raise Refused(refusal("R-115"))
    return draft


def _same_draft(draft: Draft) -> QuerySet[Draft]:
    """Return the draft's row, unless a look-up in another tab has put another company into it."""
    return Draft.objects.filter(id=draft.id, supplier=draft.supplier)


def _ask_rulebook(section: Section, supplier: Supplier, presenter: Presenter, rules_now: datetime) -> list[rules.Doubt]:
    """Return what the agency has to look at before the card counts; raise every reason why it may not apply."""
    facts = suppliers.facts(supplier)
    existing = queries.existing_cards(section=section, supplier=supplier, card=presenter.card)
    policy = rules.Policy.from_knobs(section.agency.policy)
    reasons = rules.refusals_to_register(
        facts, presenter.card, existing, policy, authority_demo=presenter.demo, on=rules_now.astimezone(JST).date()
    )
    if reasons:
        raise Refused(*reasons)
    return rules.doubts_of_registration(facts, presenter.card, policy, authority_demo=presenter.demo)


def _application(
    *,
    section: Section,
    supplier: Supplier,
    presenter: Presenter,
    answers: Answers,
    rules_now: datetime,
) -> dict[str, str | int]:
    return {
        **envelope_of(documents.registration_application, rules_now=rules_now),
        **company_fields(section, supplier, answers.company or suppliers.company_shown(supplier)),
        **contact_fields("rep", answers.representative),
        **card_fields(presenter),
        **contact_fields("card_office", answers.office),
    }


def envelope_of(kind: documents.DocumentType, *, rules_now: datetime) -> dict[str, str]:
    """Return what makes a document one of its own, for this site and realm."""
    return {
        "type": kind.name,
        "realm": settings.REALM,
        "origin": settings.SUPPLIER_ORIGIN,
        **_fresh(rules_now),
    }


def _fresh(rules_now: datetime) -> dict[str, str]:
    return {
        "document_id": str(uuid.uuid4()),
        "issued_at": rules_now.astimezone(JST).isoformat(timespec="seconds"),
    }


def company_fields(section: Section, supplier: Supplier, company: dict[str, str]) -> dict[str, str]:
    """Return which company applies, and where, as the document says it."""
    return {
        "agency_code": section.agency.code,
        "agency_name": section.agency.name,
        "category": Category(section.category).label,
        "supplier_number": supplier.supplier_number,
        **company,
    }


def contact_fields(prefix: str, contact: dict[str, str]) -> dict[str, str]:
    """Return one contact block as the document says it."""
    return {f"{prefix}_{name}": contact.get(name, "") for name in CONTACT_FIELDS}


def card_fields(presenter: Presenter) -> dict[str, str]:
    """Return which card signs, and who used it, as the document says it."""
    card = presenter.card
    return {
        "card_company_name": shown(card.company_name),
        "card_company_address": shown(card.company_address),
        "card_holder_name": shown(card.holder_name),
        "card_holder_address": shown(card.holder_address),
        "certificate_serial": card.serial_text,
        "certificate_issuer": card.issuer_text,
        "certificate_expires_on": f"{card.not_after.astimezone(JST):%Y/%m/%d}",
        "certificate_fingerprint": card.fingerprint,
        "person_in_charge": presenter.person_in_charge,
    }


# Another card of the company may become its first, or this one be registered, in this very moment.
@rows.again_if_raced
@transaction.atomic
def register_card(
    *,
    section: Section,
    presenter: Presenter,
    draft_id: uuid.UUID,
    jws: str,
    rules_now: datetime,
    now: datetime,
    salt: bytes,
) -> RegisteredCard:
    """Register this card for the supplier of its draft; a draft that already became a registration returns that one.

    The presenter's card has been judged at `now`.

    :raises Refused: with every reason; then nothing is written and the draft stays
    """
    fingerprint = presenter.card.fingerprint
    # Taken and used up in one: it becomes one registration, however often it is sent. Whatever is refused puts it back.
    draft = _take(section=section, draft_id=draft_id, fingerprint=fingerprint, now=now)
    if draft is None:
        if done := queries.card_from_draft(section=section, draft_id=draft_id, fingerprint=fingerprint):
            return done
        raise Refused(refusal("R-115"))
    cards.check_signature(
        jws_text=jws,
        fingerprint=fingerprint,
        payload=draft.document.encode(),
        typ=documents.registration_application.typ(settings.REALM),
        audience="supplier",
        now=now,
        judged=presenter.card.der,
    )
    document = canonical.parse_canonical(draft.document.encode())
    supplier = suppliers.get(section=section, supplier_id=draft.supplier_id)
    register = company_fields(section, supplier, suppliers.company_shown(supplier))
    if any(document[name] != register[name] for name in register.keys() - queries.COMPANY_CHANGED_BY_USERS):
        raise Refused(refusal("R-116"))
    if document["person_in_charge"] != presenter.person_in_charge:
        # Somebody else has logged in with this card since it was shown; the ledger must name who signed.
        raise Refused(refusal("R-126"))
    # Before the rulebook looks at the company's cards: from here to the commit no other one can join them.
    registration = hold_registration(section, supplier)
    refuse_if_halted(registration)
    doubts = _ask_rulebook(section, supplier, presenter, rules_now)
    company = _known(registration if "name" not in doubts else None, supplier).company
    if any(document[name] != company[name] for name in queries.COMPANY_CHANGED_BY_USERS):
        # In the register, or by 変更 with another card of the company.
        raise Refused(refusal("R-116"))
    counts = not doubts
    representative = contact_of(document, "rep") if counts else None
    first = counts and (registration is None or registration.representative is None)
    if registration is None:
        registration = Registration(
            section=section, supplier=supplier, representative=representative, registered_at=now
        )
        rows.insert(registration)
    elif first:
        registration.representative = representative
        registration.save(update_fields=["representative"])
    elif counts and representative != registration.representative:
        # Another card of the company registered meanwhile: its 代表窓口情報 stands, so this document must be shown anew.
        raise Refused(refusal("R-123"))
    with rows.sent_together():
        entry = ledger.append(document=jws.encode(), kind="registration.registered", at=now, salt=salt)
        card = RegisteredCard(
            id=uuid.uuid4(),
            registration=registration,
            section=section,
            issuer_key=presenter.card.issuer_key,
            serial=presenter.card.serial_text,
            fingerprint=presenter.card.fingerprint,
            certificate=presenter.card.der,
            holder_name=presenter.card.holder_name,
            expires_at=presenter.card.not_after,
            status=CardStatus.ACTIVE if counts else CardStatus.PROVISIONAL,
            doubts=doubts,
            office=contact_of(document, "card_office"),
            person_in_charge=str(document["person_in_charge"]),
            application=jws,
            ledger_entry=entry.id,
            receipt=ledger.receipt_for(entry),
            draft=draft.id,
            registered_at=now,
        )
        rows.insert(card)
        _announce(card=card, registration=registration, first=first, now=now)
    if counts and not first:
        warn_company(card=card, registration=registration, now=now)
    return card


TAKE_DRAFT = f"""
DELETE FROM registration_draft
WHERE id = %s AND section_id = %s AND fingerprint = %s AND kind = 'registration' AND updated_at > %s AND document <> ''
RETURNING {queries.DRAFT_COLUMNS}
"""  # noqa: S608 -- our own names


def _take(*, section: Section, draft_id: uuid.UUID, fingerprint: str, now: datetime) -> Draft | None:
    """Return this card's draft, with its document, and remove it; None when it is gone, over, or has no document."""
    place = [queries.uuid_value(draft_id), section.id, fingerprint]
    return next(iter(rows.fetch(Draft, TAKE_DRAFT, [*place, now - queries.DRAFT_LIFE])), None)


def use_up(draft: Draft) -> bool:
    """Return whether this call removed the draft: it becomes one registration, however often it is sent."""
    with connection.cursor() as cursor:
        # Plain SQL: for Django to build a DELETE takes five times as long as the database needs for it.
        cursor.execute("DELETE FROM registration_draft WHERE id = %s", [queries.uuid_value(draft.id)])
        return bool(cursor.rowcount)


def hold_registration(section: Section, supplier: Supplier) -> Registration | None:
    """Return the company's registration, kept from every other card's until the commit, or None when it has none yet."""
    held = rows.fetch(Registration, HOLD_REGISTRATION, [section.id, supplier.id])
    return queries.with_company(next(iter(held), None), section=section, supplier=supplier)


# Why a card that is not in use may not act.
NOT_ACTIVE = {
    CardStatus.PROVISIONAL: "R-118",
    CardStatus.REPLACED: "R-121",
    CardStatus.CLOSED: "R-122",
    CardStatus.REJECTED: "R-156",
    HALTED: "R-157",
}


def refuse_unless_active(standing: str) -> None:
    """Let only a card that is in use go on; asked with `RegisteredCard.standing`.

    :raises Refused: with the reason why it is not
    """
    if standing != CardStatus.ACTIVE:
        raise Refused(refusal(NOT_ACTIVE[standing]))


def refuse_if_halted(registration: Registration | None) -> None:
    """Let no further card join a company whose cards the agency lets not act (利用停止).

    :raises Refused: R-157
    """
    if registration is not None and registration.halted_at is not None:
        raise Refused(refusal("R-157"))


def contact_of(document: dict[str, str], prefix: str) -> dict[str, str]:
    """Return one contact block of a document."""
    return {name: str(document[f"{prefix}_{name}"]) for name in CONTACT_FIELDS}


def _announce(*, card: RegisteredCard, registration: Registration, first: bool, now: datetime) -> None:
    """Queue 「利用者申請書受理メール」 for whoever applied."""
    agency = registration.section.agency
    if card.status == CardStatus.PROVISIONAL:
        notices.enqueue(
            kind="registration.provisional",
            to=card.office["email"],
            subject="利用者登録の申請を受け付けました（仮登録）",
            body=_letter("registration_provisional", card),
            at=now,
            sender=agency.system_email,
            inbox=card.fingerprint,
        )
        return
    tell(
        applicants(card, first=first),
        kind="registration.registered",
        subject="利用者登録のお知らせ（利用者申請書受理メール）",
        letter="registration_registered",
        card=card,
        now=now,
    )


def applicants(card: RegisteredCard, *, first: bool) -> list[tuple[str, str]]:
    """Return address and inbox of who applied: the card's office, and 代表窓口 when this first card entered it."""
    told = [card.office["email"]]
    if first and card.registration.representative_email not in told:
        told.append(card.registration.representative_email)
    return [(to, card.fingerprint) for to in told]


def warn_company(*, card: RegisteredCard, registration: Registration, now: datetime) -> None:
    """Tell every other card's inbox, and 代表窓口, that a further card speaks for the company."""
    tell(
        _others(registration, card),
        kind="registration.further_card",
        subject="新しいICカードが登録されました",
        letter="registration_further_card",
        card=card,
        now=now,
    )


def _others(registration: Registration, card: RegisteredCard) -> list[tuple[str, str]]:
    """Return address and inbox of the company's other active cards, and of 代表窓口 unless it is told as one of them."""
    return _company(registration, queries.other_cards(registration=registration, fingerprint=card.fingerprint))


def _company(registration: Registration, cards: Sequence[RegisteredCard]) -> list[tuple[str, str]]:
    """Return address and inbox of these cards' offices, and of 代表窓口 unless it is told as one of them."""
    told = [(card.office["email"], card.fingerprint) for card in cards]
    if registration.representative and registration.representative_email not in {to for to, _ in told}:
        told.insert(0, (registration.representative_email, registration.company_id))
    return told


def tell_registration(*, kind: str, subject: str, letter: str, registration: Registration, now: datetime) -> None:
    """Tell 代表窓口 and every active card of the company, in mail and inbox."""
    for to, inbox in _company(registration, queries.active_cards(registration)):
        notices.enqueue(
            kind=kind,
            to=to,
            subject=subject,
            body=_company_letter(letter, registration),
            at=now,
            sender=registration.section.agency.system_email,
            inbox=inbox,
        )


def tell_company(*, kind: str, subject: str, letter: str, card: RegisteredCard, now: datetime, **said: object) -> None:
    """Tell the office of this card, 代表窓口 and the company's other active cards, in mail and inbox."""
    office = (card.office["email"], card.fingerprint)
    # Where 代表窓口 is the same address, one mail tells both.
    company = (card.office["email"], card.company_id)
    others = [told for told in _others(card.registration, card) if told != company]
    tell([office, *others], kind=kind, subject=subject, letter=letter, card=card, now=now, **said)


def tell_office(*, kind: str, subject: str, letter: str, card: RegisteredCard, now: datetime, **said: object) -> None:
    """Tell the office of this card alone, in mail and inbox."""
    office = (card.office["email"], card.fingerprint)
    tell([office], kind=kind, subject=subject, letter=letter, card=card, now=now, **said)


def tell(
    told: Sequence[tuple[str, str]],
    *,
    kind: str,
    subject: str,
    letter: str,
    card: RegisteredCard,
    now: datetime,
    **said: object,
) -> None:
    """Queue one letter for each address and its inbox."""
    sender = card.section.agency.system_email
    for to, inbox in told:
        notices.enqueue(
            kind=kind, to=to, subject=subject, body=_letter(letter, card, **said), at=now, sender=sender, inbox=inbox
        )


def _letter(name: str, card: RegisteredCard, **said: object) -> str:
    return _company_letter(name, card.registration, card=card, **said)


def _company_letter(name: str, registration: Registration, **said: object) -> str:
    return render_to_string(
        f"registration/mail/{name}.txt",
        {
            "registration": registration,
            "agency": registration.section.agency,
            "supplier": registration.supplier,
            **said,
        },
    )
