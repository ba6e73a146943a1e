"""The manual's chapter 1.4, line by line: what its 操作説明 and 項目説明 name stands on the page that they speak of.

The two messages, the PIN and 「電子証明書更新確認」 are the card agent's own; its tests walk those.
"""

from __future__ import annotations

import pytest
from steps import registered_card
from succession import newer, renew_on_pages

from irefuda_core.documents import card_renewal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("static_files")]
BLOCK = [
    "企業名称",
    "企業住所",
    "ICカード企業名称",
    "ICカード企業住所",
    "ICカード取得者氏名",
    "ICカード取得者住所",
    "証明書シリアル番号",
    "証明書発行者",
    "証明書有効期限",
]


def text_of(page):
    return " ".join(page.html.select_one("main").get_text(" ").split())


@pytest.fixture
def old(app, city):
    return registered_card(app, city)


def values_under(page, heading):
    box = page.html.find("h2", string=heading).find_parent("section")
    return {row.dt.get_text(): row.dd.get_text(" ", strip=True) for row in box.select("dl.values > div")}


def test_the_menu_and_what_renewal_is_for(app, city):
    menu = app.get("/9992/goods/registration/menu/")
    assert "ICカード更新" in [button.get_text() for button in menu.html.select("main a.button")]
    page = menu.click("^ICカード更新$")
    assert page.html.h1.get_text() == "ICカード更新"
    # ※有効期限間近のICカードの利用者登録情報を新しいICカードへ継続するための作業です。
    assert "有効期限間近のICカードの利用者登録情報を、新しいICカードへ継続するための作業です。" in text_of(page)
    for step in ("現在使用しているICカード", "新しいICカード", "電子証明書更新確認"):
        assert step in [name.get_text() for name in page.html.select("ol strong")]
    # ※現在使用中の IC カードと新しい IC カードの PIN 番号が同じ場合は、この画面は表示されません。
    assert "PIN番号が現在のカードと同じときは、入力は1回で済みます" in text_of(page)
    # ※IC カードの更新を行うと、旧カードでは電子入札システムへログインできなくなります。
    assert "ICカードの更新を行うと、旧カードでは電子入札システムへログインできなくなります。" in text_of(page)
    back = page.html.find("a", string="戻る")
    assert back["href"] == "/9992/goods/registration/menu/"


def test_both_blocks_of_the_confirmation_have_the_manuals_nine_lines():
    for section in ("現在使用しているICカード", "新規に使用するICカード"):
        labels = [field.label for field in card_renewal.fields if field.section == section]
        assert labels[: len(BLOCK)] == BLOCK


def test_the_result(app, city, old):
    new = newer(city)
    done = renew_on_pages(app, old, new).follow()
    # これで IC カードの更新が終了しました。閉じるボタン①をクリックして処理を終了させてください。
    assert "これでICカードの更新が終了しました。「閉じる」を押して処理を終了させてください。" in text_of(done)
    for card, section in ((old, "現在使用しているICカード"), (new, "新規に使用するICカード")):
        values = values_under(done, section)
        assert list(values)[: len(BLOCK)] == BLOCK
        assert values["企業名称"] == "（株）テスト商会01"
        assert values["ICカード企業名称"] == "株式会社テスト商会01"
        assert values["証明書シリアル番号"] == str(card.certificate.serial_number)
        assert values["証明書発行者"] == "OU=testca,O=test,ST=Kanagawa,C=JP"
        assert values["証明書有効期限"][4::3] == "//"
    assert "旧カードでは電子入札システムへログインできません" in text_of(done)
    assert done.click("^閉じる$").html.h1.get_text() == "利用者登録メニュー"
