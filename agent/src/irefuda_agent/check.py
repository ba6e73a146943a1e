"""利用環境の確認: what a site is told of program, readers and card when the person agrees; no PIN is ever asked for it."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from irefuda_agent.cards import CardChoice, Cards
from irefuda_agent.faults import CODES
from irefuda_agent.version import VERSION
from irefuda_core.certificate import fingerprint_of
from irefuda_core.refusal import Refused, refusal


async def reply(cards: Cards, choice: CardChoice | None, *, at: datetime) -> dict[str, Any]:
    """Return the answer to a check: versions and numbers, codes of what stands in the way, the chosen card's certificate.

    :raises Refused: when the readers no longer hold what the person chose from
    """
    held, faults = await cards.held()
    certificate = ""
    if choice is not None or held:
        card = _chosen(held, choice)
        certificate = _certificate(card, choice)
        faults += _faults_of(card, certificate)
    readers = await cards.readers()
    return {
        "type": "checked",
        "v": 1,
        "version": VERSION,
        "agent_time": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "readers": None if readers is None else len(readers),
        "cards": len(held),
        "faults": list(dict.fromkeys(CODES[name] for name in faults)),
        "certificate": certificate,
    }


def _chosen(held: list[dict[str, Any]], choice: CardChoice | None) -> dict[str, Any]:
    if choice is None:  # a card has come since the person saw an empty list
        raise Refused(refusal("C-205"))
    in_slot = [card for card in held if (card["module"], card["slot_id"]) == (choice.module, choice.slot_id)]
    if not in_slot:
        raise Refused(refusal("C-204"))
    if in_slot[0]["token_serial"] != choice.token_serial:
        raise Refused(refusal("C-205"))
    return in_slot[0]


def _certificate(card: dict[str, Any], choice: CardChoice | None) -> str:
    """Return the chosen certificate in base64, or "" for a card that shows none without its PIN."""
    if choice is None or not choice.fingerprint:
        return ""
    for encoded in card["certificates"]:
        if fingerprint_of(base64.b64decode(encoded)) == choice.fingerprint:
            return str(encoded)
    raise Refused(refusal("C-205"))


def _faults_of(card: dict[str, Any], certificate: str) -> list[str]:
    if card.get("fault"):
        return [card["fault"]]
    if card["certificates"] and not certificate:  # one that cannot be read
        return ["no_suitable_certificate"]
    flags = {"locked": "pin_locked", "final_try": "pin_final_try", "few_tries": "pin_few_tries"}
    return [name for flag, name in flags.items() if card[flag]][:1]
