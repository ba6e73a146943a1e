"""A process of eight writers that do the deed 登録, started and told by rows_ledger.py."""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
import threading
import uuid
from collections import deque
from typing import Any

import django

django.setup()

from django.db import connection  # noqa: E402 -- the settings come first

from irefuda.agencies import queries as agencies  # noqa: E402
from irefuda.cards import operations as cards  # noqa: E402
from irefuda.ledger import operations as ledger  # noqa: E402
from irefuda.ledger.models import Entry  # noqa: E402
from irefuda.registration import operations  # noqa: E402
from irefuda.ui import clock  # noqa: E402


class NoLedger:
    """Stands in for the ledger's operations where the same deed is measured without it."""

    @staticmethod
    def append(**_: Any) -> Entry:
        """Write nothing."""
        return Entry(id=uuid.uuid4())

    @staticmethod
    def receipt_for(_: Entry) -> str:
        """Promise nothing."""
        return "-"


def register(job: dict[str, str]) -> None:
    """Do one deed, as the view does it."""
    now = clock.now()
    section = agencies.section(agency_code="9992", category="1")
    proven = cards.check_still_good(der=base64.b64decode(job["certificate"]), audience="supplier", now=now)
    presenter = operations.Presenter(card=proven.card, demo=proven.demo, person_in_charge="係 太郎", address="10.0.0.1")
    operations.register_card(
        section=section,  # type: ignore[arg-type]
        presenter=presenter,
        draft_id=uuid.UUID(job["draft"]),
        jws=job["jws"],
        rules_now=now,
        now=now,
        salt=secrets.token_bytes(16),
    )


def work(jobs: deque[dict[str, str]], ready: threading.Barrier, done: threading.Barrier) -> None:
    """Do deeds until there are none left, on a connection that was open before."""
    connection.ensure_connection()
    ready.wait()
    while True:
        try:
            job = jobs.popleft()
        except IndexError:
            break
        register(job)
    done.wait()
    connection.close()


def die(failed: threading.ExceptHookArgs) -> None:
    """End the whole process when a deed fails: who waits for it learns of it at once."""
    sys.excepthook(failed.exc_type, failed.exc_value or failed.exc_type(), failed.exc_traceback)
    os._exit(1)


threading.excepthook = die
for line in sys.stdin:
    told = json.loads(line)
    operations.ledger = ledger if told["ledger"] else NoLedger  # type: ignore[assignment]
    ready, done = threading.Barrier(told["threads"] + 1), threading.Barrier(told["threads"] + 1)
    jobs = deque(told["jobs"])
    threads = [threading.Thread(target=work, args=(jobs, ready, done)) for _ in range(told["threads"])]
    for thread in threads:
        thread.start()
    print("ready", flush=True)
    sys.stdin.readline()
    ready.wait()
    done.wait()
    print("done", flush=True)
    for thread in threads:
        thread.join()
