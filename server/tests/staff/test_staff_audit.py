"""What an auditor finds, proves and takes away; and the alarm when the ledger does not keep its promise."""

from __future__ import annotations

import hashlib
import io
import json
import re
import uuid
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import call_command
from django.db import transaction
from staff_office import Office

from irefuda.ledger import keys, sequencer
from irefuda.ledger import operations as ledger
from irefuda.ledger import queries as ledger_queries
from irefuda.ledger.models import Checkpoint, Entry, Leaf, Pending
from irefuda.staff import inspection, operations, queries, trust
from irefuda.staff.models import Role, StaffAct
from irefuda.ui import clock
from irefuda_core import merkle, note, receipt


@pytest.fixture
def log(office: Office, settings, tmp_path):
    """A ledger with the first administrator's entry and what `more` adds; each call is one batch."""
    call_command("make_ledger_keys", directory=tmp_path / "keys", stdout=io.StringIO())
    settings.HEAD_KEY_FILE = str(tmp_path / "keys" / "head.pem")
    settings.LEDGER_KEYS_FILE = str(tmp_path / "keys" / "ledger-keys.json")
    settings.RECEIPT_KEY_FILE = str(tmp_path / "keys" / "receipt.pem")

    def more(number: int = 0, kind: str = "registration.registered", at=None):
        made = []
        for index in range(number):
            with transaction.atomic():
                document = f'{{"n":"{uuid.uuid4()}","type":"{index}"}}'.encode()
                made.append(ledger.append(document=document, kind=kind, at=at or clock.now(), salt=bytes(16)))
        sequencer.sequence_batch(key=keys.head_key(), now=at or clock.now())
        return made

    more()
    return more


def test_an_entry_is_read_with_its_proof_computed_anew(office: Office, log):
    (made, *_rest) = log(5)
    reading = inspection.read(made, now=clock.now())
    assert (reading.promise, reading.is_proved, reading.hash_fits) == ("kept", True, True)
    assert reading.sha256 == hashlib.sha256(bytes(made.document)).hexdigest()
    first = Entry.objects.get(kind="staff.first_administrator_added")
    rows = dict(inspection.read(first, now=clock.now()).rows)
    assert rows["理由"] == "最初の管理者の登録"
    # What is not what the tree holds is told, whichever half was changed.
    changed = Entry(id=made.id, kind=made.kind, salt=made.salt, document=b"{}", entry_hash=made.entry_hash)
    changed.recorded_at = made.recorded_at
    reading = inspection.read(changed, now=clock.now())
    assert (reading.is_proved, reading.hash_fits) == (False, False)


def test_the_promise_is_waited_for_kept_late_or_broken(office: Office, log):
    now = clock.now()
    with transaction.atomic():
        entry = ledger.append(document=b"{}", kind="k", at=now, salt=bytes(16))
    assert inspection.read(entry, now=now + receipt.PROMISE).promise == "waiting"
    assert inspection.read(entry, now=now + receipt.PROMISE + timedelta(seconds=1)).promise == "broken"
    log(at=now + timedelta(minutes=5))
    assert inspection.read(entry, now=now + timedelta(minutes=6)).promise == "late"


def shown(page):
    """Return the entries that a page lists, in its order."""
    return [
        uuid.UUID(found)
        for found in re.findall(r'href="/audit/entries/([0-9a-f-]{36})/"', page.text.partition("<h2>記録</h2>")[2])
    ]


def test_entries_are_found_by_kind_day_number_and_digest(office: Office, log, browser):
    now = clock.now()
    card, _ = office.let_in(Role.AUDITOR)
    old = log(3)
    new = log(2, kind="other.kind", at=now + timedelta(days=30))
    app = browser(card)

    def found(**asked):
        page = app.get("/audit/", asked)
        return shown(page) if page.status_code == 200 else page.headers["Location"]

    assert set(found(kind="other")) == {entry.id for entry in new}
    day = queries.today(now).isoformat()
    assert set(found(first_day=day, last_day=day, kind="registration")) == {entry.id for entry in old}
    later = queries.today(now + timedelta(days=29)).isoformat()
    assert set(found(first_day=later)) == {entry.id for entry in new}
    assert found(first_day=later, last_day=later) == []
    address = f"/audit/entries/{old[0].id}/"
    assert found(entry=str(old[0].id)).endswith(address)
    assert found(digest=old[0].entry_hash).endswith(address)
    assert found(digest=hashlib.sha256(bytes(old[0].document)).hexdigest().upper()).endswith(address)
    assert "見つかりませんでした" in app.get("/audit/", {"entry": str(uuid.uuid4())}).text
    assert "見つかりませんでした" in app.get("/audit/", {"digest": "0" * 64}).text
    for wrong in ({"entry": "x"}, {"digest": "x"}, {"first_day": "x"}, {"below": "x"}, {"below": "9" * 40}):
        assert app.get("/audit/", wrong).status_code == 200
    page = app.get(address)
    assert "守られました" in page.text
    assert "確かめられました" in page.text


def test_a_long_list_goes_on_page_by_page(office: Office, log, browser):
    card, _ = office.let_in(Role.AUDITOR)
    log(120)
    app = browser(card)
    page, seen = app.get("/audit/", {"kind": "registration."}), []
    # People count from one, as the contractor's print does.
    assert page.html.select_one("tbody th").text == str(Leaf.objects.count())
    assert f"{Leaf.objects.count()}番目" in page.click(href=f"/audit/entries/{shown(page)[0]}/").text
    while True:
        seen += shown(page)
        if "次の50件" not in page.text:
            break
        page = page.click("次の50件")
    assert len(seen) == 120
    assert seen == [
        leaf.entry_id for leaf in Leaf.objects.order_by("-seq") if leaf.entry.kind == "registration.registered"
    ]


def test_two_heads_are_compared_and_a_rewritten_one_is_seen(office: Office, log):
    log(2)
    old = ledger_queries.latest_checkpoint().size
    log(6)
    new = ledger_queries.latest_checkpoint().size
    result = inspection.compare(old=old, new=new)
    assert result.is_consistent
    assert result.hashes
    assert inspection.compare(old=new, new=new).is_consistent
    assert "ありません" in inspection.compare(old=old, new=new + 1).problem
    # Heads of a history that was computed anew, signed with the right key; and one by another key.
    for size, key in ((new - 1, keys.head_key()), (new + 1, keys.head_key()), (new - 2, Ed25519PrivateKey.generate())):
        forged = note.sign_checkpoint(note.Checkpoint(keys.log_name(), size, bytes(32)), key)
        Checkpoint.objects.create(size=size, note=forged, signed_at=clock.now())
    results = [inspection.compare(old=old, new=size) for size in (new - 1, new + 1, new - 2)]
    assert [(result.is_consistent, result.problem[:12]) for result in results] == [
        (False, ""),
        (False, "証明に必要な木の行がデー"),
        (False, "台帳の記録に、この台帳の"),
    ]


def test_the_page_of_the_proof_says_so(office: Office, log, browser):
    log(3)
    card, _ = office.let_in(Role.AUDITOR)
    app = browser(card)
    size = ledger_queries.latest_checkpoint().size
    assert "確かめられました。" in app.get("/audit/consistency/", {"old": 1, "new": size}).text
    assert "後の件数は、前の件数以上" in app.get("/audit/consistency/", {"old": size, "new": 1}).text
    assert "チェックポイントはありません" in app.get("/audit/consistency/", {"old": 1, "new": 10**14}).text
    assert app.get("/audit/consistency/", {"old": "x"}).status_code == 200


def test_an_exported_period_is_enough_to_prove_itself(office: Office, log, browser):
    """As docs/staff.md tells a reader to do: hashes, then the peaks before, then the root after."""
    now = clock.now()
    card, _ = office.let_in(Role.AUDITOR)
    log(5)
    log(6, at=now + timedelta(days=40))
    app = browser(card)
    form = next(form for form in app.get("/audit/export/").forms.values() if "first_day" in form.fields)
    day = queries.today(now + timedelta(days=40)).isoformat()
    form["first_day"], form["last_day"] = day, day
    form["reason"] = "定期監査のため"
    answer = form.submit()
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="ledger-')
    head, *lines = [json.loads(line) for line in answer.text.splitlines()]
    assert (head["end"] - head["start"], head["start"]) == (6, Leaf.objects.count() - 6)
    assert [line["seq"] for line in lines] == list(range(head["start"], head["end"]))
    for line in lines:
        computed = receipt.entry_hash(salt=bytes.fromhex(line["salt"]), document=line["document"].encode())
        assert computed.hex() == line["entry_hash"]
    nodes = {(level, index): bytes.fromhex(content) for level, index, content in head["peaks_before"]}
    verifiers = [note.parse_verifier_key(key) for key in keys.published_keys()["head_keys"]]
    before = note.verify_checkpoint(head["checkpoint_before"], verifiers)
    assert merkle.root(before.size, lambda *place: nodes[place]) == before.root
    leaves = [merkle.leaf_hash(bytes.fromhex(line["entry_hash"])) for line in lines]
    added = merkle.completed_nodes(before.size, leaves, lambda *place: nodes[place])
    nodes |= {(level, index): content for level, index, content in added}
    after = note.verify_checkpoint(head["checkpoint_after"], verifiers)
    assert merkle.root(after.size, lambda *place: nodes[place]) == after.root
    # Who took it, and why, is in the ledger; sent twice, it is there once.
    form.submit()
    (noted,) = Entry.objects.filter(kind="staff.ledger_exported")
    assert "定期監査のため" in bytes(noted.document).decode()
    # Another period under the same name (the way back in the browser) is another deed.
    form["first_day"], form["last_day"] = queries.today(now).isoformat(), day
    form.submit()
    assert Entry.objects.filter(kind="staff.ledger_exported").count() == 2


def test_another_s_deed_is_no_leave_to_take_the_ledger_unseen(office: Office, log, browser):
    log(3)
    deed = office.deed(office.actor(office.let_in(Role.AUDITOR)[0]))
    today = queries.today(clock.now())
    operations.note_export(deed=deed, first=today, last=today)
    card, member = office.let_in(Role.AUDITOR, name="監査 次郎")
    form = next(form for form in browser(card).get("/audit/export/").forms.values() if "first_day" in form.fields)
    form["first_day"] = form["last_day"] = today.isoformat()
    form["reason"], form["act"] = "定期監査のため", str(deed.id)
    form.submit()
    assert StaffAct.objects.filter(kind="staff.ledger_exported", member=member).count() == 1


def test_every_page_sounds_the_alarm_when_a_promise_is_broken(office: Office, log, browser):
    app = browser(office.first)
    assert "台帳の警報" not in app.get("/").text
    Pending.objects.all().delete()
    with transaction.atomic():
        ledger.append(document=b"{}", kind="k", at=clock.now() - timedelta(seconds=61), salt=bytes(16))
    for address in ("/", "/members/", "/login/", "/audit/"):
        page = app.get(address)
        assert "台帳の警報" in page.text, address
    log()
    assert "台帳の警報" not in app.get("/").text


def test_the_trust_store_tells_how_old_each_list_is(office: Office, staff_authority):
    now = clock.now()
    (state,) = trust.authorities(now=now, counts=[lambda: {"other": 7}])
    issuing = state.lists[-1]
    assert (state.audience, state.cards, issuing.state) == ("職員", 1, "fresh")
    assert state.lists[0].state == "missing"
    assert trust.alarm(now) == ""
    assert issuing.record is not None
    end = issuing.record.next_update
    for moment, word in ((end + timedelta(seconds=1), "late"), (end + timedelta(hours=25), "over")):
        assert trust.authorities(now=moment)[0].lists[-1].state == word
        assert "1件" in trust.alarm(moment)
