"""Settings come from the environment: `X`, or the file named by `X_FILE` (for secrets)."""

import os
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str | None = None) -> str:
    """Return the setting `name`.

    :raises ImproperlyConfigured: if it is set neither directly nor by file and has no default
    """
    if (value := os.environ.get(name)) is not None:
        return value
    if (file := os.environ.get(f"{name}_FILE")) is not None:
        return Path(file).read_text().strip()
    if default is None:
        raise ImproperlyConfigured(f"{name} (or {name}_FILE) is not set")
    return default


def number(name: str, default: int) -> int:
    """Return the setting `name` as a whole number."""
    value = text(name, str(default))
    if not value.isascii() or not value.isdigit():
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}")
    return int(value)


def words(name: str, default: str = "") -> list[str]:
    """Return the setting `name` split at white space."""
    return text(name, default).split()
