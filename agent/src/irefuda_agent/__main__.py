"""`irefuda-card`: the companion program's commands."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from irefuda_agent.cards import Cards
from irefuda_agent.settings import InvalidSettings, Settings, read_settings
from irefuda_agent.web import Web, new_secret, now


def default_path() -> Path:
    """Return where the settings of this user stand."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "irefuda-card" / "settings.toml"


def bind(ports: Sequence[int]) -> socket.socket | None:
    """Return a socket on the first free port of the list, on the loopback address only; None when all are taken."""
    for port in ports:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if sys.platform == "win32":
            # There SO_REUSEADDR would let another program take the port over while we listen.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
            listener.listen(64)
        except OSError:
            listener.close()
            continue
        return listener
    return None


def serve(settings: Settings) -> int:
    """Serve the popup until the program is ended."""
    listener = bind(settings.ports)
    if listener is None:
        ports = "、".join(str(port) for port in settings.ports)
        print(
            f"補助アプリを起動できません。ポート {ports} がすべて使われています。既に起動していないか確かめてください。"
        )
        return 1
    port = listener.getsockname()[1]
    application = Web(settings, Cards(settings.modules, clock=now), secret=new_secret()).application(port)
    config = uvicorn.Config(
        application, lifespan="off", ws="none", access_log=False, log_level="warning", server_header=False,
        limit_concurrency=64, timeout_keep_alive=5, timeout_graceful_shutdown=1,
    )  # fmt: skip
    print(f"補助アプリを起動しました（ポート {port}）。終わるときは Ctrl+C を押してください。", flush=True)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status."""
    parser = argparse.ArgumentParser(prog="irefuda-card", description="irefudaの補助アプリ（ICカード）")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (("serve", "補助アプリを起動します"),):
        command = commands.add_parser(name, help=text)
        command.add_argument("--settings", type=Path, default=default_path(), help="設定ファイル（TOML）")
    given = parser.parse_args(arguments)
    try:
        return serve(read_settings(given.settings))
    except InvalidSettings as invalid:
        print(invalid, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
