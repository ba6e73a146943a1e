"""Pages of one 区分 of one 調達機関: `/<調達機関>/<works|goods>/…`."""

from django.urls import path, register_converter

from irefuda.agencies.models import Category
from irefuda.registration import supplier_views as views


class AgencyCode:
    """The four digits of a 調達機関."""

    regex = "[0-9]{4}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


class CategorySlug:
    """`works` or `goods` in the address, the category in the code."""

    regex = "works|goods"

    def to_python(self, value: str) -> Category:
        return next(category for category in Category if category.slug == value)

    def to_url(self, value: str) -> str:
        return Category(value).slug


register_converter(AgencyCode, "agency")
register_converter(CategorySlug, "category")

SECTION = "<agency:agency>/<category:category>/"

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
    path(SECTION + "login/", views.log_in, name="login"),
    path(SECTION + "start/", views.start, name="start"),
    path("session/extend/", views.extend, name="session-extend"),
    path("logout/", views.log_out, name="logout"),
]
