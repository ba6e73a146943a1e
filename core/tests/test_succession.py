"""Keys and logs that hand over: what a reader who trusts one of the line comes to trust, and what he does not."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core import note, receipt, succession

LOG = "open.city.example.jp/ledger/practice"
KEYS = [Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in range(1, 9)]
ROOT = bytes(32)


def verifier(number: int, log: str = LOG) -> note.VerifierKey:
    return note.verifier_key(log, KEYS[number].public_key())


def head(size: int, *lines: str, by: int, log: str = LOG) -> str:
    return note.sign_checkpoint(note.Checkpoint(log, size, ROOT, ("rows x", *lines)), KEYS[by])


def rotation(size: int, *, by: int, to: int) -> str:
    return head(size, succession.next_head_key_line(verifier(to)), by=by)


def opening(size: int, old: note.Checkpoint, *, by: int, log: str) -> str:
    return note.cosign_note(head(size, succession.succeeds_line(old), by=by, log=log), name=old.origin, key=KEYS[by])


@given(st.permutations(range(5)))
def test_the_line_of_keys_is_followed_in_whatever_order_its_heads_come(order):
    line = [rotation(10 * (n + 1), by=n, to=n + 1) for n in range(5)]
    trusted = succession.follow([verifier(0)], {}, [line[n] for n in order])
    assert trusted.head_keys == [verifier(n) for n in range(6)]
    for n in range(5):
        assert succession.verify_head(head(10 * (n + 1), by=n), trusted).size == 10 * (n + 1)
        with pytest.raises(succession.RetiredKey):
            succession.verify_head(head(10 * (n + 1) + 1, by=n), trusted)
    assert succession.verify_head(head(999, by=5), trusted).size == 999


def test_a_gap_in_the_line_is_not_crossed():
    trusted = succession.follow([verifier(0)], {}, [rotation(20, by=1, to=2)])
    assert trusted.head_keys == [verifier(0)]
    with pytest.raises(note.UnsignedNote):
        succession.verify_head(head(30, by=2), trusted)


def test_a_key_names_one_successor_only():
    first, second = rotation(10, by=0, to=1), rotation(9, by=0, to=2)
    assert verifier(2) not in succession.follow([verifier(0)], {}, [first, second]).head_keys


def test_a_new_receipt_key_is_believed_when_a_head_names_it():
    public = KEYS[5].public_key()
    text = head(10, succession.next_receipt_key_line(public), by=0)
    kid = receipt.public_jwk(public)["kid"]
    assert kid in succession.follow([verifier(0)], {}, [text]).receipt_keys
    assert succession.follow([verifier(1)], {}, [text]).receipt_keys == {}


def test_logs_that_succeed_each_other_are_followed():
    second, third = f"{LOG}/2", f"{LOG}/3"
    line = [
        opening(4, note.Checkpoint(LOG, 9, ROOT), by=0, log=second),
        opening(5, note.Checkpoint(second, 12, ROOT), by=0, log=third),
    ]
    trusted = succession.follow([verifier(0)], {}, line[::-1])
    assert trusted.leads(LOG, third)
    assert trusted.leads(second, third)
    assert not trusted.leads(third, LOG)
    assert succession.verify_head(head(6, by=0, log=third), trusted).origin == third
    assert succession.verify_head(head(9, by=0), trusted).size == 9
    with pytest.raises(succession.RetiredKey):
        succession.verify_head(head(10, by=0), trusted)


def test_logs_in_a_circle_end():
    trusted = succession.Trusted([], {}, {}, {"a": "b", "b": "a"})
    assert not trusted.leads("a", "c")


def test_only_the_named_key_may_follow():
    plain, named = head(1, by=0), rotation(2, by=0, to=1)
    assert succession.may_follow(plain, verifier(0))
    assert not succession.may_follow(plain, verifier(1))
    assert succession.may_follow(named, verifier(1))
    assert not succession.may_follow(named, verifier(0))
    assert not succession.may_follow("nothing", verifier(0))


@pytest.mark.parametrize(
    "line",
    [
        "next-head-key x",
        f"next-head-key {verifier(1, 'other.jp/ledger')}",
        "next-receipt-key AAAA",
        "next-receipt-key ä",
        "succeeds x",
        f"succeeds {LOG} 3 {'A' * 43}=",
        "succeeds other.jp -1 x",
    ],
)
def test_a_line_that_names_nothing_is_not_believed(line):
    trusted = succession.follow([verifier(0)], {}, [head(3, line, by=0)])
    assert trusted.head_keys == [verifier(0)]
    assert (trusted.receipt_keys, trusted.last_size, trusted.next_log) == ({}, {}, {})
