"""Write docs/refusals.md from the catalogue: `python tools/refusals_page.py`."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from irefuda_core.refusal import CATALOGUE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "refusals.md"
CHAPTERS = {
    "R": "利用者登録",
    "C": "ICカードと補助アプリ",
    "T": "時間とログイン",
    "K": "証明書、確認、署名",
    "F": "名簿のファイル",
    "L": "台帳",
    "N": "通知",
    "P": "入力",
    "S": "職員",
}


def main() -> None:
    order = list(CHAPTERS)
    codes = sorted(CATALOGUE, key=lambda code: (order.index(code[0]), code))
    lines = [
        "# Refusals",
        "",
        "Every code that a person can meet, written by `tools/refusals_page.py` from `core/src/irefuda_core/refusal.py`; a test compares the two.",
        "`{…}` is filled in.",
    ]
    for letter, members in groupby(codes, key=lambda code: code[0]):
        lines += ["", f"## {letter}: {CHAPTERS[letter]}", "", "| code | sentence | remedy |", "|---|---|---|"]
        lines += [f"| {code} | {CATALOGUE[code].sentence} | {CATALOGUE[code].remedy} |" for code in members]
    PAGE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
