"""Who acts on the contractors' site: the session's card, judged again at every act, and its registration."""

from __future__ import annotations

from datetime import datetime

from django.http import HttpRequest

from irefuda.agencies.models import Section
from irefuda.agencies.queries import office_state
from irefuda.cards import operations as cards
from irefuda.cards.auth import CardSession, client_address
from irefuda.registration import operations, queries
from irefuda.registration.models import RegisteredCard
from irefuda.registration.operations import Presenter
from irefuda.ui import clock
from irefuda_core.calendar import Closed
from irefuda_core.refusal import Refused, refusal

SAVED = "「{screen}」の画面で入力した内容は保存されています。"
NOT_SAVED = "いま送られた内容は保存されていません。"


def presenter(
    request: HttpRequest, *, now: datetime, saved: bool | None = None, screen: str = "利用者登録"
) -> Presenter:
    """Return who acts, after judging the session's certificate against today's revocations.

    `saved` says whether what this request brings into this screen outlives the refusal; None when it brings nothing typed.

    :raises Refused: T-301 without a session; K-4xx when the card is no longer good
    """
    session: CardSession | None = request.card_session  # type: ignore[attr-defined]
    if session is None:
        kept = bool(request.ended_card) if saved is None else saved  # type: ignore[attr-defined]
        lost = NOT_SAVED if saved is False and request.method == "POST" else ""
        raise Refused(refusal("T-301", kept=SAVED.format(screen=screen) if kept else lost))
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
    return active(queries.card_of(section=section, fingerprint=fingerprint))


def active(card: RegisteredCard | None) -> RegisteredCard:
    """Return the card if it is registered and in use.

    :raises Refused: with the reason why this card may not log in here
    """
    if card is None:
        raise Refused(refusal("R-120"))
    operations.refuse_unless_active(card.standing)
    return card


def require_registered(*, section: Section, fingerprint: str) -> None:
    """Let only a card with an active registration go on; asks for nothing but how it stands.

    :raises Refused: with the reason why this card may not log in here
    """
    standing = queries.card_standing(section=section, fingerprint=fingerprint)
    if standing is None:
        raise Refused(refusal("R-120"))
    operations.refuse_unless_active(standing)
