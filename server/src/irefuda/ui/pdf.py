"""PDFs are made in a process of their own with a time limit: the web process never imports the layout engine."""

from __future__ import annotations

import base64
import json
import logging
import subprocess
import sys
import threading
from collections.abc import Mapping

from django.conf import settings

log = logging.getLogger(__name__)

SECONDS = 20
# What is made once for everybody may be long.
SECONDS_FOR_ALL = 60
# The layout engine takes a whole core and much memory: a crowd that prints must not stop those who apply.
AT_ONCE, WAIT_SECONDS = 2, 5
places = threading.BoundedSemaphore(AT_ONCE)
_kept: dict[str, bytes] = {}
_keeping = threading.Lock()


class PdfNotMade(Exception):
    """The layout process failed or took too long, or too many are at work; the HTML page can still be printed."""


def make(html: str, *, attachments: Mapping[str, bytes], seconds: int | None = None) -> bytes:
    """Return `html` laid out as a PDF (PDF/UA, fonts embedded) that carries `attachments` by file name.

    :raises PdfNotMade: when the layout process fails or exceeds its time, or no place for it becomes free
    """
    order = {
        "html": html,
        "static_root": str(settings.STATIC_ROOT),
        "attachments": {name: base64.b64encode(content).decode() for name, content in attachments.items()},
    }
    if not places.acquire(timeout=WAIT_SECONDS):
        raise PdfNotMade("busy")
    try:
        made = subprocess.run(
            [sys.executable, "-m", "irefuda.ui.pdf_process"],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=SECONDS if seconds is None else seconds,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as failure:
        log.warning("no PDF was made (%s)", type(failure).__name__)
        raise PdfNotMade(type(failure).__name__) from failure
    finally:
        places.release()
    return made.stdout


def make_once(html: str) -> bytes:
    """Return `html` laid out as a PDF, laid out anew only when it is another than last time. For what all are shown alike.

    :raises PdfNotMade: when the layout process fails or exceeds its time, or no place for it becomes free
    """
    # Whoever comes meanwhile is asked to come again: they must not hold every thread of the process.
    if not _keeping.acquire(timeout=WAIT_SECONDS):
        raise PdfNotMade("busy")
    try:
        if html not in _kept:
            made = make(html, attachments={}, seconds=SECONDS_FOR_ALL)
            _kept.clear()
            _kept[html] = made
        return _kept[html]
    finally:
        _keeping.release()
