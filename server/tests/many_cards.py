"""As many registered cards as asked: one company's real rows, copied in the database with keys of their own."""

from __future__ import annotations

from datetime import datetime

from builders import City, changed, registered
from django.db import connection
from django.db.models import Model

from irefuda.notices.models import Notice, ReadMark
from irefuda.registration.models import Event, RegisteredCard, Registration
from irefuda.suppliers.models import Supplier

CARDS_OF_A_COMPANY = 2
# Every table that grows with the cards.
LARGE = (Supplier, Registration, RegisteredCard, Event, Notice, ReadMark)
# A fresh UUID, and as many hexadecimal digits as a SHA-256 has.
_FRESH = {
    "postgresql": ("gen_random_uuid()", "md5(random()::text) || md5(random()::text)"),
    "sqlite": ("lower(hex(randomblob(16)))", "lower(hex(randomblob(32)))"),
}


def fill(city: City, *, cards: int, now: datetime, first_number: int = 500_000_000) -> None:
    """Register so many cards beside one real one: two of each company, each with a 変更, and a mail that was read."""
    registered(city, real := city.authority.card(), now=now)
    changed(city, real, now=now, card_office_person="青森 次郎")
    event = Event.objects.select_related("card__registration").get(card__fingerprint=_fingerprint(city))
    card = event.card
    assert card is not None
    company = card.registration
    notice = Notice.objects.filter(inbox=card.fingerprint).order_by("queued_at", "id")[0]
    uuid, digits = _FRESH[connection.vendor]
    of_supplier = f"supplier_number BETWEEN '{first_number}' AND '{first_number + cards}'"
    _copy(
        Supplier,
        company.supplier_id,
        f"(WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {cards // CARDS_OF_A_COMPANY - 1})"
        " SELECT i FROM n) AS made",
        supplier_number=f"'' || ({first_number} + made.i)",
        name="'（株）多数商会' || made.i",
    )
    _copy(
        Registration,
        company.id,
        f"(SELECT id AS of FROM suppliers_supplier WHERE {of_supplier}) AS made",
        supplier_id="made.of",
    )
    of_company = (
        "(SELECT r.id AS of, n.i FROM registration_registration r JOIN suppliers_supplier s ON s.id = r.supplier_id"
        f" CROSS JOIN (SELECT 1 AS i UNION ALL SELECT 2) n WHERE s.{of_supplier}) AS made"
    )
    assert CARDS_OF_A_COMPANY == 2
    _copy(
        RegisteredCard,
        card.id,
        of_company,
        id=uuid,
        registration_id="made.of",
        fingerprint=digits,
        serial="'' || (7000000000000000 + 2 * made.of + made.i)",
        draft=uuid,
        ledger_entry=uuid,
    )
    of_card = (
        "(SELECT c.id AS of, c.fingerprint AS mark, c.registration_id AS company FROM registration_registeredcard c"
        " JOIN registration_registration r ON r.id = c.registration_id JOIN suppliers_supplier s ON s.id = r.supplier_id"
        f" WHERE s.{of_supplier}) AS made"
    )
    _copy(
        Event,
        event.id,
        of_card,
        id=uuid,
        card_id="made.of",
        registration_id="made.company",
        draft=uuid,
        ledger_entry=uuid,
    )
    _copy(Notice, notice.id, of_card, id=uuid, inbox="made.mark", message_id=f"'<' || {uuid} || '@copied.example.jp>'")
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO notices_readmark (notice_id, reader, read_at)"
            " SELECT id, inbox, queued_at FROM notices_notice n WHERE message_id LIKE '%@copied.example.jp>'"
            " AND NOT EXISTS (SELECT 1 FROM notices_readmark m WHERE m.notice_id = n.id)"
        )
        # As autovacuum would have done long ago.
        cursor.execute("ANALYZE")


def _fingerprint(city: City) -> str:
    return RegisteredCard.objects.filter(section=city.section).latest("registered_at").fingerprint


def _copy(model: type[Model], key: object, made: str, **own: str) -> None:
    """Insert a copy of this row for every row of `made`; `own` are the columns that are each copy's own."""
    meta = model._meta
    columns = [field.column for field in meta.concrete_fields if field.column in own or not field.primary_key]
    values = ", ".join(own.get(column, f'template."{column}"') for column in columns)
    names = ", ".join(f'"{column}"' for column in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{meta.db_table}" ({names}) SELECT {values} FROM "{meta.db_table}" template CROSS JOIN {made}'
            f' WHERE template."{meta.pk.column}" = %s',
            [meta.pk.get_db_prep_value(key, connection)],
        )
