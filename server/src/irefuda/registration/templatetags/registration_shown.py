"""How values of the register and of the card are shown."""

from django import template

from irefuda.suppliers.models import Supplier
from irefuda_core.certificate import shown

register = template.Library()
KINDS = ("物品の製造", "物品の販売", "役務等の提供", "物品の購入")


@register.filter
def or_absent(value: str) -> str:
    """Return the value, or 「証明書に記載なし」 when the certificate does not have it."""
    return shown(value)


@register.filter
def qualification_rows(supplier: Supplier) -> list[tuple[str, str]]:
    """Return the four 資格の種類 with their grade (A–D or 無し)."""
    return [(kind, supplier.qualifications.get(kind) or "無し") for kind in KINDS]
