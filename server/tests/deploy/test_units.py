"""The systemd units: sound, hardened, apart from each other; and the processes that they start, started from them."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import systemd_units as units
from mail_server import mail_server
from served import free_port
from tools.postgres import cluster

from irefuda.registration.staff_views.register_imports import FRAME
from irefuda.suppliers.register_files.reading import LARGEST_FILE

SERVICES = sorted(path.name for path in units.UNITS.glob("*.service"))
TIMERS = sorted(path.name for path in units.UNITS.glob("*.timer"))
ALWAYS = ["irefuda-web@.service", "irefuda-sequencer.service", "irefuda-outbox.service"]
HARDENED = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "PrivateDevices": "yes", "CapabilityBoundingSet": "", "RestrictNamespaces": "yes",
}  # fmt: skip
HOSTS = {"supplier-1": "ebid.example.lg.jp", "public-1": "open.example.lg.jp", "staff-1": "ebid-staff.example.lg.jp"}


# -- what nginx lets through


def test_a_whole_register_comes_through_to_the_staff_s_site_and_to_no_other():
    """nginx is not run here: what its file says is held against what the page takes."""
    sites = {}
    for block in (units.ROOT / "deploy" / "nginx" / "irefuda.conf").read_text().split("\nserver {")[1:]:
        if found := re.search(r"set \$irefuda_upstream irefuda_(\w+);", block):
            sizes = re.findall(r"client_max_body_size (\d+)([km]);", block)
            sites[found[1]] = [int(size) * {"k": 2**10, "m": 2**20}[unit] for size, unit in sizes]
    assert sites.keys() == {"supplier", "public", "staff"}
    (staff,), others = sites.pop("staff"), [size for sizes in sites.values() for size in sizes]
    assert LARGEST_FILE + FRAME <= staff <= LARGEST_FILE + 2**20
    assert len(others) == 2
    assert max(others) <= 2**19


# -- what systemd thinks of them


def verify(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """Ask systemd-analyze about units whose programs lie in this checkout."""
    for path in units.UNITS.iterdir():
        text = path.read_text().replace(f"{units.INSTALLED}/.venv/bin/python", sys.executable)
        text = text.replace(f"{units.INSTALLED}/.venv/bin", str(Path(sys.executable).parent))
        (folder / path.name).write_text(text.replace(units.INSTALLED, str(units.ROOT)))
    paths = [str(folder / name) for name in names]
    return subprocess.run(
        ["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False, timeout=60
    )


def test_systemd_has_nothing_to_say_against_them(tmp_path):
    done = verify(tmp_path, *SERVICES, *TIMERS, "irefuda.target")
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_would_say_it(tmp_path):
    verify(tmp_path)
    broken = tmp_path / "irefuda-broken.service"
    text = (tmp_path / "irefuda-outbox.service").read_text()
    broken.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/nowhere/python", text).replace("UMask=0077", "UMaks=0077"))
    done = subprocess.run(["systemd-analyze", "verify", str(broken)], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "/nowhere/python" in done.stderr
    assert "UMaks" in done.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_is_hardened(tmp_path, name):
    given = dict(units.settings_of((units.UNITS / name).read_text()))
    assert {key: given.get(key) for key in HARDENED} == HARDENED
    assert given["User"] not in ("root", "")
    verify(tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=25", "--no-pager", str(tmp_path / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def test_the_target_and_the_timers_name_what_is_there():
    text = (units.UNITS / "irefuda.target").read_text()
    wanted = {re.sub(r"@[^.]+", "@", word) for word in re.findall(r"irefuda-\S+", text)}
    assert wanted == {*ALWAYS, *TIMERS}
    assert {name.replace(".timer", ".service") for name in TIMERS} == set(SERVICES) - set(ALWAYS)


def test_the_head_key_is_the_sequencer_s_alone():
    owners = {}
    for line in (units.UNITS / "irefuda.tmpfiles.conf").read_text().splitlines():
        if line and not line.startswith("#"):
            _, path, mode, user, group = line.split()
            owners[path] = (mode, user, group)
    assert owners["/etc/irefuda/keys/head/head.pem"] == ("0400", "irefuda-sequencer", "irefuda-sequencer")
    assert owners["/etc/irefuda/keys/head"] == ("0700", "irefuda-sequencer", "irefuda-sequencer")
    users = dict.fromkeys(SERVICES, "")
    for name in SERVICES:
        text = (units.UNITS / name).read_text()
        users[name] = dict(units.settings_of(text))["User"]
        named = "".join((units.ENVIRONMENTS / Path(file).name.replace("%i", "staff-1")).read_text()
                        for key, file in units.settings_of(text) if key == "EnvironmentFile")  # fmt: skip
        assert ("head.pem" in named) == (name == "irefuda-sequencer.service"), name
        assert ("receipt.pem" in named) == (name == "irefuda-web@.service"), name
        assert "PASSWORD=" not in named
        assert "DATABASE_URL=" not in named
    assert [name for name, user in users.items() if user == "irefuda-sequencer"] == ["irefuda-sequencer.service"]


# -- what they start


class Installation:
    """A machine as `docs/operations/install.md` sets it up, but in a folder and on free ports."""

    def __init__(self, folder: Path, owner: str) -> None:
        self.folder, self.owner = folder, owner
        self.places = {
            f"{units.INSTALLED}/.venv/bin/python": sys.executable,
            f"{units.INSTALLED}/.venv/bin": str(Path(sys.executable).parent),
            units.INSTALLED: str(units.ROOT),
            "/etc/irefuda": str(folder / "etc"),
            "/var/lib/irefuda-ledger": str(folder / "ledger"),
            "/var/lib/irefuda": str(folder / "state"),
            "/var/backups/irefuda": str(folder / "backups"),
        }
        self.running: dict[str, tuple[units.Unit, subprocess.Popen[bytes]]] = {}

    def url(self, role: str) -> str:
        return self.owner.replace("//irefuda@", f"//{role}@")

    def write(self, path: str, content: str) -> None:
        file = self.folder / "etc" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    def unit(self, name: str, instance: str = "") -> units.Unit:
        return units.read(name, instance=instance, places=self.places)

    def environment(self, unit: units.Unit) -> dict[str, str]:
        """Return what systemd would give the process: little of its own, and what the unit says."""
        return {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(self.folder), **unit.environment}

    def once(self, unit: units.Unit) -> str:
        said = ""
        for command in unit.commands:
            done = subprocess.run(
                command, env=self.environment(unit), cwd=units.ROOT, capture_output=True, text=True, check=False
            )
            said += done.stdout + done.stderr
        return said

    def manage(self, *arguments: str) -> None:
        """Run a command as the owner of the tables does."""
        unit = self.unit("irefuda-audit.service")
        command = [*unit.commands[0][:-1], *arguments]
        done = subprocess.run(command, env=self.environment(unit), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def start(self, name: str, instance: str = "") -> None:
        unit = self.unit(name, instance)
        with (self.folder / f"{unit.name}.log").open("wb") as log:
            process = subprocess.Popen(
                unit.commands[0], env=self.environment(unit), cwd=units.ROOT, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        self.running[instance or name] = (unit, process)

    def stop(self, key: str) -> float:
        """Send SIGTERM, and return how long the process took; it must be less than the unit allows."""
        unit, process = self.running.pop(key)
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.wait(unit.stop_seconds)
        return time.monotonic() - begun

    def log(self, key: str, instance: str = "") -> str:
        return (self.folder / f"{key.replace('@', f'@{instance}')}.log").read_text()

    def get(self, instance: str, path: str, host: str = "") -> tuple[int, str]:
        """Ask a web process as nginx does."""
        port = self.running[instance][0].environment["PORT"]
        headers = {
            "Host": host or HOSTS[instance], "X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9",
            "X-Request-ID": "proxy-0123456789",
        }  # fmt: skip
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read().decode()

    def await_up(self, instance: str) -> None:
        deadline = time.monotonic() + 60
        while True:
            try:
                if self.get(instance, "/healthz", "nobody")[0] == 200:
                    return
            except OSError:
                assert self.running[instance][1].poll() is None, "the process has ended"
                assert time.monotonic() < deadline, "nobody answers"
                time.sleep(0.1)


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("machine")
    with cluster(settings={"fsync": "off"}) as owner:
        made = Installation(folder, owner)
        for name in ("state/static", "ledger", "backups"):
            (folder / name).mkdir(parents=True)
        shutil.copytree(units.ENVIRONMENTS, folder / "etc", dirs_exist_ok=True)
        mail_port = free_port()
        for path in (folder / "etc").glob("*.env"):
            text = path.read_text()
            text = re.sub(r"(?m)^PORT=\d+$", lambda _: f"PORT={free_port()}", text)
            path.write_text(text.replace("IREFUDA_SMTP_PORT=25", f"IREFUDA_SMTP_PORT={mail_port}"))
        made.write("secrets/secret-key", "k9" * 40)
        for name, role in (("web", "irefuda_web"), ("public", "irefuda_public"), ("jobs", "irefuda_jobs"),
                           ("sequencer", "irefuda_sequencer"), ("owner", "irefuda")):  # fmt: skip
            made.write(f"secrets/{name}.url", made.url(role) + "\n")
        made.manage("migrate", "--verbosity", "0")
        made.manage("collectstatic", "--noinput", "--verbosity", "0")
        made.manage("make_ledger_keys", "--directory", str(folder / "etc" / "keys"))
        for key in ("head", "receipt"):
            (folder / "etc" / "keys" / key).mkdir()
            (folder / "etc" / "keys" / f"{key}.pem").rename(folder / "etc" / "keys" / key / f"{key}.pem")
        with psycopg.connect(owner) as connection:
            for role in ("web", "public", "jobs", "sequencer"):
                connection.execute(f"CREATE ROLE irefuda_{role} LOGIN")
            connection.execute((units.ROOT / "deploy" / "sql" / "roles.sql").read_bytes())
        with mail_server(mail_port) as postbox:
            made.postbox = postbox  # type: ignore[attr-defined]
            try:
                yield made
            finally:
                for _, process in made.running.values():
                    process.kill()
                    process.wait()


def test_the_processes_start_from_their_units_work_and_stop_in_time(installation: Any):
    installation.start("irefuda-sequencer.service")
    installation.start("irefuda-outbox.service")
    for instance in HOSTS:
        installation.start("irefuda-web@.service", instance)
    for instance in HOSTS:
        installation.await_up(instance)
    # An announcement is the smallest deed: the ledger places it, and the sites show it.
    installation.manage("announcement", "publish", "試験のお知らせ", "--body", "本文です。")
    with psycopg.connect(installation.owner) as connection:
        connection.execute(
            'INSERT INTO notices_notice (id, message_id, kind, "to", sender, subject, body, inbox, once, queued_at, state,'
            " attempts, next_attempt_at, claimed_by, last_error) VALUES (gen_random_uuid(), '<1@x>', 'k',"
            " 'keiri@example.jp', 'nyusatsu@example.lg.jp', '件名', '本文', '', '', now(), 'queued', 0, now(), '', '')"
        )
    deadline = time.monotonic() + 60
    while not installation.postbox.mails or "台帳" not in installation.get("public-1", "/ledger/")[1]:
        assert time.monotonic() < deadline, "the outbox sends nothing"
        time.sleep(0.1)
    for instance in HOSTS:
        assert installation.get(instance, "/readyz", "nobody") == (200, installation.get(instance, "/readyz")[1])
        assert json.loads(installation.get(instance, "/readyz")[1])["checks"]["ledger_continues"] == "ok"
    assert "試験のお知らせ" in installation.get("supplier-1", "/")[1]
    assert "ログイン" in installation.get("staff-1", "/login/")[1]
    assert installation.get("public-1", "/ledger/keys.json")[0] == 200
    static = re.search(r"/static/ui/style\.[0-9a-f]+\.css", installation.get("supplier-1", "/")[1])
    assert static is not None
    assert installation.get("supplier-1", static[0])[0] == 200
    assert installation.get("supplier-1", "/", "elsewhere.example.jp")[0] == 400
    for service in ("irefuda-daily.service", "irefuda-audit.service"):
        assert "Traceback" not in installation.once(installation.unit(service))
    assert "食い違いはありません" in installation.once(installation.unit("irefuda-audit.service"))
    took = {key: installation.stop(key) for key in list(installation.running)}
    assert max(took.values()) < 20, took
    requests = [
        json.loads(line) for line in installation.log("irefuda-web@.service", "supplier-1").splitlines()
        if '"irefuda.request"' in line
    ]  # fmt: skip
    assert {line["route"] for line in requests} >= {"portal", "readyz"}
    assert all(line["client"] == "203.0.113.0/24" and line["request_id"] == "proxy-0123456789" for line in requests)


def test_a_unit_whose_secret_is_missing_says_so_and_ends(installation: Any):
    secret = installation.folder / "etc" / "secrets" / "secret-key"
    secret.rename(secret.with_suffix(".away"))
    try:
        installation.start("irefuda-web@.service", "supplier-2")
        _, process = installation.running.pop("supplier-2")
        assert process.wait(60) != 0
    finally:
        secret.with_suffix(".away").rename(secret)
    assert "irefuda does not start: IREFUDA_SECRET_KEY_FILE" in installation.log("irefuda-web@.service", "supplier-2")


# -- the database restarts under load

DEEDS = """
import sys
import django; django.setup()
from django.db import InterfaceError, OperationalError, connection, transaction
from irefuda.ledger import operations
from irefuda.ui import clock
print("ready", flush=True)
number = 0
for line in sys.stdin:
    number += 1
    try:
        with transaction.atomic():
            operations.append(document=f"deed {number}".encode(), kind="test.deed", at=clock.now(), salt=number.to_bytes(16, "big"))
    except (OperationalError, InterfaceError):
        connection.close()
        print("away", flush=True)
    else:
        print("done", flush=True)
"""


class Load(threading.Thread):
    """Somebody who asks for the same pages again and again, and keeps what was answered."""

    def __init__(self, installation: Any) -> None:
        super().__init__()
        self.installation, self.stopped = installation, threading.Event()
        self.answers: list[tuple[int, str]] = []

    def run(self) -> None:
        while not self.stopped.is_set():
            for path in ("/", "/9992/goods/registration/menu/", "/readyz"):
                self.answers.append(self.installation.get("supplier-1", path))


class Restart(threading.Thread):
    """Restart the whole cluster, cutting every connection, as an upgrade of PostgreSQL does; ask for pages between."""

    def __init__(self, installation: Any) -> None:
        super().__init__()
        self.installation = installation
        self.meanwhile: list[tuple[int, str]] = []
        with psycopg.connect(installation.owner) as connection:
            (self.data,) = connection.execute("SHOW data_directory").fetchone() or ("",)

    def run(self) -> None:
        self._pg_ctl("stop", "-m", "fast")
        self.meanwhile = [self.installation.get("supplier-1", path) for path in ("/", "/readyz", "/healthz")]
        self._pg_ctl("start", "-l", f"{self.data}/../restarted.log")

    def _pg_ctl(self, *arguments: str) -> None:
        programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
        prefix = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*prefix, str(programs / "pg_ctl"), "-D", self.data, "-w", *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd="/tmp")


def test_the_database_restarted_under_load_costs_a_moment_and_no_deed(installation: Any):
    with psycopg.connect(installation.owner) as connection:
        (before,) = connection.execute("SELECT count(*) FROM ledger_entry").fetchone() or (0,)
    for name in ("irefuda-sequencer.service", "irefuda-outbox.service"):
        installation.start(name)
    installation.start("irefuda-web@.service", "supplier-1")
    installation.await_up("supplier-1")
    environment = installation.environment(installation.unit("irefuda-web@.service", "supplier-1"))
    deeds = subprocess.Popen(
        [sys.executable, "-c", DEEDS],
        env={**environment, "DJANGO_SETTINGS_MODULE": "irefuda.config.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert deeds.stdin is not None
    assert deeds.stdout is not None
    assert deeds.stdout.readline() == "ready\n"

    # The scheduler of an installation without timers (compose.yaml), every second.
    jobs = installation.unit("irefuda-outbox.service")
    scheduler = subprocess.Popen(
        [*jobs.commands[0][:-1], "repeat", "purge_registration", "--every-hours", "0.0003"],
        env={**installation.environment(jobs), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    # At work before the database goes: one that only begins then is begun again by whoever watches over it.
    assert scheduler.stdout is not None
    assert scheduler.stdout.readline()

    def deed() -> str:
        print("", file=deeds.stdin, flush=True)
        return deeds.stdout.readline().strip()  # type: ignore[union-attr]

    load = [Load(installation) for _ in range(3)]
    for thread in load:
        thread.start()
    said = [deed() for _ in range(20)]
    restarting = Restart(installation)
    restarting.start()
    while restarting.is_alive():
        said.append(deed())
    restarting.join()
    said += [deed() for _ in range(20)]
    with psycopg.connect(installation.owner) as connection:
        connection.execute("UPDATE notices_notice SET state = 'queued', sent_at = NULL, next_attempt_at = now()")
        connection.execute(
            'INSERT INTO notices_notice (id, message_id, kind, "to", sender, subject, body, inbox, once, queued_at, state,'
            " attempts, next_attempt_at, claimed_by, last_error) VALUES (gen_random_uuid(), '<2@x>', 'k',"
            " 'keiri@example.jp', 'nyusatsu@example.lg.jp', '件名', '本文', '', '', now(), 'queued', 0, now(), '', '')"
        )
    deadline = time.monotonic() + 60
    while True:
        with psycopg.connect(installation.owner) as connection:
            waiting = connection.execute(
                "SELECT (SELECT count(*) FROM ledger_pending), (SELECT count(*) FROM notices_notice WHERE state <> 'sent')"
            ).fetchone()
        if waiting == (0, 0):
            break
        assert time.monotonic() < deadline, f"sequencer or outbox did not come back: {waiting}"
        time.sleep(0.1)
    for thread in load:
        thread.stopped.set()
    for thread in load:
        thread.join()
    deeds.communicate(timeout=20)
    assert scheduler.poll() is None
    scheduler.send_signal(signal.SIGTERM)
    (_, complaints) = scheduler.communicate(timeout=60)
    assert scheduler.returncode == 0, complaints
    assert "Traceback" not in complaints
    # The same processes all along: none of them has ended.
    assert {process.poll() for _, process in installation.running.values()} == {None}
    answers = [answer for thread in load for answer in thread.answers]
    assert {status for status, _ in answers} <= {200, 503, 404}
    told = [text for status, text in answers if status == 503]
    assert [status for status, _ in restarting.meanwhile] == [503, 503, 200]
    told += [text for status, text in restarting.meanwhile if status == 503]
    assert "away" in said
    assert all("P-800" in text or '"ready": false' in text for text in told)
    assert {status for status, text in (thread.answers[-3] for thread in load)} <= {200, 404}
    assert "done" in said[-20:]
    # What was answered is there; what was not may be, whole or not at all.
    with psycopg.connect(installation.owner) as connection:
        (entries,) = connection.execute("SELECT count(*) FROM ledger_entry").fetchone() or (0,)
        (loose,) = connection.execute(
            "SELECT count(*) FROM ledger_entry WHERE id NOT IN (SELECT entry_id FROM ledger_leaf)"
        ).fetchone() or (1,)
    assert said.count("done") <= entries - before <= len(said)
    assert loose == 0
    assert "食い違いはありません" in installation.once(installation.unit("irefuda-audit.service"))
    for key in list(installation.running):
        installation.stop(key)
