"""The measured city: one section, as many suppliers as asked, a CA with 20,000 revoked cards, and cards that sign.

Needs Django to be set up. The test suite's builders make everything, so what is measured is what is tested.
"""

from __future__ import annotations

import itertools
import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import builders
from cryptography.hazmat.primitives.asymmetric import rsa
from django.db import connection
from pki_builder import Authority, Issued

from browser import Answer, Browser, form_with
from floor.models import Read
from irefuda.agencies.models import Section
from irefuda.registration.models import CardStatus, RegisteredCard, Registration
from irefuda.suppliers.models import Supplier
from irefuda.ui import clock
from irefuda_core import documents
from irefuda_core.certificate import CardCertificate, read_certificate

REVOKED = 20_000
FLOOR_ROWS = 10_000
# So many companies have a card before anything is measured.
REGISTERED = 500
TYP = documents.registration_application.typ("practice")
_addresses = (f"10.{a}.{b}.{c}" for a, b, c in itertools.product(range(256), range(256), range(1, 255)))


@dataclass(frozen=True, slots=True)
class Holder:
    """A company's person with a card."""

    supplier_number: str
    company: str
    card: Issued

    def token(self, nonce: str, *, origin: str) -> str:
        """Return the token that the card makes."""
        return builders.make_token(self.card, nonce, origin=origin, algorithm="RS256")


class City:
    """What the rows measure in."""

    def __init__(self, *, suppliers: int) -> None:
        self.authority = builders.make_authority()
        # Real cards have RSA-2048 keys. They share one here: making a key takes longer than everything that is measured.
        self.key = rsa.generate_private_key(65537, 2048)
        since = clock.now() - timedelta(days=30)
        self.crl = self.authority.crl(revoked={10**12 + serial: since for serial in range(REVOKED)})
        self.section: Section = builders.make_section()
        builders.trust_authority(self.authority, crl=self.crl)
        Supplier.objects.bulk_create(
            [
                Supplier(
                    section=self.section,
                    supplier_number=f"{place:09d}",
                    name=f"（株）計測商会{place:05d}",
                    representative_name="計測 太郎",
                    representative_title="代表取締役",
                    postal_code="030-0801",
                    address=f"青森市新町1-3-{place}",
                    phone="017-000-0000",
                    fax="017-000-0001",
                    qualifications={"物品の製造": "A", "物品の販売": "B"},
                )
                for place in range(suppliers)
            ],
            batch_size=2000,
        )
        Read.objects.bulk_create(
            [Read(number=f"{place:09d}", name=f"床 {place}") for place in range(FLOOR_ROWS)], batch_size=5000
        )
        self._places = iter(range(suppliers))
        # A city that is at work, not one in its first minute.
        self.register(self.holders(REGISTERED))
        with connection.cursor() as cursor:
            # As autovacuum would have done long ago: the tables with rows. It never looks at an empty one, whose plans
            # are made for the rows that will come; after an ANALYZE they would be made for none.
            for filled in (Supplier, Registration, RegisteredCard, Read):
                cursor.execute(f"ANALYZE {connection.ops.quote_name(filled._meta.db_table)}")

    def holders(self, count: int) -> list[Holder]:
        """Return holders of fresh cards, each of a company that no other holder is of."""
        return [self._holder(place) for place in itertools.islice(self._places, count)]

    def _holder(self, place: int) -> Holder:
        company = f"株式会社計測商会{place:05d}"
        return Holder(f"{place:09d}", company, self.authority.card(company=company, key=self.key))

    def read(self, holder: Holder) -> CardCertificate:
        """Return what the holder's card says."""
        return read_certificate(holder.card.der)

    def register(self, holders: list[Holder]) -> None:
        """Register these cards straight in the database: set-up for the rows that measure what comes after."""
        numbers = [holder.supplier_number for holder in holders]
        found = Supplier.objects.filter(section=self.section, supplier_number__in=numbers)
        rows = {row.supplier_number: row for row in found}
        now = clock.now()
        for holder in holders:
            card = self.read(holder)
            registration = Registration.objects.create(
                section=self.section,
                supplier=rows[holder.supplier_number],
                representative=builders.CONTACT,
                registered_at=now,
            )
            RegisteredCard.objects.create(
                id=uuid.uuid4(),
                registration=registration,
                section=self.section,
                issuer_key=card.issuer_key,
                serial=card.serial_text,
                fingerprint=card.fingerprint,
                certificate=card.der,
                holder_name=card.holder_name,
                expires_at=card.not_after,
                status=CardStatus.ACTIVE,
                office=builders.CONTACT,
                application="-",
                ledger_entry=uuid.uuid4(),
                receipt="-",
                draft=uuid.uuid4(),
                registered_at=now,
            )


class Visit:
    """One holder's way through the pages of 登録, page by page; every request is noted with its seconds."""

    def __init__(self, holder: Holder, *, port: int, after_each: Callable[[], None] = lambda: None) -> None:
        self.holder, self.port, self.after_each = holder, port, after_each
        self.origin = f"http://localhost:{port}"
        self.browser = Browser(port=port, address=next(_addresses))
        self.took: list[tuple[str, float]] = []

    def whole(self) -> None:
        """Go from the portal to the printed page."""
        for path in ("/", "/bidding/", "/sections/goods/", "/9992/goods/", "/9992/goods/registration/"):
            self._get(path)
        self.to_check()
        self._note("POST register", answer := self.browser.post(*self.last_step()))
        self._get(done := answer.location, "GET done")
        self._get(done.replace("/done/", "/print/"), "GET print")
        self.browser.close()

    def to_check(self) -> None:
        """Go from the menu to 「登録内容確認」, with what was answered last kept for the last step."""
        self._get("/9992/goods/registration/menu/")
        self._note("POST present", answer := self.browser.post(*self.proof()))
        self._get(answer.location)
        form = form_with(self.page, "supplier_number")
        form.fields |= {"supplier_number": self.holder.supplier_number, "name": self.holder.company}
        self._note("POST lookup", answer := self.browser.post(answer.location, form.fields))
        self._get(answer.location)
        form = form_with(self.page, "card_office-email")
        for prefix in ("rep", "card_office"):
            form.fields |= {f"{prefix}-{name}": value for name, value in builders.CONTACT.items()}
            form.fields[f"{prefix}-email_again"] = builders.CONTACT["email"]
        self._note("POST contacts", answer := self.browser.post(answer.location, form.fields))
        self._get(answer.location)

    def log_in(self) -> None:
        """Log in with a card that is registered, from the page with the button to 「トップページ」."""
        self._get("/9992/goods/login/")
        self._note("POST login", answer := self.browser.post(*self.proof("/9992/goods/login/")))
        self._get(answer.location)

    def proof(self, path: str = "") -> tuple[str, dict[str, str]]:
        """Return address and fields of the token POST of the page that is open, after asking for the nonce."""
        form = form_with(self.page, "token")
        answer = self.browser.post("/card/nonce/", {"csrfmiddlewaretoken": form.fields["csrfmiddlewaretoken"]})
        self._note("POST nonce", answer)
        form.fields["token"] = self.holder.token(json.loads(answer.body)["nonce"], origin=self.origin)
        form.fields["person_in_charge"] = "係 太郎"
        return form.action or path, form.fields

    def last_step(self) -> tuple[str, dict[str, str]]:
        """Return address and fields of the POST that registers."""
        form = form_with(self.page, "jws")
        form.fields["jws"] = builders.sign_document(self.holder.card, form.fields["document"], TYP, algorithm="RS256")
        return form.action, form.fields

    def open(self, path: str) -> None:
        """Open a page."""
        self._get(path)

    def _get(self, path: str, name: str = "") -> None:
        answer = self.browser.get(path)
        self._note(name or f"GET {path}", answer)
        self.page = answer.text

    def _note(self, step: str, answer: Answer) -> None:
        if answer.status not in (200, 302):
            raise RuntimeError(f"{step}: {answer.status}\n{answer.text}")
        self.took.append((step, answer.seconds))
        self.after_each()


def floor_requests(count: int, *, port: int, start: Iterator[int] = itertools.count()) -> list[bytes]:  # noqa: B008
    """Return floor requests, each for another row."""
    browser = Browser(port=port, address="10.255.0.1")
    return [browser.request("POST", "/floor/", {"number": f"{next(start) % FLOOR_ROWS:09d}"}) for _ in range(count)]


def authority_and_card(key: Any) -> tuple[Authority, Issued]:
    """Return a CA and a card of it, without a database."""
    authority = builders.make_authority()
    return authority, authority.card(key=key)
