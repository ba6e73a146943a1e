"""The settings file on the disk: read again when it has changed, and written so that it is never half there."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path

from irefuda_agent.settings import InvalidSettings, Settings, read_settings

_HEADER = "# irefuda 補助アプリの設定（「irefuda-card settings」の画面が書きました）\n"


class SettingsChanged(Exception):
    """The file is no longer what the person was shown."""


class SettingsFile:
    """The settings of a running program: what the person saves counts from the next popup on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen: tuple[int, int, int] | None = None
        self._settings: Settings | None = None

    def current(self) -> Settings:
        """Return the settings as the file says them now.

        :raises InvalidSettings: when the file is missing or wrong; the settings before it count no longer
        """
        try:
            status = self.path.stat()
            seen = (status.st_mtime_ns, status.st_size, status.st_ino)
        except OSError:
            seen = None
        if self._settings is None or seen is None or seen != self._seen:
            self._settings = None
            self._settings, self._seen = read_settings(self.path), seen
        return self._settings


def settings_toml(settings: Settings, *, home: Path) -> str:
    """Return the settings as TOML that reads back as the same; `home` is the folder of the file."""
    lines = [_HEADER, f"ports = {list(settings.ports)}", f"passphrase = {_quoted(settings.passphrase)}"]
    state = settings.state_dir
    lines.append(f"state_dir = {_quoted(str(state.relative_to(home) if state.is_relative_to(home) else state))}")
    for site in settings.sites:
        lines += ["", "[[sites]]", f"origin = {_quoted(site.origin)}", f"realm = {_quoted(site.realm)}"]
        lines += [f"name = {_quoted(site.name)}"]
        lines += [f"fingerprints = [{', '.join(map(_quoted, site.fingerprints))}]"]
    for module in settings.modules:
        lines += ["", "[[modules]]", f"name = {_quoted(module.name)}", f"path = {_quoted(module.path)}"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    # Settings hold no control characters, and of all others JSON and TOML escape the same two characters in the same way.
    return json.dumps(text, ensure_ascii=False)


def content_of(path: Path) -> bytes | None:
    """Return the bytes of the file, or None when there is none."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def write_settings(path: Path, settings: Settings, *, replacing: bytes | None) -> None:
    """Write the settings in one step, if the file still holds what it is to replace.

    :raises SettingsChanged: when the file holds something else by now
    :raises InvalidSettings: when what would be written does not read back as these settings
    :raises OSError: when the disk does not take it; the file is then as it was
    """
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".settings-")
    written = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(settings_toml(settings, home=path.parent))
            file.flush()
            os.fsync(file.fileno())
        if read_settings(written) != settings:
            raise InvalidSettings("設定を正しく書けませんでした。設定ファイルは、もとのままです。")
        if content_of(path) != replacing:
            raise SettingsChanged
        written.replace(path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            written.unlink()
