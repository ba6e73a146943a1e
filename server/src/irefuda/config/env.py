"""Settings come from the environment: `X`, or the file named by `X_FILE` (for secrets)."""

import ipaddress
import os
import re
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """Return the setting `name`.

    :raises ImproperlyConfigured: if it is set neither directly nor by file and has no default
    """
    if (value := os.environ.get(name)) is not None:
        return value
    if (file := os.environ.get(f"{name}_FILE")) is not None:
        try:
            return Path(file).read_text().strip()
        except (OSError, UnicodeDecodeError) as reason:
            raise ImproperlyConfigured(f"{name}_FILE: {file} cannot be read") from reason
    if default is None:
        raise ImproperlyConfigured(f"{name} (or {name}_FILE) is not set")
    return default


def secret(name: str, *, least: int) -> str:
    """Return the setting `name`, which nobody could guess.

    :raises ImproperlyConfigured: when it is not set, or shorter than `least` characters
    """
    value = text(name)
    if len(value) < least:
        raise ImproperlyConfigured(f"{name} must have at least {least} characters")
    return value


def mailbox(name: str, default: str) -> str:
    """Return the setting `name` as a mail address of ASCII characters: no envelope carries any other everywhere.

    :raises ImproperlyConfigured: for anything else
    """
    value = text(name, default)
    if not value.isascii() or not re.fullmatch(r"[^\s@<>,;:\"()\[\]\\]+@[A-Za-z0-9.-]+", value):
        raise ImproperlyConfigured(f"{name} must be a mail address in ASCII characters, not {value!r}")
    return value


def number(name: str, default: int) -> int:
    """Return the setting `name` as a whole number."""
    value = text(name, str(default))
    if not value.isascii() or not value.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}")
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    """Return the setting `name` split at white space."""
    return text(name, default).split()


def version(name: str, default: str) -> tuple[int, ...]:
    """Return the setting `name`, such as "0.1.0", as three numbers.

    :raises ImproperlyConfigured: for anything else
    """
    value = text(name, default)
    if not re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4}){2}", value):
        raise ImproperlyConfigured(f"{name} must be a version such as 0.1.0, not {value!r}")
    return tuple(int(part) for part in value.split("."))


def networks(name: str) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the setting `name` as networks; a single address is the network of itself.

    :raises ImproperlyConfigured: for what is neither an address nor a network
    """
    return [_network(name, word) for word in words(name)]


def _network(name: str, word: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(word)
    except ValueError:
        raise ImproperlyConfigured(f"{name} takes addresses and networks (10.1.0.0/16), not {word!r}") from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, ipaddress.IPv6Network) else None
    # An IPv4 peer is compared as such, however a dual-stack socket writes it.
    return ipaddress.ip_network((mapped, network.prefixlen - 96)) if mapped and network.prefixlen >= 96 else network
