"""What a column of a register can be, and the words by which cities call it."""

from __future__ import annotations

import re
from enum import StrEnum

from irefuda_core import text


class Field(StrEnum):
    """What a column holds. The value is the word for it in reports and in mapping files."""

    SUPPLIER_NUMBER = "業者番号"
    CORPORATE_NUMBER = "法人番号"
    NAME = "商号又は名称"
    NAME_KANA = "商号の読み"
    REPRESENTATIVE = "代表者の役職と氏名"
    REPRESENTATIVE_TITLE = "代表者の役職"
    REPRESENTATIVE_NAME = "代表者の氏名"
    POSTAL_CODE = "郵便番号"
    ADDRESS = "所在地"
    PHONE = "電話番号"
    FAX = "FAX番号"
    BRANCH_NAME = "支店名等"
    DELEGATE_NAME = "委任先の名称"
    DELEGATE = "委任先の役職と氏名"
    DELEGATE_TITLE = "委任先の役職"
    DELEGATE_PERSON = "委任先の氏名"
    DELEGATE_POSTAL_CODE = "委任先の郵便番号"
    DELEGATE_ADDRESS = "委任先の所在地"
    DELEGATE_PHONE = "委任先の電話番号"
    DELEGATE_FAX = "委任先のFAX番号"
    AREA = "地域区分"
    VALID_FROM = "有効期間の初日"
    VALID_UNTIL = "有効期間の末日"
    VALID_PERIOD = "有効期間"
    STATUS = "状態"
    SUSPENDED_FROM = "指名停止の初日"
    SUSPENDED_UNTIL = "指名停止の末日"
    SUSPENDED_PERIOD = "指名停止の期間"
    TRADE = "業種・品目"
    TRADES = "業種・品目の一覧"
    GRADE = "等級"
    POINTS = "点数"
    MARK = "○か等級を付ける業種・品目"
    QUALIFICATION = "資格の種類"
    IGNORED = "使わない"


UNKNOWN = "？"
# Any number of columns can be these; every other field has one column.
REPEATABLE = frozenset({Field.MARK, Field.QUALIFICATION, Field.IGNORED})

_NAMES: dict[Field, str] = {
    Field.SUPPLIER_NUMBER: "業者番号 業者コード 業者CD 業者NO 業者№ 登録業者番号 登録業者コード 業者登録番号 登録番号 資格者番号 資格者コード 資格番号 "
    "有資格者番号 有資格業者番号 指名業者番号 相手方番号",
    Field.CORPORATE_NUMBER: "法人番号 法人番号(13桁)",
    Field.NAME: "商号又は名称 商号または名称 商号若しくは名称 商号名称 商号 名称 業者名 業者名称 登録業者名 会社名 企業名 企業名称 事業者名 事業者名称 "
    "有資格者名 商号又は名称(漢字) 法人名 法人名又は商号",
    Field.NAME_KANA: "商号又は名称フリガナ 商号又は名称(フリガナ) 商号名称フリガナ 商号名称カナ 商号フリガナ 商号(フリガナ) 商号カナ 商号(カナ) 業者名カナ 業者名フリガナ "
    "業者名(カナ) 会社名カナ 会社名フリガナ フリガナ カナ カナ名称 名称カナ 読み 読み仮名 よみがな ヨミ 商号の読み",
    Field.REPRESENTATIVE: "代表者職氏名 代表者職名氏名 代表者役職氏名 代表者職・氏名 代表者 代表者役職・氏名 代表者の役職と氏名",
    Field.REPRESENTATIVE_TITLE: "代表者役職 代表者役職名 代表者職名 代表者職 役職 役職名 職名 代表者肩書 代表者の役職",
    Field.REPRESENTATIVE_NAME: "代表者氏名 代表者名 代表者の氏名 氏名",
    Field.POSTAL_CODE: "郵便番号 〒 郵便番号(本社) 本社郵便番号 本店郵便番号 所在地郵便番号",
    Field.ADDRESS: "所在地 住所 本社所在地 本店所在地 本社住所 本店住所 主たる営業所の所在地 住所又は所在地 所在地(本社)",
    Field.PHONE: "電話番号 電話 TEL 電話番号(代表) 代表電話番号 代表電話 本社電話番号 本店電話番号 本社TEL",
    Field.FAX: "FAX番号 FAX ファックス番号 ファックス ファクス番号 ファクシミリ番号 代表FAX番号 本社FAX番号 本店FAX番号 本社FAX",
    Field.BRANCH_NAME: "支店名等 支店等 支店等名",
    Field.AREA: "地域区分 地域 市内外 市内外区分 市内・市外 市内市外 市内市外区分 所在地区分 所在区分 区域区分 市内県内県外 本店所在地区分",
    Field.VALID_FROM: "有効期間開始日 有効期間開始 有効期間始期 有効期間(自) 有効期間自 有効開始日 資格有効期間(自) 資格有効開始日 有効期間の初日 有効期間から",
    Field.VALID_UNTIL: "有効期間終了日 有効期間満了日 有効期間終了 有効期間終期 有効期間(至) 有効期間至 有効期限 有効期限日 資格有効期間(至) 資格有効期限 "
    "有効期間の末日 有効期間まで",
    Field.VALID_PERIOD: "有効期間 資格有効期間 登録有効期間 資格の有効期間",
    Field.STATUS: "状態 資格状態 登録状態 登録状況 資格の状態",
    Field.SUSPENDED_FROM: "指名停止開始日 指名停止期間(自) 指名停止自 指名停止の初日",
    Field.SUSPENDED_UNTIL: "指名停止終了日 指名停止期間(至) 指名停止至 指名停止満了日 指名停止の末日",
    Field.SUSPENDED_PERIOD: "指名停止期間 指名停止の期間",
    Field.TRADE: "業種 業種名 業種名称 登録業種 工種 工種名 種目 種目名 営業種目 営業種目名 品目 品目名 登録品目 希望業種名 部門 部門名 業種・品目",
    Field.TRADES: "登録業種一覧 業種一覧 取扱品目 営業品目一覧 業種・品目の一覧",
    Field.GRADE: "等級 格付 格付け ランク 格付等級 等級区分 級別",
    Field.POINTS: "点数 総合点数 総合点 総合評点 評点 総合評定値 総合評定値(P) P点 合計点",
    Field.QUALIFICATION: "物品の製造 物品の販売 物品の購入 物品の買受け 役務の提供 役務の提供等 役務等の提供",
    Field.IGNORED: "NO № 番 連番 項番 通番 通し番号 項 備考 摘要 メール メールアドレス EMAIL E-MAIL 電子メール 資本金 資本金(千円) 従業員数 職員数 営業年数 建設業許可番号 "
    "許可番号 許可区分 許可年月日 受付番号 受付年月日 新規継続 新規・継続 新規更新 業種コード 品目コード 種目コード 部門コード 登録年月日 登録日 認定日 認定年月日 更新年月日 "
    "URL ホームページ 使わない",
}  # fmt: skip
_DELEGATE_GROUPS = "受任者 受任地 受任先 委任先 委任先営業所 委任先営業所等 受任営業所 支店 支社 営業所 支店営業所 支店・営業所 支店等 支店営業所等 契約締結先 代理人"
_OF_A_DELEGATE = {
    Field.NAME: Field.DELEGATE_NAME,
    Field.BRANCH_NAME: Field.DELEGATE_NAME,
    Field.REPRESENTATIVE: Field.DELEGATE,
    Field.REPRESENTATIVE_TITLE: Field.DELEGATE_TITLE,
    Field.REPRESENTATIVE_NAME: Field.DELEGATE_PERSON,
    Field.POSTAL_CODE: Field.DELEGATE_POSTAL_CODE,
    Field.ADDRESS: Field.DELEGATE_ADDRESS,
    Field.PHONE: Field.DELEGATE_PHONE,
    Field.FAX: Field.DELEGATE_FAX,
}
_DELEGATE_PARTS = {
    Field.DELEGATE_NAME: "名 名称 の名称 営業所名 支店名 支店営業所名 商号又は名称",
    Field.DELEGATE: "職氏名 役職氏名 職・氏名 代表者 の役職と氏名",
    Field.DELEGATE_TITLE: "職 職名 役職 役職名 の役職",
    Field.DELEGATE_PERSON: "氏名 者名 の氏名",
    Field.DELEGATE_POSTAL_CODE: "郵便番号 〒 の郵便番号",
    Field.DELEGATE_ADDRESS: "所在地 住所 の所在地",
    Field.DELEGATE_PHONE: "電話番号 電話 TEL の電話番号",
    Field.DELEGATE_FAX: "FAX番号 FAX ファックス番号 のFAX番号",
}
_HEAD_OFFICE_GROUPS = (
    "本社 本店 主たる営業所 申請者 会社 業者 企業 登録者 基本情報 基本事項 会社情報 企業情報 業者情報 申請者情報 登録者情報 連絡先 所在地 住所 代表者 "
    "資格 登録 有資格者"
)
_TRADE_GROUPS = (
    "業種 希望業種 登録業種 許可業種 資格業種 工種 希望工種 登録工種 種目 品目 希望品目 登録品目 営業種目 営業品目 等級 格付 "
    "登録業種等級 業種別等級 業種区分"
)


# The 29 trades of the law on construction, and the consultants' usual ones; without 「工事」.
_TRADE_NAMES = """土木一式 土木 建築一式 建築 大工 左官 とび・土工・コンクリート とび・土工 石 屋根 電気 管 タイル・れんが・ブロック 鋼構造物 鉄筋 舗装
しゅんせつ 板金 ガラス 塗装 防水 内装仕上 内装仕上げ 機械器具設置 熱絶縁 電気通信 造園 さく井 建具 水道施設 消防施設 清掃施設 解体
測量 建築設計 土木設計 建築関係建設コンサルタント 土木関係建設コンサルタント 地質調査 補償コンサルタント 補償関係コンサルタント"""


def key(label: str) -> str:
    """Return a label as it is compared: widths, spaces, signs and kana are one. A sign alone stays itself."""
    return text.fold_for_search(label) or label.strip()


def _keys(words: str) -> set[str]:
    return {key(word) for word in words.split()}


_FIELD_OF = {word: field for field, words in _NAMES.items() for word in _keys(words)} | {
    key(f"{group}{part}"): field
    for group in _DELEGATE_GROUPS.split()
    for field, parts in _DELEGATE_PARTS.items()
    for part in parts.split()
}
_KNOWN_TRADES = _keys(_TRADE_NAMES)
_DELEGATES, _HEAD_OFFICES, _TRADES = _keys(_DELEGATE_GROUPS), _keys(_HEAD_OFFICE_GROUPS), _keys(_TRADE_GROUPS)
_IN_A_DELEGATE = {key(part): field for field, parts in _DELEGATE_PARTS.items() for part in parts.split()}


def propose(parts: tuple[str, ...]) -> Field | None:
    """Return what a column is by its label, whose parts stand one below the other, or None when no word says it."""
    known = _FIELD_OF.get(key("".join(parts)))
    if known or len(parts) < 2:
        return known
    group, last = key("".join(parts[:-1])), key(parts[-1])
    known = _FIELD_OF.get(last)
    if group in _DELEGATES:
        return _IN_A_DELEGATE.get(last) or _OF_A_DELEGATE.get(known or Field.IGNORED)
    # 「業種」 above 「電話」 is a trade called 電話, and 「担当者」 above 「氏名」 is not the representative.
    if group in _HEAD_OFFICES and known not in (Field.GRADE, Field.POINTS):
        return known
    return known if known in (Field.SUPPLIER_NUMBER, Field.IGNORED) and not _below_trades(parts) else None


def trade_of(parts: tuple[str, ...]) -> str:
    """Return the trade that a column of marks or grades is about by its label, or "" when the label names none."""
    known = _FIELD_OF.get(key(parts[-1]))
    if known is Field.GRADE and len(parts) > 1:
        return "" if key("".join(parts[:-1])) in _TRADES else parts[-2]
    if known in (Field.GRADE, Field.POINTS):
        return ""
    return parts[-1] if known is None or _below_trades(parts) else ""


def surely_a_trade(parts: tuple[str, ...]) -> bool:
    """Return whether the label names a trade: by standing below a heading such as 「希望業種」, or by the law's own name."""
    named = key(trade_of(parts))
    return bool(named) and (_below_trades(parts) or re.sub("(工事|業務|工事業)$", "", named) in _KNOWN_TRADES)


def _below_trades(parts: tuple[str, ...]) -> bool:
    return any(key("".join(parts[:end])) in _TRADES for end in range(1, len(parts)))
