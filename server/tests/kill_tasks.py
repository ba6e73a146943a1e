"""The work that `killing.Victims` kills."""

from __future__ import annotations

import base64
import uuid
from datetime import datetime
from pathlib import Path

from django.core.management import call_command
from django.db import transaction

from irefuda.agencies.models import Installation, Section
from irefuda.cards import operations as cards
from irefuda.ledger import handover
from irefuda.notices import delivery, operations
from irefuda.registration import card_notices, changes, queries, register, renewals
from irefuda.registration import operations as registration
from irefuda.staff import auth
from irefuda.staff.operations import Deed
from irefuda.suppliers import imports
from irefuda.suppliers.models import RegisterImport
from irefuda.ui.stopping import StopRequest


def send_notices(now: str) -> None:
    moment = datetime.fromisoformat(now)
    delivery.Outbox(worker="victim", clock=lambda: moment, stop=StopRequest()).run(once=True)


def rotate_key(which: str, now: str) -> None:
    handover.rotate(which, reason="定期の交代", now=datetime.fromisoformat(now))


def succeed_log(lost: str, now: str) -> None:
    handover.succeed(lost, reason="復元で失われたため", now=datetime.fromisoformat(now))


def deed_with_notice(now: str) -> None:
    """Do a deed of the smallest kind and queue the notice that tells of it."""
    with transaction.atomic():
        Installation.objects.update(clock_offset_seconds=3600)
        operations.enqueue(
            kind="k",
            to="keiri@example.jp",
            subject="s",
            body="b",
            at=datetime.fromisoformat(now),
            sender="nyusatsu@city.example.jp",
        )


def read_bounces(maildir: str) -> None:
    call_command("read_bounces", Path(maildir), verbosity=0, stdout=(Path(maildir) / "words").open("w"))


def sequence_ledger() -> None:
    call_command("sequence_ledger", once=True)


def warn_of_expiry(now: str) -> None:
    card_notices.warn_of_expiry(now=datetime.fromisoformat(now))


def register_card(section: int, certificate: str, draft: str, jws: str, now: str) -> None:
    presenter = registration.Presenter(cards.read(base64.b64decode(certificate)), False, "係 太郎")
    registration.register_card(
        section=Section.objects.select_related("agency").get(id=section),
        presenter=presenter,
        draft_id=uuid.UUID(draft),
        jws=jws,
        rules_now=datetime.fromisoformat(now),
        now=datetime.fromisoformat(now),
        salt=bytes(16),
    )


def renew_card(section: int, renewal: str, browser: str, jws: str, now: str, salt: str) -> None:
    renewals.renew_card(
        section=Section.objects.select_related("agency").get(id=section),
        renewal_id=uuid.UUID(renewal),
        browser=browser,
        jws_text=jws,
        now=datetime.fromisoformat(now),
        salt=bytes.fromhex(salt),
    )


def change_registration(section: int, certificate: str, draft: str, jws: str, now: str) -> None:
    changes.change_registration(
        section=Section.objects.select_related("agency").get(id=section),
        presenter=registration.Presenter(cards.read(base64.b64decode(certificate)), False, "係 太郎"),
        draft_id=uuid.UUID(draft),
        jws=jws,
        now=datetime.fromisoformat(now),
        salt=bytes(16),
        codes=("111111", "222222"),
    )


def verify_address(section: int, certificate: str, address: str, code: str, now: str) -> None:
    presenter = registration.Presenter(cards.read(base64.b64decode(certificate)), False, "係 太郎")
    found = queries.card_of(
        section=Section.objects.select_related("agency").get(id=section), fingerprint=presenter.card.fingerprint
    )
    assert found is not None
    moment = datetime.fromisoformat(now)
    changes.verify_address(card=found, presenter=presenter, address=address, code=code, now=moment)


def bring_register(section: int, path: str, import_id: str, now: str) -> None:
    imports.bring(
        section=Section.objects.select_related("agency").get(id=section),
        import_id=uuid.UUID(import_id),
        path=Path(path),
        file_name=Path(path).name,
        sheet="",
        by="契約 花子",
        asking=register.ASKING,
        now=datetime.fromisoformat(now),
    )


def take_register(brought: str, certificate: str, deed: str, now: str) -> None:
    moment = datetime.fromisoformat(now)
    actor = auth.actor_from(der=base64.b64decode(certificate), address="192.0.2.1", now=moment)
    register.take_import(
        deed=Deed(uuid.UUID(deed), actor, "月初の名簿", moment, bytes(16)),
        brought=RegisterImport.objects.select_related("section__agency").get(id=brought),
    )
