"""PDFs are made in a process of their own with a time limit: the web process never imports the layout engine."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Mapping

from django.conf import settings

SECONDS = 20


class PdfNotMade(Exception):
    """The layout process failed or took too long; the HTML page can still be printed."""


def make(html: str, *, attachments: Mapping[str, bytes]) -> bytes:
    """Return `html` laid out as a PDF (PDF/UA, fonts embedded) that carries `attachments` by file name.

    :raises PdfNotMade: when the layout process fails or exceeds its time
    """
    order = {
        "html": html,
        "static_root": str(settings.STATIC_ROOT),
        "attachments": {name: base64.b64encode(content).decode() for name, content in attachments.items()},
    }
    try:
        made = subprocess.run(
            [sys.executable, "-m", "irefuda.ui.pdf_process"],
            input=json.dumps(order).encode(),
            capture_output=True,
            timeout=SECONDS,
            check=True,
        )
    except (subprocess.SubprocessError, OSError) as failure:
        raise PdfNotMade(type(failure).__name__) from failure
    return made.stdout
