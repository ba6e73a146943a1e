"""A new key of heads or receipts: named by the old one's last head, believed by whoever kept the old one, never two at once."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import ledger_files
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from killing import Victims
from ledger_files import NOW, append, bundle_of, findings, praise, problems, sequence

from irefuda.ledger import handover, keys, operations, queries, sequencer
from irefuda.ledger.models import Checkpoint, Entry, Pending
from irefuda.ui import clock
from irefuda_core import note, succession

pytestmark = pytest.mark.committing
WHICH = [handover.HEAD, handover.RECEIPT]


@pytest.fixture
def files(own_database: str, settings: Any, tmp_path: Path) -> ledger_files.LedgerFiles:
    return ledger_files.make(settings, tmp_path / "keys")


def rotate(which: str) -> str:
    out = io.StringIO()
    call_command("ledger", "prepare", "--key", which, stdout=out)
    call_command("ledger", "rotate", "--key", which, "--reason", "年に一度の交代", stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("which", WHICH)
def test_whoever_kept_the_old_keys_believes_the_new_one(files, which):
    early = append()
    told_early = operations.receipt_for(early)
    sequence()
    saved = files.saved_keys()
    rotate(which)
    late = append()
    sequence()
    told_late = operations.receipt_for(late)
    for keys_file in (saved, files.saved_keys()):
        assert problems(bundle_of(early, told_early), keys_file) == []
        assert problems(bundle_of(late, told_late), keys_file) == []
        assert "件のうち" in praise(bundle_of(late, told_late), keys_file)
    # Without the head that hands over, the old keys alone prove nothing of what the new one signed.
    alone = bundle_of(late, told_late) | {"handovers": []}
    assert problems(alone, saved) != []
    assert findings() == []


@pytest.mark.parametrize("which", WHICH)
def test_the_published_keys_list_all_with_their_periods(files, which):
    sequence()
    for _ in range(2):
        rotate(which)
    published = json.loads(files.saved_keys())
    names = [str(key) for key in published["head_keys"]] if which == "head" else [
        key["kid"] for key in published["receipt_keys"]
    ]  # fmt: skip
    assert len(names) == len(set(names)) == 3
    periods = [published["periods"][name] for name in names]
    assert [period["until"] for period in periods[:-1]] == [period["from"] for period in periods[1:]]
    assert periods[-1]["until"] is None
    assert len(published["handovers"]) == 2
    assert Entry.objects.filter(kind=f"ledger.{which}_key_rotated").count() == 2


def test_the_last_head_of_the_old_key_names_the_new_one_and_no_later_one_is_taken(files):
    append()
    sequence()
    old_key, saved = keys.head_key(), files.saved_keys()
    rotate("head")
    last = queries.latest_checkpoint()
    assert last is not None
    head = note.read_checkpoint(note.text_of(last.note))
    assert succession.named_head_key(head) == note.verifier_key(head.origin, keys.head_key().public_key())
    assert note.verify_checkpoint(last.note, [note.verifier_key(head.origin, old_key.public_key())])
    late = append()
    with pytest.raises(sequencer.KeyNotInForce):
        sequencer.sequence_batch(key=old_key, now=NOW)
    assert Pending.objects.filter(entry=late).exists()
    assert sequence() == 1
    # A thief of the old key signs the same head: the verifier says that its time was over.
    stolen = bundle_of(late)
    honest = note.read_checkpoint(note.text_of(stolen["proof"]["checkpoint"]))
    stolen["proof"]["checkpoint"] = note.sign_checkpoint(honest, old_key)
    for keys_file in (saved, files.saved_keys()):
        assert "すでに使い終わった鍵" in problems(stolen, keys_file)[0]


def test_a_thief_of_the_old_key_names_no_other_successor(files):
    append()
    sequence()
    old_key = keys.head_key()
    rotate("head")
    thief = keys.Ed25519PrivateKey.generate()
    name = keys.log_name()
    forged = note.Checkpoint(
        name, 1, bytes(32), (succession.next_head_key_line(note.verifier_key(name, thief.public_key())),)
    )
    trusted = succession.follow(keys.verifiers(), {}, [*keys.handovers(), note.sign_checkpoint(forged, old_key)])
    assert note.verifier_key(name, thief.public_key()) not in trusted.head_keys


def test_nothing_prepared_changes_nothing_and_what_waits_is_not_made_again(files):
    sequence()
    out = io.StringIO()
    before = files.saved_keys()
    call_command("ledger", "rotate", "--key", "head", "--reason", "x", stdout=out)
    assert "the present one stays" in out.getvalue()
    assert files.saved_keys() == before
    assert handover.prepare("head")
    prepared = handover.next_key_file("head").read_bytes()
    assert not handover.prepare("head")
    assert handover.next_key_file("head").read_bytes() == prepared
    assert handover.next_key_file("head").stat().st_mode & 0o777 == 0o600
    with pytest.raises(CommandError, match="reason"):
        call_command("ledger", "rotate", "--key", "head", "--reason", " ")
    assert Checkpoint.objects.count() == 1


@pytest.mark.parametrize("which", WHICH)
def test_a_rotation_killed_at_every_boundary_leaves_the_old_key_or_the_new_one(files, own_database, which):
    sequence()
    with Victims(database_url=own_database, **files.environment) as victims:
        passed: list[str] = []
        while True:
            # Until the boundary behind the last step, where nothing waits any more.
            number, before = len(passed) + 1, len(keys.handovers())
            handover.prepare(which)
            told = operations.receipt_for(append())
            passed = victims.run("rotate_key", stop_at=number, which=which, now=NOW.isoformat())
            name = passed[-1]
            connection.close()
            newest = queries.latest_checkpoint()
            assert newest is not None
            origin = note.read_checkpoint(note.text_of(newest.note)).origin
            candidates = [keys.head_key()]
            if handover.next_key_file("head").exists():
                candidates.append(keys.read_private(handover.next_key_file("head")))
            able = [
                key for key in candidates
                if succession.may_follow(newest.note, note.verifier_key(origin, key.public_key()))
            ]  # fmt: skip
            assert len(able) == 1, f"killed {name} ({number})"
            finished = not handover.next_key_file(which).exists()
            assert findings() == [], f"killed {name} ({number})"
            # The same command once more finishes it, and once more again changes nothing.
            assert handover.rotate(which, reason="定期の交代", now=NOW) is not finished
            assert not handover.rotate(which, reason="定期の交代", now=NOW)
            assert len(keys.handovers()) == before + 1
            sequence()
            entry = Entry.objects.filter(kind="test.deed").latest("recorded_at", "id")
            assert problems(bundle_of(entry), files.saved_keys()) == []
            assert told
            if finished:
                break
        assert findings() == []
    assert {"before COMMIT", "after COMMIT", "before rename"} <= set(passed)
    assert name == "after rename"


def test_a_running_sequencer_goes_on_with_the_new_key_by_itself(files, own_database):
    environment = {
        **os.environ,
        **files.environment,
        "DJANGO_SETTINGS_MODULE": "irefuda.config.settings",
        "DATABASE_URL": own_database,
    }
    running = subprocess.Popen([sys.executable, "-m", "django", "sequence_ledger"], env=environment)
    try:
        for _ in range(2):
            append(clock.now())
            await_empty()
            rotate("head")
        append(clock.now())
        await_empty()
    finally:
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert findings(clock.now()) == []


def await_empty() -> None:
    deadline = time.monotonic() + 30
    while Pending.objects.exists():
        assert time.monotonic() < deadline, "nobody sequences"
        time.sleep(0.02)


# -- what an operator or a thief might try in the database


def test_a_rotation_that_no_head_carries_is_named(files):
    sequence()
    with transaction.atomic():
        made = operations.append(
            document=b'{"line":"next-head-key x"}', kind="ledger.head_key_rotated", at=NOW, salt=bytes(16)
        )
    sequence()
    assert any(str(made.id) in line and "引継ぎの記録ですが" in line for line in findings())


def test_a_head_that_hands_over_without_a_deed_is_named(files):
    append()
    sequence()
    key, newest = keys.head_key(), queries.latest_checkpoint()
    thief = note.verifier_key(keys.log_name(), keys.Ed25519PrivateKey.generate().public_key())
    entry = append()
    row = (entry.id, entry.kind, entry.recorded_at, entry.entry_hash)
    with transaction.atomic():
        sequencer.place([row], key=key, log=keys.log_name(), now=NOW, lines=(succession.next_head_key_line(thief),))
    assert newest is not None
    assert any("当たる記録がありません" in line for line in findings())


def test_a_head_by_a_key_that_is_not_in_force_is_named(files):
    append()
    sequence()
    old_key = keys.head_key()
    rotate("head")
    entry = append()
    row = (entry.id, entry.kind, entry.recorded_at, entry.entry_hash)
    with transaction.atomic():
        sequencer.place([row], key=old_key, log=keys.log_name(), now=NOW)
    assert any("署名できる鍵の署名ではありません" in line for line in findings())


def test_a_clock_that_was_set_back_turns_no_head_back(files):
    append()
    sequence(NOW + timedelta(hours=3))
    append(NOW)
    sequence(NOW)
    append(NOW - timedelta(days=1))
    sequence(NOW - timedelta(days=1))
    moments = list(Checkpoint.objects.order_by("size").values_list("signed_at", flat=True))
    assert moments == sorted(moments)
    assert findings() == []
