"""The staff's changes on the rendered forms: form, before and after, the last word, done, and back again."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from builders import make_section
from staff_office import Office, present

from irefuda.agencies.models import Agency, SpecialClosure
from irefuda.ledger.models import Entry
from irefuda.staff import operations, queries
from irefuda.staff.models import Enrolment, Role, StaffAct, StaffMember
from irefuda.ui import clock
from irefuda_core.registration import Policy


@pytest.fixture
def agency(office: Office) -> Agency:
    return make_section(code="9991", category="0", name="入札市 契約課").agency


def form_of(page: Any, field: str) -> Any:
    """Return the form of the page that has this field."""
    return next(form for form in page.forms.values() if field in form.fields)


def check(page: Any, field: str = "reason") -> Any:
    """Press 「確認する」."""
    return form_of(page, field).submit()


def confirm(page: Any) -> Any:
    """Press 「確定する」 and return the page that the browser ends at."""
    assert "まだ変更していません" in page.text
    return form_of(page, "seen").submit("confirmed").follow()


def rows(page: Any) -> list[tuple[str, str, str]]:
    """Return what a page says changes: item, before, after."""
    cells = r'<tr><th scope="row">(.*?)</th><td data-label="前">(.*?)</td><td data-label="後">(.*?)</td></tr>'
    return re.findall(cells, page.text)


def test_a_colleague_is_let_in_by_the_code_and_logs_in(office: Office, agency: Agency, browser):
    colleague, card = browser(), office.card(holder="契約　花子")
    told = present(colleague, card, "/enrol/")
    (code,) = re.findall(r"[0-9]{4} [0-9]{3} [0-9]{3}", told.text)
    assert "職員として" not in told.text
    refused = present(colleague, card)
    assert "S-902" in refused.text

    app = browser(office.first)
    page = app.get("/members/").click("職員を追加する")
    asked = form_of(page, "code")
    asked["code"] = "0000000000"
    assert "S-904" in asked.submit().text
    # As people write what they hear: full width, with hyphens.
    asked["code"] = code.replace(" ", "－").translate(str.maketrans("0123456789", "０１２３４５６７８９"))
    page = asked.submit()
    form = form_of(page, "name")
    assert form["name"].value == "契約 花子"
    assert "契約　花子" in page.text
    form["name"] = ""
    form["ends_auditor"] = "2027-03-31"
    page = form.submit()
    for mistake in (
        "氏名を入力してください。",
        "「監査」を選ぶか、期限を消してください。",
        "役割を一つ以上選んでください。",
        "理由を入力してください。",
    ):
        assert mistake in page.text
    form = form_of(page, "name")
    form["name"], form["section"], form["agency"], form["reason"] = (
        "契約 花子",
        "契約課 工事契約係",
        "9991",
        "4月の異動",
    )
    form["role_contracts"], form["role_auditor"] = True, True
    page = form.submit()
    assert ("担当する調達機関", "―", "入札市 契約課") in rows(page)
    assert ("監査", "―", "あり（2027年3月31日まで）") in rows(page)
    # Back to the form: what was typed is still there.
    page = form_of(page, "seen").submit("back")
    form = form_of(page, "name")
    assert (form["name"].value, form["role_contracts"].checked, form["ends_auditor"].value) == (
        "契約 花子",
        True,
        "2027-03-31",
    )
    page = form.submit()
    assert Entry.objects.filter(kind="staff.member_added").count() == 0
    last_word = form_of(page, "seen")
    done = last_word.submit("confirmed").follow()
    assert "変更を台帳に記録しました" in done.text
    assert "契約 花子" in done.text
    # The page sent once more: the same answer, and one colleague.
    assert "変更を台帳に記録しました" in last_word.submit("confirmed").follow().text
    assert StaffMember.objects.filter(name="契約 花子").count() == 1
    assert not Enrolment.objects.exists()

    assert present(colleague, card).headers["Location"].endswith("/")
    start = colleague.get("/")
    for shown in ("契約 花子", "契約課 工事契約係", "入札市 契約課", "契約課、監査", "調達機関の設定"):
        assert shown in start.text
    assert "職員の管理" in start.text  # an auditor looks at it
    assert "職員を追加する" not in colleague.get("/members/").text
    assert "S-907" in present(browser(), card, "/enrol/").text


def test_roles_card_name_and_end_are_changed_on_their_pages(office: Office, agency: Agency, browser):
    _, member = office.let_in(Role.CONTRACTS, name="契約 花子")
    app = browser(office.first)
    page = app.get(f"/members/{member.id}/")

    form = form_of(page.click("役割を変える"), "role_witness")
    form["reason"] = "兼務のため"
    assert "S-909" in form.submit().text
    form["role_witness"], form["role_contracts"] = True, False
    page = form.submit()
    assert rows(page) == [("契約課", "あり", "なし"), ("立会者", "なし", "あり")]
    page = confirm(page)
    assert "兼務のため" in page.text

    form = form_of(page.click("氏名・所属を変える"), "section")
    form["section"], form["reason"] = "会計課", "4月の異動"
    page = confirm(form.submit())
    assert "会計課" in page.text

    asked = form_of(page.click("新しいICカードを登録する"), "code")
    asked["code"] = office.code_of(office.card(holder="契約 花子"))
    form = form_of(asked.submit(), "end_others")
    assert form["end_others"].checked
    form["reason"] = "更新"
    page = form.submit()
    assert [row[0] for row in rows(page)] == ["新しいICカード", "使えなくなるICカード"]
    last_word = form_of(page, "seen")
    page = last_word.submit("confirmed").follow()
    assert last_word.submit("confirmed").status_code == 302
    assert "利用終了" in page.text

    form = form_of(page.click("利用を終える"), "reason")
    form["reason"] = "退職"
    page = form.submit()
    last_word = form_of(page, "seen")
    page = last_word.submit("confirmed").follow()
    assert last_word.submit("confirmed").status_code == 302
    assert "退職" in page.text
    assert "役割を変える" not in page.text
    assert StaffAct.objects.filter(subject=f"member:{member.id}").count() == 5


def test_an_administrator_s_own_page_says_whom_to_ask(office: Office, browser):
    app = browser(office.first)
    mine = f"/members/{office.chief.member.id}/"
    page = app.get(mine)
    assert "ほかの管理者に頼んでください" in page.text
    for act in ("roles", "change", "card", "end"):
        refused = app.get(f"{mine}{act}/")
        assert (refused.status_code, "S-905" in refused.text) == (403, True)


def test_what_another_administrator_changed_meanwhile_is_not_overwritten(office: Office, browser):
    _, member = office.let_in(Role.CONTRACTS, name="契約 花子")
    app = browser(office.first)
    form = form_of(app.get(f"/members/{member.id}/roles/"), "role_auditor")
    form["role_auditor"], form["reason"] = True, "兼務"
    page = form.submit()
    operations.change_roles(deed=office.deed(), member_id=member.id, roles={Role.WITNESS: None})
    refused = form_of(page, "seen").submit("confirmed")
    assert (refused.status_code, "S-910" in refused.text) == (403, True)
    assert operations.kept_roles(member) == {Role.WITNESS: None}


def test_the_last_word_cannot_be_had_without_having_seen_the_change(office: Office, agency: Agency, browser):
    app = browser(office.first)
    page = app.get("/agencies/9991/hours/")
    token = form_of(page, "opens_at")["csrfmiddlewaretoken"].value
    typed = {"csrfmiddlewaretoken": token, "opens_at": "07:00", "closes_at": "20:00", "reason": "x", "confirmed": "1"}
    assert app.post("/agencies/9991/hours/", typed).status_code == 404
    typed["act"] = "0e6cf0a0-0000-4000-8000-000000000000"
    assert "S-910" in app.post("/agencies/9991/hours/", typed).text
    agency.refresh_from_db()
    assert agency.opens_at.hour == 8


def test_an_agency_is_set_on_its_pages(office: Office, agency: Agency, browser):
    card, _ = office.let_in(Role.CONTRACTS, agency=agency)
    app = browser(card)
    page = app.get("/").click("調達機関の設定").click("入札市 契約課")
    assert "元日" in page.text

    form = form_of(page.click("案内と連絡先を変える"), "helpdesk_phone")
    form["helpdesk_phone"] = "0170000000"
    page = form.submit()
    assert "理由を入力してください。" in page.text
    form = form_of(page, "helpdesk_phone")
    form["helpdesk_phone"], form["reason"] = "０１７－０００－００００", "移転"
    page = form.submit()
    assert rows(page) == [("ヘルプデスクの電話番号", "―", "017-000-0000")]
    page = confirm(page)

    form = form_of(page.click("運用時間を変える"), "opens_at")
    form["opens_at"], form["reason"] = "09:00", "要綱の改正"
    page = confirm(form.submit())
    assert "9時" in page.text

    form = form_of(page.click("利用者登録の扱いを変える"), "name_mismatch")
    assert form["name_mismatch"].value == "refuse"
    form["max_cards_per_supplier"] = "0"
    form["reason"] = "要綱の改正"
    assert "1から999までの数字を入力してください。" in form.submit().text
    form["max_cards_per_supplier"], form["name_mismatch"], form["fax_required"] = "5", "provisional", False
    page = confirm(form.submit())
    agency.refresh_from_db()
    kept = Policy.from_knobs(agency.policy)
    assert (kept.max_cards_per_supplier, kept.name_mismatch, kept.fax_required) == (5, "provisional", False)

    form = form_of(page.click("臨時休止日を加える"), "closed_on")
    form["closed_on"], form["shown_reason"], form["reason"] = "2030-02-30", "保守", "定期保守"
    assert "2027-03-31 の形" in form.submit().text
    form["closed_on"] = (queries.today(clock.now()) - timedelta(days=1)).isoformat()
    page = form.submit()
    assert "過ぎた日は休止にできません。" in page.html.select_one("#id_closed_on_error").text
    assert page.html.select_one("label[for=id_reason]").text.startswith("変更の理由（職員だけが見ます）")
    assert page.click("^やめる$").request.path == "/agencies/9991/"
    form["closed_on"] = "2030-03-01"
    page = confirm(form.submit())
    assert "2030年3月1日　保守" in page.text
    form = form_of(page.click("やめる"), "reason")
    form["reason"] = "取りやめ"
    last_word = form_of(form.submit(), "seen")
    page = last_word.submit("confirmed").follow()
    assert last_word.submit("confirmed").status_code == 302
    assert "これからの臨時休止日はありません" in page.text
    assert not SpecialClosure.objects.exists()
    kinds = list(StaffAct.objects.filter(subject="agency:9991").order_by("acted_at").values_list("kind", flat=True))
    assert kinds == ["staff.agency_changed"] * 2 + ["staff.policy_changed", "staff.day_closed", "staff.day_reopened"]
    assert {entry.kind for entry in Entry.objects.all()} >= set(kinds)


def test_names_with_signs_are_shown_as_they_are(office: Office, browser):
    _, member = office.let_in(Role.CONTRACTS, name="<b>契約</b>&花子")
    page = browser(office.first).get(f"/members/{member.id}/")
    assert "&lt;b&gt;契約&lt;/b&gt;&amp;花子" in page.text
    assert "<b>契約" not in page.text
