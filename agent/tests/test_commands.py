"""`irefuda-card list` and `irefuda-card check`: what a person reads, and the exit status."""

from __future__ import annotations

import contextlib
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from agent_for_tests import free_ports, settings_text
from cards_for_tests import SOFTHSM, make_card

from irefuda_agent import diagnosis
from irefuda_agent.ports import holder_of
from irefuda_agent.settings import Module


def run(command: str, path: Path, **environment: str) -> tuple[int, str]:
    """Return exit status and output of a command."""
    done = subprocess.run(
        [sys.executable, "-m", "irefuda_agent", command, "--settings", str(path)],
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8", timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(settings_text(free_ports(3)), encoding="utf-8")
    return path


@contextlib.contextmanager
def another_program() -> Iterator[int]:
    """Yield the port of a web server that is not ours."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    server.RequestHandlerClass.log_message = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_list_names_the_cards_in_words(store, settings, good_card):
    store.insert(good_card)
    store.insert(make_card(company="期限切れ商会", ends=timedelta(days=-1)))
    status, said = run("list", settings, SOFTHSM2_CONF=str(store.conf))
    assert status == 0
    first, second = said.splitlines()
    assert first.startswith("1. 株式会社山田建設　山田 太郎（認証局：")
    assert "有効期限：" in first
    assert second.startswith("2. 期限切れ商会")
    assert second.endswith("ICカードの有効期限が切れています。")


def test_list_without_a_card_says_what_is_missing_and_fails(store, settings, tmp_path):
    nobody = {"SOFTHSM2_CONF": str(store.conf), "PCSCLITE_CSOCK_NAME": str(tmp_path / "nobody")}
    status, said = run("list", settings, **nobody)
    assert status == 1
    assert "（C-201）\n　　→ パソコンを再起動してください。" in said


def test_check_finds_everything_in_order(store, settings, good_card):
    store.insert(good_card)
    status, said = run("check", settings, SOFTHSM2_CONF=str(store.conf))
    assert status == 0, said
    for line in (
        "○ 設定ファイル：読み取れました", "○ サイト：青い市 電子入札システム（https://bid.example.jp）", "○ 合言葉：決められています。",
        "：空いています。", "△ 補助アプリ：起動していません。\n　　→ 「irefuda-card serve」で起動してください。",
        "○ libsofthsm2.so：読み込めました", "○ ICカード：株式会社山田建設　山田 太郎", "ICカードを使えます。",
    ):  # fmt: skip
        assert line in said


def test_check_names_what_is_missing_and_fails(store, tmp_path):
    with another_program() as taken:
        path = tmp_path / "settings.toml"
        path.write_text(f'ports = [{taken}]\nmodules = ["/usr/lib/none.so"]\n', encoding="utf-8")
        status, said = run("check", path, PCSCLITE_CSOCK_NAME=str(tmp_path / "nobody"))
    assert status == 1
    for line in (
        "× サイト：登録されていません。\n　　→ 「irefuda-card settings」", "△ 合言葉：まだ決められていません。",
        f"△ ポート{taken}：ほかのプログラムが使っています。", "× 補助アプリ：使えるポートがないため、起動できません。",
        "× none.so：ICカード用のソフト（PKCS#11モジュール）が見つかりません。（C-216、/usr/lib/none.so）\n　　→ ",
        "× ICカードのサービス：", "× ICカード：ICカードが見つかりません。（C-203）", "×が5件あります。",
    ):  # fmt: skip
        assert line in said


def test_check_of_a_file_that_cannot_be_read_says_where(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("ports = [80]", encoding="utf-8")
    assert run("check", path) == (2, "ports は1024から65535までの異なる番号を3つまで書いてください。\n")
    status, said = run("check", tmp_path / "none.toml")
    assert status == 2
    assert "「irefuda-card settings」" in said


def test_a_port_is_free_ours_or_anothers(shared_agent):
    (free,) = free_ports(1)
    with another_program() as taken:
        holders = {port: holder_of(port) for port in (free, shared_agent.port, taken)}
    assert list(holders.values()) == ["nobody", "us", "other"]
    marks = [(finding.mark, finding.says) for finding in diagnosis.about_ports(holders)]
    assert marks == [
        ("○", "空いています。"),
        ("○", "補助アプリが動いています。"),
        ("△", "ほかのプログラムが使っています。"),
    ]


def card(**changes: object) -> dict:
    row = {
        "company_name": "会社", "holder_name": "氏名", "issuer": "認証局", "expires_on": "2027/03/31", "days_left": 300, "reader": "R",
        "label": "L", "choosable": True, "note": "", "few_tries": False, "final_try": False,
    }  # fmt: skip
    return {**row, **changes}


@pytest.mark.parametrize(
    ("cards", "marks", "words"),
    [
        ([card()], ["○"], "会社　氏名"),
        ([card(days_left=20)], ["△"], "有効期限まであと20日です。"),
        ([card(few_tries=True)], ["△"], "残り少なく"),
        ([card(final_try=True)], ["△"], "あと1回"),
        ([card(choosable=False, note="ICカードの有効期限が切れています。")], ["×"], "有効期限が切れています。"),
        ([card(), card(choosable=False, note="切れています。")], ["○", "△"], "切れています。"),
    ],
)
def test_a_cards_state_is_marked(cards, marks, words):
    module = Module("ソフト", SOFTHSM)
    findings = diagnosis.about_cards([module], {"cards": cards, "faults": []}, ["R"])
    of_cards = [finding for finding in findings if finding.about == "ICカード"]
    assert [finding.mark for finding in of_cards] == marks
    assert words in str(of_cards[-1])


def test_a_software_token_needs_no_reader():
    findings = diagnosis.about_cards([Module("ソフト", SOFTHSM)], {"cards": [card()], "faults": []}, None)
    assert [finding.mark for finding in findings] == ["○", "△", "○"]
