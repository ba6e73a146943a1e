"""Plain text of several lines as people write it: paragraphs, lists, links. A page shows the parts and escapes them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from irefuda_core import text
from irefuda_core.refusal import refusal
from irefuda_core.text import InvalidText

_NOT_IN_PROSE = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
# They let one text be read as another; the rest of Cf holds joiners that some names need.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_BULLET = re.compile(r"\s*(?:[・●○*-]\s+|・)(.+)")
_NUMBERED = re.compile(r"\s*([0-9０-９]{1,2})[.)．）]\s*(\D.*)")
# What may follow an address in a sentence does not belong to it. No user name in it: that shows one host and opens another.
_ADDRESS = re.compile(r"https?://[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]{1,5})?(?![A-Za-z0-9:@.-]*@)(?:[/?#][A-Za-z0-9/?#&=%._~+:;,!*$@()-]*)?")  # fmt: skip
_AFTER_ADDRESS = ".,:;!?-"


@dataclass(frozen=True, slots=True)
class Run:
    """A piece of a line; `href` where it is a link, `outside` where that leaves the system."""

    words: str
    href: str = ""
    outside: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """Lines that stand together: `kind` is "paragraph", "bullets" or "numbers", the latter counted from `start`."""

    kind: str
    lines: tuple[tuple[Run, ...], ...]
    start: int = 1


def clean_prose(typed: str, *, max_length: int) -> str:
    """Return text of several lines as it is stored: one kind of line end, nothing around it, half-width kana made full-width.

    :raises InvalidText: P-801 for control or reordering characters, P-802 when longer than `max_length` characters
    """
    lines = (line.rstrip() for line in re.split(r"\r\n|\r|\n", typed.replace("\t", " ")))
    value = "\n".join(map(text.full_width_kana, lines)).strip()
    for character in value.replace("\n", ""):
        if unicodedata.category(character) in _NOT_IN_PROSE or character in _REORDERING:
            raise InvalidText(refusal("P-801"))
    if text.count_characters(value) > max_length:
        raise InvalidText(refusal("P-802", max_length=max_length))
    return value


def blocks(prose: str, *, own: Iterable[str] = ()) -> list[Block]:
    """Return the paragraphs and lists of a text, an empty line between paragraphs; `own` are the origins of this system.

    Lines that begin with 「・」, "- " or "* " are a list, lines that begin with "1." or 「１．」 a numbered one.
    """
    origins = tuple(own)
    found = []
    for filled, together in groupby(prose.split("\n"), key=lambda line: bool(line.strip())):
        if filled:
            for kind, lines in groupby(together, key=_kind):
                found.append(_block(kind, list(lines), origins))
    return found


def _kind(line: str) -> str:
    if _NUMBERED.fullmatch(line):
        return "numbers"
    return "bullets" if _BULLET.fullmatch(line) else "paragraph"


def _block(kind: str, lines: list[str], own: tuple[str, ...]) -> Block:
    numbered = [match.groups() for line in lines if (match := _NUMBERED.fullmatch(line))]
    start = int(numbered[0][0]) if numbered else 1
    if [int(number) for number, _ in numbered] != [*range(start, start + len(numbered))]:
        # A list would count them anew, which the writer did not.
        kind = "paragraph"
    if kind == "numbers":
        lines = [words for _, words in numbered]
    elif kind == "bullets":
        lines = [match[1] for line in lines if (match := _BULLET.fullmatch(line))]
    return Block(kind, tuple(_runs(line.strip(), own) for line in lines), start)


def _runs(line: str, own: tuple[str, ...]) -> tuple[Run, ...]:
    runs, done = [], 0
    for match in _ADDRESS.finditer(line):
        address = match.group().rstrip(_AFTER_ADDRESS)
        while address.endswith(")") and address.count(")") > address.count("("):
            address = address[:-1].rstrip(_AFTER_ADDRESS)
        if match.start() > done:
            runs.append(Run(line[done : match.start()]))
        # By whole origins: http://bid.example.jp.elsewhere is somebody else's.
        outside = not any(address == origin or address.startswith(f"{origin}/") for origin in own)
        runs.append(Run(address, href=address, outside=outside))
        done = match.start() + len(address)
    if done < len(line):
        runs.append(Run(line[done:]))
    return tuple(runs)
