"""利用環境の確認 and 補助アプリの入手, before any login: what the server says of a certificate, of the time, and of old agents."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import datetime
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from builders import City, make_token, trust_authority
from django.apps import apps
from django.core.management import CommandError, call_command
from django.test import Client
from pki_builder import Authority

from irefuda.cards import supplier_views
from irefuda.cards.limits import Limit
from irefuda.cards.models import RevocationListRecord, TrustedAuthority, TrustVersion
from irefuda.ui import clock
from irefuda_core import trust
from irefuda_core.refusal import CATALOGUE

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files", "fresh_limit")]

ROOT = Path(__file__).parents[3]
CORPUS = ROOT / "core" / "vectors" / "certificates"
CASES = json.loads((CORPUS / "cases.json").read_text(encoding="utf-8"))["cases"]
JUDGED = sorted({code for code in CATALOGUE if "K-401" <= code <= "K-414"})


@pytest.fixture
def fresh_limit(monkeypatch: pytest.MonkeyPatch) -> Limit:
    """Give each test a window of its own that does not end while it runs."""
    limit = Limit(30, seconds=10**9)
    monkeypatch.setattr(supplier_views, "certificate_checks", limit)
    return limit


def stored(kind: str, label: str) -> bytes:
    lines = (CORPUS / kind / f"{label}.pem").read_text().splitlines()
    return base64.b64decode("".join(lines[1:-1]))


def trust_store_of(case: dict[str, Any]) -> None:
    """Put the authority of a case of the corpus into the trust store, with the lists that can be relied on."""
    chain = [stored("certificates", label) for label in (case["root"], *case["intermediates"])]
    at = datetime.fromisoformat(case["at"])
    TrustedAuthority.objects.create(
        name="corpus", audience="supplier", root=chain[0], policy_oids=case["policies"], mapping=case["mapping"] or {},
        intermediates=[base64.b64encode(der).decode() for der in chain[1:]], added_at=at,
    )  # fmt: skip
    for label in case["revocation_lists"]:
        der = stored("revocation-lists", label)
        for issuer in chain:
            try:
                listed = trust.read_crl(der, issuer)
            except trust.BadRevocationList:
                continue
            RevocationListRecord.objects.create(
                issuer_key=listed.signer.issuer_key, signing_key=listed.signer.signing_key, number=f"{listed.number:049d}",
                this_update=listed.this_update, next_update=listed.next_update, sha256=hashlib.sha256(der).hexdigest(),
                der=der, source="corpus", fetched_at=at,
            )  # fmt: skip
    TrustVersion.objects.filter(id=1).delete()
    TrustVersion.objects.create(id=1)


def judge(der: bytes, client: Client | None = None) -> dict[str, Any]:
    answer = (client or Client()).post("/environment/certificate/", {"certificate": base64.b64encode(der).decode()})
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


@pytest.mark.parametrize("code", JUDGED)
def test_every_reason_of_the_corpus_is_told(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in CASES if case["expected"] == code)
    trust_store_of(case)
    monkeypatch.setattr(clock, "now", lambda: datetime.fromisoformat(case["at"]))
    told = judge(stored("certificates", case["card"]))
    assert (told["good"], told["code"]) == (False, code)
    assert told["sentence"].startswith(CATALOGUE[code].sentence.partition("{")[0])
    assert told["remedy"]


def test_a_good_certificate_is_told_with_its_end_and_nothing_else(city: City, authority: Authority) -> None:
    card = authority.card()
    told = judge(card.der)
    assert told.keys() == {"good", "expires_on", "days_left"}
    assert told["good"] is True
    ends = card.certificate.not_valid_after_utc.astimezone(clock.JST)
    assert told["expires_on"] == f"{ends:%Y/%m/%d}"
    # Days of the calendar, as マイページ counts them.
    assert told["days_left"] == (ends.date() - clock.now().astimezone(clock.JST).date()).days


def test_a_certificate_of_staff_is_not_good_here(city: City) -> None:
    staff = Authority(at=clock.now().replace(microsecond=0), label="staff")
    trust_authority(staff, name="職責認証局", audience="staff")
    assert judge(staff.card().der)["code"] == "K-402"


@pytest.mark.parametrize("sent", ["", "%%%", "改竄", base64.b64encode(b"no certificate").decode(), "A" * 200_000])
def test_what_is_no_certificate_is_told_as_one_that_cannot_be_read(city: City, sent: str) -> None:
    answer = Client().post("/environment/certificate/", {"certificate": sent})
    assert (answer.status_code, answer.json()["code"]) == (200, "K-401")


def test_more_than_any_form_holds_is_not_read(city: City) -> None:
    assert Client().post("/environment/certificate/", {"certificate": "A" * 300_000}).status_code == 413


def test_another_site_cannot_have_a_certificate_judged(city: City, authority: Authority) -> None:
    client = Client(enforce_csrf_checks=True)
    sent = {"certificate": base64.b64encode(authority.card().der).decode()}
    assert client.post("/environment/certificate/", sent).status_code == 403
    page = client.get("/environment/")
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token is not None
    assert client.post("/environment/certificate/", sent, headers={"X-CSRFToken": token[1]}).json()["good"] is True
    assert client.get("/environment/certificate/").status_code == 405


def test_nothing_is_kept_and_no_registration_is_looked_up(
    city: City, authority: Authority, django_assert_max_num_queries: Any
) -> None:
    client, card = Client(), authority.card()
    before = {model: model.objects.count() for model in apps.get_models()}
    judge(card.der, client)
    # The stamp of the trust store, and nothing of any company: whoever asks learns nothing of who is registered.
    with django_assert_max_num_queries(1) as asked:
        judge(card.der, client)
    assert "cards_trustversion" in asked.captured_queries[0]["sql"]
    assert {model: model.objects.count() for model in apps.get_models()} == before
    assert not client.session.keys()


def test_who_asks_too_often_waits(city: City, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supplier_views, "certificate_checks", Limit(2, seconds=10**9))
    sent = {"certificate": base64.b64encode(authority.card().der).decode()}
    answers = [Client(REMOTE_ADDR="192.0.2.1").post("/environment/certificate/", sent) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["code"] == "C-228"
    assert Client(REMOTE_ADDR="192.0.2.2").post("/environment/certificate/", sent).status_code == 200


def test_a_limit_counts_a_household_once_and_forgets_with_its_window(monkeypatch: pytest.MonkeyPatch) -> None:
    limit = Limit(2, seconds=10**9, addresses=3)
    assert [limit.allows(address) for address in ("2001:db8::1", "2001:db8::ffff", "2001:db8::2")] == [
        True,
        True,
        False,
    ]
    assert limit.allows("2001:db8:0:1::1")
    assert limit.allows("")
    quick = Limit(1, seconds=1e-9)  # every look at the clock finds another window
    assert [quick.allows("192.0.2.1") for _ in range(3)] == [True, True, True]
    for number in range(4):
        limit.allows(f"192.0.2.{number}")
    assert limit.allows("2001:db8::1")


def test_the_time_and_the_cookie_are_told() -> None:
    client = Client()
    assert client.get("/environment/clock/").json()["cookies"] is False
    assert client.get("/environment/").status_code == 200
    told = client.get("/environment/clock/").json()
    assert told["cookies"] is True
    assert abs(told["now"] - clock.now().timestamp() * 1000) < 30_000


def test_the_page_says_every_item_and_works_as_text_without_script(django_app: Any) -> None:
    page = django_app.get("/environment/")
    items = [item.text for item in page.html.select("h3.check-name")]
    wanted = [
        "ブラウザ",
        "JavaScript",
        "Cookie",
        "時計",
        "ポップアップ",
        "補助アプリ",
        "カードリーダー",
        "ICカード",
        "証明書",
    ]
    assert items == wanted
    states = [item.select_one("[data-words]").text for item in page.html.select("[data-check]")]
    assert states == ["まだ", "問題あり", *["まだ"] * 7]
    for link in page.html.select("[data-help] a"):
        assert django_app.get(link["href"]).status_int == 200
    assert page.html.select_one("noscript") is not None


@pytest.mark.parametrize(
    ("version", "refused"),
    [("irefuda-card-agent/0.9.9", True), ("irefuda-card-agent/1.2.2+x", True), ("irefuda-card-agent/1.2.3", False),
     ("irefuda-card-agent/1.10.0", False), ("https://web-eid.eu/web-eid-app/releases/0.1.0", False), ("", False)],
)  # fmt: skip
def test_an_agent_that_is_too_old_is_told_where_to_get_a_newer_one(
    city: City, authority: Authority, settings: Any, version: str, refused: bool
) -> None:
    settings.AGENT_MINIMUM_VERSION = (1, 2, 3)
    client = Client()
    nonce = client.post("/card/nonce/").json()["nonce"]
    token = json.loads(make_token(authority.card(), nonce))
    sent = {"token": json.dumps({**token, "appVersion": version}), "person_in_charge": "係"}
    answer = client.post("/9992/goods/registration/present/", sent)
    if refused:
        assert answer.status_code == 403
        assert "C-227" in answer.text
        assert 'href="/agent/"' in answer.text
    else:
        assert answer.status_code == 302


def test_the_help_desk_reads_a_result_code() -> None:
    out = StringIO()
    call_command("read_check_code", "5B04-5G00", "002K-CG00-1A7J", stdout=out)
    assert "補助アプリ：問題あり（C-222）" in out.getvalue()
    assert CATALOGUE["C-222"].remedy in out.getvalue()
    with pytest.raises(CommandError, match="聞き取って"):
        call_command("read_check_code", "5B04-5G00-002K-CG00-1A7K")
