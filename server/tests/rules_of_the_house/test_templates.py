"""Rules for every template: nothing inline, one base, and no style sheet or script of others."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "irefuda"
TEMPLATES = sorted(SOURCE.glob("*/templates/**/*.html"))
STATIC = sorted(path for suffix in ("css", "js") for path in SOURCE.glob(f"*/static/**/*.{suffix}"))
BASE = SOURCE / "ui" / "templates" / "ui" / "base.html"
DJANGO = re.compile(r"{#.*?#}|{%\s*comment.*?endcomment\s*%}|{%.*?%}|{{.*?}}", re.DOTALL)
EXTENDS = re.compile(r'{%\s*extends "([^"]+)"\s*%}')


def name_of(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def template_named(name: str) -> Path:
    (found,) = (path for path in TEMPLATES if str(path).endswith(f"/templates/{name}"))
    return found


class Markup(HTMLParser):
    """Collects what a strict Content-Security-Policy would block."""

    def __init__(self) -> None:
        super().__init__()
        self.inline: list[str] = []
        self.places: list[str] = []
        self.inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.inside = tag
        self.inline += [f"{tag} {name}" for name in names if name.startswith("on") or name == "style"]
        self.inline += [f"{tag} {value}" for value in names.values() if (value or "").strip().startswith("javascript:")]
        if tag == "style" or (tag == "script" and "src" not in names):
            self.inline.append(tag)
        if "placeholder" in names:
            self.places.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, text: str) -> None:
        if self.inside == "script" and text.strip():
            self.inline.append("script text")


def markup_of(source: str) -> Markup:
    markup = Markup()
    markup.feed(DJANGO.sub("x", source))
    return markup


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_nothing_is_inline_and_no_field_has_a_placeholder(path: Path) -> None:
    markup = markup_of(path.read_text())
    assert markup.inline == []
    assert markup.places == []


@pytest.mark.parametrize(
    "source",
    [
        '<p style="color:red">',
        '<a href="javascript:x()">',
        "<button onclick='x()'>",
        "<script>x()</script>",
        "<style>p{}</style>",
        '<script src="{% static "a.js" %}">x()</script>',
    ],
)
def test_the_rule_sees_what_it_forbids(source: str) -> None:
    assert markup_of(source).inline


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_every_page_is_the_base_in_the_end(path: Path) -> None:
    while extends := EXTENDS.search(path.read_text()):
        path = template_named(extends.group(1))
    source = path.read_text()
    assert path == BASE or "<html" not in source, "a whole page that does not extend ui/base.html"


@pytest.mark.parametrize("path", [path for path in TEMPLATES if EXTENDS.search(path.read_text())], ids=name_of)
def test_every_page_has_a_title_of_its_own(path: Path) -> None:
    source = path.read_text()
    is_a_page = "{% block content %}" in source
    assert not is_a_page or "{% block title %}" in source


@pytest.mark.parametrize("path", [*TEMPLATES, *STATIC], ids=name_of)
def test_nothing_is_fetched_from_another_host(path: Path) -> None:
    fetched = re.findall(r"""(?:src|@import|url\()\s*=?\s*["'(]?\s*(https?:|//)""", path.read_text())
    assert fetched == []


@pytest.mark.parametrize("path", TEMPLATES, ids=name_of)
def test_what_opens_a_new_tab_says_so(path: Path) -> None:
    for tag, text in re.findall(r"(<a [^>]*target=\"_blank\"[^>]*>)(.*?)</a>", path.read_text(), re.DOTALL):
        assert "noopener" in tag
        assert "新しいタブ" in text or "新しい窓" in text or "新しいウィンドウ" in text
