"""「お知らせ」 by staff: announced with a reason, in the words of the form, once; withdrawn, never deleted."""

import uuid
from datetime import datetime, timedelta

import pytest
from builders import make_section
from staff_office import Office

from irefuda.disclosure import decisions, operations, queries
from irefuda.disclosure.models import Announcement
from irefuda.ledger.models import Entry
from irefuda.staff.models import Role, StaffAct
from irefuda.ui import clock
from irefuda.ui.clock import JST
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.django_db
BODY = "次の日は休みます。\n\n・12月29日\n・12月30日\n\n<b>くわしくは</b> https://example.jp/ へ。"


@pytest.fixture
def works(office: Office):
    office.agency = make_section(code="9991", category="0", name="入札市 契約課").agency
    return office.agency


def values(**changed):
    return {
        "title": "年末年始の休み",
        "body": BODY,
        "agency": None,
        "category": None,
        "published_at": None,
        "expires_at": None,
        **changed,
    }


def fill(page, **typed):
    form = next(form for form in page.forms.values() if "reason" in form.fields)
    for name, value in typed.items():
        form[name] = value
    return form


def confirmed(check):
    form = fill(check)
    return form.submit("confirmed").follow()


def test_an_announcement_is_typed_seen_confirmed_and_stands_on_the_portal(office: Office, works, browser):
    card, member = office.let_in(Role.CONTRACTS, name="契約 花子")
    app = browser(card)
    page = app.get("/announcements/new/")
    mistakes = fill(page, title="", body="", published_at="2027-01-05T08:30", expires_at="2027-01-04T08:30").submit()
    for said in (
        "題名を入力してください。",
        "本文を入力してください。",
        "理由を入力してください。",
        "始める日時より後に",
    ):
        assert said in mistakes
    typed = {"title": "年末年始の休み", "body": BODY, "agency": "9991", "category": "0", "reason": "毎年の案内"}
    check = fill(mistakes, **typed, published_at="", expires_at="2027-01-04T08:30").submit()
    assert "まだ変更していません。" in check
    assert not Announcement.objects.exists()
    done = confirmed(check)
    assert "掲載中" in done
    made = Announcement.objects.get()
    assert (made.title, made.body, made.agency, made.category) == ("年末年始の休み", BODY, works, "0")
    assert made.expires_at == datetime(2027, 1, 4, 8, 30, tzinfo=JST)
    assert made.created_by == "契約課"
    act = StaffAct.objects.get(kind="staff.announcement_published")
    assert (act.member, act.reason, act.id) == (member, "毎年の案内", made.id)
    kinds = set(Entry.objects.values_list("kind", flat=True))
    assert {"announcement.published", "staff.announcement_published"} <= kinds
    assert [a.id for a in queries.newest_announcements(now=clock.now())] == [made.id]
    shown = app.get(f"/announcements/{made.id}/")
    assert "契約 花子" in shown
    assert "&lt;b&gt;くわしくは" in shown
    # The page that was confirmed is sent a second time.
    fill(check).submit("confirmed")
    assert Announcement.objects.count() == 1
    assert StaffAct.objects.filter(kind="staff.announcement_published").count() == 1


def test_it_is_withdrawn_with_a_reason_that_everybody_sees(office: Office, works, browser):
    made = operations.publish_announcement(
        announcement_id=uuid.uuid4(), created_by="契約課", now=clock.now(), salt=b"s" * 16, **values()
    )
    app = browser(office.let_in(Role.CONTRACTS)[0])
    page = app.get(f"/announcements/{made.id}/").click("取り下げる")
    check = fill(page, shown_reason="日付に誤りがありました。", reason="係長の指示").submit()
    done = confirmed(check)
    assert "日付に誤りがありました。" in done
    assert "取り下げる</a>" not in done
    made.refresh_from_db()
    assert (made.withdrawn_reason, made.withdrawn_by) == ("日付に誤りがありました。", "契約課")
    assert "取り下げ" in app.get("/announcements/")
    # Again: the page is gone, and the one that was confirmed leads to what is done.
    assert app.get(f"/announcements/{made.id}/withdraw/").status_code == 404
    assert fill(check).submit("confirmed").status_code == 302
    assert StaffAct.objects.filter(kind="staff.announcement_withdrawn").count() == 1


def test_an_agency_announces_for_itself_only(office: Office, works, browser):
    other = make_section(code="9992", category="1", name="入札市 物品管理課").agency
    card, _ = office.let_in(Role.CONTRACTS, agency=works)
    everyones, others = (
        operations.publish_announcement(
            announcement_id=uuid.uuid4(), created_by="契約課", now=clock.now(), salt=b"s" * 16, **values(agency=agency)
        )
        for agency in (None, other)
    )
    app = browser(card)
    page = app.get("/announcements/new/")
    assert [code for code, _, _ in fill(page)["agency"].options] == ["9991"]
    assert app.get(f"/announcements/{others.id}/").status_code == 404
    assert "取り下げる</a>" not in app.get(f"/announcements/{everyones.id}/")
    for foreign in (everyones, others):
        assert app.get(f"/announcements/{foreign.id}/withdraw/").status_code == 404
        with pytest.raises(Refused, match="S-908"):
            decisions.withdraw(deed=office.deed(office.actor(card)), announcement=foreign, shown_reason="理由")
    for agency in (None, other):
        with pytest.raises(Refused, match="S-908"):
            decisions.publish(deed=office.deed(office.actor(card)), values=values(agency=agency))
    assert Announcement.objects.count() == 2
    decisions.publish(deed=office.deed(office.actor(card)), values=values(agency=works))
    assert Announcement.objects.filter(created_by="入札市 契約課 契約課").count() + 2 == Announcement.objects.count()


def test_what_was_withdrawn_meanwhile_or_shown_otherwise_is_not_done_unseen(office: Office, works):
    card, _ = office.let_in(Role.CONTRACTS)
    made = operations.publish_announcement(
        announcement_id=uuid.uuid4(), created_by="契約課", now=clock.now(), salt=b"s" * 16, **values()
    )
    decisions.withdraw(deed=office.deed(office.actor(card)), announcement=made, shown_reason="一つ目の理由")
    with pytest.raises(Refused, match="S-910"):
        decisions.withdraw(deed=office.deed(office.actor(card)), announcement=made, shown_reason="二つ目の理由")
    made.refresh_from_db()
    assert made.withdrawn_reason == "一つ目の理由"
    before = Entry.objects.count()
    with pytest.raises(Refused, match="S-910"):
        decisions.publish(deed=office.deed(office.actor(card), seen="another page"), values=values())
    assert (Announcement.objects.count(), Entry.objects.count()) == (1, before)


def test_every_state_has_its_word(office: Office, works):
    now = clock.now()
    day = timedelta(days=1)
    states = {
        "掲載中": {},
        "掲載前": {"published_at": now + day},
        "掲載終了": {"expires_at": now + timedelta(seconds=1)},
    }
    for state, changed in states.items():
        made = operations.publish_announcement(
            announcement_id=uuid.uuid4(), created_by="契約課", now=now, salt=b"s" * 16, **values(**changed)
        )
        assert queries.state_of(made, now=now + timedelta(seconds=2)) == state
