"""What may be seen of this process's memory, which holds the PIN for a moment: nothing, not even after a crash."""

from __future__ import annotations

import ctypes
import signal
import sys

if sys.platform != "win32":
    import resource

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4


def keep_out_of_core_files() -> None:
    """See to it that a crash of this process, or of a vendor's module in it, writes no memory to any file."""
    if sys.platform == "win32":
        return  # there, error reports hold no memory unless the administrator asks for it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        # A core handler behind a pipe gets the memory whatever the limit is. This holds until the next exec only.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def end_with_the_program() -> None:
    """See to it that this worker does not outlive the program that started it, even while a module hangs.

    Elsewhere than on Linux it ends when it next reads its standard input, which ends with the program.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
