"""A superuser puts the triggers aside and changes a row: the audit finds it and names it."""

from __future__ import annotations

import contextlib
import io
import json
import secrets
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from builders import make_authority, make_city
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from steps import register

from irefuda.ledger import audit, keys, locks, operations, sequencer
from irefuda.ledger.models import Checkpoint, Entry, Leaf, Node, Pending
from irefuda.registration import audit as registration_audit
from irefuda.registration.models import RegisteredCard
from irefuda.ui import clock
from irefuda_core import chain, merkle, note, receipt

NOW = datetime(2026, 11, 24, 1, 30, tzinfo=UTC)
SIZES = (4, 9, 11)

pytestmark = pytest.mark.committing


@pytest.fixture
def ledger_keys(settings: Any, tmp_path: Path) -> None:
    directory = tmp_path / "keys"
    call_command("make_ledger_keys", directory=directory, stdout=io.StringIO())
    settings.RECEIPT_KEY_FILE = str(directory / "receipt.pem")
    settings.HEAD_KEY_FILE = str(directory / "head.pem")
    settings.LEDGER_KEYS_FILE = str(directory / "ledger-keys.json")


def append(at: datetime = NOW) -> Entry:
    with transaction.atomic():
        return operations.append(
            document=secrets.token_hex(20).encode(), kind="test.deed", at=at, salt=secrets.token_bytes(16)
        )


def sequence(now: datetime = NOW) -> None:
    sequencer.sign_first_checkpoint(key=keys.head_key(), now=now)
    sequencer.sequence_batch(key=keys.head_key(), now=now)


@pytest.fixture
def log(own_database: str, ledger_keys: None) -> list[Entry]:
    """Eleven entries in three batches; entry n has place n."""
    entries: list[Entry] = []
    for number, size in enumerate(SIZES):
        while len(entries) < size:
            entries.append(append(NOW + timedelta(seconds=len(entries))))
        sequence(NOW + timedelta(minutes=number))
    return entries


@contextlib.contextmanager
def as_superuser(*tables: str) -> Iterator[Any]:
    """Do what only the database's superuser can: change rows with every trigger put aside, and put them back."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            yield cursor
            for table in tables:
                cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
                if table in locks.INSERT_ONLY:
                    cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")
        else:
            cursor.execute("PRAGMA foreign_keys = OFF")
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'")
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
            yield cursor
            for _, sql in triggers:
                cursor.execute(sql)
            cursor.execute("PRAGMA foreign_keys = ON")


def change(row: Any, **values: Any) -> None:
    with as_superuser(row._meta.db_table):
        assert type(row).objects.filter(pk=row.pk).update(**values) == 1


def remove(row: Any) -> None:
    with as_superuser(row._meta.db_table):
        assert type(row).objects.filter(pk=row.pk)._raw_delete("default") == 1


def found(now: datetime = NOW) -> list[tuple[str, str]]:
    return [(finding.table, finding.row) for finding in audit.findings(now)]


def told(now: datetime = NOW) -> str:
    return "\n".join(map(str, audit.findings(now)))


def test_a_sound_ledger_has_nothing_to_say(log):
    append(at=clock.now())  # one that waits
    assert found() == []
    out = io.StringIO()
    call_command("audit_ledger", stdout=out)
    assert "記録 12 件、署名された先頭 4 件、順番待ち 1 件" in out.getvalue()
    assert "食い違いはありません" in out.getvalue()


def test_an_empty_ledger_is_sound(own_database, ledger_keys):
    assert found() == []
    sequence()
    assert found() == []


OF_AN_ENTRY: dict[str, tuple[dict[str, Any], str]] = {
    "document": ({"document": b"another"}, "文書（document）かソルト（salt）"),
    "salt": ({"salt": bytes(16)}, "文書（document）かソルト（salt）"),
    "no salt at all": ({"salt": b""}, "文書（document）かソルト（salt）"),
    "hash": ({"entry_hash": "ab" * 32}, "指紋（entry_hash）"),
    "not a hash": ({"entry_hash": "x"}, "指紋（entry_hash）"),
    "kind": ({"kind": "registration.closed"}, "種別（kind）か受付日時（recorded_at）"),
    "moment": ({"recorded_at": NOW - timedelta(microseconds=1)}, "種別（kind）か受付日時（recorded_at）"),
    "document and hash apart": ({"document": b"x", "entry_hash": "cd" * 32}, "文書（document）、ソルト（salt）、指紋"),
}


@pytest.mark.parametrize("place", [0, 3, 6, 10])
def test_a_changed_entry_is_named_and_nothing_else(log, place):
    entry = Entry.objects.get(id=log[place].id)
    for values, differs in OF_AN_ENTRY.values():
        before = {name: getattr(entry, name) for name in values}
        change(entry, **values)
        assert set(found()) == {("ledger_entry", str(entry.id))}, values
        assert differs in told()
        change(entry, **before)
    assert found() == []


def test_an_entry_rewritten_with_its_hash_is_named_at_its_place(log):
    salt, document = bytes(16), b"another deed"
    change(log[5], salt=salt, document=document, entry_hash=receipt.entry_hash(salt=salt, document=document).hex())
    assert found() == [("ledger_leaf", "5")]
    assert str(log[5].id) in told()


def test_text_in_the_place_of_bytes_is_named_too(log):
    if connection.vendor == "sqlite":
        with as_superuser("ledger_entry") as cursor:
            cursor.execute("UPDATE ledger_entry SET document = 'text' WHERE id = %s", [log[2].id.hex])
    else:
        change(log[2], document=b"text")
    assert found() == [("ledger_entry", str(log[2].id))]


def test_neighbours_that_were_both_changed_are_both_named(log):
    change(log[6], kind="x")
    change(log[7], kind="x")
    assert {("ledger_entry", str(log[6].id)), ("ledger_entry", str(log[7].id))} == set(found())


@pytest.mark.parametrize("place", [0, 3, 10])
def test_a_deleted_entry_is_named(log, place):
    remove(log[place])
    assert found() == [("ledger_entry", str(log[place].id))]


def test_a_deleted_deed_without_a_trace_in_the_places_is_named(log):
    remove(log[6])
    remove(Leaf.objects.get(seq=6))
    assert found() == [("ledger_leaf", "6")]
    remove(Leaf.objects.get(seq=10))
    assert set(found()) == {("ledger_leaf", "6"), ("ledger_leaf", "10"), ("ledger_entry", str(log[10].id))}


def test_swapped_places_are_named(log):
    with as_superuser("ledger_leaf"):
        Leaf.objects.filter(seq=2).update(entry_id="00000000-0000-4000-8000-000000000000")
        Leaf.objects.filter(seq=7).update(entry_id=log[2].id)
        Leaf.objects.filter(seq=2).update(entry_id=log[7].id)
    assert found() == [("ledger_leaf", "2"), ("ledger_leaf", "7")]


@pytest.mark.parametrize("place", [0, 3, 10])
def test_a_changed_link_is_named(log, place):
    change(Leaf.objects.get(seq=place), link=bytes(32))
    assert found() == [("ledger_leaf", str(place))]


def test_every_changed_or_missing_node_is_named(log):
    for node in Node.objects.order_by("level", "index"):
        name = ("ledger_node", f"{node.level}/{node.index}")
        change(node, hash=bytes(32))
        assert found() == [name]
        change(node, hash=bytes(node.hash))
    assert found() == []
    remove(Node.objects.get(level=1, index=2))
    remove(Node.objects.get(level=0, index=8))
    assert found() == [("ledger_node", "1/2"), ("ledger_node", "0/8")]


def test_a_changed_or_replaced_head_is_named(log):
    middle, newest = Checkpoint.objects.get(size=9), Checkpoint.objects.get(size=11)
    change(middle, note=newest.note)
    assert found() == [("ledger_checkpoint", "9")]
    change(middle, note=middle.note.replace("9", "8", 1))
    assert found() == [("ledger_checkpoint", "9")]
    change(middle, note="x")
    assert found() == [("ledger_checkpoint", "9")]
    change(middle, note=middle.note, signed_at=middle.signed_at - timedelta(hours=1))
    assert found() == [("ledger_checkpoint", "9")]
    assert "日時" in told()
    change(middle, signed_at=middle.signed_at)
    assert found() == []


def test_a_head_by_another_key_or_log_is_named(log, settings):
    head = Checkpoint.objects.get(size=4)
    signed = note.read_checkpoint(head.note.rpartition("\n\n")[0] + "\n")
    stranger = note.Ed25519PrivateKey.generate()
    change(head, note=note.sign_checkpoint(signed, stranger))
    assert found() == [("ledger_checkpoint", "4")]
    change(head, note=note.sign_checkpoint(signed, keys.head_key()))
    assert found() == []
    other = note.Checkpoint("open.localhost:8002/ledger/other", 4, signed.root, signed.extensions)
    published = json.loads(Path(settings.LEDGER_KEYS_FILE).read_text())
    published["head_keys"].append(str(note.verifier_key(other.origin, keys.head_key().public_key())))
    settings.LEDGER_KEYS_FILE = str(Path(settings.LEDGER_KEYS_FILE).with_name("two.json"))
    Path(settings.LEDGER_KEYS_FILE).write_text(json.dumps(published))
    change(head, note=note.sign_checkpoint(other, keys.head_key()))
    assert "別の台帳の署名です" in told()


def test_the_newest_head_taken_away_leaves_places_that_nobody_signed(log):
    remove(Checkpoint.objects.get(size=11))
    assert {("ledger_leaf", "9"), ("ledger_leaf", "10")} <= set(found())


def test_a_tree_that_was_computed_again_stands_against_its_signed_heads(log):
    """The cleverest change short of the head key: document, hash, every node and every link made to fit."""
    salt, document = bytes(16), b"another deed"
    change(log[1], salt=salt, document=document, entry_hash=receipt.entry_hash(salt=salt, document=document).hex())
    link, leaf_hashes = chain.START, []
    for leaf in Leaf.objects.select_related("entry").order_by("seq"):
        content = bytes.fromhex(leaf.entry.entry_hash)
        leaf_hashes.append(merkle.leaf_hash(content))
        link = chain.next_link(
            link, entry_id=str(leaf.entry_id), kind=leaf.entry.kind, recorded_at=leaf.entry.recorded_at,
            entry_hash=content,
        )  # fmt: skip
        change(leaf, link=link)
    for level, index, content in merkle.completed_nodes(0, leaf_hashes, lambda *place: b""):
        change(Node.objects.get(level=level, index=index), hash=content)
    assert found() == [("ledger_checkpoint", str(size)) for size in SIZES]
    assert "署名された根が" in told()


def test_rows_that_belong_nowhere_are_named(log):
    loose = append()
    with as_superuser("ledger_pending"):
        Pending.objects.filter(entry=loose).delete()
    assert found() == [("ledger_entry", str(loose.id))]
    Leaf.objects.create(seq=40, entry=loose, link=bytes(32))
    Node.objects.create(level=5, index=0, hash=bytes(32))
    Node.objects.create(level=0, index=11, hash=bytes(32))
    Pending.objects.create(entry=log[0])
    assert set(found()) == {
        ("ledger_leaf", "40"), ("ledger_node", "5/0"), ("ledger_node", "0/11"), ("ledger_pending", str(log[0].id)),
    }  # fmt: skip


def test_what_waits_too_long_or_was_changed_while_waiting_is_named(log):
    waiting = append(at=NOW)
    assert found(NOW + receipt.PROMISE) == []
    assert found(NOW + receipt.PROMISE + timedelta(seconds=1)) == [("ledger_pending", str(waiting.id))]
    change(waiting, document=b"changed before its turn")
    assert found() == [("ledger_entry", str(waiting.id))]
    remove(waiting)
    assert found() == [("ledger_entry", str(waiting.id))]


def test_triggers_that_were_not_put_back_are_named(log):
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("ALTER TABLE ledger_node DISABLE TRIGGER ALL")
            cursor.execute("ALTER TABLE ledger_leaf ENABLE TRIGGER ALL")  # but no longer ALWAYS
        else:
            cursor.execute("DROP TRIGGER ledger_node_no_update")
            cursor.execute("DROP TRIGGER ledger_leaf_no_replace")
    assert found() == [("ledger_leaf", "（表）"), ("ledger_node", "（表）")]


def test_the_command_names_the_row_and_ends_with_one(log):
    change(log[4], document=b"changed")
    out = io.StringIO()
    with pytest.raises(CommandError, match="1 件の食い違い") as ended:
        call_command("audit_ledger", stdout=out)
    assert ended.value.returncode == 1
    assert f"ledger_entry {log[4].id}：文書" in out.getvalue()


def test_deeds_go_on_during_an_audit_and_do_not_disturb_it(log):
    with locks.still_picture():
        before = audit.sizes()
        writes_from_elsewhere()
        assert found() == []
        assert audit.sizes() == before
    assert audit.sizes() != before
    assert found() == []


def writes_from_elsewhere() -> None:
    """Append and sequence on a connection of another thread."""
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            append()
            sequence()
        except DatabaseError as failure:
            wrong.append(failure)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert wrong == []


def test_memory_stays_flat(log):
    """Ten times the entries cost no more than a page of them."""

    def peak() -> int:
        tracemalloc.start()
        assert found() == []
        (_, most) = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    def grow(count: int) -> None:
        with transaction.atomic():
            for _ in range(count):
                operations.append(document=secrets.token_bytes(2000), kind="k", at=NOW, salt=bytes(16))
        sequence(NOW + timedelta(minutes=5))

    peak()
    grow(2 * audit.PAGE)
    small = peak()
    grow(10 * audit.PAGE)
    assert peak() < 1.5 * small


# -- the registered cards beside their entries


@pytest.fixture
def registered(own_database: str, ledger_keys: None, static_files: None, django_app: Any) -> RegisteredCard:
    authority = make_authority()
    make_city(authority)
    register(django_app, authority.card())
    sequence(clock.now())
    return RegisteredCard.objects.get()


def card_findings() -> list[str]:
    return [str(finding) for finding in registration_audit.findings(clock.now())]


CHANGES: dict[str, Callable[[RegisteredCard], dict[str, Any]]] = {
    "application": lambda card: {"application": card.application[:-2]},
    "receipt": lambda card: {"receipt": card.receipt[:-8] + "AAAAAAAA"},
    "registered_at": lambda card: {"registered_at": card.registered_at - timedelta(days=1)},
    "certificate": lambda card: {"certificate": b"x" + bytes(card.certificate)},
    "fingerprint": lambda card: {"fingerprint": "ab" * 32},
    "serial": lambda card: {"serial": "1"},
    "office": lambda card: {"office": {**card.office, "email": "thief@example.jp"}},
    "person_in_charge": lambda card: {"person_in_charge": "だれか"},
}


def test_a_changed_registration_is_named_with_its_column(registered):
    assert card_findings() == []
    for column, values in CHANGES.items():
        changed = values(registered)
        change(registered, **changed)
        (line,) = card_findings()
        assert line.startswith(f"registration_registeredcard {registered.id}：{column}："), line
        change(registered, **{name: getattr(registered, name) for name in changed})
    registration = registered.registration
    change(registration, representative={**registration.representative, "email": "thief@example.jp"})
    (line,) = card_findings()
    assert line.startswith(f"registration_registration {registration.id}：representative：")
    change(registration.supplier, supplier_number="990000002")
    assert any("業者番号" in line for line in card_findings())


def test_a_receipt_of_another_deed_is_named(registered):
    with transaction.atomic():
        other = operations.append(document=b"x", kind="test.deed", at=clock.now(), salt=bytes(16))
    change(registered, receipt=operations.receipt_for(other))
    (line,) = card_findings()
    assert "受付の控え（レシート）が、台帳の記録と違います" in line


def test_application_and_entry_changed_together_still_stand_against_the_tree(registered):
    forged = registered.application[:-20] + registered.application[-20:].swapcase()
    change(registered, application=forged)
    change(Entry.objects.get(), document=forged.encode())
    out = io.StringIO()
    with pytest.raises(CommandError):
        call_command("audit_ledger", stdout=out)
    assert f"ledger_entry {registered.ledger_entry}：文書" in out.getvalue()


def test_a_registration_that_was_deleted_or_doubled_is_named(registered):
    entry = registered.ledger_entry
    change(registered, ledger_entry="00000000-0000-4000-8000-000000000000")
    assert [line.partition("：")[0] for line in card_findings()] == [
        f"registration_registeredcard {registered.id}",
        f"registration_registeredcard （台帳の記録 {entry}）",
    ]
    change(registered, ledger_entry=entry)
    assert card_findings() == []
    twin = RegisteredCard.objects.get()
    twin.id, twin.draft, twin.status = "00000000-0000-4000-8000-000000000001", entry, "closed"
    twin.save(force_insert=True)
    assert any("二つ以上の登録" in line for line in card_findings())
    remove(twin)
    remove(registered)
    (line,) = card_findings()
    assert line == f"registration_registeredcard （台帳の記録 {entry}）：登録の行がありません。"
