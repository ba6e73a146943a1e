"""Settings of an agency: what changes, what is written down, who may."""

from __future__ import annotations

from dataclasses import fields
from datetime import date, time

import pytest
from builders import make_section
from staff_office import Office

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Agency, SpecialClosure
from irefuda.ledger.models import Entry
from irefuda.staff import agency_settings
from irefuda.staff.forms import AgencyTextsForm, HoursForm, PolicyForm
from irefuda.staff.models import Role, StaffAct
from irefuda_core.refusal import Refused
from irefuda_core.registration import KNOB_CHOICES, Policy


@pytest.fixture
def agency(office: Office) -> Agency:
    return make_section(code="9991", category="0", name="入札市 契約課").agency


def code(call, **named):
    with pytest.raises(Refused) as failure:
        call(**named)
    return " ".join(reason.code for reason in failure.value.refusals)


def test_every_knob_has_its_words_and_every_choice_too():
    assert set(agency_settings.KNOBS) == {field.name for field in fields(Policy)}
    told = {name: set(knob.choices) for name, knob in agency_settings.KNOBS.items() if knob.choices}
    assert told == {name: set(choices) for name, choices in KNOB_CHOICES.items()}
    form = PolicyForm()
    assert [name for name in form.fields if name != "reason"] == [field.name for field in fields(Policy)]


def test_the_form_knows_the_limits_of_the_rulebook():
    for name, knob in agency_settings.KNOBS.items():
        if not knob.most:
            continue
        for value in (knob.least, knob.most):
            Policy.from_knobs({name: value})
        with pytest.raises(ValueError, match=name):
            Policy.from_knobs({name: knob.least - 1})


def test_knobs_are_turned_and_only_what_differs_is_kept(office: Office, agency: Agency):
    card, _ = office.let_in(Role.CONTRACTS, agency=agency)
    wanted = Policy(max_cards_per_supplier=3, name_mismatch="provisional", fax_required=False)
    deed = office.deed(office.actor(card), reason="要綱の改正")
    agency_settings.change_policy(deed=deed, agency_id=agency.id, policy=wanted)
    agency.refresh_from_db()
    assert agency.policy == {"max_cards_per_supplier": 3, "name_mismatch": "provisional", "fax_required": False}
    assert Policy.from_knobs(agency.policy) == wanted
    (act,) = StaffAct.objects.filter(kind="staff.policy_changed")
    assert act.subject == "agency:9991"
    assert ["1社で登録できるICカードの枚数", "上限なし", "3枚"] in act.changes
    assert Entry.objects.filter(id=act.ledger_entry).exists()
    # Sent twice: once.
    agency_settings.change_policy(deed=deed, agency_id=agency.id, policy=Policy())
    agency.refresh_from_db()
    assert Policy.from_knobs(agency.policy) == wanted
    agency_settings.change_policy(deed=office.deed(), agency_id=agency.id, policy=Policy())
    agency.refresh_from_db()
    assert agency.policy == {}


def test_texts_and_hours_take_effect_at_once(office: Office, agency: Agency):
    assert agencies.section(agency_code="9991", category="0").agency.opens_at == time(8, 30)
    values = {"opens_at": time(9), "closes_at": time(17, 30)}
    agency_settings.change_columns(deed=office.deed(), agency_id=agency.id, values=values)
    shared = agencies.section(agency_code="9991", category="0").agency
    assert (shared.opens_at, shared.closes_at) == (time(9), time(17, 30))
    (act,) = StaffAct.objects.filter(kind="staff.agency_changed")
    assert act.changes == [["運用を始める時刻", "08:30", "09:00"], ["運用を終える時刻", "20:00", "17:30"]]


def test_a_day_is_closed_once_and_reopened(office: Office, agency: Agency):
    day = {"agency_id": agency.id, "closed_on": date(2027, 3, 1), "shown_reason": "システムの保守のため"}
    agency_settings.close_day(deed=office.deed(), **day)
    assert code(agency_settings.close_day, deed=office.deed(), **day) == "S-912"
    closure = SpecialClosure.objects.get()
    agency_settings.reopen_day(deed=office.deed(), agency_id=agency.id, closure_id=closure.id)
    assert not SpecialClosure.objects.exists()
    gone = {"agency_id": agency.id, "closure_id": closure.id}
    assert code(agency_settings.reopen_day, deed=office.deed(), **gone) == "S-910"
    told = [act.changes for act in StaffAct.objects.filter(subject="agency:9991").order_by("acted_at")]
    assert told == [
        [["2027年3月1日", "暦のとおり", "臨時休止（システムの保守のため）"]],
        [["2027年3月1日", "臨時休止（システムの保守のため）", "暦のとおり"]],
    ]


def test_who_has_lost_the_role_or_is_of_another_agency_changes_nothing(office: Office, agency: Agency):
    other = make_section(code="9992", name="別の機関").agency
    auditor, _ = office.let_in(Role.AUDITOR)
    stranger, _ = office.let_in(Role.CONTRACTS, agency=other)
    for card in (auditor, stranger):
        deed = office.deed(office.actor(card))
        refused = code(agency_settings.change_columns, deed=deed, agency_id=agency.id, values={"opens_at": time(6)})
        assert refused == "S-908"
    agency.refresh_from_db()
    assert agency.opens_at == time(8, 30)


@pytest.mark.parametrize(
    ("field", "typed", "mistake"),
    [
        ("helpdesk_url", "javascript:alert(1)", "https://"),
        ("helpdesk_email", "x", "メールアドレス"),
        ("helpdesk_phone", "12", "電話番号"),
        ("contracts_office", "", "契約課の名称を入力してください。"),
        ("lookup_text", "あ" * 401, "400文字以内"),
        ("lookup_text", "一\x00二", "使えない文字"),
    ],
)
def test_what_is_mistyped_is_told_at_its_field(field, typed, mistake):
    good = {
        "contracts_office": "契約課",
        "lookup_text": "",
        "helpdesk_name": "ヘルプデスク",
        "system_email": "ebid@example.jp",
        "reason": "理由",
    }
    form = AgencyTextsForm({**good, field: typed})
    assert mistake in " ".join(form.errors[field])
    assert AgencyTextsForm(good).is_valid()


def test_an_agency_opens_before_it_closes():
    form = HoursForm({"opens_at": "20:00", "closes_at": "08:30", "reason": "x"})
    assert "始める時刻より後" in " ".join(form.errors["closes_at"])
    assert HoursForm({"opens_at": "08:30", "closes_at": "20:00", "reason": "x"}).is_valid()
