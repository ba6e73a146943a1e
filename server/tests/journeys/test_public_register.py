"""登録業者名簿 on the public's site."""

import pytest

from irefuda.agencies.models import Agency, Section
from irefuda.suppliers import search
from irefuda.suppliers.models import Supplier

pytestmark = [pytest.mark.usefixtures("static_files"), pytest.mark.urls("irefuda.config.urls_public")]


@pytest.fixture
def works(db):
    agency = Agency.objects.create(code="9991", name="練習市", system_email="nyusatsu@example.jp")
    return Section.objects.create(agency=agency, category="0")


@pytest.fixture
def site(settings, client):
    settings.ALLOWED_HOSTS = ["testserver"]
    return client


def test_from_the_front_page_of_the_register_to_one_company(site, works):
    supplier = Supplier.objects.create(
        section=works,
        supplier_number="990000001",
        name="（株）テスト商会01",
        name_kana="テストショウカイ",
        trades=[{"name": "土木一式", "grade": "A"}],
    )
    search.write([search.Entry(supplier.id, works.id, supplier.name, supplier.name_kana)])
    assert "/register/9991/works/" in site.get("/register/").content.decode()
    page = site.get("/register/9991/works/", {"q": "しょうかい"}).content.decode()
    assert "（株）テスト商会01" in page
    assert "1件" in page
    company = site.get("/register/9991/works/990000001/").content.decode()
    assert "土木一式" in company
    assert "990000001" in company


def test_nothing_found_says_so_and_what_to_do(site, works):
    page = site.get("/register/9991/works/", {"q": "<script>"}).content.decode()
    assert "この名簿にありません" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    "query",
    [{"q": "\x00"}, {"page": "-1"}, {"page": "９"}, {"page": "x" * 5000}, {"q": "' OR 1=1 --"}, {"q": "あ" * 5000}],
)
def test_no_query_breaks_the_page(site, works, query):
    assert site.get("/register/9991/works/", query).status_code == 200


@pytest.mark.parametrize("path", ["9999/works/", "9991/goods/", "9991/other/", "9991/works/000000000/"])
def test_what_is_not_there_is_not_found(site, works, path):
    assert site.get(f"/register/{path}").status_code == 404


def test_who_dropped_out_of_the_register_is_not_shown(site, works):
    Supplier.objects.create(section=works, supplier_number="990000001", name="テスト", status="ended")
    assert site.get("/register/9991/works/990000001/").status_code == 404
