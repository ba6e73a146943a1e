"""How values of the register and of the card are shown."""

from django import template

from irefuda.agencies.models import Category
from irefuda.suppliers.models import Supplier
from irefuda_core.certificate import shown

register = template.Library()
KINDS = ("物品の製造", "物品の販売", "役務等の提供", "物品の購入")
NO_GRADE = "無し"
GRADES = ("A", "B", "C", "D", NO_GRADE)


@register.filter
def or_absent(value: str) -> str:
    """Return the value, or 「証明書に記載なし」 when the certificate does not have it."""
    return shown(value)


@register.filter
def qualification_rows(supplier: Supplier) -> list[tuple[str, list[tuple[str, bool]]]]:
    """Return the four 資格の種類, each with A B C D 無し and which of them the supplier holds."""
    return [
        (kind, [(grade, grade == (supplier.qualifications.get(kind) or NO_GRADE)) for grade in GRADES])
        for kind in KINDS
    ]


@register.filter
def section_slug(category: str) -> str:
    """Return how the category stands in an address: works or goods."""
    return Category(category).slug
