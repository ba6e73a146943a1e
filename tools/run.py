"""`make run`: the practice city, with everything that production runs except the reverse proxy.

Makes what is missing under var/practice (database, keys, demo CA, demo cards, settings of the card agent), then starts
web (contractors), web (staff), web (public), ledger sequencer, outbox, timer, practice mail and the card agent; stops them all together.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STATE = Path(os.environ.get("IREFUDA_STATE_DIR", ROOT / "var" / "practice"))
SUPPLIER_PORT = int(os.environ.get("PORT", "8000"))
STAFF_PORT = SUPPLIER_PORT + 1
PUBLIC_PORT = SUPPLIER_PORT + 2
SMTP_PORT = SUPPLIER_PORT + 25
ORIGIN = os.environ.get("IREFUDA_SUPPLIER_ORIGIN", f"http://localhost:{SUPPLIER_PORT}")
STAFF_ORIGIN = f"http://staff.localhost:{STAFF_PORT}"
# For trying the city from other machines: certificate and key of the contractors' site, whose origin is then https.
TLS = [os.environ[name] for name in ("IREFUDA_TLS_CERTIFICATE", "IREFUDA_TLS_KEY") if name in os.environ]
AGENT_PORTS = os.environ.get("IREFUDA_AGENT_PORTS", "28765 28766 28767")
# Every one of them may be run at any time, and again.
HOURLY = ["fetch_revocations", "report_revocations", "send_expiry_warnings", "purge_registration"]
PYTHON = sys.executable
BIN = Path(PYTHON).parent


def settings() -> dict[str, str]:
    """Return the environment of every process of the practice city."""
    return {
        **os.environ,
        "IREFUDA_REALM": "practice",
        "IREFUDA_STATE_DIR": str(STATE),
        "IREFUDA_SECRET_KEY_FILE": str(STATE / "keys" / "secret"),
        "IREFUDA_SUPPLIER_ORIGIN": ORIGIN,
        "IREFUDA_STAFF_ORIGIN": STAFF_ORIGIN,
        "IREFUDA_PUBLIC_ORIGIN": f"http://open.localhost:{PUBLIC_PORT}",
        "IREFUDA_AGENT_PORTS": AGENT_PORTS,
        "IREFUDA_AGENT_RELEASES": str(STATE / "agent-releases"),
        "IREFUDA_SMTP_PORT": str(SMTP_PORT),
        "IREFUDA_RECEIPT_KEY_FILE": str(STATE / "keys" / "receipt.pem"),
        "IREFUDA_LEDGER_KEYS_FILE": str(STATE / "keys" / "ledger-keys.json"),
        "IREFUDA_LEDGER_WITNESS_FILE": str(STATE / "ledger-head"),
        "IREFUDA_MAIL_FROM": "irefuda@example.jp",
        # A line for every request is for those who run an installation; here it would bury the addresses.
        "IREFUDA_LOG_LEVEL": os.environ.get("IREFUDA_LOG_LEVEL", "WARNING"),
    }


def say(text: str) -> None:
    print(text, flush=True)


def manage(*arguments: str, env: dict[str, str]) -> None:
    """Run one of the server's commands to its end; a failure stops the start."""
    subprocess.run([PYTHON, str(ROOT / "server" / "manage.py"), *arguments], env=env, check=True)


def prepare(env: dict[str, str]) -> None:
    """Make what is missing; on a second start almost nothing is."""
    keys = STATE / "keys"
    keys.mkdir(parents=True, exist_ok=True)
    secret = keys / "secret"
    if not secret.exists():
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(60))
    newest = max(path.stat().st_mtime for path in (ROOT / "server" / "src").rglob("*") if path.is_file())
    stamp = STATE / "prepared"
    if stamp.exists() and stamp.stat().st_mtime > newest:
        return
    say("[1/4] データベースを準備しています（migrate）…")
    manage("migrate", "--verbosity", "0", env=env)
    say("[2/4] 画面の部品を集めています（collectstatic）…")
    manage("collectstatic", "--noinput", "--verbosity", "0", env=env)
    say("[3/4] 鍵と練習用ICカードを作っています…")
    if not (keys / "receipt.pem").exists():
        manage("make_ledger_keys", "--directory", str(keys), env=env)
    subprocess.run(
        [PYTHON, str(ROOT / "tools" / "practice_cards.py"), "--directory", str(STATE / "cards")],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    write_agent_settings()
    say("[4/4] 練習用の市（調達機関・名簿・認証局）を用意しています…")
    manage("make_practice_city", env=env)
    stamp.touch()


def offer_agent(packages: Path, env: dict[str, str]) -> None:
    """Offer what `make package` built last, if it did; nothing is built here."""
    built = max(packages.glob("irefuda-card-agent_*.deb"), key=lambda path: path.stat().st_mtime, default=None)
    if built is None or (Path(env["IREFUDA_AGENT_RELEASES"]) / built.name).exists():
        return
    key = Path(env["IREFUDA_STATE_DIR"]) / "keys" / "release.pem"
    command = [PYTHON, str(ROOT / "server" / "manage.py"), "publish_agent", str(built), "--key", str(key), "--make-key"]
    # A package that is refused (an older one, say) is no reason not to start the city; the command has said why.
    subprocess.run(command, env=env, check=False)


def write_agent_settings() -> None:
    """Write the card agent's settings: this practice city's two sites, and the software token as its one module."""
    cards = json.loads((STATE / "cards" / "cards.json").read_text())
    fingerprints = json.dumps(cards["authority"]["fingerprints"])
    staff_fingerprints = json.dumps(cards["staff_authority"]["fingerprints"])
    (STATE / "agent.toml").write_text(f"""# 練習用の補助アプリの設定（make run が作ります）
ports = [{", ".join(AGENT_PORTS.split())}]
passphrase = "りんごと雪灯籠"
state_dir = "agent"

[[sites]]
origin = "{ORIGIN}"
realm = "practice"
name = "入札市（練習）"
fingerprints = {fingerprints}

[[sites]]
origin = "{STAFF_ORIGIN}"
realm = "practice"
name = "入札市（練習・職員用）"
fingerprints = {staff_fingerprints}

[[modules]]
name = "練習用ICカード（SoftHSM2）"
path = "{cards["module"]}"
""")


def web(site: str, port: int) -> list[str]:
    """Return the command of one site's web process."""
    tls = ["--ssl-certificate", TLS[0], "--ssl-keyfile", TLS[1]] if TLS and site == "supplier" else []
    return [
        str(BIN / "granian"), "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port),
        "--workers", "2" if site == "supplier" else "1", "--blocking-threads", "8",
        "--backlog", "4096", "--backpressure", "16000", "--no-ws", "--log-level", "error",
        "--workers-kill-timeout", "3",
        *tls, "irefuda.config.wsgi:application",
    ]  # fmt: skip


def processes(env: dict[str, str]) -> list[tuple[str, list[str], dict[str, str]]]:
    """Return name, command and environment of everything that runs."""
    command = [PYTHON, str(ROOT / "server" / "manage.py")]
    head = {**env, "IREFUDA_HEAD_KEY_FILE": str(STATE / "keys" / "head.pem")}
    cards = {**env, "SOFTHSM2_CONF": str(STATE / "cards" / "softhsm2.conf")}
    return [
        ("web", web("supplier", SUPPLIER_PORT), {**env, "IREFUDA_SITE": "supplier"}),
        ("staff web", web("staff", STAFF_PORT), {**env, "IREFUDA_SITE": "staff"}),
        ("public web", web("public", PUBLIC_PORT), {**env, "IREFUDA_SITE": "public"}),
        ("ledger", [*command, "sequence_ledger"], head),
        ("practice mail", [*command, "practice_mail_server"], env),
        ("outbox", [*command, "send_notices"], env),
        ("timer", [*command, "repeat", "--quiet", *HOURLY, "--every-hours", "1"], env),
        ("card agent", [str(BIN / "irefuda-card"), "serve", "--settings", str(STATE / "agent.toml")], cards),
    ]


def wait_until_up(address: str, running: list[tuple[str, subprocess.Popen[bytes]]]) -> None:
    """Return when the page answers; stop when a process has died first."""
    # Whether it answers is asked here, not who it is: the certificate may be one of the tester's own.
    anyone = ssl._create_unverified_context() if address.startswith("https") else None
    for _ in range(300):
        try:
            urllib.request.urlopen(address, timeout=1, context=anyone).close()
            return
        except (urllib.error.URLError, OSError):
            for name, process in running:
                if process.poll() is not None:
                    sys.exit(f"{name} ended with {process.returncode} while starting")
            time.sleep(0.1)
    sys.exit(f"{address} did not answer within 30 seconds")


def taken_ports() -> list[int]:
    """Return which of the city's own ports another program holds."""
    taken = []
    for port in (SUPPLIER_PORT, STAFF_PORT, PUBLIC_PORT, SMTP_PORT):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                taken.append(port)
    return taken


def main() -> int:
    if taken := taken_ports():
        say(
            f"ポート {'、'.join(map(str, taken))} は、ほかのプログラムが使っています。練習用の市がもう動いていないか確かめてください。"
        )
        say("別のポートで動かすときは、PORT=8100 make run のように番号を指定してください。")
        return 1
    env = settings()
    started = time.monotonic()
    prepare(env)
    offer_agent(ROOT / "var" / "packages", env)
    running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, stop)
    try:
        for name, command, environment in processes(env):
            running.append((name, subprocess.Popen(command, env=environment, start_new_session=True)))
        scheme = ORIGIN.partition("://")[0]
        staff_card = json.loads((STATE / "cards" / "cards.json").read_text())["staff_cards"][0]
        wait_until_up(f"{scheme}://127.0.0.1:{SUPPLIER_PORT}/static/ui/style.css", running)
        say(f"""
  入札市（練習）が動いています（{time.monotonic() - started:.1f}秒で起動）。

    電子入札ポータルサイト   {ORIGIN}/
    練習用ICカードとPIN番号  {ORIGIN}/practice/cards/
    練習用メール             {ORIGIN}/practice/mail/
    職員用サイト             {STAFF_ORIGIN}/ （職員カードのPIN番号は {staff_card["pin"]}）
    公開サイト（名簿・台帳） http://open.localhost:{PUBLIC_PORT}/

  終わるときは Ctrl+C を押してください。
""")
        while True:
            for name, process in running:
                if process.poll() is not None:
                    say(f"{name} ended with {process.returncode}; stopping everything")
                    return 1
            time.sleep(0.5)
    except KeyboardInterrupt:
        say("\n止めています…")
        return 0
    finally:
        for _, process in running:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for _, process in running:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                # The whole group: a web process that is killed alone leaves its workers behind.
                os.killpg(process.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
