"""Revocation lists are fetched within limits, verified, never go back, and are kept as evidence."""

from __future__ import annotations

import socketserver
import ssl
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from ipaddress import ip_address

import pytest
from card_support import trust
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from pki_builder import NOON, Authority

from irefuda.cards import operations, queries, revocation, trust_store
from irefuda.cards.models import RevocationListRecord, TrustedAuthority, TrustVersion
from irefuda.ui import clock
from irefuda_core.refusal import Refused
from irefuda_core.trust import BadRevocationList

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def authority():
    return Authority()


@contextmanager
def server(answer, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve on a loopback port; `answer(handler)` writes the response."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answer(self)

        def log_message(self, *_):
            """Stay silent."""

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls:
        httpd.socket = tls.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{httpd.server_address[1]}/list.crl"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()


def serving(content):
    def answer(handler):
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(content)

    return answer


@contextmanager
def talker(talk, *, asked=True, scheme="http") -> Iterator[str]:
    """Serve on a loopback port, without HTTP's manners; `talk(send)` says what it likes, after a request if `asked`."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            while asked and self.rfile.readline().strip():
                pass
            with suppress(OSError):
                talk(self.request.sendall)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as listener:
        thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"{scheme}://127.0.0.1:{listener.server_address[1]}/list.crl"
        finally:
            listener.shutdown()
            thread.join()


def dripping(start):
    """Return what says this and then a byte now and then, for ten seconds or until nobody listens."""

    def talk(send):
        send(start)
        for _ in range(200):
            send(b"0")
            time.sleep(0.05)

    return talk


def offered(authority, tmp_path, **list_options):
    """Put a list where the authority is known to publish, and return what fetching it gives."""
    file = tmp_path / "offered.crl"
    file.write_bytes(authority.crl(**list_options))
    return revocation.fetch(queries.authorities()[0], file.as_uri(), now=NOON)


def test_a_newer_list_is_taken_over_http_and_kept_byte_for_byte(authority, tmp_path):
    row = trust(authority, tmp_path)
    second = authority.crl(number=2, revoked={5: NOON})
    with server(serving(second)) as url:
        fetched = revocation.fetch(row, url, now=NOON)
        assert (fetched.taken, fetched.reason) == (True, "")
        again = revocation.fetch(row, url, now=NOON)
        assert (again.taken, again.unchanged) == (False, True)
    records = list(RevocationListRecord.objects.order_by("id"))
    assert [int(record.number) for record in records] == [1, 2]
    assert bytes(records[1].der) == second
    assert records[1].source == url
    (listed,) = queries.trust_snapshot().revocation_lists.values()
    assert (listed.number, dict(listed.revoked)) == (2, {5: NOON})


def test_pem_is_read_too(authority, tmp_path):
    row = trust(authority, tmp_path)
    pem = x509.load_der_x509_crl(authority.crl(number=2)).public_bytes(Encoding.PEM)
    with server(serving(pem)) as url:
        assert revocation.fetch(row, url, now=NOON).taken


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"number": 4}, "番号が戻っています（手元は5、取得したものは4）"),
        ({"number": 5, "revoked": {1: NOON}}, "番号が戻っています"),
        ({"number": None}, "番号のない"),
        ({"number": 6, "issued": timedelta(hours=1)}, "未来"),
        ({"number": 6, "issued": timedelta(days=-2)}, "手元の失効リストより前"),
        ({"number": 6, "extra": ((x509.DeltaCRLIndicator(5), True),)}, "差分"),
        (
            {"number": 6, "extra": ((x509.IssuingDistributionPoint(None, None, True, False, None, False, False), True),)},
            "分割",
        ),
        (
            {"number": 6, "extra": ((x509.IssuingDistributionPoint(None, None, False, False, None, True, False), True),)},
            "間接",
        ),
    ],
    ids=["back", "same number, other content", "none", "future", "older date", "delta", "partitioned", "indirect"],
)  # fmt: skip
def test_lists_that_cannot_be_relied_on_are_refused_with_their_reason(authority, tmp_path, options, why):
    trust(authority, tmp_path, crl=authority.crl(number=5))
    fetched = offered(authority, tmp_path, **options)
    assert why in fetched.reason
    assert not fetched.taken
    assert [int(record.number) for record in RevocationListRecord.objects.all()] == [5]


def test_a_list_of_another_authority_is_refused(authority, tmp_path):
    row = trust(authority, tmp_path)
    stranger, namesake = Authority(label="stranger"), Authority()
    for other, why in ((stranger, "登録された認証局ではありません"), (namesake, "署名が正しくありません")):
        with server(serving(other.crl(number=9))) as url:
            assert why in revocation.fetch(row, url, now=NOON).reason


def answer_for(card):
    """Return the code of the refusal, or nothing for a card that is good."""
    try:
        operations.check_still_good(der=card.der, audience="supplier", now=NOON)
    except Refused as refused:
        return refused.refusals[0].code
    return ""


def test_an_authority_of_the_same_name_and_another_key_disturbs_nobody(authority, tmp_path):
    namesake, unrelated = Authority(), Authority(label="unrelated")
    trust(authority, tmp_path, crl=authority.crl(number=5, revoked={7: NOON}))
    trust(unrelated, tmp_path, name="別の認証局")
    trust(namesake, tmp_path, name="同じ名前の認証局", crl=namesake.crl(number=5, revoked={8: NOON}))
    for _ in range(2):
        assert [answer_for(namesake.card(serial=serial)) for serial in (7, 8)] == ["", "K-409"]
        assert answer_for(unrelated.card()) == ""
        if TrustedAuthority.objects.filter(name="入札市練習認証局").exists():
            assert [answer_for(authority.card(serial=serial)) for serial in (7, 8)] == ["K-409", ""]
            trust_store.remove_authority(name="入札市練習認証局")
    assert answer_for(authority.card()) == "K-412"


def test_an_authority_that_comes_back_with_a_new_key_counts_its_lists_anew(authority, tmp_path):
    trust(authority, tmp_path, crl=authority.crl(number=900))
    trust_store.remove_authority(name="入札市練習認証局")
    renewed = Authority()
    row = trust(renewed, tmp_path, crl=renewed.crl(number=1))
    assert answer_for(renewed.card()) == ""
    assert list(revocation.overdue(now=NOON)) == []
    assert [int(record.number) for record in queries.newest_records(queries.accepted(row))] == [1]
    trust_store.remove_authority(name="入札市練習認証局")
    row.save(force_insert=True)
    assert "番号が戻っています" in offered(renewed, tmp_path, number=1, revoked={1: NOON}).reason


def test_a_kept_list_that_does_not_verify_counts_as_none(authority, tmp_path):
    unrelated = Authority(label="unrelated")
    trust(unrelated, tmp_path, name="別の認証局")
    row = trust(authority, tmp_path)
    record = RevocationListRecord.objects.get(source=row.crl_urls[0])
    record.id, record.number, record.der = None, f"{2:049d}", authority.issuing.der
    record.save()
    TrustVersion.objects.update(revocation_lists=uuid.uuid4())
    assert (answer_for(authority.card()), answer_for(unrelated.card())) == ("K-410", "")
    (missing,) = revocation.overdue(now=NOON)
    assert row.name in missing
    assert "まだありません" in missing
    assert offered(authority, tmp_path, number=3).taken
    assert answer_for(authority.card()) == ""


def test_numbers_are_compared_as_numbers(authority, tmp_path):
    trust(authority, tmp_path, crl=authority.crl(number=9))
    assert offered(authority, tmp_path, number=10).taken
    assert "番号が戻っています" in offered(authority, tmp_path, number=9, revoked={1: NOON}).reason
    assert offered(authority, tmp_path, number=2**159).taken
    for beyond in (10**49, 10**5000):
        assert "番号が正しくありません" in offered(authority, tmp_path, number=beyond).reason


def test_what_is_no_list_is_refused(authority, tmp_path):
    row = trust(authority, tmp_path)
    for content in (b"", b"<html>", authority.issuing.der, b"-----BEGIN X509 CRL-----\nAAAA\n"):
        with server(serving(content)) as url:
            assert "失効リスト" in revocation.fetch(row, url, now=NOON).reason


def test_too_large_too_slow_and_absent_are_refused(authority, tmp_path, monkeypatch):
    row = trust(authority, tmp_path)
    monkeypatch.setattr(revocation, "MAX_BYTES", 50_000)
    with server(serving(b"0" * 50_001)) as url:
        assert "大きすぎます" in revocation.fetch(row, url, now=NOON).reason

    def drip(handler):
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(100):
                handler.wfile.write(b"0")
                handler.wfile.flush()
                time.sleep(0.05)
        except OSError:
            return

    with server(drip) as url:
        started = time.monotonic()
        assert "以内に取得が終わりません" in revocation.fetch(row, url, now=NOON, max_seconds=0.3).reason
        assert time.monotonic() - started < 3
    with server(lambda handler: handler.send_error(404)) as url:
        assert "取得できません" in revocation.fetch(row, url, now=NOON).reason
    assert "取得できません" in revocation.fetch(row, (tmp_path / "absent.crl").as_uri(), now=NOON).reason
    assert RevocationListRecord.objects.count() == 1


OK = b"HTTP/1.1 200 OK\r\n"
REDIRECT = b"HTTP/1.1 302 Found\r\nLocation: "


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\x1b[31mno status line\r\n",
        b"HTTP/1.1 404 \x1b[31mgone\r\n\r\n",
        OK + b"X: " + b"x" * 70_000,
        OK + b"X: x\r\n" * 200 + b"\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"zz\r\nx",
        OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"ff\r\nx",
        REDIRECT + b"http://[::1/list.crl\r\n\r\n",
        REDIRECT + b"http://localhost:port/list.crl\r\n\r\n",
        REDIRECT + b"http://" + b"x" * 64 + b".example.jp/\r\n\r\n",
    ],
    ids=["nothing", "no status line", "escapes", "endless header", "too many headers", "no chunk", "half a chunk", "IPv6", "port", "IDNA"],
)  # fmt: skip
def test_a_broken_server_costs_its_own_authority_only(authority, tmp_path, said):
    row, other = trust(authority, tmp_path), trust(Authority(label="other"), tmp_path, name="別の認証局")
    with talker(lambda send: send(said)) as url:
        row.crl_urls = [url]
        row.save()
        broken, good = revocation.fetch_all(now=NOON)
    assert "取得できません" in broken.reason
    assert broken.reason.isprintable()
    assert (good.authority, good.unchanged) == (other.name, True)


@pytest.mark.parametrize("url", ["http://[::1/list.crl", "http://localhost:port/", "http:///list.crl", "file:///%00"])
def test_an_address_that_is_none_is_refused(authority, tmp_path, url):
    assert "取得できません" in revocation.fetch(trust(authority, tmp_path), url, now=NOON).reason


@pytest.mark.parametrize(
    ("start", "manner"),
    [
        (b"", {}),
        (OK + b"X: ", {}),
        (OK + b"Content-Length: 4000\r\n\r\n", {}),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nfff\r\n", {}),
        (b"\x16\x03\x03\x3f\xff", {"asked": False, "scheme": "https"}),
    ],
    ids=["status line", "headers", "content", "chunk", "handshake"],
)
def test_the_time_limit_is_for_all_that_a_server_says(authority, tmp_path, start, manner):
    row = trust(authority, tmp_path)
    with talker(dripping(start), **manner) as url:
        started = time.monotonic()
        fetched = revocation.fetch(row, url, now=NOON, max_seconds=0.3)
        assert time.monotonic() - started < 3
    assert "以内に取得が終わりません" in fetched.reason


def test_the_time_limit_is_for_all_redirects_together(authority, tmp_path):
    def again(handler):
        time.sleep(0.2)
        handler.send_response(302)
        handler.send_header("Location", f"/{time.monotonic()}")
        handler.end_headers()

    row = trust(authority, tmp_path)
    with server(again) as url:
        assert "以内に取得が終わりません" in revocation.fetch(row, url, now=NOON, max_seconds=0.5).reason


def test_a_redirect_leads_to_no_local_file(authority, tmp_path):
    row = trust(authority, tmp_path)
    (tmp_path / "next.crl").write_bytes(authority.crl(number=2))

    def redirect(handler):
        handler.send_response(302)
        handler.send_header("Location", (tmp_path / "next.crl").as_uri())
        handler.end_headers()

    with server(redirect) as url:
        assert "取得できません" in revocation.fetch(row, url, now=NOON).reason


def test_other_kinds_of_address_are_refused():
    with pytest.raises(BadRevocationList, match="http、https、file"):
        revocation.download("ldap://example.jp/cn=crl")


@pytest.mark.parametrize("sql", ["UPDATE {} SET source = 'x'", "DELETE FROM {}"])
def test_kept_lists_can_neither_be_changed_nor_deleted(authority, tmp_path, sql):
    trust(authority, tmp_path)
    table = RevocationListRecord._meta.db_table
    with pytest.raises(DatabaseError, match="kept as evidence"), transaction.atomic():
        connection.cursor().execute(sql.format(table))


def test_the_command_reports_each_source_in_japanese(authority, tmp_path):
    now = clock.now()
    fresh = Authority(at=now)
    row = trust(fresh, tmp_path, now=now)
    row.crl_urls = [*row.crl_urls, (tmp_path / "absent.crl").as_uri()]
    row.save()
    report = StringIO()
    with pytest.raises(CommandError, match="2件のうち1件を取得できませんでした"):
        call_command("fetch_revocations", stdout=report)
    assert "変わりありません（次回更新 " in report.getvalue()
    assert "使えません：取得できません" in report.getvalue()
    with pytest.raises(CommandError, match="取得先のある認証局がありません"):
        call_command("fetch_revocations", "--authority", "別の認証局", stdout=report)


def test_a_list_without_an_end_can_be_told_of(tmp_path):
    authority = Authority(at=clock.now())
    endless = authority.crl(next_in=datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC) - authority.at)
    trust(authority, tmp_path, crl=endless, now=clock.now())
    for command in (["fetch_revocations"], ["trust", "list"]):
        report = StringIO()
        call_command(*command, stdout=report)
        assert "次回更新 9999/12/" in report.getvalue()


def test_over_https_the_servers_certificate_is_checked(authority, tmp_path, monkeypatch):
    row = trust(authority, tmp_path)
    here = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    web = Authority(label="web", at=clock.now())
    certificate = web.card(san=False, purposes=(ExtendedKeyUsageOID.SERVER_AUTH,), extra=((here, False),))
    key = certificate.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    chain = [issued.certificate.public_bytes(Encoding.PEM) for issued in (certificate, web.issuing, web.root)]
    (tmp_path / "server.pem").write_bytes(key + b"".join(chain[:2]))
    (tmp_path / "root.pem").write_bytes(chain[2])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    with server(serving(authority.crl(number=2)), context) as url:
        assert "CERTIFICATE_VERIFY_FAILED" in revocation.fetch(row, url, now=NOON).reason
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "root.pem"))
        assert revocation.fetch(row, url, now=NOON).taken
        assert "取得できません" in revocation.fetch(row, url.replace("127.0.0.1", "localhost"), now=NOON).reason


def test_overdue_lists_are_named(authority, tmp_path):
    trust(authority, tmp_path, grace_hours=2)
    next_update = NOON + timedelta(hours=23)
    assert list(revocation.overdue(now=next_update)) == []
    (warned,) = revocation.overdue(now=next_update + timedelta(seconds=1))
    assert "次回更新の日時を過ぎています" in warned
    (over,) = revocation.overdue(now=next_update + timedelta(hours=3))
    assert "猶予も過ぎています" in over
