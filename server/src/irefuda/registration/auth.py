"""The session of a browser that has proven a card: who it is, how long it lasts, and when it is judged again."""

from __future__ import annotations

import base64
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from irefuda.agencies.models import Section
from irefuda.agencies.queries import office_state
from irefuda.cards import operations as cards
from irefuda.cards.operations import ProvenCard
from irefuda.registration import queries
from irefuda.registration.models import CardStatus, RegisteredCard
from irefuda.registration.operations import Presenter
from irefuda.ui import clock
from irefuda_core.calendar import Closed
from irefuda_core.refusal import Refused, refusal

WRITE_EVERY = timedelta(minutes=1)
# How long a browser whose session is over may still save what it has on the screen.
TYPING_ON = timedelta(hours=12)
SAVED = "「利用者登録」の画面で入力した内容は保存されています。"
NOT_SAVED = "いま送られた内容は保存されていません。"


@dataclass(frozen=True, slots=True)
class CardSession:
    """What the session knows of the card: enough to judge it again at every act."""

    certificate: bytes
    fingerprint: str
    person_in_charge: str
    seen_at: datetime

    @property
    def ends_at(self) -> datetime:
        return self.seen_at + timedelta(seconds=settings.SESSION_IDLE_SECONDS)


class CardSessions:
    """Set `request.card_session`; end it after 30 idle minutes; write its row at most once a minute."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        request.ended_card = ""  # type: ignore[attr-defined]
        request.card_session = self._read(request)  # type: ignore[attr-defined]
        return self.get_response(request)

    def _read(self, request: HttpRequest) -> CardSession | None:
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return None
        if "card" not in request.session:
            request.ended_card = _ended_card(request)  # type: ignore[attr-defined]
            return None
        kept, now = request.session["card"], clock.now()
        session = CardSession(
            certificate=base64.b64decode(kept["certificate"]),
            fingerprint=kept["fingerprint"],
            person_in_charge=kept["person_in_charge"],
            seen_at=datetime.fromisoformat(kept["seen_at"]),
        )
        if session.ends_at <= now:
            # Under the same key: another tab may be sending its form in this very moment.
            request.session.clear()
            request.session["ended_card"] = {
                "fingerprint": session.fingerprint,
                "until": (now + TYPING_ON).isoformat(),
            }
            request.ended_card = session.fingerprint  # type: ignore[attr-defined]
            return None
        if now - session.seen_at >= WRITE_EVERY:
            touch(request, now=now)
            return replace(session, seen_at=now)
        return session


def _ended_card(request: HttpRequest) -> str:
    """Return the fingerprint of the card whose session ended here within twelve hours, or "".

    Good for nothing but saving typed text into that card's own draft.
    """
    ended = request.session.get("ended_card")
    if ended is None:
        return ""
    if datetime.fromisoformat(ended["until"]) <= clock.now():
        request.session.flush()
        return ""
    return str(ended["fingerprint"])


def touch(request: HttpRequest, *, now: datetime) -> None:
    """Count the idle minutes from now on."""
    request.session["card"] = {**request.session["card"], "seen_at": now.isoformat()}


def begin(request: HttpRequest, proven: ProvenCard, *, person_in_charge: str, now: datetime) -> None:
    """Give the browser a session of this card under a new key; another card's session ends, with all it held."""
    kept = request.session.get("card") if settings.SESSION_COOKIE_NAME in request.COOKIES else None
    if kept is None or kept["fingerprint"] != proven.card.fingerprint:
        request.session.flush()
    else:
        request.session.cycle_key()
    request.session["card"] = {
        "certificate": base64.b64encode(proven.card.der).decode(),
        "fingerprint": proven.card.fingerprint,
        "person_in_charge": person_in_charge,
        "seen_at": now.isoformat(),
    }


def presenter(request: HttpRequest, *, now: datetime, saved: bool | None = None) -> Presenter:
    """Return who acts, after judging the session's certificate against today's revocations.

    `saved` says whether what this request brings outlives the refusal; None when it brings nothing typed.

    :raises Refused: T-301 without a session; K-4xx when the card is no longer good
    """
    session: CardSession | None = request.card_session  # type: ignore[attr-defined]
    if session is None:
        kept = bool(request.ended_card) if saved is None else saved  # type: ignore[attr-defined]
        lost = NOT_SAVED if saved is False and request.method == "POST" else ""
        raise Refused(refusal("T-301", kept=SAVED if kept else lost))
    proven = cards.check_still_good(der=session.certificate, audience="supplier", now=now)
    return Presenter(
        card=proven.card,
        demo=proven.demo,
        person_in_charge=session.person_in_charge,
        address=client_address(request),
    )


def typing_card(request: HttpRequest) -> str:
    """Return the fingerprint of whose draft this request types into, or "": the session's card, even if it has ended."""
    session: CardSession | None = request.card_session  # type: ignore[attr-defined]
    return session.fingerprint if session else str(request.ended_card)  # type: ignore[attr-defined]


def client_address(request: HttpRequest) -> str:
    """Return the address that tries are counted against: the peer's, unless the peer is a configured proxy.

    Then it is the last address of the header that is not itself a proxy of ours: whatever stands before it, or in place
    of an address, was written by somebody whom nobody vouches for.
    """
    peer = _address(request.META.get("REMOTE_ADDR", ""))
    if not _is_proxy_of_ours(peer):
        return peer
    for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
        address = _address(hop)
        if not _is_proxy_of_ours(address):
            return address or peer
    return peer


def _is_proxy_of_ours(address: str) -> bool:
    if not (address and settings.TRUSTED_PROXIES):
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed in network for network in settings.TRUSTED_PROXIES)


def _address(written: str) -> str:
    """Return an address in its one spelling, IPv4 also where it came inside IPv6, or "" for what is none."""
    try:
        parsed = ipaddress.ip_address(written.strip())
    except ValueError:
        return ""
    if isinstance(parsed, ipaddress.IPv6Address):
        # Without the zone: it names an interface of ours, not a place of theirs.
        return str(parsed.ipv4_mapped or ipaddress.IPv6Address(int(parsed)))
    return str(parsed)


def require_open(section: Section, *, rules_now: datetime) -> None:
    """Let the act go on only within the agency's hours, by the server's clock.

    :raises Refused: T-302 with the next opening
    """
    state = office_state(section.agency, now=rules_now)
    if isinstance(state, Closed):
        opens = state.opens_next_at.astimezone(clock.JST)
        raise Refused(refusal("T-302", opens=f"{opens.year}年{opens.month}月{opens.day}日{opens:%H時%M分}"))


def registered_card(*, section: Section, fingerprint: str) -> RegisteredCard:
    """Return the active registration of this card.

    :raises Refused: with the reason why this card may not log in here
    """
    card = queries.card_of(section=section, fingerprint=fingerprint)
    if card is None:
        raise Refused(refusal("R-120"))
    _refuse_unless_active(card.status)
    return card


def require_registered(*, section: Section, fingerprint: str) -> None:
    """Let only a card with an active registration go on; asks for nothing but its status.

    :raises Refused: with the reason why this card may not log in here
    """
    status = queries.card_status(section=section, fingerprint=fingerprint)
    if status is None:
        raise Refused(refusal("R-120"))
    _refuse_unless_active(status)


def _refuse_unless_active(status: str) -> None:
    if status == CardStatus.PROVISIONAL:
        raise Refused(refusal("R-118"))
    if status == CardStatus.REPLACED:
        raise Refused(refusal("R-121"))
    if status == CardStatus.CLOSED:
        raise Refused(refusal("R-122"))
