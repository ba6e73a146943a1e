"""What staff do to the 登録業者名簿, and what it means to companies that have registered cards: they are told, and marked.

It stands in this slice because only it knows who has registered (ADR 24). Every operation holds the register first and the
staff's roster second, so that no two wait crosswise.
"""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from django.contrib.auth.hashers import make_password
from django.db import transaction

from irefuda.agencies.models import Section
from irefuda.registration import operations, queries
from irefuda.registration.models import CardStatus, RegisteredCard
from irefuda.staff import operations as staff
from irefuda.staff import queries as staff_queries
from irefuda.staff.models import Role
from irefuda.staff.operations import Change, Deed
from irefuda.suppliers import imports
from irefuda.suppliers import operations as suppliers
from irefuda.suppliers import queries as register
from irefuda.suppliers.models import RegisterImport, Supplier, SupplierStatus
from irefuda.suppliers.operations import BATCH
from irefuda.suppliers.register_files.columns import DELEGATE_NAMES, NAMES
from irefuda.suppliers.register_files.fields import Field
from irefuda.ui.clock import JST
from irefuda_core.refusal import Refused, refusal

COMPANY_CHANGED, SUSPENDED, LIFTED, ENDED, RESTORED = (
    "register.company_changed",
    "register.company_suspended",
    "register.company_suspension_lifted",
    "register.company_ended",
    "register.company_restored",
)
TOLD_NAMES = {
    COMPANY_CHANGED: "名簿の内容が変わったこと（ICカードの取り直しが要るかもしれないこと）",
    SUSPENDED: "指名停止のこと（内容は書かず、問い合わせ先を案内）",
    LIFTED: "指名停止が終わったこと",
    ENDED: "資格が終了したこと",
    RESTORED: "名簿に戻ったこと",
}
# What a certificate says of a company as well: when the register says something else, the card may have to be replaced.
ON_THE_CARD = frozenset({"name", "address", "representative_title", "representative_name"})
DELEGATE_ON_THE_CARD = ("name", "title", "person", "address")
SUSPENSION = frozenset({"status", "suspended_from", "suspended_until"})
# The items, as pages name them, that only those see who have to.
PERSONAL = frozenset(
    {
        *(NAMES[column] for column in ("representative_title", "representative_name", "phone", "fax")),
        *(DELEGATE_NAMES[key] for key in ("title", "person", "phone", "fax")),
    }
)


def subject_of(section: Section, supplier_number: str = "") -> str:
    """Return the name under which changes of a register, or of one company in it, are kept."""
    place = f"register:{section.agency.code}:{section.category}"
    return f"{place}:{supplier_number}" if supplier_number else place


def told_of(change: suppliers.Change) -> tuple[str, ...]:
    """Return what this change of the register makes a company with registered cards be told, as kinds of notices."""
    before = {column: value for column, value, _ in change.differences}
    now = {column: value for column, _, value in change.differences}
    if change.kind == "ended" or now.get("status") == SupplierStatus.ENDED:
        return (ENDED,)
    told = [RESTORED] if change.kind == "returned" else []
    if ON_THE_CARD & now.keys() or _delegate_differs(before.get("delegate", {}), now.get("delegate", {})):
        told.append(COMPANY_CHANGED)
    if SUSPENSION & now.keys():
        # The days of a suspension that goes on are news as well; whoever is back on the register is told that already.
        if now.get("status", SupplierStatus.SUSPENDED) == SupplierStatus.SUSPENDED:
            told.append(SUSPENDED)
        elif before["status"] == SupplierStatus.SUSPENDED:
            told.append(LIFTED)
    return tuple(told)


def would_tell(supplier: Supplier, values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what these values would make the company be told, if it has registered cards."""
    return told_of(suppliers.change_of(supplier, values))


def _delegate_differs(before: Mapping[str, str], now: Mapping[str, str]) -> bool:
    return any(before.get(key, "") != now.get(key, "") for key in DELEGATE_ON_THE_CARD)


ASKING = imports.Asking(registered_among=queries.living_cards_among, told_of=told_of)


# -- what a page shows before, and the deed writes down after


def entry_changes(supplier: Supplier | None, values: Mapping[str, Any]) -> list[Change]:
    """Return which items of an entry become another value; of a new one, which it has."""
    rows: list[Change] = []
    for column, before, now in suppliers.differences_of(supplier or Supplier(), values):
        if column == "delegate":
            keys = [key for key in DELEGATE_NAMES if before.get(key, "") != now.get(key, "")]
            rows += [(DELEGATE_NAMES[key], before.get(key, ""), now.get(key, "")) for key in keys]
        else:
            rows.append((NAMES[column], suppliers.value_shown(column, before), suppliers.value_shown(column, now)))
    return rows


def suspension(first: date, last: date | None) -> dict[str, Any]:
    """Return the columns of a 指名停止."""
    return {"status": SupplierStatus.SUSPENDED, "suspended_from": first, "suspended_until": last}


LIFTING: dict[str, Any] = {"status": SupplierStatus.ACTIVE, "suspended_from": None, "suspended_until": None}
ENDING: dict[str, Any] = {"status": SupplierStatus.ENDED}
RESTORING: dict[str, Any] = {"status": SupplierStatus.ACTIVE}


def import_changes(brought: RegisterImport) -> list[Change]:
    """Return what taking a file does, as the page that asks for the last word and the ledger say it."""
    kinds = {
        "new": "新しく載る会社",
        "changed": "内容が変わる会社",
        "returned": "名簿に戻る会社",
        "ended": "名簿から外れる会社",
        "unchanged": "変わらない会社",
        imports.TOUCHED: "利用者登録のある会社のうち、変わる会社",
        "told": "お知らせを送る会社",
    }
    return [
        ("ファイル", "", brought.file_name),
        ("ファイルのSHA-256", "", brought.sha256),
        *((label, "", f"{brought.counts[kind]}社") for kind, label in kinds.items()),
        ("差分のSHA-256", "", brought.difference),
    ]


# -- an import


def take_import(*, deed: Deed, brought: RegisterImport) -> None:
    """Make the register what the waiting file says, all of it or nothing, and tell the companies that it touches.

    :raises Refused: S-931 when the difference is not the one that was shown, because the register has changed meanwhile;
        S-932 when the file waits no more; S-908, S-910
    """
    if staff_queries.is_done(deed.id):
        return
    read = imports.read(brought)
    difference = imports.Difference(told_of)
    with transaction.atomic():
        suppliers.hold(brought.section)
        if staff_queries.is_done(deed.id):
            return
        imports.finish(brought=brought, act=deed.id, by=_who(deed), reason=deed.reason, now=deed.at)
        suppliers.take(
            read,
            now=deed.at,
            registered_among=queries.living_cards_among,
            progress=_silently,
            told=difference.take,
        )
        if difference.digest != brought.difference:
            raise Refused(refusal("S-931"))
        _own(deed, brought.section)
        # Last, so that nobody else's change of staff or settings waits for a long import.
        staff.begin(deed, Role.CONTRACTS)
        _record_import(deed, brought, difference)


def take_file(
    *,
    deed: Deed,
    read: suppliers.ReadFile,
    path: Path,
    given: Mapping[str, Field] | None,
    confirmed: int | None,
    progress: suppliers.Progress,
) -> suppliers.Report:
    """Do the same with a file that nobody has shown as a difference, and return what that changed: the command's way.

    :raises Refused: S-937 when more than a tenth of the register would end or change, unless their number is `confirmed`
    """
    by = _who(deed)
    taken = imports.at_once(read=read, path=path, given=given, act=deed.id, by=by, reason=deed.reason, now=deed.at)
    difference = imports.Difference(told_of)
    with transaction.atomic():
        report = suppliers.take(
            read, now=deed.at, registered_among=queries.living_cards_among, progress=progress, told=difference.take
        )
        if (alarming := imports.alarming(report)) and alarming != confirmed:
            raise Refused(refusal("S-937", touched=alarming, listed=report.listed_before))
        imports.keep_report(taken=taken, report=report, difference=difference)
        _own(deed, read.section)
        staff.begin(deed, Role.CONTRACTS)
        _record_import(deed, taken, difference)
    return report


def _record_import(deed: Deed, taken: RegisterImport, difference: imports.Difference) -> None:
    _tell(taken.section, difference.touched, deed)
    subject = subject_of(taken.section)
    staff.record(deed, kind="register.imported", subject=subject, changes=import_changes(taken))


# -- one entry


def add_entry(*, deed: Deed, section: Section, supplier_number: str, values: Mapping[str, Any]) -> None:
    """Put one company into the register.

    :raises Refused: S-933 when the number is there already; S-908, S-910
    """
    with transaction.atomic():
        suppliers.hold(section)
        if not staff.begin(deed, Role.CONTRACTS):
            return
        _own(deed, section)
        changes = [("業者番号", "", supplier_number), *entry_changes(None, values)]
        suppliers.add_entry(section=section, supplier_number=supplier_number, values=values)
        subject = subject_of(section, supplier_number)
        staff.record(deed, kind="register.entry_added", subject=subject, changes=changes)


def change_entry(*, deed: Deed, section: Section, supplier_number: str, values: Mapping[str, Any]) -> None:
    """Change what the register says of one company, as its 変更届 says.

    :raises Refused: S-908, S-910
    """
    with transaction.atomic():
        if (supplier := _begin(deed, section, supplier_number)) is None:
            return
        changes = entry_changes(supplier, values)
        subject = subject_of(section, supplier_number)
        staff.record(deed, kind="register.entry_changed", subject=subject, changes=changes)
        _write(deed, supplier, values)


def suspend(*, deed: Deed, section: Section, supplier_number: str, first: date, last: date | None) -> None:
    """Put a company under 指名停止, or change its days.

    :raises Refused: S-934 when the company is not on the register any more; S-908, S-910
    """
    with transaction.atomic():
        if (supplier := _begin(deed, section, supplier_number)) is None:
            return
        refuse_to_suspend(supplier)
        values = suspension(first, last)
        subject = subject_of(section, supplier_number)
        staff.record(deed, kind="register.suspended", subject=subject, changes=entry_changes(supplier, values))
        _write(deed, supplier, values)


def lift_suspension(*, deed: Deed, section: Section, supplier_number: str) -> None:
    """End a 指名停止 now.

    :raises Refused: S-935 when there is none; S-908, S-910
    """
    with transaction.atomic():
        if (supplier := _begin(deed, section, supplier_number)) is None:
            return
        refuse_to_lift(supplier)
        subject = subject_of(section, supplier_number)
        staff.record(deed, kind="register.suspension_lifted", subject=subject, changes=entry_changes(supplier, LIFTING))
        _write(deed, supplier, LIFTING)


def end_entry(*, deed: Deed, section: Section, supplier_number: str) -> None:
    """End the qualification of a company: it is off the register from now on, and never deleted.

    :raises Refused: S-934 when it is ended already; S-908, S-910
    """
    with transaction.atomic():
        if (supplier := _begin(deed, section, supplier_number)) is None:
            return
        refuse_to_suspend(supplier)
        subject = subject_of(section, supplier_number)
        staff.record(deed, kind="register.entry_ended", subject=subject, changes=entry_changes(supplier, ENDING))
        _write(deed, supplier, ENDING)


def restore_entry(*, deed: Deed, section: Section, supplier_number: str) -> None:
    """Put an ended company back on the register.

    :raises Refused: S-936 when it is not ended; S-908, S-910
    """
    with transaction.atomic():
        if (supplier := _begin(deed, section, supplier_number)) is None:
            return
        refuse_to_restore(supplier)
        subject = subject_of(section, supplier_number)
        staff.record(deed, kind="register.entry_restored", subject=subject, changes=entry_changes(supplier, RESTORING))
        _write(deed, supplier, RESTORING)


def settle(*, deed: Deed, section: Section, supplier_number: str) -> None:
    """Write down that staff have looked at a registered company that a change of the register touched.

    :raises Refused: S-910 when somebody else has done so meanwhile; S-908
    """
    with transaction.atomic():
        if (supplier := _begin(deed, section, supplier_number)) is None:
            return
        if not suppliers.settle_mark(supplier=supplier, now=deed.at):
            raise Refused(refusal("S-910"))
        subject = subject_of(section, supplier_number)
        staff.record(deed, kind="register.mark_settled", subject=subject, changes=SETTLING)


SETTLING: list[Change] = [("名簿の変更に関わる利用者登録の確認", "確認待ち", "確認済み")]


# -- ユーザID and パスワード of 資格審査情報検索, where the agency asks for them

PASSWORD_ALPHABET = "".join(sorted({*string.ascii_letters, *string.digits} - set("0OoIl1")))


@dataclass(frozen=True, slots=True)
class Login:
    """What a company is handed, on paper or by mail: the only copy of the password."""

    supplier: Supplier
    login_id: str
    password: str


def login_changes(supplier: Supplier, login_id: str) -> list[Change]:
    """Return what giving a company these does; the password itself is shown to nobody, and kept by nobody.

    When the former one was given stands in it, so that of two who give one the second is told (S-910).
    """
    changes = [("検索のパスワード", _password_shown(supplier), "新しいパスワード")]
    if supplier.login_id != login_id:
        changes.insert(0, ("検索のユーザID", supplier.login_id or "なし", login_id))
    return changes


def _password_shown(supplier: Supplier) -> str:
    if not supplier.login_password:
        return "なし"
    subject = subject_of(supplier.section, supplier.supplier_number)
    given = next((act for act in staff_queries.acts(subject) if act.kind == "register.login_set"), None)
    when = f"{given.acted_at.astimezone(JST):%Y年%m月%d日 %H時%M分%S秒}" if given else "一括で"
    return f"決まっている（{when}）"


def set_login(*, deed: Deed, section: Section, supplier_number: str, login_id: str, password: str) -> None:
    """Give a company a ユーザID and a new password for 資格審査情報検索; what it had before does not hold any more.

    :raises Refused: S-934 when the company is off the register; S-908, S-910
    """
    hashed = make_password(password)
    with transaction.atomic():
        if (supplier := _begin(deed, section, supplier_number)) is None:
            return
        refuse_to_suspend(supplier)
        subject = subject_of(section, supplier_number)
        staff.record(deed, kind="register.login_set", subject=subject, changes=login_changes(supplier, login_id))
        suppliers.write_login(supplier=supplier, login_id=login_id, password=hashed)


def hand_out_logins(
    *,
    section: Section,
    reason: str,
    now: datetime,
    salt: bytes,
    hand_out: Callable[[Sequence[Login]], None],
    progress: suppliers.Progress,
) -> int:
    """Give every company on the register that has none a ユーザID and a password, and return how many that were.

    `hand_out` gets them as the last thing before the commit: when it fails, no company has a password that nobody knows.

    :raises Refused: S-939 when every company has one; S-910 when somebody has given one of them another meanwhile
    """
    logins = [Login(one, one.supplier_number, new_password()) for one in register.without_login(section)]
    if not logins:
        raise Refused(refusal("S-939"))
    # Outside the transaction: a hash takes a fiftieth of a second on purpose, and SQLite has one writer.
    hashes = []
    for done, login in enumerate(logins):
        progress("パスワードを決めています", done / len(logins))
        hashes.append(make_password(login.password))
    deed = Deed(uuid.uuid4(), None, reason, now, salt)
    with transaction.atomic():
        suppliers.hold(section)
        staff.begin(deed, Role.CONTRACTS)
        if [one.id for one in register.without_login(section)] != [login.supplier.id for login in logins]:
            raise Refused(refusal("S-910"))
        for login, hashed in zip(logins, hashes, strict=True):
            suppliers.write_login(supplier=login.supplier, login_id=login.login_id, password=hashed)
        changes = [("検索のユーザIDとパスワードを決めた会社", "", f"{len(logins)}社")]
        staff.record(deed, kind="register.logins_handed_out", subject=subject_of(section), changes=changes)
        hand_out(logins)
    return len(logins)


def new_password() -> str:
    """Return twelve characters by chance, without those that are easily taken for another: 69 bits."""
    return "".join(secrets.choice(PASSWORD_ALPHABET) for _ in range(12))


def refuse_to_suspend(supplier: Supplier) -> None:
    """Refuse for a company that is off the register.

    :raises Refused: S-934
    """
    if supplier.status == SupplierStatus.ENDED:
        raise Refused(refusal("S-934"))


def refuse_to_lift(supplier: Supplier) -> None:
    """Refuse for a company that has no 指名停止.

    :raises Refused: S-935
    """
    if not has_suspension(supplier):
        raise Refused(refusal("S-935"))


def refuse_to_restore(supplier: Supplier) -> None:
    """Refuse for a company that is on the register.

    :raises Refused: S-936
    """
    if supplier.status != SupplierStatus.ENDED:
        raise Refused(refusal("S-936"))


def has_suspension(supplier: Supplier) -> bool:
    """Return whether a 指名停止 is written down: one that runs, comes, or is over by its days."""
    if supplier.status == SupplierStatus.ENDED:
        return False
    return supplier.status == SupplierStatus.SUSPENDED or supplier.suspended_from is not None


# -- common to all of them


def _begin(deed: Deed, section: Section, supplier_number: str) -> Supplier | None:
    """Return the company to be changed, held to the commit; None when this deed is done already."""
    suppliers.hold(section)
    if not staff.begin(deed, Role.CONTRACTS):
        return None
    _own(deed, section)
    supplier = register.find(section=section, supplier_number=supplier_number)
    if supplier is None:
        raise Refused(refusal("S-910"))
    return supplier


def _write(deed: Deed, supplier: Supplier, values: Mapping[str, Any]) -> None:
    change = suppliers.write_entry(supplier=supplier, values=values)
    if (told := told_of(change)) and queries.living_cards_among([supplier.id]):
        _tell(supplier.section, [(supplier.id, told)], deed)


def _own(deed: Deed, section: Section) -> None:
    if deed.actor is not None and not deed.actor.may_see(section.agency):
        raise Refused(refusal("S-908"))


def _who(deed: Deed) -> str:
    return deed.actor.member.name if deed.actor else "（コマンド）"


def _silently(doing: str, share: float) -> None:
    """A page has no bar: the browser shows that it waits."""


def _tell(section: Section, touched: Sequence[tuple[int, Sequence[str]]], deed: Deed) -> None:
    """Mark the touched companies with registered cards, and tell those whose cards are in use."""
    for start in range(0, len(touched), BATCH):
        told = dict(touched[start : start + BATCH])
        suppliers.mark(told=told, act=deed.id, now=deed.at)
        for card in _first_cards(section, told):
            for kind in told[card.registration.supplier_id]:
                _tell_company(kind, card, deed.at)


def _first_cards(section: Section, supplier_ids: Iterable[int]) -> Iterable[RegisteredCard]:
    """Return one active card of each registration; whoever is told through it is told with all the others."""
    active = RegisteredCard.objects.filter(registration__supplier_id__in=list(supplier_ids), status=CardStatus.ACTIVE)
    first: dict[int, RegisteredCard] = {}
    for card in active.select_related("registration__supplier").order_by("registered_at", "id"):
        card.section = card.registration.section = card.registration.supplier.section = section
        first.setdefault(card.registration_id, card)
    return first.values()


def _tell_company(kind: str, card: RegisteredCard, now: datetime) -> None:
    if kind == COMPANY_CHANGED:
        operations.tell_company(
            kind="register.company_changed",
            subject="登録業者名簿の内容が変わりました",
            letter="register_company_changed",
            card=card,
            now=now,
        )
    elif kind == SUSPENDED:
        operations.tell_company(
            kind="register.company_suspended",
            subject="指名停止についてのお知らせ",
            letter="register_company_suspended",
            card=card,
            now=now,
        )
    elif kind == LIFTED:
        operations.tell_company(
            kind="register.company_suspension_lifted",
            subject="指名停止の終わりのお知らせ",
            letter="register_company_suspension_lifted",
            card=card,
            now=now,
        )
    elif kind == ENDED:
        operations.tell_company(
            kind="register.company_ended",
            subject="入札参加資格の終了のお知らせ",
            letter="register_company_ended",
            card=card,
            now=now,
        )
    else:
        operations.tell_company(
            kind="register.company_restored",
            subject="登録業者名簿に戻ったことのお知らせ",
            letter="register_company_restored",
            card=card,
            now=now,
        )
