"""The companion program's releases: a folder with each file, its signed note beside it, and a manifest that names them."""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from irefuda_core.note import NoteFailure, VerifierKey, parse_verifier_key, sign_note, verifier_key
from irefuda_core.refusal import Refused, refusal
from irefuda_core.release import NoRelease, Release, read_release, release_of, release_text

MANIFEST = "releases.json"
FORMAT = "irefuda-releases/1"
_VERSION = r"[0-9]{1,4}(?:\.[0-9]{1,4}){2}"
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class System:
    """A kind of computer: how its pages are called, how its files are named, and how their content begins."""

    slug: str
    name: str
    file: str
    beginning: bytes


SYSTEMS = (
    System("linux", "Linux（Debian 12）", rf"irefuda-card-agent_({_VERSION})_(?:amd64|arm64)\.deb", b"!<arch>\n"),
    System("windows", "Windows", rf"irefuda-card-agent-({_VERSION})\.msi", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"),
    System("macos", "macOS", rf"irefuda-card-agent-({_VERSION})\.pkg", b"xar!"),
)


@dataclass(frozen=True, slots=True)
class Offered:
    """A release that can be fetched here."""

    system: str
    release: Release
    published_at: datetime
    key: str

    @property
    def note(self) -> str:
        """Return the name of the file with its signature."""
        return f"{self.release.file}.note"


def offered() -> list[Offered]:
    """Return what this installation offers, in the order in which it was published.

    A manifest that cannot be read is logged and offers nothing: no other page is to fail for it.
    """
    if not settings.AGENT_RELEASES:
        return []
    directory = Path(settings.AGENT_RELEASES)
    try:
        found = _read(directory)
    except ValueError as reason:
        _logger.error("%s cannot be read: %s", directory / MANIFEST, reason)
        return []
    return [each for each in found if _is_whole(directory, each)]


def newest(system: str, among: list[Offered]) -> Offered | None:
    """Return the newest release for this kind of computer, or None."""
    return max((each for each in among if each.system == system), key=lambda each: each.release.numbers, default=None)


def path_of(name: str) -> Path | None:
    """Return where the file of this name lies, if it is a release that is offered or the note of one."""
    # The name is compared with those of the manifest and never becomes a path by itself.
    names = {file for each in offered() for file in (each.release.file, each.note)}
    return Path(settings.AGENT_RELEASES) / name if name in names else None


def _is_whole(directory: Path, each: Offered) -> bool:
    try:
        size = (directory / each.release.file).stat().st_size
    except OSError:
        return False
    return size == each.release.size and (directory / each.note).is_file()


def _read(directory: Path) -> list[Offered]:
    try:
        manifest = json.loads((directory / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return []
    except OSError as reason:
        raise ValueError(reason.strerror) from None
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT}")
    try:
        return [_entry(entry) for entry in manifest["releases"]]
    except (KeyError, TypeError, NoRelease, NoteFailure):
        raise ValueError("an entry lacks something or has the wrong form") from None


def _entry(entry: dict[str, Any]) -> Offered:
    release = Release(entry["file"], entry["version"], entry["size"], entry["sha256"])
    if system_of(read_release(release_text(release)).file)[0].slug != entry["system"]:
        raise NoRelease
    key = parse_verifier_key(str(entry["key"]))
    return Offered(entry["system"], release, datetime.fromisoformat(entry["published_at"]), str(key))


def system_of(file: str) -> tuple[System, str]:
    """Return for which kind of computer a file of this name is, and its version.

    :raises NoRelease: when the name is none of ours
    """
    for system in SYSTEMS:
        if found := re.fullmatch(system.file, file):
            return system, found[1]
    raise NoRelease


# -- publishing


def publish(
    file: str, content: bytes, *, key: Ed25519PrivateKey, key_name: str, new_key: bool, now: datetime
) -> Offered:
    """Sign the file, put it and its note into the folder, and return what is offered from now on.

    :raises Refused: P-841 without a folder, P-842 for a file that is no package of ours, P-843 for a version that is not
        newer, P-844 for a key that is not the one of the releases before (unless `new_key`), P-845 for a broken manifest
    """
    if not settings.AGENT_RELEASES:
        raise Refused(refusal("P-841"))
    directory = Path(settings.AGENT_RELEASES)
    try:
        system, version = system_of(file)
        release = release_of(file, version, content)
    except NoRelease:
        raise Refused(refusal("P-842")) from None
    if not content.startswith(system.beginning):
        raise Refused(refusal("P-842"))
    verifier = verifier_key(key_name, key.public_key())
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory):
        try:
            before = _read(directory)
        except ValueError:
            raise Refused(refusal("P-845", file=str(directory / MANIFEST))) from None
        _refuse(release, system, verifier, before, new_key=new_key)
        added = Offered(system.slug, release, now, str(verifier))
        _put(directory / file, content)
        _put(directory / added.note, sign_note(release_text(release), name=key_name, key=key).encode())
        # Last: whoever reads in between, or after a crash, is offered what was there before.
        _put(directory / MANIFEST, _manifest([*before, added]))
    return added


def _refuse(release: Release, system: System, verifier: VerifierKey, before: list[Offered], *, new_key: bool) -> None:
    last = newest(system.slug, before)
    if last is not None and last.release.numbers >= release.numbers:
        raise Refused(refusal("P-843", version=release.version, newest=last.release.version, system=system.name))
    if before and before[-1].key != str(verifier) and not new_key:
        raise Refused(refusal("P-844", key=before[-1].key))


def _manifest(releases: list[Offered]) -> bytes:
    entries = [
        {
            "system": each.system, "file": each.release.file, "version": each.release.version, "size": each.release.size,
            "sha256": each.release.sha256, "published_at": each.published_at.isoformat(), "key": each.key,
        }
        for each in releases
    ]  # fmt: skip
    return (json.dumps({"format": FORMAT, "releases": entries}, indent=1) + "\n").encode()


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    with (directory / ".publishing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _put(path: Path, content: bytes) -> None:
    """Write a file in one step, for everyone to read."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as file:
            os.fchmod(file.fileno(), 0o644)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
