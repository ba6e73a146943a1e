"""How often somebody may ask for what costs us work and changes nothing: counted in this process's memory only."""

from __future__ import annotations

import ipaddress
import threading
import time


class Limit:
    """So many times a window for each address; what is counted here is forgotten with the window, and never stored."""

    def __init__(self, times: int, *, seconds: float, addresses: int = 10_000) -> None:
        self.times, self.seconds, self.addresses = times, seconds, addresses
        self._window = -1
        self._counted: dict[str, int] = {}
        self._lock = threading.Lock()

    def allows(self, address: str) -> bool:
        """Count this try, and return whether it is still one of those allowed."""
        subject, window = network_of(address), int(time.monotonic() // self.seconds)
        with self._lock:
            if window != self._window or len(self._counted) > self.addresses:
                self._window, self._counted = window, {}
            self._counted[subject] = self._counted.get(subject, 0) + 1
            return self._counted[subject] <= self.times


def network_of(address: str) -> str:
    """Return what is counted as one household, which has a /64 of IPv6; "" stands for every peer without an address."""
    if ":" not in address:
        return address
    return str(ipaddress.ip_network((int(ipaddress.IPv6Address(address)), 64), strict=False))
