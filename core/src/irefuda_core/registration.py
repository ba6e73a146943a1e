"""利用者登録 and ICカード更新: who may register which card for which company.

Of the validation matrix (domain 3.7) V4 is trust's, V8, V10 and V11 are text's, V14 is the draft's; V13 needs cases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from typing import Any, Literal

from irefuda_core import text
from irefuda_core.certificate import CardCertificate, shown
from irefuda_core.refusal import Refusal, refusal


@dataclass(frozen=True, slots=True)
class Policy:
    """The knobs that agencies set differently (domain 3.4)."""

    max_cards_per_supplier: int | None = None
    same_holder: bool = False
    name_mismatch: Literal["refuse", "provisional"] = "refuse"
    fax_required: bool = True
    # Whether every 登録 waits for the agency's word (domain 3.6: 岐阜, 三重), and so without a 企業ID until then.
    approval: Literal["none", "required"] = "none"
    # A new card of another holder: refused at 更新, or taken and left to the agency.
    renewal_other_holder: Literal["refuse", "review"] = "refuse"
    # For how many days after its end a card still proves whose registration the new one takes over; 0 = it does not.
    expired_card_days: int = 0

    @classmethod
    def from_knobs(cls, knobs: Mapping[str, Any]) -> Policy:
        """Return the policy with these knobs set and the rest at their defaults.

        :raises ValueError: for a knob that does not exist or a value that it cannot have
        """
        known = {field.name for field in fields(cls)}
        if unknown := set(knobs) - known:
            raise ValueError(f"unknown policy knobs: {sorted(unknown)}")
        for name, choices in KNOB_CHOICES.items():
            if knobs.get(name, choices[0]) not in choices:
                raise ValueError(f"{name} is one of {', '.join(choices)}")
        limit = knobs.get("max_cards_per_supplier")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ValueError("max_cards_per_supplier is a number from 1, or absent")
        for name in ("same_holder", "fax_required"):
            if type(knobs.get(name, True)) is not bool:
                raise ValueError(f"{name} is true or false")
        days = knobs.get("expired_card_days", 0)
        if type(days) is not int or not 0 <= days <= 366:
            raise ValueError("expired_card_days is a number from 0 to 366")
        return cls(**knobs)


# The knobs that are one of a few words; the first is the default.
KNOB_CHOICES: Mapping[str, tuple[str, ...]] = {
    "name_mismatch": ("refuse", "provisional"),
    "approval": ("none", "required"),
    "renewal_other_holder": ("refuse", "review"),
}
# What an agency has to look at before a card counts.
Doubt = Literal["name", "approval", "holder", "revoked"]
Standing = Literal["active", "suspended", "ended"]


@dataclass(frozen=True, slots=True)
class SupplierFacts:
    """What the register says of a supplier, as far as registration asks."""

    agency_code: str
    category: str
    supplier_number: str
    name: str
    status: Standing
    valid_from: date | None
    valid_until: date | None
    suspended_from: date | None
    suspended_until: date | None


@dataclass(frozen=True, slots=True)
class ExistingCard:
    """A card that is, or (`active` is False) was, registered in the section."""

    fingerprint: str
    issuer_key: str
    serial: int
    supplier_number: str
    holder_name: str
    active: bool
    # Of one that is over: whether 更新 ended it, and not 使用停止.
    replaced: bool = False


def refusals_to_look_up(facts: SupplierFacts, *, on: date) -> list[Refusal]:
    """Return every reason why this supplier may not register on this day, once number and name are proven (V7)."""
    reasons = []
    if facts.status == "ended":
        reasons.append(refusal("R-112"))
    if facts.valid_from and on < facts.valid_from:
        reasons.append(refusal("R-111", valid_from=_day(facts.valid_from)))
    if facts.valid_until and on > facts.valid_until:
        reasons.append(refusal("R-104", valid_until=_day(facts.valid_until)))
    if suspended(facts, on=on):
        until = _day(facts.suspended_until) if facts.suspended_until else "解除"
        reasons.append(refusal("R-107", suspended_until=until))
    return reasons


def suspended(facts: SupplierFacts, *, on: date) -> bool:
    """Return whether the supplier is under 指名停止 on this day."""
    if facts.suspended_from is None:
        return facts.status == "suspended"
    return facts.suspended_from <= on and (facts.suspended_until is None or on <= facts.suspended_until)


def qualification(facts: SupplierFacts, *, on: date) -> Literal["good", "suspended", "ended"]:
    """Return how a registered supplier stands on this day.

    It stops no login, no 変更 and no 更新: who may tender is a question of each tender (ADR 25).
    """
    if facts.status == "ended" or (facts.valid_until is not None and on > facts.valid_until):
        return "ended"
    return "suspended" if suspended(facts, on=on) else "good"


def refusals_to_register(
    facts: SupplierFacts,
    card: CardCertificate,
    existing: Sequence[ExistingCard],
    policy: Policy,
    *,
    authority_demo: bool,
    on: date,
) -> list[Refusal]:
    """Return every reason why this card may not be registered for this supplier on this day (V5, V6, V7, V9)."""
    reasons = refusals_to_look_up(facts, on=on)
    reasons += _refusals_of_registered(facts, card, existing)
    mine = [c for c in existing if c.active and c.supplier_number == facts.supplier_number]
    if policy.max_cards_per_supplier is not None and len(mine) >= policy.max_cards_per_supplier:
        reasons.append(refusal("R-109", limit=policy.max_cards_per_supplier))
    if policy.same_holder and not all(_same_person(c.holder_name, card.holder_name) for c in mine):
        reasons.append(refusal("R-110"))
    if policy.name_mismatch == "refuse" and not name_agrees(card, facts, demo=authority_demo):
        reasons.append(refusal("R-108", card_name=shown(card.company_name), register_name=facts.name))
    return reasons


def doubts_of_registration(
    facts: SupplierFacts, card: CardCertificate, policy: Policy, *, authority_demo: bool
) -> list[Doubt]:
    """Return what the agency has to look at before this card, which may apply, counts as registered (V9, domain 3.6)."""
    doubts: list[Doubt] = []
    if not name_agrees(card, facts, demo=authority_demo):
        doubts.append("name")
    if policy.approval == "required":
        doubts.append("approval")
    return doubts


def refusals_to_renew(
    facts: SupplierFacts,
    old: CardCertificate,
    new: CardCertificate,
    existing: Sequence[ExistingCard],
    policy: Policy,
    *,
    authority_demo: bool,
    at: datetime,
) -> list[Refusal]:
    """Return every reason why the new card may not take the place of the old one at this moment (V12).

    `existing` are the cards of the supplier, and both certificates wherever they are registered in the section.
    """
    if _named(old) == _named(new):
        return [refusal("R-131")]
    active = {(c.issuer_key, c.serial): c.supplier_number for c in existing if c.active}
    if active.get(_named(old)) != facts.supplier_number:
        return [refusal("R-134" if _named(new) in active else "R-120")]
    if reasons := refusals_of_expired(old.not_after, policy, at=at):
        return reasons
    reasons = _refusals_of_registered(facts, new, existing)
    if new.not_after <= old.not_after:
        days = {"old": _day(_japan(old.not_after)), "new": _day(_japan(new.not_after))}
        reasons.append(refusal("R-132", **days))
    if policy.name_mismatch == "refuse" and not name_agrees(new, facts, demo=authority_demo):
        reasons.append(refusal("R-108", card_name=shown(new.company_name), register_name=facts.name))
    if policy.renewal_other_holder == "refuse" and _other_holder(old, new):
        reasons.append(refusal("R-133", old=shown(old.holder_name), new=shown(new.holder_name)))
    return reasons


def refusals_of_expired(not_after: datetime, policy: Policy, *, at: datetime) -> list[Refusal]:
    """Return the reason why a card that ended at `not_after` proves no succession any more."""
    if at > not_after + timedelta(days=policy.expired_card_days):
        return [refusal("R-135", not_after=_day(_japan(not_after)))]
    return []


def doubts_of_renewal(
    facts: SupplierFacts, old: CardCertificate, new: CardCertificate, *, authority_demo: bool, old_revoked: bool
) -> list[Doubt]:
    """Return what the agency has to look at before the new card, which may be taken, takes the old one's place."""
    doubts: list[Doubt] = []
    if not name_agrees(new, facts, demo=authority_demo):
        doubts.append("name")
    if _other_holder(old, new):
        doubts.append("holder")
    if old_revoked:
        # Whoever found or took the card could have signed with it: a revoked one proves nothing about who brings it.
        doubts.append("revoked")
    return doubts


def _other_holder(old: CardCertificate, new: CardCertificate) -> bool:
    """Certificates of which neither names a holder, as some of companies do, are the company's both times."""
    return bool(old.holder_name or new.holder_name) and not _same_person(old.holder_name, new.holder_name)


def refusals_to_change(changes: Sequence[Change], *, based_on: str, current: str) -> list[Refusal]:
    """Return every reason why a 変更 may not be made: nothing is changed, or it would overwrite what nobody has seen."""
    if based_on != current:
        return [refusal("R-141")]
    return [] if changes else [refusal("R-142")]


@dataclass(frozen=True, slots=True)
class Change:
    """One item of 変更: its name on the screen, and its value before and after."""

    label: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.label}：{self.before or '（なし）'} → {self.after or '（なし）'}"


def _refusals_of_registered(
    facts: SupplierFacts, card: CardCertificate, existing: Sequence[ExistingCard]
) -> list[Refusal]:
    same = [c for c in existing if (c.issuer_key, c.serial) == _named(card)]
    mine = [c for c in same if c.supplier_number == facts.supplier_number]
    if any(c.active for c in mine):
        return [refusal("R-105")]
    if any(c.active for c in same):
        return [refusal("R-106")]
    if mine:
        # A card that was lost, or has handed its place on, does not come back by its holder's hand.
        return [refusal("R-121" if mine[0].replaced else "R-122")]
    return []


def _named(card: CardCertificate) -> tuple[str, int]:
    return card.issuer_key, card.serial


def _same_person(one: str, other: str) -> bool:
    # Two certificates that name nobody do not name the same person.
    return bool(one and other) and text.name_key(one) == text.name_key(other)


def name_agrees(card: CardCertificate, facts: SupplierFacts, *, demo: bool) -> bool:
    """Return whether the certificate speaks for this company; a demo CA certifies nobody, so there it always does."""
    return demo or (bool(card.company_name) and text.accepts(text.match_names(card.company_name, facts.name)))


def company_id(agency_code: str, category: str, number: int) -> str:
    """Return the 企業ID of 15 digits: 調達機関 4 + 区分 1 + running number 10.

    :raises ValueError: when a part does not fit its width
    """
    if len(agency_code) != 4 or len(category) != 1 or not 0 < number < 10**10:
        raise ValueError("agency code 4 digits, category 1 digit, number 1 to 9,999,999,999")
    return f"{agency_code}{category}{number:010d}"


def _japan(moment: datetime) -> date:
    return (moment + timedelta(hours=9)).date()


def _day(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日"
