"""Each of the three distributions, built as a wheel, holds every file of its packages: templates, scripts, migrations."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "build", "tests", "vectors")


@pytest.mark.parametrize("distribution", ["core", "agent", "server"])
def test_a_wheel_is_complete(distribution: str, tmp_path: Path) -> None:
    source = tmp_path / distribution
    shutil.copytree(ROOT / distribution, source, ignore=LEFT_OUT)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-build-isolation", "--no-deps", "--no-index"]
    subprocess.run([*build, "-w", str(tmp_path), str(source)], check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = {path.relative_to(source / "src") for path in (source / "src").rglob("*") if path.is_file()}
    written = {path.as_posix() for path in files if not any(part.endswith(".egg-info") for part in path.parts)}
    assert written - held == set()
    if distribution != "server":
        assert any(name.endswith("entry_points.txt") for name in held)
