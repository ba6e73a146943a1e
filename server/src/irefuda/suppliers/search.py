"""Finding suppliers by a part of the name or of the reading (decisions 22): stored bigrams of a folded key.

A term is stored as its section's number and its code points in hexadecimal, so that neither engine's own idea of a word, of
case or of accents can make the two answer differently, and a search reads its own section's terms only. The terms of a word
must follow one another, so what is found has the whole word in it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from django.db import connection

from irefuda_core import text

BATCH = 1000


class Entry(NamedTuple):
    """What is searched of one supplier."""

    supplier_id: int
    section_id: int
    name: str
    name_kana: str
    # Who is ended is found by staff only: those terms stand apart from everybody's.
    ended: bool = False


def write(entries: Iterable[Entry], *, fresh: bool = False) -> None:
    """Store the terms of these suppliers in place of what was stored; of `fresh` ones nothing is stored yet."""
    waiting = iter(entries)
    while batch := list(islice(waiting, BATCH)):
        if not fresh:
            remove([entry.supplier_id for entry in batch])
        ids, documents = [entry.supplier_id for entry in batch], [_document(entry) for entry in batch]
        with connection.cursor() as cursor:
            if connection.vendor == "sqlite":
                cursor.executemany(
                    "INSERT INTO suppliers_search (rowid, terms) VALUES (%s, %s)",
                    list(zip(ids, documents, strict=True)),
                )
            else:
                cursor.execute(
                    "INSERT INTO suppliers_search (supplier_id, terms) "
                    "SELECT id, terms::tsvector FROM unnest(%s::bigint[], %s::text[]) AS given (id, terms)",
                    [ids, documents],
                )


def remove(supplier_ids: Sequence[int]) -> None:
    """Take these suppliers out of the search."""
    for start in range(0, len(supplier_ids), BATCH):
        some = list(supplier_ids[start : start + BATCH])
        marks = ", ".join(["%s"] * len(some))
        with connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM suppliers_search WHERE {_key()} IN ({marks})", some)  # noqa: S608 -- marks only


def settle() -> None:
    """Make the terms quick to read after many were written; the answers do not depend on it."""
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("INSERT INTO suppliers_search (suppliers_search) VALUES ('optimize')")
        else:
            # The web's role does not own the index (deploy/sql/roles.sql); there autovacuum does the same a little later.
            cursor.execute(
                "SELECT gin_clean_pending_list(oid) FROM pg_class "
                "WHERE oid = 'suppliers_search_terms'::regclass AND pg_has_role(relowner, 'USAGE')"
            )
            cursor.execute("ANALYZE suppliers_search, suppliers_supplier")


def ids(*, section_id: int, words: Sequence[str], limit: int, ended: bool = False) -> list[int]:
    """Return the first ids, in their order, of the suppliers (or of those that are ended) that have every one of these words."""
    if (wanted := _query(_scope(section_id, ended=ended), words)) is None:
        return []
    # Whether the index of terms or that of the ids is quicker depends on the words, so they stand in the statement itself: a
    # statement planned once for all words would be slow for most. They are digits and signs of _query's own, never typed.
    matches = f"suppliers_search MATCH '{wanted}'" if connection.vendor == "sqlite" else f"terms @@ '{wanted}'::tsquery"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {_key()} FROM suppliers_search WHERE {matches} ORDER BY {_key()} LIMIT {limit:d}")  # noqa: S608
        return [row[0] for row in cursor.fetchall()]


def _key() -> str:
    return "rowid" if connection.vendor == "sqlite" else "supplier_id"


def _document(entry: Entry) -> str:
    scope = _scope(entry.section_id, ended=entry.ended)
    name = [scope + _spelled(term) for term in text.search_terms(entry.name)]
    kana = [scope + _spelled(term) for term in text.search_terms(entry.name_kana)]
    # Something between the two, so that no word is found half in the name and half in the reading.
    terms = [*name, "between", *kana]
    if connection.vendor == "sqlite":
        return " ".join(terms)
    return " ".join(f"{term}:{position}" for position, term in enumerate(terms, start=1))


def _scope(section_id: int, *, ended: bool) -> str:
    return f"{section_id}{'z' if ended else 'x'}"


def _query(scope: str, words: Sequence[str]) -> str | None:
    """Return the words as the engine's query, or None when no term is in them."""
    phrases = sorted({tuple(scope + _spelled(term) for term in text.query_terms(word)) for word in words} - {()})
    if not phrases:
        return None
    # One character asks for the beginning of a term: every bigram that starts with it, and the last character.
    alone = {scope + _spelled(text.fold_for_search(word)) for word in words if len(text.fold_for_search(word)) == 1}
    if connection.vendor == "sqlite":
        return " AND ".join(f'"{" ".join(phrase)}"' + ("*" if phrase[0] in alone else "") for phrase in phrases)
    return " & ".join(
        "(" + " <-> ".join(phrase) + ")" if phrase[0] not in alone else f"{phrase[0]}:*" for phrase in phrases
    )


@lru_cache(maxsize=100_000)
def _spelled(term: str) -> str:
    """Return a term in hexadecimal. A whole register is made of some tens of thousands of bigrams."""
    return "".join(f"{ord(character):05x}" for character in term)
