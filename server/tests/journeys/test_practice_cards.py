"""「練習用ICカードとPIN番号」: the demo cards and their PINs, in the practice realm only."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from django.test import Client
from tools import practice_cards

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


def test_the_page_lists_every_demo_card_with_its_pin(settings, tmp_path):
    settings.STATE_DIR = tmp_path
    made = practice_cards.make(tmp_path / "cards", now=datetime.now(UTC), only=["good", "ec"])
    page = Client().get("/practice/cards/").content.decode()
    for card in made["cards"]:
        for shown in (card["label"], card["pin"], card["company"], card["holder"], card["purpose"]):
            assert shown in page
    assert "業者番号 990000001" in page
    assert "練習カード2" not in page


def test_without_cards_it_says_what_to_do(settings, tmp_path):
    settings.STATE_DIR = tmp_path
    page = Client().get("/practice/cards/")
    assert page.status_code == 200
    assert "make run" in page.content.decode()


def test_production_has_no_such_page(settings):
    settings.PRACTICE = False
    assert Client().get("/practice/cards/").status_code == 404
