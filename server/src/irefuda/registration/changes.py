"""利用者変更 as transactions: what is registered now, what becomes of it, and the codes of new mail addresses (manual 1.3)."""

from __future__ import annotations

import hashlib
import hmac
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.template.loader import render_to_string
from django.urls import reverse

from irefuda.agencies.models import Category, Section
from irefuda.cards import operations as cards
from irefuda.ledger import operations as ledger
from irefuda.notices import operations as notices
from irefuda.notices import queries as notices_told
from irefuda.registration import operations, queries
from irefuda.registration.models import (
    CardStatus,
    Draft,
    DraftKind,
    Event,
    EventKind,
    RegisteredCard,
    Registration,
    UnverifiedAddress,
)
from irefuda.registration.operations import Answers, Presenter
from irefuda.suppliers import queries as suppliers
from irefuda.ui import rows
from irefuda_core import canonical, documents
from irefuda_core import registration as rules
from irefuda_core.refusal import Refused, refusal

BLOCKS = {"rep": "代表窓口情報", "card_office": "ICカード利用部署情報"}
COMPANY_ITEMS = queries.COMPANY_CHANGED_BY_USERS
# What 変更 changes: by the key of the document's field, the name under which a person finds it again.
LABELS = {field.key: field.label for field in documents.registration_change.fields if field.key in COMPANY_ITEMS} | {
    field.key: f"{field.section}の{field.label}"
    for block in BLOCKS
    for field in documents.registration_change.fields
    if field.key in {f"{block}_{name}" for name in operations.CONTACT_FIELDS}
}
CODE_LIFE, RESEND_AFTER = timedelta(hours=24), timedelta(minutes=1)
TRIES, RESENDS = 5, 5
# The code is good for a day; the address waits longer, because nobody can log in over a weekend or the turn of the year.
UNVERIFIED_KEPT = timedelta(days=14)
COUNT_CODE_TRY = f"""UPDATE registration_unverifiedaddress SET tries_left = tries_left - 1
WHERE registration_id = %s AND (card_id IS NULL OR card_id = %s) AND address = %s AND tries_left > 0 AND expires_at > %s
RETURNING {rows.columns(UnverifiedAddress)}"""  # noqa: S608 -- our own names


@dataclass(frozen=True, slots=True)
class State:
    """What is registered at this moment, as 変更 shows it."""

    card: RegisteredCard
    company: dict[str, str]
    # By block, the address that waits for its code.
    unverified: dict[str, UnverifiedAddress]

    @property
    def registration(self) -> Registration:
        return self.card.registration

    @property
    def based_on(self) -> str:
        """Return which state this is: it becomes another one with everything that changes."""
        return f"{self.registration.changes}-{self.card.changes}"

    @property
    def contacts(self) -> dict[str, dict[str, str]]:
        """Return both contact blocks as they count, by block."""
        return {"rep": dict(self.registration.representative or {}), "card_office": dict(self.card.office)}

    @property
    def answers(self) -> Answers:
        """Return what the form begins with: a mail address that waits for its code is what was asked for last."""
        wanted = self.contacts
        for block, waiting in self.unverified.items():
            wanted[block]["email"] = waiting.address
        return Answers(wanted["rep"], wanted["card_office"], self.company)


def state_of(card: RegisteredCard, *, now: datetime) -> State:
    """Return what is registered for this card and its company."""
    waiting = {_block_of(row): row for row in queries.unverified_of(card)}
    # A row that no code can come for any more is as good as none: the same address may be asked for again.
    living = {block: row for block, row in waiting.items() if not _spent(row, now)}
    return State(card, queries.company_of(card.registration), living)


def _spent(row: UnverifiedAddress, now: datetime) -> bool:
    return row.sent > RESENDS and (row.tries_left == 0 or row.expires_at <= now)


def values_of(answers: Answers) -> dict[str, str]:
    """Return what 変更 can change, by the key of the document's field."""
    company = answers.company or {}
    return {
        **{name: company[name] for name in COMPANY_ITEMS},
        **operations.contact_fields("rep", answers.representative),
        **operations.contact_fields("card_office", answers.office),
    }


def changes_made(state: State, answers: Answers) -> list[rules.Change]:
    """Return every item that becomes another one."""
    before, after = values_of(state.answers), values_of(answers)
    return [rules.Change(label, before[key], after[key]) for key, label in LABELS.items() if before[key] != after[key]]


def present_document(state: State, presenter: Presenter, *, person: str) -> documents.Document:
    """Return what is registered now in the form of the application, for 「利用者情報」."""
    registration, section = state.registration, state.card.section
    values = {
        **operations.company_fields(section, registration.supplier, state.company),
        **operations.contact_fields("rep", state.contacts["rep"]),
        **operations.card_fields(presenter),
        **operations.contact_fields("card_office", state.contacts["card_office"]),
        "person_in_charge": person,
    }
    return documents.Document(documents.registration_application, values)


# -- the draft


def keep_typed(
    *, card: RegisteredCard, typed: dict[str, str], based_on: str, now: datetime, document: str = ""
) -> None:
    """Store what was typed, right or wrong, with the state that its form was filled from and the document made of it."""
    draft = Draft(
        id=uuid.uuid4(),
        kind=DraftKind.CHANGE,
        fingerprint=card.fingerprint,
        section=card.section,
        supplier_id=card.registration.supplier_id,
        typed=operations.kept_of(typed),
        document=document,
        # It comes out of the form, so anybody may have written it.
        based_on=based_on[:24].replace("\0", ""),
        updated_at=now,
    )
    Draft.objects.bulk_create(
        [draft],
        update_conflicts=True,
        unique_fields=["fingerprint", "section", "kind"],
        update_fields=["supplier", "typed", "document", "based_on", "updated_at"],
    )


def prepare_change(
    *,
    state: State,
    presenter: Presenter,
    answers: Answers,
    typed: dict[str, str],
    based_on: str,
    rules_now: datetime,
    now: datetime,
) -> None:
    """Write the exact document that the card will be asked to sign into the draft, with what was typed.

    :raises Refused: R-141 when the form was filled from another state, R-142 when nothing changes, R-125 when register or
        certificate hold what no document can; what was typed is kept all the same
    """
    changes = changes_made(state, answers)
    reasons = rules.refusals_to_change(changes, based_on=based_on, current=state.based_on)
    document = "" if reasons else _document(state, presenter, answers, changes, rules_now)
    if document:
        try:
            documents.read_document(document.encode(), realm=settings.REALM, origin=settings.SUPPLIER_ORIGIN)
        except documents.UnknownDocument:
            document, reasons = "", [refusal("R-125")]
    keep_typed(card=state.card, typed=typed, based_on=based_on, now=now, document=document)
    if reasons:
        raise Refused(*reasons)


def _document(
    state: State, presenter: Presenter, answers: Answers, changes: Sequence[rules.Change], rules_now: datetime
) -> str:
    company = {**state.company, **{name: (answers.company or {})[name] for name in COMPANY_ITEMS}}
    values: dict[str, str | int] = {
        **operations.envelope_of(documents.registration_change, rules_now=rules_now),
        **operations.company_fields(state.card.section, state.registration.supplier, company),
        **operations.contact_fields("rep", answers.representative),
        **operations.card_fields(presenter),
        **operations.contact_fields("card_office", answers.office),
        "changes": joined(changes),
        "based_on": state.based_on,
        "company_id": state.card.company_id,
    }
    return canonical.canonical_json(values).decode()


def joined(changes: Sequence[rules.Change]) -> str:
    """Return the changes as the signed document says them."""
    return "／".join(map(str, changes))


def renew_document(*, draft: Draft, presenter: Presenter, rules_now: datetime, now: datetime) -> None:
    """Write the document anew in the name of who is logged in now.

    :raises Refused: R-144 when another window has changed the draft meanwhile
    """
    try:
        operations.renew_document(draft=draft, presenter=presenter, rules_now=rules_now, now=now)
    except Refused:
        raise Refused(refusal("R-144")) from None


# -- 「変更」


def change_registration(
    *,
    section: Section,
    presenter: Presenter,
    draft_id: uuid.UUID,
    jws: str,
    now: datetime,
    salt: bytes,
    codes: tuple[str, str],
) -> Event:
    """Change what is registered as the draft's signed document says; a draft that already did so returns that.

    `codes` are for a new mail address of 代表窓口 and of the ICカード利用部署.

    :raises Refused: with the reason; then nothing is written and the draft stays
    """
    fingerprint = presenter.card.fingerprint
    draft = queries.bare_draft_of(section=section, fingerprint=fingerprint, now=now, kind=DraftKind.CHANGE)
    if draft is None or draft.id != draft_id or not draft.document:
        return _already_done(section, fingerprint, draft_id)
    cards.check_signature(
        jws_text=jws,
        fingerprint=fingerprint,
        payload=draft.document.encode(),
        typ=documents.registration_change.typ(settings.REALM),
        audience="supplier",
        now=now,
    )
    return _change(section, presenter, draft, jws, now, salt, codes)


def _already_done(section: Section, fingerprint: str, draft_id: uuid.UUID) -> Event:
    done = queries.event_from_draft(section=section, draft_id=draft_id, fingerprint=fingerprint)
    if done is None:
        raise Refused(refusal("R-144"))
    return done


@transaction.atomic
def _change(
    section: Section, presenter: Presenter, draft: Draft, jws: str, now: datetime, salt: bytes, codes: tuple[str, str]
) -> Event:
    if not operations.use_up(draft):
        return _already_done(section, presenter.card.fingerprint, draft.id)
    document = {key: str(value) for key, value in canonical.parse_canonical(draft.document.encode()).items()}
    if document["person_in_charge"] != presenter.person_in_charge:
        # Somebody else has logged in with this card since it was shown; the ledger must name who signed.
        raise Refused(refusal("R-143"))
    card = queries.card_of(section=section, fingerprint=presenter.card.fingerprint)
    if card is None:
        raise Refused(refusal("R-120"))
    operations.refuse_unless_active(card.standing)
    state = state_of(card, now=now)
    register = operations.company_fields(section, state.registration.supplier, state.company)
    if any(document[name] != value for name, value in register.items() if name not in COMPANY_ITEMS):
        raise Refused(refusal("R-116"))
    answers = Answers(
        operations.contact_of(document, "rep"),
        operations.contact_of(document, "card_office"),
        {name: document[name] for name in COMPANY_ITEMS},
    )
    changes = changes_made(state, answers)
    if document["based_on"] != state.based_on or document["changes"] != joined(changes):
        raise Refused(refusal("R-141"))
    write(state, answers)
    addresses = _ask_for_codes(state, answers, codes=codes, now=now)
    entry = ledger.append(document=jws.encode(), kind="registration.changed", at=now, salt=salt)
    event = Event.objects.create(
        id=uuid.uuid4(),
        registration=state.registration,
        kind=EventKind.CHANGED,
        card=card,
        person_in_charge=document["person_in_charge"],
        changes=[[change.label, change.before, change.after] for change in changes],
        document=jws,
        ledger_entry=entry.id,
        receipt=ledger.receipt_for(entry),
        draft=draft.id,
        at=now,
    )
    _announce(state, addresses, now=now)
    return event


def write(state: State, answers: Answers) -> None:
    """Write what counts at once, if the state is still the one that was read: the row counts decide.

    :raises Refused: R-141 otherwise; in the caller's transaction
    """
    registration, card = state.registration, state.card
    before, after, counts = values_of(state.answers), values_of(answers), state.contacts
    changed = {key for key in LABELS if before[key] != after[key]}
    register = suppliers.company_shown(registration.supplier)
    overrides = {name: {"value": after[name], "register": register[name]} for name in COMPANY_ITEMS if name in changed}
    # A new mail address does not count yet.
    office = {**answers.office, "email": counts["card_office"]["email"]}
    mine = {key for key in changed if key.startswith("card_office_")}
    of_card, of_company = bool(mine), changed != mine
    # Also where only the card's part changes: nothing may become of the company's part between reading and commit.
    company = {
        "representative": {**answers.representative, "email": counts["rep"]["email"]},
        "company_changes": {**registration.company_changes, **overrides},
    }
    held = Registration.objects.filter(id=registration.id, changes=registration.changes, halted_at=None).update(
        changes=F("changes") + int(of_company), **(company if of_company else {})
    )
    kept = RegisteredCard.objects.filter(id=card.id, changes=card.changes, status=CardStatus.ACTIVE).update(
        changes=F("changes") + int(of_card), **({"office": office} if of_card else {})
    )
    if not (held and kept):
        raise Refused(refusal("R-141"))


# -- new mail addresses


def _own_unverified(card: RegisteredCard) -> QuerySet[UnverifiedAddress]:
    mine = Q(card=None) | Q(card=card)
    return UnverifiedAddress.objects.filter(mine, registration_id=card.registration_id)


def _ask_for_codes(state: State, answers: Answers, *, codes: tuple[str, str], now: datetime) -> list[str]:
    """Let every new mail address wait for its code, and send it; return those addresses."""
    typed = {"rep": answers.representative["email"], "card_office": answers.office["email"]}
    # One address for both has one code, and gets one mail.
    code_of = {typed["card_office"]: codes[1], typed["rep"]: codes[0]}
    asked: list[str] = []
    for block, address in typed.items():
        if block in state.unverified and state.unverified[block].address == address:
            continue
        card = None if block == "rep" else state.card
        UnverifiedAddress.objects.filter(registration=state.registration, card=card).delete()
        if address == state.contacts[block]["email"]:
            continue
        UnverifiedAddress.objects.create(
            registration=state.registration,
            card=card,
            address=address,
            code_sha256=_digest(state.registration.id, block, address, code_of[address]),
            tries_left=TRIES,
            sent_at=now,
            expires_at=now + CODE_LIFE,
        )
        if address not in asked:
            asked.append(address)
            _send_code(state.card, address, code_of[address], now)
    return asked


def _digest(registration_id: int, block: str, address: str, code: str) -> str:
    # Without the card: ICカード更新 hands over what waits.
    return hashlib.sha256(f"{registration_id} {block} {address} {code}".encode()).hexdigest()


def _digest_of(row: UnverifiedAddress, code: str) -> str:
    return _digest(row.registration_id, _block_of(row), row.address, code)


def _block_of(row: UnverifiedAddress) -> str:
    return "rep" if row.card_id is None else "card_office"


def _send_code(card: RegisteredCard, address: str, code: str, now: datetime) -> None:
    agency, category = card.section.agency, Category(card.section.category)
    page = settings.SUPPLIER_ORIGIN + reverse("change-address", args=[agency.code, category])
    notices.enqueue(
        kind="registration.address_code",
        to=address,
        subject="メールアドレスの確認コード",
        body=_letter("registration_address_code", card, code=code, page=page),
        at=now,
        sender=agency.system_email,
        # In nobody's inbox: who could read the code there would prove nothing about the address.
        inbox="",
    )


def verify_address(
    *, card: RegisteredCard, presenter: Presenter, address: str, code: str, now: datetime
) -> Event | None:
    """Let a mail address count whose code this is; None when it does not wait for one (any more).

    Several blocks that wait with the same address are done together: what is proven is the address.

    :raises Refused: R-145 for a wrong code, R-146 when it was wrong too often, R-147 when its time is over, R-141 when
        another 変更 replaced the address in this very moment, and why the card may not act when it was stopped in that
    """
    tried = _count_code_try(card, address, now)
    if not tried:
        waiting = list(_own_unverified(card).filter(address=address))
        if not waiting:
            return None
        raise Refused(refusal("R-147" if waiting[0].expires_at <= now else "R-146"))
    if not any(hmac.compare_digest(row.code_sha256, _digest_of(row, code)) for row in tried):
        left = max(row.tries_left for row in tried)
        raise Refused(refusal("R-145", left=left) if left else refusal("R-146"))
    return _let_count(card, presenter, tried, now)


def _count_code_try(card: RegisteredCard, address: str, now: datetime) -> list[UnverifiedAddress]:
    """Count one try before it is judged, and return the rows that it is judged against."""
    values = [card.registration_id, queries.uuid_value(card.id), address, now]
    # Durable: a try must stay counted whatever becomes of the request.
    with transaction.atomic(durable=True):
        return rows.fetch(UnverifiedAddress, COUNT_CODE_TRY, values)


@transaction.atomic
def _let_count(card: RegisteredCard, presenter: Presenter, proven: list[UnverifiedAddress], now: datetime) -> Event:
    address = proven[0].address
    blocks = {_block_of(row) for row in proven}
    old: dict[str, str] = {}
    # The company's row before the card's, and both before those of the addresses, as 「変更」 and ICカード更新 take them.
    Registration.objects.filter(id=card.registration_id).update(changes=F("changes") + int("rep" in blocks))
    # Nobody closes the card or halts the company from here on; who had done so before is seen now.
    standing = queries.card_standing(section=card.section, fingerprint=card.fingerprint)
    operations.refuse_unless_active(standing or CardStatus.CLOSED)
    if "rep" in blocks:
        registration = Registration.objects.get(id=card.registration_id)
        old["rep"] = registration.representative_email
        representative = {**(registration.representative or {}), "email": address}
        Registration.objects.filter(id=registration.id).update(representative=representative)
    if "card_office" in blocks:
        mine = RegisteredCard.objects.filter(id=card.id, status=CardStatus.ACTIVE)
        if not mine.update(changes=F("changes") + 1):
            raise Refused(refusal("R-141"))
        office = dict(mine.values_list("office", flat=True).get())
        old["card_office"] = office["email"]
        mine.update(office={**office, "email": address})
    deleted, _ = UnverifiedAddress.objects.filter(id__in=[row.id for row in proven], address=address).delete()
    if deleted != len(proven):
        raise Refused(refusal("R-141"))
    event = Event.objects.create(
        id=uuid.uuid4(),
        registration_id=card.registration_id,
        kind=EventKind.ADDRESS_VERIFIED,
        card=card,
        person_in_charge=presenter.person_in_charge,
        changes=[[LABELS[f"{block}_email"], before, address] for block, before in old.items()],
        at=now,
    )
    # One address that was both is told once.
    for before, block in {before: block for block, before in old.items()}.items():
        notices.enqueue(
            kind="registration.address_verified",
            to=before,
            subject="連絡先メールアドレスが変わりました",
            body=_letter("registration_address_verified", card),
            at=now,
            sender=card.section.agency.system_email,
            inbox=card.company_id if block == "rep" else card.fingerprint,
        )
    return event


def send_code_again(*, card: RegisteredCard, address: str, code: str, now: datetime) -> None:
    """Send a new code to a mail address that waits for one; the former code is good no more.

    :raises Refused: R-148 within a minute of the last one, R-149 when that was the last one
    """
    with transaction.atomic():
        waiting = list(_own_unverified(card).filter(address=address))
        renewed = 0
        for row in waiting:
            renewed += UnverifiedAddress.objects.filter(
                id=row.id, address=address, sent__lte=RESENDS, sent_at__lte=now - RESEND_AFTER
            ).update(
                code_sha256=_digest_of(row, code),
                tries_left=TRIES,
                sent=F("sent") + 1,
                sent_at=now,
                expires_at=now + CODE_LIFE,
            )
        if renewed:
            _send_code(card, address, code, now)
        elif waiting:
            raise Refused(refusal("R-148") if waiting[0].sent <= RESENDS else refusal("R-149", limit=RESENDS))


def purge_unverified(*, now: datetime) -> int:
    """Delete the mail addresses whose last code ran out two weeks ago, and return how many."""
    deleted, _ = UnverifiedAddress.objects.filter(expires_at__lte=now - UNVERIFIED_KEPT).delete()
    return deleted


# -- who is told


def _announce(state: State, new_addresses: Sequence[str], *, now: datetime) -> None:
    """Queue 「利用者変更のお知らせ」 to the addresses that count, to every card's inbox, and to the new addresses."""
    card, subject = state.card, "利用者変更のお知らせ"
    operations.tell_company(
        kind="registration.changed", subject=subject, letter="registration_changed", card=card, now=now, unproven=False
    )
    for to in new_addresses:
        notices.enqueue(
            kind="registration.changed",
            to=to,
            subject=subject,
            body=_letter("registration_changed", card, unproven=True),
            at=now,
            sender=card.section.agency.system_email,
            inbox=card.company_id,
        )


def _letter(name: str, card: RegisteredCard, **context: object) -> str:
    return render_to_string(f"registration/mail/{name}.txt", {"card": card, "agency": card.section.agency, **context})


def undelivered(state: State) -> list[str]:
    """Return which of the addresses of 代表窓口 and of this card, counting or new, the last mail did not reach."""
    inboxes = (state.card.fingerprint, state.card.company_id)
    addresses = [contact["email"] for contact in state.contacts.values()]
    addresses += [row.address for row in state.unverified.values()]
    return notices_told.undelivered(inboxes=inboxes, addresses=list(dict.fromkeys(addresses)))
