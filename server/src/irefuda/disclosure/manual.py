"""利用手順 with pictures: read from `manual.toml` once. The browser tests hold it against the real screens and take the pictures."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse

FILE = Path(__file__).with_name("manual.toml")
MARKS = "①②③④⑤⑥⑦⑧⑨"
# What a mark points at is named right before it: 「登録」①.
MARKED = re.compile(rf"「([^「」]+)」([{MARKS}])")


def label(path: str) -> str:
    """Return the words on the screen of what a path leads to: 登録 of `group 代表窓口情報 > button 登録`."""
    return path.rpartition(" > ")[2].partition(" ")[2]


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture of a screen: its file among the static files, and what it holds (nothing: all of the screen)."""

    file: str
    around: tuple[str, ...]
    alt: str


@dataclass(frozen=True, slots=True)
class Step:
    """One screen with what is done there. `points` are what ①② point at; every path leads to something on the screen."""

    anchor: str
    title: str
    screen: str
    about: str
    operation: tuple[str, ...]
    notes: tuple[str, ...]
    points: tuple[str, ...]
    # (path, what it is for)
    items: tuple[tuple[str, str], ...]
    pictures: tuple[Picture, ...]
    # Names of the pages that this step explains.
    pages: tuple[str, ...]

    @property
    def item_rows(self) -> list[tuple[str, str]]:
        """Return 項目説明: the words on the screen, what they are for."""
        return [(label(path), text) for path, text in self.items]


@dataclass(frozen=True, slots=True)
class Section:
    """One numbered section, or the pictures of one of the chapters 1 to 4, which have their words in a template."""

    number: str
    title: str
    about: str
    page_number: str
    steps: tuple[Step, ...]

    @property
    def is_chapter(self) -> bool:
        """Return whether this belongs to one of the chapters before the registration."""
        return "." not in self.number

    @property
    def slug(self) -> str:
        """Return the number as it stands in addresses: 1-2."""
        return self.number.replace(".", "-")


@cache
def _read() -> tuple[str, tuple[Section, ...]]:
    told = tomllib.loads(FILE.read_text())
    return told["updated_on"], tuple(_section(section) for section in told["section"])


def _section(told: dict[str, Any]) -> Section:
    slug = told["number"].replace(".", "-")
    return Section(
        number=told["number"],
        title=told.get("title", ""),
        about=told.get("about", ""),
        page_number=told.get("page_number", ""),
        steps=tuple(_step(slug, step) for step in told["step"]),
    )


def _step(slug: str, told: dict[str, Any]) -> Step:
    points, around = tuple(told.get("points", ())), told.get("around", [[]])
    shown = "、".join(f"{mark}{label(point)}" for mark, point in zip(MARKS, points, strict=False))
    return Step(
        anchor=told["anchor"],
        title=told["title"],
        screen=told["screen"],
        about=told.get("about", ""),
        operation=tuple(told.get("operation", ())),
        notes=tuple(told.get("notes", ())),
        points=points,
        items=tuple((path, text) for path, text in told.get("items", ())),
        pictures=tuple(
            Picture(
                file=f"disclosure/manual/{slug}-{told['anchor']}{f'-{number}' if len(around) > 1 else ''}.webp",
                around=tuple(paths),
                alt=f"「{told['title']}」の画面"
                + (f"（{len(around)}枚中{number}枚目）" if len(around) > 1 else "")
                + (f"。赤い印：{shown}" if shown and number == 1 else "。"),
            )
            for number, paths in enumerate(around, 1)
        ),
        pages=tuple(told.get("pages", ())),
    )


def updated_on() -> str:
    """Return the day on which the manual was last changed."""
    return _read()[0]


def sections() -> list[Section]:
    """Return the numbered sections of 利用者登録 in their order."""
    return [section for section in _read()[1] if not section.is_chapter]


def chapter_steps(number: int) -> tuple[Step, ...]:
    """Return the steps with pictures of one of the chapters before the registration."""
    return next((section.steps for section in _read()[1] if section.number == str(number)), ())


def everything() -> tuple[Section, ...]:
    """Return every section and chapter that has steps."""
    return _read()[1]


def explained(request: HttpRequest) -> dict[str, str]:
    """Return `explained`, the address of the step that explains the page, for the frame of every page."""
    match = request.resolver_match
    page = match.url_name if settings.SITE == "supplier" and match else None
    return {"explained": _explained(page) if page else ""}


@cache
def _explained(page: str) -> str:
    steps = ((section, step) for section in everything() for step in section.steps)
    return next((address(section, step) for section, step in steps if page in step.pages), "")


def address(section: Section, step: Step) -> str:
    """Return where a step stands."""
    if section.is_chapter:
        page = reverse("portal-chapter", args=[int(section.number)])
    else:
        page = reverse("portal-manual-section", args=[section.slug])
    return f"{page}#{step.anchor}"
