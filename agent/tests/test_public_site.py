"""The handshake from a site on a public address, as in real life, where Local Network Access guards the loopback address.

A page on localhost would prove nothing of that: it is in the loopback address space itself. So Chromium is told to take the
site's port for a public address, and a control shows that it does.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from agent_for_tests import Agent, free_ports
from browser_for_tests import ARGUMENTS, CHROMIUM, press, press_last, site_entry, state, watched
from cards_for_tests import PIN, TestCard, TokenStore
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Browser, BrowserContext, Page, Playwright
from site_for_tests import RunningSite, Site

from irefuda_core import possession

pytestmark = pytest.mark.browser
NAME = "bid.city.example.jp"
# Chromium's own switches for gating navigations, popups among them; they are off today.
GATES = "LocalNetworkAccessForNavigations,LocalNetworkAccessForSubframeNavigations"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The key and the self-signed certificate of the site."""
    directory = tmp_path_factory.mktemp("tls")
    key, name, now = ec.generate_private_key(ec.SECP256R1()), x509.Name([]), datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    encoding, none = serialization.Encoding.PEM, serialization.NoEncryption()
    (directory / "key.pem").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, none))
    (directory / "site.pem").write_bytes(made.public_bytes(encoding))
    return {"ssl_keyfile": str(directory / "key.pem"), "ssl_certfile": str(directory / "site.pem")}


@pytest.fixture(scope="module")
def ports() -> list[int]:
    return free_ports(3)


@pytest.fixture(scope="module")
def public_site(certificate: dict[str, str], ports: list[int]) -> Iterator[Site]:
    with RunningSite(ports, f"https://{NAME}", **certificate) as site:
        yield site


def launch(playwright: Playwright, site: Site, *more: str) -> Browser:
    """Return a Chromium for which the site's port is a public address."""
    arguments = [
        *ARGUMENTS,
        f"--host-resolver-rules=MAP {NAME} 127.0.0.1",
        f"--ip-address-space-overrides=127.0.0.1:{site.port}=public",
        *more,
    ]
    # Popups are blocked as for everyone, not let through as for test programs.
    return playwright.chromium.launch(
        executable_path=CHROMIUM, args=arguments, ignore_default_args=["--disable-popup-blocking"]
    )


@pytest.fixture(scope="module")
def public_browser(playwright: Playwright, public_site: Site) -> Iterator[Browser]:
    chromium = launch(playwright, public_site)
    yield chromium
    chromium.close()


@pytest.fixture
def public_context(public_browser: Browser, public_site: Site) -> Iterator[BrowserContext]:
    public_site.posts.clear()
    with watched(public_browser, ignore_https_errors=True) as opened:
        yield opened


@pytest.fixture
def agent(store: TokenStore, start_agent, good_card, public_site: Site) -> Agent:
    store.insert(good_card)
    return start_agent(conf=store.conf, ports=public_site.agent_ports, sites=site_entry(public_site.origin))


def log_in(context: BrowserContext, site: Site, held: TestCard) -> None:
    """Go through a whole login and check what the site was sent."""
    page = context.new_page()
    page.goto(site.origin + "/authenticate")
    popup = press(page)
    popup.get_by_text("株式会社山田建設").wait_for()
    popup.get_by_label("PIN番号:").fill(PIN)
    popup.get_by_role("button", name="OK").click()
    page.get_by_role("heading", name="受け取りました").wait_for()
    token = possession.parse_token(site.posts[0]["token"])
    assert possession.verify_possession(token, origin=site.origin, nonce=site.nonces[-1]) == held.der


def test_the_popup_works_from_a_public_address(agent, public_context, public_site, good_card):
    """The canary: it fails on the day when Chromium begins to gate popups to the loopback address."""
    log_in(public_context, public_site, good_card)


def test_the_popup_works_with_the_gates_that_chromium_has_not_closed_yet(agent, playwright, public_site, good_card):
    """The early canary: the same with Chromium's switches for gating navigations turned on."""
    public_site.posts.clear()
    chromium = launch(playwright, public_site, f"--enable-features={GATES}")
    with watched(chromium, ignore_https_errors=True) as context:
        log_in(context, public_site, good_card)
    chromium.close()


FETCH = "port => fetch(`http://127.0.0.1:${port}/plain/`, {mode: 'no-cors'}).then(() => 'answered', () => 'refused')"


def test_local_network_access_does_guard_this_site(public_browser, public_site):
    """The control of the canary: what is no popup does not reach the loopback address from here, and does from there."""
    context = public_browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    with RunningSite([]) as local, RunningSite([]) as other:
        page.goto(public_site.origin + "/plain/")
        assert page.evaluate(FETCH, other.port) == "refused"
        page.goto(local.origin + "/plain/")
        assert page.evaluate(FETCH, other.port) == "answered"
    context.close()


def test_a_blocked_popup_is_answered_with_what_to_do(public_context, public_site):
    page = public_context.new_page()
    # From the page's own timer: no person has pressed anything. Nor may this test ask the page before it has tried,
    # because what a test evaluates counts as a person's deed.
    tried = "setTimeout(() => { document.forms[0].requestSubmit(); console.log('tried'); }, 200)"
    page.add_init_script(f"addEventListener('load', () => {tried})")
    with page.expect_console_message(lambda message: message.text == "tried"):
        page.goto(public_site.origin + "/authenticate")
    page.get_by_text("ポップアップの許可が必要です").wait_for()
    page.get_by_text("「許可」を選び").wait_for()
    assert len(public_context.pages) == 1


def test_a_program_that_does_not_run_is_said_within_three_seconds(public_browser, public_site):
    context = public_browser.new_context(
        ignore_https_errors=True
    )  # Chromium itself complains of the refused connection
    page = context.new_page()
    page.goto(public_site.origin + "/authenticate")
    page.evaluate(
        """() => {
        document.forms[0].addEventListener("submit", () => { window.pressed = performance.now(); }, {capture: true});
        new MutationObserver((changes, observer) => {
          if (!document.body.textContent.includes("C-222")) return;
          window.waited = performance.now() - window.pressed;
          observer.disconnect();
        }).observe(document.body, {childList: true, subtree: true});
    }"""
    )
    press(page)
    page.get_by_text("補助アプリを起動してから、もう一度ボタンを押してください。").wait_for()
    assert page.evaluate("window.waited") <= 3000
    context.close()


def test_a_site_that_is_no_entry_learns_nothing(store, start_agent, good_card, public_context, public_site):
    store.insert(good_card)
    start_agent(conf=store.conf, ports=public_site.agent_ports)
    page = public_context.new_page()
    page.goto(public_site.origin + "/authenticate")
    popup = press(page)
    popup.get_by_text("補助アプリに登録されていないため").wait_for()
    assert not popup.get_by_text("りんご").is_visible()
    assert not popup.get_by_label("PIN番号:").is_visible()
    state(popup, "refused-site")
    press_last(popup, "閉じる")
    page.get_by_text("（C-215）").wait_for()
    assert public_site.posts == []


# ---- attacks, from a page without any policy of its own ----


def attack(context: BrowserContext, site: Site, plain: str) -> tuple[Page, Page]:
    """Return the attacking page and the popup that its button opened."""
    page = context.new_page()
    site.plain = plain
    page.goto(site.origin + "/plain/")
    with page.expect_popup() as opened:
        frame = page.frames[-1]
        frame.get_by_role("button").click()
    return page, opened.value


def opening(port: int, *messages: dict) -> str:
    """Return a button whose popup is sent these messages as soon as it is ready."""
    return f"""<button>open</button><script>
addEventListener("message", (event) => {{
  if (event.data.type !== "card-agent-ready") return;
  for (const message of {json.dumps(list(messages))}) event.source.postMessage(message, "*");
}});
document.querySelector("button").addEventListener("click", () => window.open("http://127.0.0.1:{port}/"));
</script>"""


def login(purpose: str) -> dict:
    return {"type": "authenticate", "v": 1, "nonce": "n" * 44, "purpose": purpose}


def test_only_the_first_message_counts(agent, public_context, public_site):
    _, popup = attack(public_context, public_site, opening(agent.port, login("はじめの用件"), login("あとの用件")))
    popup.get_by_text("株式会社山田建設").wait_for()
    assert popup.get_by_text("はじめの用件").is_visible()
    assert not popup.get_by_text("あとの用件").is_visible()


def test_a_sandboxed_frame_is_refused(agent, public_context, public_site):
    inside = opening(agent.port, login("用件")).replace('"', "&quot;")
    sandbox = "allow-scripts allow-popups allow-popups-to-escape-sandbox"
    _, popup = attack(public_context, public_site, f'<iframe sandbox="{sandbox}" srcdoc="{inside}"></iframe>')
    popup.get_by_text("補助アプリに登録されていないため").wait_for()


def test_a_plain_http_site_is_refused(agent, public_context, ports):
    with RunningSite(ports, f"http://{NAME}") as site:
        _, popup = attack(public_context, site, opening(agent.port, login("用件")))
        popup.get_by_text("補助アプリに登録されていないため").wait_for()


def test_no_page_can_frame_the_program(agent, public_browser):
    context = public_browser.new_context()
    page = context.new_page()
    with RunningSite([]) as local:
        local.plain = f'<iframe src="http://127.0.0.1:{agent.port}/"></iframe>'
        with page.expect_console_message(lambda message: "frame" in message.text.lower()):
            page.goto(local.origin + "/plain/")
        assert page.frames[1].get_by_text("PIN番号入力ダイアログ").count() == 0
    context.close()
