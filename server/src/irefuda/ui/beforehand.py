"""What nearly every request asks, asked together with its session: one statement instead of three.

A slice names what it asks (`Question`) and takes the answer where it needs it. An answer that came with the session serves
once and for a second: asked again, or later (somebody's form may arrive slowly), the database is asked. ADR 31.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from typing import Any

from django.db import connection

FRESH_SECONDS = 1.0

_questions: dict[str, Question] = {}
# What came with this request's session, by table, and when; None outside of a request.
_answers: ContextVar[dict[str, tuple[float, tuple[Any, ...]]] | None] = ContextVar("beforehand", default=None)


class Question:
    """Some columns of a table that has one row, whose id is 1."""

    def __init__(self, table: str, *columns: str) -> None:
        self.table, self.columns = table, columns
        self.sql = f"SELECT {', '.join(columns)} FROM {table} WHERE id = 1"  # noqa: S608 -- our own names
        _questions[table] = self

    def answer(self) -> tuple[Any, ...]:
        """Return the columns as they are now, or were when this request began, a second ago at most."""
        asked, answer = (_answers.get() or {}).pop(self.table, (0.0, ()))
        if answer and time.monotonic() - asked <= FRESH_SECONDS:
            return answer
        with connection.cursor() as cursor:
            # Plain SQL: every page asks this, and to build the query would take longer than to answer it.
            cursor.execute(self.sql)
            return tuple(cursor.fetchone())


@contextlib.contextmanager
def request() -> Iterator[None]:
    """Keep answers within this block, which is one request, and nowhere else."""
    token = _answers.set({})
    try:
        yield
    finally:
        _answers.reset(token)


def ask_with(select: str, column: str, values: Sequence[str | None]) -> Any:
    """Return what `select` gives in its one column, None without a row; within a request, ask every question with it."""
    answers = _answers.get()
    with connection.cursor() as cursor:
        if answers is None:
            cursor.execute(select, values)
            row = cursor.fetchone()
            return row and row[0]
        questions = tuple(_questions.values())
        cursor.execute(_all_of(select, column, questions), values)
        found, *rest = cursor.fetchone()
    now, start = time.monotonic(), 0
    for one in questions:
        end = start + len(one.columns)
        answers[one.table] = (now, tuple(rest[start:end]))
        start = end
    return found


@functools.cache
def _all_of(select: str, column: str, questions: tuple[Question, ...]) -> str:
    columns = [f"asked.{column}", *(f"{one.table}.{name}" for one in questions for name in one.columns)]
    joins = "".join(f" LEFT JOIN {one.table} ON {one.table}.id = 1" for one in questions)
    # From one row that is always there: the questions are answered also when the session is not found.
    return (
        f"SELECT {', '.join(columns)} FROM (SELECT 1 AS one) AS always"  # noqa: S608 -- our own names
        f" LEFT JOIN ({select}) AS asked ON 1 = 1{joins}"
    )
