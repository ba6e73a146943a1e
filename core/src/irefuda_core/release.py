"""What a publisher signs about a file that people install: its name, version, size and digest, in a signed note."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

FORMAT = "irefuda-release/1"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,3})(\.(0|[1-9][0-9]{0,3})){2}")
_SIZE = re.compile(r"[1-9][0-9]{0,11}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIELDS = ("file", "version", "size", "sha256")


class NoRelease(ValueError):
    """The text does not describe a release."""


@dataclass(frozen=True, slots=True)
class Release:
    """One file in one version."""

    file: str
    version: str
    size: int
    sha256: str

    @property
    def numbers(self) -> tuple[int, ...]:
        """Return the version so that it can be compared."""
        return tuple(int(part) for part in self.version.split("."))


def release_of(file: str, version: str, content: bytes) -> Release:
    """Return what is to be signed about this content.

    :raises NoRelease: for a name or version that could not be read back, and for nothing at all
    """
    release = Release(file, version, len(content), hashlib.sha256(content).hexdigest())
    return read_release(release_text(release))


def release_text(release: Release) -> str:
    """Return the lines that are signed."""
    lines = [FORMAT, *(f"{name}: {getattr(release, name)}" for name in _FIELDS)]
    return "\n".join(lines) + "\n"


def read_release(text: str) -> Release:
    """Return the release that these lines describe; every release has one spelling.

    :raises NoRelease: for anything else
    """
    lines = text.split("\n")
    if len(lines) != len(_FIELDS) + 2 or lines[0] != FORMAT or lines[-1]:
        raise NoRelease
    values = []
    for line, name, pattern in zip(lines[1:-1], _FIELDS, (_NAME, _VERSION, _SIZE, _SHA256), strict=True):
        if not line.startswith(f"{name}: ") or not pattern.fullmatch(value := line.removeprefix(f"{name}: ")):
            raise NoRelease
        values.append(value)
    file, version, size, sha256 = values
    return Release(file, version, int(size), sha256)
