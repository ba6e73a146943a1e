"""The ledger's addresses on the public's site."""

from django.urls import path, re_path

from irefuda.ledger import public_views

public = [
    path("ledger/", public_views.ledger, name="ledger"),
    path("ledger/checkpoint", public_views.checkpoint, name="ledger-checkpoint"),
    path("ledger/keys.json", public_views.public_keys, name="ledger-keys"),
    re_path(r"^ledger/proof/(?P<entry_hash>[0-9a-f]{64})\.json$", public_views.proof, name="ledger-proof"),
    path("ledger/consistency", public_views.consistency, name="ledger-consistency"),
]
