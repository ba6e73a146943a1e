"""What the manual's field tables say of the forms of 登録 and 変更, and how a test looks for it on a page."""

from __future__ import annotations

from typing import Any, NamedTuple


class Field(NamedTuple):
    """One line of a form in the manual: its label, the name of its input, its rule as the page words it."""

    label: str
    name: str
    rule: str


CONTACT_FIELDS = [
    Field("連絡先名称(部署名等)", "department", "60文字以内"),
    Field("連絡先郵便番号", "postal_code", "例：123-4567"),
    Field("連絡先住所", "address", "60文字以内"),
    Field("連絡先氏名", "person", "20文字以内"),
    Field("連絡先電話番号", "phone", "例：03-0000-0000"),
    Field("連絡先FAX番号", "fax", "例：03-0000-0000"),
    Field("連絡先メールアドレス", "email", "半角100文字以内"),
    Field("メールアドレス再入力", "email_again", "上と同じアドレス"),
]
COMPANY = {
    "企業名称": "（株）テスト商会01",
    "企業郵便番号": "123-4567",
    "企業住所": "○○○市××町△丁目1-1-1",
    "代表者氏名": "テスト 1太郎",
    "代表者役職": "代表取締役社長",
    "代表電話番号": "03-0920-9991",
    "代表FAX番号": "03-0920-9991",
    "支店名等": "支店",
}
KINDS = ["物品の製造", "物品の販売", "役務等の提供", "物品の購入"]
OF_THE_CARD = {
    "ICカード企業名称": "株式会社テスト商会01",
    "ICカード企業住所": "青森県 青森市中央1-22-5",
    "ICカード取得者氏名": "テスト 1太郎",
    "ICカード取得者住所": "証明書に記載なし",
}
MAIL_SENTENCE = (
    "連絡先メールアドレスには、発注者が発行する通知書のお知らせが届きます。受信できるアドレスを入力してください。"
)


def text_of(page: Any) -> str:
    return " ".join(page.html.get_text(" ").split())


def values_under(page: Any, heading: str) -> dict[str, str]:
    """Return what stands under a heading, by label."""
    title = page.html.find("h2", string=heading)
    box = title.find_parent(["section", "fieldset"])
    return {row.dt.get_text(): row.dd.get_text(" ", strip=True) for row in box.select("dl.values > div")}


def has_field(page: Any, field: Field, prefix: str = "") -> None:
    """Look at one line of a form: label, mark of a required field, rule, and that the browser cuts nothing off."""
    name = f"{prefix}-{field.name}" if prefix else field.name
    box = page.html.select_one(f"[name={name}]")
    label = page.html.select_one(f"label[for={box['id']}]").get_text(" ", strip=True)
    assert label.replace(" ※必須", "") == field.label
    assert "※必須" in label
    assert field.rule in page.html.select_one(f"#{box['id']}_helptext").get_text()
    assert "maxlength" not in box.attrs
    assert "readonly" not in box.attrs


def buttons(page: Any) -> dict[str, str]:
    """Return the buttons and links of the page's main part with where they lead."""
    main = page.html.select_one("main")
    links = {link.get_text(strip=True): link["href"] for link in main.select("a")}
    return links | {button.get_text(strip=True): "" for button in main.select("button")}
