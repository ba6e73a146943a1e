"""The contractors' site."""

from django.urls import URLPattern, URLResolver

from irefuda.cards import urls as cards
from irefuda.disclosure import urls as disclosure
from irefuda.notices import urls as notices
from irefuda.registration import urls as registration

urlpatterns: list[URLPattern | URLResolver] = [
    *disclosure.supplier,
    *notices.urlpatterns,
    *cards.urlpatterns,
    *registration.urlpatterns,
]

handler400 = "irefuda.ui.pages.bad_request"
handler500 = "irefuda.ui.pages.server_error"
