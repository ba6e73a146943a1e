"""The table of staff pages: which page opens to whom. What is in no row of it does not exist on the staff's site."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import URLPattern, get_resolver, path, reverse

from irefuda.agencies import queries as agencies
from irefuda.cards import operations as cards
from irefuda.cards.auth import CardSession, client_address
from irefuda.ledger import queries as ledger
from irefuda.staff import queries
from irefuda.staff.models import Role
from irefuda.staff.operations import Actor
from irefuda.ui import clock
from irefuda.ui.pages import refusal_page
from irefuda_core.refusal import Refused, refusal

View = Callable[..., HttpResponseBase]
EVERY_ROLE = frozenset(Role)


@dataclass(frozen=True, slots=True)
class OpenPage:
    """A page of the staff's site that opens without login: the way in, and what belongs to it."""

    path: str
    view: View
    name: str


@dataclass(frozen=True, slots=True)
class StaffPage:
    """A page that opens to members who hold one of `roles`; to everybody else it is not there.

    The view is called with the request and the `Actor`. A path with `<agency:agency>` opens to that agency's staff and
    the whole installation's, and the view gets `agency=`, or `section=` when `<category:category>` follows.
    `whole` opens to the whole installation's staff only. A page with `menu` stands on the start page under that name,
    with `about` in a sentence and what `waiting` says of the work there ("" = nothing).
    """

    path: str
    view: View
    name: str
    roles: frozenset[Role]
    whole: bool = False
    menu: str = ""
    about: str = ""
    waiting: Callable[[Actor, datetime], str] | None = None

    def __post_init__(self) -> None:
        if not self.roles:
            raise ValueError(f"{self.name}: a staff page names the roles that it opens to")

    def opens_to(self, actor: Actor) -> bool:
        """Return whether one of the member's roles opens this page, apart from whose agency it is about."""
        return bool(self.roles & actor.roles) and not (self.whole and actor.agency is not None)


Page = OpenPage | StaffPage


def paths(table: Sequence[Page]) -> list[URLPattern]:
    """Return the addresses of the table, each behind its guard.

    :raises ValueError: when two rows have one name
    """
    if len({page.name for page in table}) != len(table):
        raise ValueError("two staff pages have one name")
    return [path(page.path, _guarded(page), name=page.name) for page in table]


def table() -> Iterator[Page]:
    """Yield the rows of the table that this process serves."""
    for pattern in get_resolver().url_patterns:
        page = getattr(pattern.callback, "staff_page", None)
        if isinstance(page, OpenPage | StaffPage):
            yield page


class OnlyStaffPages:
    """Answer 404 for every address that came into the URLconf past the table, and sound the alarm on every page."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, view: View, *arguments: object) -> None:
        """Let only guarded views go on.

        :raises Http404: for any other
        """
        if not isinstance(getattr(view, "staff_page", None), OpenPage | StaffPage):
            raise Http404
        # Read by the frame of every page: whoever works here is to see that the ledger does not keep its promise.
        request.broken_promises = len(ledger.broken_promises(clock.now()))  # type: ignore[attr-defined]


def _guarded(page: Page) -> View:
    @functools.wraps(page.view)
    def wrapped(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        try:
            if isinstance(page, OpenPage):
                return page.view(request, **kwargs)
            if request.card_session is None and request.method in ("GET", "HEAD"):  # type: ignore[attr-defined]
                return redirect("staff-login")
            actor = actor_of(request, now=clock.now())
            request.actor = actor  # type: ignore[attr-defined]
            if not page.opens_to(actor):
                raise Http404
            return page.view(request, actor, **_scoped(actor, kwargs))
        except Refused as refused:
            return _refused(request, refused)

    wrapped.staff_page = page  # type: ignore[attr-defined]
    return wrapped


def _refused(request: HttpRequest, refused: Refused) -> HttpResponse:
    if getattr(request, "actor", None) is None:
        url, label = reverse("staff-login"), "ログインの画面へ"
    else:
        url, label = reverse("staff-start"), "職員用トップページへ"
    return refusal_page(request, refused.refusals, back_url=url, back_label=label)


def _scoped(actor: Actor, kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return what the view gets for its address: the agency or section instead of their names.

    :raises Http404: for one that is not there, or not the actor's
    """
    if "agency" not in kwargs:
        return kwargs
    code = kwargs.pop("agency")
    if "category" in kwargs:
        section = agencies.section(agency_code=code, category=kwargs.pop("category"))
        if section is None or not actor.may_see(section.agency):
            raise Http404
        return {**kwargs, "section": section}
    agency = agencies.agency(code)
    if agency is None or not actor.may_see(agency):
        raise Http404
    return {**kwargs, "agency": agency}


def actor_of(request: HttpRequest, *, now: datetime) -> Actor:
    """Return who acts: the session's card is judged again, and so are membership and roles, at every act.

    :raises Refused: S-901 without a session, K-4xx for a card that is no longer good, S-902 for one that is no member's,
        S-903 without a living role
    """
    session: CardSession | None = request.card_session  # type: ignore[attr-defined]
    if session is None:
        raise Refused(refusal("S-901"))
    return actor_from(der=session.certificate, address=client_address(request), now=now)


def actor_from(*, der: bytes, address: str, now: datetime) -> Actor:
    """Return whom this certificate stands for.

    :raises Refused: as `actor_of`
    """
    proven = cards.check_still_good(der=der, audience="staff", now=now)
    kept = queries.card_of(proven.card.fingerprint)
    if kept is None:
        raise Refused(refusal("S-902"))
    roles = queries.roles_of(kept.member, on=queries.today(now))
    if not roles:
        raise Refused(refusal("S-903"))
    return Actor(
        member=kept.member,
        roles=roles,
        fingerprint=proven.card.fingerprint,
        expires_at=proven.card.not_after,
        address=address,
    )


def menu_of(actor: Actor, *, now: datetime) -> Iterable[tuple[StaffPage, str]]:
    """Yield the pages of the start page that open to this member, each with what waits there."""
    for page in table():
        if isinstance(page, StaffPage) and page.menu and page.opens_to(actor):
            yield page, page.waiting(actor, now) if page.waiting else ""


def opens(actor: Actor, name: str) -> bool:
    """Return whether the page of this name opens to the member: for links that others must not see."""
    return any(isinstance(page, StaffPage) and page.name == name and page.opens_to(actor) for page in table())
