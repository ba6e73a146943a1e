"""Cards for the server's tests: a demo authority in the trust store, nonces, tokens and signed documents."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pki_builder import NOON, POLICY, Authority, Issued, sign

from irefuda.cards import operations, revocation, trust_store
from irefuda.cards.models import TrustedAuthority
from irefuda_core import jws
from irefuda_core.possession import message_to_sign

ORIGIN = "http://localhost:8000"
BROWSER = "b" * 43


def trust(
    authority: Authority,
    directory: Path,
    *,
    audience: str = "supplier",
    name: str = "入札市練習認証局",
    crl: bytes | None = None,
    demo: bool = True,
    policies: Sequence[str] = (POLICY,),
    now: datetime = NOON,
    **more: Any,
) -> TrustedAuthority:
    """Put an authority and its revocation list into the trust store, through the doors that staff use."""
    file = directory / f"{name}.crl"
    file.write_bytes(crl or authority.crl())
    row = trust_store.add_authority(
        name=name,
        audience=audience,
        root=authority.root.der,
        intermediates=[authority.issuing.der],
        policy_oids=policies,
        crl_urls=[file.as_uri()],
        demo=demo,
        practice=True,
        now=now,
        **more,
    )
    fetched = revocation.fetch(row, file.as_uri(), now=now)
    assert fetched.taken, fetched.reason
    return row


def algorithm_of(card: Issued) -> str:
    """Return the JWS algorithm that fits the card's key."""
    size = card.key.key_size
    return {256: "ES256", 384: "ES384"}.get(size, "RS256")


def token(card: Issued, nonce: str, *, origin: str = ORIGIN, algorithm: str | None = None) -> str:
    """Return the Web eID token that a card agent makes."""
    algorithm = algorithm or algorithm_of(card)
    message = message_to_sign(origin=origin, nonce=nonce, algorithm=algorithm)
    return json.dumps(
        {
            "format": "web-eid:1.0",
            "algorithm": algorithm,
            "unverifiedCertificate": base64.b64encode(card.der).decode(),
            "signature": base64.b64encode(sign(card.key, algorithm, message)).decode(),
            "appVersion": "tests",
        }
    )


def fresh_nonce(*, browser: str = BROWSER, now: Any = NOON, number: int = 1) -> str:
    """Return a nonce handed to this browser; the number stands in for chance."""
    return operations.issue_nonce(browser=browser, now=now, entropy=number.to_bytes(32, "big"))


def signed(card: Issued, payload: bytes, *, typ: str, iat: int = 0) -> str:
    """Return the compact JWS that a card agent makes."""
    algorithm = algorithm_of(card)
    header = jws.header_for([card.der], algorithm=algorithm, typ=typ, iat=iat)
    content = jws.signing_input(payload, header)
    return jws.assemble(content, sign(card.key, algorithm, content))
