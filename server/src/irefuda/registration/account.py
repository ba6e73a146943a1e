"""マイページ: what a card's holder has across 調達機関 and 区分, and what to do with it from there."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Section
from irefuda.cards import queries as cards
from irefuda.notices.queries import Inbox
from irefuda.registration import operations, queries
from irefuda.registration.models import CardStatus, Draft, Event, EventKind, RegisteredCard
from irefuda_core import text
from irefuda_core.card_life import WARNING_DAYS, days_left
from irefuda_core.refusal import Refused, refusal
from irefuda_core.registration import company_id

ENDED = (CardStatus.REPLACED, CardStatus.CLOSED)
# So many lines of history stand on the page, of all registrations together.
HISTORY_SHOWN = 200
NOBODY_NAMED = "記載なし"
# Every card of the companies of a card. Plain SQL, for the start page asks it, and to build it takes longer than to answer it.
BESIDE = """SELECT card.id, card.succeeds_id, card.fingerprint, card.status, card.registration_id, section.category, agency.code
FROM registration_registeredcard own
JOIN registration_registeredcard card ON card.registration_id = own.registration_id
JOIN agencies_section section ON section.id = card.section_id
JOIN agencies_agency agency ON agency.id = section.agency_id
WHERE own.fingerprint = %s"""


@dataclass(frozen=True, slots=True)
class CardLine:
    """One card of a company as マイページ shows it."""

    card: RegisteredCard
    own: bool
    issuer: str
    days_left: int

    @property
    def usable(self) -> bool:
        return self.card.status == CardStatus.ACTIVE

    @property
    def expires_soon(self) -> bool:
        return self.usable and self.days_left <= max(WARNING_DAYS)


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One thing that happened to a registration: when, what, with which card, by whom."""

    at: datetime
    what: str
    # None for what befell the company as a whole.
    card: RegisteredCard | None
    by: str
    reason: str = ""
    changed: tuple[str, ...] = ()
    # Of a 利用者変更 that this very card signed, whose receipt it may have.
    signed_change: uuid.UUID | None = None


@dataclass(slots=True)
class Holding:
    """One section in which the card is or was registered; what is the company's is there for an active card only."""

    section: Section
    own: CardLine
    cards: list[CardLine] = field(default_factory=list)
    history: list[HistoryLine] = field(default_factory=list)

    @property
    def active(self) -> bool:
        return self.own.usable


@dataclass(frozen=True, slots=True)
class Account:
    """Everything on マイページ."""

    holdings: list[Holding]
    history_is_cut: bool

    @property
    def active(self) -> list[Holding]:
        """Return where the card may act."""
        return [holding for holding in self.holdings if holding.active]

    @property
    def has_inbox(self) -> bool:
        """Return whether the card has not ended everywhere (see `inbox_of`)."""
        return any(holding.own.card.status not in ENDED for holding in self.holdings)

    @property
    def expiring(self) -> list[tuple[Section, CardLine]]:
        """Return the company's cards that end within ninety days or have ended, the own one once."""
        found: dict[str, tuple[Section, CardLine]] = {}
        for holding in self.active:
            for line in holding.cards:
                if line.expires_soon:
                    found.setdefault(line.card.fingerprint, (holding.section, line))
        return sorted(found.values(), key=lambda one: (not one[1].own, one[1].days_left))


class _Beside(NamedTuple):
    """What an inbox needs of one card; the ids are as the engine gives them."""

    id: object
    succeeds_id: object
    fingerprint: str
    status: str
    registration_id: int
    category: str
    agency_code: str


def inbox_of(*, fingerprint: str) -> Inbox:
    """Return what the holder of this card may read: notices to the card, to cards whose place it took, to its companies.

    A card that was not taken (不受理) may read why; one that was replaced or closed may be in anybody's hands.

    :raises Refused: R-161 when the card is registered nowhere; R-121 or R-122 when it was, and has ended everywhere
    """
    with connection.cursor() as cursor:
        cursor.execute(BESIDE, [fingerprint])
        cards_beside = [_Beside(*row) for row in cursor.fetchall()]
    own = [card for card in cards_beside if card.fingerprint == fingerprint]
    if not own:
        raise Refused(refusal("R-161"))
    if all(card.status in ENDED for card in own):
        replaced = any(card.status == CardStatus.REPLACED for card in own)
        raise Refused(refusal("R-121" if replaced else "R-122"))
    by_id = {card.id: card for card in cards_beside}
    readers, companies = {fingerprint}, set[str]()
    for card in own:
        if card.status != CardStatus.ACTIVE:
            continue
        companies.add(company_id(card.agency_code, card.category, card.registration_id))
        before = card.succeeds_id
        while before is not None and (earlier := by_id.get(before)):
            readers.add(earlier.fingerprint)
            before = earlier.succeeds_id
    return Inbox(keys=frozenset(readers | companies), readers=frozenset(readers))


def account_of(*, fingerprint: str, now: datetime) -> Account:
    """Return every registration of this card; for an active one also the company's cards and its history.

    :raises Refused: R-161 when the card is registered nowhere
    """
    own = own_cards(fingerprint)
    if not own:
        raise Refused(refusal("R-161"))
    active = [card.registration_id for card in own if card.status == CardStatus.ACTIVE]
    names = _authority_names()
    company: dict[int, list[RegisteredCard]] = defaultdict(list)
    for card in _companys_cards(active):
        company[card.registration_id].append(card)
    holdings = []
    for card in own:
        holding = Holding(card.section, _line(card, names, fingerprint, now))
        if holding.active:
            lines = [_line(one, names, fingerprint, now) for one in company[card.registration_id]]
            holding.cards = sorted(
                lines, key=lambda line: (not line.own, not line.usable, -line.card.registered_at.timestamp())
            )
            holding.history = [_registered(one) for one in company[card.registration_id] if one.succeeds_id is None]
        holdings.append(holding)
    by_registration = {holding.own.card.registration_id: holding for holding in holdings if holding.active}
    events = list(_events(active))
    spoke = {card.id for cards_of in company.values() for card in cards_of}
    for event in events[:HISTORY_SHOWN]:
        if event.card_id is None or event.card_id in spoke:
            by_registration[event.registration_id].history.append(_happened(event, fingerprint))
    for holding in holdings:
        holding.history.sort(key=lambda line: line.at, reverse=True)
    return Account(sorted(holdings, key=lambda h: not h.active), history_is_cut=len(events) > HISTORY_SHOWN)


def own_cards(fingerprint: str) -> list[RegisteredCard]:
    """Return this card's registration in every section, by section: the living one, or else the newest."""
    found: dict[int, RegisteredCard] = {}
    rows = RegisteredCard.objects.filter(fingerprint=fingerprint).select_related("registration__supplier")
    for card in rows.defer("application", "receipt", "handover", "certificate").order_by("registered_at"):
        kept = found.get(card.section_id)
        if kept is None or card.status in queries.LIVING or kept.status not in queries.LIVING:
            found[card.section_id] = card
    own = []
    for section in agencies.sections():
        if section.id in found:
            card = found[section.id]
            card.section = card.registration.section = card.registration.supplier.section = section
            own.append(card)
    return own


def _companys_cards(registrations: Sequence[int]) -> Iterable[RegisteredCard]:
    """Return the cards that speak or spoke for these companies: any other one may be a stranger's."""
    rows = RegisteredCard.objects.filter(registration_id__in=registrations, status__in=[CardStatus.ACTIVE, *ENDED])
    return rows.only(
        "registration_id", "section_id", "issuer_key", "serial", "fingerprint", "holder_name", "expires_at", "status",
        "person_in_charge", "registered_at", "ended_at", "succeeds_id",
    )  # fmt: skip


def _events(registrations: Sequence[int]) -> Iterable[Event]:
    rows = Event.objects.filter(registration_id__in=registrations).select_related("card")
    shown = rows.only(
        "registration_id", "kind", "person_in_charge", "staff", "reason", "changes", "at", "card__holder_name",
        "card__fingerprint",
    )  # fmt: skip
    return shown.order_by("-at", "id")[: HISTORY_SHOWN + 1]


def _authority_names() -> dict[str, str]:
    authorities = cards.trust_snapshot("supplier").authorities
    return {key: authority.name for authority in authorities for key in authority.issuer_keys}


def _line(card: RegisteredCard, names: dict[str, str], fingerprint: str, now: datetime) -> CardLine:
    issuer = names.get(card.issuer_key, "")
    return CardLine(card, card.fingerprint == fingerprint, issuer, days_left(card.expires_at, now=now))


def _registered(card: RegisteredCard) -> HistoryLine:
    return HistoryLine(card.registered_at, "登録", card, card.person_in_charge or NOBODY_NAMED)


def _happened(event: Event, fingerprint: str) -> HistoryLine:
    # Which member of staff it was is the agency's business.
    by = "調達機関の職員" if event.staff else event.person_in_charge or NOBODY_NAMED
    changed = tuple(dict.fromkeys(str(name) for name, _, _ in event.changes))
    own = event.kind == EventKind.CHANGED and event.card is not None and event.card.fingerprint == fingerprint
    return HistoryLine(
        event.at,
        event.get_kind_display(),
        event.card,
        by,
        event.reason,
        changed,
        signed_change=event.id if own else None,
    )


@dataclass(frozen=True, slots=True)
class Source:
    """A registration whose data may be used for the next one."""

    card: RegisteredCard

    def lookup_for(self, section: Section) -> dict[str, str]:
        """Return what 資格審査情報検索 is filled with; a 業者番号 is known within its own 調達機関 only."""
        supplier = self.card.registration.supplier
        same_agency = self.card.section.agency_id == section.agency_id
        return {"supplier_number": supplier.supplier_number if same_agency else "", "name": supplier.name}


def sources(fingerprint: str) -> tuple[list[Source], list[Section]]:
    """Return the registrations that this card may take data from, and the sections in which it is not registered yet.

    :raises Refused: R-161 when the card is registered nowhere; R-162 when none of its registrations is active
    """
    own = own_cards(fingerprint)
    if not own:
        raise Refused(refusal("R-161"))
    known = [Source(card) for card in own if card.status == CardStatus.ACTIVE]
    if not known:
        raise Refused(refusal("R-162"))
    taken = {card.section_id for card in own if card.status in queries.LIVING}
    return known, [section for section in agencies.sections() if section.id not in taken]


def carry_over(*, draft: Draft, fingerprint: str, card_id: uuid.UUID, now: datetime) -> None:
    """Fill an empty draft with the contacts of another registration of this card, as if they had been typed.

    Nothing is filled in when that registration is not this card's own and active, or another company's.
    """
    if draft.typed:
        return
    source = next((card for card in own_cards(fingerprint) if card.id == card_id), None)
    if source is None or source.status != CardStatus.ACTIVE:
        return
    if not text.accepts(text.match_names(source.registration.supplier.name, draft.supplier.name)):
        return
    blocks = {"rep": source.registration.representative or {}, "card_office": source.office}
    typed = {
        f"{prefix}-{name}": str(contact[name])
        for prefix, contact in blocks.items()
        for name in operations.CONTACT_FIELDS
        if contact.get(name)
    }
    typed |= {f"{name}_again": value for name, value in typed.items() if name.endswith("-email")}
    operations.keep_typed(draft=draft, typed=typed, now=now)


@dataclass(frozen=True, slots=True)
class Closing:
    """What 「ICカードの使用を止める」 is about, before anybody has pressed the button."""

    line: CardLine
    # Whether no card of the company would be left that may act in this section.
    is_last: bool
    has_drafts: bool


def closing_of(*, own: RegisteredCard, card_id: uuid.UUID, now: datetime) -> Closing | None:
    """Return what closing this card of the own card's company would mean, or None when it is not a card of this company."""
    company = {card.id: card for card in _companys_cards([own.registration_id])}
    card = company.get(card_id)
    if card is None:
        return None
    card.section = own.section
    line = _line(card, _authority_names(), own.fingerprint, now)
    left = [one for one in company.values() if one.id != card_id and one.status == CardStatus.ACTIVE]
    # One that has expired keeps nobody in.
    left = [one for one in left if one.expires_at > now]
    drafts = Draft.objects.filter(section=own.section, fingerprint=card.fingerprint)
    return Closing(line, not left, drafts.exists())


def closed_card(*, section: Section, fingerprint: str, card_id: uuid.UUID) -> RegisteredCard | None:
    """Return a closed card to its own holder and to the company's active cards; to everybody else it is not there."""
    card = queries.card_of_section(section=section, card_id=card_id)
    if card is None or card.status != CardStatus.CLOSED:
        return None
    own = queries.card_of(section=section, fingerprint=fingerprint)
    if own is None or own.registration_id != card.registration_id:
        return None
    return card if own.id == card.id or own.status == CardStatus.ACTIVE else None
