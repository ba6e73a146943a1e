"""補助アプリの入手: what is published is what is offered, checked and sent; with nothing published it says so."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import re
import subprocess
import threading
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from irefuda.cards import releases
from irefuda.ui import clock
from irefuda_core.refusal import Refused
from irefuda_verify.__main__ import main as verify

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

ROOT = Path(__file__).parents[3]
BEGINNINGS = {system.slug: system.beginning for system in releases.SYSTEMS}
LINUX = "irefuda-card-agent_0.2.0_amd64.deb"
PACKAGES = {"linux": LINUX, "windows": "irefuda-card-agent-0.2.0.msi", "macos": "irefuda-card-agent-0.2.0.pkg"}
BROWSERS = {
    "linux": "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
    "windows": "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36 Edg/156.0.0.0",
    "macos": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.0 Safari/605.1.15",
}
PHONES = [
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/156.0.0.0 Mobile Safari/537.36",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Version/18.0 Mobile Safari/604.1",
]


@pytest.fixture
def shelf(settings: Any, tmp_path: Path) -> Path:
    """Return the folder of releases, which does not exist yet."""
    settings.AGENT_RELEASES = str(tmp_path / "releases")
    return tmp_path / "releases"


def made(tmp_path: Path, file: str, content: bytes | None = None) -> Path:
    slug = next((slug for slug in PACKAGES if file.endswith(PACKAGES[slug][-4:])), "linux")
    path = tmp_path / file
    path.write_bytes(BEGINNINGS[slug] + file.encode() if content is None else content)
    return path


def publish(
    tmp_path: Path, file: str, *, key: str = "release.pem", content: bytes | None = None, **options: Any
) -> str:
    out = StringIO()
    path = made(tmp_path, file, content)
    call_command("publish_agent", path, key=tmp_path / key, make_key=True, stdout=out, **options)
    return out.getvalue()


def status_of(client: Client, address: str) -> int:
    """Return how the site answers; what it would send is closed unread."""
    answer = client.get(address)
    answer.close()
    return answer.status_code


def versions(client: Client, browser: str = "") -> list[str]:
    page = client.get("/agent/", headers={"user-agent": browser}).text
    return re.findall(
        r'href="/agent/([a-z]+)/">.*?<p>(?:<strong>いま使っ[^<]*</strong>)?(?:版 ([0-9.]+)|配布)', page, re.DOTALL
    )


@pytest.mark.parametrize("folder", ["unset", "missing", "empty"])
def test_with_nothing_published_it_says_so_and_whom_to_ask(
    client: Client, settings: Any, tmp_path: Path, folder: str
) -> None:
    settings.AGENT_RELEASES = {"unset": "", "missing": str(tmp_path / "none"), "empty": str(tmp_path)}[folder]
    assert versions(client) == [("linux", ""), ("windows", ""), ("macos", "")]
    for slug in PACKAGES:
        page = client.get(f"/agent/{slug}/").text
        assert "まだ配布していません" in page
        assert 'href="/helpdesk/"' in page.partition("<footer")[0]
        assert "SHA-256" not in page
    assert status_of(client, f"/agent/files/{LINUX}") == 404
    assert 'data-agent-newest=""' in client.get("/environment/").text


@pytest.mark.parametrize("own", [*BROWSERS, ""])
def test_the_visitor_s_own_system_comes_first_and_all_three_are_there(client: Client, shelf: Path, own: str) -> None:
    page = client.get("/agent/", headers={"user-agent": BROWSERS.get(own, "curl/8")}).text
    order = re.findall(r'href="/agent/([a-z]+)/"', page)
    assert order == sorted(PACKAGES, key=lambda slug: (slug != own, list(PACKAGES).index(slug)))
    assert page.count("いま使っているパソコンの種類です。") == bool(own)
    assert "スマートフォン" not in page


@pytest.mark.parametrize("phone", PHONES)
def test_a_phone_is_told_that_it_cannot(client: Client, phone: str) -> None:
    page = client.get("/agent/", headers={"user-agent": phone}).text
    assert "スマートフォンやタブレットでは" in page
    assert "いま使っているパソコンの種類です。" not in page
    assert 'data-agent-newest=""' in client.get("/environment/", headers={"user-agent": phone}).text


def test_a_release_is_found_checked_by_the_commands_of_its_page_and_explained(
    django_app: Any, shelf: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = publish(tmp_path, LINUX)
    page = django_app.get("/agent/").click("Linux（Debian 12）に入れる")
    facts = {row.dt.text: row.dd.text for row in page.html.select("dl.values > div")}
    content = (tmp_path / LINUX).read_bytes()
    assert facts["版"].startswith("0.2.0（20")
    assert f"{len(content)}バイト" in facts["大きさ"]
    assert facts["SHA-256"] == hashlib.sha256(content).hexdigest()
    assert facts["署名の鍵"].startswith("localhost:8000/card-agent+")
    assert facts["SHA-256"] in said
    assert facts["署名の鍵"] in said

    # What the browser saves, and then the commands as they stand on the page.
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for link in page.html.select("dl a[download]"):
        answer = django_app.get(link["href"])
        assert answer.headers["Content-Disposition"] == f'attachment; filename="{link.text}"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Length"] == str(len(answer.body))
        assert answer.content_type == ("text/plain" if link.text.endswith(".note") else "application/octet-stream")
        (downloads / link.text).write_bytes(answer.body)
    assert (downloads / LINUX).read_bytes() == content
    sums, checked, install, remove, forget = (block.text for block in page.html.select("pre"))
    told = subprocess.run(sums, shell=True, cwd=downloads, check=True, capture_output=True, text=True).stdout
    assert told.split() == [facts["SHA-256"], LINUX]
    monkeypatch.chdir(downloads)
    assert checked.startswith("irefuda-verify file ")
    assert verify([word.strip("'") for word in checked.split()[1:]]) == 0
    assert capsys.readouterr().out.endswith("結果：すべて確かめられました。\n")
    assert install == f"sudo apt install ./{LINUX}"
    assert len(page.html.select("main ol > li")) > 8
    assert "http://localhost:8000" in page.html.main.text
    assert (remove, forget) == ("sudo apt purge irefuda-card-agent", "rm -r ~/.config/irefuda-card")


@pytest.mark.parametrize("slug", ["windows", "macos"])
def test_what_was_never_tried_says_so_also_when_it_is_offered(
    client: Client, shelf: Path, tmp_path: Path, slug: str
) -> None:
    assert "未検証" in client.get(f"/agent/{slug}/").text
    publish(tmp_path, PACKAGES[slug])
    page = client.get(f"/agent/{slug}/").text
    assert "未検証" in page
    assert PACKAGES[slug] in page
    assert (slug, "0.2.0") in versions(client)
    assert ("linux", "") in versions(client)


def test_the_portal_and_the_manual_lead_here_and_to_the_check_of_the_environment(django_app: Any) -> None:
    portal = django_app.get("/")
    assert portal.click("補助アプリの入手").request.path == "/agent/"
    assert portal.click("利用環境の確認").request.path == "/environment/"
    assert django_app.get("/guide/3/").click("補助アプリの入手", index=0).request.path == "/agent/"


def test_a_browser_may_ask_for_the_size_alone(client: Client, shelf: Path, tmp_path: Path) -> None:
    publish(tmp_path, LINUX)
    answer = client.head(f"/agent/files/{LINUX}")
    assert (answer.status_code, list(answer.streaming_content)) == (200, [])
    answer.close()
    assert answer.headers["Content-Length"] == str((tmp_path / LINUX).stat().st_size)


def test_the_newest_is_offered_and_older_ones_stay_where_links_lead(
    client: Client, shelf: Path, tmp_path: Path
) -> None:
    for version in ("0.9.0", "0.10.0"):
        publish(tmp_path, f"irefuda-card-agent_{version}_amd64.deb")
    assert versions(client)[0] == ("linux", "0.10.0")
    assert status_of(client, "/agent/files/irefuda-card-agent_0.9.0_amd64.deb") == 200
    assert 'data-agent-newest="0.10.0"' in client.get("/environment/", headers={"user-agent": BROWSERS["linux"]}).text
    # Of another system nothing is there, so nobody is sent to look for it.
    assert 'data-agent-newest=""' in client.get("/environment/", headers={"user-agent": BROWSERS["macos"]}).text


@pytest.mark.parametrize(
    ("file", "content", "code"),
    [
        (LINUX, None, "P-843"), ("irefuda-card-agent_0.1.99_amd64.deb", None, "P-843"),
        ("irefuda-card-agent_0.3.0_amd64.deb", b"MZ", "P-842"), ("irefuda-card-agent-0.3.0.msi", b"!<arch>\n", "P-842"),
        ("irefuda-card-agent_0.3.0_amd64.deb", b"", "P-842"), ("agent.deb", None, "P-842"),
        ("irefuda-card-agent_0.3_amd64.deb", None, "P-842"), ("irefuda-card-agent_00.3.0_amd64.deb", None, "P-842"),
        ("x-irefuda-card-agent_0.3.0_amd64.deb", None, "P-842"), ("releases.json", None, "P-842"),
    ],
)  # fmt: skip
def test_what_is_not_a_newer_release_is_refused_and_changes_nothing(
    shelf: Path, tmp_path: Path, file: str, content: bytes | None, code: str
) -> None:
    publish(tmp_path, LINUX)
    before = {path.name: path.read_bytes() for path in shelf.iterdir()}
    with pytest.raises(CommandError, match=code):
        publish(tmp_path, file, content=content)
    assert {path.name: path.read_bytes() for path in shelf.iterdir()} == before


def test_another_key_must_be_meant(shelf: Path, tmp_path: Path) -> None:
    first = publish(tmp_path, LINUX)
    newer = "irefuda-card-agent_0.3.0_amd64.deb"
    with pytest.raises(CommandError, match="P-844") as refused:
        publish(tmp_path, newer, key="other.pem")
    assert first.split()[-1] in str(refused.value)
    with pytest.raises(CommandError, match="P-844"):
        publish(tmp_path, newer, key_name="elsewhere")
    assert publish(tmp_path, newer, key="other.pem", new_key=True).split()[-1] != first.split()[-1]
    assert [each.release.version for each in releases.offered()] == ["0.2.0", "0.3.0"]


def test_where_nothing_is_to_be_published(settings: Any, tmp_path: Path) -> None:
    settings.AGENT_RELEASES = ""
    with pytest.raises(CommandError, match="P-841"):
        publish(tmp_path, LINUX)
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("publish_agent", tmp_path / "none.deb", key=tmp_path / "release.pem")
    file = made(tmp_path, LINUX)
    with pytest.raises(CommandError, match="--make-key"):
        call_command("publish_agent", file, key=tmp_path / "none.pem")
    (tmp_path / "rsa.pem").write_bytes(
        subprocess.run(["openssl", "genpkey", "-algorithm", "X25519"], check=True, capture_output=True).stdout
    )
    with pytest.raises(CommandError, match="not an Ed25519 key"):
        call_command("publish_agent", file, key=tmp_path / "rsa.pem")
    assert (tmp_path / "release.pem").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "broken",
    ["", "[]", "{}", '{"format": "irefuda-releases/1"}', '{"format": "irefuda-releases/1", "releases": [{}]}', "\xff", "null",
     '{"format": "irefuda-releases/1", "releases": 5}'],
)  # fmt: skip
def test_a_broken_manifest_offers_nothing_and_is_not_written_over(
    client: Client, shelf: Path, tmp_path: Path, broken: str, caplog: pytest.LogCaptureFixture
) -> None:
    publish(tmp_path, LINUX)
    (shelf / "releases.json").write_bytes(broken.encode("latin-1"))
    assert versions(client)[0] == ("linux", "")
    assert "releases.json cannot be read" in caplog.text
    assert client.get("/environment/").status_code == 200
    with pytest.raises(CommandError, match="P-845"):
        publish(tmp_path, "irefuda-card-agent_0.3.0_amd64.deb")
    assert (shelf / "releases.json").read_bytes() == broken.encode("latin-1")


@pytest.mark.parametrize("field", ["file", "version", "size", "sha256", "system", "key", "published_at"])
def test_every_entry_of_the_manifest_is_read_strictly(client: Client, shelf: Path, tmp_path: Path, field: str) -> None:
    publish(tmp_path, LINUX)
    manifest = json.loads((shelf / "releases.json").read_text())
    for wrong in ("../releases.json", "", None, 5.5):
        entry = {**manifest["releases"][0], field: wrong}
        (shelf / "releases.json").write_text(json.dumps({**manifest, "releases": [entry]}))
        assert releases.offered() == []


@pytest.mark.parametrize("missing", ["file", "note", "half"])
def test_a_release_that_is_not_whole_is_not_offered(client: Client, shelf: Path, tmp_path: Path, missing: str) -> None:
    publish(tmp_path, LINUX)
    if missing == "half":
        (shelf / LINUX).write_bytes((shelf / LINUX).read_bytes()[:-1])
    else:
        (shelf / (LINUX if missing == "file" else f"{LINUX}.note")).unlink()
    assert versions(client)[0] == ("linux", "")
    for name in (LINUX, f"{LINUX}.note"):
        assert status_of(client, f"/agent/files/{name}") == 404


@pytest.mark.parametrize(
    "address",
    [
        "releases.json", ".publishing", "..", "../releases/releases.json", "%2e%2e%2freleases.json", "..%2f..%2fetc%2fpasswd",
        f"{LINUX}%00", f"{LINUX}/", f"./{LINUX}", f"{LINUX.upper()}", "release.pem", "", f"{LINUX}.note.note",
    ],
)  # fmt: skip
def test_nothing_but_releases_and_their_notes_is_sent(
    client: Client, shelf: Path, tmp_path: Path, address: str
) -> None:
    publish(tmp_path, LINUX)
    assert status_of(client, f"/agent/files/{LINUX}") == 200
    assert status_of(client, f"/agent/files/{address}") == 404
    assert client.get("/agent/bsd/").status_code == 404
    assert client.post(f"/agent/files/{LINUX}").status_code == 405


def test_two_who_publish_at_once_both_stand_in_the_manifest(shelf: Path) -> None:
    key = Ed25519PrivateKey.generate()
    barrier = threading.Barrier(4)
    refused = []

    def go(file: str) -> None:
        slug = next(slug for slug, name in PACKAGES.items() if name[-4:] == file[-4:])
        barrier.wait()
        try:
            releases.publish(file, BEGINNINGS[slug], key=key, key_name="k", new_key=False, now=clock.now())
        except Refused as reason:
            refused.append(reason.refusals[0].code)

    threads = [threading.Thread(target=go, args=(file,)) for file in (*PACKAGES.values(), LINUX)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(each.release.file for each in releases.offered()) == sorted(PACKAGES.values())
    assert refused == ["P-843"]


def a_real_package(folder: Path) -> Path:
    """Return a .deb with nothing in it, under the name of ours."""
    control = folder / "content" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text("Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.jp>\nDescription: x\n")
    subprocess.run(["dpkg-deb", "-b", folder / "content", folder / LINUX], check=True, capture_output=True)
    return folder / LINUX


@pytest.mark.committing
def test_make_run_offers_what_make_package_built(
    own_database: str, client: Client, shelf: Path, tmp_path: Path
) -> None:
    spec = importlib.util.spec_from_file_location("run", ROOT / "tools" / "run.py")
    assert spec is not None
    assert spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    env = {**os.environ, "IREFUDA_AGENT_RELEASES": str(shelf), "IREFUDA_STATE_DIR": str(tmp_path)}
    env |= {"DJANGO_SETTINGS_MODULE": "irefuda.config.settings", "DATABASE_URL": own_database}
    packages = tmp_path / "packages"
    packages.mkdir()
    (tmp_path / "keys").mkdir()
    run.offer_agent(packages, env)
    assert not shelf.exists()
    package = a_real_package(packages)
    run.offer_agent(packages, env)
    answer = client.get(reverse("agent-file", args=[package.name]))
    assert b"".join(answer.streaming_content) == package.read_bytes()
    answer.close()
    before = (shelf / "releases.json").stat().st_mtime_ns
    run.offer_agent(packages, env)
    assert (shelf / "releases.json").stat().st_mtime_ns == before
    assert run.settings()["IREFUDA_AGENT_RELEASES"].startswith(run.settings()["IREFUDA_STATE_DIR"])
