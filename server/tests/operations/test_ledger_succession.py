"""Entries lost behind a published head: nobody signs on, one command opens the log that succeeds, and both stay provable."""

from __future__ import annotations

import io
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import ledger_files
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, connections, transaction
from killing import Victims
from ledger_files import NOW, append, bundle_of, findings, praise, problems, sequence

from irefuda.ledger import handover, keys, locks, operations, queries, sequencer, witness
from irefuda.ledger.models import Checkpoint, Entry, Leaf, Node, Pending
from irefuda_core import note, succession

pytestmark = pytest.mark.committing
REASON = "ディスクの故障で、最後の5分の記録が失われたため"


@pytest.fixture
def files(own_database: str, settings: Any, tmp_path: Path) -> ledger_files.LedgerFiles:
    return ledger_files.make(settings, tmp_path / "keys")


@contextmanager
def restored_afterwards(folder: Path) -> Iterator[None]:
    """Take the database back, after the block, to what it was before: the oldest way to lose entries."""
    name = str(connection.settings_dict["NAME"])
    connection.close()
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(name)) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(name, folder / "dump.sqlite3")
        yield
        connections.close_all()
        for left in (name, f"{name}-wal", f"{name}-shm"):
            Path(left).unlink(missing_ok=True)
        shutil.copyfile(folder / "dump.sqlite3", name)
    else:
        dump = f"{name}_dump"
        maintain(f'CREATE DATABASE "{dump}" TEMPLATE "{name}"')
        yield
        connections.close_all()
        maintain(f'DROP DATABASE "{name}" WITH (FORCE)')
        maintain(f'ALTER DATABASE "{dump}" RENAME TO "{name}"')


def maintain(sql: str) -> None:
    with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(sql)


def told_of(entry: Entry) -> str:
    return operations.receipt_for(entry)


@pytest.fixture
def lost(files: ledger_files.LedgerFiles, tmp_path: Path) -> dict[str, Any]:
    """Three entries that survive, two that do not; all five were under a published head."""
    kept = [append() for _ in range(3)]
    told = [told_of(entry) for entry in kept]
    sequence()
    early = bundle_of(kept[0], told[0])
    with restored_afterwards(tmp_path):
        gone = [append() for _ in range(2)]
        sequence()
        published = queries.latest_checkpoint()
        bundle = bundle_of(gone[1], told_of(gone[1]))
    assert published is not None
    return {
        "kept": kept, "told": told, "early": early, "gone": bundle, "published": published.note,
        "saved": files.saved_keys(),
    }  # fmt: skip


def succeed(*arguments: str) -> str:
    out = io.StringIO()
    call_command("ledger", "succeed", "--reason", REASON, *arguments, stdout=out)
    return out.getvalue()


def test_nothing_is_signed_over_a_gap(files, lost):
    waiting = append()
    with pytest.raises(witness.EntriesLost, match="5 entries"):
        sequence()
    for act in (["rotate", "--key", "head"], ["rotate", "--key", "receipt"]):
        handover.prepare(act[-1])
        with pytest.raises(CommandError, match="nothing was changed"):
            call_command("ledger", *act, "--reason", "x")
    with pytest.raises(CommandError, match="5 entries"):
        call_command("sequence_ledger", "--once")
    assert Pending.objects.filter(entry=waiting).exists()
    assert Checkpoint.objects.count() == 2


def test_a_new_log_names_the_old_one_s_last_head_and_both_are_proved(files, lost):
    old = keys.log_name()
    assert "the log is now" in succeed()
    new = keys.log_name()
    assert new == f"{old}/2"
    assert findings() == []
    fresh = append()
    assert sequence() == 1
    told = told_of(fresh)
    newest = queries.latest_checkpoint()
    assert newest is not None
    assert note.verify_checkpoint(newest.note, keys.verifiers()).origin == new
    assert findings() == []
    opened = note.read_checkpoint(note.text_of(keys.handovers()[-1]))
    ended = succession.succeeded(opened)
    last = note.read_checkpoint(note.text_of(lost["published"]))
    assert ended == succession.Ended(old, last.size, last.root)
    # With the keys of before and with those of today: what survived, what is new, and what the old log proved of the lost.
    for saved in (lost["saved"], files.saved_keys()):
        assert problems(lost["early"], saved) == []
        assert problems(bundle_of(lost["kept"][1], lost["told"][1]), saved) == []
        assert "引き継がれています" in praise(bundle_of(lost["kept"][1], lost["told"][1]), saved)
        assert problems(bundle_of(fresh, told), saved) == []
        assert problems(lost["gone"], saved) == []
    entry = Entry.objects.get(kind="ledger.succeeded")
    assert REASON in bytes(entry.document).decode()


def test_without_keys_the_verifier_says_what_it_believes_unseen(files, lost):
    succeed()
    bundle = bundle_of(lost["kept"][1], lost["told"][1])
    report = ledger_files.receipts.check(
        ledger_files.receipts.read_bundle(ledger_files.json.dumps(bundle).encode()), None
    )
    assert any("確かめていません" in line.text and "引き継ぐ" in line.text for line in report.lines)
    assert not any("別の台帳" in line.text for line in report.lines)


def test_it_is_refused_when_nothing_is_lost(files, tmp_path):
    append()
    sequence()
    newest = queries.latest_checkpoint()
    assert newest is not None
    older = tmp_path / "older"
    older.write_text(newest.note)
    append()
    sequence()
    before = files.saved_keys()
    for arguments in ([], ["--checkpoint", str(older)]):
        with pytest.raises(CommandError, match="nothing is lost"):
            succeed(*arguments)
    stranger = tmp_path / "stranger"
    head = note.Checkpoint(keys.log_name(), 40, bytes(32))
    stranger.write_text(note.sign_checkpoint(head, keys.Ed25519PrivateKey.generate()))
    with pytest.raises(CommandError, match="nothing was changed"):
        succeed("--checkpoint", str(stranger))
    with pytest.raises(CommandError, match="cannot be read"):
        succeed("--checkpoint", str(tmp_path / "none"))
    with pytest.raises(CommandError, match="reason"):
        call_command("ledger", "succeed", "--reason", "")
    assert files.saved_keys() == before
    assert not Entry.objects.filter(kind="ledger.succeeded").exists()


def test_run_again_it_changes_nothing(files, lost, tmp_path):
    published = tmp_path / "published"
    published.write_text(lost["published"])
    succeed()
    after = files.saved_keys(), Checkpoint.objects.count()
    assert "/2;" in succeed("--checkpoint", str(published))
    assert (files.saved_keys(), Checkpoint.objects.count()) == after
    with pytest.raises(CommandError, match="nothing is lost"):
        succeed()


def test_other_entries_in_the_places_of_the_lost_ones_are_a_loss_too(files, lost, tmp_path, settings):
    published = tmp_path / "published"
    published.write_text(lost["published"])
    # Somebody took the witness away and went on: the places of the lost ones were given to others.
    Path(settings.LEDGER_WITNESS_FILE).unlink()
    for _ in range(3):
        append()
    sequence()
    succeed("--checkpoint", str(published))
    append()
    sequence()
    assert findings() == []
    assert keys.log_name().endswith("/2")


def test_a_second_loss_opens_a_third_log(files, lost, tmp_path):
    succeed()
    with restored_afterwards(tmp_path):
        append()
        sequence()
    succeed()
    fresh = append()
    sequence()
    assert keys.log_name().endswith("/3")
    assert findings() == []
    for saved in (lost["saved"], files.saved_keys()):
        assert problems(bundle_of(lost["kept"][2], lost["told"][2]), saved) == []
        assert problems(bundle_of(fresh), saved) == []


def test_a_loss_that_goes_back_behind_a_rotation_is_succeeded_with_the_new_key(files, tmp_path):
    kept = append()
    told = told_of(kept)
    sequence()
    saved = files.saved_keys()
    with restored_afterwards(tmp_path):
        handover.prepare("head")
        handover.rotate("head", reason="交代", now=NOW)
        append()
        sequence()
    append()
    with pytest.raises(witness.EntriesLost):
        sequence()
    succeed()
    sequence()
    assert findings() == []
    for keys_file in (saved, files.saved_keys()):
        assert problems(bundle_of(kept, told), keys_file) == []


def test_succeed_killed_at_every_boundary_leaves_the_old_log_or_the_new_one(files, own_database, tmp_path):
    append()
    sequence()
    outcomes = set()
    with Victims(database_url=own_database, **files.environment) as victims:
        passed: list[str] = []
        while not passed or passed[-1] != "after rename" or passed.count("after rename") < 2:
            number, log = len(passed) + 1, keys.log_name()
            with restored_afterwards(tmp_path):
                append()
                sequence()
                published = queries.latest_checkpoint()
                connection.close()
            assert published is not None
            passed = victims.run("succeed_log", stop_at=number, lost=published.note, now=NOW.isoformat())
            connection.close()
            newest = queries.latest_checkpoint()
            assert newest is not None
            origin = note.read_checkpoint(note.text_of(newest.note)).origin
            outcomes.add(origin == log)
            assert findings() == [] or keys.log_name() != origin, f"killed {passed[-1]} ({number})"
            handover.succeed(published.note, reason=REASON, now=NOW)
            assert keys.log_name() == f"{keys.logs()[0]}/{len(keys.logs())}"
            sequence()
            entry = append()
            sequence()
            assert findings() == [], f"killed {passed[-1]} ({number})"
            assert problems(bundle_of(entry), files.saved_keys()) == []
    assert outcomes == {True, False}


# -- what a thief might try


def test_a_log_that_only_says_it_succeeds_is_not_believed(files, lost):
    thief = keys.Ed25519PrivateKey.generate()
    name = f"{keys.log_name()}/2"
    last = note.read_checkpoint(note.text_of(lost["published"]))
    mine = note.sign_checkpoint(note.Checkpoint(name, 1, bytes(32), (succession.succeeds_line(last),)), thief)
    for forged in (mine, note.cosign_note(mine, name=keys.log_name(), key=thief)):
        trusted = succession.follow(keys.verifiers(), {}, [forged])
        assert trusted.next_log == {}
        assert note.verifier_key(name, thief.public_key()) not in trusted.head_keys


def test_an_opening_head_without_the_old_key_s_signature_is_named(files, lost):
    succeed()
    opened = Checkpoint.objects.latest("size")
    text, _, signatures = opened.note.rpartition("\n\n")
    alone = f"{text}\n\n{signatures.splitlines()[0]}\n"
    change(opened, note=alone)
    assert any("引き継がれた台帳の鍵の署名がありません" in line for line in findings())


def test_a_head_of_the_old_log_after_its_end_is_named(files, lost):
    old = keys.log_name()
    succeed()
    entry = append()
    row = (entry.id, entry.kind, entry.recorded_at, entry.entry_hash)
    with transaction.atomic():
        sequencer.place([row], key=keys.head_key(), log=old, now=NOW)
    assert any("別の台帳の署名です" in line for line in findings())


def change(row: Any, **values: Any) -> None:
    """Change a row as only the database's superuser can."""
    table = row._meta.db_table
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
            type(row).objects.filter(pk=row.pk).update(**values)
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
            cursor.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only")
        else:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = %s", [table])
            triggers = cursor.fetchall()
            for name, _ in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
            type(row).objects.filter(pk=row.pk).update(**values)
            for _, sql in triggers:
                cursor.execute(sql)
    assert table in locks.INSERT_ONLY
    assert Leaf.objects.count() <= Node.objects.count()
