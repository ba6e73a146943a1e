"""What the other slices do with the ledger: write one deed down in its own transaction, and sign its receipt."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.transaction import TransactionManagementError

from irefuda.ledger import keys
from irefuda.ledger.models import Entry, Pending
from irefuda_core import receipt


def append(*, document: bytes, kind: str, at: datetime, salt: bytes) -> Entry:
    """Write the deed's document into the ledger, inside the caller's transaction.

    Only the two rows are inserted: no head, counter or lock is touched, so deeds never wait for each other here.

    :raises TransactionManagementError: outside a transaction, where entry and deed could part
    """
    if not transaction.get_connection().in_atomic_block:
        raise TransactionManagementError("a ledger entry belongs into the transaction of its deed")
    entry = Entry.objects.create(
        id=uuid.uuid4(),
        kind=kind,
        salt=salt,
        document=document,
        entry_hash=receipt.entry_hash(salt=salt, document=document).hex(),
        recorded_at=at,
    )
    Pending.objects.create(entry=entry)
    return entry


def receipt_for(entry: Entry) -> str:
    """Return the signed promise that this entry will be in the log within 60 seconds (compact JWS)."""
    return receipt.sign_receipt(
        receipt.Receipt(
            realm=settings.REALM,
            origin=settings.SUPPLIER_ORIGIN,
            log=keys.log_name(),
            entry_id=str(entry.id),
            entry_hash=bytes.fromhex(entry.entry_hash),
            received_at=entry.recorded_at,
            include_by=entry.recorded_at + receipt.PROMISE,
        ),
        keys.receipt_key(),
    )
