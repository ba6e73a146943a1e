"""ICカード更新 as a site and a popup speak it: the first message, the presses, and the document a site makes of the answer."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from agent_for_tests import SITE, Agent, choice
from cards_for_tests import PIN, TestCard

from irefuda_agent.renewal import certificate_values
from irefuda_core.canonical import canonical_json
from irefuda_core.certificate import read_certificate
from irefuda_core.documents import card_renewal
from irefuda_core.jws import parse

MESSAGE = {
    "v": 1,
    "type": "renew",
    "purpose": "ICカード更新",
    "renewal_id": "0f6a5f1e-3c5c-4d5f-9d0a-6a7f1f1b8a11",
    "agency_code": "9992",
    "agency_name": "青い市",
    "category": "物品、役務",
    "issued_at": "2026-11-25T09:00:00+09:00",
}


def document_for(told: dict, *, origin: str = SITE, realm: str = "production", **changes: str) -> str:
    """Return the 電子証明書更新確認 that a site makes of the popup's message `cards`."""
    old = read_certificate(parse(told["handover"]).unverified_certificate)
    new = read_certificate(base64.b64decode(told["certificate"]))
    values: dict[str, str | int] = {
        "type": card_renewal.name,
        "realm": realm,
        "origin": origin,
        "document_id": "7c9e6679-7425-40de-944b-e07fc1f90ae7",
        "issued_at": "2026-11-25T09:01:00+09:00",
        **{key: str(MESSAGE[key]) for key in ("agency_code", "agency_name", "category")},
        "company_id": "999210000000011",
        "supplier_number": "990000001",
        "handover_sha256": hashlib.sha256(told["handover"].encode()).hexdigest(),
        "person_in_charge": told["person_in_charge"],
    }
    for prefix, certificate in (("old_", old), ("new_", new)):
        values |= {
            f"{prefix}company_name": "株式会社山田建設",
            f"{prefix}company_address": "青森県青い市一丁目",
            f"{prefix}card_company_name": certificate.company_name,
            f"{prefix}card_company_address": certificate.company_address,
            f"{prefix}card_holder_name": certificate.holder_name,
            f"{prefix}card_holder_address": "証明書に記載なし",
            **certificate_values(certificate, prefix),
        }
    return canonical_json({**values, **changes}).decode()


@dataclass
class Popup:
    """The popup's side of one renewal, while its line to the program is open."""

    agent: Agent
    lines: Iterator[dict]

    def until(self, wanted: Callable[[dict], object]) -> dict:
        """Return the first line that is as wanted."""
        for _, line in zip(range(40), self.lines, strict=False):
            if wanted(line):
                return line
        raise AssertionError(line)

    def row(self, held: TestCard) -> dict:
        """Return the row of this certificate, once the reader has seen its card."""
        look = self.until(lambda line: [c for c in line.get("cards", []) if c["fingerprint"] == held.fingerprint])
        return next(card for card in look["cards"] if card["fingerprint"] == held.fingerprint)

    def press(self, name: str, card: dict | None = None, pin: str = PIN, **more: object) -> dict:
        """Return the answer to a press with this card, or with none."""
        given = {} if card is None else {"card": choice(card), "pin": pin}
        return self.agent.call(f"/api/renewal/{name}", **given, **more)

    def hand_over(self, held: TestCard, pin: str = PIN) -> None:
        """Let the old card sign."""
        answer = self.press("old", self.row(held), pin, person_in_charge="鈴木　花子")
        assert answer == {"step": "new"}, answer

    def show(self, document: str) -> dict:
        """Return the answer to the site's last message with this document."""
        return self.hear({"v": 1, "type": "renewal-document", "document": document})

    def hear(self, message: object, origin: object = SITE) -> dict:
        """Return the answer to a message of the site."""
        return self.press("site", origin=origin, message=message)


@contextlib.contextmanager
def renewing(agent: Agent, **changes: object) -> Iterator[Popup]:
    """Yield a popup in which a renewal has begun; closed with the block."""
    agent.open_popup()
    begun = agent.call("/api/begin", origin=SITE, message={**MESSAGE, **changes})
    assert begun["kind"] == "renew", begun
    with agent.looks() as lines:
        yield Popup(agent, lines)
