"""登録業者名簿 on the public's site: who is qualified, read without login."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from irefuda.agencies import queries as agencies
from irefuda.agencies.models import Category, Section
from irefuda.suppliers import queries

CATEGORIES = {category.slug: category for category in Category}


@require_safe
def registers(request: HttpRequest) -> HttpResponse:
    """Show whose register can be read."""
    sections = [(section, Category(section.category).slug) for section in agencies.sections()]
    return render(request, "suppliers/registers.html", {"sections": sections})


@require_safe
def register(request: HttpRequest, agency_code: str, slug: str) -> HttpResponse:
    """Show one page of a section's register, searched by what was typed."""
    section = _section_or_404(agency_code, slug)
    typed = request.GET.get("q", "").replace("\x00", "").strip()[: queries.LONGEST_QUERY]
    page = request.GET.get("page", "1")
    found = queries.search_register(
        section=section, typed=typed, page=int(page) if page.isascii() and page.isdecimal() and len(page) < 4 else 1
    )
    shown = {"section": section, "slug": slug, "typed": typed, "found": found}
    return render(request, "suppliers/register.html", shown)


@require_safe
def supplier(request: HttpRequest, agency_code: str, slug: str, supplier_number: str) -> HttpResponse:
    """Show what the register says of one supplier; who dropped out of the register is not shown."""
    section = _section_or_404(agency_code, slug)
    found = queries.listed(section=section, supplier_number=supplier_number)
    if found is None:
        raise Http404
    return render(request, "suppliers/supplier.html", {"section": section, "slug": slug, "supplier": found})


def _section_or_404(agency_code: str, slug: str) -> Section:
    section = agencies.section(agency_code=agency_code, category=CATEGORIES.get(slug, ""))
    if section is None:
        raise Http404
    return section
