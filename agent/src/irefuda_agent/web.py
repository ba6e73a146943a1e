"""The companion program's HTTP side: the popup page, and the calls of its script."""

from __future__ import annotations

import base64
import contextlib
import html
import json
import secrets
import string
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import UTC, datetime
from importlib import resources
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from irefuda_agent import check as checking
from irefuda_agent import dialogue as dialogues
from irefuda_agent.cards import CardChoice, Cards, certificate_row, fault_refusal, refusal_json
from irefuda_agent.guards import Guards
from irefuda_agent.renewal import Limits, Renewal
from irefuda_agent.renewing import Press, Renewing
from irefuda_agent.settings import InvalidSettings, Settings
from irefuda_agent.settings_file import SettingsFile
from irefuda_core.refusal import Refused, refusal
from irefuda_core.text import InvalidText, clean_text

# After these nothing that the person types in this popup can help.
_FINAL = ("C-215", "C-219", "C-225", "K-440", "K-441")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}


def now() -> datetime:
    """Return the moment; the only place of the companion program that looks at the clock."""
    return datetime.now(UTC)


class Web:
    """The routes and what they share: settings, cards, open dialogues, the secret of this run."""

    def __init__(
        self,
        file: SettingsFile,
        cards: Cards,
        *,
        secret: str,
        clock: Callable[[], datetime] = now,
        limits: Limits | None = None,
    ) -> None:
        self.file = file
        self.cards = cards
        self.secret = secret
        self.clock = clock
        self.limits = limits
        self.dialogues = dialogues.Dialogues()

    def application(self, port: int) -> Guards:
        """Return the ASGI application for this port."""
        routes = [
            Route("/", self.popup),
            Route("/pages/{name}", page_part),
            Route("/api/begin", self.begin, methods=["POST"]),
            Route("/api/cards", self.card_list, methods=["POST"]),
            Route("/api/use", self.use, methods=["POST"]),
            Route("/api/check", self.check, methods=["POST"]),
            Route("/api/renewal/{press}", self.renew, methods=["POST"]),
        ]
        return Guards(Starlette(routes=routes), port=port, secret=self.secret)

    async def popup(self, request: Request) -> Response:
        """Answer with the popup page under a new dialogue."""
        return HTMLResponse(page("dialog.html", secret=self.secret, dialogue=self.dialogues.start()))

    async def begin(self, request: Request) -> Response:
        """Take the first message of a site; answer what to show, or why not."""
        body = await json_body(request)
        try:
            dialogue = self.dialogues.named(body.get("dialogue"))
            settings = self._settings_now()
            asked = dialogues.listen(dialogue, body.get("origin"), body.get("message"), settings)
            if asked.kind == "renew":
                site = asked.site
                dialogue.renewal = Renewal(asked.renewal, realm=site.realm, origin=site.origin, limits=self.limits)
        except Refused as refused:
            return _refused(refused)
        return JSONResponse(dialogues.shown_to_person(asked, settings))

    def _settings_now(self) -> Settings:
        """Return the settings as they are now: what was saved meanwhile counts from this popup on."""
        try:
            settings = self.file.current()
        except InvalidSettings:
            raise Refused(fault_refusal("settings_invalid")) from None
        self.cards.modules = settings.modules
        return settings

    async def card_list(self, request: Request) -> Response:
        """Answer with one line per look at the readers, for as long as the page listens."""
        body = await json_body(request)
        try:
            dialogue = self.dialogues.named(body.get("dialogue"))
            renewal = dialogue.renewal
            # A renewal ends with the one line to its popup.
            if dialogue.request is None or (renewal is not None and renewal.watched):
                raise Refused(refusal("C-219"))
        except Refused as refused:
            return _refused(refused)
        looks = self.cards.looks() if renewal is None else Renewing(renewal, self.cards).lines()
        return StreamingResponse(_lines(looks), media_type="application/x-ndjson")

    async def renew(self, request: Request) -> Response:
        """Take one press of ICカード更新, or the site's last message, one step on."""
        body = await json_body(request)
        try:
            dialogue = self.dialogues.named(body.get("dialogue"))
            if dialogue.request is None or dialogue.renewal is None:
                raise Refused(refusal("C-219"))
            renewing = Renewing(dialogue.renewal, self.cards)
            answer = await self._pressed(request.path_params["press"], renewing, dialogue.request, body)
        except Refused as refused:
            return _refused(refused)
        if answer.get("step") == "ended" or "reply" in answer:
            self.dialogues.end(body["dialogue"])
        return JSONResponse(answer)

    async def _pressed(
        self, press: str, renewing: Renewing, asked: dialogues.Request, body: dict[str, Any]
    ) -> dict[str, Any]:
        match press:
            case "old":
                return await renewing.hand_over(self._press(asked, body), _person(asked, body))
            case "new":
                return await renewing.take_new_card(self._press(asked, body, pin_may_be_left_out=True))
            case "site":
                return renewing.hear(body.get("origin"), body.get("message"))
            case "sign":
                given = None if body.get("card") is None else self._press(asked, body)
                return await renewing.sign(given, self._at())
            case _:
                raise HTTPException(404)

    def _press(self, asked: dialogues.Request, body: dict[str, Any], *, pin_may_be_left_out: bool = False) -> Press:
        pin = _pin(body, may_be_left_out=pin_may_be_left_out)
        return Press(_choice(asked, body), pin, body.get("last_try_confirmed") is True, self._at())

    def _at(self) -> int:
        return int(self.clock().timestamp())

    async def use(self, request: Request) -> Response:
        """Use the chosen card with the PIN, once; a success ends the dialogue."""
        body = await json_body(request)
        try:
            asked = self.dialogues.named(body.get("dialogue")).request
            # A check is none of the card's business: what was shown to the person had no PIN in it.
            # A renewal has presses of its own.
            if asked is None or asked.kind not in ("authenticate", "sign"):
                raise Refused(refusal("C-219"))
            person = _person(asked, body)
            answer = await self.cards.use(_choice(asked, body), _work(asked, body, self._at()))
        except Refused as refused:
            return _refused(refused)
        if faults := answer.get("faults"):
            return JSONResponse({"refusals": [refusal_json(fault_refusal(name)) for name in faults]})
        if choices := answer.get("choose"):
            return JSONResponse({"choose": [certificate_row(base64.b64decode(der), self.clock()) for der in choices]})
        self.dialogues.end(body["dialogue"])
        if asked.kind == "sign":
            return JSONResponse({"reply": {"type": "signed", "v": 1, "jws": answer["jws"]}})
        return JSONResponse({"reply": {"type": "token", "v": 1, "token": answer["token"], "person_in_charge": person}})

    async def check(self, request: Request) -> Response:
        """Answer with what the person agreed to tell the site, once; no PIN and no key is used for it."""
        body = await json_body(request)
        try:
            asked = self.dialogues.named(body.get("dialogue")).request
            if asked is None or asked.kind != "check":
                raise Refused(refusal("C-219"))
            choice = None if body.get("card") is None else _choice(asked, body)
            reply = await checking.reply(self.cards, choice, at=self.clock())
        except Refused as refused:
            return _refused(refused)
        self.dialogues.end(body["dialogue"])
        return JSONResponse({"reply": reply})


async def _lines(looks: AsyncGenerator[dict[str, Any], None]) -> AsyncIterator[bytes]:
    async with contextlib.aclosing(looks):
        async for look in looks:
            yield json.dumps(look, ensure_ascii=False).encode() + b"\n"


async def page_part(request: Request) -> Response:
    """Answer with a script or a style sheet of the pages."""
    name = request.path_params["name"]
    part = resources.files("irefuda_agent") / "pages" / name
    kind = _TYPES.get(name[name.rfind(".") :]) if "/" not in name and "\\" not in name else None
    if kind is None or not part.is_file():
        raise HTTPException(404)
    return Response(part.read_bytes(), media_type=kind)


def page(name: str, **values: str) -> str:
    """Return a page of the program with its values filled in."""
    template = (resources.files("irefuda_agent") / "pages" / name).read_text(encoding="utf-8")
    return string.Template(template).substitute({key: html.escape(value) for key, value in values.items()})


def new_secret() -> str:
    """Return the secret of one run."""
    return secrets.token_urlsafe(32)


async def json_body(request: Request) -> dict[str, Any]:
    """Return the JSON object in a call."""
    try:
        body = await request.json()
    except (ValueError, RecursionError):
        raise HTTPException(400) from None
    if not isinstance(body, dict):
        raise HTTPException(400)
    return body


def _refused(refused: Refused) -> Response:
    reasons = [refusal_json(reason) for reason in refused.refusals]
    return JSONResponse({"refusals": reasons, "final": any(reason["code"] in _FINAL for reason in reasons)})


def _person(asked: dialogues.Request, body: dict[str, Any]) -> str:
    person = body.get("person_in_charge", "")
    if not isinstance(person, str):
        raise Refused(refusal("P-801"))
    try:
        return clean_text(person, max_length=20)
    except InvalidText as invalid:
        raise Refused(invalid.refusal) from None


def _choice(asked: dialogues.Request, body: dict[str, Any]) -> CardChoice:
    try:
        card = body["card"]
        choice = CardChoice(card["module"], card["slot_id"], card["token_serial"], card["fingerprint"])
    except (KeyError, TypeError):
        raise Refused(refusal("C-219")) from None
    texts = (choice.module, choice.token_serial, choice.fingerprint)
    if type(choice.slot_id) is not int or not all(isinstance(text, str) for text in texts):
        raise Refused(refusal("C-219"))
    if asked.kind == "sign" and choice.fingerprint not in ("", asked.fingerprint):
        raise Refused(refusal("C-224"))
    return choice


def _work(asked: dialogues.Request, body: dict[str, Any], at: int) -> dict[str, Any]:
    pin, confirmed = _pin(body), body.get("last_try_confirmed") is True
    work = {"kind": asked.kind, "pin": pin, "at": at, "last_try_confirmed": confirmed}
    if asked.document is None:
        return {**work, "origin": asked.site.origin, "nonce": asked.nonce}
    typ = asked.document.type.typ(asked.site.realm)
    return {**work, "typ": typ, "document": asked.document_text, "fingerprint": asked.fingerprint}


def _pin(body: dict[str, Any], *, may_be_left_out: bool = False) -> str:
    pin = body.get("pin")
    if not isinstance(pin, str) or not (0 if may_be_left_out else 1) <= len(pin) <= 100:
        raise Refused(fault_refusal("pin_length"))
    return pin
