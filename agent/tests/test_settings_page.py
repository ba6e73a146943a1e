"""The settings page: opened once, by the person's own command, never by a site; what it writes reads back as entered."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from agent_for_tests import NAVIGATION, client
from browser_for_tests import axe, fits, state
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import BrowserContext

from irefuda_agent.settings import InvalidSettings, Module, Settings, Site, read_settings
from irefuda_agent.settings_file import SettingsChanged, SettingsFile, content_of, write_settings

BY_HAND = {**NAVIGATION, "Sec-Fetch-Site": "none"}
BEFORE = """ports = [28801, 28802]
state_dir = "kept"
passphrase = "りんご"

[[sites]]
origin = "https://bid.example.jp"
realm = "production"
name = "青い市"
"""


@dataclass
class Editing:
    """A running `irefuda-card settings`."""

    process: subprocess.Popen[str]
    address: str
    path: Path

    @property
    def origin(self) -> str:
        return self.address.split("/open/")[0]

    def secret(self) -> str:
        return client.get(self.address, headers=BY_HAND).text.split('data-secret="')[1].split('"')[0]

    def call(self, path: str, secret: str, **body: object) -> httpx.Response:
        headers = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", "X-Card-Agent-Secret": secret}
        return client.post(self.origin + path, json=body, headers=headers)

    def last_words(self) -> str:
        """Return what the command says at its end."""
        assert self.process.stdout is not None
        said = self.process.stdout.read()
        assert self.process.wait(10) == 0
        return said


@pytest.fixture
def edit(tmp_path: Path) -> Iterator[Callable[..., Editing]]:
    running: list[subprocess.Popen[str]] = []

    def start(text: str | None = BEFORE) -> Editing:
        path = tmp_path / "home" / "settings.toml"
        if text is not None:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "irefuda_agent", "settings", "--no-browser", "--settings", str(path)],
            env={**os.environ, "PYTHONIOENCODING": "utf-8"}, stdout=subprocess.PIPE, text=True, encoding="utf-8",
        )  # fmt: skip
        running.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return Editing(process, process.stdout.readline().strip(), path)

    yield start
    for process in running:
        process.terminate()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def test_the_address_opens_once_and_for_no_site(edit):
    editing = edit()
    for site in ("cross-site", "same-site", "same-origin", ""):
        assert client.get(editing.address, headers={**BY_HAND, "Sec-Fetch-Site": site}).status_code == 403
    assert client.get(editing.address, headers={**BY_HAND, "Sec-Fetch-Dest": "iframe"}).status_code == 403
    assert client.get(editing.origin + "/", headers=BY_HAND).status_code == 404
    assert client.get(editing.origin + "/open/guess", headers=BY_HAND).status_code == 404
    rebound = {**BY_HAND, "Host": f"localhost:{editing.origin.rsplit(':', 1)[1]}"}
    assert client.get(editing.address, headers=rebound).status_code == 421
    answer = client.get(editing.address, headers=BY_HAND)
    assert answer.status_code == 200
    assert answer.headers["cross-origin-opener-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert client.get(editing.address, headers=BY_HAND).status_code == 404


def test_its_calls_need_its_own_secret(edit):
    editing = edit()
    secret = editing.secret()
    for path in ("/api/read", "/api/save", "/api/end"):
        assert editing.call(path, "guess").status_code == 403
        foreign = {"Origin": "https://bid.example.jp", "Sec-Fetch-Site": "cross-site", "X-Card-Agent-Secret": secret}
        assert client.post(editing.origin + path, json={}, headers=foreign).status_code == 403
    assert editing.call("/api/read", secret).json()["passphrase"] == "りんご"


def test_the_popups_program_has_no_way_to_the_settings(shared_agent):
    shared_agent.open_popup()
    for path in ("/open/x", "/settings"):
        assert client.get(shared_agent.origin + path, headers=BY_HAND).status_code == 404
    answer = client.post(shared_agent.origin + "/api/save", json={}, headers=shared_agent.headers)
    assert answer.status_code == 404


def test_what_is_wrong_is_said_at_its_field_and_nothing_is_written(edit):
    editing = edit()
    secret = editing.secret()
    site = {"origin": "https://a.example.jp", "realm": "production", "name": "市", "fingerprints": ""}
    answer = editing.call(
        "/api/save",
        secret,
        passphrase="長" * 41,
        sites=[
            site,
            {**site, "origin": "http://a.example.jp"},
            site,
            {**site, "origin": "https://b.jp", "fingerprints": "zz"},
        ],
        modules=[{"name": "", "path": "lib.so"}],
    )
    assert [error["where"] for error in answer.json()["errors"]] == [
        "passphrase", "sites.1.origin", "sites.2.origin", "sites.3.fingerprints", "modules.0.path",
    ]  # fmt: skip
    assert editing.path.read_text(encoding="utf-8") == BEFORE
    assert editing.call("/api/save", secret, passphrase="", sites="x", modules=[]).status_code == 400
    assert editing.call("/api/save", secret, passphrase="", sites=[{**site, "url": "x"}], modules=[]).json()["errors"]


def test_a_file_changed_meanwhile_is_not_overwritten(edit):
    editing = edit()
    secret = editing.secret()
    editing.path.write_text(BEFORE + "# by hand\n", encoding="utf-8")
    answer = editing.call("/api/save", secret, passphrase="海", sites=[], modules=[]).json()
    assert "書き換えられました" in answer["errors"][0]["message"]
    assert editing.path.read_text(encoding="utf-8").endswith("# by hand\n")


def test_closing_without_saving_changes_nothing(edit):
    editing = edit()
    assert editing.call("/api/end", editing.secret()).json() == {"ended": True}
    assert editing.last_words() == "設定は変えていません。\n"
    assert editing.path.read_text(encoding="utf-8") == BEFORE


@pytest.mark.browser
def test_a_person_edits_the_settings_with_the_keyboard_alone(edit, context: BrowserContext):
    editing = edit()
    page = context.new_page()
    page.goto(editing.address)
    page.get_by_label("合言葉").wait_for()  # hidden until what is set has come
    page.get_by_label("合言葉").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("青い海")
    page.get_by_role("button", name="サイトを追加する").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("http://bid2.example.jp")
    page.keyboard.press("Tab")
    page.keyboard.type("赤い市")
    page.get_by_role("button", name="ソフトを追加する").focus()
    page.keyboard.press("Enter")
    page.keyboard.type("県CA")
    page.keyboard.press("Tab")
    page.keyboard.type("/usr/lib/ca.so")
    fits(page, "settings")
    page.keyboard.press("Enter")
    page.get_by_text("保存していません。").wait_for()
    assert page.evaluate("document.activeElement.id") == "alert"
    state(page, "settings-errors")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    page.keyboard.type("https://bid2.example.jp")
    page.get_by_role("button", name="サイト1を外す").focus()
    page.keyboard.press("Enter")
    page.get_by_label("証明書の指紋").fill("AB:CD:" * 15 + "AB:CD\n" + "ef" * 32)
    page.get_by_role("button", name="保存する").press("Enter")
    page.get_by_text("保存しました。").wait_for()
    state(page, "settings-saved")
    assert "保存しました" in editing.last_words()
    saved = read_settings(editing.path)
    assert saved.sites == (Site("https://bid2.example.jp", "production", "赤い市", ("abcd" * 16, "ef" * 32)),)
    assert saved.modules == (Module("県CA", "/usr/lib/ca.so"),)
    assert (saved.passphrase, saved.ports, saved.state_dir) == ("青い海", (28801, 28802), editing.path.parent / "kept")


@pytest.mark.browser
def test_the_first_settings_are_made_where_there_is_no_file(edit, context: BrowserContext):
    editing = edit(None)
    page = context.new_page()
    page.goto(editing.address)
    page.get_by_label("合言葉").fill("青い海")
    assert axe(page) == []
    page.get_by_role("button", name="保存する").click()
    page.get_by_text("保存しました。").wait_for()
    assert read_settings(editing.path).passphrase == "青い海"
    assert (editing.path.stat().st_mode & 0o777, editing.path.parent.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_running_program_follows_the_file(store, start_agent):
    agent = start_agent(conf=store.conf)
    assert agent.begin()["passphrase"] == "りんごと青い海"
    text = agent.settings.read_text(encoding="utf-8")
    agent.settings.write_text(text.replace("りんごと青い海", "新しい言葉"), encoding="utf-8")
    assert agent.begin()["passphrase"] == "新しい言葉"
    agent.settings.write_text(text.replace("https://bid.example.jp", "https://other.example.jp"), encoding="utf-8")
    assert agent.begin()["refusals"][0]["code"] == "C-215"
    agent.settings.write_text("sites = 5", encoding="utf-8")
    answer = agent.begin()
    assert (answer["refusals"][0]["code"], answer["final"]) == ("C-225", True)


lines = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=30).filter(str.isprintable)
sites = st.builds(
    Site,
    st.from_regex(r"https://[a-z]{1,9}\.jp(:[1-9][0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["production", "practice"]),
    lines.filter(bool),
    st.lists(st.from_regex(r"[0-9a-f]{64}", fullmatch=True), max_size=2).map(tuple),
)
modules = st.builds(Module, lines.filter(bool), lines.map("/usr/lib/".__add__))


@given(
    st.lists(sites, max_size=3, unique_by=lambda site: site.origin).map(tuple),
    st.lists(modules, max_size=3).map(tuple),
    lines,
    st.sampled_from([(28765,), (28765, 28766, 28767)]),
)
@settings(max_examples=40, deadline=None)
def test_what_is_written_reads_back_as_the_same(tmp_path_factory, sites, modules, passphrase, ports):
    directory = tmp_path_factory.mktemp("written")
    wanted = Settings(sites, modules, passphrase, directory / "state", ports)
    write_settings(directory / "settings.toml", wanted, replacing=None)
    assert read_settings(directory / "settings.toml") == wanted
    assert [path.name for path in directory.iterdir()] == ["settings.toml"]


def test_settings_that_do_not_read_back_are_not_written(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text(BEFORE, encoding="utf-8")
    wrong = Settings((Site("http://bid.example.jp", "production", "市"),), (), "", tmp_path / "state")
    with pytest.raises(InvalidSettings):
        write_settings(path, wrong, replacing=content_of(path))
    with pytest.raises(SettingsChanged):
        write_settings(path, Settings((), (), "", tmp_path / "state"), replacing=b"other")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["passphrase"] == "りんご"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_to_the_settings_stays_a_link(tmp_path):
    (tmp_path / "real.toml").write_text(BEFORE, encoding="utf-8")
    link = tmp_path / "settings.toml"
    link.symlink_to(tmp_path / "real.toml")
    write_settings(link, Settings((), (), "海", tmp_path / "state"), replacing=content_of(link))
    assert link.is_symlink()
    assert SettingsFile(link).current().passphrase == "海"
