"""The manual beside the real screens: whoever changes one of the two is told by this test what the other says.

`make manual` runs the same walk and writes the pictures and the texts of the screens (`MANUAL=write`).
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from camera import MAKE, Camera, Steadier
from manual_walk import Walk
from person import fetched
from playwright.sync_api import sync_playwright
from practice_city import PracticeCity, running
from served import CHROMIUM, Watched

from irefuda.disclosure import manual

pytestmark = pytest.mark.browser


@pytest.fixture
def city(tmp_path: Any) -> Iterator[PracticeCity]:
    with running(tmp_path / "city") as practice:
        yield practice


@pytest.fixture
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        arguments = [*CHROMIUM["args"], "--force-device-scale-factor=1", "--font-render-hinting=none"]
        chromium = playwright.chromium.launch(executable_path=CHROMIUM["executable_path"], args=arguments)
        yield chromium
        chromium.close()


def test_every_screen_is_as_the_manual_says(city: PracticeCity, browser: Any, tmp_path: Path) -> None:
    steadier = Steadier(city.origin, date.today())
    camera = Camera(steadier, writes=os.environ.get("MANUAL") == "write")
    context = browser.new_context(
        viewport={"width": 1024, "height": 800}, locale="ja-JP", timezone_id="Asia/Tokyo", reduced_motion="reduce"
    )
    Walk(context, city, camera).whole()
    wanted = {step.screen for section in manual.everything() for step in section.steps}
    camera.forget_others(wanted)
    assert camera.seen == wanted
    assert not camera.problems, "\n".join([MAKE, *camera.problems])
    look_at_pages(Watched(context.new_page()), city)
    look_at_pdf(Watched(context.new_page()), city, tmp_path)


def look_at_pages(watched: Watched, city: PracticeCity) -> None:
    """Judge every page of the manual, wide and narrow, with its pictures."""
    paths = ["manual/", "manual/all/", "4/", *(f"manual/{section.slug}/" for section in manual.sections())]
    for width in (1280, 320):
        watched.page.set_viewport_size({"width": width, "height": 800})
        for path in paths:
            watched.page.goto(f"{city.origin}/guide/{path}")
            assert watched.axe() == [], (path, width)
            assert not watched.scrolls_sideways(), (path, width)
            assert watched.wrong == [], (path, width)
            # Asked for at once, not only when they are scrolled to.
            missing = watched.page.evaluate(
                """async () => {
                    const pictures = [...document.querySelectorAll("main img")];
                    pictures.forEach((picture) => { picture.loading = "eager"; });
                    await Promise.allSettled(pictures.map((picture) => picture.decode()));
                    return pictures.filter((picture) => !picture.naturalWidth).map((picture) => picture.src);
                }"""
            )
            assert missing == [], (path, width)


def look_at_pdf(watched: Watched, city: PracticeCity, directory: Path) -> None:
    """Look for every step's words in the PDF, and in the print of the page that holds the whole."""
    page = watched.page
    page.goto(f"{city.origin}/guide/manual/all/")
    page.pdf(path=str(directory / "print.pdf"), prefer_css_page_size=True)
    (directory / "made.pdf").write_bytes(fetched(page, "../manual.pdf"))
    for name in ("print.pdf", "made.pdf"):
        words = words_of(directory / name)
        for section in manual.everything():
            for step in section.steps:
                told = [step.title, step.about, *step.operation, *step.notes, *(text for _, text in step.item_rows)]
                assert [text for text in told if "".join(text.split()) not in words] == [], (name, step.title)
    assert (directory / "made.pdf").stat().st_size < 5_000_000
    fonts = subprocess.run(["pdffonts", str(directory / "made.pdf")], capture_output=True, check=True, text=True)
    assert all(line.split()[-5] == "yes" for line in fonts.stdout.splitlines()[2:])


def words_of(pdf: Path) -> str:
    made = subprocess.run(["pdftotext", str(pdf), "-"], capture_output=True, check=True, text=True).stdout
    # A line may end at the foot of a page: what stands there every time is not part of the sentence.
    made = re.sub(r"^\d+ / \d+$", "", made.replace("\f", "\n"), flags=re.MULTILINE)
    return "".join(made.split())


PAGE = """<main><h1>利用者登録メニュー</h1><h2>登録</h2><button>{button}</button>
<label for="number">業者番号 <span>※必須</span></label><input id="number"></main>"""


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> manual.Step:
    """Return the only step of a manual that speaks of one button and one field."""
    picture = manual.Picture(file="x.webp", around=(), alt="")
    step = manual.Step(
        anchor="x", title="メニュー", screen="x", about="", operation=(), notes=(), pages=(), pictures=(picture,),
        points=("button 登録",), items=(("textbox 業者番号", "9文字"),),
    )  # fmt: skip
    section = manual.Section(number="9.9", title="", about="", page_number="", steps=(step,))
    monkeypatch.setattr(manual, "everything", lambda: (section,))
    return step


def problems(browser: Any, html: str, texts: Path, kept: str) -> list[str]:
    """Return what the camera says of a page, when the manual was made of another."""
    said = []
    for writes, content in ((True, kept), (False, html)):
        camera = Camera(Steadier("http://localhost", date.today()), writes=writes, texts=texts, pictures=texts)
        page = browser.new_page()
        page.set_content(content)
        camera.look("x", page)
        said.append(camera.problems)
        page.close()
    return said[1]


def test_a_screen_that_parts_from_the_manual_is_named(browser: Any, step: manual.Step, tmp_path: Path) -> None:
    same = PAGE.format(button="登録")
    assert problems(browser, same, tmp_path, same) == []
    renamed, changed = problems(browser, PAGE.format(button="登録する"), tmp_path, same)[::-1]
    assert 'button "登録する"' in changed
    assert "9.9 メニュー" in renamed
    assert "button 登録 が0個" in renamed
    twice = problems(browser, same.replace("<h2>", "<button>登録</button><h2>"), tmp_path, same)
    assert any("button 登録 が2個" in problem for problem in twice)
    (only,) = problems(browser, same.replace("<h2>登録", "<h2>ご登録"), tmp_path, same)
    assert '+  - heading "ご登録"' in only
