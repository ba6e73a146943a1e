"""Every command of the runbook exists with these options, and every file and unit that it names is there."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from django.core.management import CommandError, get_commands, load_command_class
from systemd_units import ROOT, UNITS

PAGES = sorted((ROOT / "docs" / "operations").glob("*.md"))


def fenced(text: str) -> list[str]:
    """Return the lines of the fenced blocks."""
    return [line.strip() for block in re.findall(r"(?ms)^ *```\n(.*?)^ *```", text) for line in block.splitlines()]


def commands() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = page.read_text()
        inline = re.findall(r"`manage\.py ([^`…]+)`", text)
        found += [
            (page.name, line.partition("manage.py ")[2]) for line in fenced(text) if line.startswith("manage.py ")
        ]
        found += [(page.name, line) for line in inline if "--" in line]
    return found


@pytest.mark.parametrize(("page", "line"), commands())
def test_every_command_runs_with_these_options(page, line):
    name, *arguments = shlex.split(line)
    parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
    # A wrong option is an error of the parser; a file that is not here is the command's own business.
    try:
        parser.parse_args(arguments)
    except CommandError as wrong:
        pytest.fail(f"{page}: {line}: {wrong}")


def test_the_runbook_has_the_commands_that_matter():
    used = {shlex.split(line)[0] for _, line in commands()}
    assert used >= {
        "migrate",
        "ledger",
        "audit_ledger",
        "fetch_revocations",
        "send_notices",
        "make_ledger_keys",
        "trust",
    }
    for act in ("ledger prepare", "ledger rotate", "ledger succeed"):
        assert any(line.startswith(act) for _, line in commands()), act


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_and_unit_that_is_named_is_there(page: Path):
    text = page.read_text()
    for path in re.findall(r"`(deploy/[\w./-]+)`|(deploy/[\w/-]+\.(?:sh|sql))", text):
        assert (ROOT / (path[0] or path[1])).exists(), path
    for unit in re.findall(r"irefuda-(?:web@|sequencer|outbox|audit|backup|daily|revocations)", text):
        assert list(UNITS.glob(f"{unit}*")), unit
    for check in re.findall(r"`(ledger_\w+): ", text):
        assert check in (ROOT / "server/src/irefuda/config/health.py").read_text()


def test_every_page_is_in_the_index():
    index = (ROOT / "docs" / "operations" / "README.md").read_text()
    assert {page.name for page in PAGES if f"({page.name})" not in index} == {"README.md"}


def test_what_was_never_run_says_so():
    written_only = [
        ROOT / "deploy" / "Containerfile",
        ROOT / "deploy" / "compose.yaml",
        *(ROOT / "deploy" / "nginx").iterdir(),
    ]
    for path in written_only:
        assert "未検証" in path.read_text().splitlines()[0], path.name


def test_containers_and_units_start_the_same():
    """The container file is not run here; its command line is compared with the unit that is."""
    unit = (UNITS / "irefuda-web@.service").read_text()
    started = re.search(r"(?m)^ExecStart=\S+/granian (.*)$", unit)
    contained = re.search(r'(?m)^CMD \["granian", (.*)\]$', (ROOT / "deploy" / "Containerfile").read_text())
    assert started is not None
    assert contained is not None
    words = [word.strip('"') for word in contained[1].split(", ")]
    same = {"127.0.0.1": "0.0.0.0", "${PORT}": "8000", "${WORKERS}": "2"}
    assert [same.get(word, word) for word in started[1].split()] == words
    compose = (ROOT / "deploy" / "compose.yaml").read_text()
    for name in ("sequence_ledger", "send_notices"):
        assert f"server/manage.py, {name}]" in compose
    daily = "".join((UNITS / f"irefuda-{name}.service").read_text() for name in ("revocations", "daily"))
    for name in re.findall(r"manage\.py (\w+)", daily):
        assert name in compose
