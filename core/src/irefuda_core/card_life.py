"""How long a card still lasts, in whole days as people count them, and when its people are told."""

from __future__ import annotations

from datetime import datetime, timedelta

from irefuda_core.calendar import JST

# From this many days before the end on; a new card takes two to four weeks.
WARNING_DAYS = (90, 60, 30, 7)
EXPIRED = -1
# Who asks whether a card has just expired: longer ago than this, its people know.
EXPIRED_TOLD_WITHIN = timedelta(days=30)


def days_left(expires_at: datetime, *, now: datetime) -> int:
    """Return how many days of the calendar in Japan are left: 0 on the last one, negative afterwards."""
    return (expires_at.astimezone(JST).date() - now.astimezone(JST).date()).days


def warning_due(expires_at: datetime, *, now: datetime) -> int | None:
    """Return which warning a card's people should have had by now: of WARNING_DAYS the nearest, or EXPIRED; None before.

    After a pause only the nearest is due: whoever was not warned at 60 days needs one letter at 29, not two.
    """
    left = days_left(expires_at, now=now)
    if left < 0:
        return EXPIRED
    return min((days for days in WARNING_DAYS if left <= days), default=None)
