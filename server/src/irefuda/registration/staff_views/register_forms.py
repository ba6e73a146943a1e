"""What 契約課 types about the register: one entry by the rules of a file's cells, a 指名停止, an upload and its last word."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from django import forms

from irefuda.registration.forms import letters_and_digits
from irefuda.staff.forms import Day, Line, Reasoned
from irefuda.suppliers.models import Supplier
from irefuda.suppliers.register_files import cells
from irefuda.suppliers.register_files.cells import Wrong
from irefuda.suppliers.register_files.columns import DELEGATE, TEXTS
from irefuda.suppliers.register_files.fields import Field

DELEGATE_PREFIX = "delegate_"
LONGEST_LIST = 4000
_ENTRY = (
    *(Field.NAME, Field.NAME_KANA, Field.CORPORATE_NUMBER),
    *(Field.REPRESENTATIVE_TITLE, Field.REPRESENTATIVE_NAME),
    *(Field.POSTAL_CODE, Field.ADDRESS, Field.PHONE, Field.FAX, Field.BRANCH_NAME, Field.AREA),
)
_HELP = {
    Field.NAME: "変更届のとおりに。100文字以内。",
    Field.NAME_KANA: "カタカナ。検索に使います。",
    Field.CORPORATE_NUMBER: "13桁の数字。個人事業主は空欄にします。",
    Field.POSTAL_CODE: "例：030-0801",
    Field.PHONE: "例：017-722-0000",
}
_BETWEEN = re.compile("[：:]")


class Cell(forms.CharField):
    """One item of an entry, read as a cell of a register's file is."""

    def __init__(self, said: Field, reading: Callable[[str, Field, int], str], longest: int, **kwargs: Any) -> None:
        super().__init__(label=said.value, help_text=_HELP.get(said, ""), **kwargs)
        self.validators.clear()
        self.said, self.reading, self.longest = said, reading, longest
        self.widget.attrs["autocomplete"] = "off"

    def clean(self, value: Any) -> str:
        """Return the item as it is stored.

        :raises ValidationError: with the sentence of the file's rule
        """
        typed = super().clean(value)
        try:
            return self.reading(typed, self.said, self.longest) if typed else ""
        except Wrong as wrong:
            raise _invalid(wrong) from None


class Lines(forms.CharField):
    """Several things of an entry, one on each line."""

    widget = forms.Textarea(attrs={"rows": 6, "autocomplete": "off"})

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.validators.clear()

    def clean(self, value: Any) -> str:
        """Return the lines.

        :raises ValidationError: when they are too many to be meant
        """
        typed = super().clean(value)
        if len(typed) > LONGEST_LIST:
            raise forms.ValidationError(f"{LONGEST_LIST}文字以内で入力してください。")
        return str(typed)


class EntryForm(Reasoned):
    """Every item of an entry of the register but its standing, which has pages of its own."""

    def __init__(self, *args: Any, supplier: Supplier | None = None, **kwargs: Any) -> None:
        self.supplier = supplier
        super().__init__(*args, initial=initial_of(supplier) if supplier else None, **kwargs)
        for said in _ENTRY:
            column, reading, longest = TEXTS[said]
            missing = {"required": "商号又は名称を入力してください。"}
            self.fields[column] = Cell(said, reading, longest, required=said is Field.NAME, error_messages=missing)
        for said, (key, reading, longest) in DELEGATE.items():
            if key != "both":
                self.fields[DELEGATE_PREFIX + key] = Cell(said, reading, longest, required=False)
        self.fields["qualifications"] = Lines(
            label="資格の種類", help_text="1行に一つ。等級は「：」の後に書きます。例：物品の販売：A"
        )
        self.fields["trades"] = Lines(
            label="業種・品目", help_text="1行に一つ。等級と点数は「：」の後に書きます。例：土木一式：A：1012"
        )
        for said in (Field.VALID_FROM, Field.VALID_UNTIL):
            self.fields[TEXTS[said][0]] = Day(label=said.value, required=False)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def clean(self) -> dict[str, Any]:
        """Return the form when every line can be read, and the period does not end before it begins."""
        cleaned: dict[str, Any] = self.cleaned_data
        for name, reading in (("qualifications", _qualifications), ("trades", _trades)):
            if name in cleaned:
                try:
                    cleaned[name] = self._listed(name, reading)
                except Wrong as wrong:
                    self.add_error(name, _invalid(wrong))
        refuse_backwards(self, "valid_from", "valid_until")
        return cleaned

    def values(self) -> dict[str, Any]:
        """Return the columns of the model."""
        cleaned = self.cleaned_data
        columns = [name for name in self.fields if name != "reason" and not name.startswith(DELEGATE_PREFIX)]
        delegate = {
            key: cleaned[DELEGATE_PREFIX + key] for key, _, _ in DELEGATE.values() if cleaned.get(DELEGATE_PREFIX + key)
        }
        return {**{name: cleaned[name] for name in columns if name in _COLUMNS}, "delegate": delegate}

    def _listed(self, name: str, reading: Callable[[str], Any]) -> Any:
        """Return what the lines say; lines that nobody touched are what is stored, however it was written."""
        typed = self.cleaned_data[name]
        if self.supplier is not None and _lines(typed) == _lines(initial_of(self.supplier)[name]):
            return getattr(self.supplier, name)
        return reading(typed)


class NewEntryForm(EntryForm):
    """A company that is not in the register yet."""

    supplier_number = forms.CharField(
        label="業者番号",
        help_text="半角英数字9文字。数字だけのときは、先頭の0を省いても補われます。",
        error_messages={"required": "業者番号を入力してください。"},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.order_fields(["supplier_number"])

    def clean_supplier_number(self) -> str:
        """Return the number of nine characters.

        :raises ValidationError: for anything else
        """
        try:
            return cells.read_number(self.cleaned_data["supplier_number"])
        except Wrong as wrong:
            raise _invalid(wrong) from None


class SuspensionForm(Reasoned):
    """指名停止: from when, until when, and why."""

    first = Day(label="指名停止の初日", error_messages={"required": "初日を入力してください。"})
    last = Day(
        label="指名停止の末日", required=False, help_text="決まっていないときは空けておきます。解除するまで続きます。"
    )

    def clean(self) -> dict[str, Any]:
        """Return the form when the suspension does not end before it begins."""
        cleaned: dict[str, Any] = self.cleaned_data
        refuse_backwards(self, "first", "last")
        return cleaned


class LoginForm(Reasoned):
    """What a company types at 資格審査情報検索 beside its number and name."""

    login_id = Line(
        label="ユーザID",
        max_length=20,
        missing="ユーザIDを入力してください。",
        help_text="半角英数字20文字以内。業者番号のままでも構いません。",
        cleaner=letters_and_digits(least=1, code="R-124"),
    )
    password = Line(
        label="パスワード",
        max_length=20,
        missing="パスワードを入力してください。",
        help_text="半角英数字8文字以上20文字以内。案を入れてあります。そのままでも、書きかえても使えます。",
        cleaner=letters_and_digits(least=8, code="S-938"),
    )


class PlainForm(Reasoned):
    """A change that has nothing to type but its reason."""


class UploadForm(forms.Form):
    """A city's own file of the register."""

    id = forms.UUIDField(widget=forms.HiddenInput, initial=uuid.uuid4)
    file = forms.FileField(
        label="名簿のファイル",
        help_text="CSV（UTF-8、シフトJIS）かXLSX。64MB、300,000行まで。",
        max_length=None,
        error_messages={
            "required": "ファイルを選んでください。",
            "missing": "ファイルを選んでください。",
            "empty": "ファイルが空です。名簿の入ったファイルか確かめてください。何も変更していません。（F-501）",
        },
        widget=forms.FileInput(attrs={"accept": ".csv,.txt,.tsv,.xlsx"}),
    )
    sheet = Line(
        label="シートの名前",
        max_length=100,
        help_text="名簿のシートが二つ以上あるXLSXのときだけ、取り込むシートの名前を入力します。",
    )


class ConfirmImportForm(Reasoned):
    """The last word about an import; one that ends or changes much of the register asks for the number as well."""

    def __init__(self, *args: Any, alarming: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.alarming = alarming
        if alarming:
            wrong = "名簿から外れる会社と内容が変わる会社の数が違います。差分をよく見てから、数字で入力してください。"
            self.fields["typed_number"] = forms.IntegerField(
                label="名簿から外れる会社と、内容が変わる会社を合わせた数",
                help_text="間違ったファイルで名簿を壊さないための確認です。上の数を見て入力してください。",
                error_messages=dict.fromkeys(("required", "invalid"), wrong),
            )
            self.order_fields(["typed_number", "reason"])
            self.wrong = wrong

    def clean_typed_number(self) -> int:
        """Return the number.

        :raises ValidationError: for any other than the one that the page shows
        """
        typed = int(self.cleaned_data["typed_number"])
        if typed != self.alarming:
            raise forms.ValidationError(self.wrong)
        return typed


_COLUMNS = frozenset({*(column for column, _, _ in TEXTS.values()), "qualifications", "trades"})


def initial_of(supplier: Supplier) -> dict[str, Any]:
    """Return what the form begins with for this entry."""
    columns = [TEXTS[said][0] for said in _ENTRY] + ["valid_from", "valid_until"]
    return {
        **{column: getattr(supplier, column) for column in columns},
        **{DELEGATE_PREFIX + key: supplier.delegate.get(key, "") for key, _, _ in DELEGATE.values()},
        "qualifications": "\n".join(_joined((kind, grade)) for kind, grade in supplier.qualifications.items()),
        "trades": "\n".join(
            _joined((trade["name"], trade.get("grade", ""), trade.get("points", ""))) for trade in supplier.trades
        ),
    }


def refuse_backwards(form: forms.Form, first: str, last: str) -> None:
    """Put a mistake at the last day when it is before the first."""
    begins: date | None = form.cleaned_data.get(first)
    ends: date | None = form.cleaned_data.get(last)
    if begins and ends and ends < begins:
        form.add_error(last, "末日は、初日と同じ日か、後の日にしてください。")


def _joined(parts: Iterable[str]) -> str:
    kept = list(parts)
    while kept and not kept[-1]:
        kept.pop()
    return "：".join(kept)


def _lines(typed: str) -> list[str]:
    return [line.strip() for line in typed.splitlines() if line.strip()]


def _qualifications(typed: str) -> dict[str, str]:
    found = {}
    for line in _lines(typed):
        kind, grade = _parts(line, 2)
        found[cells.read_text(kind, Field.QUALIFICATION, 60)] = cells.read_text(grade, Field.GRADE, 10)
    return found


def _trades(typed: str) -> list[Mapping[str, str]]:
    found: list[Mapping[str, str]] = []
    for line in _lines(typed):
        name, grade, points = _parts(line, 3)
        trade = {
            "name": cells.read_text(name, Field.TRADE, 60),
            "grade": cells.read_text(grade, Field.GRADE, 10),
        }
        if points:
            trade["points"] = cells.read_text(points, Field.POINTS, 10)
        found.append(trade)
    return found


def _parts(line: str, count: int) -> list[str]:
    parts = [part.strip() for part in _BETWEEN.split(line, count - 1)]
    return parts + [""] * (count - len(parts))


def _invalid(wrong: Wrong) -> forms.ValidationError:
    return forms.ValidationError(f"{wrong.reason.sentence}{wrong.reason.remedy}", code=wrong.reason.code)
