"""The result code of 利用環境の確認: what a caller reads to the help desk, and what it says.

Twenty letters and digits hold how each item came out, the number of what stood in the way, and versions; nothing of a
person, a company or a card. The page's script (`check-code.js`) writes it; a test has the two agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from irefuda_core.text import to_half_width

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH, CHECK_LETTERS = 20, 2
FORMAT = 1
STATES = ("まだ", "よい", "問題あり", "PIN番号の入力後に確認")
ITEMS = ("ブラウザ", "Cookie", "ポップアップ", "補助アプリ", "カードリーダー", "ICカード", "証明書", "時計")
WITH_CODE = ITEMS[3:7]
BROWSERS = ("ほかのブラウザ", "Edge", "Chrome", "Firefox", "Safari")
SYSTEMS = ("ほかのOS", "Windows", "macOS", "Linux", "Android", "iOS")
# A clock further away is shown as this many minutes.
FARTHEST = 31
_FAMILIES = {"C": 200, "K": 400}
# What is misheard or mistyped for another letter; these four are not in the alphabet.
_MEANT = str.maketrans({"O": "0", "I": "1", "L": "1", "U": "V"})
_PRIME, _FACTOR = 1021, 37


class BadCheckCode(ValueError):
    """Not a result code, or one with a mistake in it; the message says which, in Japanese."""


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a result code says; `codes` holds a refusal's number for each failing item that has one."""

    states: dict[str, str]
    codes: dict[str, str]
    browser: str
    system: str
    agent_version: str
    minutes_off: int | None

    def lines(self) -> Iterator[str]:
        """Yield the result in words, an item a line."""
        for item, state in self.states.items():
            yield f"{item}：{state}" + (f"（{self.codes[item]}）" if item in self.codes else "")
        yield f"使っているもの：{self.browser}、{self.system}、補助アプリ {self.agent_version or '不明'}"
        match self.minutes_off:
            case None:
                yield "時計のずれ：不明"
            case 0:
                yield "時計のずれ：1分未満"
            case minutes:
                more = "以上" if abs(minutes) == FARTHEST else ""
                yield f"時計のずれ：{abs(minutes)}分{more}{'進んでいる' if minutes > 0 else '遅れている'}"


def read_check_code(typed: str) -> CheckResult:
    """Return what the code says, however it was typed: wide letters, small letters, with or without hyphens.

    :raises BadCheckCode: for what is no such code
    """
    code = "".join(letter for letter in to_half_width(typed).upper() if letter.isalnum())
    code = code.translate(_MEANT)
    if len(code) != LENGTH or not set(code) <= set(ALPHABET):
        raise BadCheckCode(f"結果の番号は、英数字{LENGTH}文字です。")
    values = [ALPHABET.index(letter) for letter in code]
    if _checksum(values[:-CHECK_LETTERS]) != values[-2] * 32 + values[-1]:
        raise BadCheckCode("読み違いか打ち間違いがあります。もう一度聞き取ってください。")
    number = 0
    for value in values[:-CHECK_LETTERS]:
        number = number * 32 + value
    return _result(_Bits(number, 5 * (LENGTH - CHECK_LETTERS)))


def _checksum(values: list[int]) -> int:
    """Return a sum that any one wrong letter and any two neighbours that changed places alter."""
    total = 0
    for value in values:
        total = (total * _FACTOR + value) % _PRIME
    return total


class _Bits:
    def __init__(self, number: int, width: int) -> None:
        self.number, self.left = number, width

    def take(self, width: int) -> int:
        self.left -= width
        return (self.number >> self.left) & ((1 << width) - 1)


def _result(bits: _Bits) -> CheckResult:
    if bits.take(3) != FORMAT:
        raise BadCheckCode("新しい形式の番号です。このシステムでは読めません。")
    states = {item: STATES[bits.take(2)] for item in ITEMS}
    codes = {item: code for item in WITH_CODE if (code := _code(bits.take(8)))}
    family, major = bits.take(3), bits.take(9)
    browser = BROWSERS[family] if family < len(BROWSERS) else BROWSERS[0]
    system = bits.take(3)
    version = (bits.take(6), bits.take(6), bits.take(6))
    off = bits.take(6)
    return CheckResult(
        states=states,
        codes=codes,
        browser=f"{browser} {major}" if major else browser,
        system=SYSTEMS[system] if system < len(SYSTEMS) else SYSTEMS[0],
        agent_version=".".join(map(str, version)) if any(version) else "",
        minutes_off=off - FARTHEST - 1 if off else None,
    )


def _code(value: int) -> str:
    if value == 0:
        return ""
    family = "K" if value & 0x80 else "C"
    return f"{family}-{_FAMILIES[family] + (value & 0x7F)}"
