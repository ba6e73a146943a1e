"""What a page weighs in Chromium: every page of 登録, bytes over the wire, requests, hosts; and its queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import CDPSession, Page, sync_playwright

from city import TYP, City, Holder, builders
from floor.counting import HEADER
from measuring import Row

KILOBYTES, REQUESTS, QUERIES = 60, 5, 10
CHROMIUM = {"executable_path": "/usr/bin/chromium", "args": ["--no-sandbox"]}
FONTS = (".woff2", ".woff")


@dataclass
class Weight:
    """What was asked for until a page stood there, with nothing in the browser's cache."""

    urls: list[str] = field(default_factory=list)
    bytes: int = 0
    queries: int = 0
    queries_before: int = 0


class Scale:
    """Weighs every page that is opened, by the browser's own account of the network."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.current = Weight()
        self.pages: dict[str, Weight] = {}
        self._urls: dict[str, str] = {}
        session: CDPSession = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.setCacheDisabled", {"cacheDisabled": True})
        session.on("Network.requestWillBeSent", self._sent)
        session.on("Network.responseReceived", self._answered)
        session.on("Network.loadingFinished", self._finished)

    def _sent(self, event: dict) -> None:
        self._urls[event["requestId"]] = event["request"]["url"]
        # A redirect keeps its id: the POST that led to the page is a request of its own, and counted apart.
        if "redirectResponse" in event:
            self.current.queries_before = _queries(event["redirectResponse"])
        elif event["request"]["url"].startswith("http"):
            self.current.urls.append(event["request"]["url"])

    def _answered(self, event: dict) -> None:
        if event["type"] == "Document":
            self.current.queries = _queries(event["response"])

    def _finished(self, event: dict) -> None:
        if not self._urls.get(event["requestId"], "").split("?")[0].endswith(FONTS):
            self.current.bytes += int(event["encodedDataLength"])

    def weigh(self, name: str, act: object) -> None:
        """Do something that opens a page, and note what that took."""
        self.current = Weight()
        act()  # type: ignore[operator]
        self.page.wait_for_load_state("networkidle")
        self.pages[name] = self.current


def _queries(response: dict) -> int:
    headers = {name.lower(): value for name, value in response["headers"].items()}
    return int(headers.get(HEADER.lower(), 0))


def rows(city: City, *, port: int) -> Iterator[Row]:
    """Go through 登録 and login in Chromium; the card's part is signed in this process."""
    (holder,) = city.holders(1)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**CHROMIUM)
        scale = Scale(chromium.new_context(locale="ja-JP").new_page())
        _register(scale, holder, f"http://localhost:{port}")
        chromium.close()
    pages = scale.pages
    for limit, unit, of in (
        (KILOBYTES, "KB", {name: weight.bytes / 1000 for name, weight in pages.items()}),
        (REQUESTS, "requests", {name: len(weight.urls) for name, weight in pages.items()}),
        (QUERIES, "queries", {name: weight.queries for name, weight in pages.items()}),
        (0, "queries of the POST before", {n: w.queries_before for n, w in pages.items() if w.queries_before}),
    ):
        heaviest = max(of, key=lambda name: of[name])
        over = [name for name, value in of.items() if limit and value > limit]
        yield Row(
            f"the heaviest of {len(of)} pages, {unit}: {heaviest}",
            f"{of[heaviest]:.0f} {unit}",
            f"the lightest {min(of.values()):.0f}",
            f"{len(over)} over" + (f": {', '.join(over)}" if over else ""),
            f"≤ {limit}" if limit else "–",
            not over if limit else None,
        )
    hosts = {urlsplit(url).netloc for weight in pages.values() for url in weight.urls} - {f"localhost:{port}"}
    yield Row("hosts of others that a page asks", str(len(hosts)), "–", ", ".join(sorted(hosts)) or "–", "0", not hosts)


def _register(scale: Scale, holder: Holder, origin: str) -> None:
    page = scale.page
    for path in ("/", "/bidding/", "/sections/goods/", "/9992/goods/", "/9992/goods/registration/"):
        scale.weigh(path, lambda path=path: page.goto(origin + path))
    scale.weigh("…/registration/menu/", lambda: page.goto(f"{origin}/9992/goods/registration/menu/"))
    scale.weigh("…/lookup/ (with the token POST)", lambda: _prove(page, holder, origin))
    page.fill("[name=supplier_number]", holder.supplier_number)
    page.fill("[name=name]", holder.company)
    scale.weigh("…/contacts/ (with the look-up POST)", lambda: page.click("form:has([name=name]) [type=submit]"))
    for prefix in ("rep", "card_office"):
        for name, value in {**builders.CONTACT, "email_again": builders.CONTACT["email"]}.items():
            page.fill(f"[name={prefix}-{name}]", value)
    scale.weigh("…/check/ (with the contacts POST)", lambda: page.click("form:has([name=rep-fax]) [type=submit]"))
    scale.weigh("…/done/ (with the POST that registers)", lambda: _sign(page, holder))
    scale.weigh("…/print/", lambda: page.goto(page.url.replace("/done/", "/print/")))
    page.context.clear_cookies()
    scale.weigh("…/login/", lambda: page.goto(f"{origin}/9992/goods/login/"))
    scale.weigh("…/start/ (with the token POST)", lambda: _prove(page, holder, origin))


def _prove(page: Page, holder: Holder, origin: str) -> None:
    """Do what the card dialogue does: ask for a nonce, let the card sign, send the form."""
    form = "form:has([name=token])"
    nonce = page.evaluate(
        "async (form) => (await (await fetch('/card/nonce/', {method: 'POST', body: new FormData("
        "document.querySelector(form))})).json()).nonce",
        form,
    )
    _send(page, form, {"token": holder.token(nonce, origin=origin), "person_in_charge": "係 太郎"})


def _sign(page: Page, holder: Holder) -> None:
    form = "form:has([name=jws])"
    document = page.input_value(f"{form} [name=document]")
    _send(page, form, {"jws": builders.sign_document(holder.card, document, TYP, algorithm="RS256")})


def _send(page: Page, form: str, values: dict[str, str]) -> None:
    with page.expect_navigation():
        page.evaluate(
            "([form, values]) => { const found = document.querySelector(form);"
            " for (const [name, value] of Object.entries(values)) found.elements[name].value = value;"
            " found.submit(); }",
            [form, values],
        )
