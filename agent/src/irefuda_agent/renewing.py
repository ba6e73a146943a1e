"""ICカード更新, the deeds: each press uses the card through a worker of its own and takes the renewal one step on."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from typing import Any

from irefuda_agent.cards import CardChoice, Cards, Worker, certificate_row, fault_refusal, refusal_json
from irefuda_agent.renewal import NEW_CARD, OLD_CARD, Renewal, Step
from irefuda_core.certificate import CardCertificate, UnreadableCertificate, read_certificate
from irefuda_core.documents import DocumentType, card_handover, card_renewal
from irefuda_core.refusal import Refused, refusal

HEARTBEAT_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Press:
    """What the person pressed with: the chosen card, the PIN typed (or ""), the tick before a last try."""

    choice: CardChoice
    pin: str
    last_try_confirmed: bool
    at: int


class Renewing:
    """The deeds of one renewal on the cards of this machine."""

    def __init__(self, renewal: Renewal, cards: Cards) -> None:
        self.renewal = renewal
        self.cards = cards

    async def hand_over(self, press: Press, person: str) -> dict[str, Any]:
        """Let the old card sign that it is followed by another; an expired one may, for the site to judge."""
        renewal = self.renewal
        with renewal.working(Step.OLD):
            worker, answer = await self._log_in(press, may_be_expired=True)
            try:
                if "certificate" in answer and not press.choice.fingerprint:
                    # Only what was shown before is signed: this certificate could not be read until now.
                    answer = {"choose": [answer["certificate"]]}
                if "certificate" not in answer:
                    return self._told(answer)
                certificate = _read(answer["certificate"])
                document = renewal.compose_handover(certificate, person)
                pin = press.pin if answer["asks_each_time"] else None
                answer = await self._sign(worker, card_handover, document, press.at, pin)
                if "jws" not in answer:
                    return self._told(answer)
                renewal.handed_over(certificate, answer["jws"], person, press.pin, time.monotonic())
            finally:
                renewal.let_go()
        return {"step": renewal.step}

    async def take_new_card(self, press: Press) -> dict[str, Any]:
        """Log the new card in with one try of a PIN, and tell the page what the site is to be sent."""
        renewal = self.renewal
        with renewal.working(Step.NEW):
            renewal.refuse_old_card(press.choice.fingerprint)
            kept = not press.pin
            press = replace(press, pin=renewal.pin_for_new_card(press.pin))
            _, answer = await self._log_in(press, kept_pin=kept)
            try:
                if "certificate" not in answer:
                    return self._told(answer, kept=kept)
                logged_in = not answer["asks_each_time"]
                certificate = _read(answer["certificate"])
                renewal.new_card_is_ready(certificate, time.monotonic(), logged_in=logged_in)
            finally:
                if not renewal.logged_in:
                    renewal.let_go()
        told = {
            "type": "cards",
            "v": 1,
            "handover": renewal.handover,
            "certificate": base64.b64encode(certificate.der).decode(),
            "person_in_charge": renewal.person,
        }
        return {"step": renewal.step, "fingerprint": certificate.fingerprint, "tell": told}

    def hear(self, origin: object, message: object) -> dict[str, Any]:
        """Take the site's last message and answer what to show."""
        self.renewal.hear(origin, message, time.monotonic())
        document = self.renewal.document
        if document is None:
            return {"step": self.renewal.step}
        sections = [*document.sections, ("文書", document.envelope)]
        return {
            "step": self.renewal.step,
            "title": document.type.title,
            "cards": [section for section in sections if section[0] in (OLD_CARD, NEW_CARD)],
            "others": [section for section in sections if section[0] not in (OLD_CARD, NEW_CARD)],
            "logged_in": self.renewal.logged_in,
        }

    async def sign(self, press: Press | None, at: int) -> dict[str, Any]:
        """Let the new card sign; when it is no longer logged in, that takes the same card again, and its PIN."""
        renewal = self.renewal
        with renewal.working(Step.CONFIRM):
            assert renewal.new is not None
            try:
                pin, worker = None, renewal.worker
                if not renewal.logged_in:
                    if press is None:  # the page believed it was: no try is made, the PIN is asked
                        return self._told({"faults": []})
                    if press.choice.fingerprint not in ("", renewal.new.fingerprint):
                        raise Refused(refusal("C-224"))
                    press = replace(press, choice=replace(press.choice, fingerprint=renewal.new.fingerprint))
                    worker, answer = await self._log_in(press)
                    if "certificate" not in answer:
                        return self._told(answer)
                    pin = press.pin if answer["asks_each_time"] else None
                assert isinstance(worker, Worker)
                answer = await self._sign(worker, card_renewal, renewal.document_text, at, pin)
                if "jws" not in answer:
                    return self._told(answer)
            finally:
                renewal.let_go()
            renewal.signed()
        return {"reply": {"type": "signed", "v": 1, "jws": answer["jws"]}}

    async def _log_in(self, press: Press, **more: object) -> tuple[Worker, dict[str, Any]]:
        worker = self.cards.worker_for(press.choice)
        if worker is None:
            raise Refused(fault_refusal("module_missing"))
        # From here on the closing of the popup ends it, also while the card is at work.
        self.renewal.take_in_hand(worker)
        asked = {"pin": press.pin, "at": press.at, "last_try_confirmed": press.last_try_confirmed, **more}
        return worker, await self.cards.ask(worker, {"operation": "log_in", **press.choice.named, **asked})

    async def _sign(
        self, worker: Worker, kind: DocumentType, document: str, at: int, pin: str | None
    ) -> dict[str, Any]:
        asked = {"document": document, "typ": kind.typ(self.renewal.realm), "at": at, "pin": pin}
        return await self.cards.ask(worker, {"operation": "sign", **asked})

    def _told(self, answer: dict[str, Any], *, kept: bool = False) -> dict[str, Any]:
        """Return what the page is told when the card has not signed."""
        state = {"pin_kept": self.renewal.pin_kept, "logged_in": False}
        if choices := answer.get("choose"):
            return {"choose": [certificate_row(base64.b64decode(der), self.cards.clock()) for der in choices], **state}
        reasons = [fault_refusal(name) for name in answer["faults"]]
        if kept and answer["faults"][0] == "pin_wrong":
            reasons[0] = refusal("C-232")
        return {"refusals": [refusal_json(reason) for reason in reasons], **state}

    # ---- the popup's line to the program: its end is the end of the renewal ----

    async def lines(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the looks at the readers while a card is to be chosen, and signs of life while none is."""
        renewal = self.renewal
        renewal.watched = True
        keeping_time = asyncio.create_task(self._keep_time())
        try:
            while renewal.step is not Step.ENDED:
                if self._choosing():
                    async with contextlib.aclosing(self.cards.looks()) as looks:
                        async for look in looks:
                            if not self._choosing():
                                break
                            yield {**look, **self._state()}
                else:
                    # A module that polls would see, and might end, the log-in of the other process.
                    yield self._state()
                    await asyncio.sleep(HEARTBEAT_SECONDS)
            yield self._state()
        finally:
            keeping_time.cancel()
            renewal.watched = False
            renewal.close()

    def _choosing(self) -> bool:
        renewal = self.renewal
        return renewal.step in (Step.OLD, Step.NEW) or (renewal.step is Step.CONFIRM and not renewal.logged_in)

    def _state(self) -> dict[str, Any]:
        renewal = self.renewal
        reason = renewal.ended_because
        return {
            "step": renewal.step,
            "pin_kept": renewal.pin_kept,
            "logged_in": renewal.logged_in,
            "refusals": [refusal_json(reason)] if reason else [],
        }

    async def _keep_time(self) -> None:
        while self.renewal.step is not Step.ENDED:
            self.renewal.tick(time.monotonic())
            await asyncio.sleep(HEARTBEAT_SECONDS)


def _read(encoded: str) -> CardCertificate:
    try:
        return read_certificate(base64.b64decode(encoded))
    except UnreadableCertificate:
        raise Refused(refusal("C-207")) from None
