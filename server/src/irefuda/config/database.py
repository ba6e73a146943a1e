"""DATABASE_URL -> Django's DATABASES entry. SQLite is the embedded default, PostgreSQL is production."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def from_url(url: str) -> dict[str, Any]:
    """Return the settings of `sqlite:///PATH` or `postgresql://USER:PASSWORD@HOST:PORT/NAME?host=SOCKETDIR`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        path = Path(unquote(parts.path[1:]))
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": str(path),
            "OPTIONS": {
                # IMMEDIATE: with SQLite's default (DEFERRED) most of 300 concurrent writers fail at the lock upgrade.
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;",
            },
            "TEST": {"NAME": str(path.with_name(f"test_{path.name}"))},
        }
    if parts.scheme in ("postgresql", "postgres"):
        options = dict(parse_qsl(parts.query))
        # Nobody waits longer for a lock than on SQLite; without a limit, a forgotten LOCK would hold every worker for ever.
        options.setdefault("options", "-c lock_timeout=20s")
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path[1:]),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": options.pop("host", parts.hostname or ""),
            "PORT": str(parts.port or options.pop("port", "")),
            "CONN_MAX_AGE": 60,
            "CONN_HEALTH_CHECKS": True,
            # A statement that has been asked three times on a connection is planned once: half the time of a page's queries.
            "OPTIONS": {"server_side_binding": True, "prepare_threshold": 3, **options},
        }
    raise ImproperlyConfigured(f"DATABASE_URL: unknown scheme {parts.scheme!r}; use sqlite:/// or postgresql://")
