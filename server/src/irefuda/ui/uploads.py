"""What becomes of a file that is sent to a form: nothing, unless the page says otherwise."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler


class NoFiles(FileUploadHandler):
    """Take no file and no body that is larger than a form; a page that takes files sets handlers of its own.

    Django's own handlers write whatever anybody sends to the disk, before anybody has looked at who sends it.
    """

    def handle_raw_input(self, input_data: Any, META: dict[str, Any], content_length: int, *more: Any) -> None:
        """Refuse a body that no form of ours makes, before a byte of it is read.

        :raises RequestDataTooBig: answered by `ui.pages.bad_request`
        """
        if content_length > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
            raise RequestDataTooBig

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Keep nothing of a file, and let no other handler see it."""

    def file_complete(self, file_size: int) -> None:
        """Make no file of what was sent."""
