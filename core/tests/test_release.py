"""Signed releases: one spelling each, and `irefuda-verify file` that believes nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core import note
from irefuda_core.release import NoRelease, Release, read_release, release_of, release_text
from irefuda_verify.__main__ import main

NAME = "bid.city.example.jp/card-agent"
KEY, OTHER = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2))
VERIFIER = str(note.verifier_key(NAME, KEY.public_key()))
FILE = "irefuda-card-agent_1.2.3_amd64.deb"
CONTENT = b"!<arch>\n" + bytes(range(256))
TEXT = release_text(release_of(FILE, "1.2.3", CONTENT))


def test_the_text_that_is_signed() -> None:
    assert TEXT == (
        "irefuda-release/1\nfile: irefuda-card-agent_1.2.3_amd64.deb\nversion: 1.2.3\nsize: 264\n"
        "sha256: ffcc2cb746a4ec60d3b4baafff3947bfc81f24d84eed6f1d294710e5be0ef894\n"
    )
    assert read_release(TEXT) == release_of(FILE, "1.2.3", CONTENT)


def test_versions_are_compared_as_numbers() -> None:
    older, newer = (Release(FILE, version, 1, "0" * 64) for version in ("1.9.0", "1.10.0"))
    assert older.numbers < newer.numbers


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("release/1", "release/2"), ("1.2.3\n", "1.2\n"), ("1.2.3\n", "1.02.3\n"), ("1.2.3\n", "1.2.3.4\n"),
        ("size: 264", "size: 0264"), ("size: 264", "size: 0"), ("size: 264", "size: -1"), ("file: ", "file: ../"),
        ("file: irefuda", "file: .irefuda"), ("file: ", "file:  "), ("sha256: ", "sha256: A"), ("size", "sizes"),
        ("\n", "\r\n"), ("version", "file"),
    ],
)  # fmt: skip
def test_anything_else_is_no_release(old: str, new: str) -> None:
    changed = TEXT.replace(old, new)
    assert changed != TEXT
    with pytest.raises(NoRelease):
        read_release(changed)


@given(st.text())
def test_what_is_read_has_one_spelling(text: str) -> None:
    try:
        release = read_release(text)
    except NoRelease:
        return
    assert release_text(release) == text


@pytest.mark.parametrize(
    ("file", "version", "content"), [("a b", "1.0.0", b"x"), ("a", "1.0", b"x"), ("a", "1.0.0", b"")]
)
def test_what_could_not_be_read_back_is_not_signed(file: str, version: str, content: bytes) -> None:
    with pytest.raises(NoRelease):
        release_of(file, version, content)


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    (tmp_path / FILE).write_bytes(CONTENT)
    (tmp_path / f"{FILE}.note").write_text(note.sign_note(TEXT, name=NAME, key=KEY), encoding="utf-8")
    return tmp_path


def verify(
    folder: Path, capsys: pytest.CaptureFixture[str], *, file: str = FILE, key: str = VERIFIER
) -> tuple[int, str]:
    status = main(["file", str(folder / file), str(folder / f"{FILE}.note"), key])
    return status, capsys.readouterr().out


def test_a_true_file_passes(downloaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status, said = verify(downloaded, capsys)
    assert status == 0, said
    assert said.endswith("結果：すべて確かめられました。\n")
    assert "版 1.2.3" in said
    (downloaded / "key.txt").write_text(VERIFIER + "\n")
    assert verify(downloaded, capsys, key=str(downloaded / "key.txt"))[0] == 0


def test_a_file_under_another_name_is_told(downloaded: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (downloaded / FILE).rename(downloaded / "agent.deb")
    status, said = verify(downloaded, capsys, file="agent.deb")
    assert status == 3
    assert "△ ファイルの名前" in said


@pytest.mark.parametrize("lie", ["content", "shorter", "note", "key", "signer", "other statement", "not text"])
def test_a_lie_is_named(downloaded: Path, capsys: pytest.CaptureFixture[str], lie: str) -> None:
    signed = downloaded / f"{FILE}.note"
    key = VERIFIER
    match lie:
        case "content":
            (downloaded / FILE).write_bytes(CONTENT[:-1] + b"x")
        case "shorter":
            (downloaded / FILE).write_bytes(CONTENT[:-1])
        case "note":
            signed.write_text(signed.read_text(encoding="utf-8").replace("1.2.3\n", "1.2.4\n"), encoding="utf-8")
        case "key":
            key = str(note.verifier_key(NAME, OTHER.public_key()))
        case "signer":
            signed.write_text(note.sign_note(TEXT, name=NAME, key=OTHER), encoding="utf-8")
        case "other statement":
            signed.write_text(note.sign_note("irefuda-release/9\n", name=NAME, key=KEY), encoding="utf-8")
        case "not text":
            signed.write_bytes(b"\xff\xfe")
    status, said = verify(downloaded, capsys, key=key)
    assert status == 1, said
    assert "× " in said
    assert "結果：正しくありません" in said


@pytest.mark.parametrize("missing", [FILE, f"{FILE}.note", "key", "key in a file"])
def test_what_cannot_be_read_is_said(downloaded: Path, capsys: pytest.CaptureFixture[str], missing: str) -> None:
    key = {"key": "a+b+c", "key in a file": "nowhere.txt"}.get(missing, VERIFIER)
    if missing.startswith(FILE):
        (downloaded / missing).unlink()
    assert main(["file", str(downloaded / FILE), str(downloaded / f"{FILE}.note"), key]) == 2
    assert capsys.readouterr().err.startswith("エラー：")
