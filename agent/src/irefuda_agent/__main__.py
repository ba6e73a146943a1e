"""`irefuda-card`: the companion program's commands."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from irefuda_agent.cards import Cards
from irefuda_agent.diagnosis import BAD, diagnose, listed
from irefuda_agent.memory import keep_out_of_core_files
from irefuda_agent.ports import bind, holder_of
from irefuda_agent.settings import InvalidSettings, read_settings, settings_from
from irefuda_agent.settings_file import SettingsFile, content_of
from irefuda_agent.settings_page import SettingsPage
from irefuda_agent.web import Web, new_secret, now

SETTINGS_MINUTES = 30


def default_path() -> Path:
    """Return where the settings of this user stand."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "irefuda-card" / "settings.toml"


def server_of(application: ASGIApp) -> uvicorn.Server:
    """Return a web server for one person on this machine."""
    return uvicorn.Server(
        uvicorn.Config(
            application, lifespan="off", ws="none", access_log=False, log_level="warning", server_header=False,
            limit_concurrency=64, timeout_keep_alive=5, timeout_graceful_shutdown=1,
        )
    )  # fmt: skip


def serve(path: Path, *, single: bool = False) -> int:
    """Serve the popup until the program is ended; `single` ends at once when the program runs already."""
    keep_out_of_core_files()
    file = SettingsFile(path)
    settings = file.current()
    if single and any(holder_of(port) == "us" for port in settings.ports):
        print("補助アプリは、もう動いています。")
        return 0
    listener = bind(settings.ports)
    if listener is None:
        ports = "、".join(str(port) for port in settings.ports)
        print(
            f"補助アプリを起動できません。ポート {ports} がすべて使われています。既に起動していないか確かめてください。"
        )
        return 1
    port = listener.getsockname()[1]
    application = Web(file, Cards(settings.modules, clock=now), secret=new_secret()).application(port)
    print(f"補助アプリを起動しました（ポート {port}）。終わるときは Ctrl+C を押してください。", flush=True)
    server_of(application).run(sockets=[listener])
    return 0


def list_cards(path: Path) -> int:
    """Print the cards that are inserted; 1 when there is none to be used."""
    look = asyncio.run(Cards(read_settings(path).modules, clock=now).look())
    print("\n".join(listed(look)))
    return 0 if any(card["choosable"] for card in look["cards"]) else 1


def check(path: Path, *, wait: bool = False) -> int:
    """Print the diagnosis; 1 when something in it keeps the card from being used.

    `wait` is for a window of its own, which would close under the reader's eyes.
    """
    try:
        return _check(path)
    except InvalidSettings as invalid:
        print(invalid, file=sys.stderr)
        return 2
    finally:
        if wait:
            print("\nEnterキーを押すと閉じます。", flush=True)
            sys.stdin.readline()


def _check(path: Path) -> int:
    settings = read_settings(path)
    findings = asyncio.run(diagnose(path, settings, Cards(settings.modules, clock=now)))
    print("\n".join(map(str, findings)))
    bad = sum(finding.mark == BAD for finding in findings)
    print(
        f"\n×が{bad}件あります。→ のとおりにしてから、もう一度診断してください。" if bad else "\nICカードを使えます。"
    )
    return 1 if bad else 0


def edit_settings(path: Path, *, open_browser: bool) -> int:
    """Show the page of the settings at a one-time address, until it was saved or closed."""
    listener = bind([0])
    if listener is None:
        print("設定の画面を開けません。パソコンを再起動してください。")
        return 1
    content = content_of(path)
    before = settings_from({}, home=path.parent) if content is None else read_settings(path)
    ended = threading.Event()
    editing = SettingsPage(path, before, content, ended.set)
    port = listener.getsockname()[1]
    server = server_of(editing.application(port))
    serving = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    serving.start()
    address = f"http://127.0.0.1:{port}/open/{editing.key}"
    print(f"設定の画面を開きます。開かないときは、次のアドレスをブラウザに入れてください（一度だけ使えます）。\n{address}", flush=True)  # fmt: skip
    if open_browser:
        webbrowser.open(address)
    with contextlib.suppress(KeyboardInterrupt):
        ended.wait(SETTINGS_MINUTES * 60)
    server.should_exit = True
    serving.join(5)
    print("設定を保存しました。" if editing.saved else "設定は変えていません。")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(prog="irefuda-card", description="irefudaの補助アプリ（ICカード）")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("serve", "補助アプリを起動します"),
        ("list", "差し込まれているICカードを表示します"),
        ("check", "ICカードを使えるか診断します"),
        ("settings", "設定の画面を開きます"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("--settings", type=Path, default=default_path(), help="設定ファイル（TOML）")
        if name == "serve":
            command.add_argument("--single", action="store_true", help="もう動いているときは、すぐに終わります")
        if name == "check":
            command.add_argument("--wait", action="store_true", help="最後にEnterキーを待ちます")
        if name == "settings":
            command.add_argument("--no-browser", action="store_true", help="アドレスの表示だけをします")
            command.add_argument("--then-serve", action="store_true", help="設定の後、動いていなければ起動します")
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "settings":
                status = edit_settings(given.settings, open_browser=not given.no_browser)
                # What the menu does: whoever opens it wants a program that runs, and has perhaps no settings yet.
                return serve(given.settings, single=True) if given.then_serve and status == 0 else status
            case "serve":
                return serve(given.settings, single=given.single)
            case "check":
                return check(given.settings, wait=given.wait)
            case _:
                return list_cards(given.settings)
    except InvalidSettings as invalid:
        print(invalid, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
