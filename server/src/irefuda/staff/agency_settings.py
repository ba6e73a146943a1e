"""Changing what a 調達機関 says, when it is open, and how it registers: each with its reason, in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import date, time
from typing import Any

from django.db import IntegrityError, transaction

from irefuda.agencies.models import Agency, SpecialClosure
from irefuda.staff.models import Role
from irefuda.staff.operations import Change, Deed, begin, record
from irefuda.suppliers import queries as suppliers
from irefuda_core.refusal import Refused, refusal
from irefuda_core.registration import Policy

MAY_CHANGE = (Role.CONTRACTS, Role.ADMINISTRATOR)
# The columns of an agency that its staff change, by the names of the pages.
COLUMNS = {
    "contracts_office": "契約課の名称",
    "lookup_text": "資格審査情報検索の案内文",
    "lookup_needs_password": "資格審査情報検索で、ユーザIDとパスワードも求める",
    "helpdesk_name": "ヘルプデスクの名称",
    "helpdesk_phone": "ヘルプデスクの電話番号",
    "helpdesk_email": "ヘルプデスクのメールアドレス",
    "helpdesk_url": "ヘルプデスクのページのアドレス",
    "system_email": "システムから送るメールの差出人",
    "opens_at": "運用を始める時刻",
    "closes_at": "運用を終える時刻",
}


@dataclass(frozen=True, slots=True)
class Knob:
    """How one field of `irefuda_core.registration.Policy` is called and shown; a test compares the two."""

    label: str
    help: str
    choices: Mapping[str, str] | None = None
    least: int = 0
    most: int = 0
    unit: str = ""


KNOBS: Mapping[str, Knob] = {
    "max_cards_per_supplier": Knob(
        "1社で登録できるICカードの枚数", "空のままにすると、上限はありません。", least=1, most=999, unit="枚"
    ),
    "same_holder": Knob(
        "2枚目からは、同じ取得者名義のICカードに限る", "選ぶと、取得者氏名が違うICカードは登録できません。"
    ),
    "name_mismatch": Knob(
        "ICカードの会社名と名簿の商号が違うとき",
        "仮登録は、職員が確かめるまでログインできません。",
        choices={"refuse": "登録を断る", "provisional": "仮登録として受け付け、職員が確かめる"},
    ),
    "fax_required": Knob("FAX番号を必ず入力してもらう", "外すと、FAX番号は空のままでも登録できます。"),
    "approval": Knob(
        "利用者登録の承認",
        "承認を行うと、職員が承認するまで企業IDは付きません。",
        choices={"none": "承認を行わない（登録と同時に使える）", "required": "職員の承認を待って使える"},
    ),
    "renewal_other_holder": Knob(
        "ICカード更新で、取得者が前のICカードと違うとき",
        "",
        choices={"refuse": "更新を断る", "review": "受け付け、職員が確かめる"},
    ),
    "expired_card_days": Knob(
        "期限が切れたICカードで更新できる日数",
        "期限が切れてから何日までは、前のICカードを引き継ぎの証拠として認めるか。0は、認めません。",
        most=366,
        unit="日",
    ),
}


def subject_of(agency: Agency) -> str:
    """Return the name under which an agency's changes are kept."""
    return f"agency:{agency.code}"


def column_changes(agency: Agency, values: Mapping[str, Any]) -> list[Change]:
    """Return which columns become another value."""
    rows = [(label, getattr(agency, column), values[column]) for column, label in COLUMNS.items() if column in values]
    changes = [(label, _shown(before), _shown(after)) for label, before, after in rows if before != after]
    if values.get("lookup_needs_password") and not agency.lookup_needs_password:
        # Whom it would keep out, before it does.
        for section in agency.sections.order_by("category"):
            count = suppliers.count_without_login(section)
            changes.append((f"ユーザIDとパスワードのない会社（{section.get_category_display()}）", "", f"{count}社"))
    return changes


def policy_changes(agency: Agency, policy: Policy) -> list[Change]:
    """Return which knobs are turned."""
    kept = Policy.from_knobs(agency.policy)
    rows = [(name, getattr(kept, name), getattr(policy, name)) for name in KNOBS]
    return [
        (KNOBS[name].label, knob_shown(name, before), knob_shown(name, after))
        for name, before, after in rows
        if before != after
    ]


def policy_shown(agency: Agency) -> list[tuple[str, str]]:
    """Return every knob with its value, in words."""
    policy = Policy.from_knobs(agency.policy)
    return [(knob.label, knob_shown(name, getattr(policy, name))) for name, knob in KNOBS.items()]


def knob_shown(name: str, value: Any) -> str:
    """Return a knob's value in words."""
    knob = KNOBS[name]
    if knob.choices:
        return knob.choices[value]
    if value is None:
        return "上限なし"
    if isinstance(value, bool):
        return "はい" if value else "いいえ"
    return f"{value}{knob.unit}"


def closure_changes(closed_on: date, shown_reason: str, *, reopens: bool = False) -> list[Change]:
    """Return what closing or reopening a day changes."""
    day, closed = f"{closed_on.year}年{closed_on.month}月{closed_on.day}日", f"臨時休止（{shown_reason}）"
    return [(day, closed, "暦のとおり")] if reopens else [(day, "暦のとおり", closed)]


def change_columns(*, deed: Deed, agency_id: int, values: Mapping[str, Any]) -> None:
    """Change texts or hours of an agency.

    :raises Refused: S-908, S-910
    """
    with transaction.atomic():
        if not begin(deed, *MAY_CHANGE):
            return
        agency = _own(deed, agency_id)
        changes = column_changes(agency, values)
        Agency.objects.filter(id=agency.id).update(**{column: values[column] for column in COLUMNS if column in values})
        record(deed, kind="staff.agency_changed", subject=subject_of(agency), changes=changes)


def change_policy(*, deed: Deed, agency_id: int, policy: Policy) -> None:
    """Turn the knobs of an agency; only what differs from the default is kept.

    :raises Refused: S-908, S-910
    """
    with transaction.atomic():
        if not begin(deed, *MAY_CHANGE):
            return
        agency = _own(deed, agency_id)
        changes = policy_changes(agency, policy)
        knobs = {f.name: getattr(policy, f.name) for f in fields(Policy) if getattr(policy, f.name) != f.default}
        Agency.objects.filter(id=agency.id).update(policy=knobs)
        record(deed, kind="staff.policy_changed", subject=subject_of(agency), changes=changes)


def close_day(*, deed: Deed, agency_id: int, closed_on: date, shown_reason: str) -> None:
    """Close the agency on a day on which the calendar has it open; contractors see why.

    :raises Refused: S-908, S-912 for a day that is closed already
    """
    with transaction.atomic():
        if not begin(deed, *MAY_CHANGE):
            return
        agency = _own(deed, agency_id)
        try:
            with transaction.atomic():
                SpecialClosure.objects.create(agency=agency, closed_on=closed_on, reason=shown_reason)
        except IntegrityError:
            raise Refused(refusal("S-912")) from None
        changes = closure_changes(closed_on, shown_reason)
        record(deed, kind="staff.day_closed", subject=subject_of(agency), changes=changes)


def reopen_day(*, deed: Deed, agency_id: int, closure_id: int) -> None:
    """Let the calendar decide about a day again.

    :raises Refused: S-908, S-910 when the closure is gone
    """
    with transaction.atomic():
        if not begin(deed, *MAY_CHANGE):
            return
        agency = _own(deed, agency_id)
        closure = SpecialClosure.objects.filter(id=closure_id, agency=agency).first()
        if closure is None:
            raise Refused(refusal("S-910"))
        changes = closure_changes(closure.closed_on, closure.reason, reopens=True)
        closure.delete()
        record(deed, kind="staff.day_reopened", subject=subject_of(agency), changes=changes)


def _own(deed: Deed, agency_id: int) -> Agency:
    agency = Agency.objects.get(id=agency_id)
    if deed.actor is not None and not deed.actor.may_see(agency):
        raise Refused(refusal("S-908"))
    return agency


def columns_shown(agency: Agency) -> list[tuple[str, str]]:
    """Return everything that an agency says, and its hours, in words."""
    return [(label, _shown(getattr(agency, column))) for column, label in COLUMNS.items()]


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "はい" if value else "いいえ"
    return f"{value:%H:%M}" if isinstance(value, time) else str(value)
