"""How every form is rendered: every field in one frame, help before the input, errors linked to it."""

import functools
from typing import Any

from django import forms
from django.forms.renderers import TemplatesSetting
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join

# Django's templates of a plain `<input>`; rendering one takes longer than checking what was typed into it.
INPUTS = frozenset(f"django/forms/widgets/{kind}.html" for kind in ("text", "password", "email", "number", "hidden"))
REQUIRED = format_html(' <span class="required">{}</span>', "※必須")


# Typed: a text that is HTML already and the same text that is not are two.
@functools.lru_cache(maxsize=256, typed=True)
def _opening(
    *, group: bool, wrong: bool, described: str, to: str, label: str, required: bool, help_id: str, help_text: str
) -> str:
    """Return what stands before the errors and the input; kept, because only a field's code says what it is."""
    frame, name = ("fieldset", "legend") if group else ("div", "label")
    return format_html(
        '<{frame} class="field{mark}"{described}>\n<{name} class="field-label"{to}>{label}{required}</{name}>\n{help}',
        frame=frame,
        name=name,
        mark=" field-with-error" if wrong else "",
        described=format_html(' aria-describedby="{}"', described) if described else "",
        to=format_html(' for="{}"', to) if not group else "",
        label=label,
        required=REQUIRED if required else "",
        help=format_html('<p class="field-help" id="{}">{}</p>\n', help_id, help_text) if help_text else "",
    )


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
        if isinstance(self.field.widget, forms.CheckboxInput):
            return self._as_box()
        # Several inputs (choices) are a group under a legend; a single one has a label.
        group = self.use_fieldset
        opening = _opening(
            group=group,
            wrong=bool(self.errors),
            described=(self.aria_describedby or "") if group else "",
            to="" if group else self.id_for_label,
            label=self.label,
            required=self.field.required,
            help_id=f"{self.auto_id}_helptext",
            help_text=self.help_text,
        )
        errors = self._errors_shown()
        return format_html("{}{}{}\n</{}>", opening, errors, self.as_widget(), "fieldset" if group else "div")

    def _as_box(self) -> str:
        """Return a box with its name beside it, where everybody looks for what a box says."""
        return format_html(
            '<div class="field{}">\n{}<div class="choice">{}<label for="{}">{}{}</label></div>\n{}</div>',
            " field-with-error" if self.errors else "",
            self._errors_shown(),
            self.as_widget(),
            self.id_for_label,
            self.label,
            REQUIRED if self.field.required else "",
            format_html('<p class="field-help" id="{}_helptext">{}</p>\n', self.auto_id, self.help_text)
            if self.help_text
            else "",
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
    """Return the tag with its attributes, whose names come from our code; True stands for one without a value."""
    opening = _input_opening(**{"type": widget["type"], "name": widget["name"], **widget["attrs"]})
    if widget["value"] is None:
        return format_html("{}>", opening)
    return format_html('{} value="{}">', opening, widget["value"])


# Everything but the value: only a field's code says what it is.
@functools.lru_cache(maxsize=512, typed=True)
def _input_opening(**attributes: Any) -> str:
    given = {name: value for name, value in attributes.items() if value is not None and value is not False}
    # One call for all of them: Django's `flatatt` makes one for each.
    shown = "".join(f" {name}" if value is True else f' {name}="{{}}"' for name, value in given.items())
    return format_html(f"<input{shown}", *(value for value in given.values() if value is not True))
