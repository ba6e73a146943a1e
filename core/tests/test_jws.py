"""Signed documents: two JOSE libraries of others read ours, we read theirs, and nothing else passes."""

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.registry import HeaderParameter
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto import jws as jwcrypto_jws
from pki_builder import Authority, sign

from irefuda_core import jws
from irefuda_core.refusal import CATALOGUE

PAYLOAD = '{"company_name":"株式会社テスト商会01"}'.encode()
TYP = "irefuda.practice.registration-application.v1"
KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
}
KEYS["PS256"] = KEYS["RS256"]
AUTHORITY = Authority()
CARDS = {algorithm: AUTHORITY.card(key=key) for algorithm, key in KEYS.items()}
ALGORITHMS = sorted(KEYS)


def header(algorithm="ES256", /, **changes):
    made = jws.header_for([CARDS[algorithm].der], algorithm=algorithm, typ=TYP, iat=1_795_500_000) | changes
    return {key: value for key, value in made.items() if value is not None}


def signed(algorithm="ES256", /, *, payload=PAYLOAD, **changes):
    to_sign = jws.signing_input(payload, header(algorithm, **changes))
    return jws.assemble(to_sign, sign(KEYS[algorithm], algorithm, to_sign))


def verified(text):
    document = jws.parse(text)
    jws.verify_document(document)
    return document


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_a_card_signs_is_read_and_verified(algorithm):
    document = verified(signed(algorithm))
    assert (document.payload, document.unverified_certificate) == (PAYLOAD, CARDS[algorithm].der)
    assert (document.header["typ"], document.header["iat"]) == (TYP, 1_795_500_000)


def _registry(algorithm):
    iat = HeaderParameter("Issued At", "int")  # of ETSI TS 119 182-1, unknown to the library
    registry = joserfc_jws.JWSRegistry(header_registry={"iat": iat}, algorithms=[algorithm])
    registry.max_header_length = 10_000  # by default 512 bytes, which no header with a certificate keeps to
    return registry


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_joserfc_verifies_it(algorithm):
    kind = RSAKey if algorithm in ("RS256", "PS256") else ECKey
    key = kind.import_key(_pem(KEYS[algorithm]))
    read = joserfc_jws.deserialize_compact(signed(algorithm), key, registry=_registry(algorithm))
    assert (read.payload, read.headers()["typ"]) == (PAYLOAD, TYP)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_jwcrypto_verifies_it(algorithm):
    read = jwcrypto_jws.JWS()
    read.allowed_algs = [algorithm]
    read.deserialize(signed(algorithm), jwcrypto_jwk.JWK.from_pem(_pem(KEYS[algorithm])))
    assert (read.payload, read.jose_header["typ"]) == (PAYLOAD, TYP)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_joserfc_signs_with_our_header_is_verified(algorithm):
    kind = RSAKey if algorithm in ("RS256", "PS256") else ECKey
    key = kind.import_key(_pem(KEYS[algorithm]))
    text = joserfc_jws.serialize_compact(header(algorithm), PAYLOAD, key, registry=_registry(algorithm))
    assert verified(text).payload == PAYLOAD


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_jwcrypto_signs_with_our_header_is_verified(algorithm):
    made = jwcrypto_jws.JWS(PAYLOAD)
    made.allowed_algs = [algorithm]
    made.add_signature(
        jwcrypto_jwk.JWK.from_pem(_pem(KEYS[algorithm])), alg=None, protected=json.dumps(header(algorithm))
    )
    assert verified(made.serialize(compact=True)).payload == PAYLOAD


def test_both_libraries_verify_the_signature_of_a_receipt_key():
    key = ed25519.Ed25519PrivateKey.generate()
    to_sign = jws.signing_input(PAYLOAD, {"alg": "EdDSA", "typ": "irefuda.practice.receipt.v1"})
    text = jws.assemble(to_sign, key.sign(to_sign))
    jws.verify(key.public_key(), "EdDSA", key.sign(to_sign), to_sign)
    # RFC 9864 would have the algorithm called Ed25519, which few libraries know yet.
    with pytest.warns(SecurityWarning, match="9864"):
        read = joserfc_jws.deserialize_compact(text, OKPKey.import_key(_pem(key)), ["EdDSA"])
    assert read.payload == PAYLOAD
    read = jwcrypto_jws.JWS()
    read.allowed_algs = ["EdDSA"]
    read.deserialize(text, jwcrypto_jwk.JWK.from_pem(_pem(key)))
    assert read.payload == PAYLOAD


def _pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_other_bytes_or_another_header_are_not_what_was_signed(algorithm):
    protected, payload, signature = signed(algorithm).split(".")
    others = [
        f"{protected}.{jws.b64url(PAYLOAD + b' ')}.{signature}",
        f"{jws.b64url(json.dumps(header(algorithm, iat=1)).encode())}.{payload}.{signature}",
        f"{protected}.{payload}.{jws.b64url(bytes(len(jws.from_b64url(signature))))}",
        f"{protected}.{payload}.",
    ]
    for other in others:
        with pytest.raises(jws.WrongSignature):
            verified(other)


BAD_HEADERS = [
    {"alg": "none"},
    {"alg": "HS256"},
    {"alg": "ES512"},
    {"alg": ["ES256"]},
    {"alg": {}},
    {"alg": None},
    {"typ": None},
    {"typ": 1},
    {"iat": None},
    {"iat": "1795500000"},
    {"iat": True},
    {"iat": -1},
    {"iat": 10**30},
    {"iat": 1.5},
    {"x5c": None},
    {"x5c": []},
    {"x5c": "MII"},
    {"x5c": [1]},
    {"x5c": ["あ"]},
    {"x5c": ["AAAA"]},
    {"x5c": [base64.b64encode(CARDS["ES256"].der).decode()] * 6},
    {"x5t#S256": None},
    {"x5t#S256": "AAAA"},
    {"x5t#S256": header("RS256")["x5t#S256"]},
    {"crit": ["b64"], "b64": False},
    {"jwk": {}},
    {"kid": "1"},
]


# Numbered, not named by content: keys are made anew in every process, and parallel workers must collect the same tests.
@pytest.mark.parametrize("changes", BAD_HEADERS, ids=range(len(BAD_HEADERS)))
def test_a_header_that_is_not_a_cards_is_refused(changes):
    with pytest.raises(jws.MalformedSignature):
        verified(signed(**changes))


def test_a_certificate_that_cannot_be_read_verifies_nothing():
    fake = header() | {"x5c": ["AAAA"], "x5t#S256": jws.b64url(hashlib.sha256(b"\0\0\0").digest())}
    document = jws.parse(jws.assemble(jws.signing_input(PAYLOAD, fake), b"\1" * 64))
    with pytest.raises(jws.MalformedSignature):
        jws.verify_document(document)


def test_a_member_twice_in_the_header_is_refused():
    _, payload, signature = signed().split(".")
    twice = json.dumps(header())[:-1] + ', "iat": 1}'
    with pytest.raises(jws.MalformedSignature):
        jws.parse(f"{jws.b64url(twice.encode())}.{payload}.{signature}")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text.rpartition(".")[0],
        lambda text: text + ".",
        lambda text: text + "=",
        lambda text: text + "\n",
        lambda text: " " + text,
        lambda text: text.replace(".", "..", 1),
        lambda text: "." * 1_000_000,
        lambda text: text + "A" * 200_000,
        lambda text: "W10" + text[text.index("."):],
        lambda text: jws.b64url(b"[" * 90_000) + text[text.index("."):],
        lambda text: jws.b64url(b"\xff") + text[text.index("."):],
    ],
)  # fmt: skip
def test_another_form_is_refused(spoil):
    with pytest.raises(jws.MalformedSignature):
        jws.parse(spoil(signed()))


@pytest.mark.parametrize("text", ["A", "AA=", "AB", "A-/A", "A A", "あ", "AAAA\n", "\ud800"])
def test_base64url_has_one_spelling(text):
    with pytest.raises(jws.MalformedSignature):
        jws.from_b64url(text)


@given(st.binary())
def test_base64url_round_trip(content):
    assert jws.from_b64url(jws.b64url(content)) == content


@pytest.mark.parametrize(
    ("algorithm", "key"),
    [
        ("ES256", ec.generate_private_key(ec.SECP256K1())),
        ("ES256", KEYS["ES384"]),
        ("ES384", KEYS["ES256"]),
        ("ES256", KEYS["RS256"]),
        ("RS256", KEYS["ES256"]),
        ("EdDSA", KEYS["ES256"]),
        ("RS256", ed25519.Ed25519PrivateKey.generate()),
        ("none", KEYS["RS256"]),
    ],
    ids=lambda part: part if isinstance(part, str) else type(part).__name__,
)
def test_an_algorithm_that_is_not_the_keys_is_refused(algorithm, key):
    with pytest.raises(jws.MalformedSignature):
        jws.verify(key.public_key(), algorithm, b"\1" * 64, b"message")


def test_every_failure_has_its_own_words():
    failures = jws.SignatureFailure.__subclasses__()
    assert len({failure.code for failure in failures}) == len(failures)
    assert all(failure.code in CATALOGUE and failure().refusal.remedy for failure in failures)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@settings(deadline=None, max_examples=200)
@given(st.text() | st.lists(st.binary().map(jws.b64url), min_size=3, max_size=3).map(".".join))
def test_no_text_makes_the_parser_fail_otherwise(text):
    with pytest.raises(jws.SignatureFailure):
        verified(text)


@settings(deadline=None, max_examples=200)
@given(st.dictionaries(st.sampled_from(["alg", "typ", "x5c", "x5t#S256", "iat"]), json_values, min_size=1))
def test_no_header_makes_the_parser_fail_otherwise(changes):
    protected = jws.b64url(json.dumps(header() | changes).encode())
    with pytest.raises(jws.SignatureFailure):
        verified(f"{protected}.{signed().partition('.')[2]}")
