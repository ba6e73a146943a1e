"""The timer: runs what it is told again and again, whatever one of the commands says, until it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from builders import make_section, make_supplier
from django.core.management import CommandError, call_command

from irefuda.registration.models import Draft
from irefuda.ui import clock

MANAGE = str(Path(__file__).resolve().parents[2] / "manage.py")


@pytest.mark.parametrize(("arguments", "said"), [(["purge_registration", "no_such"], "no_such"), (["purge_registration", "--every-hours", "0"], "more than 0")])  # fmt: skip
def test_what_cannot_be_repeated_is_said_at_once(arguments, said):
    with pytest.raises(CommandError, match=said):
        call_command("repeat", *arguments)


def line(process: subprocess.Popen[str], beginning: str) -> str:
    """Return the next line that begins so."""
    assert process.stdout is not None
    for said in process.stdout:
        if said.startswith(beginning):
            return said
    raise AssertionError(f"ended without saying {beginning!r}")


@pytest.mark.committing
@pytest.mark.parametrize("quiet", [[], ["--quiet"]], ids=["talks", "quiet"])
def test_one_command_that_fails_leaves_no_other_out_and_the_end_is_clean(own_database, quiet):
    section = make_section()
    supplier, old = make_supplier(section), clock.now() - timedelta(days=40)
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "irefuda.config.settings", "DATABASE_URL": own_database}
    # Every 0.36 s; there is no authority, so that the first command fails each time.
    command = [
        sys.executable,
        MANAGE,
        "repeat",
        "fetch_revocations",
        "purge_registration",
        "--every-hours",
        "0.0001",
        *quiet,
    ]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert "取得先のある認証局がありません" in line(process, "fetch_revocations:")
        if not quiet:
            assert "0 件" in line(process, "入力の途中の内容")
        Draft.objects.create(
            id="0" * 31 + "1", section=section, supplier=supplier, fingerprint="f" * 64, updated_at=old
        )
        if not quiet:
            while "1 件" not in line(process, "入力の途中の内容"):
                pass
        while Draft.objects.exists():
            assert process.poll() is None
            assert line(process, "").startswith("fetch_revocations:")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
        process.communicate()
