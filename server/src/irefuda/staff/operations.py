"""Changing who works here: each operation is one transaction, has a reason, and is in the ledger."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

from irefuda.agencies.models import Agency
from irefuda.cards import operations as cards
from irefuda.cards.operations import ProvenCard
from irefuda.ledger import operations as ledger
from irefuda.staff import queries
from irefuda.staff.models import Enrolment, Role, StaffAct, StaffCard, StaffMember, StaffRole, StaffRoster
from irefuda.ui.clock import JST
from irefuda_core.canonical import canonical_json
from irefuda_core.refusal import Refused, refusal

ENROLMENT_LIFE = timedelta(hours=24)
# 項目, 前, 後
Change = tuple[str, str, str]
Roles = Mapping[Role, date | None]


@dataclass(frozen=True, slots=True)
class Actor:
    """The member of staff who acts, with the card that was judged a moment ago."""

    member: StaffMember
    roles: frozenset[Role]
    fingerprint: str
    expires_at: datetime
    address: str

    @property
    def agency(self) -> Agency | None:
        """Whose staff this is; None = of the whole installation."""
        return self.member.agency

    def may_see(self, agency: Agency | None) -> bool:
        """Return whether what belongs to this agency is this member's business."""
        return self.agency is None or self.agency == agency


@dataclass(frozen=True, slots=True)
class Deed:
    """A change as its page was confirmed: once only, by whom, why, and after seeing what."""

    id: uuid.UUID
    actor: Actor | None
    reason: str
    at: datetime
    salt: bytes
    # The digest of the changes that the page showed; "" for what no page showed.
    seen: str = ""


def digest(changes: Sequence[Change]) -> str:
    """Return what stands for these changes in the page that shows them."""
    return hashlib.sha256(_as_text(changes).encode()).hexdigest()


def record(deed: Deed, *, kind: str, subject: str, changes: Sequence[Change]) -> StaffAct:
    """Write down what a member of staff changed, for people and in the ledger, inside the caller's transaction.

    :raises Refused: S-910 when this is not what the page has shown
    """
    if deed.seen and deed.seen != digest(changes):
        raise Refused(refusal("S-910"))
    member = deed.actor.member if deed.actor else None
    document = canonical_json(
        {
            "type": "staff-act",
            "realm": settings.REALM,
            "origin": settings.STAFF_ORIGIN,
            "kind": kind,
            "act_id": str(deed.id),
            "acted_at": deed.at.astimezone(JST).isoformat(timespec="seconds"),
            "member_id": str(member.id) if member else "",
            "member_name": member.name if member else "（コマンド）",
            "card_fingerprint": deed.actor.fingerprint if deed.actor else "",
            "subject": subject,
            "changes": _as_text(changes),
            "reason": deed.reason,
        }
    )
    entry = ledger.append(document=document, kind=kind, at=deed.at, salt=deed.salt)
    return StaffAct.objects.create(
        id=deed.id,
        kind=kind,
        member=member,
        subject=subject,
        changes=[list(change) for change in changes],
        reason=deed.reason,
        acted_at=deed.at,
        ledger_entry=entry.id,
    )


def _as_text(changes: Sequence[Change]) -> str:
    return json.dumps([list(change) for change in changes], ensure_ascii=False, separators=(",", ":"))


def begin(deed: Deed, *roles: Role) -> bool:
    """Return whether this deed is still to be done; whoever changes staff or settings waits here for the one before.

    :raises Refused: S-908 when the actor has lost the roles, or has become another agency's, since the page was asked for
    """
    # The row is held to the commit: two administrators who end each other follow each other here, and the second one
    # is judged when the first has already ended them.
    StaffRoster.objects.filter(id=1).update(revision=F("revision") + 1)
    if queries.is_done(deed.id):
        return False
    if deed.actor is not None:
        card = queries.card_of(deed.actor.fingerprint)
        # Whoever has been given to another agency meanwhile may not do for the former one what the page was asked for.
        if card is None or card.member.agency != deed.actor.agency:
            raise Refused(refusal("S-908"))
        if not queries.roles_of(card.member, on=queries.today(deed.at)) & frozenset(roles):
            raise Refused(refusal("S-908"))
    return True


# -- cards that wait for an administrator


@transaction.atomic
def present_card(*, proven: ProvenCard, now: datetime, entropy: bytes) -> Enrolment:
    """Keep a proven card for a day under a fresh code, which its holder tells an administrator.

    :raises Refused: S-907 when the card is some member's already
    """
    card = proven.card
    if queries.card_of(card.fingerprint):
        raise Refused(refusal("S-907"))
    Enrolment.objects.filter(expires_at__lte=now).delete()
    made, _ = Enrolment.objects.update_or_create(
        fingerprint=card.fingerprint,
        defaults={
            "code": f"{int.from_bytes(entropy, 'big') % 10**10:010d}",
            "certificate": card.der,
            "presented_at": now,
            "expires_at": now + ENROLMENT_LIFE,
        },
    )
    return made


def _take(code: str, at: datetime) -> ProvenCard:
    """Return the card that waits under this code, which is used up, after judging it once more."""
    waiting = queries.enrolment(code, now=at)
    # This one DELETE decides between two administrators with the same code.
    if waiting is None or not Enrolment.objects.filter(id=waiting.id, code=code).delete()[0]:
        raise Refused(refusal("S-904"))
    return cards.check_still_good(der=bytes(waiting.certificate), audience="staff", now=at)


# -- members


def add_first_administrator(*, der: bytes, name: str, section: str, recover: bool, deed: Deed) -> StaffMember:
    """Add the administrator who lets everyone else in; for a command of the operator.

    :raises Refused: S-911 when there was one already, unless it is to recover; K-40x for a card that is not to be trusted
    """
    with transaction.atomic():
        begin(deed)
        if not recover and not queries.nobody_yet():
            raise Refused(refusal("S-911"))
        proven = cards.check_still_good(der=der, audience="staff", now=deed.at)
        if recover and (known := queries.card_of(proven.card.fingerprint)):
            # The card of somebody who is here already: that person administers from now on.
            member = known.member
            StaffMember.objects.filter(id=member.id).update(agency=None)
            _revoke(member, [Role.ADMINISTRATOR], deed)
        else:
            member = StaffMember.objects.create(name=name, section=section, added_at=deed.at)
            _keep_card(member, proven, deed)
        _grant(member, Role.ADMINISTRATOR, None, deed)
        changes = added_changes(
            name=name, section=section, agency=None, roles={Role.ADMINISTRATOR: None}, card=card_line(proven)
        )
        record(deed, kind="staff.first_administrator_added", subject=subject_of(member.id), changes=changes)
    return member


def add_member(
    *, deed: Deed, member_id: uuid.UUID, code: str, name: str, section: str, agency: Agency | None, roles: Roles
) -> None:
    """Let a new colleague in, with the card that waits under this code.

    :raises Refused: S-904 for the code, S-907 for a card that is registered, S-908 when the agency is not the actor's
    """
    with transaction.atomic():
        if not begin(deed, Role.ADMINISTRATOR):
            return
        _only_own_agency(deed, agency)
        who = StaffMember(id=member_id, name=name, section=section, agency=agency)
        _add(deed, who, _take(code, deed.at), roles)


def let_in(*, deed: Deed, der: bytes, name: str, section: str, role: Role) -> StaffMember:
    """Let a colleague in with a certificate that the operator vouches for; without an actor, as an administrator.

    :raises Refused: S-907, S-908, K-40x
    """
    if deed.actor is None:
        return add_first_administrator(der=der, name=name, section=section, recover=True, deed=deed)
    with transaction.atomic():
        begin(deed, Role.ADMINISTRATOR)
        proven = cards.check_still_good(der=der, audience="staff", now=deed.at)
        return _add(deed, StaffMember(id=deed.id, name=name, section=section), proven, {role: None})


def _add(deed: Deed, member: StaffMember, proven: ProvenCard, roles: Roles) -> StaffMember:
    member.added_at, member.added_by = deed.at, deed.actor.member if deed.actor else None
    member.save(force_insert=True)
    _keep_card(member, proven, deed)
    for role, ends_on in roles.items():
        _grant(member, role, ends_on, deed)
    line = card_line(proven)
    changes = added_changes(name=member.name, section=member.section, agency=member.agency, roles=roles, card=line)
    record(deed, kind="staff.member_added", subject=subject_of(member.id), changes=changes)
    return member


def change_member(*, deed: Deed, member_id: uuid.UUID, name: str, section: str, agency: Agency | None) -> None:
    """Change what is written about a member, and whose staff they are.

    :raises Refused: S-905, S-906, S-908
    """
    with transaction.atomic():
        if not begin(deed, Role.ADMINISTRATOR):
            return
        member = _other(deed, member_id)
        _only_own_agency(deed, agency)
        changes = member_changes(member, name=name, section=section, agency=agency)
        if agency is not None:
            _keep_an_administrator(member)
        StaffMember.objects.filter(id=member.id).update(name=name, section=section, agency=agency)
        record(deed, kind="staff.member_changed", subject=subject_of(member.id), changes=changes)


def change_roles(*, deed: Deed, member_id: uuid.UUID, roles: Roles) -> None:
    """Give the member these roles and no others.

    :raises Refused: S-905, S-906, S-908
    """
    with transaction.atomic():
        if not begin(deed, Role.ADMINISTRATOR):
            return
        member = _other(deed, member_id)
        kept = kept_roles(member)
        changes = role_changes(kept, roles)
        if roles.get(Role.ADMINISTRATOR, deed.at) is not None:
            _keep_an_administrator(member)
        gone = [role for role in kept if role not in roles or roles[role] != kept[role]]
        _revoke(member, gone, deed)
        for role, ends_on in roles.items():
            if role not in kept or kept[role] != ends_on:
                _grant(member, role, ends_on, deed)
        record(deed, kind="staff.roles_changed", subject=subject_of(member.id), changes=changes)


def add_card(*, deed: Deed, member_id: uuid.UUID, code: str, end_others: bool) -> None:
    """Give the member the card that waits under this code, instead of or beside the cards before.

    :raises Refused: S-904, S-905, S-907, S-908
    """
    with transaction.atomic():
        if not begin(deed, Role.ADMINISTRATOR):
            return
        member = _other(deed, member_id)
        proven = _take(code, deed.at)
        changes = card_changes(member, card_line(proven), end_others=end_others)
        if end_others:
            StaffCard.objects.filter(member=member, ended_at=None).update(ended_at=deed.at)
        _keep_card(member, proven, deed)
        record(deed, kind="staff.card_added", subject=subject_of(member.id), changes=changes)


def end_member(*, deed: Deed, member_id: uuid.UUID) -> None:
    """Let the member in no longer: cards and roles end with this moment, everything done keeps the name.

    :raises Refused: S-905, S-906, S-908
    """
    with transaction.atomic():
        if not begin(deed, Role.ADMINISTRATOR):
            return
        member = _other(deed, member_id)
        _keep_an_administrator(member)
        changes = end_changes(member)
        _revoke(member, list(kept_roles(member)), deed)
        StaffCard.objects.filter(member=member, ended_at=None).update(ended_at=deed.at)
        StaffMember.objects.filter(id=member.id).update(ended_at=deed.at, end_reason=deed.reason)
        record(deed, kind="staff.member_ended", subject=subject_of(member.id), changes=changes)


@transaction.atomic
def note_export(*, deed: Deed, first: date, last: date) -> None:
    """Write down that an auditor takes a copy of a period of the ledger, and why.

    :raises Refused: S-908
    """
    if begin(deed, Role.AUDITOR):
        period = f"{first.isoformat()}から{last.isoformat()}まで"
        record(deed, kind="staff.ledger_exported", subject="ledger", changes=[("台帳の持ち出し", "", period)])


# -- what a page shows before, and the deed writes down after


def subject_of(member_id: uuid.UUID) -> str:
    """Return the name under which a member's changes are kept."""
    return f"member:{member_id}"


def card_line(proven: ProvenCard) -> str:
    """Return a card in one line: holder, serial number, authority, last day."""
    card = proven.card
    last = card.not_after.astimezone(JST)
    return f"{card.holder_name or '氏名の記載なし'}（シリアル番号 {card.serial_text}、{proven.authority_name}、有効期限 {last:%Y/%m/%d}）"


def added_changes(*, name: str, section: str, agency: Agency | None, roles: Roles, card: str) -> list[Change]:
    """Return what adding a member changes."""
    return [
        ("氏名", "", name),
        *([("所属", "", section)] if section else []),
        ("担当する調達機関", "", agency_shown(agency)),
        ("ICカード", "", card),
        *((role.label, "", _until(ends_on)) for role, ends_on in sorted(roles.items())),
    ]


def member_changes(member: StaffMember, *, name: str, section: str, agency: Agency | None) -> list[Change]:
    """Return what changing a member changes."""
    rows = [
        ("氏名", member.name, name),
        ("所属", member.section, section),
        ("担当する調達機関", agency_shown(member.agency), agency_shown(agency)),
    ]
    return [row for row in rows if row[1] != row[2]]


def role_changes(kept: Roles, wanted: Roles) -> list[Change]:
    """Return which roles come, go or end on another day."""
    rows = []
    for role in Role:
        before, after = (_until(roles[role]) if role in roles else "なし" for roles in (kept, wanted))
        if before != after:
            rows.append((role.label, before, after))
    return rows


def card_changes(member: StaffMember, line: str, *, end_others: bool) -> list[Change]:
    """Return which cards come and go."""
    ended = [
        ("使えなくなるICカード", _kept_card(card), "利用終了") for card in queries.cards_of(member) if not card.ended_at
    ]
    return [("新しいICカード", "", line), *(ended if end_others else [])]


def end_changes(member: StaffMember) -> list[Change]:
    """Return what ends with a member."""
    roles = [(role.label, _until(ends_on), "なし") for role, ends_on in kept_roles(member).items()]
    ended = [("ICカード", _kept_card(card), "利用終了") for card in queries.cards_of(member) if not card.ended_at]
    return [("職員の利用", "利用中", "利用終了"), *roles, *ended]


def kept_roles(member: StaffMember) -> dict[Role, date | None]:
    """Return the roles that were given and not taken away, whether their day is over or not."""
    rows = StaffRole.objects.filter(member=member, revoked_at=None).order_by("id")
    return {Role(row.role): row.ends_on for row in rows}


def agency_shown(agency: Agency | None) -> str:
    """Return whose staff somebody is."""
    return agency.name if agency else "すべての調達機関"


def _kept_card(card: StaffCard) -> str:
    last = card.expires_at.astimezone(JST)
    return f"{card.holder_name or '氏名の記載なし'}（シリアル番号 {card.serial}、有効期限 {last:%Y/%m/%d}）"


def _until(ends_on: date | None) -> str:
    return f"あり（{ends_on.year}年{ends_on.month}月{ends_on.day}日まで）" if ends_on else "あり"


# -- rules


def _other(deed: Deed, member_id: uuid.UUID) -> StaffMember:
    """Return the member to be changed: there, not ended, within the actor's agency, and not the actor."""
    agency = deed.actor.agency if deed.actor else None
    member = queries.member(member_id, agency=agency)
    if member is None or member.ended_at is not None:
        raise Refused(refusal("S-910"))
    if deed.actor is not None and member == deed.actor.member:
        raise Refused(refusal("S-905"))
    return member


def _only_own_agency(deed: Deed, agency: Agency | None) -> None:
    if deed.actor is not None and not deed.actor.may_see(agency):
        raise Refused(refusal("S-908"))


def _keep_an_administrator(member: StaffMember) -> None:
    """Let the member's administration end only when somebody else's has no last day.

    Whoever acts administers as well and cannot end that themselves, so somebody is left at once; this is about the day
    on which the actor's own role ends.
    """
    unlimited = kept_roles(member).get(Role.ADMINISTRATOR, date.max) is None
    if member.agency is None and unlimited and not queries.lasting_administrators(besides=member.id):
        raise Refused(refusal("S-906"))


def _keep_card(member: StaffMember, proven: ProvenCard, deed: Deed) -> None:
    card = proven.card
    try:
        with transaction.atomic():
            StaffCard.objects.create(
                member=member,
                issuer_key=card.issuer_key,
                serial=card.serial_text,
                fingerprint=card.fingerprint,
                certificate=card.der,
                holder_name=card.holder_name,
                expires_at=card.not_after,
                added_at=deed.at,
                added_by=deed.actor.member if deed.actor else None,
            )
    except IntegrityError:
        raise Refused(refusal("S-907")) from None


def _grant(member: StaffMember, role: Role, ends_on: date | None, deed: Deed) -> None:
    giver = deed.actor.member if deed.actor else None
    StaffRole.objects.create(member=member, role=role, ends_on=ends_on, granted_at=deed.at, granted_by=giver)


def _revoke(member: StaffMember, roles: Sequence[Role], deed: Deed) -> None:
    taker = deed.actor.member if deed.actor else None
    living = StaffRole.objects.filter(member=member, role__in=roles, revoked_at=None)
    living.update(revoked_at=deed.at, revoked_by=taker)
