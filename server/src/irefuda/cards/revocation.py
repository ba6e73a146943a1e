"""Fetch the revocation lists of the trusted authorities, verify them, and keep them as evidence."""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from django.db import IntegrityError, transaction

from irefuda.cards import queries
from irefuda.cards.deadline import Deadline, Http, Https
from irefuda.cards.models import RevocationListRecord, TrustedAuthority, TrustVersion
from irefuda_core.certificate import load
from irefuda_core.trust import BadRevocationList, RevocationList, signer_of

MAX_BYTES = 20 * 1024 * 1024
MAX_SECONDS = 60.0
SOCKET_SECONDS = 15.0
# A list may say that it was issued a little after our clock; more than this is a wrong clock or a trick.
CLOCK_TOLERANCE = timedelta(minutes=10)
NUMBER_DIGITS = RevocationListRecord._meta.get_field("number").max_length or 0


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of one source: `taken` a new list, or `unchanged`, or neither (then `reason` says why)."""

    authority: str
    source: str
    taken: bool
    unchanged: bool
    reason: str
    next_update: datetime | None


def fetch_all(*, now: datetime, only: str = "") -> Iterator[Fetched]:
    """Fetch every list of every authority (or the one named `only`), each on its own: one failure stops no other."""
    for row in queries.authorities():
        if only and row.name != only:
            continue
        for url in row.crl_urls:
            yield fetch(row, url, now=now)


def fetch(row: TrustedAuthority, url: str, *, now: datetime, max_seconds: float = MAX_SECONDS) -> Fetched:
    """Fetch one list and take it if it is good and newer than the newest kept."""
    try:
        der = _as_der(download(url, max_seconds=max_seconds))
        listed = queries.read_list(der, queries.accepted(row))
        new = _take(listed, der, source=url, now=now)
    except BadRevocationList as failure:
        return Fetched(row.name, url, False, False, str(failure), None)
    return Fetched(row.name, url, new, not new, "", listed.next_update)


def overdue(*, now: datetime) -> Iterator[str]:
    """Return a sentence for every authority whose revocation list is missing or past its next update."""
    for row in queries.authorities():
        authority = queries.accepted(row)
        issuing = authority.intermediate_ders[-1] if authority.intermediate_ders else authority.root_der
        kept = {listed.signer: listed for listed in queries.newest_lists(authority)}
        listed = kept.get(signer_of(load(issuing)))
        if listed is None:
            yield f"認証局「{row.name}」の失効リストがまだありません。この認証局のICカードは使えません。"
        elif listed.next_update < now - authority.crl_grace:
            yield f"認証局「{row.name}」の失効リストは猶予も過ぎています。この認証局のICカードは使えません。"
        elif listed.next_update < now:
            yield f"認証局「{row.name}」の失効リストは次回更新の日時を過ぎています。猶予は{row.crl_grace_hours}時間です。"


def download(url: str, *, max_seconds: float = MAX_SECONDS) -> bytes:
    """Return what stands at an http, https or file address, within limits of size and time.

    :raises BadRevocationList: with the reason, in Japanese
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "file":
            with Path(unquote(parts.path)).open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        elif parts.scheme in ("http", "https"):
            content = _over_http(url, max_seconds=max_seconds)
        else:
            raise BadRevocationList("取得先は、http、https、fileのどれかにしてください。")
    except BadRevocationList:
        raise
    except (OSError, HTTPException, ValueError) as failure:
        raise BadRevocationList(f"取得できません（{_words(failure)}）。") from None
    if len(content) > MAX_BYTES:
        raise BadRevocationList(f"大きすぎます（上限{MAX_BYTES // 1024 // 1024}MB）。")
    return content


def _over_http(url: str, *, max_seconds: float) -> bytes:
    too_slow = BadRevocationList(f"{max_seconds:.0f}秒以内に取得が終わりません。")
    chunks, size = [], 0
    with Deadline(max_seconds) as deadline:
        opener = urllib.request.build_opener(_StayOnHttp(), Http(deadline), Https(deadline))
        try:
            with opener.open(url, timeout=min(SOCKET_SECONDS, max_seconds)) as answer:
                while size <= MAX_BYTES and (chunk := answer.read1(64 * 1024)):
                    chunks.append(chunk)
                    size += len(chunk)
        except (OSError, HTTPException, ValueError):
            if deadline.over:
                raise too_slow from None
            raise
        if deadline.over:
            raise too_slow
    return b"".join(chunks)


def _words(failure: Exception) -> str:
    """Return what went wrong in one short line; much of it is the server's, escape sequences for a terminal included."""
    return "".join(letter if letter.isprintable() else " " for letter in str(failure)[:200])


class _StayOnHttp(urllib.request.HTTPRedirectHandler):
    """Follow redirects to http and https only: a list's server may not make us read a local file."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):  # type: ignore[no-untyped-def]
        if urlsplit(newurl).scheme not in ("http", "https"):
            raise urllib.error.URLError("redirected to another kind of address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _as_der(content: bytes) -> bytes:
    if b"-----BEGIN X509 CRL-----" not in content:
        return content
    try:
        return x509.load_pem_x509_crl(content).public_bytes(Encoding.DER)
    except ValueError:
        raise BadRevocationList("失効リストとして読めません。") from None


@transaction.atomic
def _take(listed: RevocationList, der: bytes, *, source: str, now: datetime) -> bool:
    """Keep the list unless it is the newest already; return whether it is new.

    :raises BadRevocationList: when its number or its date goes back, or it is dated in the future
    """
    # Asked before it is written out: Python refuses to make decimals of a number of thousands of digits.
    if not 0 <= listed.number < 10**NUMBER_DIGITS:
        raise BadRevocationList("失効リストの番号が正しくありません。")
    number, sha256 = str(listed.number).zfill(NUMBER_DIGITS), hashlib.sha256(der).hexdigest()
    newest = queries.newest_record(listed.signer)
    if newest is not None and newest.sha256 == sha256:
        return False
    if listed.this_update > now + CLOCK_TOLERANCE:
        raise BadRevocationList("発行日時が未来の失効リストです。")
    if newest is not None and number <= newest.number:
        raise BadRevocationList(
            f"番号が戻っています（手元は{int(newest.number)}、取得したものは{listed.number}）。古い失効リストです。"
        )
    if newest is not None and listed.this_update < newest.this_update:
        raise BadRevocationList("番号は新しいのに、発行日時が手元の失効リストより前です。")
    try:
        with transaction.atomic():
            RevocationListRecord.objects.create(
                issuer_key=listed.signer.issuer_key,
                signing_key=listed.signer.signing_key,
                number=number,
                this_update=listed.this_update,
                next_update=listed.next_update,
                sha256=sha256,
                der=der,
                source=source[:300],
                fetched_at=now,
            )
    except IntegrityError:
        # Another fetcher was faster with this number; what it kept was verified as well.
        return False
    TrustVersion.objects.filter(id=1).update(revocation_lists=uuid.uuid4())
    return True
