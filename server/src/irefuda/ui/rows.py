"""Rows by plain SQL, in and out of their models: for where Django takes longer to build a query than the database to run it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from django.db import IntegrityError, connection
from django.db.models import Model

Row = TypeVar("Row", bound=Model)
Given = ParamSpec("Given")
Done = TypeVar("Done")


def columns(model: type[Model], table: str = "") -> str:
    """Return the columns of the model as a statement names them, with the name of the table before each if it is given.

    They are named, because a statement that PostgreSQL has planned fails when `*` becomes more than it was.
    """
    prefix = f"{table}." if table else ""
    return ", ".join(f'{prefix}"{field.column}"' for field in model._meta.concrete_fields)


def fetch(model: type[Row], sql: str, values: Sequence[object] | Mapping[str, object] = ()) -> list[Row]:
    """Return the rows that a statement gives; it must give exactly `columns(model)`.

    `Model.objects.raw` looks for the columns by name and makes a compiler to read them: that takes longer than the query.
    """
    return [row for (row,) in fetch_together((model,), sql, values)]


def fetch_together(
    models: Sequence[type[Model]], sql: str, values: Sequence[object] | Mapping[str, object] = ()
) -> list[tuple[Any, ...]]:
    """Return the rows of a join: one of each model, whose columns stand behind each other; nothing ties them yet.

    Where a LEFT JOIN found none, None stands.
    """
    # A moment as this engine takes it; the rest stays what it is.
    adapt = connection.ops.adapt_unknown_value
    adapted = (
        {name: adapt(value) for name, value in values.items()}
        if isinstance(values, Mapping)
        else [adapt(value) for value in values]
    )
    with connection.cursor() as cursor:
        cursor.execute(sql, adapted)
        found = [list(row) for row in cursor.fetchall()]
    parts, start = [], 0
    for model in models:
        names, conversions, key = _reading(model)
        for row in found:
            for place, column, convert in conversions:
                row[start + place] = convert(row[start + place], column, connection)
        parts.append((model, names, start + key, slice(start, start + len(names))))
        start += len(names)
    return [
        tuple(
            None if row[key] is None else model.from_db(connection.alias, names, row[part])
            for model, names, key, part in parts
        )
        for row in found
    ]


@functools.cache
def _reading(model: type[Model]) -> tuple[list[str], list[tuple[int, Any, Callable[..., Any]]], int]:
    """Return the names of the model's columns, what makes of a column's value what the model holds, and the key's place."""
    names, conversions = [], []
    for place, field in enumerate(model._meta.concrete_fields):
        column = field.cached_col
        names.append(field.attname)
        both = (*connection.ops.get_db_converters(column), *column.get_db_converters(connection))
        conversions += [(place, column, convert) for convert in both]
    return names, conversions, model._meta.concrete_fields.index(model._meta.pk)


def again_if_raced(deed: Callable[Given, Done]) -> Callable[Given, Done]:
    """Do a deed, which must be one transaction, once more when a constraint refuses it.

    Once is enough: it lost by a row that was not there yet when it looked, and now finds that row.

    :raises IntegrityError: when the constraint refuses it again
    """

    @functools.wraps(deed)
    def done(*args: Given.args, **kwargs: Given.kwargs) -> Done:
        try:
            return deed(*args, **kwargs)
        except IntegrityError:
            return deed(*args, **kwargs)

    return done


@contextlib.contextmanager
def sent_together() -> Iterator[None]:
    """Send the statements of this block, which must stand in a transaction, without waiting for the answer to each.

    PostgreSQL works on one while the next is made (libpq's pipeline mode), and all have been answered at the end of the
    block: there, and not where it was sent, a statement that a constraint refused raises. SQLite has nobody to wait for.

    :raises IntegrityError: at the end, when a constraint refuses a row
    """
    if connection.vendor != "postgresql":
        yield
        return
    with connection.wrap_database_errors, connection.connection.pipeline():
        yield


def insert(row: Model) -> None:
    """Insert the row with every column of its model; a number that the database gives becomes its key.

    :raises IntegrityError: when a constraint refuses it
    """
    meta = row._meta
    fields = [field for field in meta.concrete_fields if not field.primary_key or row.pk is not None]
    names, places = ", ".join(f'"{field.column}"' for field in fields), ", ".join(["%s"] * len(fields))
    values = [field.get_db_prep_save(field.pre_save(row, add=True), connection) for field in fields]
    statement = f'INSERT INTO "{meta.db_table}" ({names}) VALUES ({places})'  # noqa: S608 -- our own names
    with connection.cursor() as cursor:
        if row.pk is None:
            cursor.execute(f'{statement} RETURNING "{meta.pk.column}"', values)
            row.pk = meta.pk.to_python(cursor.fetchone()[0])
        else:
            # Asked for nothing, the database need not be waited for: see `sent_together`.
            cursor.execute(statement, values)
    row._state.adding, row._state.db = False, connection.alias


def update(model: type[Model], values: Mapping[str, object], *, where: Mapping[str, object]) -> int:
    """Give these columns their values in every row that has those of `where`, and return how many rows that were."""
    fields = {field.attname: field for field in model._meta.concrete_fields}
    given = [
        fields[name].get_db_prep_save(value, connection) for part in (values, where) for name, value in part.items()
    ]
    put = ", ".join(f'"{fields[name].column}" = %s' for name in values)
    those = " AND ".join(f'"{fields[name].column}" = %s' for name in where)
    with connection.cursor() as cursor:
        cursor.execute(f'UPDATE "{model._meta.db_table}" SET {put} WHERE {those}', given)  # noqa: S608 -- our own names
        return int(cursor.rowcount)
