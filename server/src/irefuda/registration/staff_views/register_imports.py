"""Taking a city's file as the register, on a page: upload, columns, difference, last word, report."""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import TemporaryUploadedFile
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.http import Http404, HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_GET, require_http_methods

from irefuda.agencies.models import Category, Section
from irefuda.registration import register
from irefuda.registration.staff_views.register import GET_POST, page_number, trail
from irefuda.registration.staff_views.register_forms import ConfirmImportForm, UploadForm
from irefuda.staff import auth
from irefuda.staff.operations import Actor, Deed
from irefuda.staff.views import change, deed_is_done
from irefuda.suppliers import imports
from irefuda.suppliers import operations as entries
from irefuda.suppliers import queries as suppliers
from irefuda.suppliers.imports import TOUCHED
from irefuda.suppliers.models import ImportState, RegisterImport
from irefuda.suppliers.register_files.columns import NAMES
from irefuda.suppliers.register_files.reading import LARGEST_FILE
from irefuda.ui import clock
from irefuda.ui.spreadsheets import harmless
from irefuda_core.refusal import Refusal, Refused, refusal

# What a form with a file of the largest size weighs more than the file.
FRAME = 64 * 1024
KIND_NAMES = {
    TOUCHED: "利用者登録のある会社への影響",
    "ended": "名簿から外れる会社",
    "changed": "内容が変わる会社",
    "returned": "名簿に戻る会社",
    "new": "新しく載る会社",
}
CHANGE_NAMES = {"ended": "外れる", "changed": "変わる", "returned": "戻る", "new": "新しい"}
SOURCES = {
    "given": "この画面で決めたもの",
    "remembered": "前回と同じ",
    "proposed": "見出しから判断したもの",
}
# What the command's words say of its options is done with the selects and the field of these pages.
REMEDIES = {
    "F-509": "見出しの行を付けて保存し直すか、下の表で「業者番号」と「商号又は名称」の列を選んでください。何も変更していません。",
    "F-510": "下の表の「？」を、列の内容に合うものに直してください。使わない列は「使わない」にします。",
    "F-511": "下の表で、使う列を一つだけにし、ほかを「使わない」にしてください。何も変更していません。",
    "F-514": "「シートの名前」に、取り込むシートの名前を入力してください。何も変更していません。",
    "F-532": "業種・品目の列を付けて保存し直すか、下の表で「使わない」にしてください。何も変更していません。",
}


@csrf_exempt
@require_http_methods(GET_POST)
def bring(request: HttpRequest, actor: Actor, section: Section) -> HttpResponse:
    """Show what was taken and what waits, and take a file: one that is too large is refused before a byte of it is read."""
    size = int(request.META.get("CONTENT_LENGTH") or 0)
    if request.method == "POST" and size > LARGEST_FILE + FRAME:
        raise Refused(refusal("F-503", size=-(-size // 2**20), limit=LARGEST_FILE // 2**20))
    # On the disk from the first byte on. The form's token stands in the body, so it is looked at only now.
    request.upload_handlers = [TemporaryFileUploadHandler(request)]
    answer: HttpResponse = _bring(request, actor, section)
    return answer


@csrf_protect
def _bring(request: HttpRequest, actor: Actor, section: Section) -> HttpResponse:
    form = UploadForm(request.POST, request.FILES) if request.method == "POST" else UploadForm()
    reasons: Sequence[Refusal] = ()
    if request.method == "POST" and form.is_valid():
        file: TemporaryUploadedFile = form.cleaned_data["file"]
        try:
            brought = imports.bring(
                section=section,
                import_id=form.cleaned_data["id"],
                path=Path(file.temporary_file_path()),
                file_name=file.name or "",
                sheet=form.cleaned_data["sheet"],
                by=actor.member.name,
                asking=register.ASKING,
                now=clock.now(),
            )
            return redirect(_url(brought, section))
        except Refused as refused:
            reasons = [_on_a_page(reason) for reason in refused.refusals]
    kept = suppliers.imports_of(section)
    now = clock.now()
    return render(
        request,
        "registration/staff_register_imports.html",
        {
            "actor": actor,
            "section": section,
            "trail": trail(section),
            "form": form,
            "show_errors": request.method == "POST",
            "reasons": reasons,
            "waiting": [one for one in kept if one.state != ImportState.DONE and one.expires_at > now],
            "reports": [one for one in kept if one.state == ImportState.DONE],
            "may_bring": True,
        },
    )


@require_GET
def reports(request: HttpRequest, actor: Actor, section: Section) -> HttpResponse:
    """Show what was taken, to those who only look."""
    kept = [one for one in suppliers.imports_of(section) if one.state == ImportState.DONE]
    context = {"actor": actor, "section": section, "trail": trail(section), "reports": kept}
    if auth.opens(actor, "staff-register-bring"):
        context["bring_url"] = reverse("staff-register-bring", args=_place(section))
    return render(request, "registration/staff_register_imports.html", context)


@require_http_methods(GET_POST)
def show(request: HttpRequest, actor: Actor, section: Section, import_id: uuid.UUID) -> HttpResponse:
    """Ask what is not clear of a waiting file, show what it would change, and take the last word."""
    brought = suppliers.import_of(section=section, import_id=import_id, now=clock.now())
    if brought is None:
        if request.method == "POST" and not deed_is_done(request):
            raise Refused(refusal("S-932"))
        raise Http404
    if brought.state == ImportState.DONE:
        return redirect(_report_url(brought, section) + ("?done" if request.method == "POST" else ""))
    if request.method == "POST" and "give_up" in request.POST:
        imports.give_up(brought=brought)
        return redirect(reverse("staff-register-bring", args=_place(section)))
    if request.method == "POST" and "columns" in request.POST:
        return _answer_columns(request, actor, brought)
    if brought.state == ImportState.ASKED or "columns" in request.GET:
        return _columns_page(request, actor, brought)
    return _difference(request, actor, brought)


def _difference(request: HttpRequest, actor: Actor, brought: RegisterImport) -> HttpResponse:
    alarming = imports.alarming(brought)
    posted = request.method == "POST"
    form = ConfirmImportForm(request.POST, alarming=alarming) if posted else ConfirmImportForm(alarming=alarming)

    def take(deed: Deed) -> None:
        register.take_import(deed=deed, brought=brought)

    try:
        return change(
            request,
            actor,
            form,
            title="名簿の差分",
            changes=lambda: register.import_changes(brought),
            do=take,
            done_url=_report_url(brought, brought.section),
            template="registration/staff_register_difference.html",
            trail=_trail(brought),
            **_shown(request, brought),
            alarming=alarming,
            anew="anew" in request.GET,
        )
    except Refused as refused:
        if [reason.code for reason in refused.refusals] != ["S-931"]:
            raise
        # The register has changed since: the same file is compared with it as it is now.
        imports.look_again(brought=brought, asking=register.ASKING)
        return redirect(_url(brought, brought.section) + "?anew")


def _columns_page(
    request: HttpRequest, actor: Actor, brought: RegisterImport, reasons: Sequence[Refusal] = ()
) -> HttpResponse:
    problems = [
        (line, _on_a_page(Refusal(code, sentence, remedy))) for line, code, sentence, remedy in brought.problems
    ]
    return render(
        request,
        "registration/staff_register_columns.html",
        {
            "actor": actor,
            "section": brought.section,
            "trail": _trail(brought),
            "brought": brought,
            "reasons": [*reasons, *(reason for line, reason in problems if not line)],
            "problems": [(line, reason) for line, reason in problems if line],
            "more_problems": brought.problem_count - len(problems),
            "columns": list(enumerate(brought.columns)),
            "words": imports.fields(),
        },
    )


def _answer_columns(request: HttpRequest, actor: Actor, brought: RegisterImport) -> HttpResponse:
    given = {
        label: request.POST.get(f"column-{place}", word).replace("\x00", "")[:60]
        for place, (label, word) in enumerate(brought.columns)
    }
    try:
        imports.answer_columns(brought=brought, given=given, asking=register.ASKING)
    except Refused as refused:
        brought.columns = [[label, word] for label, word in given.items()]
        return _columns_page(request, actor, brought, [_on_a_page(reason) for reason in refused.refusals])
    return redirect(_url(brought, brought.section))


@require_GET
def report(request: HttpRequest, actor: Actor, section: Section, import_id: uuid.UUID) -> HttpResponse:
    """Show what a file has changed, who took it, and why."""
    brought = _report_or_404(section, import_id)
    context = {"actor": actor, "trail": _trail(brought), **_shown(request, brought)}
    return render(request, "registration/staff_register_report.html", context)


@require_GET
def report_csv(request: HttpRequest, actor: Actor, section: Section, import_id: uuid.UUID) -> HttpResponseBase:
    """Give the same as CSV, one line for each item that changed."""
    brought = _report_or_404(section, import_id)
    answer = StreamingHttpResponse(_csv(brought), content_type="text/csv; charset=utf-8")
    answer.headers["Content-Disposition"] = f'attachment; filename="register-{brought.id}.csv"'
    return answer


def _report_or_404(section: Section, import_id: uuid.UUID) -> RegisterImport:
    brought = suppliers.import_of(section=section, import_id=import_id, now=clock.now())
    if brought is None or brought.state != ImportState.DONE:
        raise Http404
    return brought


class _Line:
    """What `csv` writes into: it hands the line on."""

    def write(self, line: str) -> str:
        return line


def _csv(brought: RegisterImport) -> Iterator[str]:
    line = csv.writer(_Line())
    # A spreadsheet takes UTF-8 for what it is only with this mark.
    yield "\ufeff" + line.writerow(
        ["区分", "行", "業者番号", "商号又は名称", "項目", "前", "後", "ICカード", "お知らせ"]
    )
    for kind in KIND_NAMES:
        for page in range(1, _pages(brought, kind) + 1) if kind != TOUCHED else ():
            for one in suppliers.changes_of(brought, kind=kind, page=page):
                told = "、".join(register.TOLD_NAMES[name] for name in one["told"])
                head = [KIND_NAMES[kind], str(one["line"] or ""), one["supplier_number"], one["name"]]
                for item in one["differences"] or [("", "", "")]:
                    cells = [*head, *_item(item), str(one["cards"] or ""), told]
                    yield line.writerow([harmless(cell) for cell in cells])


def _item(difference: Sequence[Any]) -> tuple[str, str, str]:
    column, before, now = difference
    return NAMES.get(column, ""), entries.value_shown(column, before), entries.value_shown(column, now)


# -- what a page shows


def _shown(request: HttpRequest, brought: RegisterImport) -> dict[str, Any]:
    """Return what the difference and the report show: counts, and of each kind the page that the address asks for."""
    kinds = []
    for kind, name in KIND_NAMES.items():
        page = min(page_number(request, kind), max(_pages(brought, kind), 1))
        changes = [_change(one) for one in suppliers.changes_of(brought, kind=kind, page=page)]
        kinds.append(
            {
                "kind": kind,
                "name": name,
                "count": brought.counts[kind],
                "changes": changes,
                "page": page,
                "pages": _pages(brought, kind),
                "previous": f"?{_query(request, kind, page - 1)}#{kind}",
                "next": f"?{_query(request, kind, page + 1)}#{kind}",
            }
        )
    return {
        "brought": brought,
        "section": brought.section,
        "kinds": kinds,
        "unchanged": brought.counts["unchanged"],
        "facts": _facts(brought),
    }


def _query(request: HttpRequest, kind: str, page: int) -> str:
    query = request.GET.copy()
    query.pop("done", None)
    query.pop("anew", None)
    query[kind] = str(page)
    return query.urlencode()


def _pages(brought: RegisterImport, kind: str) -> int:
    return -(-int(brought.counts[kind]) // imports.PAGE)


def _change(one: dict[str, Any]) -> dict[str, Any]:
    return {
        **one,
        "what": CHANGE_NAMES[one["kind"]],
        "items": [_item(item) for item in one["differences"]],
        "told": [register.TOLD_NAMES[kind] for kind in one["told"]],
    }


def _facts(brought: RegisterImport) -> list[tuple[str, str]]:
    facts = brought.facts
    sheet = f"、シート「{facts['sheet']}」" if facts["sheet"] else ""
    rows = [
        ("ファイル", brought.file_name),
        ("内容", f"{facts['kind']}{sheet}、{facts['rows']}行、{brought.size:,}バイト"),
        ("SHA-256", brought.sha256),
        ("列の対応", SOURCES[facts["mapping_from"]]),
    ]
    if facts["padded"]:
        rows.append(("業者番号の先頭に0を補って9桁にした行", f"{facts['padded']}行"))
    if facts["as_above"]:
        rows.append(("空欄や「〃」を上の行と同じとして読んだ行", f"{facts['as_above']}行"))
    return rows


def _on_a_page(reason: Refusal) -> Refusal:
    return Refusal(reason.code, reason.sentence, REMEDIES.get(reason.code, reason.remedy))


def _trail(brought: RegisterImport) -> list[tuple[str, str]]:
    section = brought.section
    return [*trail(section), (reverse("staff-register-imports", args=_place(section)), "取り込みの記録")]


def _place(section: Section) -> list[Any]:
    return [section.agency.code, Category(section.category)]


def _url(brought: RegisterImport, section: Section) -> str:
    return reverse("staff-register-import", args=[*_place(section), brought.id])


def _report_url(brought: RegisterImport, section: Section) -> str:
    return reverse("staff-register-report", args=[*_place(section), brought.id])
