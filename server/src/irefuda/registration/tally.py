"""How often what was sent is refused, by day, reason and section, and nothing else about it: for the staff's report."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db import DatabaseError, connection, transaction

from irefuda.agencies.models import Section
from irefuda.ui.clock import JST
from irefuda_core.refusal import Refused

log = logging.getLogger(__name__)
COUNT = """INSERT INTO registration_refusedtry ("on", code, place, tries) VALUES (%s, %s, %s, 1)
ON CONFLICT ("on", code, place) DO UPDATE SET tries = registration_refusedtry.tries + 1"""


def count(refused: Refused, *, section: Section | None, now: datetime) -> None:
    """Count each reason once, in a transaction of its own, after the refused one was rolled back."""
    on = connection.ops.adapt_datefield_value(now.astimezone(JST).date())
    place = place_of(section) if section else ""
    # In one order, so that no two wait crosswise.
    codes = sorted({reason.code for reason in refused.refusals})
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            for code in codes:
                cursor.execute(COUNT, [on, code, place])
    except DatabaseError:
        # A reason that somebody waits for is worth more than its count.
        log.warning("a refusal was not counted: %s", ", ".join(codes))


def place_of(section: Section) -> str:
    """Return 調達機関 and 区分 as the first five digits of its 企業ID."""
    return f"{section.agency.code}{section.category}"
