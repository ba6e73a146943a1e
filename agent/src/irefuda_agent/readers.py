"""What the operating system's own PC/SC service says about readers, for the case that no module shows a card."""

from __future__ import annotations

import ctypes
import sys

_SCOPE_SYSTEM = 2
_NO_READERS = 0x8010002E
_LIBRARIES = {
    "win32": "winscard.dll",
    "darwin": "/System/Library/Frameworks/PCSC.framework/PCSC",
}


def connected_readers() -> list[str] | None:
    """Return the names of the readers that are connected, or None when the service does not answer."""
    try:
        library = ctypes.CDLL(_LIBRARIES.get(sys.platform, "libpcsclite.so.1"))
    except OSError:
        return None
    list_readers = library.SCardListReadersA if sys.platform == "win32" else library.SCardListReaders
    word = ctypes.c_ulong if sys.platform == "linux" else ctypes.c_uint32
    context = (
        ctypes.c_void_p()
        if sys.platform == "win32"
        else (ctypes.c_long if sys.platform == "linux" else ctypes.c_int32)()
    )
    if library.SCardEstablishContext(word(_SCOPE_SYSTEM), None, None, ctypes.byref(context)) != 0:
        return None
    try:
        length = word(0)
        status = list_readers(context, None, None, ctypes.byref(length)) & 0xFFFFFFFF
        if status == _NO_READERS:
            return []
        names = ctypes.create_string_buffer(length.value)
        if status != 0 or list_readers(context, None, names, ctypes.byref(length)) != 0:
            return None
        return [name.decode(errors="replace") for name in names.raw[: length.value].split(b"\0") if name]
    finally:
        library.SCardReleaseContext(context)
