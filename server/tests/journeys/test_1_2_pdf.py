"""The PDF of 利用者情報: what stands there when none can be made, and how many are made at once."""

from __future__ import annotations

import pytest
from steps import register

from irefuda.ui import pdf

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


@pytest.fixture
def address(app, city):
    """Return where a registered card's PDF is."""
    return register(app, city.authority.card()).location.replace("/done/", "/print/") + "user.pdf"


def test_a_pdf_that_cannot_be_made_is_answered_with_the_way_to_print(app, address, monkeypatch):
    with monkeypatch.context() as hurry:
        hurry.setattr(pdf, "SECONDS", 0.01)
        for _ in range(pdf.AT_ONCE + 1):
            answer = app.get(address)
            assert answer.status_int == 503
            assert "P-808" in answer
    # No place is used up by a failure.
    assert app.get(address).body.startswith(b"%PDF")
    assert "利用者情報" in answer.click("「印刷」の画面へ").html.title.get_text()


def test_one_too_many_waits_a_little_and_is_sent_to_print(app, address, monkeypatch):
    monkeypatch.setattr(pdf, "WAIT_SECONDS", 0.05)
    for _ in range(pdf.AT_ONCE):
        assert pdf.places.acquire(blocking=False)
    try:
        assert "P-808" in app.get(address)
    finally:
        pdf.places.release(pdf.AT_ONCE)
    assert app.get(address).content_type == "application/pdf"
