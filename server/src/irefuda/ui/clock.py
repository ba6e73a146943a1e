"""The only place below the commands that asks the clock. Views call `now()` once and hand it down."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

JST = ZoneInfo("Asia/Tokyo")


def now() -> datetime:
    """Return the present moment, aware, in UTC."""
    return datetime.now(UTC)
