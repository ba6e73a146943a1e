"""Search in the register: by a part of the name or reading, by the beginning of the 業者番号."""

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from irefuda.agencies.models import Agency, Section
from irefuda.suppliers import operations, queries, search
from irefuda.suppliers.models import Supplier
from irefuda_core import text

NAMES = st.text(
    st.sampled_from("青森橋梁舗装建設株式会社髙高﨑崎アあｱガｶﾞー-ーABab01１２・（）㈱ 　'\"*&|!:\\%_"),
    min_size=1,
    max_size=12,
)


@pytest.fixture
def works(db):
    agency = Agency.objects.create(code="9991", name="練習市", system_email="nyusatsu@example.jp")
    return Section.objects.create(agency=agency, category="0")


def enter(section, number, name, kana="", **more):
    supplier = Supplier.objects.create(section=section, supplier_number=number, name=name, name_kana=kana, **more)
    search.write([search.Entry(supplier.id, section.id, name, kana)])
    return supplier


def numbers(section, typed, page=1):
    found = queries.search_register(section=section, typed=typed, page=page)
    return [supplier.supplier_number for supplier in found.suppliers]


def test_two_characters_find_a_name_and_every_word_must_be_there(works):
    enter(works, "000000001", "（株）青森橋梁建設", "アオモリキョウリョウケンセツ")
    enter(works, "000000002", "青森舗装㈱", "アオモリホソウ")
    enter(works, "000000003", "髙﨑建設", "タカサキケンセツ")
    assert numbers(works, "橋梁") == ["000000001"]
    assert numbers(works, "青森") == ["000000001", "000000002"]
    assert numbers(works, "青森　建設") == ["000000001"]
    assert numbers(works, "高崎") == ["000000003"]
    assert numbers(works, "あおもり ほそう") == ["000000002"]
    assert numbers(works, "建設あおもり") == []
    assert numbers(works, "ﾀｶｻｷ") == ["000000003"]
    assert numbers(works, "舗") == ["000000002"]
    assert numbers(works, "装") == ["000000002"]
    assert numbers(works, "弘前") == []
    assert numbers(works, "・") == []
    assert numbers(works, "") == ["000000001", "000000002", "000000003"]


def test_a_number_is_found_by_its_beginning_and_without_its_leading_zeros(works):
    enter(works, "000000012", "一番")
    enter(works, "120000000", "二番")
    enter(works, "999999999", "テスト商会12")
    assert numbers(works, "12") == ["000000012", "120000000", "999999999"]
    assert numbers(works, "１２００") == ["120000000"]
    assert numbers(works, "000000012") == ["000000012"]
    assert numbers(works, "ab") == []


def test_who_dropped_out_is_not_found_and_another_section_is_another_register(works):
    goods = Section.objects.create(agency=works.agency, category="1")
    ended = enter(works, "000000001", "青森橋梁", status="ended")
    search.remove([ended.id])
    enter(goods, "000000002", "青森橋梁")
    assert numbers(works, "橋梁") == numbers(works, "000000001") == numbers(works, "") == []
    assert numbers(goods, "橋梁") == ["000000002"]


def test_a_changed_name_is_found_by_the_new_one_only(works):
    supplier = enter(works, "000000001", "青森橋梁")
    search.write([search.Entry(supplier.id, works.id, "弘前舗装", "")])
    assert numbers(works, "橋梁") == []
    assert numbers(works, "弘前") == ["000000001"]


def test_fifty_to_a_page_and_no_exact_count_of_very_many(works):
    rows = [Supplier(section=works, supplier_number=f"{n:09}", name=f"青森建設{n}") for n in range(1, 1102)]
    Supplier.objects.bulk_create(rows)
    search.write(search.Entry(row.id, works.id, row.name, "") for row in rows)
    search.settle()
    for typed in ("青森", "", "0"):
        found = queries.search_register(section=works, typed=typed)
        assert (len(found.suppliers), found.total, found.more_than_counted, found.has_next) == (50, 200, True, True)
        every = [number for page in range(1, 21) for number in numbers(works, typed, page=page)]
        assert every == [f"{n:09}" for n in range(1, 1001)]
        last = queries.search_register(section=works, typed=typed, page=999)
        assert (last.page, len(last.suppliers), last.has_next) == (20, 50, False)
    assert numbers(works, "設1101") == ["000001101"]


@pytest.mark.parametrize(("count", "pages"), [(50, [50]), (51, [50, 1]), (200, [50] * 4), (201, [50] * 4 + [1])])
def test_the_last_page_is_the_last(works, count, pages):
    Supplier.objects.bulk_create(
        Supplier(section=works, supplier_number=f"{n:09}", name="青森") for n in range(1, count + 1)
    )
    operations.reindex(section=works)
    for typed in ("", "青森"):
        found = [queries.search_register(section=works, typed=typed, page=n + 1) for n in range(len(pages))]
        assert [len(one.suppliers) for one in found] == pages
        assert [one.has_next for one in found] == [True] * (len(pages) - 1) + [False]
        assert {(one.total, one.more_than_counted) for one in found} == {(min(count, 200), count > 200)}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES, min_size=1, max_size=6), word=NAMES)
def test_both_engines_find_exactly_the_names_that_have_every_word(works, names, word):
    """This file runs on SQLite and on PostgreSQL; the model in the test is what both must agree with."""
    rows = [Supplier(section=works, supplier_number="000000001", name=name) for name in names]
    Supplier.objects.filter(section=works).delete()
    for number, row in enumerate(rows):
        row.supplier_number = f"Z{number:08}"
        row.save()
    search.write(search.Entry(row.id, works.id, row.name, "") for row in rows)
    words = word.split()
    wanted = [text.fold_for_search(part) for part in words if text.fold_for_search(part)]
    expected = [row.id for row in rows if wanted and all(part in text.fold_for_search(row.name) for part in wanted)]
    ours = {row.id for row in rows}
    assert [i for i in search.ids(section_id=works.id, words=words, limit=1000) if i in ours] == expected
    search.remove([row.id for row in rows])
    assert search.ids(section_id=works.id, words=words, limit=1000) == []


def test_a_whole_register_is_indexed_anew(works):
    Supplier.objects.create(section=works, supplier_number="000000001", name="青森橋梁")
    ended = enter(works, "000000002", "弘前橋梁")
    Supplier.objects.filter(id=ended.id).update(status="ended")
    operations.reindex(section=works)
    assert numbers(works, "橋梁") == ["000000001"]


def test_whoever_does_not_own_the_index_settles_nothing_and_stumbles_over_nothing(works):
    enter(works, "000000001", "青森橋梁")
    stranger = connection.vendor == "postgresql"
    with connection.cursor() as cursor:
        if stranger:
            cursor.execute("CREATE ROLE search_stranger")
            cursor.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO search_stranger")
            cursor.execute("SET ROLE search_stranger")
        search.settle()
        if stranger:
            cursor.execute("RESET ROLE")
    assert numbers(works, "橋梁") == ["000000001"]


def test_who_is_ended_stands_apart_in_the_index(works):
    enter(works, "000000001", "青森橋梁")
    gone = enter(works, "000000002", "弘前橋梁", status="ended")
    search.write([search.Entry(gone.id, works.id, gone.name, "", ended=True)])
    assert numbers(works, "橋梁") == ["000000001"]
    assert search.ids(section_id=works.id, words=["橋梁"], limit=10, ended=True) == [gone.id]
    # Back again: the same row, under everybody's terms.
    search.write([search.Entry(gone.id, works.id, gone.name, "")])
    assert search.ids(section_id=works.id, words=["橋梁"], limit=10, ended=True) == []
    assert len(search.ids(section_id=works.id, words=["橋梁"], limit=10)) == 2
