"""A document and 資格の種類 as the pages show them: every value in its place, as text, whatever it holds."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from django.template.loader import render_to_string

from irefuda.suppliers.models import Supplier
from irefuda_core import documents

KIND = documents.registration_application
NASTY = "<b>&amp;{0}{change_url} \"' 髙"


def read(html):
    """Return the tags, and the texts that are more than a line break."""
    tags, texts = [], []
    parser = HTMLParser(convert_charrefs=True)
    parser.handle_starttag = lambda tag, attributes: tags.append((tag, dict(attributes)))
    parser.handle_data = lambda text: texts.append(text.strip()) if text.strip() else None
    parser.feed(html)
    parser.close()
    return tags, texts


def shown(*, change_url="", headings=(), **values):
    filled = {field.key: f"{field.key} {NASTY}" for field in KIND.fields}
    document = documents.Document(KIND, {"document_id": "x", "origin": "https://example.jp", **filled, **values})
    context = {"document": document, "change_url": change_url, "headings": headings}
    tags, texts = read(render_to_string("registration/document.html", context))
    return document, tags, texts


def test_every_row_stands_under_its_heading_with_its_value_as_text():
    document, tags, texts = shown()
    rows = [text for heading, pairs in document.sections for text in (heading, *(t for pair in pairs for t in pair))]
    assert texts == rows
    assert {name for name, _ in tags} == {"section", "h2", "dl", "div", "dt", "dd"}


URL = "/9992/goods/registration/contacts/?a=1&b={fax}"
BOTH = ("代表窓口情報", "ICカード利用部署情報")


@pytest.mark.parametrize(
    ("url", "headings", "anchors"),
    [("", (), []), (URL, (), []), (URL, BOTH, ["representative", "card-office"]), (URL, BOTH[1:], ["card-office"])],
)
def test_the_contacts_lead_to_where_they_are_changed_only_while_they_can_be(url, headings, anchors):
    _, tags, _ = shown(change_url=url, headings=headings)
    links = [attributes["href"] for name, attributes in tags if name == "a"]
    assert links == [f"{url}#{anchor}" for anchor in anchors]


def test_an_empty_value_is_a_dash_and_absent_qualifications_are_no_row():
    _, _, texts = shown(rep_fax="", qualifications="")
    assert texts.count("―") == 1
    assert "資格の種類" not in texts
    assert "資格の種類" in shown()[2]


def test_the_marks_say_which_grade_of_each_kind_the_supplier_holds():
    supplier = Supplier(qualifications={"物品の製造": "A", "役務等の提供": "D", "物品の購入": ""})
    tags, texts = read(render_to_string("registration/qualifications.html", {"supplier": supplier}))
    assert [name for name, _ in tags].count("li") == 4
    held, kind = {}, ""
    for place, text in enumerate(texts):
        if text in ("物品の製造", "物品の販売", "役務等の提供", "物品の購入"):
            kind = text
        if text == "☑":
            assert texts[place + 2] == "（該当）"
            held.setdefault(kind, []).append(texts[place + 1])
    assert held == {"物品の製造": ["A"], "物品の販売": ["無し"], "役務等の提供": ["D"], "物品の購入": ["無し"]}
    assert texts.count("☐") == texts.count("（該当しない）") == 16
