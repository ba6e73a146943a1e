"""How every form is rendered: one field template, help before the input, errors linked to it."""

from typing import Any

from django import forms
from django.forms.renderers import TemplatesSetting


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
