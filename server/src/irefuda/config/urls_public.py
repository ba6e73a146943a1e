"""The public's site: the register of suppliers and the ledger, without login."""

from django.urls import URLPattern, URLResolver

from irefuda.disclosure import urls as disclosure
from irefuda.ledger import urls as ledger
from irefuda.suppliers import urls as suppliers

urlpatterns: list[URLPattern | URLResolver] = [
    *disclosure.public,
    *suppliers.public,
    *ledger.public,
]

handler400 = "irefuda.ui.pages.bad_request"
handler500 = "irefuda.ui.pages.server_error"
