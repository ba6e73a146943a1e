"""What watching the readers costs: CPU seconds of the program and its worker, from the system's own account."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil
import pytest
from agent_for_tests import Agent, workers_of
from cards_for_tests import SOFTHSM
from virtual_card import OPENSC, VirtualCard

SECONDS = 4.0
MAY_COST = 0.03  # of one core, while a popup is open


def cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def share_while_watching(agent: Agent) -> float:
    """Return the share of one core that the program and its worker take while a popup is open."""
    program = psutil.Process(agent.process.pid)
    agent.begin()
    with agent.looks() as looks:
        # The start of the worker is paid once, at opening.
        assert len(next(looks)["cards"]) == 1
        next(looks)
        watching = [program, *workers_of(program)]
        assert len(watching) == 2
        begun, before = time.monotonic(), cpu_seconds(watching)
        while time.monotonic() - begun < SECONDS:
            next(looks)
        return (cpu_seconds(watching) - before) / (time.monotonic() - begun)


def test_watching_a_software_token_costs_little(store, start_agent: Callable[..., Agent], good_card):
    store.insert(good_card)
    share = share_while_watching(start_agent(conf=store.conf, module=SOFTHSM))
    assert share < MAY_COST


@pytest.mark.virtual_card
def test_watching_a_real_reader_costs_little(two_readers, insert, start_agent, good_card):
    insert(VirtualCard(good_card))
    agent = start_agent(module=OPENSC, environment=two_readers.environment)
    agent.begin()
    with agent.looks() as looks:
        assert any(look["cards"] for look, _ in zip(looks, range(20), strict=False))
    share = share_while_watching(agent)
    assert share < MAY_COST


def test_nothing_is_paid_while_no_popup_is_open(store, start_agent, good_card):
    store.insert(good_card)
    agent = start_agent(conf=store.conf)
    agent.begin()
    agent.look()
    program = psutil.Process(agent.process.pid)
    end = time.monotonic() + 5
    while workers_of(program):
        assert time.monotonic() < end, "a worker outlives its popup"
        time.sleep(0.05)
    before = cpu_seconds([program])
    time.sleep(2)
    assert workers_of(program) == []
    # uvicorn's own tick, ten times a second, is all that remains.
    assert cpu_seconds([program]) - before <= 0.04
