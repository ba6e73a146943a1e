"""The register on the staff's site: finding a company, seeing it, changing one entry with its reason, telling the company."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from register_office import PLACE, Counter, changed_rows, confirm, form_of, open_counter, register_card
from staff_office import Office

from irefuda.ledger.models import Entry
from irefuda.notices.models import Notice
from irefuda.registration import register
from irefuda.registration.models import CardStatus, Registration
from irefuda.registration.staff_views.register import standing_shown, today
from irefuda.staff import audit
from irefuda.staff.models import Role, StaffAct
from irefuda.suppliers import operations as suppliers
from irefuda.suppliers import queries
from irefuda.suppliers.models import RegisterMark, Supplier, SupplierStatus
from irefuda.suppliers.queries import Shown
from irefuda.ui import clock
from irefuda_core.refusal import Refused

COMPANY = f"{PLACE}/suppliers/000000001/"


@pytest.fixture
def counter(office: Office) -> Counter:
    return open_counter(office)


def code(call, **named):
    with pytest.raises(Refused) as failure:
        call(**named)
    return " ".join(reason.code for reason in failure.value.refusals)


def told() -> list[tuple[str, str]]:
    """Return kind and recipient of every notice of the register."""
    return sorted(Notice.objects.filter(kind__startswith="register.").values_list("kind", "to"))


# -- finding and seeing


def numbers(counter: Counter, typed: str, shown: Shown) -> list[str]:
    found = queries.search_for_staff(section=counter.section, typed=typed, shown=shown, on=today())
    return [supplier.supplier_number for supplier in found.suppliers]


def test_each_state_is_found_by_words_reading_and_number(counter: Counter):
    one = {"section": counter.section, "supplier_number": "000000002"}
    register.suspend(deed=counter.office.deed(counter.actor), first=today(), last=None, **one)
    register.end_entry(deed=counter.office.deed(counter.actor), section=counter.section, supplier_number="000000003")
    everything = {shown: numbers(counter, "", shown) for shown in Shown}
    assert everything == {
        Shown.LISTED: ["000000001", "000000002"],
        Shown.ACTIVE: ["000000001"],
        Shown.SUSPENDED: ["000000002"],
        Shown.ENDED: ["000000003"],
    }
    for typed in ("弘前", "ひろさき", "2", "000000002", "有限会社 弘前"):
        assert numbers(counter, typed, Shown.SUSPENDED) == ["000000002"], typed
        assert numbers(counter, typed, Shown.LISTED) == ["000000002"], typed
        assert numbers(counter, typed, Shown.ACTIVE) == numbers(counter, typed, Shown.ENDED) == [], typed
    for typed in ("八戸", "ホソウ", "3"):
        assert numbers(counter, typed, Shown.ENDED) == ["000000003"], typed
        assert numbers(counter, typed, Shown.LISTED) == [], typed
    # Who is ended is found by staff only.
    assert queries.search_register(section=counter.section, typed="八戸").suppliers == []
    suppliers.reindex(section=counter.section)
    assert numbers(counter, "八戸", Shown.ENDED) == ["000000003"]
    assert numbers(counter, "青森", Shown.ACTIVE) == ["000000001"]


def test_a_suspension_is_judged_by_its_days(counter: Counter):
    day = timedelta(days=1)
    for first, last, standing, parts in (
        (today(), today(), "指名停止中", {Shown.SUSPENDED}),
        (today() - 2 * day, today() - day, "有効", {Shown.ACTIVE}),
        (today() + day, None, "指名停止の予定", {Shown.ACTIVE}),
        (today() - day, today() + day, "指名停止中", {Shown.SUSPENDED}),
    ):
        Supplier.objects.filter(id=counter.supplier().id).update(**register.suspension(first, last))
        assert standing_shown(counter.supplier(), today()) == standing
        assert {shown for shown in Shown if "000000001" in numbers(counter, "青森", shown)} == parts | {Shown.LISTED}


def test_the_pages_lead_from_the_start_to_a_company_and_filter(counter: Counter, browser):
    app = browser(counter.card)
    page = app.get("/").click("登録業者名簿").click("入札市 契約課")
    assert "青森建設株式会社" in page.text
    form = form_of(page, "q")
    form["q"] = "ほそう"
    page = form.submit()
    assert "八戸舗装株式会社" in page.text
    assert "弘前組" not in page.text
    form = form_of(page, "q")
    form["shown"] = "ended"
    assert "当てはまる会社は、この名簿にありません" in form.submit().text
    assert app.get(f"{PLACE}/?q=%00&shown=nonsense&page=99999999").status_code == 200
    assert app.get(f"{PLACE}/suppliers/999999999/").status_code == 404
    assert app.get("/register/9991/goods/").status_code == 404


def test_a_company_is_shown_with_its_cards_and_what_it_changed_beside_the_register(counter: Counter, browser):
    register_card(counter.section, "000000001", status=CardStatus.PROVISIONAL)
    registration = Registration.objects.get()
    registration.company_changes = {
        "representative_phone": {"value": "017-999-9999", "register": "017-000-0000"},
        "branch_name": {"value": "新しい支店", "register": "古い支店"},
    }
    registration.save()
    app = browser(counter.card)
    page = app.get(COMPANY)
    assert registration.company_id in page.click("この会社の利用者登録を見る").text
    for part in ("テスト 1太郎", "017-000-0000", registration.company_id, "ICカード（有効）", "ICカード（仮登録）"):
        assert part in page.text
    overrides = re.findall(r'<th scope="row">(.*?)</th><td data-label="名簿">(.*?)</td><td data-label="会社の変更">(.*?)</td><td data-label="いま使われる内容">(.*?)<', page.text)  # fmt: skip
    assert overrides == [
        ("代表電話番号", "017-000-0000", "017-999-9999", "会社の変更"),
        ("支店名等", "―", "新しい支店", "名簿（変更の後に名簿が変わったため）"),
    ]


def test_the_help_desk_sees_no_person_and_changes_nothing(counter: Counter, browser):
    registration = Registration.objects.get()
    registration.company_changes = {"representative_phone": {"value": "017-999-9999", "register": "017-000-0000"}}
    registration.save()
    change = {"representative_name": "新 花子", "delegate": {"name": "弘前支店", "person": "支店 長介"}}
    one = {"section": counter.section, "supplier_number": "000000001"}
    register.change_entry(deed=counter.office.deed(counter.actor, reason="新 花子の届け"), values=change, **one)
    helpdesk = browser(counter.office.let_in(Role.HELPDESK)[0])
    for path in (COMPANY, f"{PLACE}/", f"{PLACE}/touched/", "/register/"):
        page = helpdesk.get(path)
        assert page.status_code == 200
        for personal in ("新 花子", "テスト 1太郎", "支店 長介", "017-"):
            assert personal not in page.text, (path, personal)
        assert "変える" not in page.text
    assert "弘前支店" in helpdesk.get(COMPANY).text
    auditor = browser(counter.office.let_in(Role.AUDITOR)[0])
    page = auditor.get(COMPANY)
    assert "新 花子の届け" in page.text
    assert "内容を変える" not in page.text


def test_a_change_of_the_register_that_was_touched_or_removed_is_found_by_the_audit(counter: Counter):
    one = {"section": counter.section, "supplier_number": "000000001"}
    register.change_entry(deed=counter.office.deed(counter.actor), values={"address": "別の町1"}, **one)
    assert list(audit.findings(clock.now())) == []
    act = StaffAct.objects.get(kind="register.entry_changed")
    StaffAct.objects.filter(id=act.id).update(changes=[["所在地", "", "違う町"]])
    assert [finding.row for finding in audit.findings(clock.now())] == [str(act.id)]
    StaffAct.objects.filter(id=act.id).delete()
    assert str(act.ledger_entry) in next(audit.findings(clock.now())).row


# -- one entry


def test_a_change_is_typed_shown_reasoned_written_down_and_told(counter: Counter, browser):
    app = browser(counter.card)
    page = app.get(COMPANY).click("内容を変える")
    assert "登録されたICカードが1枚" in page.text
    form = form_of(page, "name")
    form["name"], form["valid_from"], form["valid_until"] = "", "2027-04-01", "2027-03-31"
    form["corporate_number"], form["phone"], form["address"] = "123", "=1+1", "あ" * 121
    page = form.submit()
    for mistake in (
        "商号又は名称を入力してください。",
        "末日は、初日と同じ日か、後の日にしてください。",
        "正しい13桁の法人番号ではありません",
        "数式かエラー値のようです",
        "長すぎます",
        "理由を入力してください。",
    ):
        assert mistake in page.text
    form = form_of(page, "name")
    form["name"], form["address"], form["corporate_number"] = (
        "（株）青森建設ホールディングス",
        "青森市新町1-1",
        "4011001098993",
    )
    form["valid_from"], form["phone"], form["representative_name"] = (
        "2025-04-01",
        "０１７－７２２－００００",
        "髙﨑 次郎",
    )
    form["delegate_name"], form["delegate_person"] = "弘前支店", "支店 長介"
    form["trades"] = "土木一式：特A：1012\n舗装：B\n造園"
    form["qualifications"] = "物品の販売:A\n役務の提供"
    form["reason"] = "変更届（令和9年4月1日付け）"
    page = form.submit()
    shown = changed_rows(page)
    assert ("商号又は名称", "青森建設株式会社", "（株）青森建設ホールディングス") in shown
    assert ("業種・品目", "―", "土木一式 特A 1012、舗装 B、造園") in shown
    assert ("委任先の氏名", "―", "支店 長介") in shown
    assert ("有効期間の末日", "―", "2027年3月31日") in shown
    assert register.TOLD_NAMES[register.COMPANY_CHANGED] in page.text
    assert told() == []
    last_word = form_of(page, "seen")
    done = last_word.submit("confirmed").follow()
    assert "変更を台帳に記録しました" in done.text
    assert last_word.submit("confirmed").follow().status_code == 200
    stored = counter.supplier()
    assert (stored.name, stored.phone, stored.representative_name) == (
        "（株）青森建設ホールディングス", "017-722-0000", "髙﨑 次郎",
    )  # fmt: skip
    assert stored.trades == [
        {"name": "土木一式", "grade": "特A", "points": "1012"},
        {"name": "舗装", "grade": "B"},
        {"name": "造園", "grade": ""},
    ]
    assert stored.qualifications == {"物品の販売": "A", "役務の提供": ""}
    assert stored.delegate == {"name": "弘前支店", "person": "支店 長介"}
    # Found by the new name and by the old one no more; told once; in the ledger once; marked.
    assert numbers(counter, "ホールディングス", Shown.LISTED) == ["000000001"]
    assert told() == [
        ("register.company_changed", "daihyo@example.jp"),
        ("register.company_changed", "shain@example.jp"),
    ]
    body = Notice.objects.filter(kind="register.company_changed").first().body
    assert "カードや会社の情報が変わったとき" in body
    for content in ("ホールディングス", "髙﨑", "新町"):
        assert content not in body
    (act,) = StaffAct.objects.filter(kind="register.entry_changed")
    assert (act.subject, act.reason) == ("register:9991:0:000000001", "変更届（令和9年4月1日付け）")
    assert Entry.objects.filter(id=act.ledger_entry).exists()
    assert "変更届（令和9年4月1日付け）" in done.text
    # What nobody touched stays as it is stored.
    page = app.get(COMPANY).click("内容を変える")
    form = form_of(page, "name")
    form["reason"] = "何も変えない"
    assert "S-909" in form.submit().text


def test_a_mark_is_shown_to_staff_until_they_settle_it(counter: Counter, browser):
    app = browser(counter.card)
    one = {"section": counter.section, "supplier_number": "000000001"}
    assert app.get(f"{COMPANY}settle/").status_code == 404
    register.change_entry(deed=counter.office.deed(counter.actor), values={"address": "別の町1"}, **one)
    register.suspend(deed=counter.office.deed(counter.actor), first=today(), last=None, **one)
    assert RegisterMark.objects.get().told == [register.COMPANY_CHANGED, register.SUSPENDED]
    assert "利用者登録の確認待ち　1社" in app.get("/").text
    page = app.get(f"{PLACE}/").click("確認待ちの会社を見る").click("青森建設")
    form = form_of(page.click("確認済みにする"), "reason")
    form["reason"] = "電話で確かめた"
    last_word = form_of(form.submit(), "seen")
    assert "変更を台帳に記録しました" in last_word.submit("confirmed").follow().text
    assert "変更を台帳に記録しました" in last_word.submit("confirmed").follow().text
    assert queries.open_mark(counter.supplier()) is None
    assert "利用者登録の確認待ち" not in app.get("/").text
    assert code(register.settle, deed=counter.office.deed(counter.actor), **one) == "S-910"
    assert "確認待ちの会社はありません" in app.get(f"{PLACE}/touched/").text


def test_suspended_lifted_ended_and_restored_on_their_pages(counter: Counter, browser):
    app = browser(counter.card)

    def press(link: str, **typed: str):
        form = form_of(app.get(COMPANY).click(link), "reason")
        for name, value in {"reason": f"{link}ため", **typed}.items():
            form[name] = value
        return confirm(check_page(form))

    def check_page(form):
        page = form.submit()
        assert "まだ変更していません" in page.text
        return page

    form = form_of(app.get(COMPANY).click("指名停止にする"), "reason")
    form["first"], form["last"], form["reason"] = "2027-03-02", "2027-03-01", "x"
    assert "末日は、初日と同じ日か" in form.submit().text
    page = press("指名停止にする", first=today().isoformat(), last=(today() + timedelta(days=30)).isoformat())
    assert "指名停止中" in page.text
    stored = counter.supplier()
    assert (stored.status, stored.suspended_from) == (SupplierStatus.SUSPENDED, today())
    press("指名停止の期間を変える", first=today().isoformat(), last="")
    assert counter.supplier().suspended_until is None
    press("指名停止を解除する")
    stored = counter.supplier()
    assert (stored.status, stored.suspended_from, stored.suspended_until) == (SupplierStatus.ACTIVE, None, None)
    page = press("資格を終了する")
    assert "資格終了" in page.text
    assert "/suspend/" not in page.text
    page = press("名簿に戻す")
    assert counter.supplier().status == SupplierStatus.ACTIVE
    assert [kind for kind, to in told() if to == "shain@example.jp"] == [
        "register.company_ended",
        "register.company_restored",
        "register.company_suspended",
        "register.company_suspended",
        "register.company_suspension_lifted",
    ]
    # Neither why nor how long: whom to ask (decisions 21).
    for notice in Notice.objects.filter(kind="register.company_suspended"):
        assert "契約課に問い合わせ" in notice.body
        assert "ため" not in notice.body.replace("のため", "")
        assert f"{today().year}" not in notice.body
    acts = list(StaffAct.objects.filter(subject="register:9991:0:000000001").order_by("acted_at"))
    assert [act.kind for act in acts] == [
        "register.suspended",
        "register.suspended",
        "register.suspension_lifted",
        "register.entry_ended",
        "register.entry_restored",
    ]
    assert "指名停止を解除するため" in page.text


def test_what_a_company_s_state_does_not_allow_is_refused_with_its_reason(counter: Counter, browser):
    app = browser(counter.card)
    assert "S-935" in app.get(f"{COMPANY}lift/").text
    assert "S-936" in app.get(f"{COMPANY}restore/").text
    one = {"section": counter.section, "supplier_number": "000000001"}
    register.end_entry(deed=counter.office.deed(counter.actor), **one)
    assert "S-934" in app.get(f"{COMPANY}suspend/").text
    assert "S-934" in app.get(f"{COMPANY}end/").text
    assert code(register.end_entry, deed=counter.office.deed(counter.actor), **one) == "S-934"
    assert code(register.lift_suspension, deed=counter.office.deed(counter.actor), **one) == "S-935"


def test_a_new_company_is_added_once_by_its_number(counter: Counter, browser):
    app = browser(counter.card)
    form = form_of(app.get(f"{PLACE}/").click("会社を1社加える"), "supplier_number")
    form["supplier_number"], form["name"], form["reason"] = "12", "合同会社つがる", "随時登録"
    page = form.submit()
    assert ("業者番号", "―", "000000012") in changed_rows(page)
    done = confirm(page)
    assert "合同会社つがる" in done.text
    assert numbers(counter, "つがる", Shown.ACTIVE) == ["000000012"]
    assert StaffAct.objects.get(kind="register.entry_added").reason == "随時登録"
    form = form_of(app.get(f"{PLACE}/add/"), "supplier_number")
    form["supplier_number"], form["name"], form["reason"] = "000000012", "別の会社", "随時登録"
    assert "S-933" in form_of(form.submit(), "seen").submit("confirmed").text
    form["supplier_number"] = "12-3"
    assert "半角英数字9文字ではありません" in form.submit().text
    assert Supplier.objects.filter(section=counter.section).count() == 4


def test_the_second_of_two_who_change_an_entry_is_told(counter: Counter, browser):
    app = browser(counter.card)
    form = form_of(app.get(COMPANY).click("内容を変える"), "name")
    form["address"], form["reason"] = "こちらの住所", "変更届"
    page = form.submit()
    one = {"section": counter.section, "supplier_number": "000000001"}
    register.change_entry(deed=counter.office.deed(counter.actor), values={"address": "先の住所"}, **one)
    refused = form_of(page, "seen").submit("confirmed")
    assert "S-910" in refused.text
    assert counter.supplier().address == "先の住所"


def test_whoever_has_lost_the_role_or_is_another_agency_s_changes_nothing(counter: Counter):
    office = counter.office
    auditor, _ = office.let_in(Role.AUDITOR)
    one = {"section": counter.section, "supplier_number": "000000001"}
    before = Supplier.objects.values().get(id=counter.supplier().id)
    for act, values in (
        (register.change_entry, {"values": {"name": "乗っ取り"}}),
        (register.suspend, {"first": today(), "last": None}),
        (register.end_entry, {}),
        (register.settle, {}),
    ):
        assert code(act, deed=office.deed(office.actor(auditor)), **one, **values) == "S-908"
    assert Supplier.objects.values().get(id=counter.supplier().id) == before
    assert told() == []


@pytest.mark.parametrize(
    ("kind", "differences", "wanted"),
    [
        ("ended", (), (register.ENDED,)),
        ("changed", (("status", "active", "ended"), ("name", "a", "b")), (register.ENDED,)),
        ("changed", (("phone", "1", "2"), ("trades", [], [{"name": "x"}]), ("valid_until", "", "2027-03-31")), ()),
        ("changed", (("name", "a", "b"),), (register.COMPANY_CHANGED,)),
        ("changed", (("delegate", {"phone": "1"}, {"phone": "2"}),), ()),
        ("changed", (("delegate", {}, {"person": "x"}),), (register.COMPANY_CHANGED,)),
        ("changed", (("status", "active", "suspended"), ("suspended_from", "", "2027-01-01")), (register.SUSPENDED,)),
        ("changed", (("suspended_until", "2027-01-01", "2027-02-01"),), (register.SUSPENDED,)),
        ("changed", (("suspended_until", "2027-01-01", ""),), (register.SUSPENDED,)),
        ("changed", (("status", "suspended", "active"), ("suspended_from", "2027-01-01", "")), (register.LIFTED,)),
        ("returned", (("address", "a", "b"),), (register.RESTORED, register.COMPANY_CHANGED)),
        ("returned", (), (register.RESTORED,)),
    ],
)
def test_what_a_change_makes_a_company_be_told(kind, differences, wanted):
    assert register.told_of(suppliers.Change(kind, 1, "000000001", "x", differences, 1)) == wanted


def test_a_company_without_cards_in_use_is_told_nothing(counter: Counter):
    one = {"section": counter.section, "supplier_number": "000000002"}
    register_card(counter.section, "000000002", status=CardStatus.CLOSED)
    register.end_entry(deed=counter.office.deed(counter.actor), **one)
    assert told() == []
    assert not RegisterMark.objects.exists()
