"""JSON Canonicalization Scheme (RFC 8785), restricted to strings and integers: the bytes that are signed, stored and hashed."""

from __future__ import annotations

import json
from typing import Any

_MAX_INTEGER = 2**53 - 1


class NotCanonical(ValueError):
    """The bytes are not the one canonical form of a flat JSON object of strings and integers."""


def canonical_json(value: dict[str, str | int]) -> bytes:
    """Return the canonical bytes of a flat object.

    :raises NotCanonical: for anything but strings and integers that every JSON reader keeps exactly
    """
    for key, item in value.items():
        if not isinstance(key, str) or not (
            isinstance(item, str) or (isinstance(item, int) and not isinstance(item, bool))
        ):
            raise NotCanonical("strings and integers only")
        if isinstance(item, int) and abs(item) > _MAX_INTEGER:
            raise NotCanonical("integer beyond 2**53 - 1")
    # RFC 8785 3.2.3: members are sorted by their UTF-16 code units.
    members = sorted(value.items(), key=lambda member: member[0].encode("utf-16-be", "surrogatepass"))
    try:
        return json.dumps(dict(members), ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        raise NotCanonical("lone surrogate") from None


def parse_canonical(document: bytes) -> dict[str, Any]:
    """Return the object whose canonical form these bytes are.

    :raises NotCanonical: when they are not exactly that
    """
    try:
        value = json.loads(document.decode())
    except (ValueError, RecursionError):
        raise NotCanonical("not JSON") from None
    if not isinstance(value, dict) or canonical_json(value) != document:
        raise NotCanonical("not the canonical form")
    return value
