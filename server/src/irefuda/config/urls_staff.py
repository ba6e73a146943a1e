"""The staff's site: which page opens to which role. This table is complete: what is not in it cannot be reached.

A row is `StaffPage(path, view, name, roles, …)`, or `OpenPage` for the few that need no login; see `staff/auth.py`.
"""

from irefuda.agencies import urls as _converters  # noqa: F401 -- registers <agency:…> and <category:…>
from irefuda.cards import views as card_views
from irefuda.disclosure import staff_views as announcing
from irefuda.registration import queries as registration
from irefuda.registration.staff_views import register, register_imports, registrations, reports
from irefuda.staff import trust
from irefuda.staff.auth import EVERY_ROLE, OpenPage, Page, StaffPage, paths
from irefuda.staff.models import Role
from irefuda.staff.staff_views import members, oversight, settings, way_in

ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
LOOKS_AT_STAFF = ADMINISTRATOR | {Role.AUDITOR}
SETS_AGENCIES = frozenset({Role.CONTRACTS, Role.ADMINISTRATOR})
LOOKS_AT_AGENCIES = SETS_AGENCIES | {Role.HELPDESK, Role.AUDITOR}
AUDITOR = frozenset({Role.AUDITOR})
PUBLISHES = frozenset({Role.CONTRACTS})
ANNOUNCEMENT = "announcements/<uuid:announcement_id>/"
AGENCY = "agencies/<agency:agency>/"
MEMBER = "members/<uuid:member_id>/"
KEEPS_REGISTER = frozenset({Role.CONTRACTS})
READS_REPORTS = KEEPS_REGISTER | {Role.AUDITOR}
LOOKS_AT_REGISTER = READS_REPORTS | {Role.HELPDESK}
REGISTER = "register/<agency:agency>/<category:category>/"
REPORT = REGISTER + "reports/<uuid:import_id>/"
COMPANY = REGISTER + "suppliers/<str:supplier_number>/"
DECIDES = frozenset({Role.CONTRACTS})
# What tells of people is not ヘルプデスク's.
READS_APPLICATIONS = DECIDES | {Role.AUDITOR}
LOOKS_AT_REGISTRATIONS = READS_APPLICATIONS | {Role.HELPDESK}
REGISTRATIONS = "registrations/<agency:agency>/<category:category>/"
REGISTRATION = REGISTRATIONS + "<int:number>/"
CARD = REGISTRATIONS + "cards/<uuid:card_id>/"
REVIEW = "review/<agency:agency>/<category:category>/<uuid:card_id>/"

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
    # -- 登録業者名簿
    StaffPage(
        "register/",
        register.choose,
        "staff-register",
        LOOKS_AT_REGISTER,
        menu="登録業者名簿",
        about="会社を探す、変更届、指名停止、資格の終了、ファイルの取り込み",
        waiting=register.waiting,
    ),
    StaffPage(REGISTER, register.search, "staff-register-section", LOOKS_AT_REGISTER),
    StaffPage(REGISTER + "touched/", register.touched, "staff-register-touched", LOOKS_AT_REGISTER),
    StaffPage(REGISTER + "add/", register.add, "staff-register-add", KEEPS_REGISTER),
    StaffPage(REGISTER + "import/", register_imports.bring, "staff-register-bring", KEEPS_REGISTER),
    StaffPage(REGISTER + "import/<uuid:import_id>/", register_imports.show, "staff-register-import", KEEPS_REGISTER),
    StaffPage(REGISTER + "reports/", register_imports.reports, "staff-register-imports", READS_REPORTS),
    StaffPage(REPORT, register_imports.report, "staff-register-report", READS_REPORTS),
    StaffPage(REPORT + "csv/", register_imports.report_csv, "staff-register-report-csv", READS_REPORTS),
    StaffPage(COMPANY, register.supplier, "staff-register-supplier", LOOKS_AT_REGISTER),
    StaffPage(COMPANY + "change/", register.change_entry, "staff-register-change", KEEPS_REGISTER),
    StaffPage(COMPANY + "suspend/", register.suspend, "staff-register-suspend", KEEPS_REGISTER),
    StaffPage(COMPANY + "lift/", register.lift, "staff-register-lift", KEEPS_REGISTER),
    StaffPage(COMPANY + "login/", register.set_login, "staff-register-login", KEEPS_REGISTER),
    StaffPage(COMPANY + "end/", register.end, "staff-register-end", KEEPS_REGISTER),
    StaffPage(COMPANY + "restore/", register.restore, "staff-register-restore", KEEPS_REGISTER),
    StaffPage(COMPANY + "settle/", register.settle, "staff-register-settle", KEEPS_REGISTER),
    # -- 利用者登録と確認待ち
    StaffPage(
        "registrations/",
        registrations.choose,
        "staff-registrations",
        LOOKS_AT_REGISTRATIONS,
        menu="利用者登録",
        about="登録された企業とICカードを探す、使用停止、利用停止",
    ),
    StaffPage(REGISTRATIONS, registrations.search, "staff-registrations-section", LOOKS_AT_REGISTRATIONS),
    StaffPage(REGISTRATION, registrations.show, "staff-registration", LOOKS_AT_REGISTRATIONS),
    StaffPage(REGISTRATION + "halt/", registrations.halt, "staff-registration-halt", DECIDES),
    StaffPage(REGISTRATION + "resume/", registrations.resume, "staff-registration-resume", DECIDES),
    StaffPage(CARD + "document/", registrations.document, "staff-registration-document", READS_APPLICATIONS),
    StaffPage(CARD + "close/", registrations.close, "staff-registration-close", DECIDES),
    StaffPage(CARD + "reopen/", registrations.reopen, "staff-registration-reopen", DECIDES),
    StaffPage(
        REGISTRATIONS + "changes/<uuid:event_id>/",
        registrations.change_document,
        "staff-registration-change",
        READS_APPLICATIONS,
    ),
    StaffPage(
        "review/",
        registrations.queue,
        "staff-review-queue",
        LOOKS_AT_REGISTRATIONS,
        menu="確認待ち",
        about="受理か不受理を待っているICカード（仮登録）",
        waiting=registrations.waiting,
    ),
    StaffPage(REVIEW, registrations.review, "staff-review", READS_APPLICATIONS),
    StaffPage(REVIEW + "approve/", registrations.approve, "staff-review-approve", DECIDES),
    StaffPage(REVIEW + "reject/", registrations.reject, "staff-review-reject", DECIDES),
    # -- 報告
    StaffPage(
        "reports/",
        reports.by_month,
        "staff-reports",
        LOOKS_AT_REGISTRATIONS,
        menu="報告",
        about="登録の件数、有効期限を迎えるICカード、届かなかったメール、受け付けなかった操作",
    ),
    StaffPage("reports/months.csv", reports.by_month_csv, "staff-report-months-csv", LOOKS_AT_REGISTRATIONS),
    StaffPage("reports/expiring/", reports.expiring, "staff-report-expiring", LOOKS_AT_REGISTRATIONS),
    StaffPage("reports/expiring.csv", reports.expiring_csv, "staff-report-expiring-csv", LOOKS_AT_REGISTRATIONS),
    StaffPage("reports/bounces/", reports.bounces, "staff-report-bounces", LOOKS_AT_REGISTRATIONS),
    StaffPage("reports/bounces.csv", reports.bounces_csv, "staff-report-bounces-csv", DECIDES),
    StaffPage("reports/refused/", reports.refused, "staff-report-refused", LOOKS_AT_REGISTRATIONS),
    StaffPage("reports/refused.csv", reports.refused_csv, "staff-report-refused-csv", LOOKS_AT_REGISTRATIONS),
    # -- お知らせ
    StaffPage(
        "announcements/",
        announcing.announcements,
        "staff-announcements",
        LOOKS_AT_AGENCIES,
        menu="お知らせ",
        about="ポータルサイトへの掲載と取り下げ",
    ),
    StaffPage("announcements/new/", announcing.publish, "staff-announcement-publish", PUBLISHES),
    StaffPage(ANNOUNCEMENT, announcing.announcement, "staff-announcement", LOOKS_AT_AGENCIES),
    StaffPage(ANNOUNCEMENT + "withdraw/", announcing.withdraw, "staff-announcement-withdraw", PUBLISHES),
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
