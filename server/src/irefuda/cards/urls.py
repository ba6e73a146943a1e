"""Pages of the cards on the contractors' site."""

from django.urls import path

from irefuda.cards import supplier_views, views

urlpatterns = [
    path("card/nonce/", views.nonce, name="card-nonce"),
    path("session/extend/", views.extend, name="session-extend"),
    path("practice/cards/", supplier_views.practice_cards, name="practice-cards"),
]
