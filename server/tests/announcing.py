"""Announcements for tests, made by the operations alone."""

from __future__ import annotations

import uuid
from typing import Any

from irefuda.disclosure import operations
from irefuda.disclosure.models import Announcement
from irefuda.ui import clock


def announced(title: str, body: str = "本文です。", **changes: Any) -> Announcement:
    """Publish an announcement now."""
    values = {"announcement_id": uuid.uuid4(), "created_by": "契約課", "now": clock.now(), "salt": bytes(16), **changes}
    return operations.publish_announcement(title=title, body=body, **values)


def withdrawn(announcement_id: uuid.UUID, reason: str, **changes: Any) -> Announcement:
    """Withdraw it now."""
    values = {"withdrawn_by": "契約課", "now": clock.now(), "salt": bytes(16), **changes}
    return operations.withdraw_announcement(announcement_id=announcement_id, reason=reason, **values)
