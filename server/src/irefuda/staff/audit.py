"""Every act of the staff beside its ledger entry, and every role and card beside the act that gave it: for `audit_ledger`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from itertools import chain
from typing import Any

from irefuda.ledger import queries as ledger
from irefuda.ledger.audit import Finding, as_bytes
from irefuda.staff.models import Role, StaffAct, StaffCard, StaffMember
from irefuda.ui.clock import JST
from irefuda_core.canonical import NotCanonical, parse_canonical
from irefuda_core.certificate import UnreadableCertificate, fingerprint_of, load

PAGE = 200
TABLE = "staff_staffact"
# What staff do is recorded under these kinds.
PREFIXES = ("staff.", "register.")


def findings(now: datetime) -> Iterator[Finding]:
    """Yield every act that is not what the ledger holds, every one that is gone, and every role or card that no act gave."""
    rows = StaffAct.objects.order_by("id")
    known = set()
    page = list(rows[:PAGE])
    while page:
        entries = ledger.entries(act.ledger_entry for act in page)
        for act in page:
            known.add(act.ledger_entry)
            entry = entries.get(act.ledger_entry)
            differs = "台帳に記録がありません。" if entry is None else _difference(act, entry)
            if differs:
                yield Finding(TABLE, str(act.id), differs)
        page = list(rows.filter(id__gt=page[-1].id)[:PAGE])
    for entry_id in chain.from_iterable(map(ledger.ids_beginning_with, PREFIXES)):
        if entry_id not in known:
            yield Finding(TABLE, f"（台帳の記録 {entry_id}）", "職員の操作の行がありません。")
    yield from _without_act()


def _difference(act: StaffAct, entry: Any) -> str:
    """Return in words what of an act is not what its entry says, or ""."""
    try:
        told = parse_canonical(as_bytes(entry.document))
        changes = json.loads(str(told["changes"]))
    except (NotCanonical, KeyError, ValueError):
        return "台帳の文書を、職員の操作として読み取れません。"
    kept = {
        "act_id": str(act.id),
        "kind": act.kind,
        "member_id": str(act.member_id or ""),
        "subject": act.subject,
        "reason": act.reason,
        "acted_at": act.acted_at.astimezone(JST).isoformat(timespec="seconds"),
    }
    wrong = [name for name, value in kept.items() if told.get(name) != value]
    if act.kind != entry.kind or act.acted_at != entry.recorded_at:
        wrong.append("種別か日時")
    if act.changes != changes:
        wrong.append("changes")
    return f"台帳の記録と違います：{'、'.join(wrong)}" if wrong else ""


def _without_act() -> Iterator[Finding]:
    """Yield roles and cards that came or went at a moment at which nobody is known to have changed their member."""
    for member in StaffMember.objects.prefetch_related("roles", "cards").order_by("id").iterator(chunk_size=PAGE):
        acts = {act.acted_at: act for act in StaffAct.objects.filter(subject=f"member:{member.id}")}
        for role in member.roles.all():
            label = Role(role.role).label
            for moment in filter(None, (role.granted_at, role.revoked_at)):
                if moment not in acts or label not in [row[0] for row in acts[moment].changes]:
                    yield Finding("staff_staffrole", str(role.id), f"「{label}」を変えた操作がありません。")
        for card in member.cards.all():
            given = acts.get(card.added_at)
            if given is None or not any(f"シリアル番号 {card.serial}、" in row[2] for row in given.changes):
                yield Finding("staff_staffcard", str(card.id), "ICカードを登録した操作がありません。")
            if not _is_its_certificate(card):
                yield Finding("staff_staffcard", str(card.id), "証明書と、その指紋かシリアル番号が合いません。")
            if card.ended_at is not None and card.ended_at not in acts:
                yield Finding("staff_staffcard", str(card.id), "ICカードの利用を終えた操作がありません。")


def _is_its_certificate(card: StaffCard) -> bool:
    der = as_bytes(card.certificate)
    try:
        return fingerprint_of(der) == card.fingerprint and str(load(der).serial_number) == card.serial
    except UnreadableCertificate:
        return False
