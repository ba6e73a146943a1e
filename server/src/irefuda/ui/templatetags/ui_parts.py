"""Small filters that the shared templates need."""

import functools
from datetime import date, datetime, time

from django import template
from django.utils.html import format_html, format_html_join

from irefuda.ui.clock import JST

register = template.Library()
DONE = format_html('<span class="visually-hidden">{}</span>', "（済み）")


@register.filter
def steps_shown(names: str | list[str], step: int) -> str:
    """Return the steps of a way through several pages: those before `step` are done. A text is split at its spaces."""
    return _steps_shown(tuple(names.split() if isinstance(names, str) else names), step)


@functools.lru_cache(maxsize=64)
def _steps_shown(names: tuple[str, ...], step: int) -> str:
    lines = (
        (_place(number, step), number, name, DONE if number < step else "") for number, name in enumerate(names, 1)
    )
    return format_html(
        '<nav class="steps" aria-label="手順">\n<p class="steps-position">{}段階のうち{}段階目</p>\n<ol>\n{}</ol>\n</nav>',
        len(names),
        step,
        format_html_join(
            "",
            '<li{}><span class="step-number" aria-hidden="true">{}</span> <span>{}{}</span></li>\n',
            lines,
        ),
    )


def _place(number: int, step: int) -> str:
    if number == step:
        return format_html(' aria-current="{}"', "step")
    return format_html(' class="{}"', "done") if number < step else ""


@register.filter
def day(value: str) -> str:
    """Return 「2026年11月24日」 for "2026-11-24"."""
    on = date.fromisoformat(value)
    return f"{on.year}年{on.month}月{on.day}日"


@register.filter
def hour(value: time | datetime) -> str:
    """Return 「8時30分」, or 「20時」 at the full hour, in Japan's time."""
    local = value.astimezone(JST) if isinstance(value, datetime) else value
    return f"{local.hour}時{local.minute}分" if local.minute else f"{local.hour}時"


@register.filter
def clock_shown(value: datetime) -> str:
    """Return the server's time as it stands in the head of every page, in Japan's time."""
    local = value.astimezone(JST)
    # Not by the filter `date`, which takes longer than the rest of a page's head.
    shown = f"{local:%Y年%m月%d日%H時%M分}"
    return format_html('<time datetime="{}" data-clock>{}</time>', local.isoformat(), shown)
