"""Checking a downloaded file against its signed note, without asking anyone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from pathlib import Path

from irefuda_core import note
from irefuda_core.release import NoRelease, read_release
from irefuda_verify.receipts import Report, UnreadableFile


def check(name: str, chunks: Iterable[bytes], signed: bytes, key: note.VerifierKey) -> Report:
    """Compare the file's content with what the note says of it, and the note with the key."""
    report = Report()
    try:
        release = read_release(note.verify_note(signed.decode(), [key]))
    except note.NoteFailure as failure:
        report.bad(f"署名：{failure.refusal.sentence}")
        return report
    except (NoRelease, UnicodeDecodeError):
        report.bad("署名：署名された内容は、配布ファイルについてのものではありません。")
        return report
    report.good(f"署名：鍵 {key.name} で署名され、その後に変えられていません。")
    report.good(f"　配布ファイル：{release.file}、版 {release.version}")
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    if (size, digest.hexdigest()) != (release.size, release.sha256):
        report.bad(
            f"ファイルの内容：署名されたものと一致しません（{size}バイト、SHA-256 {digest.hexdigest()}）。"
            "このファイルは使わず、もう一度ダウンロードしてください。"
        )
        return report
    report.good(f"ファイルの内容：署名されたものと一致しています（{size}バイト、SHA-256 {release.sha256}）。")
    if name != release.file:
        report.open(f"ファイルの名前：署名されたもの（{release.file}）とちがいます（{name}）。内容は同じです。")
    return report


def read_key(text: str, read: Callable[[Path], bytes]) -> note.VerifierKey:
    """Return the key that is spelled out, or that stands in the file of this name.

    :raises UnreadableFile: when it is neither
    """
    try:
        if "+" not in text:
            text = read(Path(text)).decode().strip()
        return note.parse_verifier_key(text)
    except (note.NoteFailure, UnicodeDecodeError):
        raise UnreadableFile(
            "鍵を読み取れません。「補助アプリの入手」のページの鍵を、1行のまま指定してください。"
        ) from None
