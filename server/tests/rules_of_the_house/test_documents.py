"""What the documents list, the code has, and the other way round."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
from django.core.management import get_commands, load_command_class

from irefuda_core.refusal import CATALOGUE
from irefuda_core.registration import Policy

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs"
SOURCES = sorted((ROOT / "server" / "src").rglob("*.py"))
# Every command of Django has these.
EVERYWHERE = {
    "--help", "--version", "--verbosity", "--settings", "--pythonpath", "--traceback", "--no-color", "--force-color",
    "--skip-checks",
}  # fmt: skip


def page(name: str) -> str:
    return (DOCS / name).read_text()


def first_cells(name: str, *, below: str = "", until: str = "\n## ") -> set[str]:
    """Return what stands in code in the first column of the tables of a page, or of one part of it."""
    text = page(name)
    part = text.partition(below)[2].partition(until)[0] if below else text
    return set(re.findall(r"(?m)^\| `([^`]+)` \|", part))


def test_every_refusal_is_listed_with_its_words():
    wanted = {f"| {code} | {words.sentence} | {words.remedy} |" for code, words in CATALOGUE.items()}
    listed = [line for line in page("refusals.md").splitlines() if re.match(r"\| [A-Z]-\d{3} \|", line)]
    assert set(listed) == wanted
    assert len(listed) == len(wanted)


def test_every_refusal_code_in_the_code_is_in_the_catalogue():
    everywhere = [*SOURCES, *(ROOT / "core" / "src").rglob("*.py"), *(ROOT / "agent" / "src").rglob("*.py")]
    named = {code for path in everywhere for code in re.findall(r'"([A-Z]-\d{3})"', path.read_text())}
    # The bases of the families of failures stand for no refusal of their own.
    assert {code for code in named if code not in CATALOGUE and not code.endswith("0")} == set()


def test_every_setting_is_listed():
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z_]+)"', (ROOT / "server/src/irefuda/config/settings.py").read_text()))
    assert len(read) > 15
    assert first_cells("settings.md", below="# Settings") == read
    of_make_run = set(re.findall(r'"((?:IREFUDA_[A-Z_]+|PORT))"', (ROOT / "tools" / "run.py").read_text()))
    text = page("settings.md")
    assert {
        name for name in of_make_run if f"`{name.removesuffix('_FILE')}`" not in text and f"`{name}`" not in text
    } == set()


def test_no_other_module_reads_the_environment():
    allowed = {"config/env.py", "config/wsgi.py"}
    package = ROOT / "server" / "src" / "irefuda"
    reading = {
        path.relative_to(package).as_posix() for path in SOURCES if re.search(r"os\.(environ|getenv)", path.read_text())
    }
    assert reading == allowed


def test_every_knob_of_an_agency_is_listed():
    assert first_cells("settings.md", below="## Knobs") == {field.name for field in fields(Policy)}


def our_commands() -> dict[str, argparse.ArgumentParser]:
    ours = {name: app for name, app in get_commands().items() if app.startswith("irefuda.")}
    return {name: load_command_class(app, name).create_parser("manage.py", name) for name, app in ours.items()}


def words_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """Yield the options and sub-commands of a command."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield name
                yield from words_of(below)
        yield from (option for option in action.option_strings if option.startswith("--"))


def test_every_command_is_listed_with_its_options():
    commands = our_commands()
    assert len(commands) > 9
    listed = first_cells("commands.md")
    assert {name for name in listed if " " not in name} == set(commands)
    rows = {line.split("`")[1]: line for line in page("commands.md").splitlines() if line.startswith("| `")}
    for name, parser in commands.items():
        missing = {word for word in words_of(parser) if word not in EVERYWHERE and f"`{word}`" not in rows[name]}
        assert missing == set(), name


@pytest.mark.parametrize(
    ("call", "name", "below"),
    [
        (r"(?:\.append|\brecord)", "ledger.md", "| kind of entry"),
        (r"(?:\.enqueue|\b_?tell(?:_company|_office|_registration)?)", "notices.md", "## Kinds"),
    ],
)
def test_every_kind_is_listed(call, name, below):
    kinds = {
        kind
        for path in SOURCES
        for kind in re.findall(rf'{call}\([^()]*?(?:\([^()]*\)[^()]*?)*?kind="([^"]+)"', path.read_text())
    }
    assert kinds
    assert first_cells(name, below=below) == kinds


def test_the_index_names_every_document_and_every_link_leads_somewhere():
    index = page("README.md")
    missing = {path.name for path in DOCS.glob("*.md") if path.name not in index} - {"README.md"}
    assert missing == set()
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("*.md")]
    for path in pages:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_decisions_are_numbered_without_gaps_and_short():
    records = sorted((DOCS / "adr").glob("*.md"))
    assert [path.name[:4] for path in records] == [f"{number:04d}" for number in range(1, len(records) + 1)]
    for path in records:
        lines = path.read_text().splitlines()
        assert re.match(rf"# {int(path.name[:4])}\. \S", lines[0]), path.name
        assert len(lines) <= 14, f"{path.name} is longer than a choice needs"
