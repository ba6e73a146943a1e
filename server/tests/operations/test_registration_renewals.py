"""ICカード更新 as transactions: what it makes, what it refuses (domain 3.5, V12), whom it tells, and what carries over."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import uuid
from datetime import timedelta

import pytest
from builders import (
    make_section,
    make_supplier,
    prepare,
    press_register,
    registered,
    set_policy,
    sign_document,
    trust_authority,
)
from django.core.management import call_command
from pki_builder import NOON, Authority
from succession import (
    BROWSER,
    HANDOVER,
    RENEWAL,
    begun,
    hand_over,
    handover_document,
    newer,
    prepare_renewal,
    present_both,
    press_renew,
    renewed,
)

from irefuda.agencies.models import Installation
from irefuda.cards import trust_store
from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration import auth, queries, renewals, standing
from irefuda.registration.models import (
    CardStatus,
    Draft,
    DraftKind,
    Event,
    RegisteredCard,
    Registration,
    Renewal,
    UnverifiedAddress,
)
from irefuda_core.refusal import Refused
from irefuda_verify import receipts

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
SOON = NOON + MINUTE


@pytest.fixture
def old(city):
    """A card of the company that is registered."""
    card = city.authority.card()
    registered(city, card, now=NOON)
    Notice.objects.all().delete()
    return card


def revoke(city, *cards):
    """Publish a list of the authority that names these cards."""
    revoked = {card.certificate.serial_number: NOON for card in cards}
    trust_authority(city.authority, crl=city.authority.crl(revoked=revoked, number=2))


def rows():
    """Return how many rows there are of everything that 更新 writes."""
    return [model.objects.count() for model in (RegisteredCard, Event, Entry, Pending, Notice)]


def statuses():
    return list(RegisteredCard.objects.order_by("registered_at").values_list("status", flat=True))


def refused(call, *arguments, **named):
    """Return the codes of the refusal, after seeing that it changed nothing."""
    before = rows(), statuses()
    with pytest.raises(Refused) as failure:
        call(*arguments, **named)
    assert (rows(), statuses()) == before
    return [reason.code for reason in failure.value.refusals]


def told():
    return sorted(
        (notice.kind.removeprefix("registration."), notice.to, notice.inbox) for notice in Notice.objects.all()
    )


def fingerprint(card):
    return hashlib.sha256(card.der).hexdigest()


def may_log_in(city, card):
    try:
        auth.require_registered(section=city.section, fingerprint=fingerprint(card))
    except Refused as failure:
        return failure.refusals[0].code
    return "yes"


# -- it goes well


def test_the_new_card_takes_the_old_ones_place_at_once(city, old):
    before = RegisteredCard.objects.get()
    new = newer(city)
    card = renewed(city, old, new, now=SOON)
    before.refresh_from_db()
    assert (before.status, before.ended_at) == (CardStatus.REPLACED, SOON)
    assert (card.status, card.succeeds, card.registered_at) == (CardStatus.ACTIVE, before, SOON)
    assert (card.registration, card.office, card.company_id) == (before.registration, before.office, before.company_id)
    assert (may_log_in(city, old), may_log_in(city, new)) == ("R-121", "yes")
    assert Registration.objects.count() == 1


def test_the_ledger_holds_what_the_new_card_signed_and_that_names_what_the_old_one_did(city, old):
    card = renewed(city, old, newer(city), now=SOON)
    entry = Entry.objects.get(id=card.ledger_entry)
    assert (entry.kind, bytes(entry.document).decode()) == ("registration.renewed", card.application)
    document = queries.application_of(card).values
    assert document["handover_sha256"] == hashlib.sha256(card.handover.encode()).hexdigest()
    assert document["old_certificate_fingerprint"] == fingerprint(old)
    assert document["company_id"] == card.company_id
    assert document["old_company_name"] == document["new_company_name"] == "（株）テスト商会01"
    assert document["new_card_company_name"] == "株式会社テスト商会01"
    assert document["old_certificate_serial"] == str(old.certificate.serial_number)


def test_history_says_who_did_it_with_which_cards(city, old):
    card = renewed(city, old, newer(city), now=SOON)
    event = Event.objects.get()
    assert (event.kind, event.card, event.at, event.staff) == ("renewed", card, SOON, "")
    assert (event.document, event.ledger_entry, event.draft) == (card.application, card.ledger_entry, card.draft)
    assert event.person_in_charge == card.person_in_charge == "係 太郎"
    assert event.changes[0] == ["証明書シリアル番号", str(old.certificate.serial_number), card.serial]


def test_the_receipts_of_both_cards_hold(city, old, settings, tmp_path):
    call_command("make_ledger_keys", directory=tmp_path / "keys", stdout=io.StringIO())
    settings.RECEIPT_KEY_FILE = str(tmp_path / "keys" / "receipt.pem")
    mine, theirs = city.authority.card(), newer(city)
    first = registered(city, mine, now=NOON)
    second = renewed(city, mine, theirs, now=SOON)
    keys = receipts.read_keys((tmp_path / "keys" / "ledger-keys.json").read_bytes())
    for card in (first, second):
        bundle = queries.receipt_bundle(card, now=SOON)
        report = receipts.check(receipts.read_bundle(json.dumps(bundle).encode()), keys)
        # Only the proof of its place is still missing.
        assert [line.mark for line in report.lines if line.mark is not receipts.Mark.GOOD] == [receipts.Mark.OPEN]
    assert any("ICカード引継届：文書に書かれたハッシュ値と一致" in line.text for line in report.lines)


def test_office_company_and_the_companys_other_cards_are_told(city, old):
    other = registered(city, city.authority.card(), now=NOON)
    RegisteredCard.objects.filter(id=other.id).update(office={**other.office, "email": "second@example.jp"})
    Notice.objects.all().delete()
    card = renewed(city, old, newer(city), now=SOON)
    assert told() == [
        ("renewed", "daihyo@example.jp", card.company_id),
        ("renewed", "hanako@example.jp", card.fingerprint),
        ("renewed", "second@example.jp", other.fingerprint),
    ]
    notice = Notice.objects.first()
    assert notice.subject == "ICカード更新完了のお知らせ"
    assert card.company_id in notice.body
    assert str(old.certificate.serial_number) not in notice.body


def test_what_is_typed_and_what_waits_for_its_code_carries_over(city, old):
    before = RegisteredCard.objects.get()
    RegisteredCard.objects.filter(id=before.id).update(changes=3)
    common = {"section": city.section, "supplier": city.supplier, "fingerprint": before.fingerprint}
    draft = {"id": uuid.uuid4(), "typed": {"rep-person": "入力 途中"}, "document": "{}", "updated_at": NOON}
    Draft.objects.create(kind=DraftKind.CHANGE, **common, **draft)
    moments = {"sent_at": NOON, "expires_at": SOON + MINUTE}
    UnverifiedAddress.objects.create(
        registration=before.registration, card=before, address="new@example.jp", code_sha256="a" * 64, **moments
    )
    card = renewed(city, old, newer(city), now=SOON)
    kept = queries.draft_of(section=city.section, fingerprint=card.fingerprint, now=SOON, kind=DraftKind.CHANGE)
    # The document named the old card.
    assert (kept.typed, kept.document) == ({"rep-person": "入力 途中"}, "")
    assert UnverifiedAddress.objects.get().card == card
    assert card.changes == 3


def test_a_draft_of_the_new_card_stands_before_the_old_ones(city, old):
    new = newer(city)
    for card, words in ((old, "古い"), (new, "新しい")):
        Draft.objects.create(
            id=uuid.uuid4(), kind=DraftKind.CHANGE, section=city.section, supplier=city.supplier,
            fingerprint=fingerprint(card), typed={"rep-person": words}, updated_at=NOON,
        )  # fmt: skip
    renewed(city, old, new, now=SOON)
    kept = queries.draft_of(section=city.section, fingerprint=fingerprint(new), now=SOON, kind=DraftKind.CHANGE)
    assert kept.typed == {"rep-person": "新しい"}


def test_a_card_that_came_by_renewal_is_renewed_again(city, old):
    second, third = newer(city), newer(city, ends=timedelta(days=2500))
    renewed(city, old, second, now=SOON)
    card = renewed(city, second, third, now=SOON + MINUTE)
    assert statuses() == ["replaced", "replaced", "active"]
    assert card.succeeds.succeeds.fingerprint == fingerprint(old)
    assert card.office == RegisteredCard.objects.get(fingerprint=fingerprint(old)).office


def test_a_renewal_in_one_section_leaves_the_others_alone(city, old, authority):
    elsewhere = make_section(code="9991", category="0")
    make_supplier(elsewhere)
    registered(type(city)(elsewhere, authority, city.supplier), old, now=NOON)
    renewed(city, old, newer(city), now=SOON)
    assert may_log_in(city, old) == "R-121"
    auth.require_registered(section=elsewhere, fingerprint=fingerprint(old))


# -- the cases of the issue: what the two cards are


def test_the_same_card_twice(city, old):
    assert refused(prepare_renewal, city, old, old, now=SOON) == ["R-131"]


def test_the_new_one_is_registered_already(city, old, authority):
    mine = newer(city)
    registered(city, mine, now=NOON)
    assert refused(prepare_renewal, city, old, mine, now=SOON) == ["R-105"]
    make_supplier(city.section, supplier_number="990000002", name="株式会社テスト商会01")
    theirs = newer(city)
    registered(city, theirs, now=NOON, supplier_number="990000002", name="株式会社テスト商会01")
    assert refused(prepare_renewal, city, old, theirs, now=SOON) == ["R-106"]


def test_the_new_one_is_of_another_company(city, old):
    new = newer(city, company="株式会社合浦商事")
    assert refused(prepare_renewal, city, old, new, now=SOON) == ["R-108"]
    set_policy(city, name_mismatch="provisional")
    card = renewed(city, old, new, now=SOON)
    assert (card.status, card.doubts) == (CardStatus.PROVISIONAL, ["name"])


def test_the_new_one_is_of_another_holder(city, old):
    new = newer(city, holder="別人 次郎")
    assert refused(prepare_renewal, city, old, new, now=SOON) == ["R-133"]
    set_policy(city, renewal_other_holder="review")
    card = renewed(city, old, new, now=SOON)
    assert (card.status, card.doubts) == (CardStatus.PROVISIONAL, ["holder"])
    assert (may_log_in(city, old), may_log_in(city, new)) == ("yes", "R-118")


def test_the_new_one_expires_earlier(city, old):
    assert refused(prepare_renewal, city, old, newer(city, ends=timedelta(days=699)), now=SOON) == ["R-132"]


def test_the_old_one_has_expired(city):
    card = city.authority.card(ends=timedelta(hours=1))
    registered(city, card, now=NOON)
    late = NOON + timedelta(hours=2)
    assert refused(prepare_renewal, city, card, newer(city), now=late) == ["R-135"]
    set_policy(city, expired_card_days=30)
    assert renewed(city, card, newer(city), now=late).status == CardStatus.ACTIVE


def test_an_expired_one_is_told_so_also_when_its_authority_is_gone(city):
    gone = Authority(label="gone")
    trust_authority(gone, name="もうない認証局")
    card = gone.card(ends=timedelta(hours=1))
    registered(city, card, now=NOON)
    trust_store.remove_authority(name="もうない認証局")
    assert refused(prepare_renewal, city, card, newer(city), now=NOON + timedelta(hours=2)) == ["R-135"]


def test_login_after_expiry_leads_to_registration_which_keeps_the_company_id(city):
    card = city.authority.card(ends=timedelta(hours=1))
    first = registered(city, card, now=NOON)
    late = NOON + timedelta(hours=2)
    new = newer(city)
    draft = prepare(city, new, now=late, rep="nobody@example.jp")
    # 代表窓口情報 is shown as it is known, not asked.
    assert "daihyo@example.jp" in draft.document
    second = press_register(city, new, draft, now=late)
    assert second.company_id == first.company_id
    # The expired one stays on the list, for マイページ or staff to close.
    assert statuses() == ["active", "active"]
    closing = standing.Closing(second.fingerprint, "係 太郎")
    standing.close_card(section=city.section, card_id=first.id, closing=closing, now=late, salt=bytes(16))
    assert statuses() == ["closed", "active"]


def test_a_revoked_old_one_needs_the_agencys_word(city, old):
    revoke(city, old)
    new = newer(city)
    card = renewed(city, old, new, now=SOON)
    assert (card.status, card.doubts) == (CardStatus.PROVISIONAL, ["revoked"])
    assert RegisteredCard.objects.get(fingerprint=fingerprint(old)).status == CardStatus.ACTIVE
    assert may_log_in(city, new) == "R-118"
    # Whoever found the card may be the one who brings it: the company hears of it.
    assert ("renewal_provisional", "daihyo@example.jp", card.company_id) in told()
    assert not Event.objects.exists()


def test_a_revoked_old_one_that_has_expired_since_is_no_better_for_it(city):
    """An authority takes a card off its list once it is over (RFC 5280, 3.3), whatever it was revoked for."""
    set_policy(city, expired_card_days=30)
    card = city.authority.card(ends=timedelta(hours=1))
    registered(city, card, now=NOON)
    revoked = {card.certificate.serial_number: NOON}
    for number, listed in ((2, revoked), (3, revoked), (4, {})):
        issued = timedelta(minutes=30 * (number - 1))
        trust_authority(city.authority, crl=city.authority.crl(revoked=listed, number=number, issued=issued))
    assert renewed(city, card, newer(city), now=NOON + timedelta(hours=2)).doubts == ["revoked"]


def test_a_card_that_is_revoked_between_the_judgement_and_the_signature(city, old):
    new = newer(city)
    renewal = prepare_renewal(city, old, new, now=SOON)
    assert renewal.doubts == []
    revoke(city, old)
    assert press_renew(city, renewal, new, now=SOON).doubts == ["revoked"]


def test_a_revoked_new_one_is_refused(city, old):
    new = newer(city)
    renewal = prepare_renewal(city, old, new, now=SOON)
    revoke(city, new)
    assert refused(press_renew, city, renewal, new, now=SOON) == ["K-409"]
    assert refused(prepare_renewal, city, old, new, now=SOON) == ["K-409"]


def test_a_lost_old_one_is_closed_and_its_place_taken_by_registration(city, old):
    mine = RegisteredCard.objects.get()
    standing.close_card_by_staff(
        section=city.section,
        card_id=mine.id,
        decision=standing.Decision("契約 花子", "紛失の届出"),
        now=SOON,
        salt=bytes(16),
    )
    new = newer(city)
    # The finder has card and PIN: neither 更新 nor 登録 lets it come back.
    assert refused(prepare_renewal, city, old, new, now=SOON) == ["R-122"]
    assert refused(prepare, city, old, now=SOON) == ["R-122"]
    assert registered(city, new, now=SOON).company_id == mine.company_id


def test_the_cards_come_in_the_wrong_order(city, old):
    assert refused(prepare_renewal, city, newer(city), old, now=SOON) == ["R-134"]


def test_a_card_that_is_not_registered_at_all(city, old):
    assert refused(prepare_renewal, city, city.authority.card(), newer(city), now=SOON) == ["R-120"]


@pytest.mark.parametrize(
    ("status", "code"),
    [("provisional", "R-118"), ("replaced", "R-121"), ("closed", "R-122"), ("rejected", "R-156")],
)
def test_an_old_card_that_is_not_in_use(city, old, status, code):
    RegisteredCard.objects.update(status=status)
    assert refused(prepare_renewal, city, old, newer(city), now=SOON) == [code]


def test_a_new_card_that_was_closed_does_not_come_back_by_renewal(city, old):
    lost = newer(city)
    registered(city, lost, now=NOON)
    RegisteredCard.objects.filter(fingerprint=fingerprint(lost)).update(status=CardStatus.CLOSED)
    assert refused(prepare_renewal, city, old, lost, now=SOON) == ["R-122"]


def test_unknown_authorities(city, old):
    stranger = Authority(label="stranger")
    assert refused(prepare_renewal, city, old, stranger.card(ends=timedelta(days=1500)), now=SOON) == ["K-402"]
    assert refused(prepare_renewal, city, stranger.card(), newer(city), now=SOON) == ["K-402"]


def test_a_forged_certificate_with_the_old_ones_names_and_number_learns_nothing(city, old):
    forger = Authority()
    forged = forger.card(serial=old.certificate.serial_number, signer=None)
    assert refused(prepare_renewal, city, forged, newer(city), now=SOON) == ["K-412"]


def test_a_limit_of_cards_does_not_stand_in_the_way(city, old):
    set_policy(city, max_cards_per_supplier=1)
    assert renewed(city, old, newer(city), now=SOON).status == CardStatus.ACTIVE


# -- the cases of the issue: what is sent


def test_a_renewal_of_another_browser_is_not_there(city, old):
    new = newer(city)
    renewal, message = begun(city, now=NOON)
    handover = hand_over(message, old)
    for browser in ("x" * 43, ""):
        assert refused(present_both, city, renewal, handover, new, now=SOON, browser=browser) == ["R-136"]
    renewal = present_both(city, renewal, handover, new, now=SOON)
    assert refused(press_renew, city, renewal, new, now=SOON, browser="x" * 43) == ["R-136"]
    assert refused(press_renew, city, renewal, new, now=SOON, browser="") == ["R-136"]


def test_a_renewal_of_another_section_is_not_there(city, old, authority):
    elsewhere = type(city)(make_section(code="9991", category="0"), authority, city.supplier)
    renewal, message = begun(city, now=NOON)
    assert refused(present_both, elsewhere, renewal, hand_over(message, old), newer(city), now=SOON) == ["R-136"]


def test_a_renewal_is_good_for_fifteen_minutes(city, old):
    new = newer(city)
    renewal, message = begun(city, now=NOON)
    handover = hand_over(message, old)
    end = NOON + renewals.RENEWAL_LIFE
    assert refused(present_both, city, renewal, handover, new, now=end) == ["R-136"]
    renewal = present_both(city, renewal, handover, new, now=end - timedelta(seconds=1))
    assert refused(press_renew, city, renewal, new, now=end) == ["R-136"]
    assert press_renew(city, renewal, new, now=end - timedelta(seconds=1))


def test_a_renewal_that_never_was_judged_changes_nothing(city, old):
    renewal, _ = begun(city, now=NOON)
    new = newer(city)
    renewal.document = prepare_renewal(city, old, new, now=SOON).document
    assert refused(press_renew, city, renewal, new, now=SOON) == ["R-136"]


def test_a_renewal_is_used_once_and_answers_again_with_what_it_became(city, old):
    new = newer(city)
    renewal = prepare_renewal(city, old, new, now=NOON)
    signed = sign_document(new, renewal.document, RENEWAL)
    first = press_renew(city, renewal, new, now=SOON, jws=signed)
    before = rows()
    assert press_renew(city, renewal, new, now=SOON + MINUTE, jws=signed) == first
    assert renewals.renewed(section=city.section, renewal_id=renewal.id, browser=BROWSER, now=SOON) == first
    assert rows() == before
    assert refused(press_renew, city, renewal, new, now=SOON, browser="x" * 43, jws=signed) == ["R-136"]
    # It cannot be filled anew either.
    message = renewals.first_message(renewal, rules_now=NOON, now=NOON)
    assert refused(present_both, city, renewal, hand_over(message, new), newer(city), now=SOON) == ["R-136"]


def test_a_replayed_signature_opens_no_second_renewal(city, old):
    new = newer(city)
    first = prepare_renewal(city, old, new, now=NOON)
    signed = sign_document(new, first.document, RENEWAL)
    second = prepare_renewal(city, old, new, now=NOON)
    assert refused(press_renew, city, second, new, now=SOON, jws=signed) == ["R-138"]
    press_renew(city, first, new, now=SOON, jws=signed)
    assert refused(press_renew, city, second, new, now=SOON) == ["R-121"]


def test_a_handover_of_another_renewal(city, old):
    first, message = begun(city, now=NOON)
    second, _ = begun(city, now=NOON)
    assert refused(present_both, city, second, hand_over(message, old), newer(city), now=SOON) == ["R-137"]
    assert present_both(city, first, hand_over(message, old), newer(city), now=SOON).document


OTHERS = {
    "realm": "production",
    "origin": "http://elsewhere.example",
    "agency_code": "9991",
    "agency_name": "別の市",
    "category": "工事、コンサル",
    "issued_at": "2026-11-24T12:00:01+09:00",
    "document_id": "00000000-0000-4000-8000-000000000000",
    "certificate_fingerprint": "0" * 64,
}


@pytest.mark.parametrize("field", OTHERS)
def test_a_handover_that_says_something_else(city, old, field):
    renewal, message = begun(city, now=NOON)
    handover = hand_over(message, old, **{field: OTHERS[field]})
    assert refused(present_both, city, renewal, handover, newer(city), now=SOON) == ["R-137"]


def test_a_handover_with_another_type_or_signature(city, old):
    renewal, message = begun(city, now=NOON)
    document = handover_document(message, old)
    good, other = hand_over(message, old), hand_over(message, old, person="別人")
    wrong = {
        sign_document(old, document, HANDOVER.replace("practice", "production")): "R-137",
        sign_document(old, document, RENEWAL): "R-137",
        sign_document(old, "{}", HANDOVER): "R-137",
        ".".join([*good.split(".")[:2], other.split(".")[2]]): "K-432",
        good[: len(good) // 2]: "K-431",
        "": "K-431",
        "a." * 500_000: "K-431",
    }
    for handover, code in wrong.items():
        assert refused(present_both, city, renewal, handover, newer(city), now=SOON) == [code]


@pytest.mark.parametrize("text", ["", "x", "AAAA", "あ", "A" * 1_000_000, base64.b64encode(b"\x30" * 3000).decode()])
def test_a_new_certificate_that_is_none(city, old, text):
    renewal, message = begun(city, now=NOON)
    with pytest.raises(Refused, match="K-401"):
        renewals.prepare(
            section=city.section, renewal_id=renewal.id, browser=BROWSER, handover=hand_over(message, old),
            certificate=text, rules_now=SOON, now=SOON,
        )  # fmt: skip


@pytest.mark.parametrize("spoil", ["payload", "typ", "signature", "old card", "stranger", "cut", "huge"])
def test_only_the_new_cards_signature_over_this_very_document_counts(city, old, spoil):
    new = newer(city)
    renewal = prepare_renewal(city, old, new, now=NOON)
    document = renewal.document
    good = sign_document(new, document, RENEWAL)
    jws, code = {
        "payload": (sign_document(new, document.replace("係 太郎", "別人"), RENEWAL), "R-138"),
        "typ": (sign_document(new, document, RENEWAL.replace("practice", "production")), "R-138"),
        "signature": (good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"), "K-432"),
        "old card": (sign_document(old, document, RENEWAL), "K-425"),
        "stranger": (sign_document(newer(city), document, RENEWAL), "K-425"),
        "cut": (good[: len(good) // 2], "K-431"),
        "huge": ("a." * 500_000, "K-431"),
    }[spoil]
    assert refused(press_renew, city, renewal, new, now=SOON, jws=jws) == [code]
    assert press_renew(city, renewal, new, now=SOON, jws=good)


def test_what_the_register_says_now_must_be_what_was_signed(city, old):
    new = newer(city)
    renewal = prepare_renewal(city, old, new, now=NOON)
    city.supplier.address = "青森市本町1-1"
    city.supplier.save()
    assert refused(press_renew, city, renewal, new, now=SOON) == ["R-139"]
    assert renewed(city, old, new, now=SOON)


def test_what_no_document_can_hold_is_said_so(city, old):
    city.supplier.address = "青森市\u202e本町1-1"
    city.supplier.save()
    assert refused(prepare_renewal, city, old, newer(city), now=SOON) == ["R-125"]


def test_an_old_card_that_was_closed_before_the_signature(city, old):
    new = newer(city)
    renewal = prepare_renewal(city, old, new, now=NOON)
    RegisteredCard.objects.update(status=CardStatus.CLOSED)
    assert refused(press_renew, city, renewal, new, now=SOON) == ["R-122"]


# -- how many there are, and for how long


def test_a_browser_has_five_renewals_at_most_and_they_are_deleted_when_they_are_over(city, old):
    first, _ = begun(city, now=NOON)
    latest = [begun(city, now=NOON + timedelta(seconds=number))[0] for number in range(1, 6)]
    other, _ = begun(city, now=NOON, browser="x" * 43)
    assert set(Renewal.objects.values_list("id", flat=True)) == {renewal.id for renewal in (*latest, other)}
    assert first.id not in {renewal.id for renewal in latest}
    assert renewals.purge(now=NOON + renewals.RENEWAL_LIFE) == 1
    assert Renewal.objects.count() == 5


def test_the_daily_command_deletes_them(city, old, capsys):
    begun(city, now=NOON - timedelta(days=1000))
    call_command("purge_registration")
    assert not Renewal.objects.exists()


def test_the_document_dates_go_by_the_rules_time(city, old, settings):
    Installation.objects.update(clock_offset_seconds=86_400)
    renewal = renewals.begin(section=city.section, browser=BROWSER, now=NOON)
    tomorrow = timedelta(days=1)
    message = renewals.first_message(renewal, rules_now=NOON + tomorrow, now=NOON)
    assert message["issued_at"] == "2026-11-25T12:00:00+09:00"
    new = newer(city)
    renewal = renewals.prepare(
        section=city.section, renewal_id=renewal.id, browser=BROWSER, handover=hand_over(message, old),
        certificate=base64.b64encode(new.der).decode(), rules_now=SOON + tomorrow, now=SOON,
    )  # fmt: skip
    assert json.loads(renewal.document)["issued_at"] == "2026-11-25T12:01:00+09:00"
    assert press_renew(city, renewal, new, now=SOON).registered_at == SOON


def test_the_print_page_shows_what_was_taken_over_but_not_to_one_that_waits(city, old):
    shown = renewals.user_information(renewed(city, old, newer(city), now=SOON))
    assert shown.values["rep_email"] == "daihyo@example.jp"
    assert shown.values["card_office_person"] == "青森 花子"
    assert shown.values["certificate_expires_on"] == "2031/01/02"
    other = city.authority.card()
    registered(city, other, now=NOON)
    revoke(city, other)
    waits = renewals.user_information(renewed(city, other, newer(city), now=SOON))
    assert "daihyo@example.jp" not in waits.values.values()
    assert waits.type.name == "card-renewal"
