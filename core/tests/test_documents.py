"""What a card may sign: a document of a known type, complete, with nothing in it that people do not see."""

import json
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core import documents
from irefuda_core.canonical import canonical_json

REALM, ORIGIN = "practice", "http://localhost:8000"
TYPE = documents.registration_application
EVERY_FIELD = [(kind, field) for kind in documents.TYPES.values() for field in kind.fields]
_SPECIAL = {
    "agency_code": "9991",
    "supplier_number": "990000001",
    "certificate_serial": "246187065731116185158328469941009070494604893755",
    "certificate_expires_on": "2027/03/31",
    "certificate_fingerprint": "ab" * 32,
}


_SPECIAL |= {f"{which}_{key}": value for which in ("old", "new") for key, value in _SPECIAL.items()} | {
    "company_id": "999210000000011",
    "based_on": "1-0",
    "handover_sha256": "cd" * 32,
}


def application(kind=TYPE, **changes):
    """Return a document with these members changed; None removes one."""
    values = {field.key: _SPECIAL.get(field.key, "高橋" if field.required else "") for field in kind.fields} | {
        "type": kind.name,
        "realm": REALM,
        "origin": ORIGIN,
        "document_id": "0f6a5f1e-3c5c-4d5f-9d0a-6a7f1f1b8a11",
        "issued_at": "2026-11-24T09:00:00+09:00",
        **changes,
    }
    return {key: value for key, value in values.items() if value is not None}


def read(payload):
    return documents.read_document(payload, realm=REALM, origin=ORIGIN)


def test_an_application_is_read_and_every_field_is_shown_under_its_japanese_name():
    values = application(person_in_charge="青森 花子")
    document = read(canonical_json(values))
    assert document.values == values
    headings = [heading for heading, _ in document.sections]
    assert headings == ["申請先", "企業情報", "代表窓口情報", "ICカード利用部署情報", "ICカード情報", "申請者"]
    shown = [row for _, rows in document.sections for row in rows]
    assert len(shown) == len(TYPE.fields)
    assert ("担当者", "青森 花子") in shown
    assert ("提出先のサイト", ORIGIN) in document.envelope
    assert ("文書番号", values["document_id"]) in document.envelope
    assert ("文書の日時", "2026年11月24日 09時00分00秒") in document.envelope
    assert ("運用の区分", "練習") in document.envelope


def test_the_header_type_binds_realm_and_version():
    assert TYPE.typ("practice") == "irefuda.practice.registration-application.v1"
    assert len({field.key for field in TYPE.fields} | set(documents.ENVELOPE)) == len(TYPE.fields) + 5


def test_a_name_with_a_variation_selector_is_as_long_as_it_looks():
    person = "葛\U000e0100" * 20
    assert read(canonical_json(application(person_in_charge=person))).values["person_in_charge"] == person


BAD = [
    {"type": "another"},
    {"type": None},
    {"realm": "production"},
    {"realm": None},
    {"origin": "http://localhost:8001"},
    {"origin": None},
    {"document_id": "1"},
    {"document_id": "0F6A5F1E-3C5C-4D5F-9D0A-6A7F1F1B8A11"},
    {"document_id": ""},
    {"issued_at": "2026-11-24"},
    {"issued_at": "2026-02-30T09:00:00+09:00"},
    {"issued_at": "2026-11-24T09:00:00Z"},
    {"issued_at": "２026-11-24T09:00:00+09:00"},
    {"company_name": None},
    {"company_name": ""},
    {"company_name": "株" * 401},
    {"company_name": "株式\n会社"},
    {"company_name": "株式\u2028会社"},
    {"company_name": "株式\u202e会社"},
    {"company_name": "株式\0会社"},
    {"company_name": 1},
    {"amount": "100"},
    {"agency_code": "99911"},
    {"agency_code": "９９９１"},
    {"supplier_number": "99000000"},
    {"supplier_number": "99000000a"},
    {"certificate_serial": "0x1f"},
    {"certificate_fingerprint": "AB" * 32},
    {"certificate_expires_on": "2027-03-31"},
    {"rep_email": "a" * 101},
    {"person_in_charge": "あ" * 21},
]


@pytest.mark.parametrize("changes", BAD, ids=str)
def test_any_other_content_is_refused_and_nothing_is_signed(changes):
    with pytest.raises(documents.UnknownDocument) as failure:
        read(canonical_json(application(**changes)))
    assert failure.value.refusal.code == "K-440"


@pytest.mark.parametrize("kind", documents.TYPES.values(), ids=lambda kind: kind.name)
def test_no_member_may_be_missing_nor_be_there_under_another_name(kind):
    assert read(canonical_json(application(kind))).type is kind
    for key in [*documents.ENVELOPE, *(field.key for field in kind.fields)]:
        with pytest.raises(documents.UnknownDocument):
            read(canonical_json(application(kind, **{key: None})))
        with pytest.raises(documents.UnknownDocument):
            read(canonical_json(application(kind, **{key: None, f"{key}_": application(kind)[key]})))
        with pytest.raises(documents.UnknownDocument):
            read(canonical_json(application(kind, **{f"{key}_": ""})))


@pytest.mark.parametrize(("kind", "field"), EVERY_FIELD, ids=lambda part: getattr(part, "key", None))
def test_only_what_may_be_empty_is_empty_and_nothing_is_over_its_length(kind, field):
    if field.required:
        with pytest.raises(documents.UnknownDocument):
            read(canonical_json(application(kind, **{field.key: ""})))
    else:
        assert read(canonical_json(application(kind, **{field.key: ""}))).values[field.key] == ""
    with pytest.raises(documents.UnknownDocument):
        read(canonical_json(application(kind, **{field.key: "1" * (field.max_length + 1)})))


def test_other_bytes_for_the_same_content_are_refused():
    for other in (json.dumps(application()).encode(), canonical_json(application()) + b"\n", b"x" * 1_000_000):
        with pytest.raises(documents.UnknownDocument):
            read(other)


@given(
    st.binary()
    | st.dictionaries(st.sampled_from(sorted(application())), st.text(st.characters(exclude_categories=["Cs"]))).map(
        lambda changes: canonical_json(application() | changes)
    )
)
def test_no_bytes_make_the_reader_fail_otherwise(payload):
    try:
        document = read(payload)
    except documents.UnknownDocument:
        return
    assert canonical_json(document.values) == payload


def test_exactly_the_signs_that_break_or_reorder_a_line_are_refused():
    field = documents.Field("key", "label", "section")
    # The embeddings, overrides and isolates, and the three marks, of Unicode's bidirectional algorithm.
    reordering = {*"\u061c\u200e\u200f", *map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)])}
    refused, taken = [], []
    for sign in map(chr, range(sys.maxunicode + 1)):
        bad = sign in reordering or unicodedata.category(sign) in ("Cc", "Cs", "Zl", "Zp")
        (refused if bad else taken).append(sign)
    assert [sign for sign in refused if field.takes(f"髙{sign}橋")] == []
    lines = ("".join(taken[start : start + 100]) for start in range(0, len(taken), 100))
    assert [line for line in lines if not field.takes(line)] == []
