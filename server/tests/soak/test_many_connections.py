"""10,000 connections that say nothing are held, and the site answers as if they were not there."""

import urllib.request

import pytest
from served import served
from silence import allow_files, ended, silent

pytestmark = [pytest.mark.soak, pytest.mark.committing]
COUNT = 10_000


def test_10000_silent_connections_are_held_while_pages_are_answered(own_database, tmp_path):
    # Each of the two web processes may come to hold nearly all of them.
    allow_files(COUNT + 2_000)
    with served(database_url=own_database, state_dir=tmp_path) as origin:
        port = int(origin.rsplit(":", 1)[1])
        with silent(port, COUNT) as lines:
            page = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": f"localhost:{port}"})
            for _ in range(200):
                with urllib.request.urlopen(page, timeout=20) as answer:
                    assert answer.status == 200
            assert ended(lines) == 0
