"""Django's sessions in the database, read and begun with fewer and plainer queries: every page of a login reads one."""

from __future__ import annotations

import secrets
from typing import Any

from django.contrib.sessions.backends import db
from django.contrib.sessions.backends.base import CreateError
from django.db import IntegrityError, connection

from irefuda.ui import beforehand, clock

READ = "SELECT session_data FROM django_session WHERE session_key = %s AND expire_date > %s"
BEGIN = "INSERT INTO django_session (session_key, session_data, expire_date) VALUES (%s, %s, %s)"


class SessionStore(db.SessionStore):
    """The engine of SESSION_ENGINE."""

    def load(self) -> dict[str, Any]:
        """Return what the session holds; an unknown or expired one is empty and forgets its key."""
        now = connection.ops.adapt_datetimefield_value(clock.now())
        data = beforehand.ask_with(READ, "session_data", [self.session_key, now])
        if data is None:
            self._session_key = None
            return {}
        return self.decode(data)

    def save(self, must_create: bool = False) -> None:
        """Write the session; a new one by one INSERT, which needs no transaction around it."""
        if self.session_key is None or not must_create:
            super().save(must_create)
            return
        data = self.encode(self._get_session(no_load=True))  # type: ignore[attr-defined]
        ends = connection.ops.adapt_datetimefield_value(self.get_expiry_date())
        try:
            with connection.cursor() as cursor:
                cursor.execute(BEGIN, [self.session_key, data, ends])
        except IntegrityError:
            raise CreateError from None

    def _get_new_session_key(self) -> str:
        # Not asked for in the table first: two of 2**128 keys never meet, and if they did the INSERT would refuse.
        return secrets.token_hex(16)
