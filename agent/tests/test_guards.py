"""Only this machine's browser, from the program's own pages, is answered (cards: guards and attacks)."""

from __future__ import annotations

import pytest
from agent_for_tests import NAVIGATION, SITE, client, free_ports

NONCE = "n" * 44


@pytest.fixture
def agent(shared_agent):
    shared_agent.open_popup()
    return shared_agent


def test_the_page_seals_itself(agent):
    answer = client.get(agent.origin + "/", headers=NAVIGATION)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    # A COOP header of ours would cut the popup off from the site that opened it.
    assert "cross-origin-opener-policy" not in answer.headers
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "server" not in answer.headers


@pytest.mark.parametrize("host", ["localhost", "attacker.example", "127.0.0.1", "127.0.0.1:1"])
@pytest.mark.parametrize("path", ["/", "/pages/dialog.js", "/api/begin", "/nothing"])
def test_another_name_for_this_machine_is_misdirected(agent, host, path):
    host = f"{host}:{agent.port}" if host == "localhost" else host
    for method in ("GET", "POST", "OPTIONS"):
        answer = client.request(method, agent.origin + path, headers={**agent.headers, **NAVIGATION, "Host": host})
        assert answer.status_code == 421


@pytest.mark.parametrize(
    "changed",
    [
        {"Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Mode": "cors"},
        {"Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Dest": ""},
    ],
)
def test_the_page_is_for_windows_only(agent, changed):
    assert client.get(agent.origin + "/", headers={**NAVIGATION, **changed}).status_code == 403


def test_a_page_of_another_site_cannot_post_or_ask_leave(agent):
    assert client.post(agent.origin + "/", headers=NAVIGATION).status_code == 405
    answer = client.options(
        agent.origin + "/api/begin", headers={"Origin": SITE, "Access-Control-Request-Method": "POST"}
    )
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"X-Card-Agent-Secret": "guess"}, 403),
        ({"X-Card-Agent-Secret": ""}, 403),
        ({"X-Card-Agent-Secret": "ひみつ".encode()}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "none"}, 403),
        ({"Origin": SITE}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
    ],
)
def test_a_call_needs_the_secret_of_this_run_and_our_own_page(agent, changed, status):
    headers = {**agent.headers, "Content-Type": "application/json", **changed}
    assert client.post(agent.origin + "/api/begin", content=b"{}", headers=headers).status_code == status
    assert (
        agent.call("/api/begin", origin=SITE, message={"type": "authenticate", "v": 1, "nonce": NONCE})["origin"]
        == SITE
    )


def test_a_body_that_is_too_large_or_of_unknown_length_is_not_read(agent):
    headers = {**agent.headers, "Content-Type": "application/json"}
    for content in (b"{" + b" " * 300_000 + b"}", iter([b"{}"])):
        assert client.post(agent.origin + "/api/begin", content=content, headers=headers).status_code == 413


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000])
def test_a_call_that_is_not_an_object_is_refused(agent, body):
    headers = {**agent.headers, "Content-Type": "application/json"}
    assert client.post(agent.origin + "/api/use", content=body, headers=headers).status_code == 400


@pytest.mark.parametrize("name", ["dialog.html", "..%2fsettings.py", "%2e%2e/worker.py", "style.css%00", "none.js"])
def test_only_scripts_styles_and_the_icon_are_served_as_parts(agent, name):
    own = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "script"}
    assert client.get(f"{agent.origin}/pages/{name}", headers=own).status_code in (403, 404)
    assert client.get(agent.origin + "/pages/dialog.js", headers=own).status_code == 200
    assert (
        client.get(agent.origin + "/pages/dialog.js", headers={**own, "Sec-Fetch-Site": "cross-site"}).status_code
        == 403
    )


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://bid.example.jp.attacker.example",
        "http://bid.example.jp",
        "https://bid.example.jp/",
        "",
        None,
        5,
    ],
)
def test_a_site_that_is_no_entry_gets_nothing_but_a_reason(agent, origin):
    answer = agent.call("/api/begin", origin=origin, message={"type": "authenticate", "v": 1, "nonce": NONCE})
    assert answer["refusals"][0]["code"] == "C-215"
    assert "りんご" not in str(answer)
    assert agent.call("/api/cards")["refusals"][0]["code"] == "C-219"


def test_only_the_first_message_is_read(agent):
    message = {"type": "authenticate", "v": 1, "nonce": NONCE}
    assert agent.call("/api/begin", origin="https://other.example", message=message)["final"] is True
    assert agent.call("/api/begin", origin=SITE, message=message)["refusals"][0]["code"] == "C-219"


@pytest.mark.parametrize(
    "message",
    [
        None, [], "authenticate", {}, {"type": "authenticate", "nonce": NONCE}, {"type": "authenticate", "v": 2, "nonce": NONCE},
        {"type": "authenticate", "v": 1}, {"type": "authenticate", "v": 1, "nonce": "n" * 43},
        {"type": "authenticate", "v": 1, "nonce": "n" * 129}, {"type": "authenticate", "v": 1, "nonce": "改" * 44},
        {"type": "authenticate", "v": 1, "nonce": NONCE, "digest": "00"}, {"type": "authenticate", "v": 1, "nonce": 5},
        {"type": "authenticate", "v": 1, "nonce": NONCE, "purpose": "二行\nの用件"},
        {"type": "authenticate", "v": 1, "nonce": NONCE, "purpose": "長" * 61},
        {"type": "sign", "v": 1, "digest": "00" * 32}, {"type": "decrypt", "v": 1},
        {"type": "sign", "v": 1, "document": "{}", "document_type": "x", "fingerprint": "zz"},
    ],
)  # fmt: skip
def test_an_unknown_request_is_refused(agent, message):
    assert agent.call("/api/begin", origin=SITE, message=message)["refusals"][0]["code"] == "C-219"


@pytest.mark.parametrize(
    "changes",
    [{"type": "bid"}, {"realm": "practice"}, {"origin": "https://other.example"}, {"extra": "1"}, {"company_name": ""}],
)
def test_a_document_that_is_not_known_is_never_signed(agent, application, changes):
    message = {"type": "sign", "v": 1, "document": application(**changes), "fingerprint": "0" * 64}
    answer = agent.call("/api/begin", origin=SITE, message={**message, "document_type": "registration-application"})
    assert answer["refusals"][0]["code"] == "K-440"


def test_the_document_must_be_of_the_announced_type(agent, application):
    message = {"type": "sign", "v": 1, "document": application(), "fingerprint": "0" * 64, "document_type": "bid"}
    assert agent.call("/api/begin", origin=SITE, message=message)["refusals"][0]["code"] == "K-440"


def test_the_next_free_port_of_the_three_is_taken_and_no_other(store, start_agent):
    ports = free_ports(3)
    started = [start_agent(conf=store.conf, ports=ports) for _ in ports]
    assert [agent.port for agent in started] == ports
    with pytest.raises(AssertionError, match="すべて使われています"):
        start_agent(conf=store.conf, ports=ports)


def test_a_forgotten_popup_makes_room_for_new_ones(agent):
    first, headers = agent.dialogue, dict(agent.headers)
    for _ in range(20):
        agent.open_popup()
    assert agent.headers == headers
    answer = agent.call("/api/begin", origin=SITE, message={"type": "authenticate", "v": 1, "nonce": NONCE})
    assert answer["kind"] == "authenticate"
    agent.dialogue = first
    assert agent.call("/api/use")["refusals"][0]["code"] == "C-219"


def test_popups_that_any_page_can_open_end_nothing_that_a_listed_site_has_begun(agent):
    message = {"type": "authenticate", "v": 1, "nonce": NONCE}
    begun = agent.dialogue
    assert agent.call("/api/begin", origin=SITE, message=message)["kind"] == "authenticate"
    for _ in range(40):
        agent.open_popup()
        agent.call("/api/begin", origin="https://other.example", message=message)
    agent.dialogue = begun
    assert "cards" in agent.look()
