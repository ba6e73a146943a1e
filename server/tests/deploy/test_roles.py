"""The roles of a production database: the web appends deeds and nothing more, the sequencer gives places and nothing more."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from tools.postgres import cluster

ROOT = Path(__file__).resolve().parents[3]
APPEND = """
import django; django.setup()
from django.db import transaction
from irefuda.ledger import operations
from irefuda.ui import clock
with transaction.atomic():
    operations.append(document=b"x", kind="k", at=clock.now(), salt=bytes(16))
"""
ROLES = ("irefuda_web", "irefuda_public", "irefuda_jobs", "irefuda_sequencer")
LEDGER = ("ledger_entry", "ledger_pending", "ledger_leaf", "ledger_node", "ledger_checkpoint")


class Installation:
    """A database as production has it, and the processes of its roles."""

    def __init__(self, owner: str, keys: Path) -> None:
        self.owner, self.keys = owner, keys

    def url(self, role: str) -> str:
        return self.owner.replace("//irefuda@", f"//{role}@")

    def python(self, role: str, *arguments: str, **more: str) -> str:
        files = {"HEAD_KEY_FILE": "head.pem", "RECEIPT_KEY_FILE": "receipt.pem", "LEDGER_KEYS_FILE": "ledger-keys.json"}
        environment = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "irefuda.config.settings",
            "DATABASE_URL": self.url(role),
            **{f"IREFUDA_{name}": str(self.keys / file) for name, file in files.items()},
            **more,
        }
        done = subprocess.run(
            [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, role: str, statement: str) -> bool:
        """Return whether the database refuses this statement to this role for want of the right."""
        with psycopg.connect(self.url(role)) as connection:
            try:
                connection.execute(statement)
            except psycopg.errors.InsufficientPrivilege:
                return True
            finally:
                connection.rollback()
        return False


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    with cluster(settings={"fsync": "off"}) as owner:
        made = Installation(owner, tmp_path_factory.mktemp("keys") / "keys")
        made.python("irefuda", "-m", "django", "migrate", "--verbosity", "0")
        made.python("irefuda", "-m", "django", "make_ledger_keys", "--directory", str(made.keys))
        with psycopg.connect(owner) as connection:
            connection.execute("; ".join(f"CREATE ROLE {role} LOGIN" for role in ROLES))
            for _ in range(2):
                connection.execute((ROOT / "deploy" / "sql" / "roles.sql").read_bytes())
        yield made


def test_a_deed_of_the_web_is_placed_by_the_sequencer_and_audited(installation):
    def counts() -> tuple[int, int]:
        with psycopg.connect(installation.owner) as connection:
            found = connection.execute(
                "SELECT (SELECT count(*) FROM ledger_leaf), (SELECT count(*) FROM ledger_pending)"
            )
            return found.fetchone()

    placed, _ = counts()
    installation.python("irefuda_web", "-c", APPEND)
    installation.python("irefuda_sequencer", "-m", "django", "sequence_ledger", "--once")
    installation.python("irefuda", "-m", "django", "audit_ledger")
    assert counts() == (placed + 1, 0)


def test_every_role_does_the_whole_work_of_its_processes(installation):
    tests = ROOT / "server" / "tests"
    paths = [str(tests), str(ROOT / "core" / "tests"), str(ROOT / "agent" / "tests"), str(ROOT)]
    said = installation.python(
        "irefuda",
        str(tests / "deploy" / "role_walk.py"),
        DJANGO_SETTINGS_MODULE="settings_for_tests",
        PYTHONPATH=":".join(paths),
        IREFUDA_LOG_LEVEL="ERROR",
    )
    assert said.endswith("every role did its work\n")


def test_every_table_is_one_that_somebody_has_thought_of(installation):
    """A new table: the web and the jobs may write it unless `roles.sql` says no, the public reads it."""
    with psycopg.connect(installation.owner) as connection:
        tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
        rights = {
            (role, right): {
                table
                for table in tables
                if connection.execute("SELECT has_table_privilege(%s, %s, %s)", [role, table, right]).fetchone()
                == (True,)
            }
            for role in ROLES
            for right in ("SELECT", "INSERT", "UPDATE", "DELETE")
        }
    never = {"ledger_leaf", "ledger_node", "ledger_checkpoint", "django_migrations", "agencies_installation", "cards_trustedauthority"}  # fmt: skip
    assert tables - rights["irefuda_web", "INSERT"] == never
    assert tables - rights["irefuda_web", "UPDATE"] == never | {
        "ledger_entry",
        "ledger_pending",
        "cards_revocationlistrecord",
    }
    assert rights["irefuda_jobs", "INSERT"] == rights["irefuda_web", "INSERT"] - {
        "ledger_entry", "ledger_pending", "staff_staffmember", "staff_staffcard", "staff_staffrole", "staff_staffact",
    }  # fmt: skip
    assert rights["irefuda_public", "SELECT"] == tables - {"django_session"}
    for right in ("INSERT", "UPDATE", "DELETE"):
        assert rights["irefuda_public", right] == set()


def test_of_the_installation_the_web_renews_the_stamp_and_nothing_else(installation):
    assert not installation.refused("irefuda_web", "UPDATE agencies_installation SET stamp = gen_random_uuid()")
    assert installation.refused("irefuda_web", "UPDATE agencies_installation SET clock_offset_seconds = 60")
    assert installation.refused("irefuda_web", "UPDATE agencies_installation SET realm = 'production'")
    for role in ("irefuda_public", "irefuda_jobs", "irefuda_sequencer"):
        assert installation.refused(role, "UPDATE agencies_installation SET stamp = gen_random_uuid()")


@pytest.mark.parametrize("table", ["ledger_leaf", "ledger_node", "ledger_checkpoint"])
def test_the_web_writes_neither_places_nor_subtrees_nor_heads(installation, table):
    assert installation.refused("irefuda_web", f"INSERT INTO {table} SELECT * FROM {table}")
    assert not installation.refused("irefuda_web", f"SELECT * FROM {table}")


@pytest.mark.parametrize("role", ROLES)
def test_no_role_changes_the_ledger_or_puts_its_triggers_aside(installation, role):
    for table in set(LEDGER) - {"ledger_pending"}:
        with psycopg.connect(installation.owner) as connection:
            column = connection.execute(f"SELECT * FROM {table} LIMIT 0").description[0].name
        assert installation.refused(role, f"UPDATE {table} SET {column} = {column}")
        for statement in ("DELETE FROM {}", "TRUNCATE {}", "ALTER TABLE {} DISABLE TRIGGER ALL", "DROP TABLE {}"):
            assert installation.refused(role, statement.format(table)), f"{role}: {statement.format(table)}"
    assert installation.refused(role, "SET session_replication_role = replica")


def test_the_sequencer_reads_and_writes_nothing_but_the_ledger(installation):
    with psycopg.connect(installation.owner) as connection:
        tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    others = tables - set(LEDGER)
    assert len(others) > 10
    readable = {table for table in others if not installation.refused("irefuda_sequencer", f"SELECT * FROM {table}")}
    assert readable == {"agencies_installation"}
    assert installation.refused("irefuda_sequencer", "INSERT INTO ledger_entry SELECT * FROM ledger_entry")
    assert installation.refused("irefuda_web", "DELETE FROM ledger_pending")
