"""What is counted of registrations for the staff's reports: by month, by authority, by what did not arrive, by what was refused."""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time

from django.db.models import Count, Q, Sum
from django.db.models.functions import TruncMonth

from irefuda.agencies.models import Section
from irefuda.cards import queries as trust
from irefuda.notices.models import Bounce, Notice, State
from irefuda.registration.models import (
    DEEDS,
    CardStatus,
    Event,
    EventKind,
    RefusedTry,
    RegisteredCard,
    Registration,
)
from irefuda.registration.tally import place_of
from irefuda.ui.clock import JST
from irefuda.ui.spreadsheets import harmless
from irefuda_core.refusal import CATALOGUE

# So many undelivered mails are looked at, the newest first.
BOUNCES = 1000
# So many authorities have a colour of their own in the plot; the rest is one.
SERIES = 5
OTHERS = "そのほか"
UNKNOWN = "（認証局の登録なし）"


@dataclass(frozen=True, slots=True)
class Table:
    """What a report says: on the page as a table, and the same as a file."""

    header: list[str]
    rows: list[list[str | int]]
    total: list[str | int] = field(default_factory=list)


def as_csv(table: Table) -> str:
    """Return the table as a file for a spreadsheet, which takes none of its cells for a formula."""
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\r\n")
    rows: list[list[str | int]] = [[*table.header], *table.rows]
    if table.total:
        rows.append(table.total)
    writer.writerows([harmless(cell) for cell in row] for row in rows)
    # Excel takes a file without this mark for one in Shift_JIS.
    return "\ufeff" + written.getvalue()


# -- months


def month_of(moment: datetime) -> date:
    """Return the first day of the month in Japan."""
    return moment.astimezone(JST).date().replace(day=1)


def later(month: date, months: int) -> date:
    """Return the first day of the month so many months later, or earlier."""
    count = month.year * 12 + month.month - 1 + months
    return date(count // 12, count % 12 + 1, 1)


def months_between(first: date, last: date) -> list[date]:
    """Return every month from the first to the last, both included."""
    return [later(first, i) for i in range((last.year - first.year) * 12 + last.month - first.month + 1)]


def month_shown(month: date) -> str:
    """Return a month as it stands in tables and files."""
    return f"{month:%Y年}{month.month}月"


def _moments(months: Sequence[date]) -> tuple[datetime, datetime]:
    starts = (months[0], later(months[-1], 1))
    since, until = (datetime.combine(day, time.min, tzinfo=JST) for day in starts)
    return since, until


# -- 登録の件数


def by_month(sections: Sequence[Section], months: Sequence[date]) -> Table:
    """Return how much of what happened in each month."""
    since, until = _moments(months)
    counts: dict[date, Counter[str]] = defaultdict(Counter)
    cards = RegisteredCard.objects.filter(section__in=sections, registered_at__gte=since, registered_at__lt=until)
    taken = cards.annotate(month=TruncMonth("registered_at", tzinfo=JST), is_new=Q(succeeds=None))
    taken_by_month = taken.values_list("month", "is_new").annotate(cards=Count("id"))
    for month, is_new, number in taken_by_month.order_by():
        counts[month.date()]["登録" if is_new else "ICカード更新"] += number
    events = Event.objects.filter(registration__section__in=sections, kind__in=DEEDS, at__gte=since, at__lt=until)
    happened = events.annotate(month=TruncMonth("at", tzinfo=JST)).values_list("month", "kind")
    for month, kind, number in happened.annotate(events=Count("id")).order_by():
        counts[month.date()][EventKind(kind).label] += number
    columns = ["登録", "ICカード更新", *(kind.label for kind in DEEDS)]
    rows: list[list[str | int]] = [[month_shown(month), *(counts[month][name] for name in columns)] for month in months]
    return Table(["月", *columns], rows, ["合計", *_sums(rows)])


def _sums(rows: Sequence[Sequence[str | int]]) -> list[int]:
    return [sum(int(cell) for cell in column) for column in list(zip(*rows, strict=True))[1:]]


# -- 有効期限を迎えるICカード


@dataclass(frozen=True, slots=True)
class Bar:
    """One piece of a stacked column of the plot, in the plot's own units."""

    series: int
    x: int
    y: int
    height: int
    title: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Stacked columns, one a month; the numbers stand in the table beside it."""

    bars: list[Bar]
    # Height and number of each line across.
    lines: list[tuple[int, int]]
    # Place and words below a column.
    months: list[tuple[int, str]]
    names: list[str]
    width: int
    height: int
    column: int
    floor: int
    left: int
    summary: str


def expiring(sections: Sequence[Section], months: Sequence[date]) -> Table:
    """Return how many cards in use end in each month, by authority; those that are over already stand before."""
    since, until = _moments(months)
    names = _authority_names()
    ending: dict[date, Counter[str]] = defaultdict(Counter)
    over: Counter[str] = Counter()
    cards = RegisteredCard.objects.filter(section__in=sections, status=CardStatus.ACTIVE)
    coming = cards.filter(expires_at__gte=since, expires_at__lt=until)
    grouped = coming.annotate(month=TruncMonth("expires_at", tzinfo=JST)).values_list("month", "issuer_key")
    for month, issuer, number in grouped.annotate(cards=Count("id")).order_by():
        ending[month.date()][names.get(issuer, UNKNOWN)] += number
    ended = cards.filter(expires_at__lt=since).values_list("issuer_key").annotate(cards=Count("id")).order_by()
    for issuer, number in ended:
        over[names.get(issuer, UNKNOWN)] += number
    authorities = sorted({name for counts in (over, *ending.values()) for name in counts})
    lines = [("これより前", over)] if over else []
    lines += [(month_shown(month), ending[month]) for month in months]
    rows: list[list[str | int]] = [
        [label, *(counts[name] for name in authorities), sum(counts.values())] for label, counts in lines
    ]
    return Table(["月", *authorities, "合計"], rows, ["合計", *_sums(rows)])


def plot(table: Table) -> Plot:
    """Return the table as stacked columns."""
    left, step, column, floor, ceiling = 48, 28, 20, 220, 20
    names = [str(name) for name in table.header[1:-1]]
    shown = names if len(names) <= SERIES else [*names[: SERIES - 1], OTHERS]
    columns = [[int(cell) for cell in row[1:-1]] for row in table.rows]
    if len(names) > SERIES:
        columns = [[*row[: SERIES - 1], sum(row[SERIES - 1 :])] for row in columns]
    highest = max((sum(row) for row in columns), default=0)
    top = _round_up(max(highest, 1))
    scale = (floor - ceiling) / top
    bars, months = [], []
    for place, (row, counts) in enumerate(zip(table.rows, columns, strict=True)):
        x, y = left + 8 + place * step, float(floor)
        months.append((x + column // 2, str(row[0])))
        for series, count in enumerate(counts):
            if count:
                y -= count * scale
                title = f"{row[0]}　{shown[series]}　{count}枚"
                bars.append(Bar(series, x, round(y), max(round(y + count * scale) - round(y), 1), title))
    lines = sorted({0, top // 2 if top > 1 else 0, top})
    summary = f"合計{sum(map(sum, columns))}枚。"
    if highest:
        most = max(range(len(columns)), key=lambda place: sum(columns[place]))
        summary += f"最も多いのは{table.rows[most][0]}の{highest}枚です。"
    return Plot(
        bars=bars,
        lines=[(round(floor - number * scale), number) for number in lines],
        months=months,
        names=shown,
        width=left + 16 + len(columns) * step,
        height=floor + 84,
        column=column,
        floor=floor,
        left=left,
        summary=summary,
    )


def _round_up(number: int) -> int:
    """Return the end of the axis: 1, 2 or 5 times a power of ten, and no less than the number."""
    step = 1
    while True:
        for times in (1, 2, 5):
            if times * step >= number:
                return times * step
        step *= 10


def _authority_names() -> dict[str, str]:
    authorities = trust.trust_snapshot("supplier").authorities
    return {key: authority.name for authority in authorities for key in authority.issuer_keys}


# -- 届かなかったメール


@dataclass(frozen=True, slots=True)
class Undelivered:
    """One address of a company that mail does not reach, and how often it did not."""

    registration: Registration
    address: str
    mails: int
    last_at: datetime
    status: str


@dataclass(frozen=True, slots=True)
class Bounces:
    """What did not arrive: counts for everybody, addresses for whom they are."""

    mails: int
    # More failed than were looked at.
    cut: bool
    by_section: Table
    addresses: list[Undelivered]

    @property
    def as_table(self) -> Table:
        """Return the addresses as a table."""
        rows: list[list[str | int]] = [
            [
                one.registration.company_id,
                one.registration.supplier.name,
                one.address,
                one.mails,
                f"{one.last_at.astimezone(JST):%Y/%m/%d %H:%M}",
                one.status,
            ]
            for one in self.addresses
        ]
        header = ["企業ID", "企業名称", "メールアドレス", "届かなかったメール", "最後の日時", "メールサーバの返事"]
        return Table(header, rows)


def bounces(sections: Sequence[Section], months: Sequence[date]) -> Bounces:
    """Return the mails of these months that were refused for good, by whose they were."""
    since, until = _moments(months)
    failed = Bounce.objects.filter(action="failed", notice__state=State.FAILED)
    failed = failed.filter(recorded_at__gte=since, recorded_at__lt=until, notice__kind__startswith="registration.")
    rows = failed.select_related("notice").defer("notice__body", "diagnostic").order_by("-recorded_at", "-id")
    found = list(rows[: BOUNCES + 1])
    owners = _owners([bounce.notice for bounce in found[:BOUNCES]], sections)
    # A mail may have been refused more than once: it is one mail.
    latest: dict[str, Bounce] = {}
    for bounce in found[:BOUNCES]:
        latest.setdefault(str(bounce.notice_id), bounce)
    mine: dict[tuple[int, str], list[Bounce]] = defaultdict(list)
    registrations: dict[int, Registration] = {}
    for bounce in latest.values():
        for registration in owners(bounce.notice):
            registrations[registration.id] = registration
            mine[registration.id, bounce.notice.to].append(bounce)
    addresses = [
        Undelivered(registrations[number], address, len(those), those[0].recorded_at, those[0].status)
        for (number, address), those in mine.items()
    ]
    counts = [(section, [a for a in addresses if a.registration.section_id == section.id]) for section in sections]
    by_section: list[list[str | int]] = [
        [place_name(section), len(those), len({a.registration.id for a in those}), sum(a.mails for a in those)]
        for section, those in counts
    ]
    return Bounces(
        mails=sum(a.mails for a in addresses),
        cut=len(found) > BOUNCES,
        by_section=Table(["調達機関と区分", "アドレス", "企業", "メール"], by_section, ["合計", *_sums(by_section)]),
        addresses=addresses,
    )


class _owners:
    """Answer whose a notice was, among these sections: a company's own inbox, or that of one of its cards."""

    def __init__(self, notices: Iterable[Notice], sections: Sequence[Section]) -> None:
        inboxes = {notice.inbox for notice in notices}
        by_id = {section.id: section for section in sections}
        numbers = {inbox: int(inbox[5:]) for inbox in inboxes if len(inbox) == 15 and inbox.isdigit()}
        cards = RegisteredCard.objects.filter(fingerprint__in=inboxes - numbers.keys()).order_by()
        used = list(cards.values_list("fingerprint", "section_id", "section__agency_id", "registration_id").distinct())
        wanted = {*numbers.values(), *(number for _, section, _, number in used if section in by_id)}
        found = Registration.objects.select_related("supplier").filter(id__in=wanted, section__in=by_id)
        companies = {registration.id: registration for registration in found}
        for registration in companies.values():
            registration.section = registration.supplier.section = by_id[registration.section_id]
        self.of_inbox: dict[str, list[Registration]] = defaultdict(list)
        agencies: dict[str, set[int]] = defaultdict(set)
        for inbox, number in numbers.items():
            if number in companies and companies[number].company_id == inbox:
                self.of_inbox[inbox].append(companies[number])
        for inbox, _, agency, number in used:
            agencies[inbox].add(agency)
            if number in companies and companies[number] not in self.of_inbox[inbox]:
                self.of_inbox[inbox].append(companies[number])
        self.shared = {inbox for inbox, those in agencies.items() if len(those) > 1}

    def __call__(self, notice: Notice) -> list[Registration]:
        """Return the company of the notice; of a card that several agencies know, in the one that wrote."""
        found = self.of_inbox[notice.inbox]
        if notice.inbox in self.shared:
            found = [r for r in found if r.section.agency.system_email == notice.sender]
        return found[:1]


def place_name(section: Section) -> str:
    """Return 調達機関 and 区分 in words."""
    return f"{section.agency.name}　{section.get_category_display()}"


# -- 受け付けなかった操作


def refused(sections: Sequence[Section], months: Sequence[date], *, everywhere: bool) -> Table:
    """Return how often which reason was given; with `everywhere` also on the pages that belong to no section."""
    places = [place_of(section) for section in sections]
    found = RefusedTry.objects.filter(Q(place__in=places) | (Q(place="") if everywhere else Q(pk__in=[])))
    found = found.filter(on__gte=months[0], on__lt=later(months[-1], 1))
    counted = found.values("code").annotate(tries_in_all=Sum("tries"), days=Count("on", distinct=True))
    rows: list[list[str | int]] = [
        [row["code"], _sentence(row["code"]), row["tries_in_all"], row["days"]]
        for row in counted.order_by("-tries_in_all", "code")
    ]
    return Table(["記号", "理由", "回数", "日数"], rows)


def _sentence(code: str) -> str:
    """Return the sentence of the reason as the catalogue has it, with 「…」 for what differed each time."""
    wording = CATALOGUE.get(code)
    if wording is None:
        return "（いまの版にはない理由）"
    return wording.sentence.format_map(defaultdict(lambda: "…"))
