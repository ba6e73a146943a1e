"""「利用者登録」, 「確認待ち」 and 「報告」 in Chromium, with companies that have been through everything: wide, narrow, accessible."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import City, make_authority, make_city, make_supplier, make_token, registered, trust_authority
from pki_builder import Authority, Issued
from playwright.sync_api import sync_playwright
from served import CHROMIUM, Watched, served
from staff_office import Office, open_office
from succession import newer, renewed

from irefuda.notices.models import Bounce, Notice, State
from irefuda.registration import decisions, tally
from irefuda.registration.models import RegisteredCard
from irefuda.staff.models import Role
from irefuda.ui import clock
from irefuda_core.refusal import Refused, refusal

pytestmark = [pytest.mark.browser, pytest.mark.committing]
SECTION = "/registrations/9992/goods/"
LONG_NAME = "株式会社" + "あ" * 60


@pytest.fixture
def office(
    own_database: str, django_db_blocker: Any, settings: Any, receipt_key: Path
) -> Iterator[tuple[Office, list[str]]]:
    """Yield the office and the addresses of everything there is to look at."""
    settings.STAFF_ORIGIN = "http://staff.localhost:8001"
    with django_db_blocker.unblock():
        made = open_office(Authority(label="staff", at=clock.now().replace(microsecond=0)))
        yield made, eventful(made, make_city(make_authority()))


def eventful(office: Office, city: City) -> list[str]:
    now = clock.now()
    city.section.agency.policy = {"name_mismatch": "provisional", "renewal_other_holder": "review"}
    city.section.agency.save()
    first, second = city.authority.card(), city.authority.card(holder="とても長い名前をもつ取得者" + "様" * 7)
    mine = registered(city, first, now=now - timedelta(days=3))
    registered(city, second, now=now - timedelta(days=2))
    other = Authority(label="other", at=now.replace(microsecond=0))
    trust_authority(other, name="もう一つの認証局")
    registered(city, other.card(ends=timedelta(days=100)), now=now)
    renewed(city, first, newer(city), now=now - timedelta(days=1))
    waiting = renewed(city, second, newer(city, holder="別の 人"), now=now - timedelta(hours=7))
    long = make_supplier(city.section, supplier_number="990000002", name=LONG_NAME)
    there = City(city.section, city.authority, long)
    doubtful = registered(
        there, city.authority.card(company="株式会社合浦商事"), now=now, supplier_number="990000002", name=LONG_NAME
    )
    bounced = Notice.objects.filter(to="daihyo@example.jp").first()
    assert bounced is not None
    Notice.objects.filter(id=bounced.id).update(state=State.FAILED)
    Bounce.objects.create(
        notice=bounced, origin="smtp", action="failed", status="5.1.1", recorded_at=now, source="1"
    )  # fmt: skip
    for refused in (refusal("R-102"), refusal("R-102"), refusal("R-120"), refusal("K-409", since="2026年1月1日")):
        tally.count(Refused(refused), section=city.section, now=now)
    actor = office.actor(office.let_in(Role.CONTRACTS, name="契約 花子")[0])
    closed = RegisteredCard.objects.filter(status="active", issuer_key__isnull=False).exclude(id=mine.id).last()
    assert closed is not None
    decisions.close(deed=office.deed(actor, reason="紛失の届出があったため"), section=city.section, card_id=closed.id)
    decisions.halt(deed=office.deed(actor, reason="不正使用の疑い"), section=city.section, number=mine.registration_id)
    review = "/review/9992/goods/"
    return [
        *("/", "/registrations/", SECTION, f"{SECTION}?q=ない", f"{SECTION}{mine.registration_id}/"),
        *(f"{SECTION}cards/{mine.id}/document/", f"{SECTION}{mine.registration_id}/resume/"),
        *("/review/", f"{review}{waiting.id}/", f"{review}{waiting.id}/approve/", f"{review}{doubtful.id}/reject/"),
        *("/reports/", "/reports/?first=2026-99", "/reports/expiring/?last=2031-06", "/reports/bounces/", "/reports/refused/"),
    ]  # fmt: skip


def log_in(page: Any, origin: str, card: Issued) -> None:
    """Present the card as the page's script and the agent do."""
    page.goto(f"{origin}/login/")
    nonce = page.evaluate(
        """async () => (await (await fetch("/card/nonce/", {method: "POST", headers: {
            "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value}})).json()).nonce"""
    )
    page.evaluate(
        """(token) => { const field = document.querySelector("[name=token]"); field.value = token; field.form.submit(); }""",
        make_token(card, nonce, origin=origin),
    )
    page.wait_for_url(f"{origin}/")


def test_every_page_reads_well_wide_narrow_and_printed(
    office: tuple[Office, list[str]], own_database: str, tmp_path: Path
) -> None:
    made, addresses = office
    card, _ = made.let_in(Role.CONTRACTS, name="契約 太郎")
    with (
        served(database_url=own_database, state_dir=tmp_path, site="staff") as origin,
        sync_playwright() as playwright,
    ):
        chromium = playwright.chromium.launch(**CHROMIUM)
        watched = Watched(chromium.new_page(viewport={"width": 1280, "height": 900}))
        log_in(watched.page, origin, card)
        for number, address in enumerate(addresses):
            answer = watched.page.goto(origin + address)
            assert answer is not None
            assert answer.status == 200, address
            for summary in watched.page.locator("main summary").all():
                summary.click()
            assert watched.axe() == [], address
            for look in ("1280", "320", "print"):
                watched.page.set_viewport_size({"width": 320 if look == "320" else 1280, "height": 900})
                watched.page.emulate_media(media="print" if look == "print" else "screen")
                assert not watched.scrolls_sideways(), (look, address)
                if directory := os.environ.get("IREFUDA_PICTURES"):
                    watched.page.screenshot(path=f"{directory}/{look}-{number:02d}.png", full_page=True)
            assert watched.wrong == [], address
            watched.page.emulate_media(media="screen")
        chromium.close()
