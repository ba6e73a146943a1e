"""The log: one JSON line per request and event, and in all of a 登録 nothing that was typed or says who."""

from __future__ import annotations

import ipaddress
import json
import logging
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any

import pytest
from builders import CONTACT, make_authority, make_city
from django.core.management import call_command
from django.test import Client
from django.urls import include, path
from steps import main_form, register, way_in

from irefuda.config import logs
from irefuda.registration.models import RegisteredCard

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]


@pytest.fixture
def written(settings: Any, tmp_path: Any) -> Iterator[StringIO]:
    """Everything that goes through the log's formatter, at every level."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logs.JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def lines(written: StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def requests(written: StringIO) -> list[dict[str, Any]]:
    return [line for line in lines(written) if line["event"] == "irefuda.request"]


def test_a_whole_registration_leaves_no_personal_data_in_the_log(django_app, written, settings, tmp_path):
    call_command("make_ledger_keys", directory=tmp_path / "keys", stdout=StringIO())
    settings.RECEIPT_KEY_FILE = str(tmp_path / "keys" / "receipt.pem")
    settings.LEDGER_KEYS_FILE = str(tmp_path / "keys" / "ledger-keys.json")
    django_app.extra_environ["REMOTE_ADDR"] = "203.0.113.77"
    django_app.extra_environ["HTTP_USER_AGENT"] = "Kabushiki-Browser/1"
    authority = make_authority()
    make_city(authority)
    card = authority.card()
    # Once wrong, once with what cannot be, then right.
    form = main_form(way_in(django_app, card), "supplier_number")
    form["supplier_number"], form["name"] = "990000009", "知らない商店"
    form.submit(expect_errors=True)
    done = register(django_app, card)
    assert done.status_code in (200, 302)
    row = RegisteredCard.objects.get()
    text = written.getvalue()
    secret = [
        *(value for value in CONTACT.values() if len(value) > 3), "daihyo@example.jp", "知らない商店", "テスト商会",
        "990000001", "990000009", "係 太郎", "203.0.113.77", "Kabushiki-Browser", row.fingerprint, row.receipt, str(row.id),
        row.registration.company_id, *django_app.cookies.values(),
    ]  # fmt: skip
    assert [word for word in secret if word in text] == []
    assert re.search(r"eyJ[A-Za-z0-9_-]{20}|MII[A-Za-z0-9+/]{20}", text) is None
    told = requests(written)
    assert len(told) > 8
    for line in told:
        assert set(line) - {"refused"} == {
            "time", "level", "event", "site", "method", "route", "status", "ms", "request_id", "client",
        }  # fmt: skip
        assert line["client"] == "203.0.113.0/24"
    assert {"registration-lookup", "registration-register", "card-nonce"} <= {line["route"] for line in told}
    assert any(line.get("refused") for line in told) or any(line["status"] == 200 for line in told)


def test_a_request_is_told_by_its_route_and_a_refusal_by_its_code(written, client):
    client.get("/9992/goods/registration/lookup/?name=secret", HTTP_HOST="localhost:8000")
    client.get("/no/such/page/of/mr/sato/", HTTP_HOST="localhost:8000")
    refused, unknown = requests(written)
    assert (unknown["route"], unknown["status"]) == ("unmatched", 404)
    assert refused["route"].startswith("registration") or refused["route"] == "unmatched"
    assert "sato" not in written.getvalue()
    assert "secret" not in written.getvalue()


def broken(request):
    raise ArithmeticError


urlpatterns = [path("broken/", broken), path("", include("irefuda.config.urls_supplier"))]
handler500 = "irefuda.ui.pages.server_error"


@pytest.mark.urls(__name__)
def test_the_page_of_a_defect_names_the_number_of_its_lines(written):
    answer = Client(HTTP_HOST="localhost:8000", raise_request_exception=False).get("/broken/")
    (line,) = requests(written)
    assert (answer.status_code, line["status"]) == (500, 500)
    assert f"<strong>{line['request_id']}</strong>" in answer.content.decode()


@pytest.mark.parametrize(
    ("given", "peer", "kept"),
    [
        ("abcdef12-from-proxy", "192.0.2.1", True),
        ("abcdef12-from-client", "192.0.2.200", False),
        ('x", "level": "x', "192.0.2.1", False),
        ("short", "192.0.2.1", False),
        ("", "192.0.2.1", False),
    ],
)
def test_the_number_of_a_request_is_the_proxy_s_or_a_new_one(written, settings, given, peer, kept):
    settings.TRUSTED_PROXIES = [ipaddress.ip_network("192.0.2.1/32")]
    answer = Client(HTTP_HOST="localhost:8000", REMOTE_ADDR=peer).get(
        "/faq/", HTTP_X_REQUEST_ID=given, HTTP_X_FORWARDED_FOR="2001:db8:7:1::9"
    )
    (line,) = requests(written)
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert (line["request_id"] == given) is kept
    assert line["client"] == ("2001:db8:7::/48" if peer == "192.0.2.1" else "192.0.2.0/24")


def test_health_and_static_files_are_no_noise(written, client):
    for address in ("/healthz", "/static/ui/style.css"):
        client.get(address)
    assert requests(written) == []


def test_an_exception_is_told_without_its_words(written):
    try:
        raise ValueError("keiri@example.jp typed 03-1234-5678")
    except ValueError:
        logging.getLogger("django.request").exception("Internal Server Error: %s", "/9992/goods/cards/7/")
        logging.getLogger("irefuda.somewhere").exception("it failed")
    for line in lines(written):
        assert line["exception"] == "ValueError"
        assert any("test_logs.py" in frame for frame in line["at"])
    assert "keiri" not in written.getvalue()
    assert "/9992/" not in written.getvalue()


def test_addresses_in_a_message_become_networks(written):
    log = logging.getLogger("irefuda.somewhere")
    log.warning("from %s and %s to %s at 12:30:45", "198.51.100.23", "2001:db8::17", "keiri@example.jp")
    (line,) = lines(written)
    assert line["message"] == "from 198.51.100.0/24 and 2001:db8::/48 to …@… at 12:30:45"


def test_lines_within_a_request_carry_its_number():
    token = logs.request_id.set("0123456789abcdef")
    try:
        record = logging.LogRecord("irefuda.x", logging.INFO, "x.py", 1, "said", (), None)
        assert json.loads(logs.JsonLines().format(record))["request_id"] == "0123456789abcdef"
    finally:
        logs.request_id.reset(token)


@pytest.mark.parametrize("address", ["", "unix:", "not an address"])
def test_what_is_no_address_has_no_network(address):
    assert logs.network_of(address) == ""
