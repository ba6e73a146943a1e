"""How every form is rendered: one field template, help before the input, errors linked to it."""

from typing import Any

from django import forms
from django.forms.renderers import TemplatesSetting
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import format_html

# Django's templates of a plain `<input>`; rendering one takes longer than checking what was typed into it.
INPUTS = frozenset(f"django/forms/widgets/{kind}.html" for kind in ("text", "password", "email", "number", "hidden"))


class LabelledField(forms.BoundField):
    """A field as the templates show it."""

    def build_widget_attrs(self, attrs: dict[str, Any], widget: forms.Widget | None = None) -> dict[str, Any]:
        """Return the attributes of the input; the browser corrects and completes nothing by itself."""
        built = super().build_widget_attrs(attrs, widget)
        built.setdefault("spellcheck", "false")
        return built


class Renderer(TemplatesSetting):
    """The project's FORM_RENDERER."""

    field_template_name = "ui/field.html"
    bound_field_class = LabelledField

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        """Return the HTML of a template; a plain input is written here, as its template would."""
        if template_name in INPUTS:
            return _input(context["widget"])
        return super().render(template_name, context, request)


def _input(widget: dict[str, Any]) -> str:
    attributes = {"type": widget["type"], "name": widget["name"], "value": widget["value"], **widget["attrs"]}
    return format_html("<input{}>", flatatt(attributes))
