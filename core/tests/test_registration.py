"""Who may register which card for which company (domain 3.7: V4–V14)."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core import registration as rules
from irefuda_core.certificate import CardCertificate

TODAY = date(2026, 11, 24)
FACTS = rules.SupplierFacts(
    agency_code="9991",
    category="0",
    supplier_number="990000001",
    name="（株）テスト商会01",
    status="active",
    valid_from=date(2025, 4, 1),
    valid_until=date(2027, 3, 31),
    suspended_from=None,
    suspended_until=None,
)
CARD = CardCertificate(
    der=b"",
    fingerprint="f" * 64,
    serial=7,
    issuer_text="O=demo",
    issuer_key="a" * 64,
    not_before=datetime(2026, 1, 1, tzinfo=UTC),
    not_after=datetime(2028, 1, 1, tzinfo=UTC),
    company_name="株式会社テスト商会０１",
    company_address="",
    holder_name="青森　太郎",
    holder_address="",
    key_kind="RSA",
    key_size=2048,
)
SAME = rules.ExistingCard("f" * 64, "a" * 64, 7, "990000001", "青森　太郎", True)
OTHER = rules.ExistingCard("e" * 64, "a" * 64, 8, "990000001", "青森 太郎", True)


def codes(facts=FACTS, card=CARD, existing=(), policy=None, demo=False, on=TODAY):
    found = rules.refusals_to_register(facts, card, existing, policy or rules.Policy(), authority_demo=demo, on=on)
    return {reason.code for reason in found}


def test_a_qualified_company_with_its_own_card_registers():
    assert codes() == set()
    assert codes(existing=[OTHER]) == set()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"status": "ended"}, "R-112"),
        ({"status": "suspended"}, "R-107"),
        ({"valid_from": date(2026, 11, 25)}, "R-111"),
        ({"valid_until": date(2026, 11, 23)}, "R-104"),
        ({"suspended_from": date(2026, 11, 24)}, "R-107"),
        ({"suspended_from": date(2026, 11, 1), "suspended_until": date(2026, 11, 24)}, "R-107"),
    ],
)
def test_each_reason_of_the_register_is_named(changed, code):
    assert codes(replace(FACTS, **changed)) == {code}
    assert {r.code for r in rules.refusals_to_look_up(replace(FACTS, **changed), on=TODAY)} == {code}


@pytest.mark.parametrize(
    "changed",
    [
        {"valid_from": TODAY},
        {"valid_until": TODAY},
        {"valid_from": None, "valid_until": None},
        {"suspended_from": date(2026, 11, 25)},
        {"suspended_from": date(2026, 11, 1), "suspended_until": date(2026, 11, 23)},
    ],
)
def test_first_and_last_day_count_and_a_suspension_ends(changed):
    assert codes(replace(FACTS, **changed)) == set()


def test_the_sentence_names_the_day():
    (reason,) = rules.refusals_to_look_up(replace(FACTS, valid_until=date(2026, 3, 31)), on=TODAY)
    assert "2026年3月31日まで" in reason.sentence
    (reason,) = rules.refusals_to_look_up(replace(FACTS, status="suspended"), on=TODAY)
    assert "解除まで" in reason.sentence


def test_one_active_card_registers_once():
    assert codes(existing=[SAME]) == {"R-105"}
    assert codes(existing=[replace(SAME, active=False)]) == {"R-122"}
    assert codes(existing=[replace(SAME, supplier_number="990000002")]) == {"R-106"}


def test_the_agency_may_limit_the_cards_of_a_company():
    assert codes(existing=[OTHER], policy=rules.Policy(max_cards_per_supplier=1)) == {"R-109"}
    assert codes(existing=[OTHER], policy=rules.Policy(max_cards_per_supplier=2)) == set()
    stranger = replace(OTHER, holder_name="別人　次郎")
    assert codes(existing=[stranger], policy=rules.Policy(same_holder=True)) == {"R-110"}
    assert codes(existing=[OTHER], policy=rules.Policy(same_holder=True)) == set()


@pytest.mark.parametrize("written", ["", "株式会社テスト商会０２", "株式会社テスト商合０１", "有限会社テスト商会０１"])
def test_a_certificate_that_does_not_say_the_company_s_name_is_refused(written):
    card = replace(CARD, company_name=written)
    assert codes(card=card) == {"R-108"}
    assert codes(card=card, policy=rules.Policy(name_mismatch="provisional")) == set()
    assert not rules.name_agrees(card, FACTS, demo=False)
    assert codes(card=card, demo=True) == set()


@given(
    status=st.sampled_from(["active", "suspended", "ended"]),
    dates=st.tuples(*[st.none() | st.dates(date(2020, 1, 1), date(2030, 12, 31))] * 4),
    on=st.dates(date(2020, 1, 1), date(2030, 12, 31)),
)
def test_what_may_not_be_looked_up_may_not_be_registered(status, dates, on):
    facts = replace(
        FACTS,
        status=status,
        valid_from=dates[0],
        valid_until=dates[1],
        suspended_from=dates[2],
        suspended_until=dates[3],
    )
    looked_up = {reason.code for reason in rules.refusals_to_look_up(facts, on=on)}
    assert looked_up == codes(facts, on=on)
    if facts.valid_until and not looked_up:
        assert on <= facts.valid_until
        assert "R-104" in codes(facts, on=facts.valid_until + timedelta(days=1))


def test_a_policy_knob_that_does_not_exist_is_a_mistake():
    assert rules.Policy.from_knobs({"max_cards_per_supplier": 3}).max_cards_per_supplier == 3
    for wrong in ({"max_cards": 3}, {"name_mismatch": "ignore"}, {"max_cards_per_supplier": 0}, {"fax_required": "no"},
                  {"approval": "maybe"}, {"renewal_other_holder": True}, {"expired_card_days": True}, {"expired_card_days": 367}):  # fmt: skip
        with pytest.raises(ValueError):
            rules.Policy.from_knobs(wrong)


@given(st.integers(1, 10**10 - 1))
def test_a_company_id_has_fifteen_digits_and_gives_its_number_back(number):
    company = rules.company_id("9992", "1", number)
    assert len(company) == 15
    assert (company[:4], company[4], int(company[5:])) == ("9992", "1", number)


@pytest.mark.parametrize("parts", [("999", "1", 1), ("9992", "", 1), ("9992", "1", 0), ("9992", "1", 10**10)])
def test_a_company_id_of_another_width_is_never_made(parts):
    with pytest.raises(ValueError):
        rules.company_id(*parts)


NEW = replace(CARD, fingerprint="d" * 64, serial=9, not_after=datetime(2030, 1, 1, tzinfo=UTC))
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)


def renewal(old=CARD, new=NEW, existing=(SAME,), policy=None, at=NOW):
    found = rules.refusals_to_renew(FACTS, old, new, existing, policy or rules.Policy(), authority_demo=False, at=at)
    return {reason.code for reason in found}


def test_a_registered_card_hands_on_to_a_newer_one():
    assert renewal() == set()
    assert renewal(existing=[SAME, OTHER]) == set()
    assert renewal(at=CARD.not_after) == set()
    assert renewal(at=CARD.not_after + timedelta(days=30), policy=rules.Policy(expired_card_days=30)) == set()
    nameless = replace(CARD, holder_name="")
    assert renewal(old=nameless, new=replace(NEW, holder_name="")) == set()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"new": CARD}, "R-131"),
        ({"new": replace(NEW, serial=CARD.serial)}, "R-131"),
        ({"at": CARD.not_after + timedelta(seconds=1)}, "R-135"),
        ({"at": CARD.not_after + timedelta(days=30, seconds=1), "policy": rules.Policy(expired_card_days=30)}, "R-135"),
        ({"existing": []}, "R-120"),
        ({"existing": [replace(OTHER, serial=9)]}, "R-134"),
        ({"existing": [replace(OTHER, serial=9, supplier_number="990000002")]}, "R-134"),
        ({"existing": [OTHER]}, "R-120"),
        ({"existing": [replace(SAME, active=False)]}, "R-120"),
        ({"existing": [replace(SAME, supplier_number="990000002")]}, "R-120"),
        ({"existing": [SAME, replace(OTHER, serial=9)]}, "R-105"),
        ({"existing": [SAME, replace(OTHER, serial=9, supplier_number="990000002")]}, "R-106"),
        ({"new": replace(NEW, not_after=CARD.not_after)}, "R-132"),
        ({"new": replace(NEW, company_name="株式会社テスト商会０２")}, "R-108"),
        ({"new": replace(NEW, holder_name="別人　次郎")}, "R-133"),
        ({"new": replace(NEW, holder_name="")}, "R-133"),
    ],
    ids=lambda part: part if isinstance(part, str) else "+".join(part),
)
def test_each_reason_against_a_renewal_is_named(changed, code):
    assert renewal(**changed) == {code}


def test_a_card_that_was_ended_for_this_company_does_not_come_back_by_its_holders_hand():
    lost = replace(OTHER, serial=9, active=False)
    assert renewal(existing=[SAME, lost]) == {"R-122"}
    assert renewal(existing=[SAME, replace(lost, replaced=True)]) == {"R-121"}
    assert codes(card=NEW, existing=[lost]) == {"R-122"}
    assert codes(card=NEW, existing=[replace(lost, replaced=True)]) == {"R-121"}
    # What became of it with another 業者番号 is no matter here; and what is registered again is registered.
    assert codes(card=NEW, existing=[replace(lost, supplier_number="990000002")]) == set()
    assert codes(card=NEW, existing=[lost, replace(OTHER, serial=9)]) == {"R-105"}


def test_a_renewal_says_both_dates_as_they_are_in_japan():
    sooner = replace(NEW, not_after=datetime(2027, 12, 31, 14, 59, 59, tzinfo=UTC))
    (reason,) = rules.refusals_to_renew(FACTS, CARD, sooner, [SAME], rules.Policy(), authority_demo=False, at=NOW)
    assert "（2027年12月31日まで）" in reason.sentence
    assert "（2028年1月1日まで）" in reason.sentence


def test_a_provisional_renewal_is_left_to_staff():
    other = replace(NEW, company_name="株式会社テスト商会０２")
    assert renewal(new=other, policy=rules.Policy(name_mismatch="provisional")) == set()


def test_what_the_agency_has_to_look_at_is_named():
    other = replace(NEW, company_name="株式会社テスト商会０２", holder_name="別人　次郎")
    review = rules.Policy(name_mismatch="provisional", renewal_other_holder="review", approval="required")
    assert renewal(new=other, policy=review) == set()
    assert rules.doubts_of_renewal(FACTS, CARD, NEW, authority_demo=False, old_revoked=False) == []
    doubts = rules.doubts_of_renewal(FACTS, CARD, other, authority_demo=False, old_revoked=True)
    assert doubts == ["name", "holder", "revoked"]
    assert rules.doubts_of_registration(FACTS, CARD, rules.Policy(), authority_demo=False) == []
    assert rules.doubts_of_registration(FACTS, other, review, authority_demo=False) == ["name", "approval"]


def test_a_change_needs_something_changed_and_the_present_state_before_it():
    change = rules.Change("代表電話番号", "017-111-1111", "")
    assert str(change) == "代表電話番号：017-111-1111 → （なし）"
    assert [r.code for r in rules.refusals_to_change([change], based_on="1-0", current="2-0")] == ["R-141"]
    assert [r.code for r in rules.refusals_to_change([], based_on="1-0", current="1-0")] == ["R-142"]
    assert rules.refusals_to_change([change], based_on="1-0", current="1-0") == []


def test_certificates_without_names_agree_with_nobody():
    nameless = replace(CARD, company_name="", holder_name="")
    assert not rules.name_agrees(nameless, replace(FACTS, name=""), demo=False)
    policy = rules.Policy(same_holder=True)
    assert codes(card=replace(nameless, company_name=CARD.company_name), existing=[replace(OTHER, holder_name="")], policy=policy) == {"R-110"}  # fmt: skip
    found = rules.refusals_to_register(FACTS, nameless, [], rules.Policy(), authority_demo=False, on=TODAY)
    assert "「証明書に記載なし」" in found[0].sentence


def test_the_manual_s_own_sample_is_refused_reason_by_reason():
    """業者番号 990000001, （株）テスト商会01: each line of the validation matrix (domain 3.7) that this module decides."""
    matrix = {
        "V5": (codes(existing=[SAME]), "R-105"),
        "V6": (codes(existing=[replace(SAME, supplier_number="990000002")]), "R-106"),
        "V7 ended": (codes(replace(FACTS, status="ended")), "R-112"),
        "V7 not begun": (codes(replace(FACTS, valid_from=TODAY + timedelta(days=1))), "R-111"),
        "V7 over": (codes(replace(FACTS, valid_until=TODAY - timedelta(days=1))), "R-104"),
        "V7 suspended": (codes(replace(FACTS, suspended_from=TODAY)), "R-107"),
        "V9 company": (codes(card=replace(CARD, company_name="株式会社テスト商会０２")), "R-108"),
        "V9 holder": (codes(card=replace(CARD, holder_name="別人　次郎"), existing=[OTHER], policy=rules.Policy(same_holder=True)), "R-110"),
        "V12 same": (renewal(new=CARD), "R-131"),
        "V12 over": (renewal(at=CARD.not_after + timedelta(seconds=1)), "R-135"),
        "V12 sooner": (renewal(new=replace(NEW, not_after=CARD.not_after)), "R-132"),
    }  # fmt: skip
    assert {line: found for line, (found, _) in matrix.items()} == {line: {code} for line, (_, code) in matrix.items()}
    everything = codes(
        replace(FACTS, status="ended", valid_until=TODAY - timedelta(days=1), suspended_from=TODAY),
        replace(CARD, company_name="別会社"),
        existing=[SAME],
        policy=rules.Policy(max_cards_per_supplier=1),
    )
    assert everything == {"R-104", "R-105", "R-107", "R-108", "R-109", "R-112"}


@pytest.mark.parametrize(
    ("changed", "standing"),
    [
        ({}, "good"),
        ({"valid_from": None, "valid_until": None}, "good"),
        ({"status": "ended"}, "ended"),
        ({"status": "ended", "suspended_from": TODAY}, "ended"),
        ({"valid_until": TODAY}, "good"),
        ({"valid_until": TODAY - timedelta(days=1)}, "ended"),
        ({"status": "suspended"}, "suspended"),
        ({"status": "suspended", "suspended_from": TODAY + timedelta(days=1)}, "good"),
        ({"suspended_from": TODAY, "suspended_until": TODAY}, "suspended"),
    ],
)
def test_how_a_registered_company_stands(changed, standing):
    assert rules.qualification(replace(FACTS, **changed), on=TODAY) == standing
