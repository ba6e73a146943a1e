"""A register of 100,000: imported whole, imported again without a change, and searched without a miss."""

import io
import itertools
import resource

import made_up
import pytest
from builders import make_section
from django.core.management import call_command

from irefuda.suppliers import operations, queries, search
from irefuda.suppliers.models import Supplier, SupplierStatus
from irefuda_core import text

pytestmark = [pytest.mark.soak, pytest.mark.committing]
COUNT = 100_000
# Of the words of one character, the names' parts; of two and more, what stands together and what does not.
WORDS = [
    *(part for part, _ in made_up.PARTS),
    *(f"{one}{other}" for (one, _), (other, _) in itertools.product(made_up.PARTS, repeat=2)),
    *(f"{one}{other}" for (_, one), (_, other) in itertools.product(made_up.PARTS[:8], repeat=2)),
    *("橋梁", "舗装", "ほそう", "ｷｮｳﾘｮｳ", "株式会社青", "堤堤堤舗装", "鉄塔", "高", "森舗", "青森津 舗装", "ホソウ 装"),
]


@pytest.fixture
def section(own_database, django_db_blocker):
    with django_db_blocker.unblock():
        yield make_section()


def test_100000_suppliers_are_imported_and_imported_again(section, tmp_path):
    file = made_up.write_file(tmp_path / "register.csv", section, COUNT)
    call_command(
        "import_suppliers", str(file), agency="9992", category="goods", reason="月初の名簿", stdout=io.StringIO()
    )
    assert Supplier.objects.filter(section=section, status=SupplierStatus.ACTIVE).count() == COUNT
    again = io.StringIO()
    call_command("import_suppliers", str(file), agency="9992", category="goods", reason="月初の名簿", stdout=again)
    assert f"{COUNT}" in again.getvalue().replace(",", "")
    assert Supplier.objects.filter(section=section, status=SupplierStatus.ACTIVE).count() == COUNT
    found = queries.search_register(section=section, typed="橋梁")
    assert [supplier.supplier_number for supplier in found.suppliers] == ["700000007", "700000377", "700000877"]
    # The file, the register and their comparison are never in memory together (the benchmark has the exact figure).
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 600_000


def test_a_search_among_100000_finds_exactly_the_names_that_have_every_word(section):
    """Both engines are held to this model, so both find the same ids."""
    Supplier.objects.bulk_create(made_up.suppliers(section, COUNT), batch_size=2000)
    operations.reindex(section=section)
    rows = Supplier.objects.order_by("id").values_list("id", "name", "name_kana")
    folded = [(number, text.fold_for_search(name), text.fold_for_search(kana)) for number, name, kana in rows]
    for typed in WORDS:
        words = typed.split()
        parts = [text.fold_for_search(word) for word in words]
        expected = [number for number, *where in folded if all(any(part in at for at in where) for part in parts)]
        assert search.ids(section_id=section.id, words=words, limit=COUNT) == expected, typed
