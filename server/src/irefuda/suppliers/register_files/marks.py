"""What stands in a column of ○ marks: a mark, a grade, or nothing."""

from __future__ import annotations

import re

from irefuda_core import text

# ◎ is not among them: where a city writes it, it says more than ○, so it is kept as a grade.
_MARKS = frozenset("○◯〇●✓✔☑レﾚ有")
_NONE = frozenset({"", "-", "×", "✕", "✖", "☓", "無", "なし", "無し", "該当なし"})
_DASHES = re.compile("[‐‑‒–—―−ー－─-]+")
_GRADE = re.compile(r"特?[A-ES][+-]?[1-9]?|特|[ⅠⅡⅢⅣ]|[1-9]級|[甲乙丙丁]|◎|[ABCDES]ランク")
_NUMBER = re.compile(r"[0-9]{1,4}")


def is_blank(value: str) -> bool:
    """Return whether the cell says nothing: empty, a dash, ×, 「なし」."""
    return value in _NONE or _DASHES.fullmatch(value) is not None


def is_mark(value: str) -> bool:
    """Return whether this can only be a mark or a grade. A bare number can be anything, so it is none here."""
    return is_blank(value) or value in _MARKS or _GRADE.fullmatch(_shape(value)) is not None


def read_mark(value: str) -> str | None:
    """Return the grade that the cell gives (half-width: it is a code), "" for a mark without one, None for no mark.

    :raises ValueError: for a cell that says something else
    """
    if is_blank(value):
        return None
    if value in _MARKS:
        return ""
    if _GRADE.fullmatch(_shape(value)) or _NUMBER.fullmatch(_shape(value)):
        return _shape(value)
    raise ValueError(value)


def _shape(value: str) -> str:
    return text.to_half_width(value).strip().upper()
