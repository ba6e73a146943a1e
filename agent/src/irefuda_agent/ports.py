"""The ports on the loopback address: taking one, and telling who holds it."""

from __future__ import annotations

import http.client
import socket
import sys
from collections.abc import Sequence

from irefuda_agent.guards import NOT_A_WINDOW

_PATIENCE = 2.0


def bind(ports: Sequence[int]) -> socket.socket | None:
    """Return a socket on the first free port of the list, on the loopback address only; None when all are taken."""
    for port in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform == "win32":
            # There SO_REUSEADDR would let another program take the port over while we listen.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
        except OSError:
            listener.close()
            continue
        return listener
    return None


def holder_of(port: int) -> str:
    """Return who holds the port: "nobody", "us" (a running companion program), or "other"."""
    if (listener := bind([port])) is not None:
        listener.close()
        return "nobody"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_PATIENCE)
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        said = answer.read(1000).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException):
        return "other"
    finally:
        connection.close()
    return "us" if (answer.status, said) == (403, NOT_A_WINDOW) else "other"
