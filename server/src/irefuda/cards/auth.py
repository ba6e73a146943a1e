"""The session of a browser that has proven a card: which card, for which site, how long it lasts, and whence it comes."""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from irefuda.cards.operations import ProvenCard
from irefuda.ui import beforehand, clock

WRITE_EVERY = timedelta(minutes=1)
# However busy somebody is, the card is asked for again after this time.
LONGEST = timedelta(hours=12)
# How long a browser whose session is over may still save what it has on the screen.
TYPING_ON = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class CardSession:
    """What the session knows of the card: enough to judge it again at every act."""

    certificate: bytes
    fingerprint: str
    person_in_charge: str
    begun_at: datetime
    seen_at: datetime

    @property
    def ends_at(self) -> datetime:
        return min(self.seen_at + timedelta(seconds=settings.SESSION_IDLE_SECONDS), self.begun_at + LONGEST)


class CardSessions:
    """Set `request.card_session`; end it after 30 idle minutes or 12 hours; write its row at most once a minute."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        with beforehand.request():
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
        if kept.get("site") != settings.SITE or "begun_at" not in kept:
            # All sites keep their sessions in one table: a key that was carried over from another one opens nothing, nor
            # does a session from before the sites were told apart, or before a session had a beginning.
            return None
        session = CardSession(
            certificate=base64.b64decode(kept["certificate"]),
            fingerprint=kept["fingerprint"],
            person_in_charge=kept["person_in_charge"],
            begun_at=datetime.fromisoformat(kept["begun_at"]),
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
        # What was seen in the future was seen by a clock that has been set back since: it must not last the longer for it.
        if not timedelta(0) <= now - session.seen_at < WRITE_EVERY:
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
    if kept is None or (kept["fingerprint"], kept.get("site")) != (proven.card.fingerprint, settings.SITE):
        request.session.flush()
    else:
        request.session.cycle_key()
    request.session["card"] = {
        "site": settings.SITE,
        "certificate": base64.b64encode(proven.card.der).decode(),
        "fingerprint": proven.card.fingerprint,
        "person_in_charge": person_in_charge,
        "begun_at": now.isoformat(),
        "seen_at": now.isoformat(),
    }


_BROWSER = re.compile(r"[A-Za-z0-9_-]{43}")


def browser_of(request: HttpRequest) -> str:
    """Return the name of this browser: that of its cookie, or a new one, which `remember_browser` hands to it.

    It is not the session: that begins only with a card.
    """
    browser = request.COOKIES.get(settings.BROWSER_COOKIE_NAME, "")
    return browser if _BROWSER.fullmatch(browser) else secrets.token_urlsafe(32)


def remember_browser(request: HttpRequest, response: HttpResponse, browser: str) -> None:
    """Hand the name to the browser, unless it has it already."""
    if request.COOKIES.get(settings.BROWSER_COOKIE_NAME) != browser:
        response.set_cookie(
            settings.BROWSER_COOKIE_NAME, browser, secure=settings.SECURE_ORIGIN, httponly=True, samesite="Lax"
        )


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


def is_peer_our_proxy(request: HttpRequest) -> bool:
    """Return whether the request came through a configured proxy, whose own headers may be believed."""
    return _is_proxy_of_ours(_address(request.META.get("REMOTE_ADDR", "")))


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
