"""The parent's side of the card: one worker process per operation, one operation at a time, each with a time limit."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from irefuda_agent.faults import CODES
from irefuda_agent.settings import Module
from irefuda_core.certificate import CardCertificate, read_certificate, shown
from irefuda_core.refusal import Refusal, refusal

POLL_SECONDS = 0.7
LIST_LIMIT = 10.0
USE_LIMIT = 30.0
# Debug switches of card software that would write the PIN into a log file.
_NEVER_PASSED_ON = ("OPENSC_DEBUG", "PKCS11SPY", "PKCS11SPY_OUTPUT", "PYTHONDEVMODE")
_LINE_LIMIT = 1024 * 1024
# A certificate ends on the same day for everyone, whatever zone this computer is set to.
JST = timezone(timedelta(hours=9))


@dataclass(frozen=True, slots=True)
class CardChoice:
    """The card that the person chose, as the worker finds it again."""

    module: str
    slot_id: int
    token_serial: str
    fingerprint: str

    @property
    def named(self) -> dict[str, Any]:
        """Return how a request to the worker names it."""
        return {"slot_id": self.slot_id, "token_serial": self.token_serial, "fingerprint": self.fingerprint}


class Worker:
    """A worker process for one module."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._process: asyncio.subprocess.Process | None = None
        self.killed = False

    async def ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        """Return the worker's answer; a hang or a crash of the module is the answer `module_timeout` or `module_failed`."""
        try:
            stdin, stdout = await self._pipes()
            stdin.write(json.dumps({**request, "module": self.module.path}).encode() + b"\n")
            await stdin.drain()
            line = await asyncio.wait_for(stdout.readline(), limit)
            answer: dict[str, Any] = json.loads(line)
        except TimeoutError:
            await self.end()
            return {"faults": ["module_timeout"]}
        except (ValueError, OSError):
            await self.end()
            return {"faults": ["module_failed"]}
        return answer

    async def _pipes(self) -> tuple[asyncio.StreamWriter, asyncio.StreamReader]:
        if self.killed:
            raise OSError("this worker has been ended")
        if self._process is None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "irefuda_agent.worker",  # -P: not out of the folder that it was started in
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                env={name: value for name, value in os.environ.items() if name not in _NEVER_PASSED_ON},
                limit=_LINE_LIMIT,
            )  # fmt: skip
            if self.killed:  # while it was being started
                self.kill()
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        return stdin, stdout

    def kill(self) -> None:
        """End the process at once and for good, whatever it is doing; nobody waits for it."""
        self.killed = True
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()

    async def end(self) -> None:
        """End the process and wait for it."""
        process, self._process = self._process, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


class Cards:
    """The cards in the readers, through all modules of the settings."""

    def __init__(
        self,
        modules: Sequence[Module],
        *,
        clock: Callable[[], datetime],
        list_limit: float = LIST_LIMIT,
        use_limit: float = USE_LIMIT,
    ) -> None:
        self.modules = tuple(modules)
        self.clock = clock
        self.list_limit = list_limit
        self.use_limit = use_limit
        # PKCS#11 logs in a process, not a session: two operations at once would see each other's login.
        self._one_at_a_time = asyncio.Lock()
        self._listeners: set[asyncio.Queue[dict[str, Any]]] = set()
        self._polling: asyncio.Task[None] | None = None

    async def look(self) -> dict[str, Any]:
        """Return what is in the readers now, from workers that end with it."""
        workers = [Worker(module) for module in self.modules]
        try:
            return await self._listed(workers)
        finally:
            for worker in workers:
                await worker.end()

    async def readers(self) -> list[str] | None:
        """Return the readers that the operating system's service knows, or None when it does not answer."""
        worker = Worker(Module("", ""))
        try:
            names: list[str] | None = (await self._ask(worker, "readers")).get("readers")
        finally:
            await worker.end()
        return names

    async def held(self) -> tuple[list[dict[str, Any]], list[str]]:
        """Return every card as its worker tells it, with the path of its module, and the names of what is amiss."""
        workers = [Worker(module) for module in self.modules]
        cards: list[dict[str, Any]] = []
        faults: list[str] = []
        try:
            for worker in workers:
                answer = await self._ask(worker, "cards")
                cards += [{**card, "module": worker.module.path} for card in answer.get("cards", [])]
                faults += answer.get("faults", [])
            if not cards and not faults:
                faults.append(await self._why_none(workers))
        finally:
            for worker in workers:
                await worker.end()
        return cards, faults

    async def looks(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield what is in the readers, again and again; polling lives only while someone listens."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue(maxsize=1)
        self._listeners.add(queue)
        if self._polling is None:
            self._polling = asyncio.create_task(self._poll())
        try:
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)
            if not self._listeners and self._polling is not None:
                polling, self._polling = self._polling, None
                polling.cancel()
                # Waited for in a task of its own: this one may be on its way out by cancellation.
                await asyncio.shield(asyncio.gather(polling, return_exceptions=True))

    async def _poll(self) -> None:
        """Look at the readers with workers that never see a PIN, and tell every listener."""
        workers = [Worker(module) for module in self.modules]
        try:
            while True:
                try:
                    look = await self._listed(workers)
                except Exception:  # noqa: BLE001 -- whatever failed: a list that stands still would tell the person nothing
                    look = {"cards": [], "faults": [refusal_json(fault_refusal("module_failed"))]}
                for queue in self._listeners:
                    if queue.full():
                        queue.get_nowait()
                    queue.put_nowait(look)
                await asyncio.sleep(POLL_SECONDS)
        finally:
            for worker in workers:
                await worker.end()

    async def _listed(self, workers: Sequence[Worker]) -> dict[str, Any]:
        cards: list[dict[str, Any]] = []
        faults: list[dict[str, str]] = []
        for worker in workers:
            answer = await self._ask(worker, "cards")
            faults += [_fault_of(name, worker.module) for name in answer.get("faults", [])]
            for card in answer.get("cards", []):
                cards += _choices(card, worker.module, self.clock())
        if not cards and not faults:
            faults.append(refusal_json(fault_refusal(await self._why_none(workers))))
        # Modules list their slots in any order; a person looks for the same card at the same place.
        cards.sort(key=lambda card: (not card["choosable"], card["label"], card["reader"]))
        return {"cards": cards, "faults": faults}

    async def _why_none(self, workers: Sequence[Worker]) -> str:
        if not workers:
            return "module_missing"
        answer = await self._ask(workers[0], "readers")
        if "readers" not in answer:
            return "module_failed"
        if answer["readers"] is None:
            return "no_reader_service"
        return "no_card" if answer["readers"] else "no_reader"

    async def _ask(self, worker: Worker, operation: str) -> dict[str, Any]:
        async with self._one_at_a_time:
            return await worker.ask({"operation": operation}, self.list_limit)

    def worker_for(self, choice: CardChoice) -> Worker | None:
        """Return a worker for the chosen card's module; whoever takes it ends it."""
        module = next((m for m in self.modules if m.path == choice.module), None)
        return None if module is None else Worker(module)

    async def ask(self, worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
        """Return the answer of a worker that stays alive to a request that uses the card."""
        async with self._one_at_a_time:
            return await worker.ask(request, self.use_limit)

    async def use(self, choice: CardChoice, request: dict[str, Any]) -> dict[str, Any]:
        """Return the worker's answer to a request that needs the PIN; the worker ends with it."""
        worker = self.worker_for(choice)
        if worker is None:
            return {"faults": ["module_missing"]}
        try:
            return await self.ask(worker, {"operation": "use", **choice.named, **request})
        finally:
            await worker.end()


def _fault_of(name: str, module: Module) -> dict[str, str]:
    return {**refusal_json(fault_refusal(name)), "module": module.name}


def fault_refusal(name: str) -> Refusal:
    """Return the refusal of a name from the error contract."""
    return refusal(CODES[name])


def refusal_json(reason: Refusal) -> dict[str, str]:
    """Return a refusal as the page's script reads it."""
    return {"code": reason.code, "sentence": reason.sentence, "remedy": reason.remedy}


def _choices(card: dict[str, Any], module: Module, now: datetime) -> list[dict[str, Any]]:
    """Return one row per certificate of a card; a card that shows none before the PIN is one row of its own."""
    common = {
        "module": module.path,
        "slot_id": card["slot_id"],
        "token_serial": card["token_serial"],
        "reader": card["reader"],
        "label": card.get("label", ""),
        "few_tries": card["few_tries"],
        "final_try": card["final_try"],
        "locked": card["locked"],
    }
    if card.get("fault"):
        return [{**common, "fingerprint": "", "choosable": False, "note": _sentence(card["fault"])}]
    rows = [certificate_row(base64.b64decode(der), now) for der in card["certificates"]]
    if not rows:
        rows = [{"fingerprint": "", "choosable": True, "note": "証明書は、PIN番号を入力した後に読み取ります。"}]  # fmt: skip
    for row in rows:
        if card["locked"]:
            row |= {"choosable": False, "note": _sentence("pin_locked")}
    return [{**common, **row} for row in rows]


def certificate_row(der: bytes, now: datetime) -> dict[str, Any]:
    """Return a certificate as the page shows it; one that is not valid now is shown and cannot be chosen."""
    try:
        return _readable_row(read_certificate(der), now)
    except (ValueError, OverflowError):  # UnreadableCertificate is one; dates that no calendar has are others
        # This one only: the other certificates of the card, and the other cards, stay in the list.
        return {"fingerprint": "", "choosable": False, "note": _sentence("no_suitable_certificate")}


def _readable_row(certificate: CardCertificate, now: datetime) -> dict[str, Any]:
    note = _date_note(certificate, now)
    return {
        "fingerprint": certificate.fingerprint,
        "company_name": shown(certificate.company_name),
        "holder_name": shown(certificate.holder_name),
        "issuer": certificate.issuer_text,
        "serial": certificate.serial_text,
        "expires_on": f"{certificate.not_after.astimezone(JST):%Y/%m/%d}",
        "days_left": (certificate.not_after - now).days,
        "expired": now > certificate.not_after,
        "choosable": not note,
        "note": note,
    }


def _date_note(certificate: CardCertificate, now: datetime) -> str:
    if now > certificate.not_after:
        return _sentence("certificate_expired")
    if now < certificate.not_before:
        return _sentence("certificate_not_yet_valid")
    return ""


def _sentence(name: str) -> str:
    return fault_refusal(name).sentence
