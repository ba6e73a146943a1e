"""What a card, a reader or a vendor's module can do wrong; each has its sentence and its next step."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest
from agent_for_tests import NONCE, SITE, choice, client, codes, wait_for, workers_of
from cards_for_tests import PIN, SOFTHSM, TestCard, TokenStore, make_card
from cryptography import x509

from irefuda_agent.cards import Cards
from irefuda_agent.faults import CODES
from irefuda_agent.settings import Module
from irefuda_core import possession
from irefuda_core.refusal import CATALOGUE


def test_every_fault_of_the_contract_has_a_sentence_and_a_next_step():
    assert len(set(CODES.values())) == len(CODES)
    for code in CODES.values():
        assert CATALOGUE[code].sentence
        assert CATALOGUE[code].remedy


def test_the_sites_script_says_the_same_sentences_as_the_catalogue():
    script = Path(__file__).parents[2] / "server/src/irefuda/cards/static/cards/card-dialogue.js"
    table = re.search(r"const REFUSALS = \{\n(.*?)\n\};", script.read_text(encoding="utf-8"), re.DOTALL)
    assert table is not None
    said = {code: json.loads(pair) for code, pair in re.findall(r'"([CK]-\d+)": (\[.*\])', table[1])}
    wanted = [code for code in CATALOGUE if code.startswith("C-")] + ["K-440", "K-441"]
    assert said == {code: [CATALOGUE[code].sentence, CATALOGUE[code].remedy] for code in wanted}


def test_cards_out_of_their_dates_are_shown_and_cannot_be_used(store, start_agent):
    store.insert(make_card(company="期限切れ", ends=timedelta(days=-1)))
    store.insert(make_card(company="期間前", starts=timedelta(days=1)))
    agent = start_agent(conf=store.conf)
    agent.begin()
    cards = {card["company_name"]: card for card in agent.look()["cards"]}
    assert {name: (card["choosable"], bool(card["note"])) for name, card in cards.items()} == {
        "期限切れ": (False, True), "期間前": (False, True),
    }  # fmt: skip
    assert codes(agent.call("/api/use", card=choice(cards["期限切れ"]), pin=PIN)) == ["C-208"]
    assert codes(agent.call("/api/use", card=choice(cards["期間前"]), pin=PIN)) == ["C-209"]


def ending(card: TestCard, end: bytes) -> TestCard:
    """Return a card whose certificate ends at this GeneralizedTime; nobody looks at its signature here."""
    der = card.der
    at = der.index(b"\x18\x0f") + 2
    return TestCard(x509.load_der_x509_certificate(der[:at] + end + der[at + len(end) :]), card.key)


def test_a_certificate_without_an_end_and_one_with_an_impossible_end_hide_no_other(store, start_agent, good_card):
    in_centuries = timedelta(days=300_000)
    endless = ending(make_card(company="無期限", ends=in_centuries), b"99991231235959Z")
    store.insert(ending(make_card(company="零年", ends=in_centuries), b"00000101000000Z"), endless)
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    agent.begin()
    cards = {card["company_name"]: card for card in agent.look()["cards"] if card["choosable"]}
    assert set(cards) == {"無期限", "株式会社山田建設"}
    assert cards["無期限"]["expires_on"] == "9999/12/31"
    assert "reply" in agent.call("/api/use", card=choice(cards["無期限"]), pin=PIN)


def test_a_certificate_for_something_else_is_not_offered(store, start_agent, good_card):
    store.insert(make_card(company="暗号用", digital_signature=False), good_card)
    agent = start_agent(conf=store.conf)
    agent.begin()
    assert [card["company_name"] for card in agent.look()["cards"]] == ["株式会社山田建設"]


def test_a_certificate_that_shows_itself_only_after_the_pin_works_too(store, start_agent, good_card):
    store.insert(good_card, private_certificates=True)
    agent = start_agent(conf=store.conf)
    agent.begin()
    (card,) = agent.look()["cards"]
    assert (card["fingerprint"], card["choosable"]) == ("", True)
    assert "PIN番号を入力した後" in card["note"]
    token = agent.call("/api/use", card=choice(card), pin=PIN)["reply"]["token"]
    parsed = possession.parse_token(json.dumps(token))
    assert possession.verify_possession(parsed, origin=SITE, nonce=NONCE) == good_card.der


def test_two_certificates_that_show_themselves_after_the_pin_are_chosen_from(store, start_agent, good_card):
    second = make_card(company="株式会社山田建設", holder="山田 花子")
    store.insert(good_card, second, private_certificates=True)
    agent = start_agent(conf=store.conf)
    agent.begin()
    (card,) = agent.look()["cards"]
    offered = agent.call("/api/use", card=choice(card), pin=PIN)["choose"]
    assert {row["holder_name"] for row in offered} == {"山田 太郎", "山田 花子"}
    wanted = {**choice(card), "fingerprint": second.fingerprint}
    token = agent.call("/api/use", card=wanted, pin=PIN)["reply"]["token"]
    assert possession.parse_token(json.dumps(token)).unverified_certificate == second.der


def test_a_private_certificate_signs_only_if_it_is_the_expected_one(store, start_agent, good_card, application):
    store.insert(good_card, private_certificates=True)
    agent = start_agent(conf=store.conf)
    sign = {"type": "sign", "document": application(), "document_type": "registration-application"}
    agent.begin(**sign, fingerprint="0" * 64)
    (card,) = agent.look()["cards"]
    assert codes(agent.call("/api/use", card=choice(card), pin=PIN)) == ["C-205"]
    agent.begin(**sign, fingerprint=good_card.fingerprint)
    assert agent.call("/api/use", card=choice(card), pin=PIN)["reply"]["type"] == "signed"


def test_another_card_than_the_one_of_this_procedure_does_not_sign(store, start_agent, good_card, application):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    agent.begin(type="sign", document=application(), document_type="registration-application", fingerprint="0" * 64)
    (card,) = agent.look()["cards"]
    assert codes(agent.call("/api/use", card=choice(card), pin=PIN)) == ["C-224"]


@pytest.mark.parametrize(
    ("changes", "code"),
    [({"slot_id": 99}, "C-204"), ({"token_serial": "00"}, "C-205"), ({"fingerprint": "0" * 64}, "C-205"),
     ({"module": "/usr/lib/none.so"}, "C-216"), ({"slot_id": "1"}, "C-219"), ({"slot_id": True}, "C-219")],
)  # fmt: skip
def test_a_choice_that_no_longer_fits_is_refused_before_the_pin_is_tried(store, start_agent, good_card, changes, code):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    agent.begin()
    (card,) = agent.look()["cards"]
    assert codes(agent.call("/api/use", card={**choice(card), **changes}, pin="000000")) == [code]
    assert not agent.look()["cards"][0]["few_tries"]


@pytest.mark.parametrize(
    ("body", "code"),
    [({"pin": ""}, "C-213"), ({"pin": "1" * 101}, "C-213"), ({"pin": None}, "C-213"), ({"pin": 123456}, "C-213"),
     ({"person_in_charge": "長" * 21}, "P-802"), ({"person_in_charge": "二\n行"}, "P-801"), ({"card": None}, "C-219")],
)  # fmt: skip
def test_what_is_typed_wrongly_never_reaches_the_card(store, start_agent, good_card, body, code):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    agent.begin()
    (card,) = agent.look()["cards"]
    assert codes(agent.call("/api/use", **{"card": choice(card), "pin": "000000", **body})) == [code]
    assert not agent.look()["cards"][0]["few_tries"]


def test_without_a_card_the_missing_part_is_named(store, start_agent):
    agent = start_agent(conf=store.conf)
    agent.begin()
    look = agent.look()
    assert look["cards"] == []
    assert look["faults"][0]["code"] in ("C-201", "C-202", "C-203")


def test_a_module_that_is_not_there_or_is_none_is_said(store, start_agent, tmp_path):
    (tmp_path / "text.so").write_text("no library")
    for module, code in ((tmp_path / "none.so", "C-216"), (tmp_path / "text.so", "C-226"), (_libc(), "C-226")):
        agent = start_agent(conf=store.conf, module=str(module))
        agent.begin()
        assert agent.look()["faults"][0]["code"] == code


def _libc() -> str:
    import ctypes.util

    return f"/usr/lib/x86_64-linux-gnu/{ctypes.util.find_library('c')}"


@pytest.fixture
def hanging(tmp_path, monkeypatch) -> Path:
    """A module that hangs: SoftHSM reads its configuration from a pipe that nobody writes to."""
    pipe = tmp_path / "pipe.conf"
    os.mkfifo(pipe)
    monkeypatch.setenv("SOFTHSM2_CONF", str(pipe))
    return pipe


def cards_with(limit: float) -> Cards:
    return Cards([Module("SoftHSM", SOFTHSM)], clock=lambda: datetime.now(UTC), list_limit=limit, use_limit=limit)


def test_a_module_that_hangs_is_ended_in_time(hanging):
    started = time.monotonic()
    look = asyncio.run(cards_with(1.5).look())
    assert [fault["code"] for fault in look["faults"]] == ["C-217"]
    assert time.monotonic() - started < 5
    assert workers_of(psutil.Process()) == []


def test_a_module_that_crashes_takes_nothing_else_along(hanging):
    async def crash() -> dict:
        looking = asyncio.create_task(cards_with(20).look())
        while not (workers := workers_of(psutil.Process())):
            await asyncio.sleep(0.05)
        workers[0].send_signal(11)
        return await looking

    assert [fault["code"] for fault in asyncio.run(crash())["faults"]] == ["C-218"]


async def first_look(cards: Cards) -> list[str]:
    """Return the faults of the first look that a popup is told."""
    async with contextlib.aclosing(cards.looks()) as looks, asyncio.timeout(10):
        return [fault["code"] for fault in (await anext(looks))["faults"]]


def test_a_worker_that_cannot_be_started_is_said(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/no/python")
    assert asyncio.run(first_look(cards_with(5))) == ["C-218"]


def test_a_look_that_fails_for_any_reason_is_said(store, good_card, monkeypatch):
    store.insert(good_card)
    monkeypatch.setenv("SOFTHSM2_CONF", str(store.conf))
    without_zone = Cards([Module("SoftHSM", SOFTHSM)], clock=lambda: datetime(2026, 11, 25))
    assert asyncio.run(first_look(without_zone)) == ["C-218"]


def test_nothing_polls_unless_a_popup_is_open(store, start_agent, good_card):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    agent.begin()
    process = psutil.Process(agent.process.pid)
    assert workers_of(process) == []
    body = {"dialogue": agent.dialogue}
    with client.stream("POST", agent.origin + "/api/cards", json=body, headers=agent.headers, timeout=10) as answer:
        lines = answer.iter_lines()
        next(lines)
        (worker,) = workers_of(process)
        next(lines)
        assert workers_of(process) == [worker]
    wait_for(lambda: workers_of(process) == [])


def test_the_pin_is_in_no_argument_no_environment_and_no_output(store, start_agent, good_card):
    pin = "31415926"
    store.insert(good_card, pin=pin)
    agent = start_agent(conf=store.conf)
    agent.begin()
    (card,) = agent.look()["cards"]
    process = psutil.Process(agent.process.pid)
    seen: list[str] = []

    async def use() -> dict:
        calling = asyncio.create_task(asyncio.to_thread(agent.call, "/api/use", card=choice(card), pin=pin))
        while not calling.done():
            for worker in workers_of(process):
                with contextlib.suppress(psutil.NoSuchProcess):
                    seen.append(" ".join(worker.cmdline()))
                # Once it is under way, no other process of the same user may read a worker's environment.
                with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                    seen.append(str(worker.environ()))
            await asyncio.sleep(0.005)
        return await calling

    assert "reply" in asyncio.run(use())
    assert seen
    assert not [text for text in seen if pin in text]
    agent.process.terminate()
    assert agent.process.stdout is not None
    assert pin not in agent.process.stdout.read()
    for path in agent.settings.parent.rglob("*"):
        assert path.is_dir() or pin.encode() not in path.read_bytes()


def test_cards_in_two_readers_are_told_apart(store: TokenStore, start_agent, good_card: TestCard):
    other = make_card(company="株式会社佐藤工務店", holder="佐藤 次郎")
    store.insert(good_card)
    store.insert(other)
    agent = start_agent(conf=store.conf)
    agent.begin()
    cards = {card["company_name"]: card for card in agent.look()["cards"]}
    mixed = {**choice(cards["株式会社山田建設"]), "slot_id": cards["株式会社佐藤工務店"]["slot_id"]}
    assert codes(agent.call("/api/use", card=mixed, pin=PIN)) == ["C-205"]
    token = agent.call("/api/use", card=choice(cards["株式会社佐藤工務店"]), pin=PIN)["reply"]["token"]
    assert possession.parse_token(json.dumps(token)).unverified_certificate == other.der
