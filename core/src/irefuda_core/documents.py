"""The document types that a card may sign: their fields, in the order and under the names in which people see them."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from irefuda_core import text
from irefuda_core.canonical import NotCanonical, parse_canonical
from irefuda_core.refusal import Refusal, refusal

ENVELOPE = ("type", "realm", "origin", "document_id", "issued_at")
REALMS = {"practice": "練習", "production": "本番"}
MAX_LENGTH = 100_000
_DOCUMENT_ID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_ISSUED_AT = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\+09:00"
# Names of the register and of certificates may hold 外字 or unassigned characters; these here would break the line, or
# (the bidirectional controls) let what is signed read differently from what is stored.
_BREAKING = frozenset({"Cc", "Cs", "Zl", "Zp"})
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class UnknownDocument(ValueError):
    """Not a document of a known type for this realm and origin; it is never signed and never accepted."""

    @property
    def refusal(self) -> Refusal:
        return refusal("K-440")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its key, its Japanese name, the heading it stands under, whether it may be empty, and its form."""

    key: str
    label: str
    section: str
    required: bool = True
    max_length: int = 400
    form: str = ""

    def takes(self, value: str) -> bool:
        """Return whether this is a value that the field can have."""
        if not value:
            return not self.required
        if text.count_characters(value) > self.max_length or not _one_line(value):
            return False
        return not self.form or re.fullmatch(self.form, value) is not None


@dataclass(frozen=True, slots=True)
class DocumentType:
    """A kind of document that the agent knows how to show and to sign."""

    name: str
    title: str
    fields: tuple[Field, ...]

    def typ(self, realm: str) -> str:
        """Return the `typ` of the signed header, which binds type, version and realm."""
        return f"irefuda.{realm}.{self.name}.v1"


@dataclass(frozen=True, slots=True)
class Document:
    """A document, read: what to show, section by section."""

    type: DocumentType
    values: dict[str, str]

    @property
    def sections(self) -> list[tuple[str, list[tuple[str, str]]]]:
        """Return the headings with their rows of (Japanese name, value), in order."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for field in self.type.fields:
            sections.setdefault(field.section, []).append((field.label, self.values[field.key]))
        return list(sections.items())

    @property
    def envelope(self) -> list[tuple[str, str]]:
        """Return the rows that every document has: what makes it this document, for this site and realm."""
        issued = datetime.fromisoformat(self.values["issued_at"])
        return [
            ("文書の種類", self.type.title),
            ("文書番号", self.values["document_id"]),
            ("文書の日時", f"{issued.year}年{issued.month}月{issued.day}日 {issued:%H時%M分%S秒}"),
            ("提出先のサイト", self.values["origin"]),
            ("運用の区分", REALMS.get(self.values["realm"], self.values["realm"])),
        ]


def _one_line(value: str) -> bool:
    # Nothing printable breaks or reorders; what is not (such as the wide space) is looked at sign by sign, which is slow.
    return value.isprintable() or not any(
        unicodedata.category(character) in _BREAKING or character in _REORDERING for character in value
    )


def _contact(prefix: str, section: str) -> tuple[Field, ...]:
    return (
        Field(f"{prefix}_department", "連絡先名称(部署名等)", section, max_length=60),
        Field(f"{prefix}_postal_code", "連絡先郵便番号", section, max_length=8),
        Field(f"{prefix}_address", "連絡先住所", section, max_length=60),
        Field(f"{prefix}_person", "連絡先氏名", section, max_length=20),
        Field(f"{prefix}_phone", "連絡先電話番号", section, max_length=20),
        Field(f"{prefix}_fax", "連絡先FAX番号", section, required=False, max_length=20),
        Field(f"{prefix}_email", "連絡先メールアドレス", section, max_length=100),
    )


_ADDRESSEE = (
    Field("agency_code", "調達機関コード", "申請先", form=r"[0-9]{4}"),
    Field("agency_name", "調達機関", "申請先"),
    Field("category", "調達区分", "申請先"),
)
_COMPANY = (
    Field("supplier_number", "業者番号", "企業情報", form=r"[0-9A-Z]{9}"),
    Field("company_name", "企業名称", "企業情報"),
    Field("company_postal_code", "企業郵便番号", "企業情報", required=False),
    Field("company_address", "企業住所", "企業情報", required=False),
    Field("representative_name", "代表者氏名", "企業情報", required=False),
    Field("representative_title", "代表者役職", "企業情報", required=False),
    Field("representative_phone", "代表電話番号", "企業情報", required=False),
    Field("representative_fax", "代表FAX番号", "企業情報", required=False),
    Field("qualifications", "資格の種類", "企業情報", required=False),
    Field("branch_name", "支店名等", "企業情報", required=False),
)
_OFFICE = "ICカード利用部署情報"
_CARD = (
    Field("card_company_name", "ICカード企業名称", _OFFICE),
    Field("card_company_address", "ICカード企業住所", _OFFICE),
    Field("card_holder_name", "ICカード取得者氏名", _OFFICE),
    Field("card_holder_address", "ICカード取得者住所", _OFFICE),
)
_PERSON = Field("person_in_charge", "担当者", "申請者", required=False, max_length=20)
_COMPANY_ID = r"[0-9]{15}"
_DIGEST = r"[0-9a-f]{64}"


def _certificate(section: str, prefix: str = "") -> tuple[Field, ...]:
    """Return the four fields that say which certificate is meant."""
    return (
        Field(f"{prefix}certificate_serial", "証明書シリアル番号", section, form=r"[0-9]+"),
        Field(f"{prefix}certificate_issuer", "証明書発行者", section, max_length=1000),
        Field(f"{prefix}certificate_expires_on", "証明書有効期限", section, form=r"[0-9]{4}/[0-9]{2}/[0-9]{2}"),
        Field(f"{prefix}certificate_fingerprint", "証明書の指紋（SHA-256）", section, form=_DIGEST),
    )


registration_application = DocumentType(
    name="registration-application",
    title="利用者登録申請書",
    fields=(
        *_ADDRESSEE,
        *_COMPANY,
        *_contact("rep", "代表窓口情報"),
        *_CARD,
        *_contact("card_office", _OFFICE),
        *_certificate("ICカード情報"),
        _PERSON,
    ),
)
registration_change = DocumentType(
    name="registration-change",
    title="利用者変更届",
    fields=(
        *_ADDRESSEE,
        # Every item that becomes another one, as 「項目：前 → 後」 and joined by 「／」: who signs sees both.
        Field("changes", "変更する内容", "変更の内容", max_length=6_000),
        # What the form was filled from, so that nothing is overwritten unseen: the company's and the card's count of changes.
        Field("based_on", "変更前の版", "変更の内容", form=r"[0-9]+-[0-9]+"),
        Field("company_id", "企業ID", "企業情報", form=_COMPANY_ID),
        *_COMPANY,
        *_contact("rep", "代表窓口情報"),
        *_CARD,
        *_contact("card_office", _OFFICE),
        *_certificate("ICカード情報"),
        _PERSON,
    ),
)
_OLD_CARD, _NEW_CARD = "現在使用しているICカード", "新規に使用するICカード"


def _renewed(section: str, prefix: str) -> tuple[Field, ...]:
    return (
        Field(f"{prefix}_company_name", "企業名称", section),
        Field(f"{prefix}_company_address", "企業住所", section, required=False),
        Field(f"{prefix}_card_company_name", "ICカード企業名称", section),
        Field(f"{prefix}_card_company_address", "ICカード企業住所", section),
        Field(f"{prefix}_card_holder_name", "ICカード取得者氏名", section),
        Field(f"{prefix}_card_holder_address", "ICカード取得者住所", section),
        *_certificate(section, f"{prefix}_"),
    )


# Made by the card agent, not by the site: at its turn the old card knows only itself and which renewal this is.
card_handover = DocumentType(
    name="card-handover",
    title="ICカード引継届",
    fields=(*_ADDRESSEE, *_certificate(_OLD_CARD), _PERSON),
)
card_renewal = DocumentType(
    name="card-renewal",
    title="電子証明書更新確認",
    fields=(
        *_ADDRESSEE,
        Field("company_id", "企業ID", "企業情報", form=_COMPANY_ID),
        Field("supplier_number", "業者番号", "企業情報", form=r"[0-9A-Z]{9}"),
        *_renewed(_OLD_CARD, "old"),
        *_renewed(_NEW_CARD, "new"),
        Field("handover_sha256", "ICカード引継届のハッシュ値（SHA-256）", "引継ぎ", form=_DIGEST),
        _PERSON,
    ),
)
TYPES = {kind.name: kind for kind in (registration_application, registration_change, card_handover, card_renewal)}


def read_document(payload: bytes, *, realm: str, origin: str) -> Document:
    """Return the document in `payload` if it is of a known type, complete, without extra fields, for this realm and origin.

    :raises UnknownDocument: otherwise
    """
    if len(payload) > MAX_LENGTH:
        raise UnknownDocument("too long")
    try:
        values = parse_canonical(payload)
    except NotCanonical:
        raise UnknownDocument("not canonical") from None
    if not all(isinstance(value, str) for value in values.values()):
        raise UnknownDocument("strings only")
    kind = TYPES.get(values.get("type", ""))
    if kind is None or values.get("realm") != realm or values.get("origin") != origin:
        raise UnknownDocument("type, realm or origin")
    if set(values) != {*ENVELOPE, *(field.key for field in kind.fields)}:
        raise UnknownDocument("fields missing or unknown")
    if not re.fullmatch(_DOCUMENT_ID, values["document_id"]) or not _is_moment(values["issued_at"]):
        raise UnknownDocument("document_id or issued_at")
    for field in kind.fields:
        if not field.takes(values[field.key]):
            raise UnknownDocument(field.key)
    return Document(kind, values)


def _is_moment(value: str) -> bool:
    try:
        return re.fullmatch(_ISSUED_AT, value) is not None and bool(datetime.fromisoformat(value))
    except ValueError:
        return False
