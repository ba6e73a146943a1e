"""`irefuda-verify`: the citizen's checker. It works offline and trusts nothing but the keys that it is given."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from irefuda_verify import files, receipts

UNREADABLE = 2
RESULTS = {
    receipts.Mark.GOOD: "結果：すべて確かめられました。",
    receipts.Mark.BAD: "結果：正しくありません。このファイルを保存したまま、ヘルプデスクに連絡してください。",
    receipts.Mark.OPEN: "結果：確かめた範囲では正しいですが、まだ確かめていないことがあります（△の行）。",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Check what the command line names, print the report in Japanese, and return the exit code.

    0 everything is proved, 1 something is wrong, 2 a file cannot be read, 3 right as far as it goes.
    """
    parser = argparse.ArgumentParser(
        prog="irefuda-verify", description="入札の受付の控えや配布ファイルを、手元で確かめます。"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    receipt_command = commands.add_parser("receipt", help="受付の控えのファイル（receipt.json）を確かめる")
    receipt_command.add_argument("file", type=Path, help="受付の控えのファイル")
    receipt_command.add_argument(
        "--keys", type=Path, help="台帳の鍵のファイル（指定がなければ、控えと同じ場所の ledger-keys.json）"
    )
    file_command = commands.add_parser("file", help="補助アプリなどの配布ファイルを、署名で確かめる")
    file_command.add_argument("file", type=Path, metavar="FILE", help="ダウンロードしたファイル")
    file_command.add_argument("note", type=Path, metavar="NOTE", help="その署名のファイル（.note）")
    file_command.add_argument("key", metavar="KEY", help="署名の鍵（「名前+番号+文字」の1行、またはそのファイル）")
    chosen = parser.parse_args(arguments)
    try:
        if chosen.command == "file":
            key = files.read_key(chosen.key, _read)
            report = files.check(chosen.file.name, _chunks(chosen.file), _read(chosen.note), key)
        else:
            report = _check_receipt(chosen.file, chosen.keys)
    except receipts.UnreadableFile as reason:
        print(f"エラー：{reason}", file=sys.stderr)
        return UNREADABLE
    for line in report.lines:
        print(f"{line.mark.sign} {line.text}")
    print(RESULTS[report.worst])
    return int(report.worst.value[1])


def _check_receipt(file: Path, keys_file: Path | None) -> receipts.Report:
    bundle = receipts.read_bundle(_read(file))
    beside = file.parent / "ledger-keys.json"
    if keys_file is None and beside.exists():
        keys_file = beside
    return receipts.check(bundle, receipts.read_keys(_read(keys_file)) if keys_file else None)


def _chunks(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb") as file:
            while chunk := file.read(receipts.MAX_BYTES):
                yield chunk
    except OSError as reason:
        raise receipts.UnreadableFile(f"ファイル {path} を開けません（{reason.strerror}）。") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            # One byte more than is allowed is enough to see that a file is too large.
            return file.read(receipts.MAX_BYTES + 1)
    except OSError as reason:
        raise receipts.UnreadableFile(f"ファイル {path} を開けません（{reason.strerror}）。") from None


if __name__ == "__main__":
    sys.exit(main())
