"""The public register in Chromium, with a register as cities publish it: accessible, quiet, narrow, printable."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builders import make_section
from django.core.management import call_command
from playwright.sync_api import sync_playwright
from register_files import build
from served import CHROMIUM, Watched, served

from irefuda.suppliers import operations
from irefuda.suppliers.models import Supplier

pytestmark = [pytest.mark.browser, pytest.mark.committing]

FILES = Path(build.__file__).parent
PAGES = [
    "/register/",
    "/register/9991/works/",
    "/register/9991/works/?page=2",
    "/register/9991/works/?q=たかさき",
    "/register/9991/works/?q=鉄塔",
    "/register/9991/works/000098760/",
    "/register/9991/works/000000401/",
    "/register/9992/goods/",
    "/register/9992/goods/000000702/",
    "/register/9992/goods/990000001/",
]


@pytest.fixture
def register(own_database: str, django_db_blocker: Any) -> str:
    """Import two samples, and make one company in which everything is as long as it may be."""
    with django_db_blocker.unblock():
        works = make_section(code="9991", category="0", name="入札市（工事・コンサル）")
        goods = make_section(code="9992", category="1", name="入札市（物品・役務）")
        for code, slug, name in (("9991", "works", "title_rows_cp932.csv"), ("9992", "goods", "goods_states.xlsx")):
            call_command(
                "import_suppliers",
                str(FILES / name),
                agency=code,
                category=slug,
                reason="月初の名簿",
                stdout=io.StringIO(),
            )
        Supplier.objects.create(
            section=works,
            supplier_number="000000401",
            name="岩木測量設計株式会社",
            delegate={"name": "青森支店", "title": "支店長", "person": "岩木　緑", "phone": "017-776-0000"},
            trades=[{"name": "測量", "grade": "A", "points": "812"}, {"name": "地質調査", "grade": ""}],
        )
        Supplier.objects.create(
            section=goods,
            supplier_number="990000001",
            name="あ" * 100,
            name_kana="ア" * 100,
            address="x" * 120,
            representative_title="代" * 60,
            representative_name="表" * 60,
            trades=[{"name": "物" * 60, "grade": "A"}] * 30,
        )
        Supplier.objects.bulk_create(
            Supplier(section=works, supplier_number=f"{n:09}", name=f"練習建設{n}") for n in range(1000, 1250)
        )
        for section in (works, goods):
            operations.reindex(section=section)
    return own_database


@pytest.fixture
def site(register: str, tmp_path: Path) -> Iterator[str]:
    with served(database_url=register, state_dir=tmp_path, site="public") as origin:
        yield origin


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**CHROMIUM)
        yield chromium
        chromium.close()


def test_the_register_is_accessible_quiet_and_no_wider_than_its_window(site: str, browser: Any) -> None:
    for width in (1280, 320):
        watched = Watched(browser.new_page(viewport={"width": width, "height": 800}))
        for address in PAGES:
            assert watched.page.goto(site + address).status == 200, address
            assert watched.axe() == [], (address, width)
            assert not watched.scrolls_sideways(), (address, width)
            assert watched.wrong == [], (address, width)


def test_a_company_is_found_by_keyboard_alone(site: str, browser: Any) -> None:
    page = browser.new_page()
    page.goto(f"{site}/register/9991/works/")
    page.focus("#q")
    page.keyboard.type("たかさき")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=**")
    assert "1件" in page.inner_text("main")
    page.locator("td a, th a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/000098760/")
    assert page.inner_text("h1") == "髙﨑建設（株）"
    page.goto(f"{site}/register/9991/works/")
    assert "200件を超えています" in page.inner_text("main")
    page.click("text=次の50件")
    assert "（2ページ目）" in page.inner_text("main")


def test_the_printed_register_holds_the_list_and_not_the_form(site: str, browser: Any, tmp_path: Path) -> None:
    page = browser.new_page()
    for address, words in (
        ("/register/9991/works/?q=たかさき", ("髙﨑建設（株）", "000098760", "2027年3月31日まで")),
        ("/register/9991/works/000098760/", ("髙﨑建設（株）", "代表取締役社長", "青森市新城平岡")),
    ):
        page.goto(site + address)
        page.pdf(path=str(tmp_path / "page.pdf"), prefer_css_page_size=True)
        made = subprocess.run(
            ["pdftotext", "-layout", str(tmp_path / "page.pdf"), "-"], capture_output=True, check=True, text=True
        )
        text = made.stdout.replace(" ", "").replace("　", "")
        assert [word for word in words if word not in text] == []
        assert "探す言葉" not in text
