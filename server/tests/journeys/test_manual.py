"""The manual with pictures: its pages, its words held against the texts of the screens, its pictures, the ways to it."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.urls import get_resolver
from PIL import Image
from steps import way_in

from irefuda.disclosure import faq, manual
from irefuda.ui import pdf

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]

SCREENS = Path(__file__).parents[1] / "manual"
STATIC = Path(manual.__file__).parent / "static"
STEPS = [
    pytest.param(section, step, id=f"{section.number}-{step.anchor}")
    for section in manual.everything()
    for step in section.steps
]
# Words in 「」 that stand on no screen of the manual as it is: the other states of what is shown there.
SEEN_ELSEWHERE = {"問題あり", "既読", "×", "ログアウト", "本店"}


def texts_of(step: manual.Step) -> list[str]:
    return [step.about, *step.operation, *step.notes, *(text for _, text in step.items)]


@pytest.mark.parametrize(("section", "step"), STEPS)
def test_a_mark_stands_right_after_what_it_points_at(section: manual.Section, step: manual.Step) -> None:
    told = "".join(texts_of(step))
    marked = [(name, manual.MARKS.index(mark)) for name, mark in manual.MARKED.findall(told)]
    assert sorted(place for _, place in marked) == list(range(len(step.points)))
    assert [name for name, place in marked] == [manual.label(step.points[place]) for _, place in marked]
    assert len(re.findall(f"[{manual.MARKS}]", told)) == len(marked)


@pytest.mark.parametrize(("section", "step"), STEPS)
def test_what_is_quoted_stands_on_a_screen(section: manual.Section, step: manual.Step) -> None:
    shown = "".join("".join(file.read_text().split()) for file in sorted(SCREENS.iterdir()))
    titles = {f"{each.number} {each.title}" for each in manual.sections()}
    quoted = re.findall(r"「([^「」]+)」", "".join(texts_of(step)))
    missing = [
        words for words in quoted if "".join(words.split()) not in shown and words not in titles | SEEN_ELSEWHERE
    ]
    assert missing == []


def test_every_picture_is_there_and_all_of_them_are_small() -> None:
    wanted = {picture.file for section in manual.everything() for step in section.steps for picture in step.pictures}
    files = {str(file.relative_to(STATIC)): file for file in (STATIC / "disclosure" / "manual").iterdir()}
    assert set(files) == wanted
    assert {step.screen for section in manual.everything() for step in section.steps} == {
        file.stem for file in SCREENS.iterdir()
    }
    assert sum(file.stat().st_size for file in files.values()) < 3_000_000
    for name, file in files.items():
        with Image.open(file) as picture:
            assert picture.format == "WEBP", name
            assert picture.width <= 1040, name


def test_the_contents_lead_to_every_step(django_app: Any) -> None:
    contents = django_app.get("/guide/").click("操作マニュアルの目次")
    assert contents.request.path == "/guide/manual/"
    links = [link["href"] for link in contents.html.select(".chapters a")]
    assert links[:4] == [f"/guide/{number}/" for number in range(1, 5)]
    assert [link.text for link in contents.html.select(".chapters > li > a")] == [
        "1. パソコンの準備",
        "2. ICカードとリーダー",
        "3. ソフトウェア",
        "4. パソコンの環境設定",
        "1.1　利用者登録メニューを表示する",
        "1.2　利用者登録を行う場合",
        "1.3　利用者変更を行う場合",
        "1.4　ICカードの更新を行う場合",
        "1.5　電子入札システムにログインする",
        "1.6　マイページとお知らせを見る",
    ]
    for link in links:
        path, _, anchor = link.partition("#")
        page = django_app.get(path)
        assert not anchor or page.html.find(id=anchor), link


@pytest.mark.parametrize("section", manual.sections(), ids=lambda section: section.number)
def test_a_section_has_its_steps_in_order(django_app: Any, section: manual.Section) -> None:
    page = django_app.get(f"/guide/manual/{section.slug}/")
    assert page.html.h1.text == f"{section.number}　{section.title}"
    assert [h2.text for h2 in page.html.select(".manual-step h2")] == [step.title for step in section.steps]
    assert {h3.text for h3 in page.html.select("main h3")} <= {"操作説明", "項目説明"}
    assert f"ページ番号{section.page_number}" in page
    assert "大きな文字で印刷" in page
    pictures = [picture for step in section.steps for picture in step.pictures]
    assert [image["alt"] for image in page.html.select("main img")] == [picture.alt for picture in pictures]
    levels = [int(heading.name[1]) for heading in page.html.select("main h1, main h2, main h3")]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_one_section_leads_to_the_next_and_back(django_app: Any) -> None:
    page = django_app.get("/guide/manual/1-1/")
    assert not page.html.select("[rel=prev]")
    walked = [page.request.path]
    while page.html.select("[rel=next]"):
        page = page.click(linkid=None, href=page.html.select_one("[rel=next]")["href"])
        walked.append(page.request.path)
    assert walked == [f"/guide/manual/{section.slug}/" for section in manual.sections()]
    assert page.click("前：").request.path == walked[-2]
    django_app.get("/guide/manual/1-9/", status=404)
    django_app.get("/guide/manual/4/", status=404)


def test_the_fourth_chapter_shows_the_check_with_pictures(django_app: Any) -> None:
    page = django_app.get("/guide/4/")
    assert [h3.text for h3 in page.html.select(".manual-step > h3")] == [step.title for step in manual.chapter_steps(4)]


def test_the_whole_manual_holds_the_chapters_and_every_step_once(django_app: Any) -> None:
    page = django_app.get("/guide/manual/all/")
    assert [h2.text for h2 in page.html.select("main h2")] == [
        *(
            "目次",
            "1. パソコンの準備",
            "2. ICカードとリーダー",
            "3. ソフトウェア",
            "4. パソコンの環境設定",
            "第1章　利用者登録",
        )
    ]
    ids = [element["id"] for element in page.html.select("[id]")]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.html.select("main nav a")} <= set(ids)
    for section in manual.sections():
        for step in section.steps:
            assert page.html.find(id=f"{section.slug}-{step.anchor}").text == step.title
    levels = [int(heading.name[1]) for heading in page.html.select("main :is(h1, h2, h3, h4, h5)")]
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_every_page_that_a_step_explains_exists_and_is_explained_once() -> None:
    named = [page for section in manual.everything() for step in section.steps for page in step.pages]
    assert len(named) == len(set(named))
    known = set(get_resolver("irefuda.config.urls_supplier").reverse_dict)
    assert [name for name in named if name not in known] == []


def test_a_screen_leads_to_its_step(django_app: Any, city: Any) -> None:
    menu = django_app.get("/9992/goods/registration/menu/")
    assert menu.html.select_one(".explained a")["href"] == "/guide/manual/1-1/#menu"
    assert menu.click("この画面の説明").html.find(id="menu").text == "利用者登録メニューの表示"
    lookup = way_in(django_app, city.authority.card())
    assert lookup.html.select_one(".explained a")["href"] == "/guide/manual/1-2/#lookup"
    assert django_app.get("/environment/").html.select_one(".explained a")["href"] == "/guide/4/#environment"
    assert not django_app.get("/").html.select(".explained")


def test_a_reason_leads_to_the_step_where_it_was_given(django_app: Any, city: Any) -> None:
    refused = django_app.get("/9992/goods/registration/check/", status=403)
    assert refused.html.select_one(".explained a")["href"] == "/guide/manual/1-2/#check"


def test_the_questions_lead_to_steps_that_exist(django_app: Any) -> None:
    links = [address for group in faq.groups() for entry in group.entries for _, address in entry.links]
    steps = {address for address in links if address.startswith("/guide/manual/")}
    assert len(steps) > 5
    for address in steps:
        path, _, anchor = address.partition("#")
        assert django_app.get(path).html.find(id=anchor), address


def test_what_is_the_same_for_all_is_laid_out_once() -> None:
    html = '<html lang="ja"><head><title>{0}</title></head><body>{0}</body></html>'
    made = pdf.make_once(html.format("表紙"))
    assert made.startswith(b"%PDF")
    assert pdf.make_once(html.format("表紙")) is made
    assert pdf.make_once(html.format("裏表紙")) is not made
