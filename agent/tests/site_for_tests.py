"""A small site that uses the card: the project's own card-dialogue.js with a form, a nonce and a strict policy."""

from __future__ import annotations

import base64
import html
import secrets
import socket
import threading
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

SCRIPT = Path(__file__).parents[2] / "server/src/irefuda/cards/static/cards/card-dialogue.js"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)


@dataclass
class Site:
    """The running site: what it gave out and what it was sent."""

    port: int
    agent_ports: list[int]
    nonces: list[str] = field(default_factory=list)
    posts: list[dict[str, str]] = field(default_factory=list)
    to_sign: dict[str, str] = field(default_factory=dict)
    address: str = "http://localhost"
    plain: str = ""

    @property
    def origin(self) -> str:
        return f"{self.address}:{self.port}"

    def page(self, kind: str) -> str:
        names = (
            ("token", "person_in_charge")
            if kind == "authenticate"
            else ("document", "document_type", "fingerprint", "jws")
        )
        inputs = "".join(
            f'<input type="hidden" name="{n}" value="{html.escape(self.to_sign.get(n, ""))}">' for n in names
        )
        return f"""<!doctype html><html lang="ja"><meta charset="utf-8"><title>サイト</title>
<link rel="icon" href="data:,"><script type="module" src="/card-dialogue.js"></script>
<main><h1>利用者登録</h1><form method="post" action="/present/" data-card-dialogue="{kind}" data-purpose="利用者登録"
 data-agent-ports="{" ".join(map(str, self.agent_ports))}" data-nonce-url="/card/nonce/">
<input type="hidden" name="csrfmiddlewaretoken" value="for-the-form">{inputs}
<button type="submit">登録</button><div data-card-status role="status"></div></form></main></html>"""

    def application(self) -> Starlette:
        headers = {"Content-Security-Policy": POLICY, "Cross-Origin-Opener-Policy": "same-origin-allow-popups"}

        async def page(request: Request) -> Response:
            return HTMLResponse(self.page(request.path_params["kind"]), headers=headers)

        async def plain(request: Request) -> Response:
            """A page without any policy, for attacks: it holds what the test puts there."""
            return HTMLResponse(f'<!doctype html><title>plain</title><link rel="icon" href="data:,">{self.plain}')

        async def nonce(request: Request) -> Response:
            assert request.headers["x-csrftoken"] == "for-the-form"
            self.nonces.append(base64.b64encode(secrets.token_bytes(33)).decode())
            return JSONResponse({"nonce": self.nonces[-1]})

        async def present(request: Request) -> Response:
            posted = parse_qs((await request.body()).decode(), keep_blank_values=True)
            self.posts.append({name: values[0] for name, values in posted.items()})
            return HTMLResponse(
                '<!doctype html><html lang="ja"><title>着</title><h1>受け取りました</h1></html>', headers=headers
            )

        async def script(request: Request) -> Response:
            return Response(SCRIPT.read_bytes(), media_type="text/javascript", headers=headers)

        return Starlette(
            routes=[
                Route("/card-dialogue.js", script),
                Route("/card/nonce/", nonce, methods=["POST"]),
                Route("/present/", present, methods=["POST"]),
                Route("/plain/", plain),
                Route("/{kind}", page),
            ]
        )


class RunningSite:
    """Serves a `Site` on a thread until the block ends."""

    def __init__(self, agent_ports: list[int], address: str = "http://localhost", **options: object) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.site = Site(self.listener.getsockname()[1], agent_ports, address=address)
        config = uvicorn.Config(self.site.application(), log_level="warning", lifespan="off", ws="none", **options)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]})

    def __enter__(self) -> Site:
        self.thread.start()
        return self.site

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(10)
        self.listener.close()
