"""The main deeds of every journey, each done with the rights of the role whose process does them in production.

Run as a program against a database whose owner may `SET ROLE`; the first statement that a role lacks the right for ends it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import django

django.setup()

from announcing import announced  # noqa: E402 -- needs the app registry
from builders import make_authority, make_city  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.signals import request_finished, request_started  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import close_old_connections, connection  # noqa: E402
from django.test.utils import override_settings  # noqa: E402
from django.urls import clear_url_caches, set_urlconf  # noqa: E402
from mail_server import free_port, mail_server  # noqa: E402
from register_office import open_counter  # noqa: E402
from staff_deeds import every_deed  # noqa: E402
from staff_office import HOST, make_office, on_staff_site, present  # noqa: E402
from steps import change, register  # noqa: E402
from succession import newer, renew_on_pages  # noqa: E402
from webtest import TestApp  # noqa: E402

from irefuda.cards.models import RevocationListRecord, TrustedAuthority  # noqa: E402
from irefuda.config import health  # noqa: E402
from irefuda.ledger.models import Leaf, Pending  # noqa: E402
from irefuda.notices.models import Notice, State  # noqa: E402
from irefuda.registration.models import RegisteredCard, Registration  # noqa: E402
from irefuda.staff.models import Role  # noqa: E402
from irefuda_core.certificate import fingerprint_of  # noqa: E402

JOBS = ["fetch_revocations", "report_revocations", "send_expiry_warnings", "purge_registration"]


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute(f"SET ROLE {role}")
        yield
        cursor.execute("RESET ROLE")


def browser(host: str) -> TestApp:
    return TestApp(get_wsgi_application(), extra_environ={"HTTP_HOST": host, "REMOTE_ADDR": "127.0.0.1"})


def contractors(city: Any) -> None:
    app = browser("localhost:8000")
    app.get("/")
    card, further = city.authority.card(), newer(city)
    assert register(app, card).status_code == 302
    done = change(app, card, rep_phone="03-9876-5432")
    assert done.status_code == 302, done.text
    assert renew_on_pages(app, card, further).status_code == 302
    row = RegisteredCard.objects.get(fingerprint=fingerprint_of(further.der))
    app.get(f"/9992/goods/registration/{row.id}/print/", expect_errors=True)
    for name in ("/account/", "/messages/"):
        app.get(name, expect_errors=True)


def staff(city: Any) -> None:
    office = make_office()
    counter = open_counter(office)
    # The one that the counter has by no deed: the audit would miss its entry.
    for model in (RegisteredCard, Registration):
        model.objects.filter(section=counter.section).delete()
    with acting_as("irefuda_web"), override_settings():
        on_staff_site(settings)
        clear_url_caches()
        set_urlconf(None)
        card, _ = office.let_in(Role.CONTRACTS, Role.AUDITOR)
        app = browser(HOST)
        assert present(app, card).status_code == 302
        for path in ("/", "/agencies/", "/trust/", "/audit/"):
            assert app.get(path).status_code == 200, path
        announced("お知らせ")
        every_deed(office, city, counter, app)
    clear_url_caches()


def public() -> None:
    with (
        acting_as("irefuda_public"),
        override_settings(SITE="public", ROOT_URLCONF="irefuda.config.urls_public", ALLOWED_HOSTS=["open.localhost"]),
    ):
        clear_url_caches()
        app = browser("open.localhost:8002")
        for path in ("/", "/suppliers/", "/ledger/", "/ledger/keys.json", "/ledger/checkpoint"):
            answer = app.get(path, expect_errors=True)
            assert answer.status_code in (200, 404), (path, answer.status_code)
    clear_url_caches()


def main() -> None:
    request_started.disconnect(close_old_connections)
    request_finished.disconnect(close_old_connections)
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    city = make_city(make_authority())
    renewed_list = Path(settings.STATE_DIR) / "list.crl"
    renewed_list.write_bytes(city.authority.crl(number=2))
    TrustedAuthority.objects.update(crl_urls=[renewed_list.as_uri()])
    with acting_as("irefuda_web"):
        contractors(city)
    staff(city)
    with acting_as("irefuda_sequencer"):
        call_command("sequence_ledger", once=True)
    assert not Pending.objects.exists()
    assert Leaf.objects.count() > 4
    public()
    port = free_port()
    settings.EMAIL_PORT = port
    with mail_server(port) as postbox, acting_as("irefuda_jobs"):
        for name in JOBS:
            call_command(name, stdout=io.StringIO(), stderr=io.StringIO())
        assert RevocationListRecord.objects.filter(source=renewed_list.as_uri()).exists()
        call_command("send_notices", once=True, stdout=io.StringIO())
        assert len(postbox.mails) == Notice.objects.filter(state=State.SENT).count() > 3
    for role in ("irefuda_web", "irefuda_public", "irefuda_jobs"):
        with acting_as(role):
            assert set(health.checks().values()) <= {"ok", "unwatched"}, role
    call_command("audit_ledger", stdout=io.StringIO())
    print("every role did its work")


if __name__ == "__main__":
    main()
