"""「登録」 as a transaction: what it makes, what it refuses, whom it tells, and that a refusal leaves nothing behind."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import psycopg
import pytest
from builders import (
    APPLICATION,
    CONTACT,
    look_up,
    make_presenter,
    make_section,
    make_supplier,
    prepare,
    press_register,
    registered,
    set_policy,
    sign_document,
)
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import IntegrityError, connection, transaction
from pki_builder import NOON

from irefuda.ledger.models import Entry, Pending
from irefuda.notices.models import Notice
from irefuda.registration import auth, operations, queries
from irefuda.registration.models import CardStatus, Draft, RegisteredCard, Registration
from irefuda.ui import clock
from irefuda_core.certificate import read_certificate
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.django_db
OTHER_NAME = "株式会社合浦商事"


def rows():
    """Return how many rows there are of everything that a registration writes."""
    return [model.objects.count() for model in (Registration, RegisteredCard, Draft, Entry, Pending, Notice)]


def refused(call, *arguments, **named):
    """Return the codes of the refusal, after seeing that it changed nothing."""
    before = rows()
    with pytest.raises(Refused) as failure:
        call(*arguments, **named)
    assert rows() == before
    return [reason.code for reason in failure.value.refusals]


def told():
    return sorted(
        (notice.kind.removeprefix("registration."), notice.to, notice.inbox) for notice in Notice.objects.all()
    )


# -- one card


def test_a_registration_is_one_of_everything(city, authority):
    card = registered(city, authority.card(), now=NOON)
    assert rows() == [1, 1, 0, 1, 1, 2]
    assert (card.status, card.registered_at, card.person_in_charge) == (CardStatus.ACTIVE, NOON, "係 太郎")
    assert card.office == CONTACT
    assert card.registration.representative == {**CONTACT, "email": "daihyo@example.jp"}
    assert bytes(Entry.objects.get().document).decode() == card.application


def test_a_company_id_is_agency_category_and_a_number_of_its_own(city, authority):
    elsewhere = make_section(code="9991", category="0")
    make_supplier(elsewhere)
    other = make_supplier(city.section, supplier_number="990000002", name=OTHER_NAME)
    first = registered(city, authority.card(), now=NOON)
    second = registered(
        city, authority.card(company=OTHER_NAME), now=NOON, supplier_number=other.supplier_number, name=OTHER_NAME
    )
    third = registered(type(city)(elsewhere, authority, city.supplier), authority.card(), now=NOON)
    ids = [card.registration.company_id for card in (first, second, third)]
    assert [number[:5] for number in ids] == ["99921", "99921", "99910"]
    assert len(set(ids)) == 3
    assert {len(number) for number in ids} == {15}


def test_the_same_draft_answers_with_what_it_became(city, authority):
    card = authority.card()
    draft = prepare(city, card, now=NOON)
    first = press_register(city, card, draft, now=NOON)
    assert press_register(city, card, draft, now=NOON + timedelta(days=40), jws="nothing at all") == first
    assert rows() == [1, 1, 0, 1, 1, 2]


def test_another_cards_draft_is_not_there(city, authority):
    mine, theirs = authority.card(), authority.card()
    draft = prepare(city, theirs, now=NOON)
    assert refused(press_register, city, mine, draft, now=NOON) == ["R-115"]
    prepare(city, mine, now=NOON)
    assert refused(press_register, city, mine, draft, now=NOON) == ["R-115"]
    done = press_register(city, theirs, draft, now=NOON)
    assert done.fingerprint == make_presenter(theirs).card.fingerprint
    # A finished one tells nothing to strangers either.
    assert refused(press_register, city, mine, draft, now=NOON) == ["R-115"]


def test_a_draft_whose_document_was_never_shown_registers_nothing(city, authority):
    card = authority.card()
    draft = look_up(city, card, now=NOON)
    assert refused(press_register, city, card, draft, now=NOON, jws="x") == ["R-115"]
    draft = prepare(city, card, now=NOON)
    look_up(city, card, now=NOON)  # another tab begins again
    assert refused(press_register, city, card, draft, now=NOON) == ["R-115"]


def test_a_form_older_than_the_draft_registers_nothing(city, authority):
    card = authority.card()
    shown_first = prepare(city, card, now=NOON)
    shown_last = prepare(city, card, now=NOON, rep="shachou@example.jp")
    assert refused(press_register, city, card, shown_first, now=NOON) == ["R-117"]
    assert press_register(city, card, shown_last, now=NOON)


@pytest.mark.parametrize("spoil", ["payload", "typ", "signature", "card", "cut", "huge"])
def test_only_this_cards_signature_over_this_very_document_counts(city, authority, spoil):
    card = authority.card()
    draft = prepare(city, card, now=NOON)
    typ = operations.documents.registration_application.typ("practice")
    good = sign_document(card, draft.document, typ)
    jws, code = {
        "payload": (sign_document(card, draft.document.replace("青森 花子", "青森 太郎"), typ), "R-117"),
        "typ": (sign_document(card, draft.document, typ.replace("practice", "production")), "R-117"),
        "signature": (good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"), "K-432"),
        "card": (sign_document(authority.card(), draft.document, typ), "K-425"),
        "cut": (good[: len(good) // 2], "K-431"),
        "huge": ("a." * 500_000, "K-431"),
    }[spoil]
    assert refused(press_register, city, card, draft, now=NOON, jws=jws) == [code]
    assert press_register(city, card, draft, now=NOON, jws=good)


def test_what_the_register_says_now_must_be_what_was_signed(city, authority):
    card = authority.card()
    draft = prepare(city, card, now=NOON)
    city.supplier.address = "青森市本町1-1"
    city.supplier.save()
    assert refused(press_register, city, card, draft, now=NOON) == ["R-116"]
    assert press_register(city, card, prepare(city, card, now=NOON), now=NOON)


def test_the_rulebook_is_asked_again_at_the_last_moment(city, authority):
    card = authority.card()
    draft = prepare(city, card, now=NOON)
    city.supplier.status = "suspended"
    city.supplier.save()
    assert refused(press_register, city, card, draft, now=NOON) == ["R-107"]


def test_a_register_with_characters_that_no_document_can_hold_is_said_so(city, authority):
    city.supplier.branch_name = "支店\u202e"
    city.supplier.save()
    draft = look_up(city, card := authority.card(), now=NOON)
    assert refused(prepare, city, card, now=NOON) == ["R-125"]
    assert Draft.objects.get(id=draft.id).document == ""


def test_who_is_delegated_stands_for_the_company(city, authority):
    city.supplier.delegate = {"name": "青森支店", "title": "支店長", "person": "支店 次郎", "phone": "017-000-0009"}
    city.supplier.save()
    document = json.loads(prepare(city, authority.card(), now=NOON).document)
    assert (document["representative_name"], document["representative_title"]) == ("支店 次郎", "支店長")
    assert (document["branch_name"], document["company_address"]) == ("青森支店", city.supplier.address)


def test_a_long_person_in_charge_by_bytes_is_kept_whole(city, authority):
    card = authority.card()
    person = "葛\U000e0100" * 20
    presenter = operations.Presenter(make_presenter(card).card, False, person)
    draft = look_up(city, card, now=NOON)
    draft = operations.prepare_document(
        section=city.section,
        draft=draft,
        presenter=presenter,
        answers=operations.Answers(CONTACT, CONTACT),
        rules_now=NOON,
        now=NOON,
    )
    signed = sign_document(card, draft.document, operations.documents.registration_application.typ("practice"))
    done = operations.register_card(
        section=city.section,
        presenter=presenter,
        draft_id=draft.id,
        jws=signed,
        rules_now=NOON,
        now=NOON,
        salt=bytes(16),
    )
    done.refresh_from_db()
    assert done.person_in_charge == person


def test_the_person_in_charge_who_signs_is_the_one_who_is_logged_in(city, authority):
    card = authority.card()
    draft = prepare(city, card, now=NOON)
    late = {"presenter": make_presenter(card, person="経理 次郎"), "rules_now": NOON, "now": NOON}
    signed = {
        "section": city.section,
        "draft_id": draft.id,
        "jws": sign_document(card, draft.document, APPLICATION),
        "salt": bytes(16),
    }
    assert refused(operations.register_card, **late, **signed) == ["R-126"]
    draft_shown = draft.document
    shown = operations.renew_document(draft=draft, **late)
    assert json.loads(shown.document)["person_in_charge"] == "経理 次郎"
    assert json.loads(shown.document)["document_id"] != json.loads(draft_shown)["document_id"]
    assert refused(operations.register_card, **late, **signed) == ["R-117"]
    signed["jws"] = sign_document(card, shown.document, APPLICATION)
    assert operations.register_card(**late, **signed).person_in_charge == "経理 次郎"


def test_the_document_stays_as_it_is_while_its_person_in_charge_does(city, authority):
    card = authority.card()
    draft = prepare(city, card, now=NOON)
    later = NOON + timedelta(minutes=5)
    who = {"presenter": make_presenter(card), "rules_now": later, "now": later}
    assert operations.renew_document(draft=draft, **who).document == draft.document
    assert Draft.objects.get().updated_at == NOON


# -- two tabs, two companies


def test_a_document_for_one_company_registers_no_other_of_the_same_data(city, authority):
    twin = make_supplier(city.section, supplier_number="990000002")
    card = authority.card()
    draft = prepare(city, card, now=NOON)
    Draft.objects.filter(id=draft.id).update(supplier=twin)
    assert refused(press_register, city, card, draft, now=NOON) == ["R-116"]


def test_a_document_is_not_written_into_a_draft_that_is_another_company_s_by_now(city, authority):
    make_supplier(city.section, supplier_number="990000002")
    card = authority.card()
    stale = look_up(city, card, now=NOON)
    look_up(city, card, now=NOON, supplier_number="990000002")
    who = {"section": city.section, "draft": stale, "presenter": make_presenter(card), "rules_now": NOON, "now": NOON}
    assert refused(operations.prepare_document, **who, answers=operations.Answers(CONTACT, CONTACT)) == ["R-115"]
    assert Draft.objects.get().document == ""


# -- drafts


def test_what_is_typed_is_kept_for_thirty_days_and_then_deleted(city, authority):
    card = authority.card()
    fingerprint = make_presenter(card).card.fingerprint
    draft = look_up(city, card, now=NOON)
    operations.keep_typed(draft=draft, typed={"rep-person": "青森 花子"}, now=NOON + timedelta(days=1))
    last = NOON + timedelta(days=31)
    kept = queries.draft_of(section=city.section, fingerprint=fingerprint, now=last - timedelta(seconds=1))
    assert kept.typed == {"rep-person": "青森 花子"}
    # Over is over, deleted or not.
    assert queries.draft_of(section=city.section, fingerprint=fingerprint, now=last) is None
    operations.purge(now=last - timedelta(seconds=1))
    assert Draft.objects.exists()
    operations.purge(now=last)
    assert not Draft.objects.exists()


def test_a_draft_that_is_over_begins_empty(city, authority):
    card = authority.card()
    draft = look_up(city, card, now=NOON)
    operations.keep_typed(draft=draft, typed={"rep-person": "青森 花子"}, now=NOON)
    again = look_up(city, card, now=NOON + timedelta(days=30, minutes=-1))
    assert (again.id, again.typed) == (draft.id, {"rep-person": "青森 花子"})
    later = look_up(city, card, now=NOON + timedelta(days=61))
    assert later.typed == {}
    assert later.id != draft.id


def test_only_what_the_form_asks_is_kept_and_no_more_than_anyone_types(city, authority):
    draft = look_up(city, authority.card(), now=NOON)
    typed = {"rep-person": "a\0b" + "x" * 5000, "rep-secret": "1", "card_office-email_again": "e", "csrf": "2"}
    operations.keep_typed(draft=draft, typed=typed, now=NOON)
    draft.refresh_from_db()
    assert draft.typed["rep-person"].startswith("a\x01bxxx")
    assert len(draft.typed["rep-person"]) == operations.TYPED_LENGTH
    assert draft.typed.keys() == {"rep-person", "card_office-email_again"}


# -- further cards


def test_further_cards_share_the_company_id_and_are_announced_to_everyone(city, authority):
    first, second = registered(city, authority.card(), now=NOON), registered(city, authority.card(), now=NOON)
    Notice.objects.all().delete()
    third = registered(city, authority.card(), now=NOON)
    assert len({card.registration_id for card in (first, second, third)}) == 1
    # The office addresses are one and the same here, and each card's inbox has its message all the same.
    assert told() == sorted(
        [
            ("registered", "hanako@example.jp", third.fingerprint),
            ("further_card", "daihyo@example.jp", third.registration.company_id),
            ("further_card", "hanako@example.jp", first.fingerprint),
            ("further_card", "hanako@example.jp", second.fingerprint),
        ]
    )


def test_a_representative_who_reads_a_cards_mail_is_told_once(city, authority):
    first = registered(city, authority.card(), now=NOON, rep="hanako@example.jp")
    assert told() == [("registered", "hanako@example.jp", first.fingerprint)]
    second = registered(city, authority.card(), now=NOON)
    assert told()[0] == ("further_card", "hanako@example.jp", first.fingerprint)
    assert [kind for kind, *_ in told()] == ["further_card", "registered", "registered"]
    assert second.registration.representative == first.registration.representative


def test_a_card_that_is_no_longer_used_is_told_nothing(city, authority):
    first = registered(city, authority.card(), now=NOON)
    RegisteredCard.objects.filter(id=first.id).update(status=CardStatus.CLOSED)
    Notice.objects.all().delete()
    registered(city, authority.card(), now=NOON)
    assert first.fingerprint not in {notice.inbox for notice in Notice.objects.all()}


def test_the_second_first_card_is_asked_to_look_again(city, authority):
    slow, quick = authority.card(), authority.card()
    draft = prepare(city, slow, now=NOON, rep="slow@example.jp")
    registered(city, quick, now=NOON)
    assert refused(press_register, city, slow, draft, now=NOON) == ["R-123"]
    again = prepare(city, slow, now=NOON, rep="slow@example.jp")
    assert json.loads(again.document)["rep_email"] == "daihyo@example.jp"
    assert press_register(city, slow, again, now=NOON).registration.cards.count() == 2


def test_what_two_first_cards_agree_on_stands(city, authority):
    slow = authority.card()
    draft = prepare(city, slow, now=NOON)
    registered(city, authority.card(), now=NOON)
    assert press_register(city, slow, draft, now=NOON).registration.cards.count() == 2


def test_a_registered_card_is_told_at_the_look_up_already(city, authority):
    card = authority.card()
    registered(city, card, now=NOON)
    assert refused(look_up, city, card, now=NOON) == ["R-105"]
    make_supplier(city.section, supplier_number="990000002", name="（株）テスト商会01")
    assert refused(look_up, city, card, now=NOON, supplier_number="990000002") == ["R-106"]


def test_a_closed_card_counts_for_nothing_and_does_not_come_back_by_itself(city, authority):
    set_policy(city, max_cards_per_supplier=1)
    card = authority.card()
    first = registered(city, card, now=NOON)
    assert refused(look_up, city, authority.card(), now=NOON) == ["R-109"]
    RegisteredCard.objects.filter(id=first.id).update(status=CardStatus.CLOSED)
    assert refused(look_up, city, card, now=NOON) == ["R-122"]
    second = registered(city, authority.card(), now=NOON + timedelta(hours=2))
    assert second.registration == first.registration


def test_a_card_that_was_not_accepted_may_apply_again(city, authority):
    card = authority.card()
    first = registered(city, card, now=NOON)
    RegisteredCard.objects.filter(id=first.id).update(status=CardStatus.REJECTED)
    second = registered(city, card, now=NOON + timedelta(hours=2))
    assert auth.registered_card(section=city.section, fingerprint=second.fingerprint) == second


def test_where_the_agency_approves_every_card_waits_without_a_company_id(city, authority):
    set_policy(city, approval="required")
    card = registered(city, authority.card(), now=NOON)
    assert (card.status, card.doubts) == (CardStatus.PROVISIONAL, ["approval"])
    assert Registration.objects.get().representative is None
    assert told() == [("provisional", "hanako@example.jp", card.fingerprint)]
    body = Notice.objects.get().body
    assert "一致しない" not in body
    assert card.registration.company_id not in body
    with pytest.raises(Refused, match="R-118"):
        auth.registered_card(section=city.section, fingerprint=card.fingerprint)


def test_the_database_itself_takes_a_certificate_once(city, authority):
    card = registered(city, authority.card(), now=NOON)
    card.id, card.draft = operations.uuid.uuid4(), operations.uuid.uuid4()
    with pytest.raises(IntegrityError), transaction.atomic():
        card.save(force_insert=True)


def test_one_holder_by_policy(city, authority):
    set_policy(city, same_holder=True)
    registered(city, authority.card(), now=NOON)
    assert refused(look_up, city, authority.card(holder="別人 次郎"), now=NOON) == ["R-110"]
    assert look_up(city, authority.card(holder="テスト　１太郎"), now=NOON)


# -- whose card it is


def test_a_card_of_another_name_is_refused_and_sees_nothing(city, authority):
    registered(city, authority.card(), now=NOON)
    stranger = authority.card(company=OTHER_NAME)
    assert refused(look_up, city, stranger, now=NOON) == ["R-108"]
    # A draft that was opened while the names agreed is of no use either.
    city.supplier.name = OTHER_NAME
    city.supplier.save()
    draft = look_up(city, stranger, now=NOON, name=OTHER_NAME)
    city.supplier.name = "（株）テスト商会01"
    city.supplier.save()
    draft.refresh_from_db()
    registration = queries.registration_of(section=city.section, supplier=draft.supplier)
    show = {"section": city.section, "presenter": make_presenter(stranger), "rules_now": NOON}
    assert refused(operations.company_known, draft=draft, registration=registration, **show) == ["R-108"]


@pytest.fixture
def provisional(city):
    set_policy(city, name_mismatch="provisional")


@pytest.mark.usefixtures("provisional")
def test_a_provisional_card_speaks_for_nobody(city, authority):
    stranger = authority.card(company=OTHER_NAME)
    card = press_register(city, stranger, prepare(city, stranger, now=NOON, rep="stranger@example.jp"), now=NOON)
    assert card.status == CardStatus.PROVISIONAL
    assert card.registration.representative is None
    assert told() == [("provisional", "hanako@example.jp", card.fingerprint)]
    with pytest.raises(Refused) as failure:
        auth.registered_card(section=city.section, fingerprint=card.fingerprint)
    assert failure.value.refusals[0].code == "R-118"

    # The company's own first card is not held up, enters 代表窓口 itself, and nothing goes to the stranger.
    Notice.objects.all().delete()
    own = authority.card()
    draft = look_up(city, own, now=NOON)
    registration = queries.registration_of(section=city.section, supplier=draft.supplier)
    show = {"section": city.section, "presenter": make_presenter(own), "rules_now": NOON}
    assert operations.company_known(draft=draft, registration=registration, **show).representative is None
    done = registered(city, own, now=NOON)
    assert done.status == CardStatus.ACTIVE
    assert done.registration.representative["email"] == "daihyo@example.jp"
    assert {kind for kind, *_ in told()} == {"registered"}
    assert "stranger@example.jp" not in {to for _, to, _ in told()}


@pytest.mark.usefixtures("provisional")
def test_a_provisional_card_is_shown_no_representative_and_no_company_id(city, authority):
    number = registered(city, authority.card(), now=NOON).registration.company_id
    Notice.objects.all().delete()
    stranger = authority.card(company=OTHER_NAME)
    draft = prepare(city, stranger, now=NOON, rep="stranger@example.jp")
    assert "daihyo@example.jp" not in draft.document
    card = press_register(city, stranger, draft, now=NOON)
    assert told() == [("provisional", "hanako@example.jp", card.fingerprint)]
    assert number not in Notice.objects.get().body
    assert Registration.objects.get().representative["email"] == "daihyo@example.jp"


@pytest.mark.usefixtures("provisional")
def test_provisional_cards_use_up_no_limit_and_set_no_holder(city, authority):
    set_policy(city, name_mismatch="provisional", max_cards_per_supplier=1, same_holder=True)
    registered(city, authority.card(company=OTHER_NAME, holder="別人 次郎"), now=NOON)
    assert registered(city, authority.card(), now=NOON).status == CardStatus.ACTIVE


@pytest.mark.usefixtures("provisional")
def test_a_provisional_card_applies_once(city, authority):
    stranger = authority.card(company=OTHER_NAME)
    registered(city, stranger, now=NOON)
    assert refused(look_up, city, stranger, now=NOON) == ["R-105"]


def test_a_demo_authority_certifies_nobody(city, authority):
    stranger = authority.card(company="bidca4")
    lookup = operations.Lookup("990000001", "（株）テスト商会01")
    presenter = make_presenter(stranger, demo=True)
    assert operations.look_up(section=city.section, presenter=presenter, lookup=lookup, rules_now=NOON, now=NOON)


def test_the_daily_command_deletes_what_is_over(city, authority, capsys):
    look_up(city, authority.card(), now=clock.now() - timedelta(days=31))
    look_up(city, authority.card(), now=clock.now() - timedelta(days=29))
    SessionStore().save()
    Session.objects.update(expire_date=clock.now() - timedelta(seconds=1))
    call_command("purge_registration")
    assert "入力の途中の内容 1 件、試行の記録 4 件" in capsys.readouterr().out
    assert Draft.objects.count() == 1
    assert not Session.objects.exists()


def test_a_certificate_is_found_by_the_index_beside_many_cards_that_are_over(authority, city):
    one = registered(city, authority.card(), now=NOON)
    over = {field.attname: getattr(one, field.attname) for field in RegisteredCard._meta.concrete_fields}
    over["status"] = CardStatus.CLOSED
    RegisteredCard.objects.bulk_create(
        [
            RegisteredCard(**{**over, "id": uuid.uuid4(), "draft": uuid.uuid4(), "serial": str(10**20 + number)})
            for number in range(3000)
        ],
        batch_size=500,
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE registration_registeredcard")
    this = RegisteredCard.objects.filter(section=city.section, issuer_key=one.issuer_key, serial=one.serial)
    # As `existing_cards` asks: the index of the constraint holds the living ones only, and cannot serve this.
    assert "registeredcard_by_certificate" in this.exclude(status=CardStatus.REJECTED).explain()


@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite keeps no plan from one request to the next")
def test_what_was_planned_while_nobody_had_registered_reads_no_table_once_for_every_card(authority, city):
    asked = []

    def note(execute, sql, params, many, context):
        if sql.startswith("SELECT") and "registration_registeredcard" in sql:
            asked.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        registered(city, card := authority.card(), now=NOON)
        fingerprint = read_certificate(card.der).fingerprint
        queries.card_of(section=city.section, fingerprint=fingerprint)
        queries.card_standing(section=city.section, fingerprint=fingerprint)
    statements = dict(asked)
    assert len(statements) == 3
    # EXECUTE takes its values as text, which the connection's own cursors do not send.
    with psycopg.ClientCursor(connection.connection) as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        # Empty from the first page on, as on the first day: what earlier tests took back has left pages behind.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("TRUNCATE registration_registration CASCADE")
        for number, (sql, params) in enumerate(statements.items()):
            # psycopg's own planning, by hand: the plan of an empty table serves until the table's numbers are taken.
            for place in range(len(params)):
                sql = sql.replace("%s", f"${place + 1}", 1)
            cursor.execute(f"PREPARE early_{number} AS {sql}")
            _execute(cursor, f"early_{number}", params)
        for number in range(40):
            make_supplier(city.section, supplier_number=f"98{number:07d}")
            registered(city, authority.card(), now=NOON, supplier_number=f"98{number:07d}")
        for number, params in enumerate(statements.values()):
            plan = _execute(cursor, f"early_{number}", params)
            assert max(_loops(plan)) <= 2, plan


def _execute(cursor, name, params):
    cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name} ({', '.join(['%s'] * len(params))})", params)
    return cursor.fetchone()[0][0]["Plan"]


def _loops(plan):
    return [plan["Actual Loops"], *(loops for part in plan.get("Plans", ()) for loops in _loops(part))]
