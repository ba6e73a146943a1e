"""Pages of the cards on the contractors' site."""

from django.urls import path

from irefuda.cards import supplier_views

urlpatterns = [
    path("card/nonce/", supplier_views.nonce, name="card-nonce"),
    path("practice/cards/", supplier_views.practice_cards, name="practice-cards"),
]
