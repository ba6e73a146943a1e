"""The systemd units of `deploy/`, read as systemd reads them, to start exactly what they start."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "deploy" / "systemd"
ENVIRONMENTS = ROOT / "deploy" / "etc"
INSTALLED = "/opt/irefuda/current"
SECONDS = {"": 1, "s": 1, "min": 60, "h": 3600}


@dataclass(frozen=True)
class Unit:
    """What of one service matters for starting and stopping it."""

    name: str
    user: str
    commands: list[list[str]]
    environment: dict[str, str]
    environment_files: list[str]
    stop_seconds: int


def settings_of(text: str, section: str = "Service") -> list[tuple[str, str]]:
    """Return the assignments of one section, in their order."""
    part = re.split(r"(?m)^\[(\w+)\]$", text)
    bodies = dict(zip(part[1::2], part[2::2], strict=True))
    lines = [line for line in bodies.get(section, "").splitlines() if line and not line.startswith(("#", ";"))]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def read(file: str, *, instance: str = "", places: dict[str, str]) -> Unit:
    """Return the unit in this file; `places` says where this test has what the unit names."""
    assignments = [
        (name, _elsewhere(value.replace("%i", instance), places))
        for name, value in settings_of((UNITS / file).read_text())
    ]
    environment: dict[str, str] = {}
    files = [value for name, value in assignments if name == "EnvironmentFile"]
    for path in files:
        environment |= read_environment(Path(path), places)
    values = dict(assignments)
    return Unit(
        name=file.replace("@", f"@{instance}"),
        user=values["User"],
        commands=[_command(value, environment) for name, value in assignments if name == "ExecStart"],
        environment=environment,
        environment_files=files,
        stop_seconds=_seconds(values["TimeoutStopSec"]),
    )


def read_environment(path: Path, places: dict[str, str]) -> dict[str, str]:
    """Return the assignments of an environment file."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return {name: _elsewhere(value, places) for name, _, value in (line.partition("=") for line in lines)}


def _command(line: str, environment: dict[str, str]) -> list[str]:
    return [
        re.sub(r"\$\{(\w+)\}", lambda found: environment[found[1]], word)
        for word in shlex.split(line.removeprefix("-"))
    ]


def _elsewhere(value: str, places: dict[str, str]) -> str:
    for place, here in places.items():
        value = value.replace(place, here)
    return value


def _seconds(text: str) -> int:
    number, unit = re.fullmatch(r"(\d+)(s|min|h)?", text).groups()  # type: ignore[union-attr]
    return int(number) * SECONDS[unit or ""]
