"""The sequencer killed at every commit boundary: no gap, no loss, no fork."""

from __future__ import annotations

import io
import os
import secrets
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction
from killing import Victims

from irefuda.ledger import audit, keys, operations, queries, sequencer
from irefuda.ledger.models import Checkpoint, Entry, Leaf, Pending
from irefuda.ui import clock
from irefuda_core import merkle, note

# From here on to the next power of two every batch of two asks and writes the same: so the boundaries can be counted.
START = 65
PER_ROUND = 2

pytestmark = pytest.mark.committing


@pytest.fixture
def key_files(settings: Any, tmp_path: Path) -> dict[str, str]:
    directory = tmp_path / "keys"
    call_command("make_ledger_keys", directory=directory, stdout=io.StringIO())
    settings.RECEIPT_KEY_FILE = str(directory / "receipt.pem")
    settings.HEAD_KEY_FILE = str(directory / "head.pem")
    settings.LEDGER_KEYS_FILE = str(directory / "ledger-keys.json")
    names = ("RECEIPT_KEY_FILE", "HEAD_KEY_FILE", "LEDGER_KEYS_FILE")
    return {f"IREFUDA_{name}": getattr(settings, name) for name in names}


def append(count: int) -> None:
    with transaction.atomic():
        for _ in range(count):
            operations.append(document=secrets.token_bytes(20), kind="k", at=clock.now(), salt=secrets.token_bytes(16))


def head() -> note.Checkpoint:
    newest = queries.latest_checkpoint()
    assert newest is not None
    (published,) = keys.published_keys()["head_keys"]
    return note.verify_checkpoint(newest.note, [note.parse_verifier_key(published)])


def assert_continues(old: note.Checkpoint, new: note.Checkpoint) -> None:
    """Fail unless the new head only appends to the old one: two heads that do not are a fork."""
    proof = queries.consistency(old=old.size, new=new.size, now=clock.now())
    assert proof is not None
    hashes = [bytes.fromhex(item) for item in proof]
    assert merkle.verify_consistency(old=old.size, new=new.size, old_root=old.root, new_root=new.root, proof=hashes)


def take_over() -> None:
    """Sequence what is pending; the database may need a moment to see that the dead one's connection is gone."""
    deadline = time.monotonic() + 30
    while Pending.objects.exists():
        sequencer.sequence_batch(key=keys.head_key(), now=clock.now())
        assert time.monotonic() < deadline, "the dead sequencer still holds its lock"


def test_the_sequencer_killed_at_every_boundary(own_database, key_files):
    append(START)
    sequencer.sign_first_checkpoint(key=keys.head_key(), now=clock.now())
    sequencer.sequence_batch(key=keys.head_key(), now=clock.now())
    outcomes = set()
    with Victims(database_url=own_database, **key_files) as victims:
        append(PER_ROUND)
        boundaries = victims.run("sequence_ledger")
        for number, name in enumerate(boundaries, start=1):
            before = head()
            append(PER_ROUND)
            victims.run("sequence_ledger", stop_at=number)
            # Right after the kill: either the whole batch or nothing of it, and nothing that contradicts it.
            seen = head()
            assert seen.size - before.size in (0, PER_ROUND), f"killed {name} ({number})"
            assert seen.size == Leaf.objects.count()
            assert Pending.objects.count() == before.size + PER_ROUND - seen.size
            assert_continues(before, seen)
            outcomes.add(seen.size > before.size)
            # The next sequencer goes on from there.
            take_over()
            after = head()
            assert after.size == before.size + PER_ROUND == Entry.objects.count()
            assert_continues(seen, after)
            assert list(audit.findings(clock.now())) == [], f"killed {name} ({number})"
    assert outcomes == {True, False}
    assert Leaf.objects.count() < 2 * (START - 1), "the rounds have passed a power of two: begin with more entries"
    assert "before COMMIT" in boundaries
    assert "after COMMIT" in boundaries
    for table in ("leaf", "node", "checkpoint"):
        assert f'before sql INSERT INTO "ledger_{table}"' in boundaries
    assert any(name.startswith("before sql DELETE") for name in boundaries)


def test_the_first_head_killed_at_every_boundary_is_signed_once(own_database, key_files):
    with Victims(database_url=own_database, **key_files) as victims:
        number, unsigned = 0, 0
        while not Checkpoint.objects.exists():
            number, unsigned = number + 1, unsigned + 1
            victims.run("sequence_ledger", stop_at=number)
        victims.run("sequence_ledger")
    assert unsigned > 1, "nothing was killed before the commit"
    assert [head.size for head in Checkpoint.objects.all()] == [0]
    assert list(audit.findings(datetime.now(UTC))) == []


def test_of_two_sequencers_the_second_goes_on_when_the_first_is_killed(own_database, key_files):
    environment = {
        **os.environ,
        **key_files,
        "DJANGO_SETTINGS_MODULE": "irefuda.config.settings",
        "DATABASE_URL": own_database,
    }
    command = [sys.executable, "-m", "django", "sequence_ledger"]
    running = [subprocess.Popen(command, env=environment) for _ in range(2)]
    try:
        for process in running:
            append(PER_ROUND)
            wait_until_placed()
            process.send_signal(signal.SIGKILL)
            process.wait()
            if process is running[0]:
                append(PER_ROUND)
                wait_until_placed()
    finally:
        for process in running:
            process.kill()
            process.wait()
    assert head().size == Entry.objects.count() == 3 * PER_ROUND
    assert list(audit.findings(clock.now())) == []


def wait_until_placed() -> None:
    deadline = time.monotonic() + 60
    while Pending.objects.exists():
        assert time.monotonic() < deadline, "nobody sequences"
        time.sleep(0.02)
