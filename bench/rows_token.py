"""A card's token judged completely, on one core, against bare RSA verifies of the same library."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from pki_builder import POLICY

from city import REVOKED, authority_and_card, builders
from irefuda_core import possession, trust
from irefuda_core.certificate import DEFAULT_MAPPING
from measuring import Row, interleaved, median, per_second, ratios, times

ORIGIN, NONCE = "http://localhost:8000", "n" * 44


def rows(*, runs: int, quick: bool) -> Iterator[Row]:
    """Parse, signature, path, revocation, policy, names: with nothing kept from before, and with the kept path."""
    now = datetime.now(UTC)
    authority, card = authority_and_card(key := rsa.generate_private_key(65537, 2048))
    crl = authority.crl(revoked={10**12 + serial: now - timedelta(days=30) for serial in range(REVOKED)})
    accepted = trust.AcceptedAuthority(
        name="計測認証局",
        audience="supplier",
        root_der=authority.root.der,
        intermediate_ders=(authority.issuing.der,),
        policy_oids=frozenset({POLICY}),
        mapping=DEFAULT_MAPPING,
        crl_grace=timedelta(hours=24),
        demo=False,
    )
    listed = trust.read_crl(crl, authority.issuing.der)
    snapshot = trust.TrustSnapshot("1", (accepted,), {listed.signer: listed})
    token = builders.make_token(card, NONCE, origin=ORIGIN, algorithm="RS256")
    kept: trust.PathCache = {}
    signature = key.sign(b"m" * 64, padding.PKCS1v15(), hashes.SHA256())
    public = key.public_key()

    def judged(cache: trust.PathCache | None) -> None:
        parsed = possession.parse_token(token)
        der = possession.verify_possession(parsed, origin=ORIGIN, nonce=NONCE)
        found = trust.judge(der, snapshot, at=now, cache=cache)
        if found.card.company_name != "株式会社テスト商会01":
            raise RuntimeError(json.dumps(found.card.company_name))

    count = 300 if quick else 2000
    measured = interleaved(
        {
            "complete": lambda: _rate(lambda: judged(None), count),
            "kept": lambda: _rate(lambda: judged(kept), count),
            "bare": lambda: _rate(
                lambda: public.verify(signature, b"m" * 64, padding.PKCS1v15(), hashes.SHA256()), count * 5
            ),
        },
        runs=runs,
    )
    for name, words in (("complete", "token check complete, one core"), ("kept", "the same card again (path kept)")):
        share = ratios(measured[name], measured["bare"])
        target = "≥ 2,000/s, ≥ 0.05 ×" if name == "complete" else "–"
        met = median(measured[name]) >= 2000 and median(share) >= 0.05
        bare = f"bare RSA-2048 verify {per_second(measured['bare'])}"
        yield Row(words, per_second(measured[name]), bare, times(share), target, met if name == "complete" else None)


def _rate(work: Callable[[], None], count: int) -> float:
    started = time.perf_counter()
    for _ in range(count):
        work()
    return count / (time.perf_counter() - started)
