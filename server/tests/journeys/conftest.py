"""What every journey begins with: 入札市 with its CA, and a browser that looks at refusals instead of stumbling over them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builders import City, make_authority, make_city
from pki_builder import Authority
from webtest import TestApp

from irefuda.ui import clock


@pytest.fixture(scope="module")
def authority() -> Authority:
    return make_authority()


@pytest.fixture
def city(authority: Authority, receipt_key: Path) -> City:
    return make_city(authority)


@pytest.fixture
def half_past(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock in the middle of the present hour: no hour ends between two steps."""
    moment = clock.now().replace(minute=30, second=0, microsecond=0)
    monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.fixture
def app(django_app: TestApp) -> TestApp:
    """Return the browser; an answer of any status is an answer, and what it says is the test's business."""
    do_request = django_app.do_request

    def any_status(request: Any, status: Any = None, expect_errors: Any = None) -> Any:
        return do_request(request, status="*" if status is None else status, expect_errors=True)

    django_app.do_request = any_status
    return django_app
