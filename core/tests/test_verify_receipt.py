"""`irefuda-verify receipt`: a true file passes, and every lie in it is named."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

from irefuda_core import canonical, jws, merkle, note, receipt
from irefuda_verify.__main__ import main

LOG = "open.city.example.jp/ledger/practice"
AT = datetime(2026, 11, 24, 0, 0, tzinfo=UTC)
RECEIPT_KEY, HEAD_KEY = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
KEYS = {
    "format": "irefuda-ledger-keys/1",
    "log": LOG,
    "realm": "practice",
    "receipt_keys": [receipt.public_jwk(RECEIPT_KEY.public_key())],
    "head_keys": [str(note.verifier_key(LOG, HEAD_KEY.public_key()))],
}
SALT = bytes(range(16))


def signed_document(holder: str = "Kuji Taro", payload: bytes = b'{"type":"x"}') -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, holder)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(AT)
        .not_valid_after(AT + timedelta(days=365))
        .sign(key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )
    header = jws.header_for([certificate], algorithm="ES256", typ="irefuda.practice.x.v1", iat=int(AT.timestamp()))
    message = jws.signing_input(payload, header)
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return jws.assemble(message, r.to_bytes(32, "big") + s.to_bytes(32, "big"))


DOCUMENT = signed_document()


def signed_receipt(**changes: Any) -> str:
    facts = {
        "realm": "practice",
        "origin": "http://localhost:8000",
        "log": LOG,
        "entry_id": "7d0f7c1e-1111-4222-8333-444455556666",
        "entry_hash": receipt.entry_hash(salt=SALT, document=DOCUMENT.encode()),
        "received_at": AT,
        "include_by": AT + receipt.PROMISE,
    }
    return receipt.sign_receipt(receipt.Receipt(**facts | changes), RECEIPT_KEY)


def proof(*, log: str = LOG, key: Ed25519PrivateKey = HEAD_KEY) -> dict[str, Any]:
    entry = receipt.entry_hash(salt=SALT, document=DOCUMENT.encode())
    leaves = [merkle.leaf_hash(content) for content in (b"a", b"b", entry, b"c", b"d")]
    nodes: dict[tuple[int, int], bytes] = {}
    nodes.update(
        {(level, index): item for level, index, item in merkle.completed_nodes(0, leaves, lambda *place: nodes[place])}
    )

    def read(level: int, index: int) -> bytes:
        return nodes[level, index]

    return {
        "leaf_index": 2,
        "tree_size": 5,
        "hashes": [item.hex() for item in merkle.inclusion_proof(2, 5, read)],
        "checkpoint": note.sign_checkpoint(note.Checkpoint(log, 5, merkle.root(5, read)), key),
    }


def bundle() -> dict[str, Any]:
    return {
        "format": "irefuda-receipt/1",
        "document": DOCUMENT,
        "salt": SALT.hex(),
        "receipt": signed_receipt(),
        "proof": proof(),
    }


Check = Callable[..., tuple[int, str]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Check:
    """Write the file, and the keys beside it unless told otherwise, and run the checker."""

    def run(content: dict[str, Any] | bytes, keys: dict[str, Any] | bytes | None = None) -> tuple[int, str]:
        file, keys_file = tmp_path / "receipt.json", tmp_path / "keys.json"
        file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
        given = KEYS if keys is None else keys
        keys_file.write_bytes(given if isinstance(given, bytes) else json.dumps(given).encode())
        code = main(["receipt", str(file), "--keys", str(keys_file)])
        told = capsys.readouterr()
        return code, told.out + told.err

    return run


def test_a_true_file_is_proved(check):
    code, report = check(bundle())
    assert code == 0
    assert "×" not in report
    assert "△" not in report
    for line in ("文書の電子署名", "2026年11月24日 09時00分00秒", "5件のうち3番目", "すべて確かめられました"):
        assert line in report


def test_the_installed_program_runs_by_itself(tmp_path):
    (tmp_path / "receipt.json").write_text(json.dumps(bundle()))
    (tmp_path / "ledger-keys.json").write_text(json.dumps(KEYS))
    program = Path(sys.executable).parent / "irefuda-verify"
    done = subprocess.run([program, "receipt", tmp_path / "receipt.json"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "すべて確かめられました" in done.stdout


def test_without_keys_it_says_what_it_did_not_check(tmp_path, capsys):
    (tmp_path / "receipt.json").write_text(json.dumps(bundle()))
    assert main(["receipt", str(tmp_path / "receipt.json")]) == 3
    report = capsys.readouterr().out
    assert "△ 鍵のファイルがないため" in report
    assert "5件のうち3番目" in report


def test_without_keys_the_log_must_still_be_the_promised_one(tmp_path, capsys):
    (tmp_path / "receipt.json").write_text(json.dumps(bundle() | {"proof": proof(log="else.jp")}))
    assert main(["receipt", str(tmp_path / "receipt.json")]) == 1
    assert "× 台帳の署名：別の台帳（else.jp）のものです" in capsys.readouterr().out


def test_the_keys_beside_the_file_are_taken(tmp_path, capsys):
    (tmp_path / "receipt.json").write_text(json.dumps(bundle()))
    (tmp_path / "ledger-keys.json").write_text(json.dumps(KEYS))
    assert main(["receipt", str(tmp_path / "receipt.json")]) == 0
    assert "すべて確かめられました" in capsys.readouterr().out


def test_without_a_proof_it_says_when_to_come_again(check):
    code, report = check(bundle() | {"proof": None})
    assert code == 3
    assert "△ 台帳への記録：証明がまだ付いていません（記録の期限 2026年11月24日 09時01分00秒）" in report


def renewal(handover: str, **changes: str) -> dict[str, Any]:
    """Return the file of an ICカード更新 whose document names this handover."""
    named = {
        "handover_sha256": hashlib.sha256(handover.encode()).hexdigest(),
        "old_certificate_fingerprint": hashlib.sha256(jws.parse(handover).unverified_certificate).hexdigest(),
    }
    document = signed_document(payload=canonical.canonical_json(named | changes))
    entry = receipt.entry_hash(salt=SALT, document=document.encode())
    return bundle() | {
        "document": document,
        "receipt": signed_receipt(entry_hash=entry),
        "proof": None,
        "handover": handover,
    }


def test_the_receipt_of_a_renewal_proves_both_signatures(check):
    code, report = check(renewal(DOCUMENT))
    assert code == 3
    assert "×" not in report
    assert "○ ICカード引継届：文書に書かれたハッシュ値と一致し、更新前のICカードで署名されています。" in report


def other_document() -> dict[str, Any]:
    return bundle() | {"document": signed_document()}


def changed_document() -> dict[str, Any]:
    head, _, signature = DOCUMENT.split(".")
    return bundle() | {"document": f"{head}.{jws.b64url(b'{}')}.{signature}"}


STRANGER = Ed25519PrivateKey.from_private_bytes(bytes([3]) * 32)
LIES: dict[str, tuple[Callable[[], dict[str, Any]], str]] = {
    "another document": (other_document, "× 文書と受付の控え：一致しません"),
    "a changed document": (changed_document, "× 文書の電子署名：申請書の署名が正しくありません"),
    "a document by a name with control characters": (
        lambda: bundle() | {"document": signed_document("\x1b[2J")},
        "× 文書の電子署名：文書に付いている証明書を読み取れません",
    ),
    "no document": (lambda: bundle() | {"document": "nothing"}, "× 文書の電子署名：署名された申請書を読み取れません"),
    "another salt": (lambda: bundle() | {"salt": "00" * 16}, "× 文書と受付の控え：一致しません"),
    "a short salt": (lambda: bundle() | {"salt": "00"}, "× 文書と受付の控え：一致しません"),
    "a damaged receipt": (lambda: bundle() | {"receipt": signed_receipt()[:-9]}, "× 受付の控え："),
    "a receipt with other words": (
        lambda: bundle() | {"receipt": _swap_payload(signed_receipt(), signed_receipt(origin="https://x.jp"))},
        "× 受付の控え：受付の控え（レシート）の署名が正しくありません",
    ),
    "a receipt of another log": (lambda: bundle() | {"receipt": signed_receipt(log="else")}, "別の台帳（else）"),
    "a head of another key": (lambda: bundle() | {"proof": proof(key=STRANGER)}, "× 台帳の署名：台帳の記録に"),
    "a head of another log": (lambda: bundle() | {"proof": proof(log="else.jp")}, "× 台帳の署名："),
    "a changed head": (
        lambda: bundle() | {"proof": proof() | {"checkpoint": proof()["checkpoint"].replace("\n5\n", "\n6\n")}},
        "× 台帳の署名：台帳の記録の署名が正しくありません",
    ),
    "another place": (
        lambda: bundle() | {"proof": proof() | {"leaf_index": 3}},
        "× 台帳への記録：証明が台帳と合いません",
    ),
    "another size": (
        lambda: bundle() | {"proof": proof() | {"tree_size": 6}},
        "× 台帳への記録：証明が台帳と合いません",
    ),
    "another handover": (
        lambda: renewal(DOCUMENT) | {"handover": signed_document()},
        "× ICカード引継届：文書に書かれたハッシュ値と一致しない",
    ),
    "no handover": (lambda: renewal(DOCUMENT) | {"handover": ""}, "× ICカード引継届：文書に書かれたハッシュ値と"),
    "a handover that no document names": (lambda: bundle() | {"handover": DOCUMENT}, "× ICカード引継届："),
    "a handover by another card": (
        lambda: renewal(DOCUMENT, old_certificate_fingerprint="0" * 64),
        "× ICカード引継届の電子署名：文書に書かれた「現在使用しているICカード」のものではありません",
    ),
    "a handover whose signature was changed": (
        lambda: renewal(".".join([*signed_document().split(".")[:2], DOCUMENT.split(".")[2]])),
        "× ICカード引継届の電子署名：",
    ),
    "no path": (lambda: bundle() | {"proof": proof() | {"hashes": []}}, "× 台帳への記録：証明が台帳と合いません"),
}


def _swap_payload(text: str, other: str) -> str:
    parts = text.split(".")
    return ".".join([parts[0], other.split(".")[1], parts[2]])


@pytest.mark.parametrize("lie", LIES)
def test_every_lie_is_named(check, lie):
    make, named = LIES[lie]
    code, report = check(make())
    assert code == 1
    assert named in report
    assert "正しくありません。このファイルを保存したまま" in report


def test_keys_of_another_ledger_prove_nothing(check):
    others = KEYS | {"receipt_keys": [receipt.public_jwk(STRANGER.public_key())]}
    code, report = check(bundle(), others)
    assert code == 1
    assert "鍵のファイルにありません" in report


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"{",
        json.dumps(bundle()).encode()[:-20],
        b"[" * 100_000,
        b" " * 2_000_001,
        json.dumps(bundle() | {"format": "else"}).encode(),
        json.dumps({"format": "irefuda-receipt/1"}).encode(),
        json.dumps(bundle() | {"salt": "zz"}).encode(),
        json.dumps(bundle() | {"document": 7}).encode(),
        json.dumps(bundle() | {"proof": "none"}).encode(),
        json.dumps(bundle() | {"proof": proof() | {"leaf_index": True}}).encode(),
        json.dumps(bundle() | {"proof": proof() | {"hashes": ["00"] * 129}}).encode(),
    ],
)
def test_a_damaged_file_is_named_as_such(check, content):
    code, report = check(content)
    assert code == 2
    assert "エラー：" in report
    assert "受付の控えのファイル" in report


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", json.dumps(KEYS | {"head_keys": ["x"]}).encode(), json.dumps(KEYS | {"receipt_keys": [{}]}).encode()],
)
def test_a_damaged_keys_file_is_named_as_such(check, content):
    code, report = check(bundle(), content)
    assert code == 2
    assert "鍵のファイル" in report


def test_a_missing_file_is_named(capsys, tmp_path):
    assert main(["receipt", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
