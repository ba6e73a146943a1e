"""A backup brought back on an empty machine: the ledger is sound, receipts verify, the card logs in; and one that is too old."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import ledger_files
import pytest
from builders import make_authority, make_city
from django.core.management import CommandError, call_command
from django.db import connection, connections
from django.test import Client
from steps import present, register

from irefuda.ledger import keys, queries, sequencer, witness
from irefuda.ledger.models import Entry, Pending
from irefuda.registration.models import RegisteredCard
from irefuda.registration.queries import receipt_bundle
from irefuda.ui import clock
from irefuda_verify import receipts

SCRIPTS = Path(__file__).resolve().parents[3] / "deploy" / "backup"
pytestmark = pytest.mark.committing


def run(script: str, *arguments: str | Path, url: str) -> subprocess.CompletedProcess[str]:
    newest = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    environment = {**os.environ, "DATABASE_URL": url, "PATH": f"{newest}:{os.environ['PATH']}"}
    return subprocess.run(
        [str(SCRIPTS / script), *map(str, arguments)], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture
def empty(own_database: str, tmp_path: Path) -> Iterator[str]:
    """Yield the DATABASE_URL of an empty place for a database."""
    if connection.vendor == "sqlite":
        yield f"sqlite:///{tmp_path / 'restored.sqlite3'}"
        return
    name = f"{connection.settings_dict['NAME']}_restored"
    maintain(f'CREATE DATABASE "{name}"')
    yield own_database.rpartition("/")[0] + f"/{name}"
    connections.close_all()
    maintain(f'DROP DATABASE "{name}" WITH (FORCE)')


def maintain(sql: str) -> None:
    with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(sql)


def move_to(url: str) -> None:
    """Let this process work on the other database from now on."""
    connections.close_all()
    connection.settings_dict["NAME"] = url.removeprefix("sqlite:///") if "sqlite" in url else url.rpartition("/")[2]


@pytest.fixture
def city(own_database: str, settings: Any, tmp_path: Path, static_files: None, django_app: Any) -> Any:
    """A city with a registered card whose deed has its place in the ledger."""
    ledger_files.make(settings, tmp_path / "keys")
    authority = make_authority()
    make_city(authority)
    card = authority.card()
    register(django_app, card)
    ledger_files.sequence(clock.now())
    return card


def report_of(card: RegisteredCard, keys_file: str) -> receipts.Report:
    bundle = ledger_files.json.dumps(receipt_bundle(card, now=clock.now())).encode()
    return receipts.check(receipts.read_bundle(bundle), receipts.read_keys(Path(keys_file).read_bytes()))


def test_a_backup_on_an_empty_machine_is_the_whole_city(own_database, city, empty, tmp_path, settings, django_app):
    folder = tmp_path / "backups"
    done = run("backup.sh", folder, url=own_database)
    assert done.returncode == 0, done.stderr
    file = Path(done.stdout.strip())
    assert file.stat().st_mode & 0o077 == 0
    restored = run("restore.sh", file, url=empty)
    assert restored.returncode == 0, restored.stderr
    move_to(empty)
    call_command("migrate", verbosity=0)
    out = io.StringIO()
    call_command("audit_ledger", stdout=out)
    assert "食い違いはありません" in out.getvalue()
    card = RegisteredCard.objects.get()
    report = report_of(card, settings.LEDGER_KEYS_FILE)
    assert report.worst is receipts.Mark.GOOD, [line.text for line in report.lines]
    # The card comes in, and the ledger goes on where it was.
    django_app.reset()
    assert present(django_app, django_app.get("/9992/goods/login/"), city).status_code == 302
    ledger_files.append(clock.now())
    assert ledger_files.sequence(clock.now()) == 1
    assert Client(HTTP_HOST="localhost:8000").get("/readyz").status_code == 200
    # Nothing that is there is written over.
    again = run("restore.sh", file, url=empty)
    assert again.returncode == 1
    assert "nothing was changed" in again.stderr


def test_a_backup_while_deeds_are_done_is_sound(own_database, city, empty, tmp_path):
    for _ in range(3):
        ledger_files.append(clock.now())
    done = run("backup.sh", tmp_path, url=own_database)
    ledger_files.sequence(clock.now())
    assert run("restore.sh", done.stdout.strip(), url=empty).returncode == 0
    move_to(empty)
    assert Pending.objects.count() == 3
    assert Entry.objects.count() == 4


def test_an_older_backup_than_a_published_head_is_red_until_the_log_is_succeeded(own_database, city, empty, tmp_path):
    done = run("backup.sh", tmp_path, url=own_database)
    ledger_files.append(clock.now())
    ledger_files.sequence(clock.now())
    assert run("restore.sh", done.stdout.strip(), url=empty).returncode == 0
    move_to(empty)
    answer = Client(HTTP_HOST="localhost:8000").get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["checks"]["ledger_continues"] == "lost"
    ledger_files.append(clock.now())
    with pytest.raises(witness.EntriesLost):
        sequencer.sequence_batch(key=keys.head_key(), now=clock.now())
    call_command("ledger", "succeed", "--reason", "古い控えから復元したため", stdout=io.StringIO())
    ledger_files.sequence(clock.now())
    assert Client(HTTP_HOST="localhost:8000").get("/readyz").status_code == 200
    assert ledger_files.findings(clock.now()) == []
    newest = queries.latest_checkpoint()
    assert newest is not None
    assert "/2\n" in newest.note


def test_a_damaged_backup_is_not_brought_back(own_database, city, empty, tmp_path):
    file = Path(run("backup.sh", tmp_path, url=own_database).stdout.strip())
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    done = run("restore.sh", file, url=empty)
    assert done.returncode != 0
    if connection.vendor == "sqlite":
        assert not Path(empty.removeprefix("sqlite:///")).exists()
    else:
        move_to(empty)
        assert connection.introspection.table_names() == []


def test_a_backup_that_fails_leaves_nothing_that_looks_like_one(tmp_path):
    for url in ("postgresql://nobody@127.0.0.1:1/none", f"sqlite:///{tmp_path / 'none.sqlite3'}", "mysql://x"):
        done = run("backup.sh", tmp_path / "backups", url=url)
        assert done.returncode != 0, url
        assert list((tmp_path / "backups").glob("*")) == []
        assert list((tmp_path / "backups").glob(".*")) == []


def test_old_backups_go_and_new_ones_stay(own_database, tmp_path):
    old = tmp_path / "irefuda-20250101T000000Z.dump"
    old.write_text("old")
    other = tmp_path / "somebody-elses-file"
    other.write_text("stays")
    for path in (old, other):
        os.utime(path, (time.time() - 40 * 86400,) * 2)
    done = run("backup.sh", tmp_path, url=own_database)
    assert done.returncode == 0, done.stderr
    assert not old.exists()
    assert other.exists()
    assert Path(done.stdout.strip()).exists()


def test_a_plain_copy_of_a_running_sqlite_file_would_not_do(tmp_path):
    """Why the script asks the engine: what was committed last may stand in the write-ahead log alone."""
    path = tmp_path / "live.sqlite3"
    with closing(sqlite3.connect(path)) as live:
        live.execute("PRAGMA journal_mode=WAL")
        live.execute("CREATE TABLE t (n)")
        live.execute("INSERT INTO t VALUES (1)")
        live.commit()
        done = run("backup.sh", tmp_path / "backups", url=f"sqlite:///{path}")
        shutil.copyfile(path, tmp_path / "copied.sqlite3")
        with closing(sqlite3.connect(done.stdout.strip())) as saved:
            assert saved.execute("SELECT n FROM t").fetchall() == [(1,)]
        with closing(sqlite3.connect(tmp_path / "copied.sqlite3")) as copied, pytest.raises(sqlite3.OperationalError):
            copied.execute("SELECT n FROM t")


def test_the_command_says_what_to_do_when_entries_are_missing(own_database, city, settings):
    Path(settings.LEDGER_WITNESS_FILE).write_text("damaged")
    with pytest.raises(CommandError, match="nothing was changed"):
        call_command("ledger", "succeed", "--reason", "x")
