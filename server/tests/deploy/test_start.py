"""A process whose settings are not complete says so in one sentence and does not start."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
PRODUCTION = {
    "IREFUDA_REALM": "production",
    "IREFUDA_CITY_NAME": "例市",
    "IREFUDA_SECRET_KEY": "k" * 60,
    "IREFUDA_SUPPLIER_ORIGIN": "https://ebid.example.lg.jp",
    "IREFUDA_PUBLIC_ORIGIN": "https://open.example.lg.jp",
    "IREFUDA_STAFF_ORIGIN": "https://staff.example.lg.jp",
}
EVERYONE = [
    "IREFUDA_REALM", "IREFUDA_CITY_NAME", "IREFUDA_STATE_DIR", "IREFUDA_SECRET_KEY", "IREFUDA_SUPPLIER_ORIGIN",
    "IREFUDA_PUBLIC_ORIGIN",
]  # fmt: skip
WEB = [sys.executable, "-c", "import irefuda.config.wsgi"]
KEYS = ["IREFUDA_RECEIPT_KEY_FILE", "IREFUDA_LEDGER_KEYS_FILE"]
# What is started, for which site, and what it cannot do without.
PROCESSES = {
    "web of the contractors": (WEB, "supplier", [*EVERYONE, *KEYS]),
    "web of the staff": (WEB, "staff", [*KEYS, "IREFUDA_STAFF_ORIGIN"]),
    "web of the public": (WEB, "public", ["IREFUDA_LEDGER_KEYS_FILE"]),
    "sequencer": (
        [sys.executable, str(MANAGE), "sequence_ledger", "--once"],
        "supplier",
        ["IREFUDA_SECRET_KEY", "IREFUDA_HEAD_KEY_FILE", "IREFUDA_LEDGER_KEYS_FILE"],
    ),
    "outbox": ([sys.executable, str(MANAGE), "send_notices", "--once"], "supplier", ["IREFUDA_SECRET_KEY"]),
    "timer": ([sys.executable, str(MANAGE), "repeat", "purge_registration"], "supplier", ["IREFUDA_SECRET_KEY"]),
    "migrate": ([sys.executable, str(MANAGE), "migrate", "--check"], "supplier", ["IREFUDA_SECRET_KEY"]),
}
pytestmark = pytest.mark.committing


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The state folder of a production installation, with its keys."""
    made = tmp_path_factory.mktemp("state")
    (made / "static").mkdir()
    return made


@pytest.fixture
def complete(own_database: str, folder: Path) -> dict[str, str]:
    """Everything that a production installation sets, on a production database of its own."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE agencies_installation SET realm = 'production'")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("IREFUDA_", "DJANGO_"))}
    environment |= PRODUCTION | {"IREFUDA_STATE_DIR": str(folder), "DATABASE_URL": own_database}
    files = {"RECEIPT_KEY": "receipt.pem", "HEAD_KEY": "head.pem", "LEDGER_KEYS": "ledger-keys.json"}
    environment |= {f"IREFUDA_{name}_FILE": str(folder / "keys" / file) for name, file in files.items()}
    if not (folder / "keys").exists():
        made = start(
            [sys.executable, str(MANAGE), "make_ledger_keys", "--directory", str(folder / "keys")], environment
        )
        assert made.returncode == 0, made.stderr
    return environment


def start(command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("process", PROCESSES)
def test_each_process_names_the_setting_that_is_missing(complete, process):
    command, site, needed = PROCESSES[process]
    environment = complete | {"IREFUDA_SITE": site}
    running = {
        name: subprocess.Popen(
            command,
            env={key: value for key, value in environment.items() if key != name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in needed
    }
    for name, started in running.items():
        (_, said) = started.communicate(timeout=60)
        assert started.returncode == 1, name
        lines = said.strip().splitlines()
        assert len(lines) == 1, said
        assert lines[0].startswith("irefuda does not start: ")
        assert name.removesuffix("_FILE") in lines[0]
        assert "k" * 60 not in said


def test_with_everything_they_start(complete):
    for process, (command, site, _) in PROCESSES.items():
        if process not in ("timer", "outbox"):
            done = start(command, complete | {"IREFUDA_SITE": site})
            assert done.returncode == 0, f"{process}: {done.stderr}"


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("IREFUDA_MAIL_FROM", "入札@example.lg.jp", "ASCII"),
        ("IREFUDA_MAIL_FROM", "nyusatsu", "mail address"),
        ("IREFUDA_MAIL_FROM", "a@example.lg.jp, b@example.lg.jp", "mail address"),
        ("IREFUDA_SECRET_KEY", "short", "at least 50"),
        ("IREFUDA_REALM", "test", "practice or production"),
        ("IREFUDA_SITE", "other", "IREFUDA_SITE"),
        ("IREFUDA_SUPPLIER_ORIGIN", "http://ebid.example.lg.jp", "https"),
        ("DATABASE_URL", "mysql://x/y", "unknown scheme"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(complete, name, value, told):
    done = start([sys.executable, str(MANAGE), "check"], complete | {name: value})
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert told in done.stderr


def test_a_file_in_the_place_of_a_setting_is_read_and_a_missing_one_is_named(complete, tmp_path):
    del complete["IREFUDA_SECRET_KEY"]
    (tmp_path / "secret").write_text("s" * 60 + "\n")
    check = [sys.executable, str(MANAGE), "check"]
    assert start(check, complete | {"IREFUDA_SECRET_KEY_FILE": str(tmp_path / "secret")}).returncode == 0
    done = start(check, complete | {"IREFUDA_SECRET_KEY_FILE": str(tmp_path / "none")})
    assert done.returncode == 1
    assert "IREFUDA_SECRET_KEY_FILE" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_production_settings_give_the_deployment_check_nothing_to_say(complete):
    """The public's site; `make lint` asks the other two."""
    done = start(
        [sys.executable, str(MANAGE), "check", "--deploy", "--fail-level", "WARNING"],
        complete | {"IREFUDA_SITE": "public", "IREFUDA_SECRET_KEY": "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY" * 2},
    )
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout
