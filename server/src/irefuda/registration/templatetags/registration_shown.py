"""How values of the register and of the card are shown."""

import functools
from collections.abc import Iterator

from django import template
from django.utils.html import escape, format_html, format_html_join

from irefuda.agencies.models import Category
from irefuda.suppliers.models import Supplier
from irefuda_core.certificate import shown
from irefuda_core.documents import Document, DocumentType

register = template.Library()
KINDS = ("物品の製造", "物品の販売", "役務等の提供", "物品の購入")
CHANGE = {
    heading: f'<p class="no-print"><a href="{{change_url}}#{anchor}">{heading}を修正する</a></p>\n'
    for heading, anchor in (("代表窓口情報", "representative"), ("ICカード利用部署情報", "card-office"))
}
NO_GRADE = "無し"
GRADES = ("A", "B", "C", "D", NO_GRADE)


@register.filter
def or_absent(value: str) -> str:
    """Return the value, or 「証明書に記載なし」 when the certificate does not have it."""
    return shown(value)


@register.filter
def qualifications_shown(supplier: Supplier) -> str:
    """Return the four 資格の種類 as a list, each with A B C D 無し and a mark at the one that the supplier holds."""
    return _qualifications_shown(tuple(str(supplier.qualifications.get(kind) or NO_GRADE) for kind in KINDS))


@functools.lru_cache(maxsize=256)
def _qualifications_shown(held: tuple[str, ...]) -> str:
    lines = ((kind, format_html_join("", "{}", _grades_shown(mine))) for kind, mine in zip(KINDS, held, strict=True))
    listed = format_html_join("", '<li><span class="grade-kind">{}</span> {}</li>\n', lines)
    return format_html('<ul class="plain grades">\n{}</ul>', listed)


def _grades_shown(held: str) -> Iterator[tuple[str]]:
    for grade in GRADES:
        mark, words = ("☑", "該当") if grade == held else ("☐", "該当しない")
        yield (
            format_html(
                '<span class="grade{}"><span aria-hidden="true">{}</span>{}<span class="visually-hidden">（{}）</span></span> ',
                " grade-held" if grade == held else "",
                mark,
                grade,
                words,
            ),
        )


@register.simple_tag
def document_shown(document: Document, change_url: str = "", headings: tuple[str, ...] = ()) -> str:
    """Return the document section by section; `change_url` is where what stands under `headings` can still be changed.

    Not by loops of a template: it has about forty rows, which took most of the time of 「登録内容確認」 and of the print page.
    """
    shown = {key: value or "―" for key, value in document.values.items()}
    qualified = bool(document.values.get("qualifications"))
    return format_html(_frame(document.type, qualified, headings or ()), change_url=change_url, **shown)


@functools.lru_cache(maxsize=64)
def _frame(kind: DocumentType, qualified: bool, changeable: tuple[str, ...]) -> str:
    """Return how a document of this kind is shown, with {key} for each value; 資格の種類 only where there is one."""
    sections: dict[str, list[str]] = {}
    for field in kind.fields:
        rows = sections.setdefault(field.section, [])
        if qualified or field.key != "qualifications":
            rows.append(f"<div><dt>{escape(field.label)}</dt><dd>{{{field.key}}}</dd></div>\n")
    return "".join(
        f"<section>\n<h2>{escape(heading)}</h2>\n"
        + (CHANGE[heading] if heading in changeable else "")
        + f'<dl class="values">\n{"".join(rows)}</dl>\n</section>\n'
        for heading, rows in sections.items()
    )


@register.filter
def section_slug(category: str) -> str:
    """Return how the category stands in an address: works or goods."""
    return Category(category).slug
