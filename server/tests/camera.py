"""Holds the screens beside the manual: every name it uses is looked for in the live page, and the pictures are taken here.

A path such as `group 代表窓口情報 > textbox 連絡先氏名` names elements by role and accessible name, as a screen reader says them.
"""

from __future__ import annotations

import difflib
import hashlib
import io
import re
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Locator, Page

from irefuda.disclosure import manual

TEXTS = Path(__file__).with_name("manual")
PICTURES = Path(manual.__file__).parent / "static"
REQUIRED = " ※必須"
RED, WHITE = (206, 0, 0), (255, 255, 255)
MARGIN, TALLEST = 16, 1320
MAKE = "画面とマニュアルが違います。manual.toml を直すか、make manual で写真を撮り直してください。"

TEXTS_OF_PAGE = """() => {
    document.activeElement?.blur();
    for (const time of document.querySelectorAll("time[data-clock]")) time.replaceWith(time.cloneNode(true));
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode.data);
    return texts;
}"""
HIDE = """(all) => {
    const shown = all.filter((one) => one.style.display !== "none");
    for (const one of shown) one.style.setProperty("display", "none", "important");
    return shown.length;
}"""
WRITE_TEXTS = """(texts) => {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (const [before, after] of texts) {
        if (walker.nextNode() && before !== after && walker.currentNode.data === before) walker.currentNode.data = after;
    }
}"""


class Box(NamedTuple):
    """A rectangle on the page, in its pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: Box) -> bool:
        return self.left <= other.left and self.top <= other.top and self.right >= other.right and self.bottom >= other.bottom  # fmt: skip


def named(scope: Page | Locator, path: str) -> Locator:
    """Return what a path leads to; the mark of a required field is not part of its name."""
    found: Any = scope
    for part in path.split(" > "):
        role, _, name = part.partition(" ")
        if role == "text":
            found = found.get_by_text(name, exact=True)
        else:
            found = found.get_by_role(role, name=re.compile(f"^{re.escape(name)}({REQUIRED})?$"))
    return found  # type: ignore[no-any-return]


@dataclass
class Steadier:
    """Gives what is different at every run (days, numbers of certificates, ids) the same words each time."""

    origin: str
    today: date
    seen: dict[str, str] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)

    def steady(self, text: str) -> str:
        """Return the text with everything that chance, the clock or this machine decides replaced.

        A screen that is looked at twice keeps what it was given: its days must not grow older.
        """
        if text not in self.made:
            text = self._steady(text)
            self.made.add(text)
        return text

    def _steady(self, text: str) -> str:
        text = text.replace(self.origin, "https://ebid.example.lg.jp")
        text = re.sub(r"(\d{4})(年|/|-)(\d{1,2})(月|/|-)(\d{1,2})(日|(?!\d))", self._day, text)
        text = re.sub(r"(?<!\d|年)\d{1,2}月\d{1,2}日 \d{1,2}時\d{2}分", "10月1日 10時15分", text)
        text = re.sub(r"(日 ?)\d{1,2}時\d{2}分(\d{2}秒)?", r"\g<1>10時15分", text)
        text = re.sub(r"(日 |T)\d{1,2}:\d{2}(:\d{2})?", r"\g<1>10:15", text)
        text = re.sub(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "0192d3a8-6f1e-4c77-9a2b-5d81c0f4e6b3", text)
        text = re.sub(r"\b[0-9a-f]{64}\b", lambda found: self._known(found[0]), text)
        text = re.sub(r"\b\d{25,60}\b", lambda found: str(int(self._known(found[0]), 16))[:48], text)
        text = re.sub(r"[A-Za-z0-9_\-+/=.]{150,}", "（受付の控えの文字）", text)
        text = re.sub(
            r"台帳の\d+番目に記録されています（台帳の件数 \d+）",
            "台帳の12番目に記録されています（台帳の件数 12）",
            text,
        )
        text = re.sub(r"(残り|あと)\d+日", r"\g<1>20日", text)
        text = re.sub(r"SoftHSM slot ID 0x[0-9a-f]+", "ICカードリーダー 1", text)
        text = re.sub(r"Chrome \d+", "Chrome 150", text)
        text = re.sub(r"^\d+枚$", "1枚", text)
        text = re.sub(r"\b[0-9A-Z]{4}(-[0-9A-Z]{4}){4,}\b", "5ANA-0000-004K-HG04-106T", text)
        return re.sub(r"(確認コード : )\d+", r"\g<1>428163", text)

    def _day(self, found: re.Match[str]) -> str:
        year, first, month, second, day, last = found.groups()
        on = date(int(year), int(month), int(day))
        # Today, the near end of the old card, the far end of the new one: what a reader must be able to tell apart.
        ahead = (on - self.today).days
        shown = date(2026, 10, 1) if ahead <= 1 else date(2026, 10, 21) if ahead < 100 else date(2029, 8, 27)
        padded = len(month) == 2 and len(day) == 2 and (second != "月" or found.string[found.end() :][:1].isdigit())
        if padded:
            return f"{shown.year}{first}{shown.month:02}{second}{shown.day:02}{last}"
        return f"{shown.year}{first}{shown.month}{second}{shown.day}{last}"

    def _known(self, chance: str) -> str:
        """Return the same long number for the same one of this run."""
        made = hashlib.sha256(f"example {len(self.seen)}".encode()).hexdigest()
        return self.seen.setdefault(chance, made)


@dataclass
class Camera:
    """Looks at one screen after another; with `writes` it keeps texts and pictures, else it compares."""

    steadier: Steadier
    writes: bool
    texts: Path = TEXTS
    pictures: Path = PICTURES
    problems: list[str] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def look(self, screen: str, page: Page, *, scope: str = "main", without: tuple[str, ...] = ()) -> None:
        """Hold one screen against every step that shows it; `without` are elements that no contractor would see."""
        if screen in self.seen:
            return
        self.seen.add(screen)
        for _ in range(10):
            said = self._hold_all(screen, page, scope, without)
            # The agent's list of cards is written anew when a reader has something to tell: then all of it once more.
            if not self._prepare(page, without):
                self.problems += said
                return
        raise AssertionError(f"{screen} does not come to rest")

    def _prepare(self, page: Page, without: tuple[str, ...]) -> bool:
        """Hide what is not to be seen, give the changing its fixed words, and return whether there was anything to do."""
        shown = 0
        for element in without:
            shown += page.locator(element).evaluate_all(HIDE)
        texts = page.evaluate(TEXTS_OF_PAGE)
        pairs = [[text, self.steadier.steady(text)] for text in texts]
        page.evaluate(WRITE_TEXTS, pairs)
        return shown > 0 or any(before != after for before, after in pairs)

    def _hold_all(self, screen: str, page: Page, scope: str, without: tuple[str, ...]) -> list[str]:
        self._prepare(page, without)
        said = self._compare(screen, self._text(page.locator(scope)))
        for section in manual.everything():
            for step in section.steps:
                if step.screen == screen:
                    said += self._hold(section, step, page, scope)
        return said

    def forget_others(self, screens: set[str]) -> None:
        """Remove the texts and pictures that no step has any more, when writing."""
        if not self.writes:
            return
        kept = {picture.file for section in manual.everything() for step in section.steps for picture in step.pictures}
        for file in self.texts.glob("*.txt"):
            if file.stem not in screens:
                file.unlink()
        for file in (self.pictures / "disclosure" / "manual").glob("*.webp"):
            if str(file.relative_to(self.pictures)) not in kept:
                file.unlink()

    def _text(self, scope: Locator) -> str:
        lines = scope.aria_snapshot().splitlines()
        kept = [line.replace(" [active]", "") for line in lines if not line.strip().startswith("- /url:")]
        # The dots that move while the card is at work.
        kept = [re.sub(r"(しばらくお待ち下さい。)[ ・●○]+$", r"\g<1>", line) for line in kept]
        return "\n".join(kept) + "\n"

    def _compare(self, screen: str, text: str) -> list[str]:
        file = self.texts / f"{screen}.txt"
        if self.writes:
            file.write_text(text)
            return []
        kept = file.read_text() if file.exists() else ""
        if kept == text:
            return []
        difference = difflib.unified_diff(kept.splitlines(), text.splitlines(), "manual", "screen", lineterm="", n=1)
        return [f"画面「{screen}」の内容が変わりました。\n" + "\n".join(difference)]

    def _hold(self, section: manual.Section, step: manual.Step, page: Page, scope: str) -> list[str]:
        where = f"{section.number} {step.title}"
        boxes: dict[str, Box] = {}
        said: list[str] = []
        wanted = [
            *step.points,
            *(path for path, _ in step.items),
            *(path for picture in step.pictures for path in picture.around),
        ]
        for path in dict.fromkeys(wanted):
            found = named(page.locator(scope), path)
            if found.count() != 1 or not found.is_visible():
                said.append(f"{where}：画面「{step.screen}」に {path} が{found.count()}個あります（1個のはずです）。")
                continue
            box = found.bounding_box()
            assert box is not None
            up = page.evaluate("scrollY")
            boxes[path] = Box(box["x"], box["y"] + up, box["x"] + box["width"], box["y"] + up + box["height"])
        if set(wanted) != set(boxes):
            return said
        clips = [self._clip(page, picture, boxes, scope) for picture in step.pictures]
        for number, clip in enumerate(clips, 1):
            if clip.bottom - clip.top > TALLEST:
                said.append(f"{where}：写真{number}が高すぎます（{clip.bottom - clip.top:.0f}）。")
        for point in step.points:
            if not any(clip.holds(boxes[point]) for clip in clips):
                said.append(f"{where}：{point} がどの写真にも入っていません。")
        if self.writes:
            for picture, clip in zip(step.pictures, clips, strict=True):
                marked = [(mark, boxes[point]) for mark, point in enumerate(step.points, 1) if clip.holds(boxes[point])]
                self._take(page, self.pictures / picture.file, clip, marked)
        return said

    def _clip(self, page: Page, picture: manual.Picture, boxes: dict[str, Box], scope: str) -> Box:
        """Return what the picture shows: the whole width, from its first element to its last."""
        wide, high = page.evaluate("[document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        held = [boxes[path] for path in picture.around] or [Box(*page.evaluate(BOX_OF, scope))]
        top, bottom = min(box.top for box in held), max(box.bottom for box in held)
        return Box(0, max(0, top - MARGIN), wide, min(high, bottom + MARGIN))

    def _take(self, page: Page, file: Path, clip: Box, marked: list[tuple[int, Box]]) -> None:
        taken = page.screenshot(
            full_page=True,
            animations="disabled",
            clip={"x": clip.left, "y": clip.top, "width": clip.right - clip.left, "height": clip.bottom - clip.top},
        )
        picture = Image.open(io.BytesIO(taken)).convert("RGB")
        places = {mark: _place(picture, box, clip) for mark, box in marked}
        draw, font = ImageDraw.Draw(picture), ImageFont.load_default(19)
        for mark, box in marked:
            left, top = box.left - clip.left - 5, box.top - clip.top - 5
            right, bottom = box.right - clip.left + 5, box.bottom - clip.top + 5
            draw.rounded_rectangle((left, top, right, bottom), 6, outline=RED, width=3)
            x, y = places[mark]
            draw.ellipse((x - 14, y - 14, x + 14, y + 14), fill=RED, outline=WHITE, width=2)
            draw.text((x, y), str(mark), fill=WHITE, font=font, anchor="mm")
        ImageDraw.Draw(picture).rectangle((0, 0, picture.width - 1, picture.height - 1), outline=(118, 118, 118))
        small = picture.quantize(48, dither=Image.Dither.NONE).convert("RGB")
        file.parent.mkdir(parents=True, exist_ok=True)
        small.save(file, "WEBP", lossless=True, quality=80, method=4)


def _place(picture: Image.Image, box: Box, clip: Box) -> tuple[float, float]:
    """Return where beside the box a mark covers nothing; on its corner where there is no such place."""
    left, top, right, bottom = box.left - clip.left, box.top - clip.top, box.right - clip.left, box.bottom - clip.top
    middle, out = (top + bottom) / 2, 26
    beside = [
        (right + out, middle),
        (left - out, middle),
        (right, top - out),
        (right, bottom + out),
        (right - out, middle),
    ]
    for x, y in beside:
        around = (int(x - 16), int(y - 16), int(x + 16), int(y + 16))
        inside = around[0] >= 0 and around[1] >= 0 and around[2] <= picture.width and around[3] <= picture.height
        if inside and len(picture.crop(around).getcolors(2048) or "many") == 1:
            return x, y
    return max(16, left), max(16, top)


BOX_OF = """(scope) => {
    const box = document.querySelector(scope), { left, right } = box.getBoundingClientRect();
    const shown = [...box.children].map((child) => child.getBoundingClientRect()).filter(({ height }) => height > 0);
    return [left, Math.min(...shown.map(({ top }) => top)) + scrollY, right, Math.max(...shown.map(({ bottom }) => bottom)) + scrollY];
}"""
