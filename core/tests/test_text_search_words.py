"""Words of a search: the kind of company is written differently everywhere, so it is not searched for."""

import pytest

from irefuda_core.text import search_words


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("テスト商会02", ["テスト商会02"]),
        ("株式会社テスト商会02", ["テスト商会02"]),
        ("㈱テスト商会02", ["テスト商会02"]),
        ("テスト商会02（株）", ["テスト商会02"]),
        ("株式会社 テスト商会", ["テスト商会"]),
        ("(有) 浅虫　設備", ["浅虫", "設備"]),
        ("ｶﾌﾞｼｷｶﾞｲｼｬ ｱｻﾑｼ", ["ｱｻﾑｼ"]),
        ("株式会社", ["株式会社"]),
        ("株", ["株"]),
        ("  ", []),
    ],
)
def test_the_kind_of_company_is_not_searched_for(typed, words):
    assert search_words(typed) == words
