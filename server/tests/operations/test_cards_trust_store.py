"""Authorities are added and removed by command; what cannot be an authority is refused with its reason."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from card_support import fresh_nonce, token, trust
from cryptography.hazmat.primitives.serialization import Encoding
from django.core.management import CommandError, call_command
from pki_builder import NOON, Authority

from irefuda.cards import operations, trust_store
from irefuda.cards.models import RevocationListRecord, TrustedAuthority
from irefuda.ui import clock
from irefuda_core.certificate import fingerprint_of
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def authority():
    return Authority(at=clock.now())


@pytest.fixture
def files(authority, tmp_path):
    (tmp_path / "root.pem").write_bytes(authority.root.certificate.public_bytes(Encoding.PEM))
    (tmp_path / "issuing.der").write_bytes(authority.issuing.der)
    (tmp_path / "card.der").write_bytes(authority.card().der)
    (tmp_path / "ca.crl").write_bytes(authority.crl())
    return tmp_path


def command(*arguments):
    output = StringIO()
    call_command("trust", *map(str, arguments), stdout=output)
    return output.getvalue()


def add(files, *more):
    return command("add", "--name", "練習認証局", "--audience", "supplier", "--root", files / "root.pem", *more)


def test_add_list_remove(authority, files):
    assert "登録されていません" in command("list")
    assert "fetch_revocations" in add(
        files, "--intermediate", files / "issuing.der", "--policy", "1.2.3", "--crl", (files / "ca.crl").as_uri(), "--demo"
    )  # fmt: skip
    call_command("fetch_revocations", stdout=StringIO())
    listed, fingerprint = command("list"), fingerprint_of(authority.root.der)
    for shown in (
        "練習認証局（受注者、練習用）",
        "OU=testca,O=test,ST=Kanagawa,C=JP",
        "1.2.3",
        "番号1、次回更新",
        fingerprint,
    ):
        assert shown in listed
    assert "外しました" in command("remove", "--name", "練習認証局")
    assert not TrustedAuthority.objects.exists()
    assert RevocationListRecord.objects.count() == 1


def test_production_takes_no_demo_authority(files, settings):
    settings.PRACTICE = False
    with pytest.raises(CommandError, match="本番では、練習用"):
        add(files, "--demo")
    assert "登録しました" in add(files)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--root", "card.der"], "認証局の証明書ではありません"),
        (["--root", "issuing.der"], "自分自身の署名"),
        (["--root", "ca.crl"], "証明書として読めない"),
        (["--root", "absent"], "ファイルを読めません"),
        (["--intermediate", "card.der"], "認証局の証明書ではありません"),
        (["--intermediate", "stranger.der"], "つながりません"),
        (["--policy", "1.2.x"], "証明書ポリシー"),
        (["--crl", "ldap://example.jp/"], "失効リストの取得先"),
        (["--crl", "http://[::1/list.crl"], "失効リストの取得先"),
        (["--grace-hours", "1000"], "猶予"),
        (["--mapping", "mapping.json"], "対応表"),
        (["--mapping", "card.der"], "対応表がJSON"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_bad_arguments_have_their_reason(files, arguments, why):
    (files / "stranger.der").write_bytes(Authority(label="stranger", at=clock.now()).issuing.der)
    (files / "mapping.json").write_text(json.dumps({"company_name": "san.O"}))
    option, value = arguments
    path = value if option in ("--policy", "--crl", "--grace-hours") else files / value
    with pytest.raises(CommandError, match=why):
        add(files, option, path)
    assert not TrustedAuthority.objects.exists()


def test_a_name_stands_once(files):
    add(files)
    with pytest.raises(CommandError, match="既に登録"):
        add(files)
    with pytest.raises(CommandError, match="登録されていません"):
        command("remove", "--name", "別の名前")


def test_a_certificate_past_its_dates_is_refused():
    old = Authority(at=NOON.replace(year=1990))
    with pytest.raises(trust_store.BadAuthority, match="有効期間外"):
        trust_store.add_authority(name="x", audience="supplier", root=old.root.der, practice=True, now=NOON)


def test_a_removed_authoritys_cards_are_refused_at_once(tmp_path):
    authority = Authority()
    trust(authority, tmp_path)
    card = authority.card()
    proof = {"nonce_browser": "b" * 43, "origin": "http://localhost:8000", "audience": "supplier", "now": NOON}
    assert operations.prove_card(token_text=token(card, fresh_nonce(number=1)), **proof)
    trust_store.remove_authority(name="入札市練習認証局")
    with pytest.raises(Refused) as failure:
        operations.prove_card(token_text=token(card, fresh_nonce(number=2)), **proof)
    assert [reason.code for reason in failure.value.refusals] == ["K-402"]


def test_the_mapping_is_checked_to_its_last_word():
    whole = {"company_name": [["san.O"]], "company_address": [], "holder_name": [["san.CN"]], "holder_address": []}
    assert trust_store.checked_mapping(whole) == whole
    assert trust_store.checked_mapping({}) == {}
    for spoiled in ([], {"company_name": []}, whole | {"holder_name": [["san.X"]]}, whole | {"holder_name": [[]]}):
        with pytest.raises(trust_store.BadAuthority):
            trust_store.checked_mapping(spoiled)
