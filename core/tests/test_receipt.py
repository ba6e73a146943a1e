"""Receipts: what was promised is what is read, and nothing else is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto import jwk as other_jwk
from jwcrypto import jws as other_jws

from irefuda_core import jws, receipt

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
KEYS = {receipt.public_jwk(KEY.public_key())["kid"]: KEY.public_key()}
AT = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
PROMISED = receipt.Receipt(
    realm="practice",
    origin="http://localhost:8000",
    log="open.localhost:8002/ledger/practice",
    entry_id="7d0f7c1e-1111-4222-8333-444455556666",
    entry_hash=receipt.entry_hash(salt=bytes(16), document=b"document"),
    received_at=AT,
    include_by=AT + receipt.PROMISE,
)


def test_the_key_id_is_the_thumbprint_of_rfc_8037():
    public = jws.from_b64url("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
    jwk = receipt.public_jwk(Ed25519PublicKey.from_public_bytes(public))
    assert jwk["kid"] == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_a_receipt_is_read_as_it_was_signed():
    text = receipt.sign_receipt(PROMISED, KEY)
    assert receipt.verify_receipt(text, KEYS) == PROMISED
    assert receipt.read_receipt(text) == PROMISED


def test_another_jose_library_agrees():
    token = other_jws.JWS()
    token.allowed_algs = ["EdDSA"]
    token.deserialize(receipt.sign_receipt(PROMISED, KEY))
    token.verify(other_jwk.JWK(**receipt.public_jwk(KEY.public_key())))
    assert json.loads(token.payload)["entry_hash"] == PROMISED.entry_hash.hex()


def test_no_changed_character_passes():
    text = receipt.sign_receipt(PROMISED, KEY)
    for position, character in enumerate(text):
        changed = text[:position] + ("A" if character != "A" else "B") + text[position + 1 :]
        with pytest.raises(receipt.ReceiptFailure):
            receipt.verify_receipt(changed, KEYS)


def test_a_key_that_is_not_listed_is_named_as_such():
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32))
    with pytest.raises(receipt.UnknownReceiptKey) as caught:
        receipt.verify_receipt(receipt.sign_receipt(PROMISED, stranger), KEYS)
    assert caught.value.refusal.code == "L-622"


def forged(payload: dict[str, object], **header: object) -> str:
    full = {"alg": "EdDSA", "kid": next(iter(KEYS)), "typ": "irefuda.practice.receipt.v1"} | header
    body = json.dumps(payload, sort_keys=True, separators=(",", ":")).encode()
    signed = jws.signing_input(body, full)
    return jws.assemble(signed, KEY.sign(signed))


def payload() -> dict[str, object]:
    part = receipt.sign_receipt(PROMISED, KEY).split(".")[1]
    return json.loads(jws.from_b64url(part))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "...",
        "e30.e30.e30",
        forged(payload(), typ="irefuda.production.receipt.v1"),
        forged(payload(), alg="none"),
        forged(payload(), crit=["x"]),
        forged(payload() | {"extra": "1"}),
        forged(payload() | {"type": "acceptance"}),
        forged(payload() | {"entry_hash": "00"}),
        forged(payload() | {"entry_hash": 7}),
        forged(payload() | {"received_at": "yesterday"}),
        forged(payload() | {"received_at": "2026-11-24T00:00:00"}),
        forged(payload() | {"received_at": "9999-12-31T23:59:59+00:00"}),
        forged(payload() | {"include_by": "0001-01-01T00:00:00+00:00"}),
        forged(payload() | {"realm": "production"}),
    ],
)
def test_what_is_no_receipt_even_when_signed(text):
    with pytest.raises(receipt.MalformedReceipt):
        receipt.verify_receipt(text, KEYS)


def test_the_salt_has_sixteen_bytes():
    with pytest.raises(ValueError, match="16"):
        receipt.entry_hash(salt=bytes(15), document=b"")


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
receipts = st.builds(
    receipt.Receipt,
    realm=words,
    origin=words,
    log=words,
    entry_id=words,
    entry_hash=st.binary(min_size=32, max_size=32),
    received_at=st.just(AT),
    include_by=st.integers(0, 10**6).map(lambda seconds: AT + timedelta(seconds=seconds)),
)


@given(receipts)
def test_whatever_is_promised_is_read_again_and_by_no_other_key(promised):
    text = receipt.sign_receipt(promised, KEY)
    assert receipt.verify_receipt(text, KEYS) == promised
    with pytest.raises(receipt.UnknownReceiptKey):
        receipt.verify_receipt(text, {})
    stranger = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    with pytest.raises(receipt.WrongReceiptSignature):
        receipt.verify_receipt(text, dict.fromkeys(KEYS, stranger))


@given(st.text() | st.lists(st.binary().map(jws.b64url), min_size=3, max_size=3).map(".".join))
def test_no_text_makes_the_reader_fail_otherwise(text):
    with pytest.raises(receipt.ReceiptFailure):
        receipt.verify_receipt(text, KEYS)


@given(st.binary(min_size=16, max_size=16), st.binary(), st.binary())
def test_another_document_has_another_hash(salt, document, other):
    same = receipt.entry_hash(salt=salt, document=document) == receipt.entry_hash(salt=salt, document=other)
    assert same == (document == other)
