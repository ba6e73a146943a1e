"""Point this process's Django at another database of the cluster."""

from __future__ import annotations

from django.db import connections

from irefuda.config import database


def use_database(url: str) -> None:
    """Let every query from now on go to the database at this address."""
    connections.close_all()
    settings = database.from_url(url)
    connections["default"].settings_dict.update(settings)
