"""What the benchmark stands on: databases of a cluster of its own, and the web processes with the product's options."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from urllib.parse import quote, urlsplit

import psutil
import psycopg

ROOT = Path(__file__).resolve().parent.parent
MANAGE = ROOT / "server" / "manage.py"
# The measured city is made by the test suite's builders.
sys.path[:0] = [str(ROOT / "server" / "tests"), str(ROOT / "core" / "tests")]


def tool(name: str) -> ModuleType:
    """Return one of the scripts under tools/ as a module."""
    spec = importlib.util.spec_from_file_location(f"tools_{name}", ROOT / "tools" / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def free_port() -> int:
    """Return a port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(*, state: Path, database_url: str, port: int = 8000) -> dict[str, str]:
    """Return the environment of every process of the measured installation."""
    return {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "floor.settings",
        "PYTHONPATH": os.pathsep.join([str(ROOT / "bench"), *filter(None, [os.environ.get("PYTHONPATH")])]),
        "DATABASE_URL": database_url,
        "IREFUDA_REALM": "practice",
        "IREFUDA_STATE_DIR": str(state),
        "IREFUDA_SECRET_KEY_FILE": str(state / "secret"),
        "IREFUDA_SUPPLIER_ORIGIN": f"http://localhost:{port}",
        "IREFUDA_PUBLIC_ORIGIN": "http://open.localhost:8002",
        "IREFUDA_STAFF_ORIGIN": "http://staff.localhost:8001",
        "IREFUDA_RECEIPT_KEY_FILE": str(state / "keys" / "receipt.pem"),
        "IREFUDA_HEAD_KEY_FILE": str(state / "keys" / "head.pem"),
        "IREFUDA_LEDGER_KEYS_FILE": str(state / "keys" / "ledger-keys.json"),
        # The proxy of production: every browser of the benchmark has an address of its own, as people have.
        "IREFUDA_TRUSTED_PROXIES": "127.0.0.1",
        "IREFUDA_LOG_LEVEL": "WARNING",
    }


def manage(*arguments: str, env: dict[str, str]) -> None:
    """Run one of the server's commands to its end."""
    subprocess.run([sys.executable, str(MANAGE), *arguments], env=env, check=True, stdout=subprocess.DEVNULL)


@dataclass(frozen=True, slots=True)
class Databases:
    """The cluster, with a migrated database to copy from."""

    url: str
    state: Path

    def prepare(self) -> None:
        """Migrate the template, collect the static files and make the keys, once."""
        (self.state / "keys").mkdir(parents=True)
        (self.state / "secret").write_text(secrets.token_urlsafe(60))
        env = environment(state=self.state, database_url=self.url)
        manage("migrate", "--run-syncdb", "--verbosity", "0", env=env)
        manage("collectstatic", "--noinput", "--verbosity", "0", env=env)
        manage("make_ledger_keys", "--directory", str(self.state / "keys"), "--verbosity", "0", env=env)

    def copy(self, name: str, *, of: str = "irefuda") -> str:
        """Return the address of a fresh copy of the migrated database, or of another one that nobody is connected to."""
        with psycopg.connect(self.url.rsplit("/", 1)[0] + "/postgres", autocommit=True) as maintenance:
            maintenance.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
            maintenance.execute(f'CREATE DATABASE "{name}" TEMPLATE "{of}"')
        return self.address(name)

    def address(self, name: str, *, options: str = "") -> str:
        """Return a database's address; `options` go to every connection, such as `-c commit_delay=3000`."""
        return self.url.rsplit("/", 1)[0] + f"/{name}" + (f"?options={quote(options)}" if options else "")

    def version(self) -> str:
        """Return the server's version."""
        with psycopg.connect(self.url) as connection:
            return str(connection.execute("SHOW server_version").fetchone()[0]).split()[0]  # type: ignore[index]


@dataclass(frozen=True, slots=True)
class Web:
    """A running web process: where it listens, who it is, and how long it took to its first answer."""

    port: int
    process: subprocess.Popen[bytes]
    seconds_to_first_answer: float


@contextlib.contextmanager
def web(*, env: dict[str, str], port: int, site: str = "supplier", application: str = "") -> Iterator[Web]:
    """Serve with the options that `make run` and production have; the process ends with the block."""
    command = tool("run").web(site, port)
    if application:
        command = [*command[:-1], application]
    started = time.monotonic()
    log = Path(env["IREFUDA_STATE_DIR"]) / f"web-{port}.log"
    with log.open("wb") as noted:
        process = subprocess.Popen(command, env={**env, "IREFUDA_SITE": site}, stderr=noted)
    try:
        _await_answer(port, "localhost" if site == "supplier" else "open.localhost", process)
        yield Web(port, process, time.monotonic() - started)
    except BaseException:
        # What was asked of the site went wrong; the site's own account of it is about to be removed.
        sys.stderr.write(log.read_text()[-4000:])
        raise
    finally:
        _stop(process)


def _stop(process: subprocess.Popen[bytes]) -> None:
    workers = psutil.Process(process.pid).children(recursive=True)
    # A signal that comes while a worker is still starting is lost, so it is sent again.
    for _ in range(5):
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(3)
            return
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            worker.kill()
    process.kill()
    process.wait(5)


def _await_answer(port: int, host: str, process: subprocess.Popen[bytes]) -> None:
    page = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": f"{host}:{port}"})
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(page, timeout=5).close()
            return
        except urllib.error.HTTPError as answer:
            raise RuntimeError(f"the site answers {answer.code}") from None
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("the site did not answer")


@contextlib.contextmanager
def sequencer(*, env: dict[str, str]) -> Iterator[None]:
    """Sequence the ledger beside the web processes, as production does."""
    process = subprocess.Popen([sys.executable, str(MANAGE), "sequence_ledger"], env=env)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


def name_of(url: str) -> str:
    """Return the database's name in an address."""
    return urlsplit(url).path[1:]
