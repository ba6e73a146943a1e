"""What goes wrong around the system for hours: a CA's list away for a day, a clock set back, a copy that is behind."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ledger_files
import pytest
from builders import make_authority, make_city, make_token
from django.db import connection, connections
from django.test import Client
from steps import present, register

from irefuda.cards import operations as cards
from irefuda.cards import revocation
from irefuda.cards.models import RevocationListRecord, TrustedAuthority
from irefuda.ledger import keys, queries
from irefuda.ledger.models import Checkpoint
from irefuda.registration.models import RegisteredCard
from irefuda.staff import trust
from irefuda.ui import clock
from irefuda_core import merkle, note
from irefuda_core.refusal import Refused

pytestmark = pytest.mark.committing


@pytest.fixture
def city(own_database: str, settings: Any, tmp_path: Path, static_files: None) -> Any:
    ledger_files.make(settings, tmp_path / "keys")
    return make_city(make_authority())


# -- the CA's list is away for a day


def test_a_day_without_the_ca_s_list_is_bridged_told_refused_and_over(city, tmp_path):
    card, source = city.authority.card(), tmp_path / "list.crl"
    source.write_bytes(city.authority.crl(number=2))
    TrustedAuthority.objects.update(crl_urls=[source.as_uri()])
    began = clock.now()
    (fetched,) = revocation.fetch_all(now=began)
    assert fetched.taken
    source.unlink()
    record = RevocationListRecord.objects.latest("number")

    codes: set[str] = set()

    def hours(after: float) -> datetime:
        return record.next_update + timedelta(hours=after)

    def taken(now: datetime) -> bool:
        try:
            cards.check_still_good(der=card.der, audience="supplier", now=now)
        except Refused as refused:
            codes.update(reason.code for reason in refused.refusals)
            return False
        return True

    # Every hour of the day the timer asks and is refused; what is kept stays what it was.
    for hour in range(-22, 26):
        (fetched,) = revocation.fetch_all(now=hours(hour))
        assert fetched.reason
        assert not fetched.taken
    assert RevocationListRecord.objects.count() == 2
    assert (taken(hours(-1)), trust.alarm(hours(-1))) == (True, "")
    assert list(revocation.overdue(now=hours(-1))) == []
    # Past nextUpdate: still good by the grace, and staff are told.
    for hour in (1, 23.9):
        assert taken(hours(hour))
        assert "1件" in trust.alarm(hours(hour))
        assert len(list(revocation.overdue(now=hours(hour)))) == 1
    assert codes == set()
    assert not taken(hours(24.1))
    assert len(codes) == 1
    assert "1件" in trust.alarm(hours(24.1))
    # The list is back.
    back = timedelta(hours=50)
    source.write_bytes(
        city.authority.crl(number=3, issued=back - timedelta(hours=1), next_in=back + timedelta(hours=23))
    )
    (fetched,) = revocation.fetch_all(now=began + back)
    assert fetched.taken, fetched.reason
    assert taken(began + back)
    assert trust.alarm(began + back) == ""


# -- the clock jumps back


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yield a clock whose hands the test moves."""
    real = clock.now

    class Hands:
        ahead = timedelta()

    monkeypatch.setattr(clock, "now", lambda: real() + Hands.ahead)
    return Hands


def test_a_clock_that_jumps_back_breaks_nothing_and_nothing_is_used_twice(city, hands, django_app):
    card = city.authority.card()
    assert present(django_app, django_app.get("/9992/goods/registration/menu/"), card).status_code == 302
    # The session was last seen in what is the future after the jump.
    hands.ahead = timedelta(minutes=20)
    assert django_app.get("/9992/goods/registration/lookup/").status_code == 200
    hands.ahead = timedelta(minutes=-50)
    assert django_app.get("/9992/goods/registration/lookup/").status_code == 200
    # A whole 登録 while the clock stands before everything else, and the ledger takes it.
    register(django_app, card)
    ledger_files.sequence(clock.now())
    assert RegisteredCard.objects.count() == 1
    for ahead in (3, -4, 1, -30):
        hands.ahead = timedelta(hours=ahead)
        ledger_files.append(clock.now())
        ledger_files.sequence(clock.now())
    moments = list(Checkpoint.objects.order_by("size").values_list("signed_at", flat=True))
    assert moments == sorted(moments)
    assert queries.broken_promises(clock.now()) == []
    assert ledger_files.findings(clock.now()) == []


def test_a_nonce_of_the_future_opens_once_only(city, hands, django_app):
    card = city.authority.card()
    hands.ahead = timedelta(hours=1)
    page = django_app.get("/9992/goods/registration/menu/")
    form = next(form for form in page.forms.values() if "token" in form.fields)
    nonce = django_app.post("/card/nonce/", {"csrfmiddlewaretoken": form["csrfmiddlewaretoken"].value}).json["nonce"]
    hands.ahead = timedelta()
    form["token"].force_value(make_token(card, nonce))
    form["person_in_charge"].force_value("係 太郎")
    assert form.submit().status_code == 302
    assert form.submit(expect_errors=True).status_code == 403


# -- a copy that is behind


@pytest.fixture
def behind(city: Any, own_database: str, tmp_path: Path) -> Iterator[str]:
    """A copy of the database from before the last three deeds, as a replica that lags would serve it."""
    for _ in range(5):
        ledger_files.append(clock.now())
    ledger_files.sequence(clock.now())
    connections.close_all()
    name = str(connection.settings_dict["NAME"])
    if connection.vendor == "sqlite":
        with closing(sqlite3.connect(name)) as source:
            source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        copy = str(tmp_path / "behind.sqlite3")
        shutil.copyfile(name, copy)
        yield copy
    else:
        copy = f"{name}_behind"
        maintain(f'CREATE DATABASE "{copy}" TEMPLATE "{name}"')
        yield copy
        connections.close_all()
        maintain(f'DROP DATABASE "{copy}" WITH (FORCE)')


def maintain(sql: str) -> None:
    with connection._nodb_cursor() as cursor:  # type: ignore[attr-defined]
        cursor.execute(sql)


def test_a_public_site_that_is_behind_says_how_far_it_goes_and_proves_it(behind, settings):
    settings.ROOT_URLCONF, settings.ALLOWED_HOSTS = "irefuda.config.urls_public", ["testserver"]
    settings.SITE = "public"
    fresh = [ledger_files.append(clock.now()) for _ in range(3)]
    ledger_files.sequence(clock.now())
    site, current = Client(), str(connection.settings_dict["NAME"])
    verifiers = keys.verifiers()
    newest = note.verify_checkpoint(site.get("/ledger/checkpoint").content.decode(), verifiers)
    connections.close_all()
    connection.settings_dict["NAME"] = behind
    try:
        older = note.verify_checkpoint(site.get("/ledger/checkpoint").content.decode(), verifiers)
        signed_at = Checkpoint.objects.get(size=older.size).signed_at.astimezone(clock.JST)
        page = site.get("/ledger/").content.decode()
        # What it does not have yet it does not know, instead of proving it wrongly.
        assert site.get(f"/ledger/proof/{fresh[0].entry_hash}.json").status_code == 404
        assert site.get("/ledger/consistency", {"from": older.size, "to": newest.size}).status_code == 400
        proved = site.get("/ledger/consistency", {"from": 3, "to": older.size})
    finally:
        connections.close_all()
        connection.settings_dict["NAME"] = current
    assert (older.size, newest.size) == (5, 8)
    assert f"{signed_at:%Y年}{signed_at.month}月{signed_at.day}日 {signed_at:%H時%M分}までに署名された" in page
    assert proved.status_code == 200
    told = site.get("/ledger/consistency", {"from": older.size, "to": newest.size}).json()
    assert merkle.verify_consistency(
        old=older.size, new=newest.size, old_root=older.root, new_root=newest.root,
        proof=[bytes.fromhex(item) for item in told["hashes"]],
    )  # fmt: skip


def test_in_production_the_page_tells_the_hour_and_not_the_minute(behind, settings):
    settings.ROOT_URLCONF, settings.ALLOWED_HOSTS = "irefuda.config.urls_public", ["testserver"]
    settings.PRACTICE = False
    signed = Checkpoint.objects.latest("size").signed_at
    hour = (signed.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)).astimezone(clock.JST)

    def later() -> datetime:
        return signed + timedelta(hours=2)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(clock, "now", later)
        page = Client().get("/ledger/").content.decode()
    assert f"{hour:%H}時00分までに署名された" in page
