"""The contractors' site with the floor beside it: both are served by the same processes."""

from django.urls import path

from floor import views
from irefuda.config import urls_supplier

urlpatterns = [path("floor/", views.floor), *urls_supplier.urlpatterns]
handler400 = urls_supplier.handler400
handler500 = urls_supplier.handler500
