"""The office of the tests: one member of staff for each role, their cards, and a browser on the staff's own site."""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from builders import make_authority, make_token, trust_authority
from pki_builder import Authority, Issued
from webtest import TestApp

from irefuda.agencies.models import Agency
from irefuda.cards import operations as cards
from irefuda.staff import auth, operations
from irefuda.staff.models import Role, StaffMember
from irefuda.staff.operations import Actor, Deed
from irefuda.ui import clock

ORIGIN = "http://staff.localhost:8001"
HOST = "staff.localhost:8001"


@dataclass
class Office:
    """The staff's authority, and who works here."""

    authority: Authority
    first: Issued
    agency: Agency | None = None

    def actor(self, card: Issued, now: datetime | None = None) -> Actor:
        """Return who acts with this card."""
        return auth.actor_from(der=card.der, address="192.0.2.1", now=now or clock.now())

    @property
    def chief(self) -> Actor:
        """The first administrator."""
        return self.actor(self.first)

    def deed(self, actor: Actor | None = None, *, reason: str = "異動のため", **values: Any) -> Deed:
        """Return a deed of this actor, of the first administrator by default."""
        return Deed(
            id=values.get("id", uuid.uuid4()),
            actor=actor or self.chief,
            reason=reason,
            at=values.get("at") or clock.now(),
            salt=secrets.token_bytes(16),
            seen=values.get("seen", ""),
        )

    def card(self, holder: str = "職員 新太", **options: Any) -> Issued:
        """Return a card of the city's own authority."""
        return self.authority.card(company="入札市", holder=holder, **options)

    def code_of(self, card: Issued, now: datetime | None = None) -> str:
        """Return the code that the holder of a presented card is shown."""
        now = now or clock.now()
        proven = cards.check_still_good(der=card.der, audience="staff", now=now)
        return operations.present_card(proven=proven, now=now, entropy=secrets.token_bytes(16)).code

    def let_in(self, *roles: Role, agency: Agency | None = None, name: str = "") -> tuple[Issued, StaffMember]:
        """Return card and entry of a new member with these roles."""
        name = name or "・".join(role.label for role in roles) or "役割 なし"
        card = self.card(holder=name)
        deed = self.deed()
        operations.add_member(
            deed=deed,
            member_id=deed.id,
            code=self.code_of(card),
            name=name,
            section="契約課",
            agency=agency,
            roles=dict.fromkeys(roles),
        )
        return card, StaffMember.objects.get(id=deed.id)


def make_office() -> Office:
    """Return an office with its first administrator."""
    authority = Authority(label="staff", at=clock.now().replace(microsecond=0))
    return open_office(authority)


def open_office(authority: Authority) -> Office:
    """Return an office whose cards this authority issues."""
    trust_authority(authority, audience="staff", name="入札市職員認証局")
    first = authority.card(company="入札市", holder="管理 一郎")
    deed = Deed(uuid.uuid4(), None, "最初の管理者の登録", clock.now(), secrets.token_bytes(16))
    operations.add_first_administrator(der=first.der, name="管理 一郎", section="総務課", recover=False, deed=deed)
    return Office(authority, first)


def on_staff_site(settings: Any) -> None:
    """Make this process the staff's, as IREFUDA_SITE=staff does."""
    settings.SITE, settings.ORIGIN, settings.STAFF_ORIGIN = "staff", ORIGIN, ORIGIN
    settings.ROOT_URLCONF = "irefuda.config.urls_staff"
    settings.ALLOWED_HOSTS, settings.CSRF_TRUSTED_ORIGINS = ["staff.localhost"], [ORIGIN]
    settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME = "irefuda-staff", "irefuda-staff-csrf"
    settings.BROWSER_COOKIE_NAME = "irefuda-staff-browser"
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "irefuda.staff.auth.OnlyStaffPages"]


def present(app: TestApp, card: Issued, address: str = "/login/") -> Any:
    """Press the card button of a page as the browser and the agent do."""
    page = app.get(address)
    form = next(form for form in page.forms.values() if "token" in form.fields)
    nonce = app.post("/card/nonce/", {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"].value}).json["nonce"]
    form["token"].force_value(make_token(card, nonce, origin=ORIGIN))
    return form.submit()


def supplier_card() -> tuple[Authority, Issued]:
    """Return a CA of the suppliers, which is trusted for them, and one of its cards."""
    authority = make_authority()
    trust_authority(authority)
    return authority, authority.card()
