"""The page of the program's own settings: opened by `irefuda-card settings` at a one-time address, never from a site."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from irefuda_agent.guards import Guards
from irefuda_agent.settings import InvalidSettings, Settings, module_from, one_line, settings_from, site_from
from irefuda_agent.settings_file import SettingsChanged, write_settings
from irefuda_agent.web import json_body, new_secret, page, page_part

_CHANGED = "設定ファイルが、この画面を開いた後に書き換えられました。この画面を閉じ、もう一度「irefuda-card settings」で開いてください。"
_NOT_WRITTEN = (
    "設定ファイルに書けませんでした。空き容量と、フォルダーに書き込めるかを確かめてください。設定は、もとのままです。"
)


@dataclass
class SettingsPage:
    """One opening of the page: shown once, saved at most once; `finish` is called when nothing more can come."""

    path: Path
    settings: Settings
    content: bytes | None
    finish: Callable[[], None]
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    secret: str = field(default_factory=new_secret)
    opened: bool = False
    saved: bool = False

    def application(self, port: int) -> Guards:
        """Return the ASGI application for this port."""
        routes = [
            Route("/open/{key}", self.show),
            Route("/pages/{name}", page_part),
            Route("/api/read", self.read, methods=["POST"]),
            Route("/api/save", self.save, methods=["POST"]),
            Route("/api/end", self.end, methods=["POST"]),
        ]
        return Guards(Starlette(routes=routes), port=port, secret=self.secret, for_sites=False)

    async def show(self, request: Request) -> Response:
        """Answer with the page, once: the address is worth nothing afterwards."""
        if self.opened or not hmac.compare_digest(request.path_params["key"].encode(), self.key.encode()):
            raise HTTPException(404, "このアドレスは使えません。もう一度「irefuda-card settings」で開いてください。")
        self.opened = True
        return HTMLResponse(page("settings.html", secret=self.secret))

    async def read(self, request: Request) -> Response:
        """Answer with the settings that are to be edited."""
        await json_body(request)
        settings = self.settings
        return JSONResponse(
            {
                "path": str(self.path),
                "passphrase": settings.passphrase,
                "ports": list(settings.ports),
                "sites": [{"origin": s.origin, "realm": s.realm, "name": s.name, "fingerprints": list(s.fingerprints)} for s in settings.sites],
                "modules": [{"name": m.name, "path": m.path} for m in settings.modules],
            }
        )  # fmt: skip

    async def save(self, request: Request) -> Response:
        """Write what the person entered, or answer at each field what is wrong; nothing is written then."""
        body = await json_body(request)
        sites, modules = _entries(body, "sites"), _entries(body, "modules")
        for site in sites:
            site["fingerprints"] = as_fingerprints(site.get("fingerprints"))
        if errors := errors_in(body.get("passphrase"), sites, modules):
            return JSONResponse({"errors": errors})
        entered = {"passphrase": body["passphrase"], "sites": sites, "modules": modules}
        kept = {"ports": list(self.settings.ports), "state_dir": str(self.settings.state_dir)}
        try:
            write_settings(self.path, settings_from({**kept, **entered}, home=self.path.parent), replacing=self.content)
        except InvalidSettings as invalid:
            return JSONResponse({"errors": [{"where": invalid.field, "message": str(invalid)}]})
        except SettingsChanged:
            return JSONResponse({"errors": [{"where": "", "message": _CHANGED}]})
        except OSError:
            return JSONResponse({"errors": [{"where": "", "message": _NOT_WRITTEN}]})
        self.saved = True
        self.finish()
        return JSONResponse({"saved": True})

    async def end(self, request: Request) -> Response:
        """Close without saving."""
        await json_body(request)
        self.finish()
        return JSONResponse({"ended": True})


def _entries(body: dict[str, Any], key: str) -> list[dict[str, Any]]:
    entries = body.get(key)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise HTTPException(400)
    return entries


def as_fingerprints(text: object) -> list[str]:
    """Return the fingerprints in a text, one a line, with the colons, spaces and capitals that viewers put in taken out."""
    lines = [re.sub(r"[\s:]", "", line).lower() for line in text.splitlines()] if isinstance(text, str) else []
    return [line for line in lines if line]


def errors_in(
    passphrase: object, sites: Sequence[dict[str, Any]], modules: Sequence[dict[str, Any]]
) -> list[dict[str, str]]:
    """Return what is wrong, by the same rules as the file's, each with the field where it stands ("sites.0.origin")."""
    errors = []

    def check(where: str, read: Callable[[], object]) -> None:
        try:
            read()
        except InvalidSettings as invalid:
            errors.append({"where": where + invalid.field, "message": str(invalid)})

    check("", lambda: one_line(passphrase, "passphrase", 40))
    for number, site in enumerate(sites):
        check(f"sites.{number}.", lambda site=site: site_from(site))  # type: ignore[misc]
        if site.get("origin") in [other.get("origin") for other in sites[:number]]:
            errors.append({"where": f"sites.{number}.origin", "message": "同じ origin が二度書かれています。"})
    for number, module in enumerate(modules):
        check(f"modules.{number}.", lambda module=module: module_from(module))  # type: ignore[misc]
    return errors
