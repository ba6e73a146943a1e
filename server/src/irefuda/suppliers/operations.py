"""What changes the register: an import as a whole, nothing else."""

from __future__ import annotations

from django.db import transaction

from irefuda.agencies.models import Section
from irefuda.suppliers import search
from irefuda.suppliers.models import Supplier, SupplierStatus


@transaction.atomic
def reindex(*, section: Section) -> None:
    """Write the search terms of a whole register anew."""
    rows = Supplier.objects.filter(section=section)
    search.remove(list(rows.filter(status=SupplierStatus.ENDED).values_list("id", flat=True)))
    listed = rows.exclude(status=SupplierStatus.ENDED).values_list("id", "section_id", "name", "name_kana")
    search.write(search.Entry(*row) for row in listed.iterator())
    search.settle()
