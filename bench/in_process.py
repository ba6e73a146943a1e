"""Point this process's Django at another database of the cluster."""

from __future__ import annotations

import contextlib

from django.db import connections

from irefuda.config import database


def use_database(url: str) -> None:
    """Let every query from now on go to the database at this address."""
    connections.close_all()
    connections.settings.update(connections.configure_settings({"default": database.from_url(url)}))
    # A connection of another engine is another object.
    with contextlib.suppress(AttributeError):
        del connections["default"]
