"""The log: one line of JSON per request and per event, on standard error, without anything that was typed or says who.

A request is told by the name of its route, never by its path; a client by its network; an exception by its type and where it
came from, for its message may hold what was typed.
"""

from __future__ import annotations

import contextvars
import ipaddress
import json
import logging
import re
import traceback
from datetime import UTC, datetime
from typing import Any

# Whatever a message holds that must not: an address of a machine or of a person.
NUMERIC = re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7})(?![\w:])")
MAILBOX = re.compile(r"[^\s<>@\"']+@[^\s<>@\"']+")
# Frames of the server's own code and what it called; more would bury them.
FRAMES = 12
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


class JsonLines(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "event": record.name,
        }
        facts = getattr(record, "facts", None)
        if facts is not None:
            line |= facts
        else:
            line["message"] = _message(record)
            if (status := getattr(record, "status_code", None)) is not None:
                line["status"] = status
            if request_id.get():
                line["request_id"] = request_id.get()
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = record.exc_info[0].__name__
            line["at"] = [
                f"{_shortened(frame.filename)}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])[-FRAMES:]
            ]
        return json.dumps(line, ensure_ascii=False)


def network_of(address: str) -> str:
    """Return the network that an address belongs to: enough to see where a flood comes from, too little to see who."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return ""
    return str(ipaddress.ip_network((parsed, 24 if parsed.version == 4 else 48), strict=False))


def _message(record: logging.LogRecord) -> str:
    # Django puts paths, hosts and repeated values into its arguments: there the words alone are told.
    text = str(record.msg) if record.name.startswith("django") else record.getMessage()
    text = NUMERIC.sub(lambda found: network_of(found[0]) or found[0], text)
    return MAILBOX.sub("…@…", text)


def _shortened(path: str) -> str:
    return "/".join(path.rsplit("/", 3)[-3:])
