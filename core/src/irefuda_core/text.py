"""Text as people type it and as registers have it: widths, 商号 keys, contact fields, search terms.

A stored name or address is never normalised (NFC alone would rewrite 460 characters that occur in names). `unicodedata.normalize`
is used for derived keys only, which are compared and searched but never stored in place of the original.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum

from irefuda_core.refusal import Refusal, refusal

_TO_HALF = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_TO_FULL = {code: code + 0xFEE0 for code in range(0x21, 0x7F)} | {0x20: 0x3000}
_HALF_KANA = re.compile("[\uff61-\uff9f]+")
_HYPHENS = dict.fromkeys(map(ord, "‐‑‒–—―−ーｰ－﹣─"), "-")
_VARIATION_SELECTOR = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")
_NO_CHARACTER_OF_ITS_OWN = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef\u3099\u309a]")
# No character of a name has more than a voicing mark and a variation selector.
_TOO_MANY_MARKS = re.compile(f"{_NO_CHARACTER_OF_ITS_OWN.pattern}{{3,}}")
# Written alone, a half-width voicing mark must not become a combining one: that would alter the character before it.
_STANDING_MARKS = {0x3099: "゛", 0x309A: "゜"}
_NOT_IN_A_NAME = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,63}")  # fmt: skip


class InvalidText(ValueError):
    """What was typed cannot be stored; `refusal` says what to type."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.code)
        self.refusal = reason


def to_half_width(typed: str) -> str:
    """Return `typed` with full-width ASCII and the ideographic space made half-width; nothing else changes."""
    return typed.translate(_TO_HALF)


def to_full_width(typed: str) -> str:
    """Return `typed` with ASCII and half-width kana made full-width; every kanji stays as it is."""
    return full_width_kana(typed).translate(_TO_FULL)


def full_width_kana(typed: str) -> str:
    """Return `typed` with half-width kana made full-width."""
    # They compose with their voicing marks only under NFKC; the runs hold nothing but kana.
    return _HALF_KANA.sub(lambda run: unicodedata.normalize("NFKC", run.group()).translate(_STANDING_MARKS), typed)


def count_characters(value: str) -> int:
    """Return how many characters a person sees: a variation selector or a combining voicing mark is none.

    From the third in a row on each counts, so that nothing is stored that is endless and looks short.
    """
    surplus = sum(len(marks) - 2 for marks in _TOO_MANY_MARKS.findall(value))
    return len(_NO_CHARACTER_OF_ITS_OWN.sub("", value)) + surplus


def clean_text(typed: str, *, max_length: int) -> str:
    """Return one line of a name or an address as it is stored: outer spaces gone, half-width kana made full-width.

    :raises InvalidText: P-801 for control, invisible, reordering, private-use (外字) or unassigned characters, P-802 when
        longer than `max_length` characters
    """
    value = full_width_kana(typed).strip()
    # Cf holds the bidirectional controls, with which one name can be made to read as another.
    if any(unicodedata.category(character) in _NOT_IN_A_NAME for character in value):
        raise InvalidText(refusal("P-801"))
    if value and not _NO_CHARACTER_OF_ITS_OWN.sub("", value):
        raise InvalidText(refusal("P-801"))
    if count_characters(value) > max_length:
        raise InvalidText(refusal("P-802", max_length=max_length))
    return value


def clean_supplier_number(typed: str) -> str:
    """Return the 業者番号: nine half-width letters and digits, letters in upper case (manual 1.2).

    :raises InvalidText: R-101
    """
    value = to_half_width(typed).strip().upper()
    if not re.fullmatch(r"[0-9A-Z]{9}", value):
        raise InvalidText(refusal("R-101"))
    return value


def clean_postal_code(typed: str) -> str:
    """Return the 郵便番号 as 123-4567.

    :raises InvalidText: P-803
    """
    digits = _without_separators(typed.replace("〒", ""), "-")
    if not re.fullmatch(r"[0-9]{7}", digits):
        raise InvalidText(refusal("P-803"))
    return f"{digits[:3]}-{digits[3:]}"


def clean_phone(typed: str) -> str:
    """Return the 電話番号 or FAX番号 in half-width digits with the hyphens as they were typed.

    :raises InvalidText: P-804
    """
    value = to_half_width(typed).translate(_HYPHENS).strip()
    value = re.sub(r"[()\s-]*[()\s][()\s-]*", "-", value).strip("-")
    digits = value.replace("-", "")
    if not re.fullmatch(r"[0-9]+(-[0-9]+)*", value) or not 10 <= len(digits) <= 11 or not digits.startswith("0"):
        raise InvalidText(refusal("P-804"))
    return value


def _without_separators(typed: str, separators: str) -> str:
    value = to_half_width(typed).translate(_HYPHENS)
    return re.sub(rf"[\s{re.escape(separators)}]", "", value)


def clean_email(typed: str) -> str:
    """Return the e-mail address in half-width, as typed.

    :raises InvalidText: P-805 for a form that no mail server takes, P-806 when longer than 100 characters
    """
    value = to_half_width(typed).strip()
    if len(value) > 100:
        raise InvalidText(refusal("P-806"))
    local = value.partition("@")[0]
    if not _EMAIL.fullmatch(value) or len(local) > 64:
        raise InvalidText(refusal("P-805"))
    return value


# -- 商号 -------------------------------------------------------------------------------------------------------------

_LEGAL_FORMS = {
    "株式会社": "株", "(株)": "株", "カ)": "株", "(カ": "株", "カブシキガイシャ": "株",
    "有限会社": "有", "(有)": "有", "ユ)": "有", "合同会社": "同", "(同)": "同", "合資会社": "資", "(資)": "資",
    "合名会社": "名", "(名)": "名", "一般社団法人": "一社", "(一社)": "一社", "公益社団法人": "公社", "(公社)": "公社",
    "一般財団法人": "一財", "(一財)": "一財", "公益財団法人": "公財", "(公財)": "公財", "協同組合": "協", "(協)": "協",
    "企業組合": "企", "(企)": "企", "社会福祉法人": "福", "(福)": "福", "特定非営利活動法人": "特非", "(特非)": "特非",
    "医療法人": "医", "(医)": "医",
}  # fmt: skip
_VARIANTS = str.maketrans(
    {
        variant: group[0]
        for group in (
            "高髙", "崎﨑嵜碕", "吉𠮷", "徳德", "浜濵濱", "辺邊邉", "斎齋齊斉", "沢澤", "広廣", "島嶋嶌", "富冨", "桑桒",
            "竜龍", "国國", "塩鹽", "桜櫻", "滝瀧", "栄榮", "関關", "黒黑", "静靜", "瀬瀨", "真眞", "鉄鐵鉃",
            "ケヶ", "カヵ", "ツッ", "ヤャ", "ユュ", "ヨョ", "アァ", "イィ", "ウゥ", "エェ", "オォ", "ワヮ",
        )
        for variant in group[1:]
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class NameKey:
    """A 商号 made comparable: the body, the kind of company ("" = none written), and where that stood."""

    body: str
    legal_form: str
    position: str


class MatchLevel(Enum):
    """How well two 商号 agree (domain 11.4)."""

    EXACT = "exact"
    SAME_KEY = "same key"
    TYPE_POSITION = "the kind of company stands elsewhere"
    NEAR = "one character differs"
    DIFFERENT = "different"


def name_key(name: str) -> NameKey:
    """Return the key under which a 商号 is compared, however its legal form, widths, spaces and variants are written."""
    folded = unicodedata.normalize("NFKC", _VARIATION_SELECTOR.sub("", name))
    folded = re.sub(r"\s+", "", folded).upper()
    folded = re.sub(r"[‐‑‒–—―−-]", "ー", folded)
    folded = re.sub(r"[・･.．,，'’]", "", folded)
    for written, form in _LEGAL_FORMS.items():
        if folded.startswith(written) and len(folded) > len(written):
            return NameKey(folded[len(written) :].translate(_VARIANTS), form, "before")
        if folded.endswith(written) and len(folded) > len(written):
            return NameKey(folded[: -len(written)].translate(_VARIANTS), form, "after")
    return NameKey(folded.translate(_VARIANTS), "", "")


def match_names(one: str, other: str) -> MatchLevel:
    """Return how well two 商号 agree."""
    if one == other:
        return MatchLevel.EXACT
    a, b = name_key(one), name_key(other)
    if not a.body or not b.body:
        # A name of nothing but signs folds to nothing, and must not agree with another one of that kind.
        return MatchLevel.DIFFERENT
    if a == b:
        return MatchLevel.SAME_KEY
    if (a.body, a.legal_form) == (b.body, b.legal_form):
        return MatchLevel.TYPE_POSITION
    return MatchLevel.NEAR if _one_edit_apart(a.body, b.body) else MatchLevel.DIFFERENT


def accepts(level: MatchLevel) -> bool:
    """Return whether names of this level count as the same company; one wrong character never does."""
    return level in (MatchLevel.EXACT, MatchLevel.SAME_KEY, MatchLevel.TYPE_POSITION)


def _one_edit_apart(a: str, b: str) -> bool:
    if abs(len(a) - len(b)) > 1:
        return False
    short, long = sorted((a, b), key=len)
    start = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    return short[start + (len(short) == len(long)) :] == long[start + 1 :]


# -- search -----------------------------------------------------------------------------------------------------------


def fold_for_search(value: str) -> str:
    """Return the folded key that search terms are cut from: hiragana as katakana, variants as one, no spaces."""
    folded = unicodedata.normalize("NFKC", _VARIATION_SELECTOR.sub("", value)).upper()
    folded = "".join(chr(ord(c) + 0x60) if "ぁ" <= c <= "ゖ" else c for c in folded)
    folded = re.sub(r"[‐‑‒–—―−-]", "ー", folded).translate(_VARIANTS)
    return "".join(c for c in folded if c.isalnum() or c == "ー")


def search_terms(value: str) -> list[str]:
    """Return the bigrams of the folded key in their order, and its last character alone so that a prefix finds it."""
    key = fold_for_search(value)
    return [key[i : i + 2] for i in range(len(key))]


def search_words(typed: str) -> list[str]:
    """Return the words of what was typed into a search, without the kind of company, which each register writes its own way."""
    bodies = [_without_legal_form(word) for word in typed.split()]
    # Who types nothing but 「株式会社」 means it.
    return [body for body in bodies if body] or typed.split()


def _without_legal_form(word: str) -> str:
    key = name_key(word)
    if key.legal_form:
        return key.body
    return "" if unicodedata.normalize("NFKC", word).upper() in _LEGAL_FORMS else word


def query_terms(value: str) -> list[str]:
    """Return the terms that must stand one after the other; one character is the beginning of a term instead."""
    key = fold_for_search(value)
    return [key] if len(key) == 1 else [key[i : i + 2] for i in range(len(key) - 1)]
