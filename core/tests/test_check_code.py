"""The result code of 利用環境の確認: read as it was said over the telephone, and never read wrongly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core.check_code import ALPHABET, ITEMS, BadCheckCode, CheckResult, read_check_code

# Written by check-code.js in Chromium: everything good; and an agent that does not answer on a clock 10 minutes ahead.
GOOD = "5ANA-0000-004K-HG04-106T"
NO_AGENT = "5B04-5G00-002K-CG00-1A7J"


def test_a_good_result_is_read():
    assert read_check_code(GOOD) == CheckResult(
        states=dict.fromkeys(ITEMS, "よい"), codes={}, browser="Chrome 156", system="Linux", agent_version="0.1.0",
        minutes_off=0,
    )  # fmt: skip


def test_what_failed_is_read_with_its_number():
    read = read_check_code(NO_AGENT)
    assert list(read.lines()) == [
        "ブラウザ：よい", "Cookie：よい", "ポップアップ：よい", "補助アプリ：問題あり（C-222）", "カードリーダー：まだ",
        "ICカード：まだ", "証明書：まだ", "時計：問題あり", "使っているもの：Edge 155、Windows、補助アプリ 不明",
        "時計のずれ：10分進んでいる",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "typed",
    [GOOD.lower(), GOOD.replace("-", ""), GOOD.replace("-", " "), " 5ANA-0000-004K-HG04-106T\n", GOOD.replace("0", "O"), GOOD.replace("1", "l"),
     "".join(chr(ord(letter) + 0xFEE0) for letter in GOOD)],
)  # fmt: skip
def test_it_is_read_however_it_was_typed(typed):
    assert read_check_code(typed) == read_check_code(GOOD)


@given(st.data())
def test_a_wrong_letter_and_two_that_changed_places_are_found(data):
    letters = list(GOOD.replace("-", ""))
    place = data.draw(st.integers(0, len(letters) - 1))
    wrong = data.draw(st.sampled_from(ALPHABET))
    changed = [*letters[:place], wrong, *letters[place + 1 :]]
    if place:
        swapped = [*letters]
        swapped[place - 1], swapped[place] = swapped[place], swapped[place - 1]
        changed = data.draw(st.sampled_from([changed, swapped]))
    if changed == letters:
        assert read_check_code("".join(changed)) == read_check_code(GOOD)
    else:
        with pytest.raises(BadCheckCode, match="もう一度聞き取って"):
            read_check_code("".join(changed))


@given(st.text())
def test_anything_else_is_no_code(typed):
    with pytest.raises(BadCheckCode):
        read_check_code(typed)


def code_of(number: int) -> str:
    """Return these 90 bits as a code with a right sum."""
    values = [number >> 5 * place & 31 for place in reversed(range(18))]
    total = 0
    for value in values:
        total = (total * 37 + value) % 1021
    return "".join(ALPHABET[value] for value in (*values, total >> 5, total & 31))


@given(st.integers(0, 2**87 - 1))
def test_every_content_of_this_format_can_be_read(content):
    lines = list(read_check_code(code_of(1 << 87 | content)).lines())
    assert len(lines) == len(ITEMS) + 2


def test_a_clock_far_away_and_one_never_asked_are_said():
    assert [*read_check_code(code_of(1 << 87 | 1)).lines()][-1] == "時計のずれ：31分以上遅れている"
    assert [*read_check_code(code_of(1 << 87)).lines()][-1] == "時計のずれ：不明"
    assert [*read_check_code(code_of(1 << 87 | 32)).lines()][-1] == "時計のずれ：1分未満"


def test_a_format_of_later_days_is_said():
    with pytest.raises(BadCheckCode, match="新しい形式"):
        read_check_code(code_of(2 << 87))
