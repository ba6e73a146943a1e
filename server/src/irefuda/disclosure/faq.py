"""「よくある質問と回答(FAQ)」: read from `faq.toml` once, and searched by folded keys as the register is."""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.urls import reverse

from irefuda_core import prose, text

FILE = Path(__file__).with_name("faq.toml")
LONGEST_QUERY = 100
NEAR, NEAR_ENOUGH = 5, 0.6
# How much of what was asked an entry must share, and how many bigrams: below that it only happens to have a syllable in common.
SHARED, SHARED_TERMS = 0.2, 2


@dataclass(frozen=True, slots=True)
class Entry:
    """One question with its answer; `codes` are the refusals that it is about, `more` what else people call it."""

    anchor: str
    question: str
    answer: str
    codes: tuple[str, ...]
    more: str
    # (words, the name of a page of this site, after "public:" of the public's, after "manual:" 1-2#pin for a step; arguments)
    pages: tuple[tuple[str, str, tuple[int, ...]], ...]

    @property
    def blocks(self) -> list[prose.Block]:
        """Return the answer as paragraphs and lists."""
        return prose.blocks(self.answer, own=(settings.SUPPLIER_ORIGIN, settings.PUBLIC_ORIGIN))

    @property
    def links(self) -> list[tuple[str, str]]:
        """Return words and address of every page that the answer leads to."""
        return [(words, _address(page, arguments)) for words, page, arguments in self.pages]


@dataclass(frozen=True, slots=True)
class Group:
    """Questions about one thing."""

    anchor: str
    title: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found: entries that hold every word, or else those that come nearest."""

    entries: list[Entry]
    exact: bool


@cache
def groups() -> tuple[Group, ...]:
    """Return all questions by what they are about, in the order of the file."""
    return tuple(
        Group(
            anchor=group["anchor"],
            title=group["title"],
            entries=tuple(
                Entry(
                    anchor=entry["anchor"],
                    question=entry["question"],
                    answer=entry["answer"].strip(),
                    codes=tuple(entry.get("codes", ())),
                    more=entry.get("more", ""),
                    pages=tuple(
                        (link["words"], link["page"], tuple(link.get("arguments", ())))
                        for link in entry.get("links", ())
                    ),
                )
                for entry in group["entry"]
            ),
        )
        for group in tomllib.loads(FILE.read_text())["group"]
    )


def search(typed: str) -> Found:
    """Return the entries that hold every word of what was typed; where none does, those that share most with it."""
    keys = _keys()
    words = [key for word in typed.split() if (key := text.fold_for_search(word))]
    if not words:
        return Found([], exact=True)
    exact = [entry for entry, parts in keys if all(any(word in part for part in parts) for word in words)]
    return Found(exact, exact=True) if exact else Found(_nearest(words), exact=False)


def _nearest(words: list[str]) -> list[Entry]:
    """Return the few entries whose bigrams are most like the words', the rarer the bigram the more it counts."""
    rarity, asked = _rarity(), {term for word in words for term in text.query_terms(word)}
    shared = {entry: asked & _terms(parts) for entry, parts in _keys()}
    enough = min(SHARED_TERMS, len(asked))
    scores = {entry: sum(rarity[term] for term in terms) for entry, terms in shared.items() if len(terms) >= enough > 0}
    best = max(scores.values(), default=0.0)
    # A bigram that stands in no entry counts as much as one that stands in a single one.
    if not best or best < SHARED * sum(rarity.get(term, math.log(len(shared))) for term in asked):
        return []
    near = sorted((entry for entry in scores if scores[entry] > best * NEAR_ENOUGH), key=lambda entry: -scores[entry])
    return near[:NEAR]


@cache
def _keys() -> tuple[tuple[Entry, tuple[str, ...]], ...]:
    """Return every entry with the folded keys of its parts: a word must not begin in one part and end in the next."""
    found = []
    for group in groups():
        for entry in group.entries:
            # "R102" is how many people write R-102.
            codes = [*entry.codes, *(code.replace("-", "") for code in entry.codes)]
            lines = [entry.question, *entry.answer.splitlines(), *codes, *entry.more.split()]
            found.append((entry, tuple(text.fold_for_search(line) for line in lines)))
    return tuple(found)


@cache
def _rarity() -> dict[str, float]:
    counted = Counter(term for _, parts in _keys() for term in _terms(parts))
    return {term: math.log(len(_keys()) / count) for term, count in counted.items()}


def _terms(parts: tuple[str, ...]) -> frozenset[str]:
    return frozenset(part[place : place + 2] for part in parts for place in range(len(part) - 1))


def _address(page: str, arguments: tuple[int, ...]) -> str:
    site, _, name = page.rpartition(":")
    if site == "public":
        return settings.PUBLIC_ORIGIN + reverse(name, args=arguments, urlconf="irefuda.config.urls_public")
    if site == "manual":
        section, _, step = name.partition("#")
        return reverse("portal-manual-section", args=[section], urlconf="irefuda.config.urls_supplier") + f"#{step}"
    return reverse(name, args=arguments, urlconf="irefuda.config.urls_supplier")
