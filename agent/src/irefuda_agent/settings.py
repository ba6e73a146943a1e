"""The companion program's settings: which sites may use the card, through which modules, on which ports."""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard
from urllib.parse import urlsplit

REALMS = ("practice", "production")
# Not 9980: another bidding system's helper program holds it.
DEFAULT_PORTS = (28765, 28766, 28767)
_HOST = re.compile(r"(?!-)[a-z0-9-]+(\.[a-z0-9-]+)*")
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_LEFT_OUT_BY_BROWSERS = {"https": 443, "http": 80}
# Line breaks, controls and what turns the reading direction; not the wide space (U+3000), which is usual in names.
_NOT_IN_A_LINE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


class InvalidSettings(ValueError):
    """The settings cannot be used; the message says in Japanese what is wrong and what it must look like.

    `field` is the entry's item that is wrong, such as "origin"; "" when it is no single one.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True, slots=True)
class Site:
    """One bidding system that may ask for the card: its origin, its realm, the name shown, the fingerprints it is known by."""

    origin: str
    realm: str
    name: str
    fingerprints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Module:
    """A PKCS#11 module, as installed by a CA's software."""

    name: str
    path: str


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the person or the installer decided."""

    sites: tuple[Site, ...]
    modules: tuple[Module, ...]
    passphrase: str
    state_dir: Path
    ports: tuple[int, ...] = DEFAULT_PORTS

    def site_for(self, origin: str) -> Site | None:
        """Return the site entry of this origin, compared as a whole."""
        return next((site for site in self.sites if site.origin == origin), None)


def read_settings(path: Path) -> Settings:
    """Return the settings in the TOML file.

    :raises InvalidSettings: when the file is missing, is not TOML, or says something that is not allowed
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InvalidSettings(
            f"設定ファイルがありません：{path}\n「irefuda-card settings」の画面で作ってください。"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as failure:
        raise InvalidSettings(f"設定ファイルを読み取れません：{path}（{failure}）") from None
    return settings_from(table, home=path.parent)


def settings_from(table: Mapping[str, Any], *, home: Path) -> Settings:
    """Return the settings in a parsed table; a relative `state_dir` is below `home`.

    :raises InvalidSettings: when something in it is not allowed
    """
    if unknown := set(table) - {"sites", "modules", "passphrase", "state_dir", "ports"}:
        raise InvalidSettings(f"知らない項目があります：{'、'.join(sorted(unknown))}")
    sites = tuple(site_from(entry) for entry in _list(table, "sites"))
    if len({site.origin for site in sites}) != len(sites):
        raise InvalidSettings("同じ origin が二度書かれています。")
    return Settings(
        sites=sites,
        modules=tuple(module_from(entry) for entry in _list(table, "modules")),
        passphrase=one_line(table.get("passphrase", ""), "passphrase", 40),
        state_dir=home / one_line(table.get("state_dir", "state"), "state_dir", 1000),
        ports=_ports(table.get("ports", DEFAULT_PORTS)),
    )


def check_origin(origin: object, realm: str) -> str:
    """Return the origin if cards may be used there.

    https only; plain http is for loopback names in the practice realm. An address such as 127.0.0.1 is refused, because
    its cookies would reach this program as well (cookies ignore ports).

    :raises InvalidSettings: otherwise
    """
    if not isinstance(origin, str) or origin != origin.strip() or len(origin) > 255:
        raise InvalidSettings("origin は https://bid.example.jp のように書いてください。", "origin")
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise InvalidSettings(f"origin の形が正しくありません：{origin}", "origin") from None
    if origin != f"{parts.scheme}://{host}{f':{port}' if port else ''}" or not _HOST.fullmatch(host):
        raise InvalidSettings(
            f"origin は https://bid.example.jp の形で、パスを付けずに書いてください：{origin}", "origin"
        )
    if host.rsplit(".", 1)[-1].isdigit():
        raise InvalidSettings(f"origin に数字のアドレスは使えません。名前で書いてください：{origin}", "origin")
    loopback = host == "localhost" or host.endswith(".localhost")
    if parts.scheme != "https" and not (parts.scheme == "http" and loopback and realm == "practice"):
        raise InvalidSettings(
            f"origin は https で始まるものだけが使えます（練習用の localhost を除く）：{origin}", "origin"
        )
    if port == _LEFT_OUT_BY_BROWSERS[parts.scheme]:
        raise InvalidSettings(f"origin の最後の「:{port}」は付けずに書いてください：{origin}", "origin")
    return origin


def is_one_line(value: object, max_length: int) -> TypeGuard[str]:
    """Tell whether the value is one line of text of at most `max_length` characters, and nothing in it is invisible."""
    if not isinstance(value, str) or len(value) > max_length:
        return False
    return not any(unicodedata.category(character) in _NOT_IN_A_LINE for character in value)


def one_line(value: object, name: str, max_length: int) -> str:
    """Return the value if it is one line of text of at most `max_length` characters.

    :raises InvalidSettings: otherwise
    """
    if not is_one_line(value, max_length):
        raise InvalidSettings(
            f"{name} は{max_length}文字以内の1行で、タブなどの見えない文字を入れずに書いてください。", name
        )
    return value


def _list(table: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = table.get(key, [])
    if not isinstance(value, list):
        raise InvalidSettings(f"{key} は [ ] で囲んだ一覧で書いてください。")
    return value


def site_from(entry: object) -> Site:
    """Return the site entry in a parsed table.

    :raises InvalidSettings: when something in it is not allowed
    """
    if not isinstance(entry, dict) or set(entry) - {"origin", "realm", "name", "fingerprints"}:
        raise InvalidSettings("sites の各行には origin、realm、name、fingerprints を書いてください。")
    realm = entry.get("realm", "production")
    if realm not in REALMS:
        raise InvalidSettings("realm は production（本番）か practice（練習）です。", "realm")
    origin = check_origin(entry.get("origin"), realm)
    fingerprints = entry.get("fingerprints", [])
    if not isinstance(fingerprints, list) or not all(
        isinstance(f, str) and _FINGERPRINT.fullmatch(f) for f in fingerprints
    ):
        raise InvalidSettings("fingerprints は SHA-256 の指紋（半角64文字の16進数）の一覧です。", "fingerprints")  # fmt: skip
    return Site(origin, realm, one_line(entry.get("name") or origin, "name", 60), tuple(fingerprints))


def module_from(entry: object) -> Module:
    """Return the module in a parsed table, or in a bare path.

    :raises InvalidSettings: when something in it is not allowed
    """
    if isinstance(entry, str):
        entry = {"path": entry}
    if not isinstance(entry, dict) or set(entry) - {"path", "name"}:
        raise InvalidSettings("modules の各行には path と name を書いてください。")
    path = one_line(entry.get("path"), "path", 1000)
    if not Path(path).is_absolute():
        raise InvalidSettings(f"モジュールの場所は / から始まる完全な形で書いてください：{path}", "path")
    return Module(one_line(entry.get("name") or Path(path).name, "name", 60), path)


def _ports(value: object) -> tuple[int, ...]:
    ports = tuple(value) if isinstance(value, list | tuple) else ()
    if (
        not 1 <= len(ports) <= 3
        or not all(type(p) is int and 1024 <= p <= 65535 for p in ports)
        or len(set(ports)) != len(ports)
    ):
        raise InvalidSettings("ports は1024から65535までの異なる番号を3つまで書いてください。")  # fmt: skip
    return ports
