"""A ledger of 200,000 entries (the benchmark has the million): proofs for any place and from any earlier size hold."""

import random

import many_entries
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import connection
from django.test.utils import CaptureQueriesContext

from irefuda.ledger import queries
from irefuda.ledger.models import Leaf
from irefuda.ui import clock
from irefuda_core import merkle, note

pytestmark = [pytest.mark.soak, pytest.mark.committing]
COUNT = 200_000


def test_proofs_of_a_long_ledger_hold_and_read_a_handful_of_rows(own_database, django_db_blocker):
    with django_db_blocker.unblock():
        ids = many_entries.grow(COUNT, key=Ed25519PrivateKey.generate(), now=clock.now())
        head = note.read_checkpoint(note.text_of(queries.latest_checkpoint().note))
        assert head.size == COUNT
        chosen = random.Random(3)
        places = [0, 1, COUNT // 2 - 1, COUNT // 2, COUNT - many_entries.LAST_BATCH, COUNT - 1]
        for seq in [*places, *chosen.sample(range(COUNT), 200)]:
            with CaptureQueriesContext(connection) as asked:
                proof = queries.proof(ids[seq])
            assert len(asked) == 2
            content = bytes.fromhex(Leaf.objects.values_list("entry__entry_hash", flat=True).get(seq=seq))
            path = [bytes.fromhex(one) for one in proof["hashes"]]
            assert (proof["leaf_index"], proof["tree_size"], len(path) <= 20) == (seq, COUNT, True)
            assert merkle.verify_inclusion(
                index=seq, size=COUNT, leaf=merkle.leaf_hash(content), path=path, root=head.root
            )
        for old in [1, COUNT // 2, COUNT - 1, COUNT, *chosen.sample(range(1, COUNT), 200)]:
            hashes = queries.consistency(old=old, new=COUNT, now=clock.now())
            assert merkle.verify_consistency(
                old=old,
                new=COUNT,
                old_root=queries.root(old),
                new_root=head.root,
                proof=[bytes.fromhex(one) for one in hashes],
            )
