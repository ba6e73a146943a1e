"""A PostgreSQL cluster of our own for tests and benchmarks: made, started, used, removed. Never the machine's.

python tools/postgres.py -- COMMAND …     runs COMMAND with DATABASE_URL set
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path


def _programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    if not found:
        sys.exit("PostgreSQL is missing: run `make setup` (Debian package: postgresql)")
    return found[-1].parent


def _as_other_user() -> tuple[list[str], int | None]:
    """PostgreSQL refuses to run as root; there the package's own user stands in."""
    if os.geteuid() != 0:
        return [], None
    return ["runuser", "-u", "postgres", "--"], pwd.getpwnam("postgres").pw_uid


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def cluster(*, settings: dict[str, str] | None = None) -> Iterator[str]:
    """Yield the DATABASE_URL of a fresh cluster that listens on a socket and on loopback; remove it afterwards."""
    programs, (prefix, uid) = _programs(), _as_other_user()
    home = Path(tempfile.mkdtemp(prefix="irefuda-pg-", dir="/tmp"))
    if uid is not None:
        os.chown(home, uid, -1)
    data, port = home / "data", _free_port()
    subprocess.run(
        [
            *prefix,
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "irefuda",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd="/tmp",
    )
    options = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": str(home),
        "max_connections": "200",
    }
    options |= settings or {}
    with (data / "postgresql.conf").open("a") as conf:
        conf.writelines(f"{name} = '{value}'\n" for name, value in options.items())
    with (home / "log").open("w") as log:
        server = subprocess.Popen(
            [*prefix, str(programs / "postgres"), "-D", str(data)],
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd="/tmp",
            start_new_session=True,
        )
    try:
        ready = subprocess.run(
            [
                "bash",
                "-c",
                f"for i in $(seq 100); do {programs}/pg_isready -q -h 127.0.0.1 -p {port} && exit 0; sleep 0.1; done; exit 1",
            ],
            check=False,
        )
        if ready.returncode:
            sys.exit("PostgreSQL did not start:\n" + (home / "log").read_text())
        subprocess.run(
            [str(programs / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "irefuda", "irefuda"], check=True
        )
        yield f"postgresql://irefuda@127.0.0.1:{port}/irefuda"
    finally:
        postmaster = int((data / "postmaster.pid").read_text().split()[0])
        os.kill(postmaster, signal.SIGINT)
        server.wait(30)
        shutil.rmtree(home, ignore_errors=True)


def main() -> int:
    command = sys.argv[2:] if sys.argv[1:2] == ["--"] else sys.argv[1:]
    # A test database is worth no disk flush; crash tests start a cluster with other settings.
    with cluster(settings={"fsync": "off"}) as url:
        return subprocess.run(command, env={**os.environ, "DATABASE_URL": url}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
