"""Plain text of several lines: what is stored, what becomes a list, and what becomes a link."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core.prose import Block, Run, blocks, clean_prose
from irefuda_core.text import InvalidText

LINES = st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"])))


def links(prose: str, *own: str) -> list[tuple[str, bool]]:
    return [
        (run.href, run.outside) for block in blocks(prose, own=own) for line in block.lines for run in line if run.href
    ]


def words(prose: str) -> list[tuple[str, list[str]]]:
    return [(block.kind, ["".join(run.words for run in line) for line in block.lines]) for block in blocks(prose)]


def test_an_empty_line_ends_a_paragraph_and_a_single_line_end_does_not() -> None:
    assert words("一行目\n二行目\n\n\n次の段落") == [("paragraph", ["一行目", "二行目"]), ("paragraph", ["次の段落"])]


def test_lists_are_read_as_people_write_them() -> None:
    assert words("次のとおりです。\n・一つ\n・ 二つ\n\n- a\n* b\n") == [
        ("paragraph", ["次のとおりです。"]),
        ("bullets", ["一つ", "二つ"]),
        ("bullets", ["a", "b"]),
    ]
    assert words("1. 申し込む\n2) 受け取る\n３．登録する") == [("numbers", ["申し込む", "受け取る", "登録する"])]
    assert words("1.5倍になります\n-5度") == [("paragraph", ["1.5倍になります", "-5度"])]


def test_numbers_stay_the_writer_s_own() -> None:
    assert [(block.kind, block.start) for block in blocks("3. 三\n4. 四")] == [("numbers", 3)]
    assert words("1. 一\n3. 三") == [("paragraph", ["1. 一", "3. 三"])]


@pytest.mark.parametrize(
    ("sentence", "address"),
    [
        ("詳しくはhttps://city.example.jp/をご覧ください。", "https://city.example.jp/"),
        ("（https://city.example.jp/a?b=1&c=2#d）", "https://city.example.jp/a?b=1&c=2#d"),
        ("See http://city.example.jp.", "http://city.example.jp"),
        ("(https://city.example.jp/a_(b))", "https://city.example.jp/a_(b)"),
        ("「https://city.example.jp:8443/x-」", "https://city.example.jp:8443/x"),
    ],
)
def test_an_address_in_a_sentence_becomes_a_link_without_the_signs_around_it(sentence: str, address: str) -> None:
    assert links(sentence) == [(address, True)]


@pytest.mark.parametrize(
    "sentence",
    [
        *("javascript:alert(1)", "ftp://city.example.jp/", "https://", "https:/city.example.jp", "data:text/html,x"),
        *("https://city.example.jp@elsewhere.example/", "https://user:secret@elsewhere.example/"),
        '<a href="/x">x</a>',
    ],
)
def test_nothing_else_becomes_a_link(sentence: str) -> None:
    assert links(sentence) == []


def test_what_leaves_the_system_is_told_apart_by_the_whole_origin() -> None:
    own = "https://bid.example.jp"
    for address in (own, f"{own}/faq/"):
        assert links(address, own) == [(address, False)]
    for address in ("https://bid.example.jp.elsewhere.example/", "http://bid.example.jp/", f"{own}:444/"):
        assert links(address, own) == [(address, True)]


def test_what_is_stored_has_one_kind_of_line_end_and_nothing_around_it() -> None:
    assert clean_prose("\r\n ｶﾞｽ \r\n二\r三\n\n", max_length=10) == "ガス\n二\n三"
    assert clean_prose("字" * 10, max_length=10)


@pytest.mark.parametrize(
    ("typed", "code"), [("a\x00b", "P-801"), ("a\u202eb", "P-801"), ("\ue000", "P-801"), ("字" * 11, "P-802")]
)
def test_what_cannot_be_stored_is_refused(typed: str, code: str) -> None:
    with pytest.raises(InvalidText) as refused:
        clean_prose(typed, max_length=10)
    assert refused.value.refusal.code == code


@given(LINES)
def test_no_word_is_lost_and_every_link_is_http(lines: list[str]) -> None:
    prose = "\n".join(lines)
    shown = blocks(prose)
    assert all(
        run.href.startswith(("http://", "https://")) for b in shown for line in b.lines for run in line if run.href
    )
    assert all(run.href in ("", run.words) for block in shown for line in block.lines for run in line)
    kept = "".join(run.words for block in shown for line in block.lines for run in line)
    signs = set("・●○*-.)．）0123456789０１２３４５６７８９")
    assert [c for c in kept if not c.isspace() and c not in signs] == [
        c for c in prose if not c.isspace() and c not in signs
    ]


@given(st.text(max_size=60))
def test_cleaning_twice_changes_nothing_more(typed: str) -> None:
    try:
        once = clean_prose(typed, max_length=100)
    except InvalidText:
        return
    assert clean_prose(once, max_length=100) == once


def test_a_block_is_what_it_says() -> None:
    assert blocks("見る https://a.example/ 所") == [
        Block("paragraph", ((Run("見る "), Run("https://a.example/", "https://a.example/", True), Run(" 所")),))
    ]
