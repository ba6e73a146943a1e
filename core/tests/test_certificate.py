"""What a certificate says, by the mapping of its authority (manual: ICカード企業名称, 企業住所, 取得者氏名, 取得者住所)."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st
from pki_builder import NOON, Authority, name

from irefuda_core.certificate import ABSENT, UnreadableCertificate, load, read_certificate, shown

KEY = ec.derive_private_key(7, ec.SECP256R1())
FIELDS = ("company_name", "company_address", "holder_name", "holder_address")
SEED_MAPPING = {
    "company_name": [["san.O"], ["subject.O"]],
    "company_address": [["san.ST", "san.L"]],
    "holder_name": [["san.CN"], ["subject.CN"]],
    "holder_address": [["subject.ST", "subject.L"]],
}


def certificate(subject, san=None):
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(name(C="JP", O="CA"))
        .public_key(KEY.public_key())
        .serial_number(7)
        .not_valid_before(NOON)
        .not_valid_after(NOON)
    )
    if san is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    return builder.sign(KEY, SHA256()).public_bytes(Encoding.DER)


def words(der, *mapping):
    card = read_certificate(der, *mapping)
    return tuple(shown(getattr(card, field)) for field in FIELDS)


def test_the_manual_s_card_shows_its_holder_s_address():
    subject = name(C="JP", ST="Kanagawa", L="Kawasaki", O="Test", CN="Bidca4")
    assert words(certificate(subject), SEED_MAPPING) == ("Test", ABSENT, "Bidca4", "Kanagawa Kawasaki")


@pytest.mark.parametrize(
    ("parts", "address"),
    [({}, ABSENT), ({"ST": "Kanagawa"}, "Kanagawa"), ({"L": "Kawasaki"}, "Kawasaki")],
)
def test_an_absent_value_is_said_to_be_absent_and_never_null(parts, address):
    assert words(certificate(name(C="JP", **parts)), SEED_MAPPING) == (ABSENT, ABSENT, ABSENT, address)


def test_a_field_that_the_mapping_does_not_have_is_absent():
    assert words(certificate(name(O="Test", CN="Taro")), {"holder_name": [["subject.CN"]]}) == (
        ABSENT,
        ABSENT,
        "Taro",
        ABSENT,
    )


def test_the_japanese_names_come_first_and_the_latin_ones_fill_nothing_in():
    latin, japanese = name(ST="Aomori", O="Test Shokai", CN="Taro"), name(O="株式会社テスト商会01")
    der = certificate(latin, [x509.RFC822Name("a@example.jp"), x509.DirectoryName(japanese)])
    assert words(der) == ("株式会社テスト商会01", "Aomori", "Taro", ABSENT)
    assert words(certificate(latin, [x509.RFC822Name("a@example.jp")])) == ("Test Shokai", "Aomori", "Taro", ABSENT)


def test_of_an_attribute_that_is_there_twice_the_first_counts_and_unknown_ones_are_passed_over():
    attributes = [
        x509.NameAttribute(NameOID.EMAIL_ADDRESS, "a@example.jp"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "一番"),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, "二番"),
    ]
    assert words(certificate(x509.Name(attributes)))[0] == "一番"


def test_the_kind_of_key_is_told():
    authority = Authority(root_key=KEY, issuing_key=KEY)
    other = authority.card(key=ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)))
    read = [read_certificate(der) for der in (authority.issuing.der, Authority(root_key=KEY).issuing.der, other.der)]
    assert [(card.key_kind, card.key_size) for card in read[:2]] == [("EC", 256), ("RSA", 2048)]
    assert read[2].key_size == 0


@pytest.mark.parametrize("bad", ["改行\nあり", "タブ\tあり", "\x7f", "\x85", "段落\u2029"])
def test_names_with_control_characters_are_not_read(bad):
    with pytest.raises(UnreadableCertificate):
        read_certificate(certificate(name(O="Test"), [x509.DirectoryName(name(O=bad))]))


@given(st.binary(max_size=40) | st.integers(0, 200).map(lambda cut: certificate(name(O="Test"))[:cut]))
def test_no_bytes_make_the_reader_fail_otherwise(der):
    with pytest.raises(UnreadableCertificate):
        read_certificate(der)


@given(st.dictionaries(st.sampled_from(["ST", "L", "O", "CN"]), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=10)))  # fmt: skip
def test_only_what_the_certificate_says_is_shown(parts):
    company, address, holder, _ = words(certificate(name(**parts)))
    assert company == parts.get("O", ABSENT)
    assert holder == parts.get("CN", ABSENT)
    assert address == (" ".join(parts[part] for part in ("ST", "L") if part in parts) or ABSENT)


def test_a_certificate_with_an_impossible_day_cannot_be_read():
    der = Authority().card(ends=timedelta(days=300_000)).der
    at = der.index(b"\x18\x0f") + 2
    with pytest.raises(UnreadableCertificate):
        load(der[:at] + b"00000101000000Z" + der[at + 15 :])
