"""`/healthz`: the process is alive. `/readyz`: it can do its work, or which part of it cannot. Both on every site.

They are answered before anything else: no session, no cookie, no host name or https asked for, for a monitor on the same
machine knows neither.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, InterfaceError, OperationalError, connection
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder
from django.http import HttpRequest, HttpResponse, JsonResponse

from irefuda.agencies.realm import refuse_wrong_realm
from irefuda.ledger import queries as ledger
from irefuda.ledger import witness
from irefuda.notices import queries as notices
from irefuda.ui import clock
from irefuda_core import note

LIMIT_SECONDS = 3.0
# Far beyond the outbox's own longest pause between two tries of everything.
STUCK_AFTER = timedelta(minutes=30)
OK = "ok"
log = logging.getLogger(__name__)


class Health:
    """Answer `/healthz` and `/readyz`; let every other address pass."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path_info == "/healthz":
            return HttpResponse("ok\n", content_type="text/plain; charset=utf-8", headers={"Cache-Control": "no-store"})
        if request.path_info == "/readyz":
            return _answer(readiness(LIMIT_SECONDS))
        return self.get_response(request)


def _answer(told: dict[str, str]) -> HttpResponse:
    ready = all(said in (OK, "unwatched") for said in told.values())
    if not ready:
        log.error("not ready: %s", ", ".join(f"{name} {said}" for name, said in told.items() if said != OK))
    return JsonResponse(
        {"ready": ready, "checks": told}, status=200 if ready else 503, headers={"Cache-Control": "no-store"}
    )


_one_at_a_time = concurrent.futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="readiness")
_guard = threading.Lock()
_running: list[concurrent.futures.Future[dict[str, str]]] = []


def readiness(limit: float) -> dict[str, str]:
    """Return what each check says, within `limit` seconds.

    A database that does not answer holds one thread, not one for every question: whoever asks meanwhile waits for the same.
    """
    with _guard:
        if not _running or _running[0].done():
            _running[:] = [_one_at_a_time.submit(_checked)]
        asked = _running[0]
    try:
        return asked.result(timeout=limit)
    except TimeoutError:
        return {"database": "no answer in time"}


def _checked() -> dict[str, str]:
    try:
        return checks()
    finally:
        # The thread lives as long as the process: it keeps no connection between two questions.
        connection.close()


def checks() -> dict[str, str]:
    """Return what each check says, asked on this thread's connection for as long as that takes."""
    now = clock.now()
    said: dict[str, str] = {}
    try:
        connection.ensure_connection()
        said["database"] = OK
        said["migrations"] = _migrations()
        if said["migrations"] != OK:
            return said
        said["realm"] = _realm()
        said["ledger_promise"] = "broken" if ledger.broken_promises(now) else OK
        said["ledger_continues"] = _continues()
        said["outbox"] = _outbox(now)
    except (OperationalError, InterfaceError):
        said["database"] = "away"
    except DatabaseError:
        said["database"] = "refused"
    return said


def _migrations() -> str:
    """Return ok when the database has every migration of this program; more than these is another release's business."""
    applied = set(MigrationRecorder(connection).applied_migrations())
    return OK if set(_known().disk_migrations) <= applied else "missing"


_loaded: list[MigrationLoader] = []


def _known() -> MigrationLoader:
    if not _loaded:
        _loaded.append(MigrationLoader(None))
    return _loaded[0]


def _realm() -> str:
    try:
        refuse_wrong_realm()
    except ImproperlyConfigured:
        return "another realm"
    return OK


def _continues() -> str:
    if not settings.LEDGER_WITNESS_FILE:
        return "unwatched"
    try:
        text = witness.kept()
        if text is not None:
            witness.refuse_loss(ledger.latest_checkpoint(), text=text)
    except witness.EntriesLost:
        return "lost"
    except note.NoteFailure:
        return "unreadable"
    return OK


def _outbox(now: datetime) -> str:
    return "stuck" if notices.is_waiting_since(now - STUCK_AFTER) else OK
