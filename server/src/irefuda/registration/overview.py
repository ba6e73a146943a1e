"""What staff see of registrations: those that were found, one of them whole, and the cards that wait for a word (確認待ち)."""

from __future__ import annotations

import re
import uuid
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from irefuda.agencies.models import Agency, Section
from irefuda.cards import operations as cards
from irefuda.cards import queries as trust
from irefuda.ledger import queries as ledger
from irefuda.notices.models import Bounce, Notice
from irefuda.registration import queries
from irefuda.registration.models import (
    CardStatus,
    Event,
    EventKind,
    RegisteredCard,
    Registration,
    UnverifiedAddress,
)
from irefuda.staff import inspection
from irefuda.suppliers import queries as suppliers
from irefuda.suppliers import search
from irefuda_core import jws, text
from irefuda_core.card_life import days_left
from irefuda_core.certificate import CardCertificate, fingerprint_of, shown
from irefuda_core.refusal import Refusal, Refused

PAGE = 50
# So far the number of what was found is told; nobody reads on beyond it.
COUNTED = 1000
# A word that stands in more names than these finds the first of them.
NAMES = 5000
LONGEST_QUERY = 100
LATEST = 50
STATES = {
    "active": "有効なICカードがある",
    "provisional": "確認待ち（仮登録）のICカードがある",
    "closed": "使用停止のICカードがある",
    "rejected": "不受理のICカードがある",
    "halted": "利用停止中",
}
# What no list needs of a card, and every card has a lot of.
HEAVY = ("certificate", "application", "receipt", "handover")
DOUBTS = {
    "name": "証明書の企業名称が、名簿の商号と違います。",
    "approval": "この調達機関では、登録の前に契約課の確認が要ります。",
    "holder": "新しいICカードの取得者が、更新前のICカードの取得者と違います。",
    "revoked": "更新前のICカードが失効しています。拾った人や盗んだ人が申し込んだのかもしれません。",
}
DECIDED = (EventKind.APPROVED, EventKind.REJECTED)


# -- 利用者登録の検索


@dataclass(frozen=True, slots=True)
class Line:
    """One registration in a list: how many of its cards stand how, and when the last one in use ends."""

    registration: Registration
    cards: list[tuple[str, int]]
    last_end: datetime | None


@dataclass(frozen=True, slots=True)
class Found:
    """The first registrations that were found. `total` is exact up to COUNTED."""

    lines: list[Line]
    total: int
    # The number after which the next page begins, or None on the last one.
    next_after: int | None

    @property
    def too_many(self) -> bool:
        """Return whether there are more than anybody counts."""
        return self.total > COUNTED


def find(*, section: Section, typed: str = "", state: str = "", after: int = 0) -> Found:
    """Return the registrations whose 企業ID, 業者番号, name, reading or card's serial number was typed, by 企業ID."""
    found = _in_state(Registration.objects.filter(section=section), section, state)
    if typed.strip():
        found = found.filter(_named(section, typed[:LONGEST_QUERY]))
    total = found.order_by()[: COUNTED + 1].count()
    rows = list(found.filter(id__gt=after).select_related("supplier").order_by("id")[: PAGE + 1])
    for row in rows:
        row.section = row.supplier.section = section
    more = rows[PAGE - 1].id if len(rows) > PAGE else None
    return Found(_lines(rows[:PAGE]), total, more)


def _in_state(found: QuerySet[Registration], section: Section, state: str) -> QuerySet[Registration]:
    if state == "halted":
        return found.exclude(halted_at=None)
    cards_of = RegisteredCard.objects.filter(section=section, status=state)
    if state == CardStatus.ACTIVE:
        # Nearly every company has one: the first fifty are found at once by asking each of them.
        return found.filter(Exists(cards_of.filter(registration=OuterRef("id"))))
    if state in STATES:
        # Few companies have one, and an index knows the cards.
        return found.filter(id__in=cards_of.values("registration_id"))
    return found


def _named(section: Section, typed: str) -> Q:
    words = text.search_words(typed)
    by_name = [
        *search.ids(section_id=section.id, words=words, limit=NAMES),
        *search.ids(section_id=section.id, words=words, limit=NAMES, ended=True),
    ]
    named = Q(supplier__in=by_name)
    word = text.to_half_width("".join(words)).upper() if len(words) == 1 else ""
    if re.fullmatch(r"[0-9A-Z]{1,9}", word):
        # A range instead of LIKE: every engine reads it from the unique index, whatever the database's collation.
        begins = Q(supplier__supplier_number__gte=word, supplier__supplier_number__lte=word.ljust(9, "Z"))
        named |= begins | Q(supplier__supplier_number=word.zfill(9))
    if re.fullmatch(r"[0-9]{15}", word) and word[:5] == f"{section.agency.code}{section.category}":
        named |= Q(id=int(word[5:]))
    if re.fullmatch(r"[0-9]{1,50}", word):
        serials = RegisteredCard.objects.filter(section=section, serial=word)
        named |= Q(id__in=serials.values("registration_id"))
    return named


def _lines(registrations: Sequence[Registration]) -> list[Line]:
    counts: dict[int, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    ends: dict[int, datetime] = {}
    rows = RegisteredCard.objects.filter(registration__in=registrations)
    for number, status, expires_at in rows.values_list("registration_id", "status", "expires_at"):
        counts[number][status] += 1
        if status == CardStatus.ACTIVE:
            ends[number] = max(expires_at, ends.get(number, expires_at))
    return [
        Line(
            registration,
            [
                (status.label, counts[registration.id][status])
                for status in CardStatus
                if counts[registration.id][status]
            ],
            ends.get(registration.id),
        )
        for registration in registrations
    ]


# -- one registration


@dataclass(frozen=True, slots=True)
class CardLine:
    """One card of a company; the names of people are "" for who must not see them."""

    id: uuid.UUID
    serial: str
    issuer: str
    status: CardStatus
    registered_at: datetime
    ended_at: datetime | None
    expires_at: datetime
    days_left: int
    doubts: list[str]
    # The serial number of the card whose place this one took or wants.
    succeeds: str
    holder: str
    person_in_charge: str
    office: dict[str, str]

    @property
    def waits(self) -> bool:
        """Return whether somebody has to decide about it."""
        return self.status == CardStatus.PROVISIONAL

    @property
    def may_close(self) -> bool:
        """Return whether staff may stop it (使用停止)."""
        return self.status == CardStatus.ACTIVE

    @property
    def may_reopen(self) -> bool:
        """Return whether staff may let it be used again."""
        return self.status == CardStatus.CLOSED


@dataclass(frozen=True, slots=True)
class Mail:
    """One notice to the company, and whether it arrived; `to` is "" for who must not see it."""

    at: datetime
    subject: str
    state: str
    # What mail servers said, as RFC 3463 codes: their words may name the address.
    codes: list[str]
    to: str


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened to a registration; what people wrote and who they are is "" for who must not see it."""

    id: uuid.UUID
    at: datetime
    what: str
    serial: str
    by: str
    reason: str
    changes: list[list[str]]
    signed: bool


@dataclass(frozen=True, slots=True)
class Item:
    """One item of 企業情報: as it counts, and what the register says where that is something else."""

    label: str
    value: str
    register: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One registration as staff see it. `personal` says whether it tells of people: addresses, telephones, names."""

    registration: Registration
    personal: bool
    company: list[Item] = field(default_factory=list)
    representative: dict[str, str] = field(default_factory=dict)
    cards: list[CardLine] = field(default_factory=list)
    events: list[Happened] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    # How many new mail addresses wait for their code, and for whose eyes it is, which.
    unverified: list[str] = field(default_factory=list)


COMPANY_LABELS = {
    "company_name": "企業名称",
    "company_postal_code": "企業郵便番号",
    "company_address": "企業住所",
    "representative_name": "代表者氏名",
    "representative_title": "代表者役職",
    "representative_phone": "代表電話番号",
    "representative_fax": "代表FAX番号",
    "qualifications": "資格の種類",
    "branch_name": "支店名等",
}


def sheet(registration: Registration, *, personal: bool, now: datetime) -> Sheet:
    """Return everything that is kept of a registration; without `personal`, nothing that tells of people."""
    issuers = authority_names()
    rows = RegisteredCard.objects.filter(registration=registration).defer(*HEAVY).order_by("-registered_at")
    of_company = list(rows)
    serials = {card.id: card.serial for card in of_company}
    return Sheet(
        registration=registration,
        personal=personal,
        company=_company(registration) if personal else [],
        representative=dict(registration.representative or {}) if personal else {},
        cards=[_card(card, issuers, serials, personal=personal, now=now) for card in of_company],
        events=[_happened(event, serials, personal=personal) for event in _events(registration)],
        mails=_mails(registration, of_company, personal=personal),
        unverified=[row.address if personal else "" for row in _unverified(registration)],
    )


def authority_names() -> dict[str, str]:
    """Return the name of each accepted authority by the key of its issuers."""
    authorities = trust.trust_snapshot("supplier").authorities
    return {key: authority.name for authority in authorities for key in authority.issuer_keys}


def _company(registration: Registration) -> list[Item]:
    register = suppliers.company_shown(registration.supplier)
    counts = queries.company_of(registration)
    return [
        Item(label, counts[name], register[name] if register[name] != counts[name] else "")
        for name, label in COMPANY_LABELS.items()
        if name != "qualifications" or counts[name]
    ]


def _card(
    card: RegisteredCard, issuers: dict[str, str], serials: dict[uuid.UUID, str], *, personal: bool, now: datetime
) -> CardLine:
    return CardLine(
        id=card.id,
        serial=card.serial,
        issuer=issuers.get(card.issuer_key, ""),
        status=CardStatus(card.status),
        registered_at=card.registered_at,
        ended_at=card.ended_at,
        expires_at=card.expires_at,
        days_left=days_left(card.expires_at, now=now),
        doubts=[DOUBTS[doubt] for doubt in card.doubts],
        succeeds=serials.get(card.succeeds_id, "") if card.succeeds_id else "",
        holder=shown(card.holder_name) if personal else "",
        person_in_charge=card.person_in_charge if personal else "",
        office=dict(card.office) if personal else {},
    )


def _events(registration: Registration) -> list[Event]:
    found = Event.objects.filter(registration=registration).defer("document", "receipt").order_by("-at", "id")
    return list(found[: queries.HISTORY_SHOWN])


def _happened(event: Event, serials: dict[uuid.UUID, str], *, personal: bool) -> Happened:
    by = "職員" if event.staff else "利用者"
    named = event.staff or event.person_in_charge
    return Happened(
        id=event.id,
        at=event.at,
        what=event.get_kind_display(),
        serial=serials.get(event.card_id, "") if event.card_id else "",
        by=f"{by}（{named}）" if personal and named else by,
        reason=event.reason if personal else "",
        changes=[list(change) for change in event.changes] if personal else [],
        signed=event.kind == EventKind.CHANGED,
    )


def _mails(registration: Registration, of_company: Sequence[RegisteredCard], *, personal: bool) -> list[Mail]:
    mine = Notice.objects.filter(inbox__in=[registration.company_id, *(card.fingerprint for card in of_company)])
    if _used_elsewhere(registration, of_company):
        # The card's own inbox holds what another agency has told it as well, which is not this agency's business.
        mine = mine.filter(Q(inbox=registration.company_id) | Q(sender=registration.section.agency.system_email))
    failed = Prefetch("bounces", Bounce.objects.only("notice_id", "status"))
    rows = mine.defer("body").prefetch_related(failed).order_by("-queued_at", "id")[:LATEST]
    return [
        Mail(
            row.queued_at,
            row.subject,
            row.delivery,
            list(dict.fromkeys(bounce.status for bounce in row.bounces.all())),
            row.to if personal else "",
        )
        for row in rows
    ]


def _used_elsewhere(registration: Registration, of_company: Sequence[RegisteredCard]) -> bool:
    cards_of = RegisteredCard.objects.filter(fingerprint__in=[card.fingerprint for card in of_company])
    return cards_of.exclude(section__agency=registration.section.agency_id).exists()


def _unverified(registration: Registration) -> list[UnverifiedAddress]:
    return list(UnverifiedAddress.objects.filter(registration=registration).order_by("id"))


# -- 確認待ち


@dataclass(frozen=True, slots=True)
class Waiting:
    """One card that waits, with its doubts in words and for how long it has."""

    card: RegisteredCard
    doubts: list[str]
    age: timedelta

    @property
    def what(self) -> str:
        """Return what was applied for."""
        return "ICカード更新" if self.card.succeeds_id else "登録"

    @property
    def age_shown(self) -> str:
        """Return for how long it has waited, in the largest unit."""
        hours = int(self.age.total_seconds() // 3600)
        return f"{hours // 24}日" if hours >= 24 else f"{hours}時間" if hours else "1時間以内"


def waiting(*, agency: Agency | None, now: datetime) -> list[Waiting]:
    """Return the cards that wait for the word of this agency, or of any, the oldest first and no more than COUNTED."""
    rows = _waiting(agency).select_related("registration__supplier", "section__agency").defer(*HEAVY)
    found = []
    for card in rows.order_by("registered_at", "id")[:COUNTED]:
        card.registration.section = card.registration.supplier.section = card.section
        found.append(Waiting(card, [DOUBTS[doubt] for doubt in card.doubts], now - card.registered_at))
    return found


def waiting_shown(agency: Agency | None) -> str:
    """Return in a few words how many cards wait, or "" for none."""
    count = _waiting(agency)[: COUNTED + 1].count()
    return f"確認待ち{COUNTED:,}件以上" if count > COUNTED else f"確認待ち{count}件" if count else ""


def _waiting(agency: Agency | None) -> QuerySet[RegisteredCard]:
    found = RegisteredCard.objects.filter(status=CardStatus.PROVISIONAL)
    return found if agency is None else found.filter(section__agency=agency)


@dataclass(frozen=True, slots=True)
class Beside:
    """One item as the register (or the old card) has it and as the certificate has it."""

    label: str
    before: str
    after: str
    differs: bool


@dataclass(frozen=True, slots=True)
class Review:
    """A card that waits, beside the register and the card whose place it wants."""

    card: RegisteredCard
    doubts: list[str]
    age_shown: str
    register: list[Beside]
    predecessor: list[Beside]
    # Of the register and of nobody's application: who is called to make sure.
    telephone: str
    office: dict[str, str]
    representative: dict[str, str]
    issuer: str
    # Why the certificate is not to be trusted at this moment.
    distrusted: Sequence[Refusal]
    others: list[CardLine]


def review(card: RegisteredCard, *, now: datetime) -> Review:
    """Return what there is to look at before this card is taken or not."""
    certificate = cards.read(bytes(card.certificate))
    supplier = card.registration.supplier
    company = suppliers.company_shown(supplier)
    waits = Waiting(card, [DOUBTS[doubt] for doubt in card.doubts], now - card.registered_at)
    said = queries.application_of(card).values
    issuers = authority_names()
    others = RegisteredCard.objects.filter(registration=card.registration).exclude(id=card.id)
    rows = list(others.defer(*HEAVY).order_by("-registered_at"))
    serials = {one.id: one.serial for one in (card, *rows)}
    return Review(
        card=card,
        doubts=waits.doubts,
        age_shown=waits.age_shown,
        register=[
            _names(supplier.name, certificate.company_name),
            _beside("企業住所", company["company_address"], certificate.company_address),
            _beside(
                "代表者（委任先があるときは受任者）と取得者", company["representative_name"], certificate.holder_name
            ),
        ],
        predecessor=_predecessor(card, certificate, issuers),
        telephone=company["representative_phone"],
        office=dict(card.office),
        representative={name.removeprefix("rep_"): value for name, value in said.items() if name.startswith("rep_")},
        issuer=issuers.get(card.issuer_key, ""),
        distrusted=_distrusted(bytes(card.certificate), now=now),
        others=[_card(one, issuers, serials, personal=True, now=now) for one in rows],
    )


def _names(register: str, certificate: str) -> Beside:
    agree = text.accepts(text.match_names(certificate, register))
    return Beside("企業名称", register, shown(certificate), not agree)


def _beside(label: str, before: str, after: str) -> Beside:
    return Beside(label, before, shown(after), text.fold_for_search(before) != text.fold_for_search(after))


def _predecessor(card: RegisteredCard, new: CardCertificate, issuers: dict[str, str]) -> list[Beside]:
    if card.succeeds is None:
        return []
    old = cards.read(bytes(card.succeeds.certificate))
    return [
        _beside("企業名称", old.company_name, new.company_name),
        _beside("ICカード取得者氏名", old.holder_name, new.holder_name),
        _beside("認証局", issuers.get(old.issuer_key, ""), issuers.get(new.issuer_key, "")),
    ]


def _distrusted(der: bytes, *, now: datetime) -> Sequence[Refusal]:
    try:
        cards.check_still_good(der=der, audience="supplier", now=now)
    except Refused as refused:
        return refused.refusals
    return ()


def decision_about(card: RegisteredCard) -> Event | None:
    """Return how it was decided about a card that waited, or None."""
    return Event.objects.filter(card=card, kind__in=DECIDED).order_by("-at").first()


# -- the signed documents


@dataclass(frozen=True, slots=True)
class Checked:
    """One thing that was made sure of just now: whether it holds (None: not yet to be told), and in words."""

    label: str
    holds: bool | None
    said: str


def verify(text_of_jws: str, *, entry_id: uuid.UUID, fingerprint: str, now: datetime) -> list[Checked]:
    """Return what becomes of checking a signed document anew: signature, card, ledger, and its proof."""
    try:
        signed = jws.parse(text_of_jws)
        jws.verify_document(signed)
    except jws.SignatureFailure as failure:
        return [Checked("電子署名", False, failure.refusal.sentence)]
    own = fingerprint_of(signed.unverified_certificate) == fingerprint
    entry = ledger.entry(entry_id)
    checked = [
        Checked("電子署名", True, "文書は、署名の後に変わっていません。"),
        Checked("署名したICカード", own, "このICカードです。" if own else "登録されたICカードと違います。"),
    ]
    if entry is None:
        return [*checked, Checked("台帳の記録", False, "台帳に記録がありません。")]
    reading = inspection.read(entry, now=now)
    same = bytes(entry.document) == text_of_jws.encode() and reading.hash_fits
    checked.append(Checked("台帳の記録", same, "同じ文書です。" if same else "台帳の文書と違います。"))
    if reading.proof is None and not reading.is_tree_broken:
        return [*checked, Checked("台帳に入っている証明", None, "まだありません。受付から60秒以内に作られます。")]
    place = "" if reading.place is None else f"台帳の{reading.place + 1}番目に記録されています。"
    return [
        *checked,
        Checked("台帳に入っている証明", reading.is_proved, place if reading.is_proved else "証明が合いません。"),
    ]
