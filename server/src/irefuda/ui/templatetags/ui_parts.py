"""Small filters that the shared templates need."""

from datetime import date, datetime, time

from django import template

from irefuda.ui.clock import JST

register = template.Library()


@register.filter
def words(value: str | list[str]) -> list[str]:
    """Return the names in `value`: split at spaces when it is one text."""
    return value.split() if isinstance(value, str) else value


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
