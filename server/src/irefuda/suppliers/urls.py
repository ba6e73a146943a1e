"""The register's addresses on the public's site."""

from django.urls import path

from irefuda.suppliers import public_views

public = [
    path("register/", public_views.registers, name="register"),
    path("register/<str:agency_code>/<slug:slug>/", public_views.register, name="register-section"),
    path(
        "register/<str:agency_code>/<slug:slug>/<str:supplier_number>/", public_views.supplier, name="register-supplier"
    ),
]
