"""The practice city of `make run` on ports of its own: every process real, started and stopped together."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

RUN = Path(__file__).resolve().parents[2] / "tools" / "run.py"
HOST = "bid.irefuda.test"
UP = "公開サイト（名簿・台帳）"


@dataclass(frozen=True)
class PracticeCity:
    """A running practice city: the contractors' site, the public's, the staff's, and its demo cards by name."""

    origin: str
    public_origin: str
    staff_origin: str
    state_dir: Path
    process: subprocess.Popen[str]
    said: str

    def card(self, name: str) -> dict[str, str]:
        """Return what the help page tells of one demo card."""
        told = json.loads((self.state_dir / "cards" / "cards.json").read_text())
        found: dict[str, str] = next(card for card in told["cards"] + told["staff_cards"] if card["name"] == name)
        return found

    @property
    def chromium_arguments(self) -> list[str]:
        """Return how Chromium finds the site and takes it for one on a public address."""
        port = self.origin.rsplit(":", 1)[1]
        return [
            f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
            # Without this the site is on a loopback address itself, and Local Network Access is not exercised.
            f"--ip-address-space-overrides=127.0.0.1:{port}=public",
        ]


def self_signed(directory: Path) -> tuple[Path, Path]:
    """Write a certificate for HOST and its key, and return both files."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    files = directory / "site.crt", directory / "site.key"
    files[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return files


def free_block() -> int:
    """Return a port with 30 free ones from it on, below those that the system gives to outgoing connections."""
    first = 18_000 + os.getpid() % 400 * 30
    return next(port for port in range(first, 32_000, 30) if all(_is_free(port + step) for step in range(30)))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def running(state_dir: Path, *, https: bool = False) -> Iterator[PracticeCity]:
    """Run `make run`'s program and yield the city; SIGTERM ends all its processes with the block."""
    port = free_block()
    origin = f"https://{HOST}:{port}" if https else f"http://localhost:{port}"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("IREFUDA_", "DATABASE_"))}
    environment |= {
        "PORT": str(port),
        "IREFUDA_STATE_DIR": str(state_dir),
        "IREFUDA_SUPPLIER_ORIGIN": origin,
        "IREFUDA_AGENT_PORTS": " ".join(str(port + step) for step in (10, 11, 12)),
    }
    environment.pop("DJANGO_SETTINGS_MODULE", None)
    if https:
        state_dir.mkdir(parents=True, exist_ok=True)
        certificate, key = self_signed(state_dir)
        environment |= {"IREFUDA_TLS_CERTIFICATE": str(certificate), "IREFUDA_TLS_KEY": str(key)}
    process = subprocess.Popen(
        [sys.executable, str(RUN)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        said = _listen(process)
        public, staff = f"http://open.localhost:{port + 2}", f"http://staff.localhost:{port + 1}"
        yield PracticeCity(origin, public, staff, state_dir, process, said)
    finally:
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=30)
        (state_dir / "run.log").write_text(rest or "")


def _listen(process: subprocess.Popen[str]) -> str:
    """Return what the program said until it was up."""
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line)
        if UP in line:
            return "".join(lines)
    raise AssertionError("the practice city did not come up:\n" + "".join(lines))
