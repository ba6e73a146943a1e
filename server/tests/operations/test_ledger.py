"""The ledger: append-only, gap-free, provable; promises that are kept or seen to be broken."""

from __future__ import annotations

import io
import json
import secrets
import signal
import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.db.transaction import TransactionManagementError

from irefuda.ledger import keys, operations, queries, sequencer
from irefuda.ledger.models import Checkpoint, Entry, Leaf, Node, Pending
from irefuda.ui.stopping import StopRequest
from irefuda_core import jws, merkle, note, receipt

NOW = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)


@pytest.fixture
def ledger_keys(settings: Any, tmp_path: Path) -> dict[str, Any]:
    directory = tmp_path / "keys"
    call_command("make_ledger_keys", directory=directory, stdout=io.StringIO())
    settings.RECEIPT_KEY_FILE = str(directory / "receipt.pem")
    settings.HEAD_KEY_FILE = str(directory / "head.pem")
    settings.LEDGER_KEYS_FILE = str(directory / "ledger-keys.json")
    return keys.published_keys()


def append(content: bytes = b"document", at: datetime = NOW) -> Entry:
    with transaction.atomic():
        return operations.append(document=content, kind="test.deed", at=at, salt=secrets.token_bytes(16))


def sequence(now: datetime = NOW) -> int:
    return sequencer.sequence_batch(key=keys.head_key(), now=now)


def assert_proven(entry: Entry, published: dict[str, Any]) -> None:
    found = queries.proof(entry.id)
    assert found is not None
    head = note.verify_checkpoint(found["checkpoint"], [note.parse_verifier_key(key) for key in published["head_keys"]])
    assert head.size == found["tree_size"]
    assert merkle.verify_inclusion(
        index=found["leaf_index"],
        size=head.size,
        leaf=merkle.leaf_hash(bytes.fromhex(entry.entry_hash)),
        path=[bytes.fromhex(item) for item in found["hashes"]],
        root=head.root,
    )


@pytest.mark.django_db
def test_an_entry_is_proven_after_the_next_batch(ledger_keys):
    first = append()
    assert queries.proof(first.id) is None
    assert sequence() == 1
    others = [append(bytes([n])) for n in range(6)]
    assert sequence() == 6
    assert sequence() == 0
    for entry in (first, *others):
        assert_proven(entry, ledger_keys)
    assert list(Leaf.objects.order_by("seq").values_list("seq", flat=True)) == list(range(7))
    assert not Pending.objects.exists()


@pytest.mark.django_db
def test_an_entry_keeps_the_exact_bytes_under_a_salted_hash():
    document = "署名された文書\r\n\x00".encode()
    entry = append(document)
    stored = Entry.objects.get(id=entry.id)
    assert bytes(stored.document) == document
    assert stored.entry_hash == receipt.entry_hash(salt=bytes(stored.salt), document=document).hex()
    with pytest.raises(ValueError, match="16"), transaction.atomic():
        operations.append(document=b"x", kind="test.deed", at=NOW, salt=b"short")


@pytest.mark.django_db
def test_a_deed_that_is_rolled_back_leaves_nothing():
    with transaction.atomic():
        operations.append(document=b"x", kind="test.deed", at=NOW, salt=bytes(16))
        transaction.set_rollback(True)
    assert not Entry.objects.exists()
    assert not Pending.objects.exists()


@pytest.mark.committing
def test_an_entry_outside_the_transaction_of_its_deed_is_refused(own_database):
    with pytest.raises(TransactionManagementError):
        operations.append(document=b"x", kind="test.deed", at=NOW, salt=bytes(16))
    assert not Entry.objects.exists()


@pytest.mark.committing
@pytest.mark.parametrize(("table", "change"), [
    (Entry, {"kind": "x"}), (Leaf, {"seq": 7}), (Node, {"hash": b"x"}), (Checkpoint, {"note": "x"}),
])  # fmt: skip
def test_nothing_is_changed_deleted_or_replaced(own_database, ledger_keys, table, change):
    append()
    sequence()
    before = list(table.objects.values())
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        table.objects.update(**change)
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        table.objects.all()._raw_delete("default")
    with connection.cursor() as cursor:
        name = connection.ops.quote_name(table._meta.db_table)
        statement = {
            "sqlite": f"INSERT OR REPLACE INTO {name} SELECT * FROM {name}",
            "postgresql": f"TRUNCATE {name} CASCADE",
        }[connection.vendor]
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            cursor.execute(statement)
        if connection.vendor == "postgresql":
            with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
                cursor.execute(f"SET LOCAL session_replication_role = replica; DELETE FROM {name}")
    assert list(table.objects.values()) == before


@pytest.mark.committing
def test_many_writers_and_two_sequencers_leave_no_gap(own_database, ledger_keys):
    def write() -> None:
        try:
            for n in range(20):
                append(bytes([n]))
        finally:
            connection.close()

    def place() -> None:
        try:
            while not finished.is_set() or Pending.objects.exists():
                sequence()
        finally:
            connection.close()

    finished = threading.Event()
    writers = [threading.Thread(target=write) for _ in range(4)]
    sequencers = [threading.Thread(target=place) for _ in range(2)]
    for thread in (*writers, *sequencers):
        thread.start()
    for thread in writers:
        thread.join()
    finished.set()
    for thread in sequencers:
        thread.join()
    assert list(Leaf.objects.order_by("seq").values_list("seq", flat=True)) == list(range(80))
    assert Leaf.objects.values("entry").distinct().count() == 80
    for entry in Entry.objects.all()[:5]:
        assert_proven(entry, ledger_keys)


@pytest.mark.django_db
def test_every_checkpoint_continues_the_one_before(ledger_keys):
    sequencer.sign_first_checkpoint(key=keys.head_key(), now=NOW)
    for count in (1, 3, 2, 7):
        for _ in range(count):
            append()
        sequence()
    notes = Checkpoint.objects.order_by("size").values_list("note", flat=True)
    verifiers = [note.parse_verifier_key(key) for key in ledger_keys["head_keys"]]
    heads = [note.verify_checkpoint(text, verifiers) for text in notes]
    assert [head.size for head in heads] == [0, 1, 4, 6, 13]
    assert heads[0].root == merkle.EMPTY_ROOT
    for old in heads[1:]:
        for new in heads[heads.index(old) :]:
            proof = [bytes.fromhex(item) for item in queries.consistency(old=old.size, new=new.size, now=NOW) or []]
            assert merkle.verify_consistency(
                old=old.size, new=new.size, old_root=old.root, new_root=new.root, proof=proof
            )
    for old, new in ((0, 5), (3, 2), (1, 14)):
        assert queries.consistency(old=old, new=new, now=NOW) is None


@pytest.mark.django_db
def test_a_proof_takes_few_queries(ledger_keys, django_assert_max_num_queries):
    entries = [append() for _ in range(100)]
    sequence()
    with django_assert_max_num_queries(3):
        queries.proof(entries[37].id)


@pytest.mark.django_db
def test_in_production_the_public_head_moves_at_full_hours_only(ledger_keys, settings):
    settings.PRACTICE = False
    early, late = append(at=NOW), append(b"later", at=NOW)
    assert queries.published_checkpoint(NOW) is None
    sequencer.sequence_batch(key=keys.head_key(), now=NOW)
    before, after = NOW + timedelta(minutes=29, seconds=59), NOW + timedelta(minutes=30)
    assert queries.published_checkpoint(before) is None
    assert queries.proof(early.id, before) is None
    assert queries.published_checkpoint(after) == Checkpoint.objects.get(size=2)
    found = queries.proof_by_hash(late.entry_hash, after)
    assert found is not None
    assert found["tree_size"] == 2
    newest = append(b"newest")
    sequence(after + timedelta(minutes=1))
    assert queries.proof(newest.id, after + timedelta(minutes=59)) is None
    assert queries.proof_by_hash("00" * 32, after) is None


@pytest.mark.django_db
def test_a_promise_is_broken_after_a_minute(ledger_keys):
    entry = append()
    assert queries.broken_promises(NOW + receipt.PROMISE) == []
    assert queries.broken_promises(NOW + receipt.PROMISE + timedelta(seconds=1)) == [entry.id]
    sequence()
    assert queries.broken_promises(NOW + timedelta(days=1)) == []


@pytest.mark.django_db
def test_the_receipt_names_the_entry_and_is_the_same_every_time(ledger_keys):
    entry = append()
    (published,) = ledger_keys["receipt_keys"]
    text = operations.receipt_for(entry)
    assert operations.receipt_for(Entry.objects.get(id=entry.id)) == text
    public = receipt.Ed25519PublicKey.from_public_bytes(jws.from_b64url(published["x"]))
    told = receipt.verify_receipt(text, {published["kid"]: public})
    assert (told.entry_id, told.entry_hash.hex()) == (str(entry.id), entry.entry_hash)
    assert told.include_by - told.received_at == timedelta(seconds=60)
    assert told.log == ledger_keys["log"] == "open.localhost:8002/ledger/practice"


@pytest.mark.django_db
def test_the_bundle_carries_the_proof_once_there_is_one(ledger_keys):
    entry = append(b"signed")
    text = operations.receipt_for(entry)
    waiting = queries.bundle(entry_id=entry.id, receipt=text)
    assert waiting["proof"] is None
    sequence()
    bundle = queries.bundle(entry_id=entry.id, receipt=text)
    assert json.loads(json.dumps(bundle)) == bundle
    assert (bundle["document"], bundle["receipt"], bundle["proof"]["leaf_index"]) == ("signed", text, 0)
    assert uuid.UUID(str(entry.id)).version == 4


def test_keys_are_private_and_never_overwritten(ledger_keys, settings):
    for path in (settings.RECEIPT_KEY_FILE, settings.HEAD_KEY_FILE):
        assert Path(path).stat().st_mode & 0o777 == 0o600
    before = Path(settings.HEAD_KEY_FILE).read_bytes()
    with pytest.raises(CommandError, match=r"head\.pem"):
        call_command("make_ledger_keys", directory=Path(settings.HEAD_KEY_FILE).parent)
    assert Path(settings.HEAD_KEY_FILE).read_bytes() == before


def test_a_missing_or_wrong_key_file_is_named(settings, tmp_path):
    settings.HEAD_KEY_FILE = ""
    with pytest.raises(ImproperlyConfigured, match="IREFUDA_HEAD_KEY_FILE"):
        keys.head_key()
    settings.HEAD_KEY_FILE = str(tmp_path / "none.pem")
    with pytest.raises(ImproperlyConfigured, match=r"none\.pem"):
        keys.head_key()
    settings.LEDGER_KEYS_FILE = str(tmp_path / "none.json")
    with pytest.raises(ImproperlyConfigured, match=r"none\.json"):
        keys.published_keys()


@pytest.mark.django_db
def test_the_sequencer_ends_when_a_signal_comes_while_it_waits(ledger_keys):
    stop = StopRequest()
    entry = append()
    # In the middle of its wait: the main thread is the one that the signal interrupts.
    before = signal.signal(signal.SIGALRM, lambda *_: stop.make())
    signal.setitimer(signal.ITIMER_REAL, sequencer.INTERVAL_SECONDS / 2)
    try:
        sequencer.run(clock=lambda: NOW, key=keys.head_key(), stop=stop)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        stop.close()
    assert Leaf.objects.filter(entry=entry).exists()
