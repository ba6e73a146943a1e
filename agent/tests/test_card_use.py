"""The card is used over real HTTP, through the real worker, on SoftHSM2; the rulebook's own checks judge the result."""

from __future__ import annotations

import json

from agent_for_tests import NONCE, SITE, choice, codes
from cards_for_tests import PIN, make_card

from irefuda_core import jws, possession
from irefuda_core.documents import registration_application


def test_a_login_gives_a_token_that_proves_the_card_to_this_site_only(store, start_agent, good_card):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    shown = agent.begin(purpose="利用者　登録")
    assert (shown["origin"], shown["purpose"], shown["passphrase"]) == (SITE, "利用者　登録", "りんごと青い海")
    (card,) = agent.look()["cards"]
    assert (card["company_name"], card["holder_name"], card["choosable"]) == ("株式会社山田建設", "山田 太郎", True)
    answer = agent.call("/api/use", card=choice(card), pin=PIN, person_in_charge="　山田　太郎 ")
    assert answer["reply"]["person_in_charge"] == "山田　太郎"
    token = possession.parse_token(json.dumps(answer["reply"]["token"]))
    assert possession.verify_possession(token, origin=SITE, nonce=NONCE) == good_card.der
    refused = agent.call("/api/use", card=choice(card), pin=PIN, person_in_charge="鈴木")
    assert refused["refusals"][0]["code"] == "C-219"


def test_elliptic_curve_cards_sign_with_their_own_algorithm(store, start_agent):
    for kind, algorithm in (("P-256", "ES256"), ("P-384", "ES384")):
        store.insert(make_card(kind=kind, company=algorithm))
    agent = start_agent(conf=store.conf)
    for algorithm in ("ES256", "ES384"):
        agent.begin()
        card = next(card for card in agent.look()["cards"] if card["company_name"] == algorithm)
        token = agent.call("/api/use", card=choice(card), pin=PIN)["reply"]["token"]
        assert token["algorithm"] == algorithm
        possession.verify_possession(possession.parse_token(json.dumps(token)), origin=SITE, nonce=NONCE)


def test_a_document_is_shown_field_by_field_and_signed(store, start_agent, good_card, application):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    document = application()
    shown = agent.begin(
        type="sign",
        document=document,
        document_type="registration-application",
        fingerprint=good_card.fingerprint,
    )
    rows = {label: value for heading, rows in shown["sections"] for label, value in rows}
    assert shown["title"] == "利用者登録申請書"
    assert rows["企業名称"] == "株式会社山田建設"
    assert sum(len(rows) for _, rows in shown["sections"]) == len(registration_application.fields)
    (card,) = agent.look()["cards"]
    signed = jws.parse(agent.call("/api/use", card=choice(card), pin=PIN)["reply"]["jws"])
    jws.verify_document(signed)
    assert signed.payload == document.encode()
    assert signed.header["typ"] == "irefuda.production.registration-application.v1"


def test_a_wrong_pin_is_said_and_a_right_one_still_works(store, start_agent, good_card):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    agent.begin()
    (card,) = agent.look()["cards"]
    assert codes(agent.call("/api/use", card=choice(card), pin="000000")) == ["C-210", "C-220"]
    assert "reply" in agent.call("/api/use", card=choice(card), pin=PIN)
