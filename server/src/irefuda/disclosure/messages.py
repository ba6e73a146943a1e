"""「メッセージ一覧」: every refusal that a contractor can meet, in the catalogue's own words."""

from __future__ import annotations

import re
from dataclasses import dataclass

from irefuda_core import text
from irefuda_core.refusal import CATALOGUE

CHAPTERS = {
    "R": "利用者登録、変更、ICカード更新",
    "C": "ICカード、カードリーダー、補助アプリ",
    "K": "ICカードの証明書、署名",
    "T": "運用時間、ログイン",
    "P": "入力、混み合っているとき",
    "N": "メール",
    "L": "台帳、受付の控え",
}
# Who meets these works for the city: the files of the register, the staff's site, waiting cards, announcements.
STAFF_FAMILIES = frozenset("FS")
STAFF_CODES = frozenset({"R-151", "R-154", "R-155", "P-820", "P-821", "P-822", "P-823"})
_FILLED_IN = re.compile(r"\{([a-z_]+)\}")
# Sentences that are there only sometimes, where every other gap is one word.
_MAY_BE_MISSING = {"kept"}


@dataclass(frozen=True, slots=True)
class Message:
    """One refusal as a page of reasons shows it, with 「〇〇」 for what is filled in there."""

    code: str
    sentence: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """The messages of one family of codes."""

    letter: str
    title: str
    messages: tuple[Message, ...]


def chapters(typed: str = "") -> list[Chapter]:
    """Return the messages by family, only those that hold every word of what was typed (a code with or without hyphen)."""
    words = [key for word in typed.split() if (key := text.fold_for_search(word))]
    found = [
        Chapter(letter, title, tuple(message for message in _of_family(letter) if _holds(message, words)))
        for letter, title in CHAPTERS.items()
    ]
    return [chapter for chapter in found if chapter.messages]


def message(typed: str) -> Message | None:
    """Return the message whose code was typed, in whatever width and case, with or without hyphen, or None."""
    wanted = _bare(text.fold_for_search(typed))
    every = (message for letter in CHAPTERS for message in _of_family(letter))
    return next((message for message in every if _bare(message.code) == wanted), None)


def _of_family(letter: str) -> list[Message]:
    return [
        Message(code, _shown(CATALOGUE[code].sentence), _shown(CATALOGUE[code].remedy))
        for code in sorted(CATALOGUE)
        if code[0] == letter and code not in STAFF_CODES
    ]


def _shown(wording: str) -> str:
    return _FILLED_IN.sub(lambda gap: "" if gap[1] in _MAY_BE_MISSING else "〇〇", wording)


def _bare(code: str) -> str:
    return code.replace("-", "").replace("ー", "")


def _holds(message: Message, words: list[str]) -> bool:
    parts = [message.code, _bare(message.code), message.sentence, message.remedy]
    keys = [text.fold_for_search(part) for part in parts]
    return all(any(word in key for key in keys) for word in words)
