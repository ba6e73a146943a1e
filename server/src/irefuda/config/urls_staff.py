"""The staff's site: which page opens to which role. This table is complete: what is not in it cannot be reached.

A row is `StaffPage(path, view, name, roles, …)`, or `OpenPage` for the few that need no login; see `staff/auth.py`.
"""

from irefuda.agencies import urls as _converters  # noqa: F401 -- registers <agency:…> and <category:…>
from irefuda.cards import views as card_views
from irefuda.staff.auth import EVERY_ROLE, OpenPage, Page, StaffPage, paths
from irefuda.staff.models import Role
from irefuda.staff.staff_views import members, way_in

ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
LOOKS_AT_STAFF = ADMINISTRATOR | {Role.AUDITOR}
MEMBER = "members/<uuid:member_id>/"

TABLE: list[Page] = [
    # -- the way in
    OpenPage("login/", way_in.log_in, "staff-login"),
    OpenPage("enrol/", way_in.enrol, "staff-enrol"),
    OpenPage("logout/", way_in.log_out, "logout"),
    OpenPage("card/nonce/", card_views.nonce, "card-nonce"),
    OpenPage("session/extend/", card_views.extend, "session-extend"),
    OpenPage("practice/cards/", way_in.practice_cards, "practice-cards"),
    StaffPage("", way_in.start, "staff-start", EVERY_ROLE),
    # -- 職員の管理
    StaffPage("members/", members.members, "staff-members", LOOKS_AT_STAFF, menu="職員の管理"),
    StaffPage("members/add/", members.add_member, "staff-member-add", ADMINISTRATOR),
    StaffPage(MEMBER, members.member, "staff-member", LOOKS_AT_STAFF),
    StaffPage(MEMBER + "change/", members.change_member, "staff-member-change", ADMINISTRATOR),
    StaffPage(MEMBER + "roles/", members.change_roles, "staff-member-roles", ADMINISTRATOR),
    StaffPage(MEMBER + "card/", members.add_card, "staff-member-card", ADMINISTRATOR),
    StaffPage(MEMBER + "end/", members.end_member, "staff-member-end", ADMINISTRATOR),
]

urlpatterns = paths(TABLE)

handler400 = "irefuda.ui.pages.bad_request"
handler500 = "irefuda.ui.pages.server_error"
