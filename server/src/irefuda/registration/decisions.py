"""What staff decide about registrations: judged anew, done once, told to the company, and under the member's name in the ledger."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from irefuda.agencies.models import Section
from irefuda.registration import overview, queries, standing
from irefuda.registration.models import CardStatus, EventKind, RegisteredCard, Registration
from irefuda.staff.models import Role
from irefuda.staff.operations import Change, Deed, begin, record
from irefuda.ui.clock import JST
from irefuda_core.refusal import Refused, refusal

# What whoever accepts has to have made sure of, by doubt; kept with the decision.
CHECKS: dict[str, dict[str, str]] = {
    "name": {"name": "企業名称が違う理由を、変更届や登記などで確かめた"},
    "approval": {"approval": "この調達機関が求める書類がそろっていることを確かめた"},
    "holder": {"holder": "新しい取得者が、この企業の代表者または受任者であることを確かめた"},
    "revoked": {
        "telephone": "名簿の電話番号に、こちらから電話をかけて本人であることを確かめた（申請書の電話番号ではない）",
        "revocation": "更新前のICカードが失効した理由を、本人から聞いた",
        "applied": "この更新を申し込んだのが本人であることを確かめた",
    },
}
CONFIRMED = "確かめた"
TOLD = "知らせる相手"


def checks_of(card: RegisteredCard) -> dict[str, str]:
    """Return what has to be made sure of before this card is accepted, by key."""
    return {key: label for doubt in card.doubts for key, label in CHECKS[doubt].items()}


def subject_of(registration: Registration) -> str:
    """Return the name under which the acts about a registration are kept."""
    return f"registration:{registration.company_id}"


# -- what a page shows before, and the deed writes down after


def approve_changes(card: RegisteredCard) -> list[Change]:
    """Return what 受理 changes, what was made sure of, and who is told."""
    rows: list[Change] = [(_named(card), CardStatus.PROVISIONAL.label, CardStatus.ACTIVE.label)]
    if card.succeeds is not None:
        rows.append((f"更新前の{_named(card.succeeds)}", CardStatus.ACTIVE.label, CardStatus.REPLACED.label))
    rows += [(label, "", CONFIRMED) for label in checks_of(card).values()]
    return [*rows, (TOLD, "", _told(card, by_approval=True))]


def reject_changes(card: RegisteredCard) -> list[Change]:
    """Return what 不受理 changes, and who is told."""
    # A stranger may have applied: the company hears of it only where one of its cards was to be replaced.
    told = "申請したICカードの利用部署" if card.succeeds is None else _told(card)
    return [(_named(card), CardStatus.PROVISIONAL.label, CardStatus.REJECTED.label), (TOLD, "", told)]


def close_changes(card: RegisteredCard) -> list[Change]:
    """Return what 使用停止 changes, and who is told."""
    return [(_named(card), CardStatus.ACTIVE.label, CardStatus.CLOSED.label), (TOLD, "", _told(card))]


def reopen_changes(card: RegisteredCard) -> list[Change]:
    """Return what the end of 使用停止 changes, and who is told."""
    return [(_named(card), CardStatus.CLOSED.label, CardStatus.ACTIVE.label), (TOLD, "", _told(card))]


def halt_changes(registration: Registration) -> list[Change]:
    """Return what 利用停止 changes, or its end, and who is told."""
    cards = len(queries.active_cards(registration))
    usable = (standing.IN_USE, f"{cards}枚：使えます")
    stopped = (EventKind.HALTED.label, f"{cards}枚：使えません")
    before, after = (usable, stopped) if registration.halted_at is None else (stopped, usable)
    return [
        ("利用者登録の状態", before[0], after[0]),
        ("有効なICカード", before[1], after[1]),
        (TOLD, "", _of_company(registration, "有効なICカード", cards)),
    ]


def _named(card: RegisteredCard) -> str:
    return f"ICカード（証明書シリアル番号 {card.serial}）の状態"


def _told(card: RegisteredCard, *, by_approval: bool = False) -> str:
    others = len(queries.other_cards(registration=card.registration, fingerprint=card.fingerprint))
    office = "このICカードの利用部署"
    # The company's first card brings its 代表窓口.
    return f"{office}、{_of_company(card.registration, 'ほかの有効なICカード', others, has_representative=by_approval)}"


def _of_company(registration: Registration, which: str, cards: int, *, has_representative: bool = False) -> str:
    offices = f"{which}{cards}枚の利用部署" if cards else ""
    representative = "代表窓口" if has_representative or registration.representative else ""
    return "、".join(part for part in (representative, offices) if part) or "なし"


# -- the deeds


@transaction.atomic
def approve(*, deed: Deed, section: Section, card_id: uuid.UUID, checked: Collection[str], rules_now: datetime) -> None:
    """受理: let a card that waited count from now on.

    :raises Refused: S-908, S-910, S-951 when somebody else has decided, S-952 for a halted company, S-954 when not all of
        `checks_of` was made sure of, and every reason of `standing.approve_card`
    """
    if not begin(deed, Role.CONTRACTS):
        return
    card = _waiting(deed, section, card_id)
    _refuse_if_halted(card.registration)
    if not checks_of(card).keys() <= set(checked):
        raise Refused(refusal("S-954"))
    changes = approve_changes(card)
    decision, salt = _decision(deed)
    standing.approve_card(
        section=section, card_id=card_id, decision=decision, rules_now=rules_now, now=deed.at, salt=salt
    )
    record(deed, kind="staff.registration_approved", subject=subject_of(card.registration), changes=changes)


@transaction.atomic
def reject(*, deed: Deed, section: Section, card_id: uuid.UUID) -> None:
    """不受理: do not take a card that waited; the reason goes to the applicant.

    :raises Refused: S-908, S-910, S-951 when somebody else has decided
    """
    if not begin(deed, Role.CONTRACTS):
        return
    card = _waiting(deed, section, card_id)
    changes = reject_changes(card)
    decision, salt = _decision(deed)
    standing.reject_card(section=section, card_id=card_id, decision=decision, now=deed.at, salt=salt)
    record(deed, kind="staff.registration_rejected", subject=subject_of(card.registration), changes=changes)


@transaction.atomic
def close(*, deed: Deed, section: Section, card_id: uuid.UUID) -> None:
    """使用停止: let a card not be used any more.

    :raises Refused: S-908, S-910, R-153 when it is not in use
    """
    if not begin(deed, Role.CONTRACTS):
        return
    card = _own(deed, section, card_id)
    changes = close_changes(card)
    decision, salt = _decision(deed)
    standing.close_card_by_staff(section=section, card_id=card_id, decision=decision, now=deed.at, salt=salt)
    record(deed, kind="staff.registered_card_closed", subject=subject_of(card.registration), changes=changes)


@transaction.atomic
def reopen(*, deed: Deed, section: Section, card_id: uuid.UUID, rules_now: datetime) -> None:
    """Let a card that was stopped be used again.

    :raises Refused: S-908, S-910, S-952 for a halted company, and every reason of `standing.reopen_card`
    """
    if not begin(deed, Role.CONTRACTS):
        return
    card = _own(deed, section, card_id)
    _refuse_if_halted(card.registration)
    changes = reopen_changes(card)
    decision, salt = _decision(deed)
    standing.reopen_card(
        section=section, card_id=card_id, decision=decision, rules_now=rules_now, now=deed.at, salt=salt
    )
    record(deed, kind="staff.registered_card_reopened", subject=subject_of(card.registration), changes=changes)


@transaction.atomic
def halt(*, deed: Deed, section: Section, number: int) -> None:
    """利用停止: let none of the company's cards act.

    :raises Refused: S-908, S-910, S-953 when it is so already
    """
    if not begin(deed, Role.CONTRACTS):
        return
    registration = _registration(deed, section, number)
    changes = halt_changes(registration)
    decision, salt = _decision(deed)
    standing.halt_registration(section=section, number=number, decision=decision, now=deed.at, salt=salt)
    record(deed, kind="staff.registration_halted", subject=subject_of(registration), changes=changes)


@transaction.atomic
def resume(*, deed: Deed, section: Section, number: int) -> None:
    """Let a company that was halted act again.

    :raises Refused: S-908, S-910, S-953 when it is not halted
    """
    if not begin(deed, Role.CONTRACTS):
        return
    registration = _registration(deed, section, number)
    changes = halt_changes(registration)
    decision, salt = _decision(deed)
    standing.resume_registration(section=section, number=number, decision=decision, now=deed.at, salt=salt)
    record(deed, kind="staff.registration_resumed", subject=subject_of(registration), changes=changes)


def _decision(deed: Deed) -> tuple[standing.Decision, bytes]:
    """Return who decides, and the salt of the deed's own entry: two entries never share one."""
    assert deed.actor is not None
    return standing.Decision(deed.actor.member.name, deed.reason), hashlib.sha256(deed.salt).digest()[:16]


def _only_own(deed: Deed, section: Section) -> None:
    if deed.actor is None or not deed.actor.may_see(section.agency):
        raise Refused(refusal("S-908"))


def _own(deed: Deed, section: Section, card_id: uuid.UUID) -> RegisteredCard:
    _only_own(deed, section)
    card = queries.card_of_section(section=section, card_id=card_id)
    if card is None:
        raise Refused(refusal("S-910"))
    return card


def _waiting(deed: Deed, section: Section, card_id: uuid.UUID) -> RegisteredCard:
    """Return the card if nobody has decided about it; whoever comes second is told who was first."""
    card = _own(deed, section, card_id)
    refuse_if_decided(card)
    return card


def refuse_if_decided(card: RegisteredCard) -> None:
    """Let only a card go on that still waits.

    :raises Refused: S-951 with who decided what and when; R-151 when nobody did
    """
    if card.status == CardStatus.PROVISIONAL:
        return
    event = overview.decision_about(card)
    if event is None:
        raise Refused(refusal("R-151", status=CardStatus(card.status).label))
    at = event.at.astimezone(JST)
    when = f"{at.month}月{at.day}日{at:%H時%M分}"
    raise Refused(refusal("S-951", staff=event.staff, at=when, verdict=event.get_kind_display()))


def _registration(deed: Deed, section: Section, number: int) -> Registration:
    _only_own(deed, section)
    registration = queries.registration_in(section=section, number=number)
    if registration is None:
        raise Refused(refusal("S-910"))
    return registration


def _refuse_if_halted(registration: Registration) -> None:
    if registration.halted_at is not None:
        raise Refused(refusal("S-952"))
