"""One popup's conversation with one site: what was asked for, by whom, and whether it may be shown at all."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

from irefuda_agent.renewal import ASKED, Renewal, addressee_sections, is_well_asked
from irefuda_agent.settings import Settings, Site, is_one_line
from irefuda_agent.version import VERSION
from irefuda_core.documents import Document, UnknownDocument, card_handover, read_document
from irefuda_core.refusal import Refused, refusal

MAX_OPEN = 16
MAX_DOCUMENT = 100_000
_NONCE = re.compile(r"[A-Za-z0-9+/_=-]{44,128}")  # Web eID: at least 256 bits, at most 128 characters
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Request:
    """What a site asked for, after every check."""

    site: Site
    kind: str
    purpose: str
    nonce: str = ""
    fingerprint: str = ""
    document: Document | None = None
    document_text: str = ""
    renewal: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Dialogue:
    """A popup; the first message of a site is the only one that is ever read, and one more in ICカード更新."""

    heard: bool = False
    request: Request | None = None
    renewal: Renewal | None = None

    def close(self) -> None:
        """End what goes on in it."""
        if self.renewal is not None:
            self.renewal.close()


class Dialogues:
    """The popups that are open now, each under an unguessable name."""

    def __init__(self) -> None:
        self.open: dict[str, Dialogue] = {}

    def start(self) -> str:
        """Return the name of a new dialogue; when there are too many, the oldest is forgotten that no listed site began."""
        while len(self.open) >= MAX_OPEN:
            # Any page can open popups, and as many as it likes: they must not end what somebody is in the middle of.
            unasked = (name for name, dialogue in self.open.items() if dialogue.request is None)
            self.end(next(unasked, next(iter(self.open))))
        name = secrets.token_urlsafe(24)
        self.open[name] = Dialogue()
        return name

    def named(self, name: object) -> Dialogue:
        """Return the dialogue.

        :raises Refused: when there is none of this name
        """
        dialogue = self.open.get(name) if isinstance(name, str) else None
        if dialogue is None:
            raise Refused(refusal("C-219"))
        return dialogue

    def end(self, name: str) -> None:
        """Forget the dialogue, and end what goes on in it."""
        if (dialogue := self.open.pop(name, None)) is not None:
            dialogue.close()


def listen(dialogue: Dialogue, origin: object, message: object, settings: Settings) -> Request:
    """Return the request in a site's first message; every later message is refused unread.

    :raises Refused: when the site is not in the settings, or what it asks for is not known here
    """
    if dialogue.heard:
        raise Refused(refusal("C-219"))
    dialogue.heard = True
    # A sandboxed frame's origin is the string "null"; like every origin that is no site entry it gets nothing.
    site = settings.site_for(origin) if isinstance(origin, str) else None
    if site is None:
        raise Refused(refusal("C-215"))
    dialogue.request = read_request(message, site)
    return dialogue.request


def read_request(message: object, site: Site) -> Request:
    """Return the request in a message.

    :raises Refused: when it is not exactly one of the known requests
    """
    if not isinstance(message, dict) or message.get("v") != 1:
        raise Refused(refusal("C-219"))
    purpose = _text(message, "purpose", 60)
    match message.get("type"), set(message) - {"type", "v", "purpose"}:
        case "authenticate", keys if keys == {"nonce"}:
            nonce = _text(message, "nonce", 128)
            if not _NONCE.fullmatch(nonce):
                raise Refused(refusal("C-219"))
            return Request(site, "authenticate", purpose, nonce=nonce)
        case "sign", keys if keys == {"document", "document_type", "fingerprint"}:
            return _request_to_sign(message, site, purpose)
        case "check", keys if not keys:
            return Request(site, "check", purpose)
        case "renew", keys if keys == set(ASKED):
            return _request_to_renew(message, site, purpose)
        case _:
            raise Refused(refusal("C-219"))


def _request_to_sign(message: dict[str, Any], site: Site, purpose: str) -> Request:
    text, fingerprint = message["document"], _text(message, "fingerprint", 64)
    if not isinstance(text, str) or len(text) > MAX_DOCUMENT or not _FINGERPRINT.fullmatch(fingerprint):
        raise Refused(refusal("C-219"))
    try:
        document = read_document(text.encode("utf-8", "surrogatepass"), realm=site.realm, origin=site.origin)
    except UnknownDocument as unknown:
        raise Refused(unknown.refusal) from None
    if message["document_type"] not in (document.type.name, document.type.typ(site.realm)):
        raise Refused(refusal("K-440"))
    return Request(site, "sign", purpose, fingerprint=fingerprint, document=document, document_text=text)


def _request_to_renew(message: dict[str, Any], site: Site, purpose: str) -> Request:
    asked = {key: _text(message, key, 400) for key in ASKED}
    if not is_well_asked(asked, realm=site.realm, origin=site.origin):
        raise Refused(refusal("C-219"))
    return Request(site, "renew", purpose, renewal=asked)


def _text(message: dict[str, Any], key: str, max_length: int) -> str:
    value = message.get(key, "")
    if not is_one_line(value, max_length):
        raise Refused(refusal("C-219"))
    return value


def shown_to_person(request: Request, settings: Settings) -> dict[str, Any]:
    """Return what the page shows: who asks, what for, the 合言葉, and every field of a document to be signed."""
    document = request.document
    kind = document.type if document else card_handover if request.renewal else None
    return {
        "kind": request.kind,
        # Told to the person; the site hears it only with what the person sends it.
        "version": VERSION,
        "origin": request.site.origin,
        "site_name": request.site.name,
        "practice": request.site.realm == "practice",
        "purpose": request.purpose,
        "passphrase": settings.passphrase,
        "fingerprint": request.fingerprint,
        "person_in_charge": document.values.get("person_in_charge", "") if document else "",
        "title": kind.title if kind else "",
        "sections": document.sections if document else addressee_sections(request.renewal),
    }
