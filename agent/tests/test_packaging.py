"""The .deb: built twice with the same bytes, really installed, run, upgraded and purged, and nothing is left of it.

dpkg works on a throw-away root with a list of packages of its own, in which the package's dependencies stand as this
machine has them; so neither root's rights nor a second Debian are needed. The maintainer scripts run outside it
(`script-chrootless`, they honour DPKG_ROOT), and so does the program, by its path and with Debian's own interpreter.
"""

from __future__ import annotations

import configparser
import gzip
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import psutil
import pytest
from agent_for_tests import NAVIGATION, Agent, client, free_ports, settings_text, wait_until_answering
from cards_for_tests import TestCard, TokenStore

from irefuda_agent.ports import holder_of
from irefuda_agent.version import VERSION

ROOT = Path(__file__).parents[2]
BUILD = ROOT / "agent" / "packaging" / "build_deb.py"
FORCED = [f"--force-{what}" for what in ("not-root", "script-chrootless", "bad-path", "confold")]
AUTOSTART = "etc/xdg/autostart/irefuda-card.desktop"


def builder() -> ModuleType:
    spec = importlib.util.spec_from_file_location("build_deb", BUILD)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def built(directory: Path, **environment: str) -> Path:
    """Return the package that the build script makes."""
    clean = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    subprocess.run([sys.executable, BUILD, directory], env={**clean, **environment}, check=True, capture_output=True)
    (package,) = directory.glob("*.deb")
    return package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="module")
def unpacked(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the package's content, with its control files in DEBIAN/."""
    folder = tmp_path_factory.mktemp("unpacked") / "content"
    subprocess.run(["dpkg-deb", "-R", package, folder], check=True)
    return folder


@dataclass
class Machine:
    """A throw-away root with its own list of packages, and the program in it."""

    root: Path
    home: Path

    def dpkg(self, *arguments: str | Path) -> str:
        """Run dpkg on this root and return what a person reads."""
        done = subprocess.run(
            ["dpkg", f"--root={self.root}", f"--log={self.home}/log", *FORCED, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout
        return done.stdout

    def run(self, line: str, *, conf: Path | None = None, said: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command line as a desktop of this root would."""
        return subprocess.run(
            shlex.split(line), env=self.environment(conf), cwd=self.home, input=said, capture_output=True, text=True,
            timeout=60,
        )  # fmt: skip

    def environment(self, conf: Path | None) -> dict[str, str]:
        path = f"{self.root}/usr/bin:/usr/bin:/bin"
        return {"PATH": path, "HOME": str(self.home), "LANG": "C.UTF-8", "SOFTHSM2_CONF": str(conf)}

    def files(self) -> dict[str, tuple[int, str]]:
        """Return everything in the root but dpkg's own books: mode, and what is in it."""
        return {
            str(path.relative_to(self.root)): (path.lstat().st_mode, content_of(path))
            for path in self.root.rglob("*")
            if not path.is_relative_to(self.root / "var/lib/dpkg")
        }

    def known(self) -> tuple[str, ...]:
        """Return the packages that dpkg knows here, in any state, and the files it keeps of them."""
        status = (self.root / "var/lib/dpkg/status").read_text()
        books = [path.name for path in (self.root / "var/lib/dpkg/info").iterdir()]
        return (*sorted(re.findall(r"(?m)^Package: (.+)$", status)), *sorted(books))


def content_of(path: Path) -> str:
    if path.is_symlink():
        return str(path.readlink())
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    made = Machine(tmp_path / "root", tmp_path / "home")
    books = made.root / "var/lib/dpkg"
    for folder in (made.root / "etc", made.root / "opt", books / "info", books / "updates", made.home):
        folder.mkdir(parents=True)
    control = (BUILD.parent / "debian" / "control.in").read_text()
    depends = re.findall(
        r"[a-z][a-z0-9.+-]+", re.sub(r"\([^)]*\)", "", control.partition("Depends: ")[2].split("\n")[0])
    )
    stanzas = []
    for name in (*depends, "base-files"):
        told = subprocess.run(["dpkg-query", "-s", name], check=True, capture_output=True, text=True).stdout
        # What these in turn depend on is this machine's affair.
        stanzas.append(
            re.sub(r"(?m)^(Pre-Depends|Depends|Recommends|Suggests|Conflicts|Breaks|Replaces|Provides): .*\n", "", told)
        )
        architecture = re.search(r"(?m)^Multi-Arch: same$", told) and f":{re.search(r'Architecture: (.+)', told)[1]}"
        (books / "info" / f"{name}{architecture or ''}.list").touch()
    # As on every Debian, /etc is another package's, and /opt is nobody's and there.
    (books / "info/base-files.list").write_text("/.\n/etc\n/etc/debian_version\n")
    (books / "info/format").write_text("1\n")
    (made.root / "etc/debian_version").write_text("12.11\n")
    (books / "status").write_text("\n".join(stanzas))
    yield made
    # Whatever went wrong on the way: nothing of this root runs on.
    for process in psutil.process_iter(["cmdline"]):
        if (process.info["cmdline"] or [""])[0].startswith(f"{made.root}/"):
            process.kill()


def desktop_file(path: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path, encoding="utf-8")
    return parser


def test_two_builds_give_the_same_bytes_whatever_the_surroundings(package: Path, tmp_path: Path) -> None:
    written_at = builder().check_changelog((BUILD.parent / "debian/changelog").read_text(), VERSION)
    before = os.umask(0o077)
    try:
        again = built(tmp_path, SOURCE_DATE_EPOCH=str(written_at), TZ="Asia/Tokyo", LANG="C", PYTHONHASHSEED="7")
    finally:
        os.umask(before)
    assert again.name == package.name == f"irefuda-card-agent_{VERSION}_{again.stem.rpartition('_')[2]}.deb"
    assert again.read_bytes() == package.read_bytes()


def test_what_is_in_the_package(unpacked: Path) -> None:
    files = [path for path in unpacked.rglob("*") if path.is_file() and not path.is_symlink()]
    assert {path.relative_to(unpacked).parts[0] for path in files} == {"DEBIAN", "etc", "opt", "usr"}
    assert [path for path in files if path.suffix == ".pyc" or "SelfTest" in path.parts] == []
    # Nothing tells where, or by whom, it was built.
    told = [path for path in files if any(str(place).encode() in path.read_bytes() for place in (ROOT, sys.prefix))]
    assert told == []
    menu = sorted((unpacked / "usr/share/applications").iterdir())
    assert [path.name for path in menu] == ["irefuda-card-check.desktop", "irefuda-card.desktop"]
    for path in (*menu, unpacked / AUTOSTART):
        done = subprocess.run(["desktop-file-validate", path], capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, ""), path
        entry = desktop_file(path)["Desktop Entry"]
        assert entry["Name[ja]"].startswith("ICカード補助アプリ")
        assert (unpacked / "usr/share/icons/hicolor/scalable/apps" / f"{entry['Icon']}.svg").is_file()
    manual = gzip.decompress((unpacked / "usr/share/man/man1/irefuda-card.1.gz").read_bytes()).decode()
    for option in ("--single", "--wait", "--no-browser", "--then-serve", "--settings"):
        assert option.replace("-", r"\-") in manual
    control = (unpacked / "DEBIAN/control").read_text()
    assert f"\nVersion: {VERSION}\n" in control
    assert "\nRecommends: opensc-pkcs11, opensc, pcscd" in control


def newer(unpacked: Path, tmp_path: Path) -> Path:
    """Return the package of a next version, whose autostart entry is another."""
    content = tmp_path / "next"
    shutil.copytree(unpacked, content, symlinks=True)
    control = content / "DEBIAN/control"
    control.write_text(control.read_text().replace(f"Version: {VERSION}", "Version: 99.0.0"))
    (content / AUTOSTART).write_text((content / AUTOSTART).read_text() + "X-Next=true\n")
    made = tmp_path / "next.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "-Znone", "-b", content, made], check=True, capture_output=True)
    return made


def test_installed_run_upgraded_and_purged(
    package: Path, unpacked: Path, machine: Machine, tmp_path: Path, store: TokenStore, good_card: TestCard
) -> None:
    before, known = machine.files(), machine.known()
    machine.dpkg("-i", package)
    assert f"Version: {VERSION}" in machine.dpkg("-s", "irefuda-card-agent")
    settled = machine.files()
    assert any(name.endswith(".pyc") for name in settled)

    # The person's own settings, then the login: what autostart runs, runs.
    ports = free_ports(3)
    settings = machine.home / ".config/irefuda-card/settings.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text(settings_text(ports), encoding="utf-8")
    store.insert(good_card)
    login = desktop_file(machine.root / AUTOSTART)["Desktop Entry"]["Exec"]
    process = subprocess.Popen(
        shlex.split(login), env=machine.environment(store.conf), cwd=machine.home, stdout=subprocess.DEVNULL, text=True,
        # As Popen finds the program by the PATH of this process, not of the one to come.
        executable=machine.root / "usr/bin" / shlex.split(login)[0],
    )  # fmt: skip
    wait_until_answering(ports[0])
    agent = Agent(ports[0], ports, process, settings)
    assert 'lang="ja"' in agent.open_popup()
    agent.begin()
    (card,) = agent.look()["cards"]
    assert card["company_name"] == "株式会社山田建設"
    assert psutil.Process(process.pid).cmdline()[0] == f"{machine.root}/opt/irefuda-card-agent/bin/python3"
    assert psutil.Process(process.pid).exe() == str(Path("/usr/bin/python3.11").resolve())

    # The menu: the diagnosis says that it runs, and a second one is not started.
    menu = machine.root / "usr/share/applications"
    diagnosis = machine.run(
        desktop_file(menu / "irefuda-card-check.desktop")["Desktop Entry"]["Exec"], conf=store.conf, said="\n"
    )
    assert f"○ ポート{ports[0]}：補助アプリが動いています。" in diagnosis.stdout
    assert diagnosis.returncode == 0, diagnosis.stdout
    assert diagnosis.stdout.endswith("Enterキーを押すと閉じます。\n")
    start = machine.run(desktop_file(menu / "irefuda-card.desktop")["Desktop Action start"]["Exec"], conf=store.conf)
    assert (start.returncode, start.stdout) == (0, "補助アプリは、もう動いています。\n")
    assert "receipt" in machine.run("irefuda-verify --help").stdout
    assert {name: kept for name, kept in machine.files().items() if settled.get(name) != kept} == {}

    # What an administrator changed stays through an upgrade; the program that runs is ended, and the person is told.
    changed = (machine.root / AUTOSTART).read_text() + "Hidden=true\n"
    (machine.root / AUTOSTART).write_text(changed)
    assert "起動し直してください" in machine.dpkg("-i", newer(unpacked, tmp_path))
    assert process.wait(10) is not None
    assert "Version: 99.0.0" in machine.dpkg("-s", "irefuda-card-agent")
    assert (machine.root / AUTOSTART).read_text() == changed

    machine.dpkg("-r", "irefuda-card-agent")
    left = {name for name in machine.files() if name not in before}
    assert {name for name in left if not AUTOSTART.startswith(name)} == {f"{AUTOSTART}.dpkg-dist"}
    assert ".config/irefuda-card" in machine.dpkg("-P", "irefuda-card-agent")
    assert machine.files() == before
    assert machine.known() == known
    assert settings.exists()


def test_the_menu_entry_starts_the_program_once_its_settings_are_closed(tmp_path: Path) -> None:
    settings = tmp_path / "settings.toml"
    ports = free_ports(3)
    settings.write_text(settings_text(ports), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "irefuda_agent", "settings", "--no-browser", "--then-serve", "--settings", settings],
        env={**os.environ, "PYTHONIOENCODING": "utf-8"}, stdout=subprocess.PIPE, text=True, encoding="utf-8",
    )  # fmt: skip
    try:
        assert process.stdout is not None
        process.stdout.readline()
        address = process.stdout.readline().strip()
        page = client.get(address, headers={**NAVIGATION, "Sec-Fetch-Site": "none"}).text
        origin = address.partition("/open/")[0]
        assert holder_of(ports[0]) == "nobody"
        secret = page.split('data-secret="')[1].split('"')[0]
        own = {"Origin": origin, "Sec-Fetch-Site": "same-origin", "X-Card-Agent-Secret": secret}
        assert client.post(f"{origin}/api/end", json={}, headers=own).status_code == 200
        wait_until_answering(ports[0])
        assert holder_of(ports[0]) == "us"
        process.stdout.readline()
        assert process.stdout.readline().startswith(f"補助アプリを起動しました（ポート {ports[0]}）")
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def test_a_build_refuses_what_was_not_locked(monkeypatch: pytest.MonkeyPatch) -> None:
    module = builder()
    monkeypatch.setattr(module, "locked", lambda: {**builder().locked(), "h11": "0.0.1"})
    with pytest.raises(module.CannotBuild, match=r"h11 .* the lock file says 0\.0\.1"):
        module.needed()


def test_a_build_refuses_a_file_that_was_changed_after_it_was_installed(tmp_path: Path) -> None:
    module = builder()
    folder = tmp_path / "h11-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Name: h11\nVersion: 1\n")
    (folder / "RECORD").write_text("h11.py,sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU,0\n")
    (tmp_path / "h11.py").touch()
    distribution = module.importlib.metadata.PathDistribution(folder)
    assert list(module.files_of(distribution)) == [("h11.py", b"")]
    (tmp_path / "h11.py").write_text("import evil\n")
    with pytest.raises(module.CannotBuild, match=r"h11\.py of h11 was changed"):
        list(module.files_of(distribution))


@pytest.mark.parametrize("changelog", ["", "irefuda-card-agent (9.9.9) bookworm; urgency=medium\n\n -- a <a@b>  Wed, 25 Nov 2026 09:00:00 +0900\n"])  # fmt: skip
def test_a_build_refuses_a_changelog_of_another_version(changelog: str) -> None:
    module = builder()
    with pytest.raises(module.CannotBuild, match="changelog"):
        module.check_changelog(changelog, VERSION)


@pytest.mark.parametrize("script", ["windows/build.ps1", "windows/irefuda-card.wxs", "macos/build.sh", "macos/jp.irefuda.card.plist", "irefuda-card.spec", "start_frozen.py"])  # fmt: skip
def test_what_was_never_run_says_so(script: str) -> None:
    assert "未検証" in (BUILD.parent / script).read_text(encoding="utf-8")


def test_a_frozen_program_knows_how_the_worker_is_started() -> None:
    source = (ROOT / "agent/src/irefuda_agent/cards.py").read_text()
    started = re.search(r"sys\.executable, (.+irefuda_agent\.worker\"),", source)
    assert started is not None
    frozen = BUILD.parent / "start_frozen.py"
    arguments = [sys.executable, frozen, *re.findall(r'"([^"]+)"', started[1])]
    # The end of its input ends a worker; the commands would have answered with their usage.
    done = subprocess.run(arguments, input="", capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    assert (
        "usage: irefuda-card"
        in subprocess.run([sys.executable, frozen, "--help"], capture_output=True, text=True).stdout
    )
