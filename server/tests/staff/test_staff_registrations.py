"""「利用者登録」 and 「確認待ち」 on the staff's site: found, seen, stopped, decided, and by whom it is not seen."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import ledger_files
import pytest
from builders import (
    CONTACT,
    City,
    changed,
    make_authority,
    make_city,
    make_section,
    make_supplier,
    make_token,
    prepare,
    registered,
    trust_authority,
)
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import get_urlconf, set_urlconf
from pki_builder import Authority
from staff_office import Office, on_staff_site
from succession import newer, prepare_renewal, renewed

from irefuda.config import urls_staff
from irefuda.ledger import audit as ledger_audit
from irefuda.ledger import keys, sequencer
from irefuda.ledger.models import Entry
from irefuda.notices.models import Bounce, Notice, State
from irefuda.registration import audit, auth, decisions, overview, queries
from irefuda.registration.models import CardStatus, Event, RegisteredCard, Registration
from irefuda.staff.auth import StaffPage
from irefuda.staff.models import Role, StaffAct
from irefuda.suppliers import search
from irefuda.suppliers.models import Supplier
from irefuda.ui import clock
from irefuda_core.refusal import Refused

OTHER_NAME = "株式会社合浦商事"
SECTION = "/registrations/9992/goods/"
REVIEW = "/review/9992/goods/"


@pytest.fixture(scope="module")
def supplier_authority() -> Authority:
    return make_authority()


@pytest.fixture
def city(office: Office, supplier_authority: Authority, settings: Any, tmp_path: Any) -> City:
    ledger_files.make(settings, tmp_path / "keys")
    made = make_city(supplier_authority)
    made.section.agency.policy = {"name_mismatch": "provisional", "renewal_other_holder": "review"}
    made.section.agency.save()
    return made


@pytest.fixture
def contracts(office: Office, city: City, browser: Any) -> Any:
    """A browser of 契約課."""
    return browser(office.let_in(Role.CONTRACTS, name="契約 花子")[0])


@contextmanager
def override_urls(urls: str) -> Iterator[None]:
    before = get_urlconf()
    set_urlconf(urls)
    try:
        yield
    finally:
        set_urlconf(before)


def revoke(city: City, *cards: Any, number: int = 2) -> None:
    serials = {card.certificate.serial_number: clock.now() - timedelta(days=2, hours=2) for card in cards}
    trust_authority(city.authority, crl=city.authority.crl(revoked=serials, number=number))


def form_of(page: Any, field: str) -> Any:
    return next(form for form in page.forms.values() if field in form.fields)


def rows(page: Any) -> list[tuple[str, str, str]]:
    cells = r'<tr><th scope="row">(.*?)</th><td data-label="前">(.*?)</td><td data-label="後">(.*?)</td></tr>'
    return re.findall(cells, page.text)


def act(app: Any, address: str, reason: str = "届出のため", **values: Any) -> tuple[list[tuple[str, str, str]], Any]:
    """Return what the page says will change, and the page that the browser ends at after 「確定する」."""
    form = form_of(app.get(address), "reason")
    form["reason"] = reason
    for name, value in values.items():
        form[name] = value
    check = form.submit()
    assert "まだ変更していません" in check.text, check.text
    return rows(check), form_of(check, "seen").submit("confirmed").follow()


def may_log_in(city: City, card: Any) -> str:
    try:
        auth.require_registered(section=city.section, fingerprint=card.fingerprint)
    except Refused as refused:
        return refused.refusals[0].code
    return "yes"


def found(app: Any, **asked: str) -> list[str]:
    """Return the names that the search shows."""
    page = app.get(SECTION, asked)
    return re.findall(r'<th scope="row"><a href="[^"]*">(.*?)</a></th>', page.text)


# -- found


def test_a_company_is_found_by_everything_that_it_may_say_on_the_telephone(contracts, city):
    names = ("（株）テスト商会01", "青森橋梁工業（株）", "有限会社つがる舗装")
    suppliers = [city.supplier, *(make_supplier(city.section, supplier_number=f"99000000{n}", name=name) for n, name in enumerate(names[1:], 2))]  # fmt: skip
    search.write(search.Entry(s.id, city.section.id, s.name, "") for s in suppliers)
    cards = [
        registered(
            city, city.authority.card(company=name), now=clock.now(), supplier_number=s.supplier_number, name=name
        )
        for s, name in zip(suppliers, names, strict=True)
    ]
    assert found(contracts) == list(names)
    assert found(contracts, q=cards[1].company_id) == [names[1]]
    assert found(contracts, q="990000003") == [names[2]]
    assert found(contracts, q="99000000") == list(names)
    assert found(contracts, q="橋梁") == [names[1]]
    assert found(contracts, q="９９００００００２") == [names[1]]
    assert found(contracts, q=cards[2].serial) == [names[2]]
    for nothing in ("佐賀", "999920000000001", cards[2].serial[:-1], "'; DROP TABLE", "\x00"):
        assert found(contracts, q=nothing) == [], nothing
    RegisteredCard.objects.filter(id=cards[0].id).update(status=CardStatus.CLOSED, ended_at=clock.now())
    assert found(contracts, state="closed") == [names[0]]
    assert found(contracts, state="active") == list(names[1:])
    assert found(contracts, state="active", q="橋梁") == [names[1]]
    assert found(contracts, state="halted") == []
    assert "選択してください" in contracts.get(SECTION, {"state": "x"}).text


def test_fifty_are_shown_and_the_rest_is_one_click_away(contracts, city, monkeypatch):
    monkeypatch.setattr(overview, "COUNTED", 55)
    many_registrations(city, 59)
    page = contracts.get(SECTION)
    assert page.text.count('<th scope="row"><a') == 50
    assert "1,000件を超えています" in page.text
    following = page.click("次の50件")
    assert following.text.count('<th scope="row"><a') == 10
    assert "次の50件" not in following.text


def many_registrations(city: City, number: int) -> None:
    """Make so many companies with a card each, without taking the way through the pages."""
    suppliers = Supplier.objects.bulk_create(
        Supplier(section=city.section, supplier_number=f"8{n:08d}", name=f"会社{n:05d}") for n in range(number)
    )
    made = Registration.objects.bulk_create(
        Registration(section=city.section, supplier=s, representative=CONTACT, registered_at=clock.now())
        for s in suppliers
    )
    sample = registered(city, city.authority.card(), now=clock.now())
    taken = Entry.objects.get(id=sample.ledger_entry)
    RegisteredCard.objects.bulk_create(
        RegisteredCard(
            id=uuid.uuid4(),
            registration=registration,
            section=city.section,
            issuer_key=sample.issuer_key,
            serial=str(10**6 + n),
            fingerprint=f"{n:064x}",
            certificate=sample.certificate,
            holder_name="取得 者",
            expires_at=sample.expires_at,
            status=CardStatus.PROVISIONAL if n % 10 == 0 else CardStatus.ACTIVE,
            doubts=["name"] if n % 10 == 0 else [],
            office=CONTACT,
            application=sample.application,
            ledger_entry=taken.id,
            receipt="",
            draft=uuid.uuid4(),
            registered_at=clock.now(),
        )
        for n, registration in enumerate(made)
    )


# -- seen


@pytest.fixture
def company(city: City) -> dict[str, Any]:
    """A company with a renewed card, a change, a card that waits, a bounced mail and an unverified address."""
    now = clock.now()
    # A mail of 変更 names a page of the contractors' site.
    with override_urls("irefuda.config.urls_supplier"):
        return _company(city, now)


def _company(city: City, now: Any) -> dict[str, Any]:
    first, second = city.authority.card(), newer(city)
    registered(city, first, now=now - timedelta(hours=3))
    changed(city, first, now=now - timedelta(hours=2), rep_phone="017-111-2222", rep_email="atarashii@example.jp")
    after = renewed(city, first, second, now=now - timedelta(hours=1))
    doubtful = registered(
        city, city.authority.card(company=OTHER_NAME, holder="合浦 次郎"), now=now - timedelta(minutes=50)
    )
    notice = Notice.objects.filter(kind="registration.renewed", inbox=after.fingerprint).first()
    assert notice is not None
    Notice.objects.filter(id=notice.id).update(state=State.FAILED)
    Bounce.objects.create(
        notice=notice, origin="smtp", action="failed", status="5.1.1", diagnostic=f"<{notice.to}> unknown",
        recorded_at=now, source="1",
    )  # fmt: skip
    return {"card": after, "old": after.succeeds, "doubtful": doubtful, "registration": after.registration}


def test_the_page_of_a_company_tells_everything_to_those_who_decide(contracts, city, company):
    page = contracts.get(f"{SECTION}{company['registration'].id}/")
    for told in (
        *(company["card"].company_id, "（株）テスト商会01", "990000001", "017-111-2222", "atarashii@example.jp"),
        *(
            company["card"].serial,
            company["old"].serial,
            company["doubtful"].serial,
            "試験認証局",
            "更新済み",
            "仮登録",
        ),
        *(
            "テスト 1太郎",
            "係 太郎",
            "合浦 次郎",
            overview.DOUBTS["name"],
            "届きませんでした（5.1.1）",
            "代表窓口情報の連絡先電話番号",
        ),
        *("確認コードの入力を待っている新しいメールアドレスが1件", "利用者変更", "ICカード更新", "daihyo@example.jp"),
    ):
        assert told in page.text, told
    for button in ("利用停止にする", "使用停止にする", "確認する", "署名された申請書", "署名された変更届"):
        assert button in page.text, button
    assert contracts.get(f"{SECTION}{10**12}/").status_code == contracts.get(f"{SECTION}{10**30}/").status_code == 404


PERSONAL = (
    *(value for name, value in CONTACT.items() if name != "department"),
    *("017-111-2222", "atarashii@example.jp", "daihyo@example.jp", "係 太郎", "テスト 1太郎", "合浦 次郎", "123-4567"),
    *("○○○市××町△丁目1-1-1", "03-0920-9991", "代表取締役社長", "hanako", "本人から聞きました"),
)


def test_the_help_desk_is_told_what_it_needs_and_of_no_person(office, city, company, browser):
    decisions.close(deed=deed(office, reason="本人から聞きました"), section=city.section, card_id=company["card"].id)
    app = browser(office.let_in(Role.HELPDESK, name="相談 五郎")[0])
    placeholders = {
        "<agency:agency>": "9992",
        "<category:category>": "goods",
        "<int:number>": str(company["registration"].id),
        "<uuid:card_id>": str(company["doubtful"].id),
        "<uuid:event_id>": str(Event.objects.filter(kind="changed").get().id),
    }
    seen = {}
    for page in urls_staff.TABLE:
        if not isinstance(page, StaffPage) or not page.path.startswith(("registrations/", "review/", "reports/")):
            continue
        address = page.path
        for placeholder, value in placeholders.items():
            address = address.replace(placeholder, value)
        answer = app.get(f"/{address}")
        if Role.HELPDESK not in page.roles:
            assert answer.status_code == 404, page.name
            continue
        assert answer.status_code == 200, page.name
        seen[page.name] = answer.text
        for personal in PERSONAL:
            assert personal not in answer.text, (page.name, personal)
    assert len(seen) == 11
    for told in (
        *(company["card"].company_id, "（株）テスト商会01", company["card"].serial, "試験認証局", "使用停止"),
        *(
            overview.DOUBTS["name"],
            "届きませんでした（5.1.1）",
            "ICカード更新",
            "有効期限",
            "新しいメールアドレスが1件",
        ),
    ):
        assert told in seen["staff-registration"], told
    assert "確認する" not in seen["staff-registration"]
    assert "合浦" not in seen["staff-review-queue"]
    assert overview.DOUBTS["name"] in seen["staff-review-queue"]


def deed(office: Office, *, reason: str = "届出のため", **values: Any) -> Any:
    card, _ = office.let_in(Role.CONTRACTS, name=values.pop("name", "契約 花子"))
    return office.deed(office.actor(card), reason=reason, **values)


def test_an_auditor_reads_and_decides_nothing(office, city, company, browser):
    app = browser(office.let_in(Role.AUDITOR)[0])
    page = app.get(f"{SECTION}{company['registration'].id}/")
    assert "017-111-2222" in page.text
    assert "使用停止にする" not in page.text
    assert "利用停止にする" not in page.text
    review = app.get(f"{REVIEW}{company['doubtful'].id}/")
    assert "受理する" not in review.text
    assert app.get(f"{REVIEW}{company['doubtful'].id}/approve/").status_code == 404


def test_a_signed_document_is_checked_anew(office, contracts, city, company, browser):
    sequencer.sequence_batch(key=keys.head_key(), now=clock.now())
    card = company["card"]
    page = contracts.get(f"{SECTION}cards/{card.id}/document/")
    assert page.text.count("確かめられました") == 4
    assert "引継届" in page.text
    event = Event.objects.get(kind="changed")
    page = contracts.get(f"{SECTION}changes/{event.id}/")
    assert page.text.count("確かめられました") == 4
    assert "017-111-2222" in page.text
    assert "台帳の記録を見る" not in page.text
    auditor = browser(office.let_in(Role.AUDITOR)[0])
    assert "台帳の記録" in auditor.get(f"{SECTION}changes/{event.id}/").click("台帳の記録を見る").text
    # Another card's document in its place: signed well, but not by this card, and not what the ledger holds.
    other = company["doubtful"]
    RegisteredCard.objects.filter(id=card.id).update(application=other.application)
    page = contracts.get(f"{SECTION}cards/{card.id}/document/")
    assert page.text.count("合いません") == 2
    RegisteredCard.objects.filter(id=card.id).update(application=other.application[:-8] + "AAAAAAAA")
    assert "合いません" in contracts.get(f"{SECTION}cards/{card.id}/document/").text
    assert contracts.get(f"{SECTION}changes/{Event.objects.exclude(kind='changed').first().id}/").status_code == 404


# -- 使用停止, 利用停止


def test_a_card_is_stopped_and_opened_again(contracts, city):
    card = registered(city, city.authority.card(), now=clock.now())
    Notice.objects.all().delete()
    before, page = act(contracts, f"{SECTION}cards/{card.id}/close/", "紛失の届出があったため")
    assert before == [
        (f"ICカード（証明書シリアル番号 {card.serial}）の状態", "有効", "使用停止"),
        ("知らせる相手", "―", "このICカードの利用部署、代表窓口"),
    ]
    for told in ("変更を台帳に記録し", "紛失の届出があったため", "使用停止を解除する", "契約 花子"):
        assert told in page.text, told
    assert may_log_in(city, card) == "R-122"
    assert {n.kind for n in Notice.objects.all()} == {"registration.card_closed"}
    assert Notice.objects.count() == 2
    kinds = set(Entry.objects.values_list("kind", flat=True))
    assert {"registration.closed", "staff.registered_card_closed"} <= kinds
    assert contracts.get(f"{SECTION}cards/{card.id}/close/").status_code == 404
    _, page = act(contracts, f"{SECTION}cards/{card.id}/reopen/", "見つかったため")
    assert may_log_in(city, card) == "yes"
    assert "見つかったため" in page.text


def test_a_page_sent_twice_acts_once_and_a_page_without_reason_not_at_all(contracts, city):
    card = registered(city, city.authority.card(), now=clock.now())
    form = form_of(contracts.get(f"{SECTION}cards/{card.id}/close/"), "reason")
    assert "理由を入力してください" in form.submit().text
    form["reason"] = "紛失"
    last_word = form_of(form.submit(), "seen")
    assert last_word.submit("confirmed").status_code == last_word.submit("confirmed").status_code == 302
    assert (
        Event.objects.filter(kind="closed").count() == StaffAct.objects.filter(subject__startswith="reg").count() == 1
    )
    # Somebody else has opened it again: the old page closes nothing any more.
    act(contracts, f"{SECTION}cards/{card.id}/reopen/", "見つかった")
    assert last_word.submit("confirmed").status_code == 302
    assert may_log_in(city, card) == "yes"


def test_a_whole_company_is_stopped_whatever_its_cards_are(contracts, city, office):
    first, second, lost = (city.authority.card() for _ in range(3))
    cards = [registered(city, one, now=clock.now()) for one in (first, second, lost)]
    act(contracts, f"{SECTION}cards/{cards[2].id}/close/", "紛失")
    number = cards[0].registration_id
    Notice.objects.all().delete()
    before, page = act(contracts, f"{SECTION}{number}/halt/", "不正使用の疑い")
    assert before == [
        ("利用者登録の状態", "利用できます", "利用停止"),
        ("有効なICカード", "2枚：使えます", "2枚：使えません"),
        ("知らせる相手", "―", "代表窓口、有効なICカード2枚の利用部署"),
    ]
    assert "利用停止になっています" in page.text
    assert [may_log_in(city, card) for card in cards] == ["R-157", "R-157", "R-122"]
    assert sorted(Notice.objects.values_list("kind", "inbox")) == sorted(
        ("registration.halted", inbox) for inbox in (cards[0].company_id, cards[0].fingerprint, cards[1].fingerprint)
    )
    # No other card joins it, none is renewed, and nothing is changed.
    for refused in (
        lambda: prepare(city, city.authority.card(), now=clock.now()),
        lambda: prepare_renewal(city, first, newer(city), now=clock.now()),
        lambda: changed(city, first, now=clock.now(), rep_phone="017-111-2222"),
    ):
        with pytest.raises(Refused, match="R-157"):
            refused()
    assert found(contracts, state="halted") == ["（株）テスト商会01"]
    assert contracts.get(f"{SECTION}{number}/halt/").status_code == 404
    # A lost card that was found waits for the end of it.
    form = form_of(contracts.get(f"{SECTION}cards/{cards[2].id}/reopen/"), "reason")
    form["reason"] = "見つかった"
    assert "S-952" in form_of(form.submit(), "seen").submit("confirmed").text
    _, page = act(contracts, f"{SECTION}{number}/resume/", "疑いが晴れた")
    assert [may_log_in(city, card) for card in cards] == ["yes", "yes", "R-122"]
    assert "利用停止の解除" in page.text
    assert list(audit.findings(clock.now())) == []


def test_the_company_reads_of_its_halt_and_may_not_come_in(contracts, city, settings, office, browser):
    card = city.authority.card()
    mine = registered(city, card, now=clock.now())
    act(contracts, f"{SECTION}{mine.registration_id}/halt/", "不正使用の疑い")
    settings.SITE, settings.ORIGIN = "supplier", "http://localhost:8000"
    settings.ROOT_URLCONF, settings.ALLOWED_HOSTS = "irefuda.config.urls_supplier", ["localhost"]
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if not name.startswith("irefuda.staff.")]
    client = Client(headers={"host": "localhost:8000"})

    def log_in(address: str) -> Any:
        nonce = client.post("/card/nonce/").json()["nonce"]
        return client.post(address, {"token": make_token(card, nonce), "person_in_charge": "係 太郎"})

    refused = log_in("/9992/goods/login/")
    assert refused.status_code == 403
    assert "R-157" in refused.content.decode()
    log_in("/mypage/login/")
    account = client.get("/mypage/").content.decode()
    assert "利用停止" in account
    assert "契約 花子" not in account
    notice = Notice.objects.filter(kind="registration.halted", inbox=mine.fingerprint).get()
    assert "利用停止" in client.get(f"/inbox/{notice.id}/").content.decode()
    on_staff_site(settings)


def test_a_halt_that_no_act_explains_is_found(city):
    card = registered(city, city.authority.card(), now=clock.now())
    assert list(audit.findings(clock.now())) == []
    Registration.objects.filter(id=card.registration_id).update(halted_at=clock.now())
    (finding,) = audit.findings(clock.now())
    assert "halted_at" in str(finding)
    assert ledger_audit.Finding is type(finding)


# -- 確認待ち


@pytest.fixture
def taken_over(city: City) -> RegisteredCard:
    """An ICカード更新 with a revoked old card and another holder."""
    old = city.authority.card()
    registered(city, old, now=clock.now() - timedelta(days=3))
    revoke(city, old)
    return renewed(city, old, newer(city, holder="別の 人"), now=clock.now() - timedelta(days=2, hours=1))


def test_the_queue_tells_what_waits_for_how_long_and_why(contracts, city, taken_over):
    late = registered(city, city.authority.card(company=OTHER_NAME), now=clock.now() - timedelta(hours=5))
    start = contracts.get("/")
    assert "確認待ち2件" in start.text
    page = start.click("確認待ち")
    assert re.findall(r"<td data-label=\"受付から\" class=\"nowrap\">(.*?)<", page.text) == ["2日", "5時間"]
    assert re.findall(r"<td data-label=\"申請\" class=\"nowrap\">(.*?)<", page.text) == ["ICカード更新", "登録"]
    for doubt in ("name", "holder", "revoked"):
        assert overview.DOUBTS[doubt] in page.text
    review = contracts.get(f"{REVIEW}{late.id}/")
    beside = re.findall(r'<tr><th scope="row">(.*?)</th><td data-label="名簿">(.*?)</td><td data-label="証明書">(.*?)</td><td data-label="違い">(.*?)</td>', review.text)  # fmt: skip
    assert beside[0][:3] == ("企業名称", "（株）テスト商会01", OTHER_NAME)
    assert "違います" in beside[0][3]
    assert beside[2] == ("代表者（委任先があるときは受任者）と取得者", "テスト 1太郎", "テスト 1太郎", "同じ")
    assert "名簿の電話番号 <strong>03-0920-9991</strong>" in review.text


def test_a_doubtful_renewal_is_taken_only_after_everything_was_made_sure_of(contracts, city, taken_over):
    page = contracts.get(f"{REVIEW}{taken_over.id}/")
    assert re.search(r'<th scope="row">ICカード取得者氏名</th><td data-label="更新前">テスト 1太郎</td><td data-label="新しいICカード">別の 人</td><td data-label="違い"><strong', page.text)  # fmt: skip
    form = form_of(page.click("受理する"), "check_telephone")
    form["reason"] = "電話で代表者に確かめた"
    form["check_telephone"] = form["check_revocation"] = form["check_applied"] = True
    assert "S-954" not in form.submit().text
    assert "確かめたことの印が足りません" in form.submit().text
    form["check_holder"] = True
    check = form.submit()
    assert [(after, before) for _, before, after in rows(check)][:2] == [("有効", "仮登録"), ("更新済み", "有効")]
    assert [row[2] for row in rows(check)].count("確かめた") == 4
    done = form_of(check, "seen").submit("confirmed").follow()
    assert "決めた内容を台帳に記録し" in done.text
    assert queries.status_of(taken_over) == CardStatus.ACTIVE
    kept = StaffAct.objects.get(kind="staff.registration_approved")
    assert [decisions.CHECKS["revoked"]["telephone"], "", "確かめた"] in kept.changes
    assert "名簿の電話番号に" in bytes(Entry.objects.get(id=kept.ledger_entry).document).decode()
    history = contracts.get(f"{SECTION}{taken_over.registration_id}/")
    assert "名簿の電話番号に" in history.text
    assert "確認待ちのICカードはありません" in contracts.get("/review/").text


def test_a_check_that_was_left_out_of_the_last_page_is_asked_for_by_the_deed_too(office, city, taken_over):
    with pytest.raises(Refused, match="S-954"):
        decisions.approve(
            deed=deed(office), section=city.section, card_id=taken_over.id, checked=["telephone"], rules_now=clock.now()
        )
    assert queries.status_of(taken_over) == CardStatus.PROVISIONAL


def test_an_application_is_rejected_in_the_words_that_the_applicant_reads(contracts, city):
    card = registered(city, city.authority.card(company=OTHER_NAME), now=clock.now())
    Notice.objects.all().delete()
    page = contracts.get(f"{REVIEW}{card.id}/").click("不受理とする")
    form = form_of(page, "reason")
    assert "申請者に伝える理由を入力してください" in form.submit().text
    before, done = act(contracts, f"{REVIEW}{card.id}/reject/", "変更届を先に出してください。")
    assert before[1] == ("知らせる相手", "―", "申請したICカードの利用部署")
    assert queries.status_of(card) == CardStatus.REJECTED
    (notice,) = Notice.objects.all()
    assert "変更届を先に出してください。" in notice.body
    assert "不受理" in done.text


def test_whoever_comes_second_is_told_who_was_first(office, contracts, city, browser):
    card = registered(city, city.authority.card(company=OTHER_NAME), now=clock.now())
    colleague = browser(office.let_in(Role.CONTRACTS, name="契約 太郎")[0])
    form = form_of(colleague.get(f"{REVIEW}{card.id}/approve/"), "check_name")
    form["check_name"], form["reason"] = True, "変更届で確かめた"
    last_word = form_of(form.submit(), "seen")
    act(contracts, f"{REVIEW}{card.id}/reject/", "変更届を先に出してください。")
    late = last_word.submit("confirmed")
    for told in ("S-951", "契約 花子さんが「不受理」としました"):
        assert told in late.text, told
        assert told in colleague.get(f"{REVIEW}{card.id}/approve/").text, told
        assert told in colleague.get(f"{REVIEW}{card.id}/").text, told
    assert queries.status_of(card) == CardStatus.REJECTED
    assert Event.objects.count() == 1


def test_a_halted_company_gets_no_further_card_by_approval(contracts, city):
    mine = registered(city, city.authority.card(), now=clock.now())
    waiting = registered(city, city.authority.card(company=OTHER_NAME), now=clock.now())
    act(contracts, f"{SECTION}{mine.registration_id}/halt/", "不正使用の疑い")
    assert "解除するまで受理できません" in contracts.get(f"{REVIEW}{waiting.id}/").text
    form = form_of(contracts.get(f"{REVIEW}{waiting.id}/approve/"), "check_name")
    form["check_name"], form["reason"] = True, "確かめた"
    assert "S-952" in form_of(form.submit(), "seen").submit("confirmed").text
    assert queries.status_of(waiting) == CardStatus.PROVISIONAL


def test_a_certificate_that_is_revoked_meanwhile_is_seen_and_not_taken(contracts, city):
    issued = city.authority.card(company=OTHER_NAME)
    card = registered(city, issued, now=clock.now())
    revoke(city, issued)
    assert "いまは信頼できません" in contracts.get(f"{REVIEW}{card.id}/").text
    form = form_of(contracts.get(f"{REVIEW}{card.id}/approve/"), "check_name")
    form["check_name"], form["reason"] = True, "確かめた"
    assert "K-409" in form_of(form.submit(), "seen").submit("confirmed").text


# -- another agency's


def test_another_agencys_staff_sees_and_does_nothing_of_it(office, city, company, browser):
    other = make_section(code="9993", name="別の機関").agency
    card, _ = office.let_in(Role.CONTRACTS, agency=other, name="別の人")
    app = browser(card)
    assert "入札市" not in app.get("/registrations/").text.split("<h1>")[1].split("<footer")[0]
    assert "確認待ちのICカードはありません" in app.get("/review/").text
    assert "確認待ち1件" not in app.get("/").text
    for address in (
        *(SECTION, f"{SECTION}{company['registration'].id}/", f"{SECTION}{company['registration'].id}/halt/"),
        *(f"{SECTION}cards/{company['card'].id}/{page}/" for page in ("close", "document")),
        *(f"{REVIEW}{company['doubtful'].id}/", f"{REVIEW}{company['doubtful'].id}/approve/"),
        # Under the own address, another's card.
        *(f"/registrations/9993/goods/{company['registration'].id}/", f"/review/9993/goods/{company['doubtful'].id}/"),
        f"/registrations/9993/goods/cards/{company['card'].id}/close/",
    ):
        assert app.get(address).status_code == 404, address
    theirs = office.deed(office.actor(card))
    with pytest.raises(Refused, match="S-908"):
        decisions.halt(deed=theirs, section=city.section, number=company["registration"].id)
    assert Registration.objects.get().halted_at is None


def test_mail_that_another_agency_sent_to_the_same_card_is_its_own_business(office, city, contracts):
    card = city.authority.card()
    mine = registered(city, card, now=clock.now())
    section = make_section(code="9993", name="別の機関", system_email="betsu@example.jp")
    theirs = registered(City(section, city.authority, make_supplier(section)), card, now=clock.now())
    Notice.objects.filter(sender="betsu@example.jp").update(subject="別の機関の知らせ")
    assert "別の機関の知らせ" not in contracts.get(f"{SECTION}{mine.registration_id}/").text
    assert "別の機関の知らせ" in contracts.get(f"/registrations/9993/goods/{theirs.registration_id}/").text


# -- how often the pages ask


def test_the_pages_ask_as_often_of_a_thousand_companies_as_of_ten(office, contracts, city):
    asked = []
    for number in (10, 1000):
        RegisteredCard.objects.all().delete()
        Registration.objects.all().delete()
        city.section.suppliers.exclude(id=city.supplier.id).delete()
        many_registrations(city, number)
        mine = RegisteredCard.objects.get(registration__supplier=city.supplier)
        waiting = RegisteredCard.objects.filter(status=CardStatus.PROVISIONAL).first()
        assert waiting is not None
        # The sections are read once by a process, and kept.
        contracts.get(SECTION)
        counts = {}
        for address in (
            *("/", SECTION, f"{SECTION}?q=%E4%BC%9A%E7%A4%BE", f"{SECTION}?q=99000&state=active"),
            *(f"{SECTION}{mine.registration_id}/", f"{SECTION}cards/{mine.id}/document/"),
            *("/review/", f"{REVIEW}{waiting.id}/", "/reports/", "/reports/expiring/", "/reports/bounces/", "/reports/refused/"),
        ):  # fmt: skip
            with CaptureQueriesContext(connection) as captured:
                assert contracts.get(address).status_code == 200, address
            kind = re.sub(r"[0-9a-f-]{36}|/[0-9]+/$", "…", address)
            counts[kind] = len([q for q in captured if not q["sql"].startswith(("SAVEPOINT", "RELEASE"))])
        asked.append(counts)
    assert asked[0] == asked[1]
    assert max(asked[1].values()) <= 15, asked[1]
