"""The staff's site in this process, and its office."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.signals import request_finished, request_started
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from pki_builder import Authority, Issued
from staff_office import HOST, Office, on_staff_site, open_office, present
from webtest import TestApp

from irefuda.ui import clock


@pytest.fixture(scope="module")
def staff_authority() -> Authority:
    return Authority(label="staff", at=clock.now().replace(microsecond=0))


@pytest.fixture
def staff_site(settings: Any, static_files: None) -> None:
    on_staff_site(settings)


@pytest.fixture
def office(db: None, staff_authority: Authority, staff_site: None) -> Office:
    return open_office(staff_authority)


@pytest.fixture
def browser(staff_site: None) -> Iterator[Callable[[Issued | None], TestApp]]:
    """Yield what opens a browser on the staff's site, logged in with a card or not."""
    # The end of a request must not close the connection that holds this test's transaction.
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)

    def opened(card: Issued | None = None) -> TestApp:
        app = TestApp(get_wsgi_application(), extra_environ={"HTTP_HOST": HOST, "REMOTE_ADDR": "127.0.0.1"})
        do_request = app.do_request

        def any_status(request: Any, status: Any = None, expect_errors: Any = None) -> Any:
            return do_request(request, status="*" if status is None else status, expect_errors=True)

        app.do_request = any_status
        if card is not None:
            assert present(app, card).status_code == 302
        return app

    yield opened
    request_started.connect(close_old_connections)
    request_finished.connect(close_old_connections)
