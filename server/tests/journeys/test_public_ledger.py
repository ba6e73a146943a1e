"""The ledger on the public's site: what a citizen can check, and what nobody can read from it."""

from __future__ import annotations

import io
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.db import transaction

from irefuda.ledger import keys, operations, sequencer
from irefuda.ledger.models import Entry
from irefuda.ui import clock
from irefuda_core import merkle, note

pytestmark = [
    pytest.mark.usefixtures("static_files", "db"),
    pytest.mark.urls("irefuda.config.urls_public"),
]


@pytest.fixture
def site(settings: Any, client: Any, tmp_path: Any) -> Any:
    call_command("make_ledger_keys", directory=tmp_path, stdout=io.StringIO())
    settings.RECEIPT_KEY_FILE, settings.HEAD_KEY_FILE = str(tmp_path / "receipt.pem"), str(tmp_path / "head.pem")
    settings.LEDGER_KEYS_FILE = str(tmp_path / "ledger-keys.json")
    settings.ALLOWED_HOSTS = ["testserver"]
    return client


def record(count: int, at: datetime) -> list[Entry]:
    with transaction.atomic():
        entries = [
            operations.append(document=bytes([n]), kind="k", at=at, salt=secrets.token_bytes(16)) for n in range(count)
        ]
    sequencer.sequence_batch(key=keys.head_key(), now=at)
    return entries


def test_a_citizen_checks_an_entry_from_the_public_site_alone(site):
    entry = record(5, clock.now())[3]
    public = site.get("/ledger/keys.json").json()
    head = note.verify_checkpoint(
        site.get("/ledger/checkpoint").content.decode(), [note.parse_verifier_key(key) for key in public["head_keys"]]
    )
    found = site.get(f"/ledger/proof/{entry.entry_hash}.json").json()
    assert found["tree_size"] == head.size == 5
    assert merkle.verify_inclusion(
        index=found["leaf_index"],
        size=head.size,
        leaf=merkle.leaf_hash(bytes.fromhex(entry.entry_hash)),
        path=[bytes.fromhex(item) for item in found["hashes"]],
        root=head.root,
    )
    record(4, clock.now())
    later = note.read_checkpoint(site.get("/ledger/checkpoint").content.decode().partition("\n\n")[0] + "\n")
    told = site.get("/ledger/consistency", {"from": 5, "to": 9}).json()
    assert merkle.verify_consistency(
        old=5,
        new=9,
        old_root=head.root,
        new_root=later.root,
        proof=[bytes.fromhex(item) for item in told["hashes"]],
    )


def test_the_page_shows_the_head_and_says_how_to_check(site):
    record(2, clock.now())
    page = site.get("/ledger/")
    text = page.content.decode()
    assert site.get("/ledger/checkpoint").content.decode().splitlines()[2] in text.replace("&#x2B;", "+")
    assert "irefuda-verify receipt receipt.json" in text
    assert 'href="/ledger/keys.json"' in text


def test_before_anything_is_published_the_page_says_so(site):
    assert "公開できる記録がまだありません" in site.get("/ledger/").content.decode()
    answer = site.get("/ledger/checkpoint")
    assert (answer.status_code, answer.json()["code"]) == (404, "L-601")


@pytest.mark.parametrize(
    "question",
    ["", "from=1", "from=0&to=1", "from=2&to=1", "from=1&to=4", "from=-1&to=2", "from=x&to=2", "from=１&to=2",
     "from=1&to=" + "9" * 30],
)  # fmt: skip
def test_a_wrong_question_gets_a_reason(site, question):
    record(3, clock.now())
    answer = site.get(f"/ledger/consistency?{question}")
    assert (answer.status_code, answer.json()["code"]) == (400, "L-603")


def test_an_unknown_hash_gets_a_reason_and_a_wrong_address_none(site):
    record(1, clock.now())
    answer = site.get(f"/ledger/proof/{'00' * 32}.json")
    assert (answer.status_code, answer.json()["code"]) == (404, "L-602")
    assert site.get("/ledger/proof/etc.json").status_code == 404


@pytest.mark.parametrize("count", [0, 1, 5])
def test_in_production_nothing_tells_within_the_hour_how_many_applied(site, settings, count, monkeypatch):
    settings.PRACTICE = False
    hour = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
    moment = [hour]
    monkeypatch.setattr(clock, "now", lambda: moment[0])
    record(3, hour - timedelta(minutes=5))
    before = {path: site.get(path) for path in ("/ledger/", "/ledger/checkpoint", "/ledger/consistency?from=1&to=3")}
    new = record(count, hour + timedelta(minutes=10))
    moment[0] = hour + timedelta(minutes=59, seconds=59)
    for path, answer in before.items():
        again = site.get(path)
        assert again.status_code == answer.status_code == 200
        if path == "/ledger/":
            # The clock in the page's head is all that moves.
            assert len(again.content) == len(answer.content)
        else:
            assert again.content == answer.content
    assert site.get(f"/ledger/consistency?from=3&to={3 + count}").status_code == (200 if count == 0 else 400)
    unknown = site.get(f"/ledger/proof/{'00' * 32}.json")
    for entry in new:
        waiting = site.get(f"/ledger/proof/{entry.entry_hash}.json")
        assert (waiting.status_code, waiting.content) == (unknown.status_code, unknown.content)
    moment[0] = hour + timedelta(hours=1)
    assert (
        note.read_checkpoint(site.get("/ledger/checkpoint").content.decode().partition("\n\n")[0] + "\n").size
        == 3 + count
    )
