"""Build the .deb of the companion program for Debian 12: `python agent/packaging/build_deb.py DIRECTORY`.

It takes the locked packages out of the virtual environment that runs it, file by file as they were installed, and
needs no network. Two builds of the same sources give the same bytes.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PACKAGE = "irefuda-card-agent"
# Debian 12's: the compiled parts of the locked packages are made for this one.
PYTHON = "python3.11"
HOME = Path("opt") / PACKAGE
OURS = {"irefuda-core": ROOT / "core" / "src", PACKAGE: ROOT / "agent" / "src"}
# What pip notes of the machine that it installed on, and the self-tests of pycryptodome (a third of the size).
_LEFT_OUT = re.compile(
    r"(^|/)__pycache__/|\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json)$|^Crypto/SelfTest/"
)
# Where a file of the folder debian/ goes.
PLACES = {
    "irefuda-card.desktop": "usr/share/applications/irefuda-card.desktop",
    "irefuda-card-check.desktop": "usr/share/applications/irefuda-card-check.desktop",
    "autostart.desktop": "etc/xdg/autostart/irefuda-card.desktop",
    "irefuda-card.svg": "usr/share/icons/hicolor/scalable/apps/irefuda-card.svg",
    "copyright": f"usr/share/doc/{PACKAGE}/copyright",
}
PACKED = {
    "changelog": f"usr/share/doc/{PACKAGE}/changelog.gz",
    "irefuda-card.1": "usr/share/man/man1/irefuda-card.1.gz",
}
LAUNCHERS = {"irefuda-card": "irefuda_agent", "irefuda-verify": "irefuda_verify"}


class CannotBuild(Exception):
    """The package would not be what it says it is; the message says why."""


def version_of_the_sources() -> str:
    """Return the version that the program tells of itself."""
    source = (ROOT / "agent/src/irefuda_agent/version.py").read_text(encoding="utf-8")
    found = re.search(r'^VERSION = "([0-9.]+)"$', source, re.MULTILINE)
    if found is None:
        raise CannotBuild("version.py names no version")
    return found[1]


def check_changelog(changelog: str, version: str) -> int:
    """Return when the newest entry was written, which is the date of every file in the package.

    :raises CannotBuild: when the newest entry is another version's
    """
    head = re.match(rf"{PACKAGE} \(([^)]+)\) ", changelog)
    written = re.search(r"^ -- .*>  (.+)$", changelog, re.MULTILINE)
    if head is None or written is None:
        raise CannotBuild("debian/changelog does not begin with an entry")
    if head[1] != version:
        raise CannotBuild(f"debian/changelog begins with {head[1]}, the program says {version}")
    return int(parsedate_to_datetime(written[1]).timestamp())


def locked() -> dict[str, str]:
    """Return the version of every package in the lock file."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return {_key(name): version for name, version in re.findall(r"(?m)^([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock)}


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def needed() -> list[importlib.metadata.Distribution]:
    """Return every distribution that the program needs, itself included, in the order of their names.

    :raises CannotBuild: when one is missing or has another version than the lock file says
    """
    found: dict[str, importlib.metadata.Distribution] = {}
    versions = locked()
    waiting = list(OURS)
    while waiting:
        name = _key(waiting.pop())
        if name in found:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise CannotBuild(f"{name} is not installed in this environment; run `make setup`") from None
        if name not in OURS and versions.get(name) != found[name].version:
            raise CannotBuild(f"{name} {found[name].version} is installed, the lock file says {versions.get(name)}")
        wanted = map(Requirement, found[name].requires or [])
        waiting += [each.name for each in wanted if each.marker is None or each.marker.evaluate({"extra": ""})]
    return [found[name] for name in sorted(found)]


def files_of(distribution: importlib.metadata.Distribution) -> Iterator[tuple[str, bytes]]:
    """Yield the name and content of every installed file.

    :raises CannotBuild: when one is no longer what was installed
    """
    for file in distribution.files or []:
        name = file.as_posix()
        if ".." in file.parts or _LEFT_OUT.search(name):
            continue
        content = Path(str(distribution.locate_file(file))).read_bytes()
        if file.hash is not None:
            digest = base64.urlsafe_b64encode(hashlib.new(file.hash.mode, content).digest()).rstrip(b"=").decode()
            if digest != file.hash.value:
                raise CannotBuild(f"{name} of {distribution.name} was changed after it was installed")
        yield name, content


def sources_of(name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the files of a distribution of ours, from this checkout."""
    for path in sorted(OURS[name].rglob("*")):
        file = path.relative_to(OURS[name])
        if path.is_file() and "__pycache__" not in file.parts and not file.parts[0].endswith(".egg-info"):
            yield file.as_posix(), path.read_bytes()


def put(root: Path, name: str, content: bytes, mode: int = 0o644) -> None:
    """Write a file of the package, and the folders that lead to it."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    path.chmod(mode)


def fill(root: Path, version: str) -> None:
    """Lay out everything that the package installs, and its control files."""
    library = HOME / "lib" / PYTHON / "site-packages"
    distributions = needed()
    for distribution in distributions:
        name = _key(distribution.name)
        for file, content in sources_of(name) if name in OURS else files_of(distribution):
            put(root, f"{library}/{file}", content)
    # A virtual environment by hand: it finds itself from its own place, so that it works wherever the root is.
    put(root, f"{HOME}/pyvenv.cfg", b"home = /usr/bin\ninclude-system-site-packages = false\n")
    (root / HOME / "bin").mkdir()
    (root / HOME / "bin" / "python3").symlink_to(f"/usr/bin/{PYTHON}")
    (root / "usr/bin").mkdir(parents=True)
    launcher = (HERE / "debian" / "launcher.sh").read_text(encoding="utf-8")
    for name, module in LAUNCHERS.items():
        put(root, f"{HOME}/bin/{name}", launcher.replace("@MODULE@", module).encode(), 0o755)
        (root / "usr/bin" / name).symlink_to(f"../../{HOME}/bin/{name}")
    for name, place in PLACES.items():
        put(root, place, (HERE / "debian" / name).read_bytes())
    for name, place in PACKED.items():
        put(root, place, gzip.compress((HERE / "debian" / name).read_bytes(), 9, mtime=0))
    installed = [path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink()]
    sums = (f"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}  {path.relative_to(root)}\n"
            for path in installed if path.relative_to(root).parts[0] != "etc")  # fmt: skip
    control = (HERE / "debian" / "control.in").read_text(encoding="utf-8")
    asked = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True)
    values = {
        "VERSION": version,
        "ARCHITECTURE": asked.stdout.strip(),
        "SIZE": str(sum(-(-path.stat().st_size // 1024) for path in installed)),
    }
    for name, value in values.items():
        control = control.replace(f"@{name}@", value)
    put(root, "DEBIAN/control", control.encode())
    put(root, "DEBIAN/md5sums", "".join(sums).encode())
    put(root, "DEBIAN/conffiles", b"/etc/xdg/autostart/irefuda-card.desktop\n")
    for name in ("postinst", "prerm", "postrm"):
        put(root, f"DEBIAN/{name}", (HERE / "debian" / name).read_bytes(), 0o755)


def build(directory: Path) -> Path:
    """Return the package, built into `directory`.

    :raises CannotBuild: when it would not be what it says
    """
    if f"python{sys.version_info.major}.{sys.version_info.minor}" != PYTHON:
        raise CannotBuild(f"the package is for {PYTHON}, and this environment has {sys.version.split()[0]}")
    version = version_of_the_sources()
    written_at = check_changelog((HERE / "debian" / "changelog").read_text(encoding="utf-8"), version)
    written_at = int(os.environ.get("SOURCE_DATE_EPOCH", written_at))
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "root"
        root.mkdir()
        fill(root, version)
        for path in [*root.rglob("*"), root]:
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)
            os.utime(path, (written_at, written_at), follow_symlinks=False)
        # One thread: how many there are shows in the compressed bytes.
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "-z3", "--threads-max=1", "--build", str(root), name],
            env={**os.environ, "SOURCE_DATE_EPOCH": str(written_at)}, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        (made,) = Path(name).glob("*.deb")
        return Path(shutil.copy(made, directory / made.name))


def main() -> int:
    """Build the package into the folder that the command line names, and say its SHA-256."""
    if len(sys.argv) != 2:
        print("usage: build_deb.py DIRECTORY", file=sys.stderr)
        return 2
    try:
        made = build(Path(sys.argv[1]))
    except CannotBuild as reason:
        print(f"cannot build: {reason}", file=sys.stderr)
        return 1
    print(f"{hashlib.sha256(made.read_bytes()).hexdigest()}  {made}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
