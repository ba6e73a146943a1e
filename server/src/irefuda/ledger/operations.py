"""What the other slices do with the ledger: write one deed down in its own transaction, and sign its receipt."""

from __future__ import annotations

import uuid
from datetime import datetime

from django.conf import settings
from django.db import connection
from django.db.transaction import TransactionManagementError

from irefuda.ledger import keys
from irefuda.ledger.models import Entry
from irefuda_core import receipt

COLUMNS = ("id", "kind", "salt", "document", "entry_hash", "recorded_at")
INSERT_ENTRY = f"INSERT INTO ledger_entry ({', '.join(COLUMNS)}) VALUES (%s, %s, %s, %s, %s, %s)"  # noqa: S608 -- our own names
INSERT_PENDING = "INSERT INTO ledger_pending (entry_id) VALUES (%s)"


def append(*, document: bytes, kind: str, at: datetime, salt: bytes) -> Entry:
    """Write the deed's document into the ledger, inside the caller's transaction.

    Only the two rows are inserted: no head, counter or lock is touched, so deeds never wait for each other here.

    :raises TransactionManagementError: outside a transaction, where entry and deed could part
    """
    if not connection.in_atomic_block:
        raise TransactionManagementError("a ledger entry belongs into the transaction of its deed")
    entry = Entry(
        id=uuid.uuid4(),
        kind=kind,
        salt=salt,
        document=document,
        entry_hash=receipt.entry_hash(salt=salt, document=document).hex(),
        recorded_at=at,
    )
    fields = {field.attname: field for field in Entry._meta.concrete_fields}
    values = [fields[name].get_db_prep_save(getattr(entry, name), connection) for name in COLUMNS]
    with connection.cursor() as cursor:
        # Plain SQL: every deed pays for these two, and for Django to build them takes longer than to run them.
        cursor.execute(INSERT_ENTRY, values)
        cursor.execute(INSERT_PENDING, values[:1])
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
