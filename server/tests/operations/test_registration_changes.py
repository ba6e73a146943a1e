"""「変更」 as a transaction: what it changes, what it refuses, whom it tells, and the codes of new mail addresses."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from builders import (
    CHANGE,
    CODES,
    CONTACT,
    changed,
    make_presenter,
    prepare,
    prepare_change,
    press_change,
    press_register,
    registered,
    sign_document,
    state_of,
)
from django.core.management import call_command
from pki_builder import NOON

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice, State
from irefuda.registration import changes, queries
from irefuda.registration.models import (
    CardStatus,
    Draft,
    DraftKind,
    Event,
    RegisteredCard,
    Registration,
    UnverifiedAddress,
)
from irefuda.suppliers.models import Supplier
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.django_db
MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)
NEW = "new@example.jp"


@pytest.fixture
def card(city, authority):
    issued = authority.card()
    registered(city, issued, now=NOON)
    Notice.objects.all().delete()
    return issued


def rows():
    return [model.objects.count() for model in (Event, UnverifiedAddress, Draft, Entry, Pending, Notice)]


def refused(call, *arguments, **named):
    """Return the codes of the refusal, after seeing that it changed nothing."""
    before = rows(), list(Registration.objects.values()), list(RegisteredCard.objects.values("office", "changes"))
    with pytest.raises(Refused) as failure:
        call(*arguments, **named)
    assert (
        rows(),
        list(Registration.objects.values()),
        list(RegisteredCard.objects.values("office", "changes")),
    ) == before
    return [reason.code for reason in failure.value.refusals]


def told():
    return sorted((notice.kind.removeprefix("registration."), notice.to) for notice in Notice.objects.all())


def state(city, card, now=NOON):
    return state_of(city, card, now=now)


def verify(city, card, code, address=NEW, now=NOON):
    return changes.verify_address(
        card=state(city, card).card, presenter=make_presenter(card), address=address, code=code, now=now
    )


# -- one 変更


def test_a_change_is_one_of_everything(city, card):
    event = changed(city, card, now=NOON, representative_phone="017-777-1111", rep_person="次郎", card_office_fax="")
    assert rows() == [1, 0, 0, 2, 2, 2]
    row = RegisteredCard.objects.get()
    assert row.office == {**CONTACT, "fax": ""}
    assert row.registration.representative == {**CONTACT, "email": "daihyo@example.jp", "person": "次郎"}
    assert queries.company_of(row.registration)["representative_phone"] == "017-777-1111"
    assert (row.registration.changes, row.changes) == (1, 1)
    assert event.changes == [
        ["代表電話番号", "03-0920-9991", "017-777-1111"],
        ["代表窓口情報の連絡先氏名", "青森 花子", "次郎"],
        ["ICカード利用部署情報の連絡先FAX番号", "017-000-0001", ""],
    ]
    document = queries.signed_document(event.document).values
    assert document["changes"] == (
        "代表電話番号：03-0920-9991 → 017-777-1111／代表窓口情報の連絡先氏名：青森 花子 → 次郎／"
        "ICカード利用部署情報の連絡先FAX番号：017-000-0001 → （なし）"
    )
    assert (document["based_on"], document["company_id"]) == ("0-0", row.company_id)
    assert bytes(Entry.objects.get(id=event.ledger_entry).document).decode() == event.document


def test_only_what_changes_counts_as_changed(city, card):
    changed(city, card, now=NOON, card_office_person="次郎")
    assert state(city, card).based_on == "0-1"
    changed(city, card, now=NOON, branch_name="本店")
    assert state(city, card).based_on == "1-1"
    assert Registration.objects.get().company_changes == {"branch_name": {"value": "本店", "register": "支店"}}


def test_the_register_is_never_written_and_its_newer_word_counts(city, card):
    before = Supplier.objects.values().get()
    changed(city, card, now=NOON, representative_phone="017-777-1111", branch_name="本店")
    assert Supplier.objects.values().get() == before
    company = state(city, card).company
    assert (company["representative_phone"], company["branch_name"]) == ("017-777-1111", "本店")
    # An import that says what it said before leaves it; one that says something else is newer than 変更.
    Supplier.objects.update(name_kana="テスト", branch_name="新支店")
    company = state(city, card).company
    assert (company["representative_phone"], company["branch_name"]) == ("017-777-1111", "新支店")
    changed(city, card, now=NOON, branch_name="本店")
    assert state(city, card).company["branch_name"] == "本店"


def test_of_a_delegate_the_delegates_items_are_changed(city, card):
    Supplier.objects.update(delegate={"name": "青森支店", "phone": "017-1", "fax": "017-2"})
    changed(city, card, now=NOON, branch_name="八戸支店")
    assert Registration.objects.get().company_changes == {"branch_name": {"value": "八戸支店", "register": "青森支店"}}


def test_a_further_card_shows_and_signs_what_was_changed(city, card, authority):
    changed(city, card, now=NOON, representative_phone="017-777-1111", rep_person="次郎")
    second = authority.card()
    draft = prepare(city, second, now=NOON)
    assert '"representative_phone":"017-777-1111"' in draft.document
    assert '"rep_person":"次郎"' in draft.document
    # It is changed once more before the second card signs what it was shown.
    changed(city, card, now=NOON, representative_phone="017-777-2222")
    assert refused(press_register, city, second, draft, now=NOON) == ["R-116"]
    assert registered(city, second, now=NOON).status == CardStatus.ACTIVE


def test_a_card_of_another_name_is_not_shown_what_was_changed(city, card, authority):
    changed(city, card, now=NOON, representative_phone="017-777-1111")
    city.section.agency.policy = {"name_mismatch": "provisional"}
    city.section.agency.save()
    stranger = authority.card(company="株式会社合浦商事")
    draft = prepare(city, stranger, now=NOON)
    assert "017-777-1111" not in draft.document
    assert press_register(city, stranger, draft, now=NOON).status == CardStatus.PROVISIONAL


# -- what is refused


def test_nothing_changed_is_refused_and_what_was_typed_is_kept(city, card):
    with pytest.raises(Refused, match="R-142"):
        prepare_change(city, card, now=NOON)
    assert Draft.objects.get().document == ""


def test_a_form_of_another_state_overwrites_nothing(city, card):
    stale = state(city, card)
    changed(city, card, now=NOON, rep_person="次郎")
    with pytest.raises(Refused, match="R-141"):
        changes.prepare_change(
            state=state(city, card),
            presenter=make_presenter(card),
            answers=stale.answers,
            typed={},
            based_on=stale.based_on,
            rules_now=NOON,
            now=NOON,
        )
    assert Draft.objects.get().based_on == "0-0"


def test_the_second_of_two_cards_is_told(city, card, authority):
    second = authority.card()
    registered(city, second, now=NOON)
    draft = prepare_change(city, card, now=NOON, rep_person="次郎")
    changed(city, second, now=NOON, rep_person="三郎")
    assert refused(press_change, city, card, draft, now=NOON) == ["R-141"]
    assert Registration.objects.get().representative["person"] == "三郎"
    assert Draft.objects.get().document


def test_the_register_that_changes_between_check_and_press(city, card):
    draft = prepare_change(city, card, now=NOON, rep_person="次郎")
    Supplier.objects.update(representative_name="別の 代表")
    assert refused(press_change, city, card, draft, now=NOON) == ["R-116"]
    Supplier.objects.update(representative_name="テスト 1太郎", phone="03-1111-1111")
    draft = prepare_change(city, card, now=NOON, representative_phone="017-777-1111")
    Supplier.objects.update(phone="03-2222-2222")
    assert refused(press_change, city, card, draft, now=NOON) == ["R-141"]


def test_another_person_in_charge_signs_nothing_in_somebodys_name(city, card):
    draft = prepare_change(city, card, now=NOON, rep_person="次郎")
    other = make_presenter(card, person="経理 次郎")
    values = {"section": city.section, "presenter": other, "draft_id": draft.id, "salt": bytes(16), "codes": CODES}
    signed = sign_document(card, draft.document, CHANGE)
    assert refused(changes.change_registration, jws=signed, now=NOON, **values) == ["R-143"]
    changes.renew_document(draft=draft, presenter=other, rules_now=NOON, now=NOON)
    event = changes.change_registration(jws=sign_document(card, draft.document, CHANGE), now=NOON, **values)
    assert event.person_in_charge == "経理 次郎"


def test_the_signature_must_be_of_this_card_over_what_was_shown(city, card, authority):
    draft = prepare_change(city, card, now=NOON, rep_person="次郎")
    stranger = sign_document(authority.card(), draft.document, CHANGE)
    other = sign_document(card, draft.document.replace("次郎", "三郎"), CHANGE)
    application = sign_document(card, draft.document, CHANGE.replace("change", "application"))
    for jws, code in ((stranger, "K-425"), (other, "R-117"), (application, "R-117")):
        assert refused(press_change, city, card, draft, now=NOON, jws=jws) == [code]


@pytest.mark.parametrize(("status", "code"), [("replaced", "R-121"), ("closed", "R-122"), ("provisional", "R-118")])
def test_a_card_that_is_not_in_use_any_more_changes_nothing(city, card, status, code):
    draft = prepare_change(city, card, now=NOON, rep_person="次郎")
    RegisteredCard.objects.update(status=status)
    assert refused(press_change, city, card, draft, now=NOON) == [code]


def test_a_draft_changes_once_and_answers_with_what_it_became(city, card):
    draft = prepare_change(city, card, now=NOON, rep_person="次郎")
    first = press_change(city, card, draft, now=NOON)
    assert press_change(city, card, draft, now=NOON + 40 * DAY, jws="nothing at all") == first
    assert Event.objects.count() == 1


def test_a_draft_that_was_never_there_or_is_too_old(city, card):
    draft = prepare_change(city, card, now=NOON, rep_person="次郎")
    assert refused(press_change, city, card, draft, now=NOON + 31 * DAY) == ["R-144"]


def test_what_no_document_can_hold_is_refused_and_kept(city, card):
    Supplier.objects.update(address="青森市\n新町")
    with pytest.raises(Refused, match="R-125"):
        prepare_change(city, card, now=NOON, rep_person="次郎")
    assert Draft.objects.get().document == ""


def test_a_change_keeps_the_draft_of_a_registration(city, card):
    """The two kinds of drafts of one card do not meet."""
    Draft.objects.create(
        id="00000000-0000-4000-8000-000000000001", fingerprint=state(city, card).card.fingerprint,
        section=city.section, supplier=city.supplier, updated_at=NOON,
    )  # fmt: skip
    changed(city, card, now=NOON, rep_person="次郎")
    assert Draft.objects.get().kind == DraftKind.REGISTRATION


def test_what_somebody_else_wrote_into_the_hidden_field_is_kept_short(city, card):
    found = state(city, card).card
    changes.keep_typed(card=found, typed={"rep-person": "x", "evil": "y"}, based_on="\0" * 3 + "9" * 100, now=NOON)
    draft = Draft.objects.get()
    assert (draft.based_on, draft.typed) == ("9" * 21, {"rep-person": "x"})


# -- new mail addresses


def test_a_new_address_counts_when_its_code_was_typed(city, card):
    changed(city, card, now=NOON, card_office_email=NEW, card_office_person="次郎")
    row = RegisteredCard.objects.get()
    assert row.office == {**CONTACT, "person": "次郎"}
    waiting = UnverifiedAddress.objects.get()
    assert (waiting.card, waiting.address, waiting.expires_at) == (row, NEW, NOON + DAY)
    assert CODES[1] not in waiting.code_sha256
    assert state(city, card).answers.office["email"] == NEW
    event = verify(city, card, CODES[1])
    assert RegisteredCard.objects.get().office == {**CONTACT, "person": "次郎", "email": NEW}
    assert not UnverifiedAddress.objects.exists()
    assert (event.kind, event.changes, event.person_in_charge) == (
        "address_verified",
        [["ICカード利用部署情報の連絡先メールアドレス", "hanako@example.jp", NEW]],
        "係 太郎",
    )
    # Once more, as a double click does: there is nothing to do any more.
    assert verify(city, card, CODES[1]) is None
    assert state(city, card).based_on == "0-2"


@pytest.mark.parametrize("block", ["rep", "card_office"])
def test_a_card_that_is_closed_while_its_code_is_judged_changes_no_address(city, card, block):
    changed(city, card, now=NOON, **{f"{block}_email": NEW})
    as_it_was = state(city, card).card
    RegisteredCard.objects.update(status=CardStatus.CLOSED)
    verifying = {"presenter": make_presenter(card), "address": NEW, "code": CODES[block != "rep"], "now": NOON}
    assert refused(changes.verify_address, card=as_it_was, **verifying) == ["R-122"]


def test_a_company_that_is_halted_while_its_change_is_written_stays_as_it_was(city, card):
    """The row counts decide: no lock is held between reading the state and writing it."""
    as_it_was = state(city, card)
    wanted = as_it_was.answers
    wanted.representative["person"] = "次郎"
    Registration.objects.update(halted_at=NOON)
    assert refused(changes.write, as_it_was, wanted) == ["R-141"]


def test_a_company_that_is_halted_while_its_code_is_judged_keeps_its_address(city, card):
    changed(city, card, now=NOON, rep_email=NEW)
    as_it_was = state(city, card).card
    Registration.objects.update(halted_at=NOON)
    verifying = {"presenter": make_presenter(card), "address": NEW, "code": CODES[0], "now": NOON}
    assert refused(changes.verify_address, card=as_it_was, **verifying) == ["R-157"]


def test_one_address_for_both_has_one_code_and_one_mail(city, card):
    changed(city, card, now=NOON, rep_email=NEW, card_office_email=NEW)
    assert [to for kind, to in told() if kind == "address_code"] == [NEW]
    event = verify(city, card, CODES[0])
    assert len(event.changes) == 2
    assert (Registration.objects.get().representative["email"], RegisteredCard.objects.get().office["email"]) == (
        NEW,
        NEW,
    )
    assert not UnverifiedAddress.objects.exists()


def test_two_addresses_have_codes_of_their_own(city, card):
    changed(city, card, now=NOON, rep_email="rep@example.jp", card_office_email=NEW)
    with pytest.raises(Refused, match="R-145"):
        verify(city, card, CODES[0])
    assert verify(city, card, CODES[1])
    assert verify(city, card, CODES[0], address="rep@example.jp")


def test_another_card_of_the_company_may_verify_the_company_s_address_only(city, card, authority):
    second = authority.card()
    registered(city, second, now=NOON)
    changed(city, card, now=NOON, rep_email="rep@example.jp", card_office_email=NEW)
    assert verify(city, second, CODES[1]) is None
    assert verify(city, second, CODES[0], address="rep@example.jp")
    assert Registration.objects.get().representative["email"] == "rep@example.jp"


def test_five_tries_are_counted_before_they_are_judged(city, card):
    changed(city, card, now=NOON, card_office_email=NEW)
    codes = []
    for left in range(4, -1, -1):
        with pytest.raises(Refused) as failure:
            verify(city, card, "999999")
        assert UnverifiedAddress.objects.get().tries_left == left
        codes.append(failure.value.refusals[0].code)
    assert codes == ["R-145"] * 4 + ["R-146"]
    # The right one comes too late.
    assert refused(verify, city, card, CODES[1]) == ["R-146"]
    assert RegisteredCard.objects.get().office["email"] == "hanako@example.jp"


def test_a_code_is_good_for_a_day_and_the_address_waits_on(city, card):
    changed(city, card, now=NOON, card_office_email=NEW)
    assert refused(verify, city, card, CODES[1], now=NOON + DAY) == ["R-147"]
    changes.send_code_again(card=state(city, card).card, address=NEW, code="333333", now=NOON + 3 * DAY)
    assert verify(city, card, "333333", now=NOON + 4 * DAY - MINUTE)


def test_a_new_code_ends_the_former_and_is_sent_at_most_five_times(city, card):
    changed(city, card, now=NOON, card_office_email=NEW)
    found = state(city, card).card
    again = {"card": found, "address": NEW}
    assert refused(changes.send_code_again, **again, code="333333", now=NOON + MINUTE - timedelta(seconds=1)) == [
        "R-148"
    ]
    for number in range(1, 6):
        changes.send_code_again(**again, code=f"44444{number}", now=NOON + number * MINUTE)
    assert refused(changes.send_code_again, **again, code="333333", now=NOON + DAY) == ["R-149"]
    assert len([1 for kind, _ in told() if kind == "address_code"]) == 6
    for former in (CODES[1], "444444"):
        with pytest.raises(Refused, match="R-145"):
            verify(city, card, former, now=NOON + 6 * MINUTE)
    assert verify(city, card, "444445", now=NOON + 6 * MINUTE)


def test_an_address_that_no_code_can_come_for_any_more_can_be_asked_for_again(city, card):
    changed(city, card, now=NOON, card_office_email=NEW)
    UnverifiedAddress.objects.update(sent=6, tries_left=0)
    assert state(city, card).answers.office["email"] == "hanako@example.jp"
    changed(city, card, now=NOON + MINUTE, card_office_email=NEW)
    assert UnverifiedAddress.objects.get().sent == 1
    assert verify(city, card, CODES[1], now=NOON + MINUTE)


def test_a_further_change_replaces_the_address_that_waits(city, card):
    changed(city, card, now=NOON, card_office_email=NEW)
    event = changed(city, card, now=NOON, card_office_email="newer@example.jp")
    assert event.changes == [["ICカード利用部署情報の連絡先メールアドレス", NEW, "newer@example.jp"]]
    assert verify(city, card, CODES[1]) is None
    # Back to the one that counts: nothing waits any more. And one that changes another item leaves what waits.
    changed(city, card, now=NOON, card_office_email="hanako@example.jp")
    assert not UnverifiedAddress.objects.exists()
    changed(city, card, now=NOON, card_office_email=NEW)
    changed(city, card, now=NOON, card_office_person="次郎")
    assert verify(city, card, CODES[1])
    assert RegisteredCard.objects.get().office["email"] == NEW


def test_of_one_address_of_one_company_another_company_knows_nothing(city, card, authority):
    Supplier.objects.create(section=city.section, supplier_number="990000002", name="別の商会株式会社")
    other = authority.card(company="別の商会株式会社")
    registered(city, other, now=NOON, supplier_number="990000002", name="別の商会株式会社")
    changed(city, card, now=NOON, rep_email=NEW, card_office_email=NEW)
    assert verify(city, other, CODES[0]) is None
    changes.send_code_again(card=state(city, other).card, address=NEW, code="333333", now=NOON + DAY)
    assert [to for kind, to in told() if kind == "address_code"] == [NEW]
    assert set(UnverifiedAddress.objects.values_list("tries_left", flat=True)) == {5}


def test_what_nobody_verified_is_purged(city, card, capsys):
    changed(city, card, now=NOON, card_office_email=NEW)
    assert changes.purge_unverified(now=NOON + DAY + changes.UNVERIFIED_KEPT - MINUTE) == 0
    UnverifiedAddress.objects.update(expires_at=NOON - changes.UNVERIFIED_KEPT)
    call_command("purge_registration")
    assert "確認されなかったメールアドレス 1 件" in capsys.readouterr().out
    assert not UnverifiedAddress.objects.exists()
    assert state(city, card).answers.office["email"] == "hanako@example.jp"


# -- who is told


def test_old_and_new_addresses_are_told_and_nobody_is_told_what(city, card):
    changed(city, card, now=NOON, rep_email="rep@example.jp", card_office_email=NEW, rep_person="秘密 太郎")
    assert told() == [
        ("address_code", NEW),
        ("address_code", "rep@example.jp"),
        ("changed", "daihyo@example.jp"),
        ("changed", "hanako@example.jp"),
        ("changed", NEW),
        ("changed", "rep@example.jp"),
    ]
    found = state(city, card).card
    for notice in Notice.objects.filter(kind="registration.changed"):
        assert notice.subject == "利用者変更のお知らせ"
        assert "help@example.jp" in notice.body
        assert "心当たりがないときは" in notice.body
        new = notice.to in (NEW, "rep@example.jp")
        # An address that nobody has proven may be a stranger's.
        assert (found.company_id in notice.body) is not new
        for secret in (NEW, "rep@example.jp", "秘密"):
            assert secret not in notice.body
    inboxes = {notice.to: notice.inbox for notice in Notice.objects.filter(kind="registration.changed")}
    assert inboxes["hanako@example.jp"] == found.fingerprint
    assert inboxes["daihyo@example.jp"] == found.company_id


def test_every_card_of_the_company_has_it_in_its_inbox(city, card, authority):
    second, third = authority.card(), authority.card()
    for other in (second, third):
        registered(city, other, now=NOON)
    Notice.objects.all().delete()
    changed(city, card, now=NOON, rep_person="次郎")
    inboxes = set(Notice.objects.values_list("inbox", flat=True))
    assert {state(city, issued).card.fingerprint for issued in (card, second, third)} <= inboxes


def test_the_code_is_in_nobodys_inbox_and_leads_to_its_page(city, card):
    changed(city, card, now=NOON, card_office_email=NEW)
    notice = Notice.objects.get(kind="registration.address_code")
    assert (notice.inbox, notice.to, notice.subject) == ("", NEW, "メールアドレスの確認コード")
    assert re.search(r"(?m)^確認コード : 222222$", notice.body)
    assert re.search(r"(?m)^http://localhost:8000/9992/goods/change/address/$", notice.body)


def test_the_former_address_is_told_that_another_counts(city, card):
    changed(city, card, now=NOON, card_office_email=NEW, rep_email="rep@example.jp")
    Notice.objects.all().delete()
    verify(city, card, CODES[1])
    verify(city, card, CODES[0], address="rep@example.jp")
    assert told() == [("address_verified", "daihyo@example.jp"), ("address_verified", "hanako@example.jp")]
    for notice in Notice.objects.all():
        assert NEW not in notice.body
        assert "rep@example.jp" not in notice.body
        assert "すぐに下のヘルプデスクに連絡してください" in notice.body


def test_the_address_that_the_last_mail_did_not_reach(city, card):
    assert changes.undelivered(state(city, card)) == []
    changed(city, card, now=NOON, card_office_email=NEW)
    for notice in Notice.objects.exclude(to="daihyo@example.jp"):
        Notice.objects.filter(id=notice.id).update(state=State.FAILED)
    assert changes.undelivered(state(city, card)) == ["hanako@example.jp", NEW]
    # A later mail that arrives, or another address, ends it.
    changed(city, card, now=NOON + MINUTE, card_office_person="次郎", card_office_email="newer@example.jp")
    Notice.objects.filter(queued_at=NOON + MINUTE).update(state=State.SENT, sent_at=NOON)
    assert changes.undelivered(state(city, card)) == []
