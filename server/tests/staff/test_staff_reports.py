"""「報告」: what is counted, by whom it is read, and as a file that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import re
import uuid
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import (
    City,
    make_authority,
    make_city,
    make_section,
    make_supplier,
    registered,
    trust_authority,
)
from pki_builder import Authority
from staff_office import Office

from irefuda.notices.models import Bounce, Notice, State
from irefuda.registration import reports, tally
from irefuda.registration.models import Event, RefusedTry, RegisteredCard
from irefuda.registration.staff_views.registration_forms import ReportPeriod
from irefuda.staff.models import Role
from irefuda.ui import clock
from irefuda_core.refusal import Refused, refusal

PAGES = ("/reports/", "/reports/expiring/", "/reports/bounces/", "/reports/refused/")


@pytest.fixture(scope="module")
def supplier_authority() -> Authority:
    return make_authority()


@pytest.fixture
def city(office: Office, supplier_authority: Authority, receipt_key: Path) -> City:
    return make_city(supplier_authority)


@pytest.fixture
def contracts(office: Office, city: City, browser: Any) -> Any:
    return browser(office.let_in(Role.CONTRACTS)[0])


def table(page: Any, number: int = 0) -> list[list[str]]:
    """Return the cells of one table of a page."""
    found = re.findall(r"<table.*?</table>", page.text, re.DOTALL)[number]
    lines = re.findall(r"<tr>(.*?)</tr>", found, re.DOTALL)
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<t[hd].*?</t[hd]>", line)] for line in lines]


def file_of(answer: Any) -> list[list[str]]:
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.body.startswith(b"\xef\xbb\xbf")
    return list(csv.reader(io.StringIO(answer.body.decode("utf-8-sig"))))


def sample(city: City, authority: Authority | None = None, *, registered_at: datetime, expires_at: datetime) -> Any:
    """Return a registered card whose dates are these."""
    card = registered(city, (authority or city.authority).card(), now=clock.now())
    RegisteredCard.objects.filter(id=card.id).update(registered_at=registered_at, expires_at=expires_at)
    return card


def test_a_month_begins_at_midnight_in_japan(contracts, city):
    far = datetime(2028, 1, 1, tzinfo=UTC)
    sample(city, registered_at=datetime(2026, 9, 30, 14, 59, tzinfo=UTC), expires_at=far)
    last = sample(city, registered_at=datetime(2026, 9, 30, 15, 0, tzinfo=UTC), expires_at=far)
    at = datetime(2026, 10, 31, 15, 0, tzinfo=UTC)
    for kind in ("closed", "closed", "halted"):
        Event.objects.create(id=uuid.uuid4(), registration=last.registration, card=last, kind=kind, at=at)
    page = contracts.get("/reports/?first=2026-09&last=2026-11")
    header, september, october, november, total = table(page)
    assert header == ["月", "登録", "ICカード更新", "利用者変更", "受理", "不受理", "使用停止", "使用停止の解除", "利用停止", "利用停止の解除"]  # fmt: skip
    assert september == ["2026年9月", "1", *["0"] * 8]
    assert october == ["2026年10月", "1", *["0"] * 8]
    assert november == ["2026年11月", "0", "0", "0", "0", "0", "2", "0", "1", "0"]
    assert total == ["合計", "2", "0", "0", "0", "0", "2", "0", "1", "0"]
    assert file_of(page.click("CSVで保存")) == table(page)


def test_cards_end_by_month_and_authority_in_plot_table_and_file(contracts, city):
    other = Authority(label="other", at=clock.now().replace(microsecond=0))
    trust_authority(other, name="もう一つの認証局")
    now, at = clock.now(), clock.now()
    ends = [
        datetime(2027, 3, 31, 14, 59, tzinfo=UTC),
        datetime(2027, 3, 31, 15, 0, tzinfo=UTC),
        now - timedelta(days=90),
    ]
    for end in (*ends, ends[0]):
        sample(city, registered_at=at, expires_at=end)
    sample(city, other, registered_at=at, expires_at=ends[0])
    closed = sample(city, registered_at=at, expires_at=ends[0])
    RegisteredCard.objects.filter(id=closed.id).update(status="closed")
    page = contracts.get("/reports/expiring/?first=2027-02&last=2027-04")
    assert table(page) == [
        ["月", "もう一つの認証局", "試験認証局", "合計"],
        ["これより前", "0", "1", "1"],
        ["2027年2月", "0", "0", "0"],
        ["2027年3月", "1", "2", "3"],
        ["2027年4月", "0", "1", "1"],
        ["合計", "1", "4", "5"],
    ]
    assert file_of(page.click("CSVで保存")) == table(page)
    svg = re.findall(r"<svg role=.*?</svg>", page.text, re.DOTALL)[0]
    assert "style=" not in svg
    assert '<title id="plot-title">有効期限を迎えるICカードの枚数' in svg
    assert "合計5枚。最も多いのは2027年3月の3枚です。" in svg
    assert re.findall(r"<rect.*?<title>(.*?)</title>", svg) == [
        "これより前　試験認証局　1枚",
        "2027年3月　もう一つの認証局　1枚",
        "2027年3月　試験認証局　2枚",
        "2027年4月　試験認証局　1枚",
    ]
    # The bars of a month stand on one another and on the floor.
    bars = [tuple(map(int, found)) for found in re.findall(r'x="(\d+)" y="(\d+)" width="\d+" height="(\d+)"', svg)]
    (x, y, height), (x_above, y_above, height_above) = bars[1:3]
    assert (x, y + height, y) == (x_above, 220, y_above + height_above)
    Event.objects.all().delete()
    RegisteredCard.objects.all().delete()
    assert "期限を迎える有効なICカードはありません" in contracts.get("/reports/expiring/").text


@pytest.mark.parametrize(("highest", "top"), [(0, 1), (1, 1), (3, 5), (7, 10), (11, 20), (4321, 5000)])
def test_the_axis_ends_at_a_round_number(highest, top):
    drawn = reports.plot(reports.Table(["月", "A", "合計"], [["2027年1月", highest, highest]]))
    assert drawn.lines[-1][1] == top
    assert all(20 <= bar.y <= 220 and bar.height >= 1 for bar in drawn.bars)


def test_more_authorities_than_colours_are_one_in_the_plot_and_none_in_the_table():
    header = ["月", *(f"認証局{n}" for n in range(8)), "合計"]
    drawn = reports.plot(reports.Table(header, [["2027年1月", *range(1, 9), 36]]))
    assert drawn.names == ["認証局0", "認証局1", "認証局2", "認証局3", "そのほか"]
    assert [bar.title.split("　")[2] for bar in drawn.bars] == ["1枚", "2枚", "3枚", "4枚", "26枚"]


@pytest.mark.parametrize("cell", ["=1+1", "+81", "-1", "@x", "\t=1", "\r=1", '=HYPERLINK("http://x")'])
def test_no_cell_is_a_formula(cell):
    written = reports.as_csv(reports.Table(["名前"], [[cell, -5, "（株）=商会"]]))
    ((first, number, name),) = list(csv.reader(io.StringIO(written.removeprefix("\ufeff"), newline="")))[1:]
    assert (first, number, name) == (f"'{cell}", "-5", "（株）=商会")


@pytest.mark.parametrize("asked", ["first=2027-13", "last=x", "first=2027-05&last=2027-04", "first=2000-01&last=2026-01", "place=99931"])  # fmt: skip
def test_a_wrong_period_is_told_at_the_field(contracts, asked):
    for address in (
        *PAGES,
        "/reports/months.csv",
        "/reports/bounces.csv",
        "/reports/refused.csv",
        "/reports/expiring.csv",
    ):
        page = contracts.get(f"{address}?{asked}")
        assert "error-summary" in page.text, address
        assert "CSVで保存" not in page.text
    assert ("期間が正しくありません" in page.text) == ("place" not in asked)


def test_the_usual_period_stands_in_its_fields(contracts):
    form = contracts.get("/reports/").html.select_one("main form")
    first, last = (form.select_one(f"[name={name}]")["value"] for name in ("first", "last"))
    this = reports.month_of(clock.now())
    assert (first, last) == (f"{reports.later(this, -11):%Y-%m}", f"{this:%Y-%m}")


def test_an_open_end_is_as_long_as_usual():
    usual = (date(2026, 1, 1), date(2026, 3, 1))
    for typed, expected in (
        ({}, usual),
        ({"first": "2025-11"}, (date(2025, 11, 1), date(2026, 1, 1))),
        ({"last": "2025-11"}, (date(2025, 9, 1), date(2025, 11, 1))),
        ({"first": "2025-12", "last": "2025-12"}, (date(2025, 12, 1),) * 2),
    ):
        form = ReportPeriod(typed, sections=[])
        assert form.is_valid()
        months = form.months(*usual)
        assert (months[0], months[-1]) == expected, typed


# -- what did not arrive


def bounce(notice: Notice, *, status: str = "5.1.1", source: str = "1") -> None:
    Notice.objects.filter(id=notice.id).update(state=State.FAILED)
    Bounce.objects.create(
        notice=notice, origin="smtp", action="failed", status=status, diagnostic="secret words",
        recorded_at=clock.now(), source=source,
    )  # fmt: skip


def test_addresses_that_mail_does_not_reach_are_for_those_who_call_the_company(office, contracts, city, browser):
    card = registered(city, city.authority.card(), now=clock.now())
    mine = list(Notice.objects.filter(inbox=card.fingerprint).order_by("to"))
    assert [notice.to for notice in mine] == ["daihyo@example.jp", "hanako@example.jp"]
    bounce(mine[0])
    bounce(mine[0], status="5.2.1", source="2")
    # Refused once, and sent after all.
    bounce(mine[1])
    Notice.objects.filter(id=mine[1].id).update(state=State.SENT, sent_at=clock.now())
    page = contracts.get("/reports/bounces/")
    assert table(page) == [["調達機関と区分", "アドレス", "企業", "メール"], ["入札市（物品）　物品、役務", "1", "1", "1"], ["合計", "1", "1", "1"]]  # fmt: skip
    assert table(page, 1)[1][:4] == ["（株）テスト商会01", card.company_id, "daihyo@example.jp", "1"]
    assert "secret" not in page.text
    assert file_of(page.click("CSVで保存"))[1][:4] == [card.company_id, "（株）テスト商会01", "daihyo@example.jp", "1"]
    for role in (Role.HELPDESK, Role.AUDITOR):
        app = browser(office.let_in(role)[0])
        page = app.get("/reports/bounces/")
        assert table(page)[2] == ["合計", "1", "1", "1"]
        assert "daihyo" not in page.text
        assert app.get("/reports/bounces.csv").status_code == 404
    assert "daihyo" not in contracts.get("/reports/bounces/?last=2026-01").text


def test_a_card_that_two_agencies_know_bounces_where_the_mail_came_from(office, city, browser):
    section = make_section(code="9993", name="別の機関", system_email="betsu@example.jp")
    issued = city.authority.card()
    registered(city, issued, now=clock.now())
    theirs = registered(City(section, city.authority, make_supplier(section)), issued, now=clock.now())
    for number, notice in enumerate(Notice.objects.filter(to="hanako@example.jp")):
        bounce(notice, source=str(number))
    app = browser(office.let_in(Role.CONTRACTS, agency=section.agency)[0])
    page = app.get("/reports/bounces/")
    assert table(page)[1:] == [["別の機関　物品、役務", "1", "1", "1"], ["合計", "1", "1", "1"]]
    assert table(page, 1)[1][1:4] == [theirs.company_id, "hanako@example.jp", "1"]
    assert "入札市（物品）" not in page.text.split("<h1>")[1].split("<footer")[0]


# -- what was refused


def test_what_was_refused_is_told_by_reason_and_to_an_agency_only_its_own(office, contracts, city, browser):
    other = make_section(code="9993", name="別の機関")
    now = clock.now()
    for section, code, times in ((city.section, "R-102", 3), (other, "R-102", 2), (None, "R-161", 1)):
        for _ in range(times):
            tally.count(Refused(refusal(code)), section=section, now=now)
    RefusedTry.objects.create(on=now.date(), code="X-999", place="99921", tries=1)
    page = contracts.get("/reports/refused/")
    assert [(row[0], row[2], row[3]) for row in table(page)[1:]] == [("R-102", "5", "1"), ("R-161", "1", "1"), ("X-999", "1", "1")]  # fmt: skip
    assert "マイページのように" in page.text
    assert [row[2] for row in table(contracts.get("/reports/refused/?place=99921"))[1:]] == ["3", "1"]
    app = browser(office.let_in(Role.HELPDESK, agency=other.agency)[0])
    page = app.get("/reports/refused/")
    assert [(row[0], row[2]) for row in table(page)[1:]] == [("R-102", "2")]
    assert file_of(page.click("CSVで保存")) == table(page)


def test_a_count_that_fails_keeps_nobody_from_the_reason(city, monkeypatch, caplog):
    monkeypatch.setattr(tally, "COUNT", "INSERT INTO nowhere VALUES (%s, %s, %s)")
    tally.count(Refused(refusal("R-102")), section=city.section, now=clock.now())
    assert "R-102" in caplog.text
    assert not RefusedTry.objects.exists()
