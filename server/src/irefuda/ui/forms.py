"""How every form is rendered: every field in one frame, help before the input, errors linked to it."""

from typing import Any

from django import forms
from django.forms.renderers import TemplatesSetting
from django.forms.utils import flatatt
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

# Django's templates of a plain `<input>`; rendering one takes longer than checking what was typed into it.
INPUTS = frozenset(f"django/forms/widgets/{kind}.html" for kind in ("text", "password", "email", "number", "hidden"))
REQUIRED = format_html(' <span class="required">{}</span>', "※必須")


class LabelledField(forms.BoundField):
    """A field as the templates show it."""

    def build_widget_attrs(self, attrs: dict[str, Any], widget: forms.Widget | None = None) -> dict[str, Any]:
        """Return the attributes of the input; the browser corrects and completes nothing by itself."""
        built = super().build_widget_attrs(attrs, widget)
        built.setdefault("spellcheck", "false")
        return built

    def as_field_group(self) -> str:  # type: ignore[override]
        """Return the field with its name, help and errors. No template: it took most of the time of a page with sixteen."""
        if self.is_hidden:
            return self.as_widget()
        # Several inputs (choices) are a group under a legend; a single one has a label.
        frame, name = ("fieldset", "legend") if self.use_fieldset else ("div", "label")
        described = self.aria_describedby if self.use_fieldset else None
        return format_html(
            '<{frame} class="field{mark}"{described}>\n<{name} class="field-label"{to}>{label}{required}</{name}>\n'
            "{help}{errors}{input}\n</{frame}>",
            frame=frame,
            name=name,
            mark=" field-with-error" if self.errors else "",
            described=format_html(' aria-describedby="{}"', described) if described else "",
            to="" if self.use_fieldset else format_html(' for="{}"', self.id_for_label),
            label=self.label,
            required=REQUIRED if self.field.required else "",
            help=format_html('<p class="field-help" id="{}_helptext">{}</p>\n', self.auto_id, self.help_text)
            if self.help_text
            else "",
            errors=self._errors_shown(),
            input=self.as_widget(),
        )

    def _errors_shown(self) -> str:
        if not self.errors:
            return ""
        sentences = format_html_join("", "<p>＊{}</p>", ((error,) for error in self.errors))
        return format_html('<div class="field-errors" id="{}_error">{}</div>\n', self.auto_id, sentences)


class Renderer(TemplatesSetting):
    """The project's FORM_RENDERER."""

    bound_field_class = LabelledField

    def render(self, template_name: str, context: dict[str, Any], request: HttpRequest | None = None) -> str:
        """Return the HTML of a template; a plain input is written here, as its template would."""
        if template_name in INPUTS:
            return _input(context["widget"])
        return super().render(template_name, context, request)


def _input(widget: dict[str, Any]) -> str:
    attributes = {"type": widget["type"], "name": widget["name"], "value": widget["value"], **widget["attrs"]}
    return format_html("<input{}>", flatatt(attributes))
