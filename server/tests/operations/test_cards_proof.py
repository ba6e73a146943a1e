"""A card proves itself once, to the browser that was challenged, and is judged by the store of its site."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from card_support import BROWSER, ORIGIN, fresh_nonce, signed, token, trust
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pki_builder import NOON, Authority

from irefuda.cards import operations, queries, revocation
from irefuda.cards.models import Nonce
from irefuda_core.certificate import read_certificate
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture(scope="module")
def card(authority):
    return authority.card()


def prove(token_text, *, browser=BROWSER, audience="supplier", now=NOON):
    return operations.prove_card(
        token_text=token_text, nonce_browser=browser, origin=ORIGIN, audience=audience, now=now
    )


def codes(failure):
    return [reason.code for reason in failure.value.refusals]


@pytest.mark.parametrize("kind", ["rsa", "p256", "p384"])
def test_a_good_card_is_proven(authority, tmp_path, kind):
    trust(authority, tmp_path)
    keys = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
        "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    }
    proven = prove(token(authority.card(key=keys[kind]()), fresh_nonce()))
    assert (proven.card.company_name, proven.card.holder_name) == ("株式会社テスト商会01", "テスト 1太郎")
    assert (proven.authority_name, proven.demo) == ("入札市練習認証局", True)
    assert not Nonce.objects.exists()


def test_a_token_opens_once(authority, card, tmp_path):
    trust(authority, tmp_path)
    text = token(card, fresh_nonce())
    prove(text)
    with pytest.raises(Refused) as failure:
        prove(text)
    assert codes(failure) == ["K-424"]


def test_another_sessions_nonce_is_refused_and_stays_good_for_its_own(authority, card, tmp_path):
    trust(authority, tmp_path)
    text = token(card, fresh_nonce())
    for stranger in ("c" * 43, ""):
        with pytest.raises(Refused) as failure:
            prove(text, browser=stranger)
        assert codes(failure) == ["K-424"]
    fresh_nonce(browser="c" * 43, number=2)
    with pytest.raises(Refused) as failure:
        prove(text, browser="c" * 43)
    assert codes(failure) == ["K-423"]
    assert prove(text)


def test_a_nonce_ends_after_five_minutes(authority, card, tmp_path):
    trust(authority, tmp_path)
    text = token(card, fresh_nonce())
    with pytest.raises(Refused) as failure:
        prove(text, now=NOON + timedelta(minutes=5))
    assert codes(failure) == ["K-424"]
    assert prove(text, now=NOON + timedelta(minutes=4, seconds=59))


def test_each_of_several_tabs_has_its_own_nonce(authority, card, tmp_path):
    trust(authority, tmp_path)
    first, second = fresh_nonce(number=1), fresh_nonce(number=2)
    assert prove(token(card, first))
    assert prove(token(card, second))


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda t: {**t, "algorithm": "none"}, "K-421"),
        (lambda t: {**t, "algorithm": "RS256"}, "K-421"),
        (lambda t: {**t, "format": "web-eid:2"}, "K-422"),
        (lambda t: {**t, "signature": t["signature"][:40]}, "K-423"),
        (lambda t: {**t, "unverifiedCertificate": "AAAA"}, "K-421"),
        (lambda t: {**t, "appVersion": "x" * 1_000_000}, "K-421"),
    ],
    ids=["none", "algorithm of another key", "unknown major", "cut signature", "no certificate", "1 MB"],
)
def test_spoiled_tokens_have_their_reason_and_use_up_nothing(authority, card, tmp_path, spoil, code):
    trust(authority, tmp_path)
    text = token(card, fresh_nonce())
    with pytest.raises(Refused) as failure:
        prove(json.dumps(spoil(json.loads(text))))
    assert codes(failure) == [code]
    assert prove(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", "\x00" * 50])
def test_what_is_no_token_is_refused(authority, tmp_path, text):
    trust(authority, tmp_path)
    fresh_nonce()
    with pytest.raises(Refused) as failure:
        prove(text)
    assert codes(failure) == ["K-421"]


def test_a_token_for_another_origin_is_refused(authority, card, tmp_path):
    trust(authority, tmp_path)
    with pytest.raises(Refused) as failure:
        prove(token(card, fresh_nonce(), origin="https://bid.example.jp"))
    assert codes(failure) == ["K-423"]


def test_staff_cards_and_supplier_cards_do_not_open_each_others_site(authority, card, tmp_path):
    staff = Authority(label="staff")
    trust(authority, tmp_path)
    trust(staff, tmp_path, audience="staff", name="入札市職員認証局")
    own_sites = ((staff.card(), "staff", "supplier"), (card, "supplier", "staff"))
    for number, (proof, own, other) in enumerate(own_sites):
        assert prove(token(proof, fresh_nonce(number=2 * number)), audience=own)
        with pytest.raises(Refused) as failure:
            prove(token(proof, fresh_nonce(number=2 * number + 1)), audience=other)
        assert codes(failure) == ["K-402"]


def test_a_revoked_card_is_refused_as_soon_as_the_list_is_kept(authority, tmp_path):
    row = trust(authority, tmp_path)
    card = authority.card(serial=4711)
    assert prove(token(card, fresh_nonce(number=1)))
    file = tmp_path / "second.crl"
    file.write_bytes(authority.crl(number=2, revoked={4711: NOON - timedelta(days=1)}))
    assert revocation.fetch(row, file.as_uri(), now=NOON).taken
    with pytest.raises(Refused) as failure:
        prove(token(card, fresh_nonce(number=2)))
    assert codes(failure) == ["K-409"]
    with pytest.raises(Refused) as failure:
        operations.check_still_good(der=card.der, audience="supplier", now=NOON)
    assert codes(failure) == ["K-409"]


def test_a_stale_list_lets_nobody_in_after_its_grace(authority, card, tmp_path):
    trust(authority, tmp_path, grace_hours=2)
    next_update = NOON + timedelta(hours=23)
    assert operations.check_still_good(der=card.der, audience="supplier", now=next_update + timedelta(hours=2))
    with pytest.raises(Refused) as failure:
        operations.check_still_good(der=card.der, audience="supplier", now=next_update + timedelta(hours=2, seconds=1))
    assert codes(failure) == ["K-410"]


def test_the_snapshot_is_read_once_per_version(authority, tmp_path, django_assert_num_queries):
    trust(authority, tmp_path)
    queries.trust_snapshot()
    with django_assert_num_queries(1):
        assert len(queries.trust_snapshot().authorities) == 1
    trust(Authority(label="second"), tmp_path, name="二つ目の認証局")
    assert len(queries.trust_snapshot().authorities) == 2


def test_a_proof_takes_few_queries(authority, card, tmp_path, django_assert_max_num_queries):
    trust(authority, tmp_path)
    queries.trust_snapshot()
    text = token(card, fresh_nonce())
    with django_assert_max_num_queries(3):
        prove(text)


def test_a_signed_document_counts_only_from_this_card_over_these_bytes(authority, card, tmp_path):
    trust(authority, tmp_path)
    typ, payload = "irefuda.practice.registration-application.v1", b'{"type":"x"}'
    fingerprint = prove(token(card, fresh_nonce())).card.fingerprint

    def check(text, **changed):
        asked = {"fingerprint": fingerprint, "payload": payload, "typ": typ, "audience": "supplier", "now": NOON}
        return operations.check_signature(jws_text=text, **(asked | changed))

    good = signed(card, payload, typ=typ)
    assert check(good).payload == payload
    other = signed(authority.card(), payload, typ=typ)
    for text, changed, code in [
        (other, {}, "K-425"),
        (good, {"payload": b"{}"}, "R-117"),
        (good, {"typ": "irefuda.production.registration-application.v1"}, "R-117"),
        (good[:-8] + "AAAAAAAA", {}, "K-432"),
        ("a.b", {}, "K-431"),
        (good, {"now": NOON + timedelta(days=1000)}, "K-404"),
    ]:
        with pytest.raises(Refused) as failure:
            check(text, **changed)
        assert codes(failure) == [code]


def test_a_certificate_that_was_judged_already_is_not_judged_again_and_no_other_is_spared(authority, card, tmp_path):
    trust(authority, tmp_path)
    payload, typ = b'{"a":1}', "irefuda.practice.registration-application.v1"
    asked = {
        "fingerprint": read_certificate(card.der).fingerprint, "payload": payload, "typ": typ, "audience": "supplier",
        "jws_text": signed(card, payload, typ=typ), "now": NOON + timedelta(days=1000),
    }  # fmt: skip
    assert operations.check_signature(**asked, judged=card.der).payload == payload
    for other in (authority.card().der, b""):
        with pytest.raises(Refused) as failure:
            operations.check_signature(**asked, judged=other)
        assert codes(failure) == ["K-404"]


def test_reading_a_card_uses_its_authoritys_mapping(authority, card, tmp_path):
    mapping = {"company_name": [["subject.O"]], "company_address": [], "holder_name": [["san.T", "san.CN"]], "holder_address": []}  # fmt: skip
    trust(authority, tmp_path, mapping=mapping)
    shown = operations.read(card.der)
    assert (shown.company_name, shown.holder_name) == ("Test Shokai", "代表取締役 テスト 1太郎")


def test_old_nonces_are_purged(authority):
    fresh_nonce(number=1)
    fresh_nonce(number=2, now=NOON + timedelta(minutes=1))
    assert operations.purge_nonces(now=NOON + timedelta(minutes=5)) == 1
    assert Nonce.objects.count() == 1
