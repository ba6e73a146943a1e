"""A plain input that is written without its template is the input that Django's template would have written."""

from html.parser import HTMLParser

import pytest
from django import forms
from django.forms.renderers import TemplatesSetting
from django.utils.translation import gettext_lazy

from irefuda.ui.forms import INPUTS, Renderer

WIDGETS = [
    forms.TextInput(attrs={"required": True, "aria-describedby": "a b", "disabled": False}),
    forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    forms.EmailInput(attrs={"id": "<script>"}),
    forms.NumberInput(attrs={"min": 0}),
    forms.HiddenInput(),
]
VALUES = [
    None,
    "",
    "㈱髙﨑",
    "\"><script>alert('1')</script>&amp;",
    gettext_lazy("Enter <number>"),
    7,
]


def read(html):
    found = []
    parser = HTMLParser(convert_charrefs=True)
    parser.handle_starttag = lambda tag, attributes: found.append((tag, sorted(attributes, key=str)))
    parser.handle_data = lambda text: found.append(text)
    parser.feed(html)
    return found


@pytest.mark.parametrize("widget", WIDGETS, ids=lambda widget: widget.input_type)
@pytest.mark.parametrize("value", VALUES)
def test_the_same_tag_with_the_same_attributes(widget, value):
    assert widget.template_name in INPUTS
    ours = widget.render("field", value, renderer=Renderer())
    django = widget.render("field", value, renderer=TemplatesSetting())
    assert [tag for tag, _ in read(ours)] == ["input"]
    assert read(ours) == read(django)
