"""Text as people type it (manual 1.2, domain 11.4)."""

import itertools

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from irefuda_core import text

lines = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(lines)
def test_folding_leaves_every_kanji_and_is_idempotent(typed):
    once = text.to_half_width(typed)
    assert text.to_half_width(once) == once
    kanji = [c for c in typed if "\u4e00" <= c <= "\u9fff" or "\uf900" <= c <= "\ufaff"]
    assert [c for c in once if c in kanji] == kanji
    assert [c for c in text.to_full_width(typed) if c in kanji] == kanji


@given(lines)
def test_cleaning_never_raises_anything_but_a_refusal(typed):
    for clean in (text.clean_supplier_number, text.clean_postal_code, text.clean_phone, text.clean_email, lambda t: text.clean_text(t, max_length=40)):  # fmt: skip
        cleaned = _or_none(clean, typed)
        assert cleaned is None or clean(cleaned) == cleaned


def _or_none(clean, typed):
    try:
        return clean(typed)
    except text.InvalidText:
        return None


@pytest.mark.parametrize("hyphen", "-‐‑‒–—―−ーｰ－")
def test_every_hyphen_is_one(hyphen):
    assert text.clean_postal_code(f"０３０{hyphen}０８０１") == "030-0801"
    assert text.clean_phone(f"０３{hyphen}1234{hyphen}５６７８") == "03-1234-5678"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("1234567", "R-101"),
        ("12345678", "R-101"),
        ("1234567890", "R-101"),
        ("12345678-", "R-101"),
        ("業者番号九文字です", "R-101"),
    ],
)
def test_a_supplier_number_has_nine_letters_and_digits(typed, code):
    with pytest.raises(text.InvalidText) as invalid:
        text.clean_supplier_number(typed)
    assert invalid.value.refusal.code == code


def test_a_supplier_number_is_converted_not_refused():
    assert text.clean_supplier_number(" ９９００００００１ ") == "990000001"
    assert text.clean_supplier_number("ab0000001") == "AB0000001"


@pytest.mark.parametrize("typed", ["(株)テスト商会01", "（株）テスト商会０１", "㈱テスト商会01", "株式会社テスト商会01", "株式会社　テスト商会　01", "株式会社ﾃｽﾄ商会01"])  # fmt: skip
def test_one_company_however_it_is_written(typed):
    assert text.accepts(text.match_names(typed, "（株）テスト商会01"))


LEGAL_FORMS = [
    ["株式会社", "(株)", "（株）", "㈱", "カ)", "ｶ)", "カブシキガイシャ"],
    ["有限会社", "(有)", "（有）", "㈲", "ユ)"],
    ["合同会社", "(同)", "（同）"],
    ["合資会社", "(資)", "㈾"],
    ["合名会社", "(名)", "㈴"],
    ["一般社団法人", "(一社)", "（一社）"],
    ["公益社団法人", "(公社)"],
    ["一般財団法人", "(一財)"],
    ["公益財団法人", "(公財)"],
    ["協同組合", "(協)", "㈿"],
    ["企業組合", "(企)", "㈽"],
    ["社会福祉法人", "(福)"],
    ["特定非営利活動法人", "(特非)"],
    ["医療法人", "(医)"],
]


@pytest.mark.parametrize("spellings", LEGAL_FORMS, ids=lambda spellings: spellings[0])
def test_every_spelling_of_a_kind_of_company_is_one(spellings):
    for one, other in itertools.product(spellings, repeat=2):
        for space in ("", " ", "　"):
            assert text.match_names(f"{one}髙﨑建設", f"{other}{space}高崎建設") is text.MatchLevel.SAME_KEY
            assert text.match_names(f"髙﨑建設{one}", f"高崎建設{space}{other}") is text.MatchLevel.SAME_KEY
        assert text.match_names(f"{one}高崎建設", f"高崎建設{other}") is text.MatchLevel.TYPE_POSITION


@pytest.mark.parametrize(("one", "other"), list(itertools.combinations([spellings[0] for spellings in LEGAL_FORMS], 2)))
def test_another_kind_of_company_is_another_company(one, other):
    assert not text.accepts(text.match_names(f"{one}高崎建設", f"{other}高崎建設"))
    assert not text.accepts(text.match_names(f"{one}高崎建設", "高崎建設"))


@pytest.mark.parametrize("pair", ["高髙", "崎﨑", "吉𠮷", "徳德", "浜濵", "浜濱", "辺邊", "辺邉", "斎齋", "斎齊", "斎斉", "沢澤", "広廣", "島嶋", "富冨", "桑桒", "ケヶ", "カヵ", "ツッ"])  # fmt: skip
def test_a_variant_is_the_same_in_comparing_and_searching_and_itself_in_storing(pair):
    one, other = pair
    assert text.match_names(f"{one}木工業", f"{other}木工業") is text.MatchLevel.SAME_KEY
    assert text.search_terms(f"{one}木工業") == text.search_terms(f"{other}木工業")
    assert text.clean_text(f"{other}木工業", max_length=40) == f"{other}木工業"


@given(st.text("青森建設商会工業水道電気設備", min_size=2, max_size=20), st.sampled_from("青森鉄道運輸"), st.data())
def test_one_character_more_less_or_other_is_another_company(name, character, data):
    at = data.draw(st.integers(0, len(name) - 1))
    for other in (
        name[:at] + character + name[at:],
        name[:at] + name[at + 1 :],
        name[:at] + character + name[at + 1 :],
    ):
        level = text.match_names(f"株式会社{name}", f"(株){other}")
        assert level is (text.MatchLevel.SAME_KEY if other == name else text.MatchLevel.NEAR)
        assert text.accepts(level) == (other == name)


@given(st.text("青森建設商会", min_size=1, max_size=8), st.text("鉄道運輸水産", min_size=2, max_size=8))
def test_two_characters_other_are_not_even_near(name, other):
    assert text.match_names(name, other) is text.MatchLevel.DIFFERENT
    assert text.match_names(name, name + other) is text.MatchLevel.DIFFERENT
    assert text.match_names(name + other, other + name) is text.MatchLevel.DIFFERENT


def test_variant_characters_are_one_and_one_wrong_character_is_another_company():
    assert text.match_names("㈱髙﨑建設", "株式会社高崎建設") is text.MatchLevel.SAME_KEY
    assert text.match_names("高崎建設㈱", "株式会社高崎建設") is text.MatchLevel.TYPE_POSITION
    assert text.match_names("高﨑建没", "高崎建設") is text.MatchLevel.NEAR
    assert not text.accepts(text.MatchLevel.NEAR)
    assert text.match_names("有限会社高崎建設", "株式会社高崎建設") is not text.MatchLevel.SAME_KEY


@given(lines, lines)
def test_matching_is_symmetric_and_reflexive(one, other):
    assert text.match_names(one, other) is text.match_names(other, one)
    assert text.match_names(one, one) is text.MatchLevel.EXACT


@given(
    lines,
    st.sampled_from(["株式会社", "(株)", "（株）", "㈱", "有限会社", "㈲", "(特非)"]),
    st.sampled_from(["", " ", "　"]),
)
def test_the_key_survives_widths_spaces_and_the_place_of_the_kind_of_company(name, form, space):
    body = text.name_key(name)
    # A body that itself begins or ends with a kind of company has two, and which one counts is nobody's question.
    assume(not text.name_key(f"{name}商会").legal_form and not text.name_key(f"商会{name}").legal_form)
    assume(body.body and "\u3099" not in name and "\u309a" not in name)
    before, after = text.name_key(f"{form}{space}{name}"), text.name_key(f"{name}{space}{form}")
    assert (before.body, before.position) == (body.body, "before")
    assert (after.body, after.legal_form, after.position) == (body.body, before.legal_form, "after")
    assert text.accepts(text.match_names(f"{form}{space}{name}", f"{name}{form}"))


@pytest.mark.parametrize(("one", "other"), [("・", "．"), ("", "・"), ("-", "")])
def test_names_of_nothing_but_signs_agree_with_none(one, other):
    assert not text.accepts(text.match_names(one, other))


@pytest.mark.parametrize(("typed", "stored"), [("ｶﾞｷﾞｸﾞ工業", "ガギグ工業"), ("ﾃｽﾄ･ﾎｰﾙ", "テスト・ホール"), ("あﾞ", "あ゛"), ("神\ufa19隆\uf9dc", "神\ufa19隆\uf9dc"), ("㈱①", "㈱①")])  # fmt: skip
def test_what_is_stored_is_what_was_written_but_for_half_width_kana(typed, stored):
    assert text.clean_text(typed, max_length=40) == stored


@pytest.mark.parametrize(
    ("typed", "stored"),
    [("０３－１２３４－５６７８", "03-1234-5678"), ("017(734)1111", "017-734-1111"), ("０１７-(734)-1111", "017-734-1111"), ("0177341111", "0177341111"), ("090 1234 5678", "090-1234-5678")],
)  # fmt: skip
def test_a_phone_number_is_stored_in_half_width(typed, stored):
    assert text.clean_phone(typed) == stored


@pytest.mark.parametrize("typed", ["", "123", "1234567890", "03-1234-567", "03-1234-56789a", "03--1234-5678", "+81-3-1234-5678"])  # fmt: skip
def test_what_is_no_phone_number_is_refused(typed):
    with pytest.raises(text.InvalidText) as invalid:
        text.clean_phone(typed)
    assert invalid.value.refusal.code == "P-804"


@pytest.mark.parametrize("bad", ["改行\nあり", "タブ\tあり", "\u202e逆", "\x00", "見え\u200bない", "外字\ue000"])
def test_control_characters_are_refused(bad):
    with pytest.raises(text.InvalidText) as invalid:
        text.clean_text(bad + "末", max_length=40)
    assert invalid.value.refusal.code == "P-801"


def test_length_is_counted_in_characters_as_people_see_them():
    assert text.clean_text("葛\U000e0100" * 20, max_length=20)
    with pytest.raises(text.InvalidText) as invalid:
        text.clean_text("あ" * 41, max_length=40)
    assert "40文字以内" in invalid.value.refusal.remedy


def test_marks_without_end_do_not_hide_how_long_a_text_is():
    assert text.count_characters("か\u3099\U000e0100き\u3099") == 2
    assert text.clean_text("か\u3099\U000e0100" * 20, max_length=20)
    with pytest.raises(text.InvalidText) as invalid:
        text.clean_text("葛" + "\U000e0100" * 30, max_length=20)
    assert invalid.value.refusal.code == "P-802"


@pytest.mark.parametrize("bad", ["\ufe0f", "\U000e0100\U000e0101", "\u3099"])
def test_marks_alone_are_no_name(bad):
    with pytest.raises(text.InvalidText) as invalid:
        text.clean_text(bad, max_length=20)
    assert invalid.value.refusal.code == "P-801"


@pytest.mark.parametrize("bad", ["a@b", "a b@example.jp", "a@example.jp\nBcc: x@example.jp", "@example.jp", "a@-x.jp", "a@@x.jp", "あ@example.jp"])  # fmt: skip
def test_an_address_that_no_server_takes_is_refused(bad):
    with pytest.raises(text.InvalidText):
        text.clean_email(bad)


@pytest.mark.parametrize("typed", ["😀商会", "'; DROP TABLE suppliers; --", "<script>alert(1)</script>", "𠮷野家"])
def test_what_is_only_unusual_is_kept_as_it_is(typed):
    assert text.clean_text(typed, max_length=40) == typed
    assert text.count_characters(typed) == len(typed)


def test_an_emoji_joined_from_several_holds_invisible_characters_and_is_refused():
    with pytest.raises(text.InvalidText) as invalid:
        text.clean_text("👩\u200d💻商会", max_length=40)
    assert invalid.value.refusal.code == "P-801"


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("a" * 65 + "@example.jp", "P-805"),
        ("a" * 89 + "@example.co.jp", "P-806"),
        ("keiyaku@example.jp\r\nBcc: x@example.jp", "P-805"),
        ("a@" + "x" * 64 + ".jp", "P-805"),
        ("", "P-805"),
    ],
)
def test_each_bad_address_has_its_own_reason(typed, code):
    with pytest.raises(text.InvalidText) as invalid:
        text.clean_email(typed)
    assert invalid.value.refusal.code == code


def test_the_longest_address_is_taken_and_full_width_is_converted():
    longest = "a" * 64 + "@" + "b" * 32 + ".jp"
    assert len(longest) == 100
    assert text.clean_email(longest) == longest
    assert text.clean_email("　ｋｅｉｙａｋｕ＠ｅｘａｍｐｌｅ．ｃｏ．ｊｐ ") == "keiyaku@example.co.jp"


@given(lines)
def test_a_name_is_as_long_as_it_looks(name):
    plain = "".join(c for c in name if text.count_characters(c))
    assert text.count_characters("".join(f"{c}\U000e0100" for c in plain)) == len(plain)


@given(lines)
def test_full_width_is_idempotent_and_half_width_undoes_it(typed):
    wide = text.to_full_width(typed)
    assert text.to_full_width(wide) == wide
    assert text.to_half_width(text.to_full_width(text.to_half_width(wide))) == text.to_half_width(wide)


@given(lines.filter(lambda s: len(text.fold_for_search(s)) >= 2), st.data())
def test_any_part_of_two_characters_or_more_is_found(name, data):
    key = text.fold_for_search(name)
    start = data.draw(st.integers(0, len(key) - 2))
    part = key[start : data.draw(st.integers(start + 2, len(key)))]
    assert set(text.query_terms(part)) <= set(text.search_terms(name))


@given(lines.filter(text.fold_for_search))
def test_one_character_is_the_beginning_of_a_term(name):
    key = text.fold_for_search(name)
    for character in key:
        (term,) = text.query_terms(character)
        assert any(found.startswith(term) for found in text.search_terms(name))


def test_the_reading_is_found_in_hiragana_and_in_half_width():
    assert text.fold_for_search("あおもりけんせつ") == text.fold_for_search("ｱｵﾓﾘｹﾝｾﾂ") == "アオモリケンセツ"
    assert text.query_terms("　") == []
