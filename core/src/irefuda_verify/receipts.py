"""Checking a receipt file without asking anyone: what is compared, and how the result reads."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta, timezone
from enum import Enum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from irefuda_core import canonical, jws, merkle, note, receipt, succession
from irefuda_core.certificate import UnreadableCertificate, read_certificate, shown

BUNDLE_FORMAT = "irefuda-receipt/1"
KEYS_FORMAT = "irefuda-ledger-keys/1"
MAX_BYTES = 2_000_000
MAX_HANDOVERS = 200
JST = timezone(timedelta(hours=9))


class UnreadableFile(Exception):
    """The file is not of the kind that was expected; the message is a Japanese sentence."""


class Mark(Enum):
    """How one line of the report reads, and the exit code that it asks for."""

    GOOD = "○", 0
    BAD = "×", 1
    OPEN = "△", 3

    @property
    def sign(self) -> str:
        return self.value[0]


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was checked."""

    mark: Mark
    text: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """A receipt file, read; nothing is checked yet."""

    document: str
    salt: bytes
    receipt: str
    proof: Proof | None
    # ICカード更新: what the old card signed; the document names it by its SHA-256.
    handover: str = ""
    # The heads by which the ledger's keys passed to others, or its log to another.
    handovers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proof:
    """The place of the entry in the log."""

    leaf_index: int
    tree_size: int
    hashes: tuple[bytes, ...]
    checkpoint: str


@dataclass(frozen=True, slots=True)
class Keys:
    """The public keys of one ledger."""

    log: str
    receipt_keys: Mapping[str, Ed25519PublicKey]
    head_keys: tuple[note.VerifierKey, ...]
    handovers: tuple[str, ...] = ()


@dataclass(slots=True)
class Report:
    """The lines, in the order in which they were checked."""

    lines: list[Line] = field(default_factory=list)

    def good(self, text: str) -> None:
        self.lines.append(Line(Mark.GOOD, text))

    def bad(self, text: str) -> None:
        self.lines.append(Line(Mark.BAD, text))

    def open(self, text: str) -> None:
        self.lines.append(Line(Mark.OPEN, text))

    @property
    def worst(self) -> Mark:
        """Return BAD before OPEN before GOOD."""
        marks = {line.mark for line in self.lines}
        return next(mark for mark in (Mark.BAD, Mark.OPEN, Mark.GOOD) if mark in marks)


def _object(content: bytes, what: str) -> dict[str, Any]:
    if len(content) > MAX_BYTES:
        raise UnreadableFile(f"{what}が大きすぎます。別のファイルを指定していないか確かめてください。")
    try:
        value = json.loads(content.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise UnreadableFile(
            f"{what}を読み取れません。ファイルが壊れているか、途中で切れています。もう一度ダウンロードしてください。"
        ) from None
    if not isinstance(value, dict):
        raise UnreadableFile(f"{what}ではありません。")
    return value


def read_bundle(content: bytes) -> Bundle:
    """Return the receipt file in these bytes.

    :raises UnreadableFile: when it is none
    """
    value = _object(content, "受付の控えのファイル")
    if value.get("format") != BUNDLE_FORMAT:
        raise UnreadableFile("受付の控えのファイルではないか、この検証プログラムが知らない版です。")
    try:
        proof = value["proof"]
        return Bundle(
            document=_text(value["document"]),
            salt=bytes.fromhex(_text(value["salt"])),
            receipt=_text(value["receipt"]),
            proof=None if proof is None else _proof(proof),
            handover=_text(value.get("handover", "")),
            handovers=_handovers(value),
        )
    except (KeyError, TypeError, ValueError):
        raise UnreadableFile("受付の控えのファイルに、必要な項目がないか、形が正しくありません。") from None


def _handovers(value: dict[str, Any]) -> tuple[str, ...]:
    listed = value.get("handovers", [])
    if not isinstance(listed, list) or len(listed) > MAX_HANDOVERS:
        raise TypeError("handovers")
    return tuple(_text(item) for item in listed)


def _proof(value: dict[str, Any]) -> Proof:
    index, size, hashes = value["leaf_index"], value["tree_size"], value["hashes"]
    if not all(type(number) is int for number in (index, size)) or not isinstance(hashes, list) or len(hashes) > 128:
        raise TypeError("proof")
    return Proof(index, size, tuple(bytes.fromhex(_text(item)) for item in hashes), _text(value["checkpoint"]))


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("text")
    return value


def read_keys(content: bytes) -> Keys:
    """Return the public keys in these bytes.

    :raises UnreadableFile: when there are none
    """
    value = _object(content, "鍵のファイル")
    if value.get("format") != KEYS_FORMAT:
        raise UnreadableFile("台帳の鍵のファイルではないか、この検証プログラムが知らない版です。")
    try:
        return Keys(
            log=_text(value["log"]),
            receipt_keys={
                _text(key["kid"]): Ed25519PublicKey.from_public_bytes(jws.from_b64url(_text(key["x"])))
                for key in value["receipt_keys"]
            },
            head_keys=tuple(note.parse_verifier_key(_text(key)) for key in value["head_keys"]),
            handovers=_handovers(value),
        )
    except (KeyError, TypeError, ValueError, jws.SignatureFailure, note.NoteFailure):
        raise UnreadableFile("台帳の鍵のファイルに、必要な項目がないか、形が正しくありません。") from None


def check(bundle: Bundle, keys: Keys | None) -> Report:
    """Compare everything in the receipt file with everything else, and with the ledger's keys if they are given."""
    report = Report()
    _check_document(bundle, report)
    _check_handover(bundle, report)
    trusted = _follow(bundle, keys)
    promised = _check_receipt(bundle, keys, trusted, report)
    if promised is not None:
        _check_hash(bundle, promised, report)
        _check_proof(bundle, promised, trusted, report)
    if keys is None:
        report.open(
            "鍵のファイルがないため、受付の控えと台帳の署名は確かめていません。"
            "公開サイトの「台帳」から鍵のファイルを保存し、--keys で指定してください。"
        )
    return report


def _follow(bundle: Bundle, keys: Keys | None) -> succession.Trusted | None:
    """Return what the keys and the heads that hand over prove; those of the keys' file come first."""
    if keys is None:
        return None
    return succession.follow(keys.head_keys, keys.receipt_keys, [*keys.handovers, *bundle.handovers])


def _claimed(bundle: Bundle, log: str) -> set[str]:
    """Return the logs that say they succeeded this one, whoever signed it."""
    claimed = set()
    for text in bundle.handovers:
        with contextlib.suppress(note.NoteFailure):
            head = note.read_checkpoint(note.text_of(text))
            ended = succession.succeeded(head)
            claimed |= {head.origin} if ended and ended.log == log else set()
    return claimed


def _check_document(bundle: Bundle, report: Report) -> None:
    try:
        signed = jws.parse(bundle.document)
        jws.verify_document(signed)
        card = read_certificate(signed.unverified_certificate)
    except jws.SignatureFailure as failure:
        report.bad(f"文書の電子署名：{failure.refusal.sentence}")
        return
    except UnreadableCertificate:
        report.bad("文書の電子署名：文書に付いている証明書を読み取れません。")
        return
    report.good("文書の電子署名：文書に付いている証明書の鍵で署名され、その後に変えられていません。")
    report.good(f"　署名した証明書の会社名：{shown(card.company_name)}、取得者：{shown(card.holder_name)}")
    report.good(f"　証明書の指紋（SHA-256）：{card.fingerprint}（認証局による確認は、この検証には含まれません）")


def _check_handover(bundle: Bundle, report: Report) -> None:
    """Look at the second signature of an ICカード更新: the old card's, which the document vouches for by its digest."""
    try:
        payload = canonical.parse_canonical(jws.parse(bundle.document).payload)
    except (jws.SignatureFailure, canonical.NotCanonical):
        return
    named = payload.get("handover_sha256")
    if named is None and not bundle.handover:
        return
    if hashlib.sha256(bundle.handover.encode()).hexdigest() != named:
        report.bad("ICカード引継届：文書に書かれたハッシュ値と一致しないか、引継届がありません。")
        return
    try:
        signed = jws.parse(bundle.handover)
        jws.verify_document(signed)
    except jws.SignatureFailure as failure:
        report.bad(f"ICカード引継届の電子署名：{failure.refusal.sentence}")
        return
    fingerprint = hashlib.sha256(signed.unverified_certificate).hexdigest()
    if fingerprint != payload.get("old_certificate_fingerprint"):
        report.bad("ICカード引継届の電子署名：文書に書かれた「現在使用しているICカード」のものではありません。")
        return
    report.good("ICカード引継届：文書に書かれたハッシュ値と一致し、更新前のICカードで署名されています。")


def _check_receipt(
    bundle: Bundle, keys: Keys | None, trusted: succession.Trusted | None, report: Report
) -> receipt.Receipt | None:
    try:
        if keys is None or trusted is None:
            promised = receipt.read_receipt(bundle.receipt)
        else:
            promised = receipt.verify_receipt(bundle.receipt, trusted.receipt_keys)
            report.good("受付の控え：システムの鍵で署名され、その後に変えられていません。")
    except receipt.ReceiptFailure as failure:
        report.bad(f"受付の控え：{failure.refusal.sentence}")
        return None
    received_at = promised.received_at.astimezone(JST)
    report.good(f"　受付日時：{received_at:%Y年%m月%d日 %H時%M分%S秒}（日本時間）、受付番号：{promised.entry_id}")
    report.good(f"　受け付けたサイト：{promised.origin}" + ("（練習）" if promised.realm == "practice" else ""))
    if keys is None or trusted is None:
        return promised
    if not (trusted.leads(promised.log, keys.log) or trusted.leads(keys.log, promised.log)):
        report.bad(f"受付の控え：別の台帳（{promised.log}）のものです。鍵のファイルは {keys.log} のものです。")
        return None
    return promised


def _check_hash(bundle: Bundle, promised: receipt.Receipt, report: Report) -> None:
    try:
        computed = receipt.entry_hash(salt=bundle.salt, document=bundle.document.encode())
    except ValueError:
        computed = b""
    if computed == promised.entry_hash:
        report.good(f"文書と受付の控え：一致しています（{computed.hex()}）。")
    else:
        report.bad("文書と受付の控え：一致しません。このファイルの文書は、受け付けられた文書ではありません。")


def _check_proof(bundle: Bundle, promised: receipt.Receipt, trusted: succession.Trusted | None, report: Report) -> None:
    proof = bundle.proof
    if proof is None:
        include_by = promised.include_by.astimezone(JST)
        report.open(
            f"台帳への記録：証明がまだ付いていません（記録の期限 {include_by:%Y年%m月%d日 %H時%M分%S秒}）。"
            "期限を過ぎてから、控えのファイルをもう一度ダウンロードしてください。"
        )
        return
    try:
        if trusted is None:
            head = note.read_checkpoint(note.text_of(proof.checkpoint))
        else:
            head = succession.verify_head(proof.checkpoint, trusted)
    except note.NoteFailure as failure:
        report.bad(f"台帳の署名：{failure.refusal.sentence}")
        return
    if trusted is None and head.origin != promised.log and head.origin in _claimed(bundle, promised.log):
        report.open(f"台帳の引継ぎ：台帳 {promised.log} を引き継ぐという {head.origin} の署名は、確かめていません。")
    elif head.origin != promised.log and not (trusted and trusted.leads(promised.log, head.origin)):
        report.bad(f"台帳の署名：別の台帳（{head.origin}）のものです。")
        return
    if trusted is not None and head.origin != promised.log:
        report.good(
            f"台帳の引継ぎ：受付の時の台帳 {promised.log} は記録の一部が失われたため終わり、"
            f"その鍵の署名により {head.origin} に引き継がれています。"
        )
    if trusted is not None:
        report.good(f"台帳の署名：台帳 {head.origin} の鍵で署名され、その後に変えられていません。")
    included = merkle.verify_inclusion(
        index=proof.leaf_index,
        size=head.size,
        leaf=merkle.leaf_hash(promised.entry_hash),
        path=proof.hashes,
        root=head.root,
    )
    if included and proof.tree_size == head.size:
        report.good(f"台帳への記録：{head.size}件のうち{proof.leaf_index + 1}番目に記録されています。")
    else:
        report.bad("台帳への記録：証明が台帳と合いません。この文書が台帳に記録されていることを示していません。")
