"""The forms of 登録 and 変更: 資格審査情報検索, 企業情報, 代表窓口情報, ICカード利用部署情報, 確認コード (manual 1.2, 1.3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from django import forms

from irefuda_core import text
from irefuda_core.refusal import refusal

CONTACT_FIELDS = ("department", "postal_code", "address", "person", "phone", "fax", "email")


class CleanedField(forms.CharField):
    """A line of text that the rulebook cleans: widths are converted, not refused; errors say what to type."""

    def __init__(
        self, *, cleaner: Callable[[str], str], missing: str, autocomplete: str = "off", **kwargs: Any
    ) -> None:
        # No max_length here: the browser would cut silently what the rulebook answers with a sentence.
        kwargs.setdefault("error_messages", {})["required"] = missing
        super().__init__(**kwargs)
        # Django's own check for NUL would answer before the rulebook, which refuses every control character with its code.
        self.validators.clear()
        self.cleaner = cleaner
        # What is registered is right as it stands, also where a register has it in a way that nobody could type.
        self.unchanged = ""
        self.widget.attrs["autocomplete"] = autocomplete

    def clean(self, value: Any) -> str:
        """Return the stored form of what was typed.

        :raises ValidationError: with the sentence and the remedy of the rulebook
        """
        typed = super().clean(value)
        if not typed:
            return ""
        if typed == self.unchanged.strip():
            return self.unchanged
        try:
            return self.cleaner(typed)
        except text.InvalidText as invalid:
            reason = invalid.refusal
            raise forms.ValidationError(f"{reason.sentence}{reason.remedy}", code=reason.code) from None


def _line(max_length: int) -> Callable[[str], str]:
    return lambda typed: text.clean_text(typed, max_length=max_length)


def letters_and_digits(*, least: int, code: str) -> Callable[[str], str]:
    """Return what reads ユーザID or パスワード: `least` to 20 letters and digits, and `code` for anything else."""

    def clean(typed: str) -> str:
        value = text.to_half_width(typed).strip()
        if not re.fullmatch(f"[0-9A-Za-z]{{{least},20}}", value):
            raise text.InvalidText(refusal(code))
        return value

    return clean


class SupplierLookup(forms.Form):
    """資格審査情報検索."""

    supplier_number = CleanedField(
        label="業者番号",
        cleaner=text.clean_supplier_number,
        missing="業者番号を入力してください。",
        help_text="半角英数字9文字。先頭の0も入力します。",
    )
    name = CleanedField(
        label="商号又は名称",
        cleaner=_line(40),
        missing="商号又は名称を入力してください。",
        help_text="40文字以内。株式会社・(株)・㈱の違いや空白の有無は問いません。",
        autocomplete="organization",
    )
    login_id = CleanedField(
        label="ユーザID",
        cleaner=letters_and_digits(least=1, code="R-124"),
        missing="ユーザIDを入力してください。",
        help_text="半角英数字20文字以内。",
        autocomplete="username",
    )
    password = CleanedField(
        label="パスワード",
        cleaner=letters_and_digits(least=1, code="R-124"),
        missing="パスワードを入力してください。",
        help_text="半角英数字20文字以内。",
        widget=forms.PasswordInput(),
        autocomplete="current-password",
    )

    def __init__(self, *args: Any, needs_password: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if not needs_password:
            del self.fields["login_id"], self.fields["password"]


class ChangedCompany(forms.Form):
    """The items of 企業情報 that 変更 can change."""

    representative_phone = CleanedField(
        label="代表電話番号",
        cleaner=text.clean_phone,
        missing="代表電話番号を入力してください。",
        help_text="半角　例：03-0000-0000",
        autocomplete="tel",
    )
    representative_fax = CleanedField(
        label="代表FAX番号",
        cleaner=text.clean_phone,
        missing="代表FAX番号を入力してください。",
        help_text="半角　例：03-0000-0000",
    )
    branch_name = CleanedField(
        label="支店名等",
        cleaner=_line(30),
        missing="支店名等を入力してください。支店などがないときは「本店」と入力します。",
        help_text="30文字以内。支店などがないときは「本店」と入力します。",
    )

    def __init__(self, *args: Any, fax_required: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["representative_fax"].required = fax_required

    def company(self) -> dict[str, str]:
        """Return the three items as they are stored."""
        return {name: self.cleaned_data[name] for name in self.fields}


def keep_unchanged(form: forms.Form, registered: Mapping[str, str]) -> None:
    """Let every field take what is registered as it is."""
    for name, field in form.fields.items():
        assert isinstance(field, CleanedField)
        field.unchanged = registered[name.removesuffix("_again")]


def _six_digits(typed: str) -> str:
    value = re.sub(r"[\s-]", "", text.to_half_width(typed))
    if not re.fullmatch(r"[0-9]{6}", value):
        raise forms.ValidationError("確認コードは、メールに書かれた6桁の数字です。")
    return value


class AddressCode(forms.Form):
    """確認コード of a new mail address."""

    code = CleanedField(
        label="確認コード",
        cleaner=_six_digits,
        missing="確認コードを入力してください。",
        help_text="メールに書かれた6桁の数字",
        autocomplete="one-time-code",
        widget=forms.TextInput(attrs={"inputmode": "numeric"}),
    )


class Contact(forms.Form):
    """The seven contact fields; 「代表窓口情報」 and 「ICカード利用部署情報」 have the same."""

    department = CleanedField(
        label="連絡先名称(部署名等)",
        cleaner=_line(60),
        missing="連絡先名称（部署名等）を入力してください。",
        help_text="60文字以内。",
        autocomplete="organization-title",
    )
    postal_code = CleanedField(
        label="連絡先郵便番号",
        cleaner=text.clean_postal_code,
        missing="連絡先郵便番号を入力してください。",
        help_text="例：123-4567",
        autocomplete="postal-code",
    )
    address = CleanedField(
        label="連絡先住所",
        cleaner=_line(60),
        missing="連絡先住所を入力してください。",
        help_text="60文字以内。",
        autocomplete="street-address",
    )
    person = CleanedField(
        label="連絡先氏名",
        cleaner=_line(20),
        missing="連絡先氏名を入力してください。",
        help_text="20文字以内。",
        autocomplete="name",
    )
    phone = CleanedField(
        label="連絡先電話番号",
        cleaner=text.clean_phone,
        missing="連絡先電話番号を入力してください。",
        help_text="例：03-0000-0000",
        autocomplete="tel",
    )
    fax = CleanedField(
        label="連絡先FAX番号",
        cleaner=text.clean_phone,
        missing="連絡先FAX番号を入力してください。",
        help_text="例：03-0000-0000",
    )
    email = CleanedField(
        label="連絡先メールアドレス",
        cleaner=text.clean_email,
        missing="連絡先メールアドレスを入力してください。",
        help_text="半角100文字以内。連絡先メールアドレスには、発注者が発行する通知書のお知らせが届きます。受信できるアドレスを入力してください。",
        autocomplete="email",
    )
    email_again = CleanedField(
        label="メールアドレス再入力",
        cleaner=text.clean_email,
        missing="メールアドレスをもう一度入力してください。",
        help_text="上と同じアドレスを入力します。貼り付けてもかまいません。",
        autocomplete="email",
    )

    def __init__(self, *args: Any, fax_required: bool = True, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["fax"].required = fax_required

    def clean_email_again(self) -> str:
        """Return the second e-mail address when it is the first again."""
        again = self.cleaned_data["email_again"]
        if "email" in self.cleaned_data and again != self.cleaned_data["email"]:
            differs = refusal("R-119")
            raise forms.ValidationError(f"{differs.sentence}{differs.remedy}", code=differs.code)
        return str(again)

    def contact(self) -> dict[str, str]:
        """Return the seven fields as they are stored."""
        return {name: self.cleaned_data[name] for name in CONTACT_FIELDS}


class ClosingReason(forms.Form):
    """Why 「ICカードの使用を止める」 is pressed; the words are what everybody is told."""

    REASONS = ("紛失・盗難", "PIN番号を他人に知られたおそれ", "使う人の退職・異動", "故障・破損", "その他")
    reason = forms.ChoiceField(
        label="理由",
        choices=[(words, words) for words in REASONS],
        widget=forms.RadioSelect,
        error_messages={"required": "理由を選んでください。", "invalid_choice": "理由を選んでください。"},
    )
