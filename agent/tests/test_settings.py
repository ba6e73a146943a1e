"""The settings file: what it may say, and the sentence for what it may not."""

from __future__ import annotations

from pathlib import Path

import pytest

from irefuda_agent.settings import InvalidSettings, Module, Site, check_origin, read_settings, settings_from


def test_everything_that_can_be_said_is_read(tmp_path):
    path = tmp_path / "agent.toml"
    path.write_text(
        'ports = [28765]\npassphrase = "海"\nstate_dir = "state"\n'
        'modules = ["/usr/lib/a.so", {name = "県CA", path = "/usr/lib/b.so"}]\n'
        f'[[sites]]\norigin = "https://bid.example.jp"\nrealm = "production"\nname = "市"\nfingerprints = ["{"ab" * 32}"]\n',
        encoding="utf-8",
    )
    settings = read_settings(path)
    assert settings.sites == (Site("https://bid.example.jp", "production", "市", ("ab" * 32,)),)
    assert settings.modules == (Module("a.so", "/usr/lib/a.so"), Module("県CA", "/usr/lib/b.so"))
    assert (settings.ports, settings.passphrase, settings.state_dir) == ((28765,), "海", tmp_path / "state")


@pytest.mark.parametrize(
    ("origin", "realm"),
    [
        ("https://bid.example.jp", "production"),
        ("https://bid.example.jp:8443", "practice"),
        ("http://localhost:8000", "practice"),
        ("http://staff.localhost:8000", "practice"),
    ],
)
def test_an_origin_where_the_card_may_be_used(origin, realm):
    assert check_origin(origin, realm) == origin


@pytest.mark.parametrize(
    ("origin", "realm"),
    [
        ("http://bid.example.jp", "production"),
        ("http://bid.example.jp", "practice"),
        ("http://localhost:8000", "production"),
        ("http://127.0.0.1:8000", "practice"),
        ("https://127.0.0.1", "practice"),
        ("https://0x7f.1", "production"),
        ("http://notlocalhost", "practice"),
        ("http://localhost.example.jp", "practice"),
        ("https://bid.example.jp/", "production"),
        ("https://bid.example.jp/path", "production"),
        ("https://bid.example.jp?x", "production"),
        ("https://user@bid.example.jp", "production"),
        ("https://BID.example.jp", "production"),
        ("https://bid.example.jp:99999", "production"),
        ("https://bid.example.jp:", "production"),
        (" https://bid.example.jp", "production"),
        ("https://[::1]", "practice"),
        ("https://", "production"),
        ("null", "practice"),
        ("file:///etc", "practice"),
        ("https://" + "a" * 250 + ".jp", "production"),
        ("https://bid.example.jp:443", "production"),
        ("http://localhost:80", "practice"),
        (None, "production"),
    ],
)
def test_an_origin_where_it_may_not(origin, realm):
    with pytest.raises(InvalidSettings, match="origin"):
        check_origin(origin, realm)


def test_the_port_that_a_browser_leaves_out_is_to_be_left_out():
    with pytest.raises(InvalidSettings, match="「:443」は付けずに"):
        check_origin("https://bid.example.jp:443", "production")
    assert check_origin("https://bid.example.jp:80", "production") == "https://bid.example.jp:80"


def test_a_wide_space_is_a_character_like_any_other():
    settings = settings_from(
        {"passphrase": "青い　海", "sites": [{"origin": "https://a.jp", "name": "青い市　入札"}]}, home=Path("/home")
    )
    assert (settings.passphrase, settings.sites[0].name) == ("青い　海", "青い市　入札")


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"site": []}, "知らない項目"),
        ({"sites": "x"}, "一覧"),
        ({"sites": ["x"]}, "sites"),
        ({"sites": [{"origin": "https://a.jp", "url": "x"}]}, "sites"),
        ({"sites": [{"origin": "https://a.jp", "realm": "test"}]}, "realm"),
        ({"sites": [{"origin": "https://a.jp", "fingerprints": ["AB"]}]}, "指紋"),
        ({"sites": [{"origin": "https://a.jp"}, {"origin": "https://a.jp"}]}, "二度"),
        ({"sites": [{"origin": "https://a.jp", "name": "二\n行"}]}, "name"),
        ({"modules": [5]}, "modules"),
        ({"modules": ["lib.so"]}, "完全な形"),
        ({"ports": [80]}, "ports"),
        ({"ports": []}, "ports"),
        ({"ports": [28765, 28765]}, "ports"),
        ({"ports": [1024, 1025, 1026, 1027]}, "ports"),
        ({"ports": [True]}, "ports"),
        ({"passphrase": "長" * 41}, "passphrase"),
        ({"passphrase": 5}, "passphrase"),
        ({"passphrase": "青い\t海"}, "見えない文字"),
        ({"passphrase": "青い\u202e海"}, "見えない文字"),
        ({"passphrase": "青い\u2028海"}, "見えない文字"),
        ({"passphrase": "青い\ud800海"}, "見えない文字"),
    ],
)
def test_what_cannot_be_used_is_named(table, words):
    with pytest.raises(InvalidSettings, match=words):
        settings_from(table, home=Path("/home"))


def test_a_missing_or_broken_file_is_said(tmp_path):
    with pytest.raises(InvalidSettings, match="ありません"):
        read_settings(tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_bytes(b'x = "\xff')
    with pytest.raises(InvalidSettings, match="読み取れません"):
        read_settings(tmp_path / "broken.toml")
