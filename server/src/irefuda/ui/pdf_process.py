"""The process that lays out one PDF: an order as JSON on stdin, the PDF on stdout. Never imported by the web process."""

import base64
import io
import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from weasyprint import HTML, Attachment
from weasyprint.urls import URLFetcher, URLFetcherResponse


class OwnFilesOnly(URLFetcher):  # type: ignore[misc]
    """Answer /static/… from the folder of static files; nothing else is fetched, from disk or network."""

    def __init__(self, static_root: Path) -> None:
        super().__init__()
        self.static_root = static_root.resolve()

    def fetch(self, url: str, headers: object = None) -> URLFetcherResponse:
        path = urlsplit(url).path
        file = (self.static_root / path.removeprefix("/static/")).resolve()
        if not path.startswith("/static/") or not file.is_relative_to(self.static_root):
            raise ValueError(f"not one of our own files: {path}")
        return URLFetcherResponse(url, file.read_bytes(), {"Content-Type": "text/css" if file.suffix == ".css" else ""})


def main() -> None:
    order = json.load(sys.stdin)
    document = HTML(
        string=order["html"], base_url="http://irefuda.invalid/", url_fetcher=OwnFilesOnly(Path(order["static_root"]))
    )
    attachments = [
        Attachment(file_obj=io.BytesIO(base64.b64decode(content)), name=name)
        for name, content in order["attachments"].items()
    ]
    sys.stdout.buffer.write(document.write_pdf(pdf_variant="pdf/ua-1", attachments=attachments))


if __name__ == "__main__":
    main()
