"""The one form of a document: the same object always gives the same bytes, and no other bytes are taken."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core.canonical import NotCanonical, canonical_json, parse_canonical

values = st.text(st.characters(exclude_categories=["Cs"])) | st.integers(-(2**53) + 1, 2**53 - 1)
objects = st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), values)


@given(objects)
def test_what_is_written_is_read_again(value):
    written = canonical_json(value)
    assert parse_canonical(written) == value
    assert canonical_json(dict(reversed(value.items()))) == written


@given(objects)
def test_any_json_reader_understands_it(value):
    assert json.loads(canonical_json(value)) == value


@given(st.binary() | objects.map(json.dumps).map(str.encode))
def test_bytes_are_taken_only_in_the_one_form(document):
    try:
        value = parse_canonical(document)
    except NotCanonical:
        return
    assert canonical_json(value) == document


def test_the_examples_of_the_rfc():
    # RFC 8785, section 3.2.2 (strings) and 3.2.3 (order by UTF-16 code units, where U+FB33 comes after U+1F600).
    string = '€$\u000f\nA\'B"\\\\"/'
    assert canonical_json({"string": string}) == '{"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()
    members = {"€": "Euro Sign", "\r": "Carriage Return", "\ufb33": "Hebrew Letter Dalet With Dagesh", "1": "One",
               "😀": "Emoji: Grinning Face", "\u0080": "Control", "ö": "Latin Small Letter O With Diaeresis"}  # fmt: skip
    order = ["Carriage Return", "One", "Control", "Latin Small Letter O With Diaeresis", "Euro Sign",
             "Emoji: Grinning Face", "Hebrew Letter Dalet With Dagesh"]  # fmt: skip
    assert list(json.loads(canonical_json(members)).values()) == order


@pytest.mark.parametrize("name", ["髙橋", "葛\U000e0100城", "か\u3099", "\u2028", "\x7f", "が"])
def test_no_character_is_escaped_or_composed_without_need(name):
    assert canonical_json({"name": name}) == f'{{"name":"{name}"}}'.encode()


@pytest.mark.parametrize(
    "value",
    [{"a": 1.0}, {"a": True}, {"a": None}, {"a": ["b"]}, {"a": {"b": "c"}}, {"a": 2**53}, {"a": "\ud800"}, {1: "a"}],
    ids=str,
)
def test_only_strings_and_exact_integers_can_be_written(value):
    with pytest.raises(NotCanonical):
        canonical_json(value)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}\n",
        b" {}",
        b"[]",
        b'"a"',
        b'{"a": "b"}',
        b'{"b":"1","a":"2"}',
        b'{"a":"1","a":"1"}',
        b'{"a":"1","a":"2"}',
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":true}',
        b'{"a":null}',
        b'{"a":"\\u0041"}',
        b'{"a":"\\/"}',
        b'{"a":"\\u000F"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b'\xef\xbb\xbf{"a":"b"}',
        '{"a":"b"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":"b"',
    ],
    ids=lambda document: repr(document[:20]),
)
def test_other_bytes_for_the_same_or_another_thing_are_refused(document):
    with pytest.raises(NotCanonical):
        parse_canonical(document)
