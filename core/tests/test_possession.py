"""The Web eID token: what proves that a card is there, and every way in which it does not."""

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from pki_builder import Authority, sign

from irefuda_core import possession
from irefuda_core.refusal import CATALOGUE

ORIGIN, NONCE = "https://bid.example.jp", "q" * 44
KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
}
KEYS["PS256"] = KEYS["RS256"]
AUTHORITY = Authority()
CARDS = {algorithm: AUTHORITY.card(key=key) for algorithm, key in KEYS.items()}


def token(algorithm="ES256", /, *, origin=ORIGIN, nonce=NONCE, signed_with=None, **changes):
    """Return a token as Web eID makes it, with these members changed; None removes one."""
    card = CARDS[algorithm]
    message = possession.message_to_sign(origin=origin, nonce=nonce, algorithm=signed_with or algorithm)
    members = {
        "unverifiedCertificate": base64.b64encode(card.der).decode(),
        "algorithm": algorithm,
        "signature": base64.b64encode(sign(card.key, signed_with or algorithm, message)).decode(),
        "format": "web-eid:1.0",
        "appVersion": "https://example.jp/app/1.0.0",
    } | changes
    return json.dumps({key: value for key, value in members.items() if value is not None})


def proven(text):
    return possession.verify_possession(possession.parse_token(text), origin=ORIGIN, nonce=NONCE)


@pytest.mark.parametrize("algorithm", sorted(KEYS))
@pytest.mark.parametrize("form", ["web-eid:1", "web-eid:1.0", "web-eid:1.1"])
def test_a_card_is_proven_with_every_algorithm_and_minor_version(algorithm, form):
    assert proven(token(algorithm, format=form)) == CARDS[algorithm].der


def test_members_of_later_minor_versions_are_let_be():
    text = token(unverifiedSigningCertificates=[{"certificate": "eA=="}], format="web-eid:1.1")
    assert proven(text) == CARDS["ES256"].der


@pytest.mark.parametrize(
    "changes",
    [
        {"origin": "https://bid.example.jp/"},
        {"origin": "https://bid.example.jp.evil.example"},
        {"nonce": "r" * 44},
        {"signature": base64.b64encode(b"\0" * 64).decode()},
        {"signature": base64.b64encode(b"\1" * 63).decode()},
        {"signature": ""},
        {"unverifiedCertificate": base64.b64encode(AUTHORITY.card().der).decode()},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_another_origin_nonce_key_or_signature_proves_nothing(changes):
    with pytest.raises(possession.WrongTokenSignature):
        proven(token(**changes))


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_every_algorithm_refuses_what_was_tampered_with(algorithm):
    good = json.loads(token(algorithm))
    signature = base64.b64decode(good["signature"])
    for position in (0, len(signature) // 2, len(signature) - 1):
        turned = bytearray(signature)
        turned[position] ^= 1
        with pytest.raises(possession.WrongTokenSignature):
            proven(json.dumps(good | {"signature": base64.b64encode(turned).decode()}))
    for other in (signature[:-1], signature + b"\0", signature[1:], bytes(len(signature))):
        with pytest.raises(possession.WrongTokenSignature):
            proven(json.dumps(good | {"signature": base64.b64encode(other).decode()}))
    for changes in ({"origin": "http://bid.example.jp"}, {"origin": "https://BID.example.jp"}, {"nonce": NONCE[:-1]}):
        with pytest.raises(possession.WrongTokenSignature):
            proven(token(algorithm, **changes))


@pytest.mark.parametrize(("said", "done"), [("RS256", "PS256"), ("PS256", "RS256")])
def test_one_padding_does_not_pass_for_the_other(said, done):
    with pytest.raises(possession.WrongTokenSignature):
        proven(token(said, signed_with=done))


def test_origin_and_nonce_are_hashed_apart():
    """Their border cannot be moved: H(origin) || H(nonce), not H(origin || nonce)."""
    moved = token(origin=ORIGIN[:-1], nonce=ORIGIN[-1] + NONCE)
    with pytest.raises(possession.WrongTokenSignature):
        proven(moved)


def test_the_signed_message_is_the_one_of_the_web_eid_specification():
    for algorithm, function in (("RS256", hashlib.sha256), ("ES256", hashlib.sha256), ("ES384", hashlib.sha384)):
        message = possession.message_to_sign(origin=ORIGIN, nonce=NONCE, algorithm=algorithm)
        assert message == function(ORIGIN.encode()).digest() + function(NONCE.encode()).digest()


@pytest.mark.parametrize(
    "form", ["web-eid:2.0", "web-eid:1.2", "web-eid:0.9", "web-eid:10", "web-eid:1.0 ", "web-eid:x"]
)
def test_unknown_versions_are_refused(form):
    with pytest.raises(possession.UnknownTokenVersion):
        proven(token(format=form))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        "[" * 19_000,
        token()[:-1],
        token() + " " * 20_000,
        "x" * 1_000_000,
        token()[:-1] + ', "format": "web-eid:1.0"}',
        token(algorithm="none"),
        token(algorithm="HS256"),
        token(algorithm="RS512"),
        token(algorithm="es256"),
        token(algorithm=["ES256"]),
        token(algorithm=None),
        token(format=None),
        token(format="web-eid"),
        token(format="web-eid:"),
        token(format="other:1.0"),
        token(signature=None),
        token(signature="あ"),
        token(signature="AAA"),
        token(signature=64),
        token(unverifiedCertificate=""),
        token(unverifiedCertificate="AAAA"),
        token(unverifiedCertificate=base64.b64encode(CARDS["ES256"].der[:-1]).decode()),
        token(unverifiedCertificate=base64.b64encode(CARDS["ES256"].der + b"\0").decode()),
        token(unverifiedCertificate=base64.b64encode(CARDS["RS256"].der).decode()),
        token("ES256", algorithm="ES384"),
    ],
    ids=lambda text: text[:24] or "empty",
)  # fmt: skip
def test_what_is_no_such_token_is_refused_as_unreadable(text):
    with pytest.raises(possession.MalformedToken):
        proven(text)


def test_a_curve_of_the_same_size_is_not_the_curve_of_the_algorithm():
    card = AUTHORITY.card(key=ec.generate_private_key(ec.SECP256K1()))
    message = possession.message_to_sign(origin=ORIGIN, nonce=NONCE, algorithm="ES256")
    signature = base64.b64encode(sign(card.key, "ES256", message)).decode()
    with pytest.raises(possession.MalformedToken):
        proven(token(signature=signature, unverifiedCertificate=base64.b64encode(card.der).decode()))


def test_the_claimed_version_of_the_program_is_fit_to_be_stored():
    assert possession.parse_token(token(appVersion="a\0b\ud800\u202ec" + "d" * 200)).app_version == "abc" + "d" * 94
    assert possession.parse_token(token(appVersion=None)).app_version == ""
    assert possession.parse_token(token(appVersion=[1])).app_version == ""


def test_every_failure_has_its_own_words():
    failures = possession.PossessionFailure.__subclasses__()
    assert len({failure.code for failure in failures}) == len(failures)
    assert all(failure.code in CATALOGUE and failure().refusal.remedy for failure in failures)


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=5)


@settings(deadline=None, max_examples=200)
@given(st.text() | st.dictionaries(st.sampled_from(sorted(json.loads(token()))), json_values).map(json.dumps))
def test_no_text_makes_the_parser_fail_otherwise(text):
    with pytest.raises(possession.PossessionFailure):
        proven(text)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_no_single_changed_member_is_proven(data):
    members = json.loads(token())
    member = data.draw(st.sampled_from(sorted(set(members) - {"appVersion", "format"})))
    with pytest.raises(possession.PossessionFailure):
        proven(json.dumps(members | {member: data.draw(json_values)}))
