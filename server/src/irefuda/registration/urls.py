"""Pages of one 区分 of one 調達機関: `/<調達機関>/<works|goods>/…`."""

from django.urls import path

from irefuda.agencies.urls import SECTION
from irefuda.registration import account_views as account
from irefuda.registration import change_views as changes
from irefuda.registration import renewal_views as renewal
from irefuda.registration import supplier_views as views

urlpatterns = [
    path(SECTION, views.choose, name="section"),
    path(SECTION + "registration/", views.top, name="registration-top"),
    path(SECTION + "registration/menu/", views.menu, name="registration-menu"),
    path(SECTION + "registration/present/", views.present, name="registration-present"),
    path(SECTION + "registration/lookup/", views.look_up, name="registration-lookup"),
    path(SECTION + "registration/contacts/", views.enter_contacts, name="registration-contacts"),
    path(SECTION + "registration/check/", views.check_answers, name="registration-check"),
    path(SECTION + "registration/register/", views.register, name="registration-register"),
    path(SECTION + "registration/done/<uuid:card_id>/", views.done, name="registration-done"),
    path(SECTION + "registration/print/<uuid:card_id>/", views.print_page, name="registration-print"),
    path(SECTION + "registration/print/<uuid:card_id>/user.pdf", views.print_pdf, name="registration-pdf"),
    path(SECTION + "registration/print/<uuid:card_id>/receipt.json", views.receipt, name="registration-receipt"),
    path(SECTION + "renewal/", renewal.top, name="renewal-top"),
    path(SECTION + "renewal/begin/", renewal.begin, name="renewal-begin"),
    path(SECTION + "renewal/prepare/", renewal.prepare, name="renewal-prepare"),
    path(SECTION + "renewal/renew/", renewal.renew, name="renewal-renew"),
    path(SECTION + "renewal/stopped/", renewal.stopped, name="renewal-stopped"),
    path(SECTION + "renewal/done/<uuid:card_id>/", renewal.done, name="renewal-done"),
    path(SECTION + "change/present/", changes.present, name="change-present"),
    path(SECTION + "change/", changes.enter_changes, name="change-form"),
    path(SECTION + "change/check/", changes.check_changes, name="change-check"),
    path(SECTION + "change/submit/", changes.change, name="change-submit"),
    path(SECTION + "change/done/<uuid:event_id>/", changes.done, name="change-done"),
    path(SECTION + "change/print/<uuid:event_id>/", changes.print_page, name="change-print"),
    path(SECTION + "change/print/<uuid:event_id>/user.pdf", changes.print_pdf, name="change-pdf"),
    path(SECTION + "change/print/<uuid:event_id>/receipt.json", changes.receipt, name="change-receipt"),
    path(SECTION + "change/address/", changes.verify_address, name="change-address"),
    path(SECTION + "change/address/send/", changes.send_code, name="change-address-send"),
    path(SECTION + "change/history/", changes.history, name="change-history"),
    path(SECTION + "login/", views.log_in, name="login"),
    path(SECTION + "start/", views.start, name="start"),
    path("logout/", views.log_out, name="logout"),
    path("mypage/", account.show_account, name="account"),
    path("mypage/login/", account.log_in, name="account-login"),
    path("mypage/register/", account.register_elsewhere, name="account-elsewhere"),
    path("inbox/", account.show_inbox, name="inbox"),
    path("inbox/read/", account.read_all, name="inbox-read-all"),
    path("inbox/<uuid:notice_id>/", account.show_notice, name="inbox-notice"),
    path("inbox/<uuid:notice_id>/open/", account.open_notice, name="inbox-open"),
    path(SECTION + "cards/add/", account.add_card, name="account-add-card"),
    path(SECTION + "cards/<uuid:card_id>/close/", account.close_card, name="account-close"),
    path(SECTION + "cards/<uuid:card_id>/closed/", account.show_closed, name="account-closed"),
]
