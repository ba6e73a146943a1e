"""Count the queries of an answer, for the row that asks how many a page needs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.db import connection
from django.http import HttpRequest, HttpResponse

HEADER = "X-Bench-Queries"


class QueryCount:
    """Say in a header how many statements the database was given."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        given = 0

        def count(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
            nonlocal given
            given += 1
            return execute(sql, *rest)

        with connection.execute_wrapper(count):
            response = self.get_response(request)
        response.headers[HEADER] = str(given)
        return response
