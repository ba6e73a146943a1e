"""Rules for the source itself: what may stand where, what a process loads, what two places must say alike."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest
from django.apps import apps
from django.db.migrations.loader import MigrationLoader

from irefuda.agencies.models import Category, Realm
from irefuda.suppliers.models import SupplierStatus
from irefuda_agent import settings as agent_settings
from irefuda_core import registration
from irefuda_core.refusal import CATALOGUE

ROOT = Path(__file__).resolve().parents[3]
SERVER = ROOT / "server" / "src" / "irefuda"
# What no clone has: the virtual environment, caches, the state of a practice city.
NOT_OURS = {".git", ".venv", "var", ".cache", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis"}


# Put together from halves, so that this file does not break its own rule.
HOSTS = ["pypi" + ".org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "crates" + ".io"]
FOLDERS = ["/" + "root", "/" + "home", "/" + "work", "/" + "Users", "C:" + r"\\Users"]
REGISTRY_OR_MACHINE = "|".join(
    [*map(re.escape, HOSTS), *(rf"(?<![\w.~}}$/-]){folder}[/\\][A-Za-z]" for folder in FOLDERS)]
)
VENDOR = r"\.vendor\b|sqlite_version|pg_version|features\.has_"
MARKED_SAFE = r"\|\s*safe\b|mark_safe|SafeString|safestring|autoescape off"


def all_files() -> list[Path]:
    """Return every file of the repository that a person wrote or that is committed."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name for name in folders if name not in NOT_OURS and not name.endswith((".egg-info", "__pycache__"))
        ]
        # In a work tree of its own, .git is a file that names where the repository lies.
        found += [Path(folder) / name for name in names if name not in NOT_OURS]
    return sorted(found)


def text_of(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def offenders(pattern: str, paths: Iterable[Path], *, allowed: str = r"(?!)") -> list[str]:
    """Return every line that matches, outside the files whose name matches `allowed`."""
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in paths
        if not re.fullmatch(allowed, name_of(path))
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if re.search(pattern, line)
    ]


FILES = all_files()
PYTHON = [path for path in FILES if path.suffix == ".py"]


def test_engines_differ_only_in_migrations_search_locks_and_rows():
    allowed = r"server/src/irefuda/([a-z]+/migrations/\w+|[a-z]+/search|ledger/locks|ui/rows)\.py"
    ours = [path for path in PYTHON if path.is_relative_to(ROOT / "server" / "src")]
    assert offenders(VENDOR, ours, allowed=allowed) == []


def test_nothing_is_marked_safe():
    sources = [path for path in FILES if path.is_relative_to(SERVER)]
    # A mail is plain text: there an escaped sign would be wrong.
    assert offenders(MARKED_SAFE, sources, allowed=r".*/templates/[a-z]+/mail/\w+\.txt") == []


def test_nothing_names_a_registry_or_somebody_s_machine():
    assert offenders(REGISTRY_OR_MACHINE, FILES) == []


def test_the_lock_file_pins_by_hash_and_names_no_host():
    lock = (ROOT / "requirements.lock").read_text()
    assert not re.search(r"://|--index-url|--extra-index|--find-links|--trusted-host", lock)
    blocks = re.split(r"\n(?=\S)", re.sub(r"(?m)^\s*#.*\n?", "", lock).strip())
    assert len(blocks) > 40
    for block in blocks:
        assert re.match(r"[A-Za-z0-9._-]+(\[[a-z0-9,-]+\])?==", block), block[:80]
        assert "--hash=sha256:" in block, block[:80]


def loaded_by(program: str, **environment: str) -> set[str]:
    """Return the top-level modules that a fresh process has loaded after running this program."""
    tail = "; import sys, json; print(json.dumps(sorted({name.split('.')[0] for name in sys.modules})))"
    made = subprocess.run(
        [sys.executable, "-c", program + tail], env={**os.environ, **environment}, capture_output=True, check=True
    )
    return set(json.loads(made.stdout.splitlines()[-1]))


@pytest.mark.committing
@pytest.mark.parametrize("site", ["supplier", "public", "staff"])
def test_the_web_process_never_loads_the_layout_engine(own_database, site):
    loaded = loaded_by(
        # The addresses load every view.
        "from irefuda.config.wsgi import application; from django.urls import get_resolver; get_resolver().url_patterns",
        DJANGO_SETTINGS_MODULE="irefuda.config.settings",
        DATABASE_URL=own_database,
        IREFUDA_SITE=site,
    )
    assert "granian" not in loaded
    assert {"django", "irefuda", "irefuda_core"} <= loaded
    assert not loaded & {"weasyprint", "pydyf", "fontTools", "openpyxl", "pkcs11", "irefuda_agent", "pytest"}


def test_the_rulebook_loads_no_django():
    modules = [path.stem for path in (ROOT / "core" / "src" / "irefuda_core").glob("*.py") if path.stem != "__init__"]
    assert len(modules) > 10
    loaded = loaded_by("; ".join(f"import irefuda_core.{module}" for module in modules))
    assert not loaded & {"django", "irefuda", "irefuda_agent", "httpx", "sqlite3", "psycopg"}


def test_agent_and_verifier_load_no_django():
    loaded = loaded_by("import irefuda_agent.__main__, irefuda_agent.web, irefuda_verify.__main__")
    assert "irefuda_agent" in loaded
    assert not loaded & {"django", "irefuda", "psycopg"}


def test_every_app_has_one_last_migration():
    graph = MigrationLoader(connection=None).graph
    ours = [app.label for app in apps.get_app_configs() if app.name.startswith("irefuda.") and any(app.get_models())]
    assert len(ours) > 5
    for label in ours:
        assert len(graph.leaf_nodes(label)) == 1, label


# -- what two places say, they say alike


def refusal_literals(source: str) -> dict[str, tuple[str, str]]:
    """Return code -> (sentence, remedy) of a table `"C-201": ["…", "…"],`."""
    return {
        code: (sentence, remedy)
        for code, sentence, remedy in re.findall(r'"([A-Z]-\d{3})": \["([^"]*)", "([^"]*)"\]', source)
    }


def test_the_site_s_card_dialogue_says_what_the_catalogue_says():
    source = (SERVER / "cards" / "static" / "cards" / "card-dialogue.js").read_text()
    told = refusal_literals(source)
    assert len(told) == len(re.findall(r'(?m)^\s*"[A-Z]-\d{3}":', source)) > 20
    assert told == {code: (CATALOGUE[code].sentence, CATALOGUE[code].remedy) for code in told}
    # Every code that the agent can answer with has its words there.
    assert {code for code in CATALOGUE if code.startswith("C-")} <= set(told)


def test_the_agent_s_dialogue_names_codes_that_exist_and_repeats_their_sentences():
    source = (ROOT / "agent" / "src" / "irefuda_agent" / "pages" / "dialog.js").read_text()
    codes = set(re.findall(r'"([A-Z]-\d{3})"', source))
    assert codes
    assert codes <= set(CATALOGUE)
    repeated = dict(re.findall(r'"(C-211)", "([^"]*)"', source))
    assert repeated == {"C-211": CATALOGUE["C-211"].sentence}


def test_choices_of_the_database_are_the_rulebook_s():
    assert set(SupplierStatus.values) == set(get_args(registration.Standing))
    assert set(Realm.values) == set(agent_settings.REALMS)
    assert Category.values == ["0", "1"]


# -- the rules see what they forbid


@pytest.mark.parametrize(
    ("pattern", "line"),
    [
        (VENDOR, 'if connection.vendor == "postgresql":'),
        (MARKED_SAFE, "{{ text|safe }}"),
        (MARKED_SAFE, "{{ text | safe }}"),
        (MARKED_SAFE, "{% autoescape off %}"),
        (REGISTRY_OR_MACHINE, f"index-url = https://{HOSTS[0]}/simple"),
        *[(REGISTRY_OR_MACHINE, f'path = "{folder}/taro/x"') for folder in FOLDERS[:4]],
        (REGISTRY_OR_MACHINE, "C:" + r"\Users\taro"),
    ],
)
def test_a_broken_rule_is_seen(tmp_path, monkeypatch, pattern, line):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    (tmp_path / "a.py").write_text(f"x = 1\n{line}\n")
    assert offenders(pattern, [tmp_path / "a.py"]) == [f"a.py:2: {line}"]
