"""How a command that runs until it is stopped hears of it."""

from __future__ import annotations

import os
import select


class StopRequest:
    """A wish to stop that a signal handler may express at any instant: a pipe has no lock to dead-lock on."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        self.made = False

    def make(self) -> None:
        self.made = True
        os.write(self._write, b".")

    def wait(self, seconds: float) -> None:
        """Sleep, but not longer than until the wish is made."""
        select.select([self._read], [], [], seconds)

    def close(self) -> None:
        os.close(self._read)
        os.close(self._write)
