"""A vendor's module that hangs or crashes, wherever it does so: real modules, compiled here around SoftHSM2."""

from __future__ import annotations

import asyncio
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest
from agent_for_tests import NONCE, SITE, workers_of
from cards_for_tests import PIN, SOFTHSM, TokenStore

from irefuda_agent.cards import CardChoice, Cards
from irefuda_agent.settings import Module

# The places of the functions in CK_FUNCTION_LIST (PKCS#11 v2.40), after its version.
PLACES = {"C_Initialize": 0, "C_GetSlotList": 4, "C_GetTokenInfo": 6, "C_Login": 18, "C_SignInit": 42, "C_Sign": 43}
DEEDS = {
    "hangs": "for (;;) pause();",
    "crashes": "*(volatile int *)0 = 1;",
    "ends": "_exit(0);",
    "writes": 'write(1, "5\\n", 2);',
}
SOURCE = """
typedef unsigned long word;
struct list {{ unsigned char version[2]; void *call[68]; }};
extern void *dlopen(const char *, int);
extern void *dlsym(void *, const char *);
extern int pause(void);
extern void _exit(int);
extern long write(int, const void *, unsigned long);
static struct list changed;
static word misbehave(void) {{ {deed} return 0; }}
word C_GetFunctionList(struct list **given)
{{
    struct list *real;
    word (*get)(struct list **) = (word (*)(struct list **))dlsym(dlopen("{module}", 2), "C_GetFunctionList");
    word failed = get(&real);
    if (failed) return failed;
    changed = *real;
    changed.call[{place}] = (void *)misbehave;
    *given = &changed;
    return 0;
}}
"""


@pytest.fixture
def compile_module(tmp_path: Path) -> Callable[[str, str], str]:
    """Return a maker of modules that do their deed in one function and are SoftHSM2 in all others."""

    def make(function: str, deed: str) -> str:
        source, library = tmp_path / "module.c", tmp_path / f"{function}-{deed}.so"
        source.write_text(SOURCE.format(deed=DEEDS[deed], module=SOFTHSM, place=PLACES[function]))
        subprocess.run(["tcc", "-shared", "-nostdlib", "-o", str(library), str(source)], check=True)
        return str(library)

    return make


async def look_and_sign(module: str) -> tuple[list[str], list[str]]:
    """Return the faults of looking at the readers and, when a card shows, of signing with it."""
    cards = Cards([Module("県CA", module)], clock=lambda: datetime.now(UTC), list_limit=1.5, use_limit=1.5)
    look = await cards.look()
    if not look["cards"]:
        return [fault["code"] for fault in look["faults"]], []
    (row,) = look["cards"]
    chosen = CardChoice(row["module"], row["slot_id"], row["token_serial"], row["fingerprint"])
    login = {"kind": "authenticate", "pin": PIN, "origin": SITE, "nonce": NONCE, "last_try_confirmed": False}
    answer = await cards.use(chosen, {**login, "at": int(datetime.now(UTC).timestamp())})
    return [], list(answer["faults"])


@pytest.mark.parametrize("function", PLACES)
@pytest.mark.parametrize(("deed", "code", "fault"), [("hangs", "C-217", "module_timeout"), ("crashes", "C-218", "module_failed"), ("ends", "C-218", "module_failed")])  # fmt: skip
def test_a_module_that_misbehaves_is_said_and_leaves_no_process(
    compile_module, store: TokenStore, good_card, monkeypatch, function, deed, code, fault
):
    store.insert(good_card)
    monkeypatch.setenv("SOFTHSM2_CONF", str(store.conf))
    started = time.monotonic()
    looked, signed = asyncio.run(look_and_sign(compile_module(function, deed)))
    when_looking = function in ("C_Initialize", "C_GetSlotList", "C_GetTokenInfo")
    assert (looked, signed) == (([code], []) if when_looking else ([], [fault]))
    assert time.monotonic() - started < 8
    assert workers_of(psutil.Process()) == []


def test_what_a_module_writes_is_not_taken_for_the_workers_answer(
    compile_module, store: TokenStore, good_card, monkeypatch
):
    store.insert(good_card)
    monkeypatch.setenv("SOFTHSM2_CONF", str(store.conf))
    # The log-in does nothing else here, so that the card shows no key.
    assert asyncio.run(look_and_sign(compile_module("C_Login", "writes"))) == ([], ["no_suitable_certificate"])


@pytest.fixture
def core_files_of_any_size() -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (before[1], before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, before)


@pytest.mark.usefixtures("core_files_of_any_size")
def test_a_module_that_crashes_leaves_no_core_file_with_the_pin(
    compile_module, store: TokenStore, good_card, tmp_path, monkeypatch
):
    store.insert(good_card)
    monkeypatch.setenv("SOFTHSM2_CONF", str(store.conf))
    working = tmp_path / "working"
    working.mkdir()
    monkeypatch.chdir(working)
    assert asyncio.run(look_and_sign(compile_module("C_Sign", "crashes"))) == ([], ["module_failed"])
    assert list(working.iterdir()) == []


@pytest.mark.usefixtures("core_files_of_any_size")
def test_the_program_and_its_workers_may_write_no_core_files(store: TokenStore, start_agent):
    agent = start_agent(conf=store.conf)
    agent.begin()
    program = psutil.Process(agent.process.pid)
    with agent.looks() as looks:
        next(looks)
        limits = [process.rlimit(psutil.RLIMIT_CORE) for process in (program, *workers_of(program))]
    assert limits == [(0, 0), (0, 0)]


def test_a_core_handler_behind_a_pipe_gets_nothing_either():
    says = (
        "import ctypes; from irefuda_agent.memory import *; keep_out_of_core_files(); print(ctypes.CDLL(None).prctl(3))"
    )
    said = subprocess.run([sys.executable, "-c", says], capture_output=True, text=True, check=True).stdout
    assert said == "0\n"  # PR_GET_DUMPABLE
