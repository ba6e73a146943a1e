"""Signed notes and checkpoints against the reference example, and against every single changed byte."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core import note

VECTOR = json.loads((Path(__file__).parent.parent / "vectors" / "signed-note.json").read_text())
ORIGIN = "open.city.example.jp/ledger/practice"
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
VERIFIER = note.verifier_key(ORIGIN, KEY.public_key())
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))


def signed(**changes: object) -> str:
    checkpoint = {"origin": ORIGIN, "size": 5, "root": bytes(32)} | changes
    return note.sign_checkpoint(note.Checkpoint(**checkpoint), KEY)


def test_the_reference_example_is_made_and_read_byte_for_byte():
    example = f"{VECTOR['text']}\n{VECTOR['signature_line']}\n"
    key = note.parse_verifier_key(VECTOR["verifier_key"])
    assert str(key) == VECTOR["verifier_key"]
    assert note.verify_note(example, [key]) == VECTOR["text"]
    seed = base64.b64decode(VECTOR["private_key"].split("+", 4)[4])[1:]
    assert note.sign_note(VECTOR["text"], name=key.name, key=Ed25519PrivateKey.from_private_bytes(seed)) == example


@given(
    st.integers(0, 2**60),
    st.binary(min_size=32, max_size=32),
    st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=20), max_size=3),
)
def test_a_checkpoint_is_read_as_it_was_signed(size, root, extensions):
    checkpoint = note.Checkpoint(ORIGIN, size, root, tuple(extensions))
    assert note.verify_checkpoint(note.sign_checkpoint(checkpoint, KEY), [VERIFIER]) == checkpoint


def test_no_changed_byte_passes():
    whole = signed(extensions=("hint",)).encode()
    for position in range(len(whole)):
        changed = bytearray(whole)
        changed[position] ^= 1
        try:
            text = changed.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(note.NoteFailure):
            note.verify_checkpoint(text, [VERIFIER])


def test_whose_signature_counts():
    text = note.checkpoint_text(note.Checkpoint(ORIGIN, 5, bytes(32)))
    stranger = note.sign_note(text, name="stranger.example.jp", key=OTHER)
    with pytest.raises(note.UnsignedNote):
        note.verify_checkpoint(stranger, [VERIFIER, note.verifier_key("stranger.example.jp", OTHER.public_key())])
    witnessed = signed() + stranger.rpartition("\n\n")[2]
    assert note.verify_checkpoint(witnessed, [VERIFIER]).size == 5
    forged = signed().replace("\n5\n", "\n6\n")
    with pytest.raises(note.WrongNoteSignature) as caught:
        note.verify_checkpoint(forged, [VERIFIER])
    assert caught.value.refusal.code == "L-613"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "origin\n",
        f"{ORIGIN}\n5\n\n",
        f"{ORIGIN}\n05\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n-5\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n５\n{base64.b64encode(bytes(32)).decode()}\n",
        f"{ORIGIN}\n5\n{base64.b64encode(bytes(31)).decode()}\n",
        f"{ORIGIN}\n5\n{base64.b64encode(bytes(32)).decode()}",
        f"{ORIGIN}\n5\n{base64.b64encode(bytes(32)).decode()}\n\n",
        f"{ORIGIN}\n5\nnot base64!\n",
    ],
)
def test_what_is_no_checkpoint(text):
    with pytest.raises(note.MalformedNote):
        note.read_checkpoint(text)


@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[:-1],
        lambda whole: whole.replace("— ", "- "),
        lambda whole: whole.replace("\n", "\r\n"),
        lambda whole: whole + "\n" * note.MAX_LENGTH,
        lambda whole: whole + whole.splitlines(keepends=True)[-1] * note.MAX_SIGNATURES,
        lambda whole: whole.replace("\n\n", "\n"),
    ],
)
def test_a_damaged_note_is_named_as_such(damage):
    with pytest.raises(note.MalformedNote):
        note.verify_checkpoint(damage(signed()), [VERIFIER])


@pytest.mark.parametrize("text", ["", "name", "name+00000000+AQ==", str(VERIFIER)[:-4], "x" + str(VERIFIER)])
def test_what_is_no_verifier_key(text):
    with pytest.raises(note.MalformedNote):
        note.parse_verifier_key(text)


def test_what_cannot_be_signed():
    for text in ("no line break", "tab\there\n", ""):
        with pytest.raises(ValueError, match="line break"):
            note.sign_note(text, name=ORIGIN, key=KEY)
    for name in ("two words", "a+b", ""):
        with pytest.raises(ValueError, match="white space"):
            note.sign_note("text\n", name=name, key=KEY)
