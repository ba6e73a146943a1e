"""Who opens connections and sends nothing keeps nobody else waiting: the web process as production runs it."""

import urllib.request

import pytest
from served import served
from silence import silent

pytestmark = pytest.mark.committing
COUNT = 500


def test_500_connections_that_send_nothing_do_not_block_a_page(own_database, tmp_path):
    with served(database_url=own_database, state_dir=tmp_path) as origin:
        port = int(origin.rsplit(":", 1)[1])
        unfinished = b"POST /card/nonce/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
        with silent(port, COUNT), silent(port, COUNT, first=unfinished):
            page = urllib.request.Request(f"http://127.0.0.1:{port}/", headers={"Host": f"localhost:{port}"})
            for _ in range(20):
                with urllib.request.urlopen(page, timeout=20) as answer:
                    assert answer.status == 200
                    assert "電子入札" in answer.read().decode()
