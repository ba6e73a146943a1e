"""Pages of the cards on the contractors' site."""

from django.urls import path

from irefuda.cards import supplier_views, views

urlpatterns = [
    path("card/nonce/", views.nonce, name="card-nonce"),
    path("session/extend/", views.extend, name="session-extend"),
    path("environment/", supplier_views.environment, name="environment-check"),
    path("environment/clock/", supplier_views.environment_clock, name="environment-clock"),
    path("environment/certificate/", supplier_views.environment_certificate, name="environment-certificate"),
    path("agent/", supplier_views.agent_download, name="agent-download"),
    path("agent/<slug:slug>/", supplier_views.agent_system, name="agent-system"),
    path("agent/files/<str:name>", supplier_views.agent_file, name="agent-file"),
    path("practice/cards/", supplier_views.practice_cards, name="practice-cards"),
]
