"""The practice city's authority and demo cards: made by the tool, put into the trust store by the commands."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path

import pytest
from card_support import token
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.core.management import call_command
from pki_builder import Issued
from tools import practice_cards

from irefuda.cards import operations
from irefuda_core.refusal import Refused

NOW = datetime.now(UTC).replace(microsecond=0)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return practice_cards.make(tmp_path_factory.mktemp("cards"), now=NOW)


def issued(card):
    certificate = x509.load_pem_x509_certificate(Path(card["certificate"]).read_bytes())
    return Issued(certificate, load_pem_private_key(Path(card["key"]).read_bytes(), password=None))


@pytest.fixture
def trusted(made, db):
    authority = made["authority"]
    call_command(
        "trust", "add", "--name", authority["name"], "--audience", "supplier", "--root", authority["root"],
        "--intermediate", authority["issuing"], "--policy", authority["policy"],
        "--crl", Path(authority["revocation_list"]).as_uri(), "--demo", stdout=StringIO(),
    )  # fmt: skip
    call_command("fetch_revocations", stdout=StringIO())


def answer_to(card, *, now=NOW + timedelta(minutes=5)):
    nonce = operations.issue_nonce(browser="b", now=now, entropy=bytes.fromhex(card["fingerprint"]))
    try:
        proven = operations.prove_card(
            token_text=token(issued(card), nonce),
            nonce_browser="b",
            origin="http://localhost:8000",
            audience="supplier",
            now=now,
        )
    except Refused as refused:
        return [reason.code for reason in refused.refusals]
    return (proven.card.company_name, proven.card.holder_name, proven.demo)


def test_every_demo_card_is_what_it_says(made, trusted):
    answers = {card["name"]: answer_to(card) for card in made["cards"]}
    assert answers == {
        "good": ("株式会社テスト商会01", "テスト 1太郎", True),
        "second": ("株式会社テスト商会01", "テスト 1花子", True),
        "expiring": ("株式会社テスト商会01", "テスト 1次郎", True),
        "expired": ["K-404"],
        "revoked": ["K-409"],
        "other": ("株式会社テスト商会02", "テスト 2太郎", True),
        "ec": ("株式会社テスト商会03", "テスト 3太郎", True),
        "renewal": ("株式会社テスト商会01", "テスト 1次郎", True),
        "renewal-2": ("株式会社テスト商会01", "テスト 1次郎", True),
    }
    # The card dialogue shows company, holder and end: that must be enough to choose one.
    shown = {(card["company"], card["holder"], card["valid_until"][:10]) for card in made["cards"]}
    assert len(shown) == len(made["cards"])


def test_making_them_again_changes_nothing(made):
    directory = Path(made["softhsm2_conf"]).parent
    before = {path: path.stat().st_mtime_ns for path in (directory / "ca").iterdir()}
    assert practice_cards.make(directory, now=NOW + timedelta(days=1)) == made
    assert {path: path.stat().st_mtime_ns for path in (directory / "ca").iterdir()} == before
    assert json.loads((directory / "cards.json").read_text()) == made


def test_each_card_is_in_a_reader_of_its_own_with_its_key_behind_the_pin(made):
    environment = {**os.environ, "SOFTHSM2_CONF": made["softhsm2_conf"]}
    for card in made["cards"]:
        command = ["pkcs11-tool", "--module", made["module"], "--token-label", card["label"], "--list-objects"]
        public = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
        assert ("Certificate Object" in public, "Private Key" in public) == (True, False)
        opened = subprocess.run(
            [*command, "--login", "--pin", card["pin"]], env=environment, capture_output=True, text=True, check=True
        ).stdout
        assert "Private Key" in opened


def test_cards_past_their_purpose_are_made_again(tmp_path):
    first = practice_cards.make(tmp_path, now=NOW, only=["expiring", "revoked"])
    later = NOW + timedelta(days=19)
    second = practice_cards.make(tmp_path, now=later, only=["expiring", "revoked"])
    assert first["cards"][0]["serial"] != second["cards"][0]["serial"]
    assert first["cards"][1] == second["cards"][1]
    assert datetime.fromisoformat(second["cards"][0]["valid_until"]) == later + timedelta(days=20)
    crl = x509.load_der_x509_crl((tmp_path / "ca" / "practice.crl").read_bytes())
    assert [entry.serial_number for entry in crl] == [int(first["cards"][1]["serial"])]
    third = practice_cards.make(tmp_path, now=NOW + timedelta(days=400), only=["expiring", "revoked"])
    renewed = x509.load_der_x509_crl((tmp_path / "ca" / "practice.crl").read_bytes())
    assert renewed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == 2
    assert renewed.get_revoked_certificate_by_serial_number(int(third["cards"][1]["serial"]))
