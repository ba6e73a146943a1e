"""受理, 不受理, 使用停止 and its end: who may, what it changes, what it refuses, whom it tells."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from builders import (
    make_section,
    make_supplier,
    prepare,
    registered,
    set_policy,
    trust_authority,
)
from pki_builder import NOON
from succession import newer, renewed

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration import auth, queries, standing
from irefuda.registration.models import CardStatus, Draft, DraftKind, Event, RegisteredCard, Registration
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.django_db
SOON, LATE = NOON + timedelta(minutes=1), NOON + timedelta(hours=2)
OTHER_NAME = "株式会社合浦商事"
STAFF = standing.Decision("契約 花子", "名簿の変更届で確かめました。")


@pytest.fixture
def city(city):
    set_policy(city, name_mismatch="provisional", renewal_other_holder="review")
    return city


def approve(city, card, *, decision=STAFF, now=LATE):
    return standing.approve_card(
        section=city.section, card_id=card.id, decision=decision, rules_now=now, now=now, salt=bytes(16)
    )


def reject(city, card, *, decision=STAFF, now=LATE):
    return standing.reject_card(section=city.section, card_id=card.id, decision=decision, now=now, salt=bytes(16))


def close(city, card, *, by, reason="紛失・盗難", now=LATE):
    closing = standing.Closing(by.fingerprint, "係 太郎", reason)
    return standing.close_card(section=city.section, card_id=card.id, closing=closing, now=now, salt=bytes(16))


def close_by_staff(city, card, *, decision=STAFF, now=LATE):
    return standing.close_card_by_staff(
        section=city.section, card_id=card.id, decision=decision, now=now, salt=bytes(16)
    )


def reopen(city, card, *, decision=STAFF, now=LATE):
    return standing.reopen_card(
        section=city.section, card_id=card.id, decision=decision, rules_now=now, now=now, salt=bytes(16)
    )


def state():
    cards = RegisteredCard.objects.order_by("id").values_list("id", "status", "ended_at")
    return list(cards), [model.objects.count() for model in (Event, Entry, Pending, Notice)]


def refused(call, *arguments, **named):
    """Return the codes of the refusal, after seeing that it changed nothing."""
    before = state()
    with pytest.raises(Refused) as failure:
        call(*arguments, **named)
    assert state() == before
    return [reason.code for reason in failure.value.refusals]


def told():
    return sorted(
        (notice.kind.removeprefix("registration."), notice.to, notice.inbox) for notice in Notice.objects.all()
    )


def may_log_in(city, card):
    try:
        auth.require_registered(section=city.section, fingerprint=card.fingerprint)
    except Refused as failure:
        return failure.refusals[0].code
    return "yes"


def revoke(city, *cards, number=2):
    serials = {card.certificate.serial_number: NOON for card in cards}
    trust_authority(city.authority, crl=city.authority.crl(revoked=serials, number=number))


@pytest.fixture
def waiting(city, authority):
    """A 登録 that waits: the certificate's company is another one by name."""
    card = registered(city, authority.card(company=OTHER_NAME), now=NOON)
    assert card.status == CardStatus.PROVISIONAL
    Notice.objects.all().delete()
    return card


@pytest.fixture
def mine(city, authority):
    """A card of the company that is in use."""
    card = registered(city, authority.card(), now=NOON)
    Notice.objects.all().delete()
    return card


# -- 受理 of a 登録


def test_a_registration_that_was_accepted_counts(city, waiting):
    card = approve(city, waiting)
    assert (card.status, may_log_in(city, card)) == (CardStatus.ACTIVE, "yes")
    # 代表窓口情報 is what its own application says: the company had none.
    assert Registration.objects.get().representative["email"] == "daihyo@example.jp"
    assert told() == [
        ("approved", "daihyo@example.jp", card.fingerprint),
        ("approved", "hanako@example.jp", card.fingerprint),
    ]
    notice = Notice.objects.first()
    assert notice.subject == "利用者登録 受理のお知らせ（利用者申請書受理メール）"
    for words in (card.company_id, "（株）テスト商会01", "青森 花子", "青森市新町1-3-7"):
        assert words in notice.body


def test_what_staff_decided_is_in_history_and_ledger(city, waiting):
    approve(city, waiting)
    event = Event.objects.get()
    assert (event.kind, event.card, event.staff, event.reason, event.at) == (
        "approved", waiting, STAFF.staff, STAFF.reason, LATE,
    )  # fmt: skip
    assert event.changes == [["状態", "仮登録", "有効"]]
    entry = Entry.objects.get(id=event.ledger_entry)
    said = json.loads(bytes(entry.document))
    assert entry.kind == "registration.approved"
    assert (said["type"], said["card_id"], said["staff"], said["reason"]) == (
        "card-approved", str(waiting.id), STAFF.staff, STAFF.reason,
    )  # fmt: skip


def test_a_company_that_has_a_representative_keeps_it(city, authority, mine):
    card = registered(city, authority.card(company=OTHER_NAME), now=NOON, rep="stranger@example.jp")
    approve(city, card)
    assert Registration.objects.get().representative["email"] == "daihyo@example.jp"
    # The company is warned as of every further card.
    assert told() == [
        ("approved", "hanako@example.jp", card.fingerprint),
        ("further_card", "daihyo@example.jp", mine.company_id),
        ("further_card", "hanako@example.jp", mine.fingerprint),
        ("provisional", "hanako@example.jp", card.fingerprint),
    ]


def test_where_every_registration_is_approved_the_first_and_the_second_card_get_in(city, authority):
    set_policy(city, approval="required")
    first = approve(city, registered(city, authority.card(), now=NOON))
    second = approve(city, registered(city, authority.card(), now=NOON, rep="daihyo@example.jp"))
    assert [may_log_in(city, card) for card in (first, second)] == ["yes", "yes"]
    assert first.company_id == second.company_id


def test_a_decision_needs_a_reason_and_is_made_once(city, waiting):
    for reason in ("", "　", "x" * 401, "一行目\n二行目"):
        for decide in (approve, reject):
            assert refused(decide, city, waiting, decision=standing.Decision("契約 花子", reason)) == ["R-152"]
    approve(city, waiting)
    assert refused(approve, city, waiting) == ["R-151"]
    assert refused(reject, city, waiting) == ["R-151"]


def test_every_other_rule_is_asked_again_at_the_decision(city, waiting, authority):
    city.supplier.status = "suspended"
    city.supplier.save()
    assert refused(approve, city, waiting) == ["R-107"]
    city.supplier.status = "active"
    city.supplier.save()
    set_policy(city, max_cards_per_supplier=1)
    first = registered(city, authority.card(), now=NOON)
    assert refused(approve, city, waiting) == ["R-109"]
    close_by_staff(city, first)
    assert approve(city, waiting).status == CardStatus.ACTIVE


def test_a_certificate_that_is_no_longer_good_is_not_accepted(city, authority):
    issued = authority.card(company=OTHER_NAME)
    card = registered(city, issued, now=NOON)
    revoke(city, issued)
    assert refused(approve, city, card) == ["K-409"]
    assert reject(city, card).status == CardStatus.REJECTED


# -- 不受理


def test_a_registration_that_was_not_accepted_is_told_why_and_may_apply_again(city, authority):
    issued = authority.card(company=OTHER_NAME)
    card = registered(city, issued, now=NOON)
    Notice.objects.all().delete()
    reject(city, card)
    card.refresh_from_db()
    assert (card.status, card.ended_at, may_log_in(city, card)) == (CardStatus.REJECTED, LATE, "R-156")
    assert told() == [("rejected", "hanako@example.jp", card.fingerprint)]
    assert STAFF.reason in Notice.objects.get().body
    assert card.company_id not in Notice.objects.get().body
    assert Event.objects.get().kind == "rejected"
    again = registered(city, issued, now=LATE)
    assert (again.status, again.registration) == (CardStatus.PROVISIONAL, card.registration)
    assert approve(city, again).status == CardStatus.ACTIVE
    assert may_log_in(city, card) == "yes"


# -- 受理 and 不受理 of an ICカード更新


@pytest.fixture
def succession(city, authority):
    """An old card in use, and a new one of another holder that waits to take its place."""
    old = authority.card()
    registered(city, old, now=NOON)
    card = renewed(city, old, newer(city, holder="別人 次郎"), now=SOON)
    assert card.doubts == ["holder"]
    Notice.objects.all().delete()
    return card.succeeds, card


def test_a_renewal_that_was_accepted_puts_the_new_card_in_the_old_ones_place(city, succession):
    old, new = succession
    approve(city, new)
    assert (may_log_in(city, old), may_log_in(city, new)) == ("R-121", "yes")
    old.refresh_from_db()
    assert old.ended_at == LATE
    assert [change[0] for change in Event.objects.get().changes][:2] == ["状態", "証明書シリアル番号"]
    assert {kind for kind, _, _ in told()} == {"approved"}
    assert Notice.objects.first().subject == "ICカード更新 受理のお知らせ"


def test_what_the_old_card_did_while_the_new_one_waited_carries_over(city, succession):
    old, new = succession
    RegisteredCard.objects.filter(id=old.id).update(office={**old.office, "person": "後任 三郎"}, changes=1)
    Draft.objects.create(
        id=uuid.uuid4(), kind=DraftKind.CHANGE, section=city.section, supplier=city.supplier,
        fingerprint=old.fingerprint, updated_at=SOON,
    )  # fmt: skip
    card = approve(city, new)
    card.refresh_from_db()
    assert (card.office["person"], card.changes) == ("後任 三郎", 1)
    assert Draft.objects.get().fingerprint == new.fingerprint


def test_a_renewal_that_was_not_accepted_leaves_the_old_card_in_use_and_tells_all(city, succession):
    old, new = succession
    reject(city, new)
    assert (may_log_in(city, old), may_log_in(city, new)) == ("yes", "R-156")
    assert ("rejected", "daihyo@example.jp", old.company_id) in told()
    assert ("rejected", "hanako@example.jp", old.fingerprint) in told()


def test_a_renewal_whose_old_card_is_gone_is_not_accepted(city, succession):
    old, new = succession
    close_by_staff(city, old)
    assert refused(approve, city, new) == ["R-155"]
    assert reject(city, new).status == CardStatus.REJECTED


def test_of_two_renewals_that_wait_for_one_place_one_is_accepted(city, authority):
    old = authority.card()
    registered(city, old, now=NOON)
    one, two = (renewed(city, old, newer(city, holder="別人 次郎"), now=SOON) for _ in range(2))
    approve(city, two)
    assert refused(approve, city, one) == ["R-155"]
    assert sorted(RegisteredCard.objects.values_list("status", flat=True)) == ["active", "provisional", "replaced"]


def test_how_long_the_agency_took_costs_the_company_nothing(city, authority):
    old = authority.card(ends=timedelta(minutes=30))
    registered(city, old, now=NOON)
    card = renewed(city, old, newer(city, holder="別人 次郎"), now=SOON)
    # The old card has expired meanwhile.
    assert approve(city, card, now=LATE).status == CardStatus.ACTIVE


# -- 使用停止


def test_a_lost_card_is_closed_by_another_one_at_once_and_everybody_hears_of_it(city, authority, mine):
    lost = registered(city, authority.card(), now=NOON)
    RegisteredCard.objects.filter(id=lost.id).update(office={**lost.office, "email": "lost@example.jp"})
    Notice.objects.all().delete()
    close(city, lost, by=mine)
    assert (may_log_in(city, lost), may_log_in(city, mine)) == ("R-122", "yes")
    assert told() == [
        ("card_closed", "daihyo@example.jp", mine.company_id),
        ("card_closed", "hanako@example.jp", mine.fingerprint),
        ("card_closed", "lost@example.jp", lost.fingerprint),
    ]
    event = Event.objects.get()
    assert (event.kind, event.card, event.person_in_charge, event.reason) == ("closed", lost, "係 太郎", "紛失・盗難")
    said = json.loads(bytes(Entry.objects.get(id=event.ledger_entry).document))
    assert (said["certificate_fingerprint"], said["acting_certificate_fingerprint"]) == (
        lost.fingerprint, mine.fingerprint,
    )  # fmt: skip


def test_a_card_closes_itself_even_if_it_is_the_last(city, mine):
    close(city, mine, by=mine, reason="")
    mine.refresh_from_db()
    assert (mine.status, mine.ended_at) == (CardStatus.CLOSED, LATE)
    assert told() == [
        ("card_closed", "daihyo@example.jp", mine.company_id),
        ("card_closed", "hanako@example.jp", mine.fingerprint),
    ]
    assert refused(close, city, mine, by=mine) == ["R-122"]


def test_nobody_elses_card_is_closed(city, authority, mine):
    make_supplier(city.section, supplier_number="990000002", name=OTHER_NAME)
    theirs = registered(
        city, authority.card(company=OTHER_NAME), now=NOON, supplier_number="990000002", name=OTHER_NAME
    )
    before = state()
    for card, by in ((mine, theirs), (theirs, mine)):
        with pytest.raises(RegisteredCard.DoesNotExist):
            close(city, card, by=by)
    with pytest.raises(RegisteredCard.DoesNotExist):
        standing.close_card(
            section=city.section, card_id=uuid.uuid4(), closing=standing.Closing(mine.fingerprint, ""), now=LATE,
            salt=bytes(16),
        )  # fmt: skip
    assert state() == before


def test_a_card_that_waits_neither_closes_nor_is_closed(city, authority, mine):
    stranger = registered(city, authority.card(company=OTHER_NAME), now=NOON)
    assert refused(close, city, mine, by=stranger) == ["R-118"]
    assert refused(close, city, stranger, by=mine) == ["R-153"]
    assert refused(close_by_staff, city, stranger) == ["R-153"]


def test_an_expired_card_that_is_still_listed_is_closed(city, authority):
    old = registered(city, authority.card(ends=timedelta(minutes=30)), now=NOON)
    new = registered(city, authority.card(), now=LATE)
    assert close(city, old, by=new).status == CardStatus.CLOSED


# -- its end


def test_only_staff_opens_a_closed_card_again(city, authority):
    issued = authority.card()
    card = registered(city, issued, now=NOON)
    close(city, card, by=card)
    Notice.objects.all().delete()
    assert refused(prepare, city, issued, now=LATE) == ["R-122"]
    assert refused(reopen, city, card, decision=standing.Decision("契約 花子", "")) == ["R-152"]
    reopen(city, card)
    card.refresh_from_db()
    assert (card.status, card.ended_at, may_log_in(city, card)) == (CardStatus.ACTIVE, None, "yes")
    assert ("card_reopened", "daihyo@example.jp", card.company_id) in told()
    assert list(Event.objects.order_by("at", "kind").values_list("kind", flat=True)) == ["closed", "reopened"]
    assert refused(reopen, city, card) == ["R-154"]


def test_every_rule_is_asked_before_a_card_is_opened_again(city, authority):
    issued = authority.card()
    card = registered(city, issued, now=NOON)
    close(city, card, by=card)
    set_policy(city, max_cards_per_supplier=1)
    other = registered(city, authority.card(), now=NOON)
    assert refused(reopen, city, card) == ["R-109"]
    close_by_staff(city, other)
    revoke(city, issued)
    assert refused(reopen, city, card) == ["K-409"]


def test_a_card_that_was_registered_elsewhere_meanwhile_is_not_opened_again(city, authority):
    issued = authority.card()
    card = registered(city, issued, now=NOON)
    close(city, card, by=card)
    make_supplier(city.section, supplier_number="990000002", name="株式会社テスト商会01")
    registered(city, issued, now=LATE, supplier_number="990000002", name="株式会社テスト商会01")
    assert refused(reopen, city, card) == ["R-106"]


def test_another_sections_card_is_not_there(city, waiting, authority):
    elsewhere = make_section(code="9991", category="0")
    with pytest.raises(RegisteredCard.DoesNotExist):
        approve(type(city)(elsewhere, authority, city.supplier), waiting)
    assert queries.status_of(waiting) == CardStatus.PROVISIONAL
