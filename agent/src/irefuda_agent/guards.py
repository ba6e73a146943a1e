"""Who may speak to the companion program over HTTP: this machine's browser, from the program's own pages, and no one else."""

from __future__ import annotations

import hmac

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SECRET_HEADER = "x-card-agent-secret"  # noqa: S105 -- the name of the header
MAX_BODY = 256 * 1024
NOT_A_WINDOW = "この画面は、ブラウザの窓として開いてください。"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    # Another site's page may not load our scripts or styles; no COOP, which would cut the popup off from its opener.
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guards:
    """ASGI middleware: refuses what does not come from our own pages, and seals every answer.

    A page that is not `for_sites` can neither be opened by a site nor keep one as its opener.
    """

    def __init__(self, app: ASGIApp, *, port: int, secret: str, for_sites: bool = True) -> None:
        self.app = app
        self.for_sites = for_sites
        self.host = f"127.0.0.1:{port}"
        self.secret = secret

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                sealing = _HEADERS if self.for_sites else {**_HEADERS, "Cross-Origin-Opener-Policy": "same-origin"}
                headers = [(k.lower().encode(), v.encode()) for k, v in sealing.items()]
                message = {**message, "headers": [*message.get("headers", []), *headers]}
            await send(message)

        refused = self.refuse(Request(scope))
        await (refused or self.app)(scope, receive, send_sealed)

    def refuse(self, request: Request) -> Response | None:
        """Return the refusal of a request, or None for one that may pass."""
        # DNS rebinding: a name of the attacker's that points to this machine arrives with that name in Host.
        if request.headers.getlist("host") != [self.host]:
            return PlainTextResponse("この名前では応答しません。", 421)
        path, fetch = request.url.path, request.headers.get
        if path.startswith("/api/"):
            return self._refuse_call(request)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("受け付けません。", 405)
        if path.startswith("/pages/"):
            own = fetch("sec-fetch-site") == "same-origin" and fetch("sec-fetch-dest") in ("script", "style", "image")
            return None if own else PlainTextResponse("この画面の部品は、補助アプリの画面だけが使えます。", 403)
        if fetch("sec-fetch-mode") != "navigate" or fetch("sec-fetch-dest") != "document":
            return PlainTextResponse(NOT_A_WINDOW, 403)
        # "none": typed, pasted or opened by a program of this machine; whatever a page starts says something else.
        if not self.for_sites and fetch("sec-fetch-site") != "none":
            return PlainTextResponse("この画面は、サイトからは開けません。", 403)
        return None

    def _refuse_call(self, request: Request) -> Response | None:
        fetch = request.headers.get
        length = fetch("content-length") or ""
        own = (
            request.method == "POST"
            and fetch("sec-fetch-site") == "same-origin"
            and fetch("origin") == f"http://{self.host}"
            and hmac.compare_digest((fetch(SECRET_HEADER) or "").encode(), self.secret.encode())
        )
        if not own:
            return PlainTextResponse("補助アプリの画面からだけ使えます。", 403)
        if fetch("content-type") != "application/json":
            return PlainTextResponse("JSON だけを受け付けます。", 415)
        if not length.isascii() or not length.isdigit() or int(length) > MAX_BODY:
            return PlainTextResponse("大きすぎます。", 413)
        return None
