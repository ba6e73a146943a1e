"""お知らせ are published and withdrawn once, each with its ledger entry; nothing is deleted."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from announcing import announced, withdrawn
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.recorder import MigrationRecorder
from parallel import together

from irefuda.agencies.models import Agency, Category, Section
from irefuda.disclosure import audit, queries
from irefuda.disclosure.models import Announcement
from irefuda.ledger.models import Entry
from irefuda_core.refusal import Refused

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
ID = uuid.UUID(int=7)


@pytest.fixture
def agency() -> Agency:
    made = Agency.objects.create(code="9991", name="入札市 契約課", system_email="ebid@example.jp")
    Section.objects.create(agency=made, category=Category.WORKS)
    return made


def documents() -> list[tuple[str, dict[str, Any]]]:
    """Return kind and content of every ledger entry, oldest first."""
    return [(entry.kind, json.loads(bytes(entry.document))) for entry in Entry.objects.order_by("recorded_at")]


def titles(now: datetime) -> list[str]:
    return [row.title for row in queries.announcements(now=now).announcements]


@pytest.mark.django_db
class TestPublish:
    def test_the_entry_says_what_the_row_says(self, agency: Agency) -> None:
        until = NOW + timedelta(days=1)
        made = announced(
            " 休みについて ",
            "一行目\r\n\r\n・ 二",
            announcement_id=ID,
            agency=agency,
            category=Category.WORKS,
            expires_at=until,
            now=NOW,
        )
        assert (made.title, made.body, made.published_at) == ("休みについて", "一行目\n\n・ 二", NOW)
        ((kind, document),) = documents()
        assert kind == "announcement.published"
        assert document == {
            "type": "announcement",
            "realm": "practice",
            "origin": "http://localhost:8000",
            "announcement_id": str(ID),
            "issued_at": "2026-11-25T12:00:00+09:00",
            "agency_code": "9991",
            "category": "工事、コンサル",
            "title": "休みについて",
            "body": "一行目\n\n・ 二",
            "published_at": "2026-11-25T12:00:00+09:00",
            "expires_at": "2026-11-26T12:00:00+09:00",
            "created_by": "契約課",
        }
        assert made.ledger_entry == Entry.objects.get().id

    def test_sent_twice_it_is_announced_once(self) -> None:
        first = announced("一", announcement_id=ID)
        assert announced("二", announcement_id=ID) == first
        assert (Announcement.objects.get().title, Entry.objects.count()) == ("一", 1)

    @pytest.mark.parametrize(
        ("values", "codes"),
        [
            ({"title": ""}, ["P-820"]),
            ({"title": " "}, ["P-820"]),
            ({"body": "\n"}, ["P-820"]),
            ({"title": "一\n二"}, ["P-801"]),
            ({"title": "字" * 101}, ["P-802"]),
            ({"body": "字" * 10_001, "created_by": "\x01"}, ["P-802", "P-801"]),
            ({"expires_at": NOW}, ["P-821"]),
            ({"published_at": NOW + timedelta(days=2), "expires_at": NOW + timedelta(days=1)}, ["P-821"]),
        ],
    )
    def test_what_is_no_announcement_is_refused_with_every_reason(
        self, values: dict[str, Any], codes: list[str]
    ) -> None:
        with pytest.raises(Refused) as refused:
            announced(**{"title": "題", "body": "本文", "now": NOW, **values})
        assert [reason.code for reason in refused.value.refusals] == codes
        assert not Announcement.objects.exists()
        assert not Entry.objects.exists()

    def test_it_is_seen_from_its_moment_to_its_end(self) -> None:
        hour = timedelta(hours=1)
        announced("後で", published_at=NOW + hour, expires_at=NOW + 2 * hour, now=NOW, announcement_id=ID)
        announced("いま", published_at=NOW - hour, now=NOW)
        assert titles(NOW) == ["いま"]
        assert titles(NOW + hour) == ["後で", "いま"]
        assert titles(NOW + 2 * hour) == ["いま"]
        assert queries.announcement(announcement_id=ID, now=NOW) is None
        assert queries.announcement(announcement_id=ID, now=NOW + 3 * hour) is not None

    def test_it_never_claims_to_be_older_than_its_entry(self) -> None:
        assert announced("題", published_at=NOW - timedelta(days=9), now=NOW).published_at == NOW


@pytest.mark.django_db
class TestWithdraw:
    def test_the_reason_is_kept_and_the_text_too(self) -> None:
        announced("休み", announcement_id=ID, now=NOW)
        later = NOW + timedelta(hours=1)
        gone = withdrawn(ID, "日付の誤り", withdrawn_by="係長", now=later)
        assert (gone.withdrawn_at, gone.withdrawn_reason, gone.withdrawn_by) == (later, "日付の誤り", "係長")
        assert (gone.body, gone.updated_at) == ("本文です。", later)
        kind, document = documents()[-1]
        assert kind == "announcement.withdrawn"
        assert (document["announcement_id"], document["reason"]) == (str(ID), "日付の誤り")
        assert gone.withdrawal_entry == Entry.objects.get(kind=kind).id

    def test_it_leaves_the_portal_and_stays_on_the_list(self) -> None:
        announced("休み", announcement_id=ID, now=NOW)
        withdrawn(ID, "誤り", now=NOW)
        assert queries.newest_announcements(now=NOW) == []
        assert titles(NOW) == ["休み"]

    def test_the_first_withdrawal_stands(self) -> None:
        announced("休み", announcement_id=ID, now=NOW)
        first = withdrawn(ID, "一", now=NOW)
        again = withdrawn(ID, "二", now=NOW + timedelta(hours=1))
        assert (again.withdrawn_reason, again.withdrawn_at) == ("一", first.withdrawn_at)
        assert Entry.objects.count() == 2

    @pytest.mark.parametrize(
        ("known", "reason", "code"),
        [(True, " ", "P-823"), (True, "字" * 401, "P-802"), (True, "\x01", "P-801"), (False, "誤り", "P-822")],
    )
    def test_without_reason_or_announcement_it_is_refused(self, known: bool, reason: str, code: str) -> None:
        announced("休み", announcement_id=ID if known else uuid.uuid4(), now=NOW)
        with pytest.raises(Refused) as refused:
            withdrawn(ID, reason)
        assert [found.code for found in refused.value.refusals] == [code]
        assert not Announcement.objects.exclude(withdrawn_at=None).exists()


@pytest.mark.django_db
@pytest.mark.parametrize(
    "values",
    [{"category": "2"}, {"expires_at": NOW - timedelta(days=1)}, {"withdrawn_at": NOW}],
    ids=["category", "expires", "withdrawn without reason"],
)
def test_the_database_itself_refuses_what_is_none(values: dict[str, Any]) -> None:
    kept = {"id": ID, "title": "題", "body": "本文", "published_at": NOW, "created_by": "契約課"}
    with pytest.raises(IntegrityError), transaction.atomic():
        Announcement.objects.create(**{**kept, **values})


# -- by the audit


def differences() -> list[str]:
    return [str(finding) for finding in audit.findings(NOW)]


@pytest.mark.django_db
class TestAudit:
    def test_what_was_published_and_withdrawn_agrees_with_its_entries(self, agency: Agency) -> None:
        until = NOW + timedelta(days=9)
        announced("休み", announcement_id=ID, agency=agency, category=Category.WORKS, expires_at=until, now=NOW)
        announced("二", published_at=NOW + timedelta(hours=1), now=NOW)
        withdrawn(ID, "誤り", now=NOW + timedelta(seconds=1))
        Announcement.objects.create(id=uuid.UUID(int=8), title="前から", body="x", published_at=NOW, created_by="x")
        assert differences() == []

    @pytest.mark.parametrize(
        ("column", "value", "named"),
        [
            ("title", "別の題", "title：台帳の文書（announcement.published）と違います。"),
            ("body", "別の本文", "body：台帳の文書（announcement.published）と違います。"),
            ("category", "1", "category：台帳の文書（announcement.published）と違います。"),
            ("created_by", "だれか", "created_by：台帳の文書（announcement.published）と違います。"),
            ("published_at", NOW - timedelta(days=1), "published_at：台帳の文書（announcement.published）と違います。"),
            ("expires_at", NOW + timedelta(days=1), "expires_at：台帳の文書（announcement.published）と違います。"),
            ("ledger_entry", uuid.UUID(int=9), "台帳に記録がありません（announcement.published）。"),
            ("withdrawn_reason", "別の理由", "reason：台帳の文書（announcement.withdrawn）と違います。"),
            ("withdrawn_by", "だれか", "withdrawn_by：台帳の文書（announcement.withdrawn）と違います。"),
            ("withdrawn_at", None, "withdrawn_at：取り下げの日時が、台帳の受付日時と違います。"),
            ("withdrawal_entry", None, "台帳に記録がありません（announcement.withdrawn）。"),
        ],
    )
    def test_a_changed_column_is_named(self, column: str, value: object, named: str) -> None:
        announced("休み", announcement_id=ID, now=NOW)
        withdrawn(ID, "誤り", now=NOW)
        Announcement.objects.update(**{column: value})
        assert f"disclosure_announcement {ID}：{named}" in differences()

    def test_a_row_that_was_deleted_and_a_withdrawal_that_was_undone_are_named(self) -> None:
        announced("休み", announcement_id=ID, now=NOW)
        withdrawn(ID, "誤り", now=NOW)
        gone = Announcement.objects.get()
        undone = {"withdrawn_at": None, "withdrawn_reason": "", "withdrawn_by": "", "withdrawal_entry": None}
        Announcement.objects.update(**undone)
        missing = "disclosure_announcement （台帳の記録 {}）：お知らせの行がありません。"
        assert differences() == [missing.format(gone.withdrawal_entry)]
        Announcement.objects.all().delete()
        assert differences() == [missing.format(gone.ledger_entry), missing.format(gone.withdrawal_entry)]

    def test_entries_of_another_kind_are_none(self) -> None:
        announced("休み", announcement_id=ID, now=NOW)
        withdrawn(ID, "誤り", now=NOW)
        row = Announcement.objects.get()
        Announcement.objects.update(ledger_entry=row.withdrawal_entry)
        assert "台帳の記録の種別が違います（announcement.withdrawn）。" in differences()[0]


# -- at the same moment


@pytest.mark.committing
def test_of_eight_who_publish_the_same_one_does(own_database: str, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        made = together(8, lambda n: announced(f"{n}", announcement_id=ID))
        assert {row.title for row in made} == {Announcement.objects.get().title}
        assert Entry.objects.count() == 1


@pytest.mark.committing
def test_of_eight_who_withdraw_it_one_does(own_database: str, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        announced("休み", announcement_id=ID)
        made = together(8, lambda n: withdrawn(ID, f"{n}"))
        assert {row.withdrawn_reason for row in made} == {Announcement.objects.get().withdrawn_reason}
        entry = Entry.objects.get(kind="announcement.withdrawn")
        assert json.loads(bytes(entry.document))["reason"] == Announcement.objects.get().withdrawn_reason
        assert Announcement.objects.get().withdrawal_entry == entry.id


# -- the lines from before


@pytest.mark.committing
def test_the_lines_of_the_portal_s_news_become_announcements(own_database: str, django_db_blocker: Any) -> None:
    with django_db_blocker.unblock():
        MigrationExecutor(connection).migrate([("disclosure", "0001_portal_news")])
        old = MigrationExecutor(connection).loader.project_state([("disclosure", "0001_portal_news")]).apps
        lines = old.get_model("disclosure", "PortalNews").objects
        day = date(2026, 11, 24)
        lines.create(kind="office", published_on=day, sentence="休みについて", link="https://city.example.jp/")
        lines.create(kind="update", published_on=day, sentence="手順を直しました", link="/guide/")
        MigrationExecutor(connection).migrate([("disclosure", "0002_announcement")])
        assert ("disclosure", "0002_announcement") in MigrationRecorder(connection).applied_migrations()
        kept = {row.title: (row.body, row.published_at) for row in Announcement.objects.all()}
        midnight = datetime(2026, 11, 23, 15, tzinfo=UTC)
        assert kept == {
            "休みについて": ("休みについて\n\nhttps://city.example.jp/", midnight),
            "手順を直しました": ("手順を直しました\n\nhttp://localhost:8000/guide/", midnight),
        }


# -- by the command


@pytest.mark.django_db
class TestCommand:
    def run(self, *arguments: str) -> str:
        out = StringIO()
        call_command("announcement", *arguments, stdout=out)
        return out.getvalue()

    def test_publish_list_withdraw(self, agency: Agency, tmp_path: Path) -> None:
        file = tmp_path / "body.txt"
        file.write_text("一\n\n二\n")
        target = ("--agency", "9991", "--category", "works", "--until", "2100-03-31", "--by", "契約課 係長")
        told = self.run("publish", "休みについて", "--body-file", str(file), *target)
        made = Announcement.objects.get()
        assert told.split()[0] == str(made.id)
        assert (made.body, made.agency, made.category, made.created_by) == ("一\n\n二", agency, "0", "契約課 係長")
        # To the end of that day in Japan.
        assert made.expires_at == datetime(2100, 3, 31, 15, tzinfo=UTC)
        assert self.run("list") == told
        assert "（取り下げ：誤り）" in self.run("withdraw", str(made.id), "--reason", "誤り")

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (("publish", "題"), "P-820"),
            (("publish", "題", "--body", "x", "--agency", "0000"), "there is no agency 0000: 9991"),
            (("publish", "題", "--body-file", "/nowhere"), "cannot be read"),
            (("publish", "題", "--body", "x", "--until", "2001-01-01"), "P-821"),
            (("withdraw", str(ID), "--reason", "誤り"), "P-822"),
        ],
    )
    def test_what_is_wrong_is_said(self, agency: Agency, arguments: tuple[str, ...], words: str) -> None:
        with pytest.raises(CommandError, match=words):
            self.run(*arguments)
