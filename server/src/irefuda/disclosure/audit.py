"""Every announcement beside its ledger entries: whoever changes one of the two is found."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from irefuda.disclosure.models import PUBLISHED, WITHDRAWN, Announcement
from irefuda.ledger import queries as ledger
from irefuda.ledger.audit import Finding, as_bytes
from irefuda_core import canonical

TABLE = "disclosure_announcement"
PAGE = 200


def findings(now: datetime) -> Iterator[Finding]:
    """Yield every announcement that is not what the ledger holds, and every one that is gone.

    A line of the portal's news from before there were announcements has no entry, and so nothing to be compared with.
    """
    known: set[uuid.UUID] = set()
    rows = Announcement.objects.select_related("agency").order_by("id")
    for announcement in rows.iterator(chunk_size=PAGE):
        deeds: list[tuple[uuid.UUID | None, str]] = []
        if announcement.ledger_entry:
            deeds.append((announcement.ledger_entry, PUBLISHED))
        if announcement.withdrawn_at or announcement.withdrawal_entry:
            deeds.append((announcement.withdrawal_entry, WITHDRAWN))
        entries = ledger.entries(entry_id for entry_id, _ in deeds if entry_id)
        for entry_id, kind in deeds:
            for differs in _differences(announcement, entries.get(entry_id) if entry_id else None, kind):
                yield Finding(TABLE, str(announcement.id), differs)
        known |= set(entries)
    for kind in (PUBLISHED, WITHDRAWN):
        for entry_id in ledger.ids_of_kind(kind):
            if entry_id not in known:
                yield Finding(TABLE, f"（台帳の記録 {entry_id}）", "お知らせの行がありません。")


def _differences(announcement: Announcement, entry: Any, kind: str) -> Iterator[str]:
    """Yield what the row says otherwise than its entry of this kind."""
    if entry is None:
        yield f"台帳に記録がありません（{kind}）。"
        return
    if entry.kind != kind:
        yield f"台帳の記録の種別が違います（{entry.kind}）。"
        return
    try:
        told = canonical.parse_canonical(as_bytes(entry.document))
    except canonical.NotCanonical:
        yield "台帳の文書を読み取れません。"
        return
    kept = announcement.document(kind, at=entry.recorded_at)
    for name in sorted({*told, *kept}):
        if told.get(name) != kept.get(name):
            yield f"{name}：台帳の文書（{kind}）と違います。"
    if kind == WITHDRAWN and announcement.withdrawn_at != entry.recorded_at:
        yield "withdrawn_at：取り下げの日時が、台帳の受付日時と違います。"
