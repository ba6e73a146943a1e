"""ICカード更新, the rules: which press may do what, how long a PIN and a logged-in card are kept, and what may be signed.

The old card signs once and the new card once, each at a person's press. No I/O and no clock here: `now` is in seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta, timezone
from enum import StrEnum
from typing import Protocol

from irefuda_core.canonical import NotCanonical, canonical_json
from irefuda_core.certificate import CardCertificate
from irefuda_core.documents import Document, UnknownDocument, card_handover, card_renewal, read_document
from irefuda_core.refusal import Refusal, Refused, refusal

ASKED = ("renewal_id", "agency_code", "agency_name", "category", "issued_at")
OLD_CARD, NEW_CARD = "現在使用しているICカード", "新規に使用するICカード"
_ADDRESSEE = ("agency_code", "agency_name", "category")
_JST = timezone(timedelta(hours=9))
_NOBODY = {
    "certificate_serial": "1",
    "certificate_issuer": "CN=nobody",
    "certificate_expires_on": "2000/01/01",
    "certificate_fingerprint": "0" * 64,
}


class Step(StrEnum):
    """Where a renewal is: waiting for the old card, the new card, the site, the person's 「更新」; or at its end."""

    OLD = "old"
    NEW = "new"
    SITE = "site"
    CONFIRM = "confirm"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Limits:
    """How long, in seconds, the old card's PIN is kept, the site may take to answer, and the new card stays logged in."""

    pin: float = 120
    site: float = 60
    session: float = 600


class Killable(Protocol):
    """A worker process, as far as the rules are concerned."""

    def kill(self) -> None:
        """End it at once."""


class KeptPin:
    """The old card's PIN, in bytes that can be wiped; it is given out once."""

    def __init__(self, pin: str) -> None:
        self.content = bytearray(pin.encode())
        self.held = True

    def take(self) -> str:
        """Return the PIN and keep nothing of it here."""
        pin = self.content.decode()
        self.wipe()
        return pin

    def wipe(self) -> None:
        """Write zeros over the PIN, in the place where it stands."""
        self.content[:] = bytes(len(self.content))
        self.held = False


class Renewal:
    """One renewal, from the site's first message to the signature of the new card."""

    def __init__(self, asked: Mapping[str, str], *, realm: str, origin: str, limits: Limits | None = None) -> None:
        self.asked = dict(asked)
        self.realm = realm
        self.origin = origin
        self.limits = limits or Limits()
        self.step = Step.OLD
        self.watched = False
        self.ended_because: Refusal | None = None
        self.old: CardCertificate | None = None
        self.new: CardCertificate | None = None
        self.handover = ""
        self.person = ""
        self.document: Document | None = None
        self.document_text = ""
        self.logged_in = False
        self.pin: KeptPin | None = None
        self.worker: Killable | None = None
        self._busy = False
        self._pin_until = self._site_until = self._session_until = 0.0

    # ---- one press at a time ----

    @contextlib.contextmanager
    def working(self, step: Step) -> Iterator[None]:
        """Run one press of this step; a second one at the same time, or of another step, is refused.

        :raises Refused: also when no popup listens, whose closing would end what is begun here
        """
        if self.step is not step or self._busy or not self.watched:
            raise Refused(refusal("C-219"))
        self._busy = True
        try:
            yield
        finally:
            self._busy = False

    def take_in_hand(self, worker: Killable) -> None:
        """Answer for this worker process from now on: it ends with the renewal."""
        self.let_go()
        self.worker = worker
        if self.step is Step.ENDED:
            self.let_go()

    def let_go(self) -> None:
        """End the worker process, and with it the card's log-in."""
        worker, self.worker, self.logged_in = self.worker, None, False
        if worker is not None:
            worker.kill()

    # ---- from step to step ----

    def compose_handover(self, certificate: CardCertificate, person: str) -> str:
        """Return the document that the old card signs.

        :raises Refused: when what the site sent, or the certificate, makes no such document
        """
        try:
            return handover_text(
                self.asked, certificate_values(certificate), person, realm=self.realm, origin=self.origin
            )
        except UnknownDocument as unknown:
            raise Refused(unknown.refusal) from None

    def handed_over(self, certificate: CardCertificate, jws: str, person: str, pin: str, now: float) -> None:
        """Go on to the new card; the PIN is kept for its first try."""
        self._expect(Step.OLD)
        self.old, self.handover, self.person = certificate, jws, person
        self.pin, self._pin_until = KeptPin(pin), now + self.limits.pin
        self.step = Step.NEW

    @property
    def pin_kept(self) -> bool:
        """Tell whether the old card's PIN may still be tried on the new one."""
        return self.step is Step.NEW and self.pin is not None and self.pin.held

    def pin_for_new_card(self, typed: str) -> str:
        """Return the PIN to try: what was typed, else the kept one, of which nothing stays here in either case.

        :raises Refused: when there is neither
        """
        if not typed and not self.pin_kept:
            raise Refused(refusal("C-213"))
        assert self.pin is not None
        kept = self.pin.take()
        return typed or kept

    def refuse_old_card(self, fingerprint: str) -> None:
        """Refuse the old card, or a copy of its certificate, as the new one.

        :raises Refused: when it is that
        """
        if self.old is not None and fingerprint == self.old.fingerprint:
            raise Refused(refusal("R-131"))

    def new_card_is_ready(self, certificate: CardCertificate, now: float, *, logged_in: bool) -> None:
        """Wait for the site, with the new card logged in or (when its key asks the PIN each time) not.

        :raises Refused: when it is the old card after all
        """
        self._expect(Step.NEW)
        self.refuse_old_card(certificate.fingerprint)
        self.new, self.logged_in = certificate, logged_in
        self._site_until, self._session_until = now + self.limits.site, now + self.limits.session
        self.step = Step.SITE

    def hear(self, origin: object, message: object, now: float) -> None:
        """Take the site's second and last message: the document to be confirmed, or the word to stop.

        :raises Refused: for anything else; the renewal has ended then
        """
        try:
            self.tick(now)
            self._expect(Step.SITE)
            if origin != self.origin or not isinstance(message, dict) or message.get("v") != 1:
                raise Refused(refusal("C-219"))
            match message.get("type"), set(message) - {"v", "type"}:
                case "stop", keys if not keys:
                    self.close()
                case "renewal-document", keys if keys == {"document"} and isinstance(message["document"], str):
                    self.document_text = message["document"]
                    self.document = self._checked(self.document_text)
                    self.step = Step.CONFIRM
                case _:
                    raise Refused(refusal("C-219"))
        except Refused:
            self.close()
            raise

    def signed(self) -> None:
        """Come to the end: both cards have signed."""
        self._expect(Step.CONFIRM)
        self.close()

    def tick(self, now: float) -> None:
        """Enforce the time limits."""
        if self.pin is not None and self.pin.held and now >= self._pin_until:
            self.pin.wipe()
        if self.step is Step.SITE and now >= self._site_until:
            self.close(refusal("C-231"))
        if self.logged_in and not self._busy and now >= self._session_until:
            self.let_go()

    def close(self, because: Refusal | None = None) -> None:
        """End: wipe the PIN, log the card out. Any number of times, from any step."""
        if self.step is not Step.ENDED:
            self.step, self.ended_because = Step.ENDED, because
        if self.pin is not None:
            self.pin.wipe()
        self.let_go()

    # ---- the document of the last step ----

    def _checked(self, text: str) -> Document:
        """Return the site's document if it says exactly what happened here.

        :raises Refused: otherwise
        """
        try:
            document = read_document(text.encode("utf-8", "surrogatepass"), realm=self.realm, origin=self.origin)
        except UnknownDocument as unknown:
            raise Refused(unknown.refusal) from None
        if document.type is not card_renewal:
            raise Refused(refusal("K-440"))
        assert self.old is not None
        assert self.new is not None
        happened = {
            **{key: self.asked[key] for key in _ADDRESSEE},
            **certificate_values(self.old, "old_"),
            **certificate_values(self.new, "new_"),
            "handover_sha256": hashlib.sha256(self.handover.encode()).hexdigest(),
            "person_in_charge": self.person,
        }
        if any(document.values[key] != value for key, value in happened.items()):
            raise Refused(refusal("K-441"))
        return document

    def _expect(self, step: Step) -> None:
        if self.step is not step:
            raise Refused(refusal("C-219"))


def certificate_values(certificate: CardCertificate, prefix: str = "") -> dict[str, str]:
    """Return the four fields by which documents name a certificate."""
    return {
        f"{prefix}certificate_serial": certificate.serial_text,
        f"{prefix}certificate_issuer": certificate.issuer_text,
        f"{prefix}certificate_expires_on": f"{certificate.not_after.astimezone(_JST):%Y/%m/%d}",
        f"{prefix}certificate_fingerprint": certificate.fingerprint,
    }


def handover_text(
    asked: Mapping[str, str], certificate: Mapping[str, str], person: str, *, realm: str, origin: str
) -> str:
    """Return the canonical text of the ICカード引継届 of a certificate, read back as the person and the site will read it.

    :raises UnknownDocument: when what the site sent, the person typed or the CA wrote makes no such document
    """
    values: dict[str, str | int] = {
        "type": card_handover.name,
        "realm": realm,
        "origin": origin,
        "document_id": asked["renewal_id"],
        "issued_at": asked["issued_at"],
        **{key: asked[key] for key in _ADDRESSEE},
        **certificate,
        "person_in_charge": person,
    }
    try:
        text = canonical_json(values)
    except NotCanonical:
        raise UnknownDocument("characters") from None
    read_document(text, realm=realm, origin=origin)
    return text.decode()


def addressee_sections(asked: Mapping[str, str]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the part of the ICカード引継届 that is known before any card is, as documents show their sections."""
    rows = [(field.label, asked[field.key]) for field in card_handover.fields if field.key in asked]
    return [("申請先", rows)] if rows else []


def is_well_asked(asked: Mapping[str, str], *, realm: str, origin: str) -> bool:
    """Tell whether a handover can be made of what the site asks: tried with the certificate of nobody."""
    try:
        handover_text(asked, _NOBODY, "", realm=realm, origin=origin)
    except UnknownDocument:
        return False
    return True
