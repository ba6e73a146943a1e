"""What an auditor reads of the ledger: an entry in words and with its proof, two heads compared, a period as a file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

from django.conf import settings

from irefuda.ledger import keys
from irefuda.ledger import queries as ledger
from irefuda.ui.clock import JST
from irefuda_core import jws, merkle, note, receipt
from irefuda_core.canonical import NotCanonical, parse_canonical
from irefuda_core.documents import TYPES

EXPORT_FORMAT = "irefuda-ledger-export/1"
SCANNED = 20_000


@dataclass(frozen=True, slots=True)
class Reading:
    """One entry as the auditor's page shows it."""

    entry: Any
    kind: str
    place: int | None
    sha256: str
    signed_by: str
    rows: list[tuple[str, str]]
    text: str
    # Of the newest head: proved, or why not.
    proof: dict[str, Any] | None
    is_proved: bool
    is_tree_broken: bool
    hash_fits: bool
    # "kept", "waiting", "late" (after the promise), "broken" (still without a place)
    promise: str
    included_at: datetime | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two heads of the log, and whether the later one begins with the earlier one."""

    old: Any
    new: Any
    hashes: list[str]
    is_consistent: bool
    problem: str = ""


def read(entry: Any, *, now: datetime) -> Reading:
    """Return what there is to know of an entry, computed again from what is stored."""
    document = bytes(entry.document)
    place = ledger.place(entry.id)
    head = ledger.including_checkpoint(place) if place is not None else None
    due = entry.recorded_at + receipt.PROMISE
    if head is not None:
        promise = "kept" if head.signed_at <= due else "late"
    else:
        promise = "waiting" if now <= due else "broken"
    try:
        proof, lost = ledger.proof(entry.id), False
    except KeyError:
        # Somebody has taken rows out of the tree: the auditor is the one to see that, not an error page.
        proof, lost = None, True
    computed = receipt.entry_hash(salt=bytes(entry.salt), document=document)
    signed_by, rows, text = _in_words(document)
    return Reading(
        entry=entry,
        kind=kind_shown(entry.kind),
        place=place,
        sha256=hashlib.sha256(document).hexdigest(),
        signed_by=signed_by,
        rows=rows,
        text=text,
        proof=proof,
        is_proved=_holds(proof, computed),
        is_tree_broken=lost,
        hash_fits=computed.hex() == entry.entry_hash,
        promise=promise,
        included_at=head.signed_at if head else None,
    )


def _holds(proof: dict[str, Any] | None, content: bytes) -> bool:
    if proof is None:
        return False
    try:
        head = note.verify_checkpoint(proof["checkpoint"], _verifiers())
    except note.NoteFailure:
        return False
    return merkle.verify_inclusion(
        index=proof["leaf_index"],
        size=head.size,
        leaf=merkle.leaf_hash(content),
        path=[bytes.fromhex(item) for item in proof["hashes"]],
        root=head.root,
    )


def _verifiers() -> list[note.VerifierKey]:
    return [note.parse_verifier_key(key) for key in keys.published_keys()["head_keys"]]


def _in_words(document: bytes) -> tuple[str, list[tuple[str, str]], str]:
    """Return by whom a document is signed, its fields under their Japanese names, and the text as it is stored."""
    text = document.decode(errors="replace")
    signed_by, payload = "署名なし（システムの記録）", document
    try:
        signed = jws.parse(text)
    except jws.SignatureFailure:
        pass
    else:
        signed_by, payload = hashlib.sha256(signed.unverified_certificate).hexdigest(), signed.payload
    try:
        values = parse_canonical(payload)
    except NotCanonical:
        return signed_by, [], text
    kind = TYPES.get(str(values.get("type", "")))
    labels = {field.key: field.label for field in kind.fields} if kind else LABELS
    return signed_by, [(labels.get(key, key), str(value)) for key, value in values.items()], text


# What records of the system itself call their fields; what is not here is shown by its key.
LABELS = {
    "agency_code": "調達機関コード",
    "announcement_id": "お知らせの番号",
    "body": "本文",
    "category": "調達区分",
    "created_by": "作成",
    "expires_at": "掲載の終わり",
    "issued_at": "文書の日時",
    "published_at": "掲載の始まり",
    "title": "件名",
    "act_id": "操作の番号",
    "acted_at": "日時",
    "card_fingerprint": "ICカードの指紋（SHA-256）",
    "changes": "変えた内容（項目、前、後）",
    "kind": "種別",
    "member_id": "職員の番号",
    "member_name": "職員の氏名",
    "origin": "サイト",
    "realm": "運用の区分",
    "reason": "理由",
    "subject": "対象",
    "type": "文書の種類",
}


# The kinds of entries in words; one that is not here is shown by its name.
KINDS = {
    "registration.registered": "利用者登録",
    "registration.changed": "利用者変更",
    "registration.renewed": "ICカード更新",
    "registration.approved": "受理",
    "registration.rejected": "不受理",
    "registration.closed": "ICカードの使用停止",
    "registration.reopened": "ICカードの使用停止の解除",
    "registration.halted": "企業の利用停止",
    "registration.resumed": "企業の利用停止の解除",
    "announcement.published": "お知らせの掲載",
    "announcement.withdrawn": "お知らせの取り下げ",
    "staff.first_administrator_added": "管理者の登録（コマンド）",
    "staff.member_added": "職員の追加",
    "staff.member_changed": "職員の氏名・所属の変更",
    "staff.roles_changed": "職員の役割の変更",
    "staff.card_added": "職員のICカードの登録",
    "staff.member_ended": "職員の利用終了",
    "staff.agency_changed": "調達機関の案内・運用時間の変更",
    "staff.policy_changed": "利用者登録の扱いの変更",
    "staff.day_closed": "臨時休止日の追加",
    "staff.day_reopened": "臨時休止の取りやめ",
    "staff.ledger_exported": "台帳の持ち出し",
    "staff.registration_approved": "受理（職員の操作）",
    "staff.registration_rejected": "不受理（職員の操作）",
    "staff.registered_card_closed": "ICカードの使用停止（職員の操作）",
    "staff.registered_card_reopened": "ICカードの使用停止の解除（職員の操作）",
    "staff.registration_halted": "企業の利用停止（職員の操作）",
    "staff.registration_resumed": "企業の利用停止の解除（職員の操作）",
    "staff.announcement_published": "お知らせの掲載（職員の操作）",
    "staff.announcement_withdrawn": "お知らせの取り下げ（職員の操作）",
    "register.imported": "登録業者名簿の取り込み",
    "register.entry_added": "登録業者名簿への会社の追加",
    "register.entry_changed": "登録業者名簿の内容の変更",
    "register.suspended": "指名停止",
    "register.suspension_lifted": "指名停止の解除",
    "register.entry_ended": "入札参加資格の終了",
    "register.entry_restored": "登録業者名簿への復帰",
    "register.login_set": "資格審査情報検索のユーザIDとパスワードの決定",
    "register.logins_handed_out": "資格審査情報検索のユーザIDとパスワードの一括決定",
    "register.mark_settled": "名簿の変更に関わる利用者登録の確認",
}


def kind_shown(kind: str) -> str:
    """Return the kind of an entry in words, with its name."""
    return f"{KINDS[kind]}（{kind}）" if kind in KINDS else kind


def find_digest(digest: str, *, since: datetime | None, until: datetime | None) -> Any | None:
    """Return the entry with this hash, or the one whose document has this SHA-256 among the newest of the period."""
    digest = digest.strip().lower()
    if found := ledger.entry_of_hash(digest):
        return found
    for _, entry in ledger.placed(since=since, until=until, limit=SCANNED):
        if hashlib.sha256(bytes(entry.document)).hexdigest() == digest:
            return entry
    return None


def compare(*, old: int, new: int) -> Comparison:
    """Return the proof that the head of size `new` only added to the head of size `old`, verified here and now."""
    first, second = ledger.checkpoint(old), ledger.checkpoint(new)
    if first is None or second is None:
        missing = "、".join(str(size) for size, found in ((old, first), (new, second)) if found is None)
        return Comparison(
            first, second, [], is_consistent=False, problem=f"件数{missing}のチェックポイントはありません。"
        )
    try:
        heads = [note.verify_checkpoint(row.note, _verifiers()) for row in (first, second)]
    except note.NoteFailure as failure:
        problem = f"{failure.refusal.sentence}（{failure.code}）"
        return Comparison(first, second, [], is_consistent=False, problem=problem)
    try:
        path = ledger.consistency_of_heads(old=old, new=new)
    except KeyError:
        problem = "証明に必要な木の行がデータベースにありません。運用担当に audit_ledger の実行を頼んでください。"
        return Comparison(first, second, [], is_consistent=False, problem=problem)
    fits = [head.size for head in heads] == [old, new] and merkle.verify_consistency(
        old=old, new=new, old_root=heads[0].root, new_root=heads[1].root, proof=path
    )
    return Comparison(first, second, [item.hex() for item in path], is_consistent=fits)


def moments(first: date | None, last: date | None) -> tuple[datetime | None, datetime | None]:
    """Return when a period of days begins and ends in Japan."""
    since = datetime.combine(first, time(), JST) if first else None
    return since, datetime.combine(last + timedelta(days=1), time(), JST) if last else None


def export(first: date, last: date) -> Iterator[str]:
    """Yield a period of the ledger as lines of JSON, from a signed head to a signed head; `docs/staff.md` says how to check."""
    since, until = moments(first, last)
    before, after = ledger.span(since=since, until=until)
    start, end = before.size if before else 0, after.size if after else 0
    peaks = sorted(ledger.peaks(start).items(), reverse=True)
    yield _line(
        {
            "format": EXPORT_FORMAT,
            "realm": settings.REALM,
            "log": keys.log_name(),
            "first_day": first.isoformat(),
            "last_day": last.isoformat(),
            "start": start,
            "end": end,
            "checkpoint_before": before.note if before else None,
            "checkpoint_after": after.note if after else None,
            "peaks_before": [[level, index, content.hex()] for (level, index), content in peaks],
        }
    )
    for seq, entry in ledger.leaves_between(start, end):
        yield _line(
            {
                "seq": seq,
                "entry_id": str(entry.id),
                "kind": entry.kind,
                "recorded_at": entry.recorded_at.isoformat(),
                "salt": bytes(entry.salt).hex(),
                "document": bytes(entry.document).decode(),
                "entry_hash": entry.entry_hash,
            }
        )


def _line(values: dict[str, Any]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":")) + "\n"
