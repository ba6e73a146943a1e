"""What becomes of a card after it was taken: accepted or not (受理, 不受理), closed (使用停止), opened again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction

from irefuda.agencies.models import Category, Section
from irefuda.cards import operations as cards
from irefuda.ledger import operations as ledger
from irefuda.registration import operations, queries, renewals
from irefuda.registration.models import CardStatus, Event, EventKind, RegisteredCard, Registration
from irefuda.suppliers import queries as suppliers
from irefuda.ui import rows
from irefuda.ui.clock import JST
from irefuda_core import canonical, text
from irefuda_core import registration as rules
from irefuda_core.refusal import Refused, refusal

LONGEST_REASON = 400
# What a company's registration is when it is not under 利用停止.
IN_USE = "利用できます"


@dataclass(frozen=True, slots=True)
class Decision:
    """Which member of staff decides, and why."""

    staff: str
    reason: str


@dataclass(frozen=True, slots=True)
class Closing:
    """Which card of the company closes one (or itself), who sat at it, and why."""

    fingerprint: str
    person_in_charge: str
    reason: str = ""


# -- 仮登録: the agency's word


@transaction.atomic
def approve_card(
    *, section: Section, card_id: uuid.UUID, decision: Decision, rules_now: datetime, now: datetime, salt: bytes
) -> RegisteredCard:
    """Let a card that waited (仮登録) count from now on; of an ICカード更新, in the old card's place.

    Whatever the doubts were, they are answered now; every other rule is asked again.

    :raises Refused: with every reason; then it still waits
    """
    card = _waiting(section, card_id)
    _ask_again(card, rules_now=rules_now, now=now)
    before = card.status
    _move(card, CardStatus.PROVISIONAL, CardStatus.ACTIVE, code="R-151")
    changes = [["状態", CardStatus(before).label, CardStatus.ACTIVE.label]]
    if card.succeeds is not None:
        # Whatever 変更 has made of it while this one waited.
        card.office, card.changes = card.succeeds.office, card.succeeds.changes
        card.save(update_fields=["office", "changes"])
        renewals.succeed(card, now=now)
        changes += renewals.changes_of(card.succeeds, card)
    first = card.succeeds is None and card.registration.representative is None
    if first:
        applied = queries.application_of(card).values
        card.registration.representative = operations.contact_of(applied, "rep")
        card.registration.save(update_fields=["representative"])
    _write_down(card, EventKind.APPROVED, decision, changes=changes, now=now, salt=salt)
    _announce_approved(card, first=first, now=now)
    return card


def _announce_approved(card: RegisteredCard, *, first: bool, now: datetime) -> None:
    if card.succeeds is not None:
        operations.tell_company(
            kind="registration.approved",
            subject="ICカード更新 受理のお知らせ",
            letter="renewal_approved",
            card=card,
            now=now,
        )
        return
    operations.tell(
        operations.applicants(card, first=first),
        kind="registration.approved",
        subject="利用者登録 受理のお知らせ（利用者申請書受理メール）",
        letter="registration_approved",
        card=card,
        now=now,
    )
    if not first:
        operations.warn_company(card=card, registration=card.registration, now=now)


@transaction.atomic
def reject_card(
    *, section: Section, card_id: uuid.UUID, decision: Decision, now: datetime, salt: bytes
) -> RegisteredCard:
    """Do not take a card that waited (仮登録); it may apply again, and an old card whose place it wanted stays in use.

    :raises Refused: R-151 when it waits no more, R-152 without a reason
    """
    card = _waiting(section, card_id)
    _move(card, CardStatus.PROVISIONAL, CardStatus.REJECTED, code="R-151", ended_at=now)
    changes = [["状態", CardStatus.PROVISIONAL.label, CardStatus.REJECTED.label]]
    _write_down(card, EventKind.REJECTED, decision, changes=changes, now=now, salt=salt)
    tell = operations.tell_office if card.succeeds is None else operations.tell_company
    tell(
        kind="registration.rejected",
        subject="利用者登録 不受理のお知らせ" if card.succeeds is None else "ICカード更新 不受理のお知らせ",
        letter="card_rejected",
        card=card,
        now=now,
        reason=decision.reason,
    )
    return card


def _waiting(section: Section, card_id: uuid.UUID) -> RegisteredCard:
    """Return the card that waits, with its company kept from every other act until the commit.

    :raises Refused: R-151 when it waits no more
    """
    card = _held(section, card_id)
    if card.status != CardStatus.PROVISIONAL:
        raise Refused(refusal("R-151", status=CardStatus(card.status).label))
    return card


def _held(section: Section, card_id: uuid.UUID) -> RegisteredCard:
    """Return a card of the section as it is once nobody else acts on its company.

    :raises RegisteredCard.DoesNotExist: when there is none of this id
    """
    found = queries.card_of_section(section=section, card_id=card_id)
    if found is None:
        raise RegisteredCard.DoesNotExist
    operations.hold_registration(section, found.registration.supplier)
    card = queries.card_of_section(section=section, card_id=card_id)
    assert card is not None
    return card


def _ask_again(card: RegisteredCard, *, rules_now: datetime, now: datetime) -> None:
    """Ask trust and rulebook once more, without what the agency has just looked at.

    :raises Refused: with every reason
    """
    facts = suppliers.facts(card.registration.supplier)
    proven = cards.check_still_good(der=bytes(card.certificate), audience="supplier", now=now)
    existing = queries.existing_cards(section=card.section, supplier=card.registration.supplier, card=proven.card)
    # The card that is decided about is there already, and is no reason against itself.
    others = [c for c in existing if (c.issuer_key, c.serial) != (proven.card.issuer_key, proven.card.serial)]
    looked_at = {**card.section.agency.policy, "name_mismatch": "provisional", "renewal_other_holder": "review"}
    policy = rules.Policy.from_knobs(looked_at)
    if card.succeeds is None:
        on = rules_now.astimezone(JST).date()
        reasons = rules.refusals_to_register(facts, proven.card, others, policy, authority_demo=proven.demo, on=on)
    else:
        old = card.succeeds
        if old.status != CardStatus.ACTIVE:
            raise Refused(refusal("R-155", status=CardStatus(old.status).label))
        reasons = rules.refusals_to_renew(
            facts,
            cards.read(bytes(old.certificate)),
            proven.card,
            others,
            policy,
            authority_demo=proven.demo,
            # It had come in time; how long the agency took to look at it costs the company nothing.
            at=card.registered_at,
        )
    if reasons:
        raise Refused(*reasons)


# -- 使用停止


@transaction.atomic
def close_card(*, section: Section, card_id: uuid.UUID, closing: Closing, now: datetime, salt: bytes) -> RegisteredCard:
    """Close a card at once, by an active card of the same company: one that was lost, or the very card that does it.

    The last one may be closed too. Nobody but the agency opens it again.

    :raises Refused: with the reason why the acting card may not act, R-153 when the card is not in use
    :raises RegisteredCard.DoesNotExist: when there is no such card of the acting card's company
    """
    card = _held(section, card_id)
    actor = queries.card_of(section=section, fingerprint=closing.fingerprint)
    if actor is None or actor.registration_id != card.registration_id:
        raise RegisteredCard.DoesNotExist
    operations.refuse_unless_active(actor.status)
    _close(card, now=now)
    _write_down(
        card,
        EventKind.CLOSED,
        Decision("", _reason(closing.reason) if closing.reason else ""),
        changes=_closed(),
        now=now,
        salt=salt,
        actor=actor,
        person_in_charge=closing.person_in_charge,
    )
    _announce_closed(card, now=now)
    return card


@transaction.atomic
def close_card_by_staff(
    *, section: Section, card_id: uuid.UUID, decision: Decision, now: datetime, salt: bytes
) -> RegisteredCard:
    """Close a card at once by the agency's word: for a company whose only card was lost.

    :raises Refused: R-152 without a reason, R-153 when the card is not in use
    """
    card = _held(section, card_id)
    _close(card, now=now)
    _write_down(card, EventKind.CLOSED, decision, changes=_closed(), now=now, salt=salt)
    _announce_closed(card, now=now)
    return card


def _close(card: RegisteredCard, *, now: datetime) -> None:
    _move(card, CardStatus.ACTIVE, CardStatus.CLOSED, code="R-153", ended_at=now)


def _closed() -> list[list[str]]:
    return [["状態", CardStatus.ACTIVE.label, CardStatus.CLOSED.label]]


def _announce_closed(card: RegisteredCard, *, now: datetime) -> None:
    operations.tell_company(
        kind="registration.card_closed",
        subject="ICカードの使用停止のお知らせ",
        letter="card_closed",
        card=card,
        now=now,
    )


@transaction.atomic
def reopen_card(
    *, section: Section, card_id: uuid.UUID, decision: Decision, rules_now: datetime, now: datetime, salt: bytes
) -> RegisteredCard:
    """Let a closed card be used again; only the agency does this, and every rule of 登録 is asked again.

    :raises Refused: R-152 without a reason, R-154 when it is not closed, and with every reason of trust and rulebook
    """
    card = _held(section, card_id)
    if card.status != CardStatus.CLOSED:
        raise Refused(refusal("R-154", status=CardStatus(card.status).label))
    proven = cards.check_still_good(der=bytes(card.certificate), audience="supplier", now=now)
    supplier = card.registration.supplier
    existing = queries.existing_cards(section=section, supplier=supplier, card=proven.card)
    # What it was before is no reason; where it is registered now is.
    reasons = rules.refusals_to_register(
        suppliers.facts(supplier),
        proven.card,
        [other for other in existing if other.active],
        rules.Policy.from_knobs({**section.agency.policy, "name_mismatch": "provisional"}),
        authority_demo=proven.demo,
        on=rules_now.astimezone(JST).date(),
    )
    if reasons:
        raise Refused(*reasons)
    _move(card, CardStatus.CLOSED, CardStatus.ACTIVE, code="R-154", ended_at=None)
    changes = [["状態", CardStatus.CLOSED.label, CardStatus.ACTIVE.label]]
    _write_down(card, EventKind.REOPENED, decision, changes=changes, now=now, salt=salt)
    operations.tell_company(
        kind="registration.card_reopened",
        subject="ICカードの使用停止の解除のお知らせ",
        letter="card_reopened",
        card=card,
        now=now,
    )
    return card


# -- 利用停止 of a company


@transaction.atomic
def halt_registration(*, section: Section, number: int, decision: Decision, now: datetime, salt: bytes) -> Registration:
    """Let none of the company's cards act, and none join it, by the agency's word; each card's own state stays what it is.

    :raises Refused: R-152 without a reason, S-953 when it is halted already
    :raises Registration.DoesNotExist: when there is none of this number
    """
    return _halt(section, number, decision, EventKind.HALTED, now=now, salt=salt)


@transaction.atomic
def resume_registration(
    *, section: Section, number: int, decision: Decision, now: datetime, salt: bytes
) -> Registration:
    """Let the company's cards act again, each as its own state has it.

    :raises Refused: R-152 without a reason, S-953 when it is not halted
    :raises Registration.DoesNotExist: when there is none of this number
    """
    return _halt(section, number, decision, EventKind.RESUMED, now=now, salt=salt)


def _halt(
    section: Section, number: int, decision: Decision, kind: EventKind, *, now: datetime, salt: bytes
) -> Registration:
    registration = queries.registration_in(section=section, number=number)
    if registration is None:
        raise Registration.DoesNotExist
    halts = kind == EventKind.HALTED
    operations.hold_registration(section, registration.supplier)
    before = Registration.objects.filter(id=number, halted_at__isnull=halts)
    if not before.update(halted_at=now if halts else None):
        raise Refused(refusal("S-953", state=IN_USE if not halts else EventKind.HALTED.label))
    registration.halted_at = now if halts else None
    states = [IN_USE, EventKind.HALTED.label]
    changes = [["利用者登録の状態", *(states if halts else states[::-1])]]
    _write_down_of_company(registration, kind, decision, changes=changes, now=now, salt=salt)
    if halts:
        operations.tell_registration(
            kind="registration.halted",
            subject="電子入札の利用停止のお知らせ",
            letter="registration_halted",
            registration=registration,
            now=now,
        )
    else:
        operations.tell_registration(
            kind="registration.resumed",
            subject="電子入札の利用停止の解除のお知らせ",
            letter="registration_resumed",
            registration=registration,
            now=now,
        )
    return registration


# -- common to all of them


def _move(
    card: RegisteredCard, before: CardStatus, after: CardStatus, *, code: str, ended_at: datetime | None = None
) -> None:
    """Change the status, if it still is what it must be.

    :raises Refused: `code` otherwise
    """
    changed = RegisteredCard.objects.filter(id=card.id, status=before).update(status=after, ended_at=ended_at)
    if not changed:
        raise Refused(refusal(code, status=CardStatus(queries.status_of(card)).label))
    card.status, card.ended_at = after, ended_at


def _reason(typed: str) -> str:
    try:
        cleaned = text.clean_text(typed, max_length=LONGEST_REASON)
    except text.InvalidText:
        cleaned = ""
    if not cleaned:
        raise Refused(refusal("R-152"))
    return cleaned


def _write_down(
    card: RegisteredCard,
    kind: EventKind,
    decision: Decision,
    *,
    changes: list[list[str]],
    now: datetime,
    salt: bytes,
    actor: RegisteredCard | None = None,
    person_in_charge: str = "",
) -> Event:
    """Write the deed into the ledger and into the company's history. No card signs it: the ledger says who did it."""
    event = Event(
        registration=card.registration,
        kind=kind,
        card=card,
        person_in_charge=person_in_charge,
        staff=decision.staff,
        reason=_reason(decision.reason) if decision.staff else decision.reason,
        changes=changes,
        at=now,
    )
    about = {
        "type": f"card-{kind.value}",
        "card_id": str(card.id),
        "certificate_fingerprint": card.fingerprint,
        "acting_certificate_fingerprint": actor.fingerprint if actor else "",
        "person_in_charge": person_in_charge,
    }
    return _enter(event, about, card.section, salt=salt)


def _write_down_of_company(
    registration: Registration,
    kind: EventKind,
    decision: Decision,
    *,
    changes: list[list[str]],
    now: datetime,
    salt: bytes,
) -> Event:
    """Write what befell the company as a whole into the ledger and into its history."""
    event = Event(
        registration=registration,
        kind=kind,
        staff=decision.staff,
        reason=_reason(decision.reason),
        changes=changes,
        at=now,
    )
    about = {"type": f"registration-{kind.value}", "company_id": registration.company_id}
    return _enter(event, about, registration.section, salt=salt)


def _enter(event: Event, about: dict[str, str], section: Section, *, salt: bytes) -> Event:
    document: dict[str, str | int] = {
        **about,
        "realm": settings.REALM,
        "origin": settings.SUPPLIER_ORIGIN,
        "agency_code": section.agency.code,
        "category": Category(section.category).label,
        "staff": event.staff,
        "reason": event.reason,
        "at": event.at.astimezone(JST).isoformat(timespec="seconds"),
    }
    entry = ledger.append(
        document=canonical.canonical_json(document), kind=f"registration.{event.kind}", at=event.at, salt=salt
    )
    event.id, event.ledger_entry, event.receipt = uuid.uuid4(), entry.id, ledger.receipt_for(entry)
    rows.insert(event)
    return event
