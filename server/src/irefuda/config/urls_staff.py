"""The staff's site: which page opens to which role. This table is complete: what is not in it cannot be reached.

A row is `StaffPage(path, view, name, roles, …)`, or `OpenPage` for the few that need no login; see `staff/auth.py`.
"""

from irefuda.agencies import urls as _converters  # noqa: F401 -- registers <agency:…> and <category:…>
from irefuda.cards import views as card_views
from irefuda.registration import queries as registration
from irefuda.staff import trust
from irefuda.staff.auth import EVERY_ROLE, OpenPage, Page, StaffPage, paths
from irefuda.staff.models import Role
from irefuda.staff.staff_views import members, oversight, settings, way_in

ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
LOOKS_AT_STAFF = ADMINISTRATOR | {Role.AUDITOR}
SETS_AGENCIES = frozenset({Role.CONTRACTS, Role.ADMINISTRATOR})
LOOKS_AT_AGENCIES = SETS_AGENCIES | {Role.HELPDESK, Role.AUDITOR}
AUDITOR = frozenset({Role.AUDITOR})
AGENCY = "agencies/<agency:agency>/"
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
    StaffPage(
        "members/",
        members.members,
        "staff-members",
        LOOKS_AT_STAFF,
        menu="職員の管理",
        about="職員のICカード、役割と期限",
    ),
    StaffPage("members/add/", members.add_member, "staff-member-add", ADMINISTRATOR),
    StaffPage(MEMBER, members.member, "staff-member", LOOKS_AT_STAFF),
    StaffPage(MEMBER + "change/", members.change_member, "staff-member-change", ADMINISTRATOR),
    StaffPage(MEMBER + "roles/", members.change_roles, "staff-member-roles", ADMINISTRATOR),
    StaffPage(MEMBER + "card/", members.add_card, "staff-member-card", ADMINISTRATOR),
    StaffPage(MEMBER + "end/", members.end_member, "staff-member-end", ADMINISTRATOR),
    # -- 調達機関の設定
    StaffPage(
        "agencies/",
        settings.choose,
        "staff-agencies",
        LOOKS_AT_AGENCIES,
        menu="調達機関の設定",
        about="案内、運用時間、臨時休止日、利用者登録の扱い",
    ),
    StaffPage(AGENCY, settings.agency, "staff-agency", LOOKS_AT_AGENCIES),
    StaffPage(AGENCY + "texts/", settings.texts, "staff-agency-texts", SETS_AGENCIES),
    StaffPage(AGENCY + "hours/", settings.hours, "staff-agency-hours", SETS_AGENCIES),
    StaffPage(AGENCY + "policy/", settings.policy, "staff-agency-policy", SETS_AGENCIES),
    StaffPage(AGENCY + "closures/", settings.close_day, "staff-agency-close", SETS_AGENCIES),
    StaffPage(AGENCY + "closures/<int:closure_id>/", settings.reopen_day, "staff-agency-reopen", SETS_AGENCIES),
    # -- 認証局と失効リスト, 監査
    StaffPage(
        "trust/",
        oversight.trust_store([registration.cards_per_issuer]),
        "staff-trust",
        LOOKS_AT_AGENCIES,
        menu="認証局と失効リスト",
        about="使えるICカードの認証局と、失効リストの新しさ",
        waiting=lambda actor, now: trust.alarm(now),
    ),
    StaffPage(
        "audit/",
        oversight.search,
        "staff-audit",
        AUDITOR,
        whole=True,
        menu="監査",
        about="台帳の検索、連続の証明、持ち出し",
    ),
    StaffPage("audit/entries/<uuid:entry_id>/", oversight.entry, "staff-audit-entry", AUDITOR, whole=True),
    StaffPage("audit/consistency/", oversight.consistency, "staff-audit-consistency", AUDITOR, whole=True),
    StaffPage("audit/export/", oversight.export, "staff-audit-export", AUDITOR, whole=True),
]

urlpatterns = paths(TABLE)

handler400 = "irefuda.ui.pages.bad_request"
handler500 = "irefuda.ui.pages.server_error"
