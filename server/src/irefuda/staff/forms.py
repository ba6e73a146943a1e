"""What administrators type."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Any

from django import forms

from irefuda.agencies.models import Agency
from irefuda.staff.models import Role
from irefuda_core import text
from irefuda_core.refusal import refusal


class Line(forms.CharField):
    """One line of text, cleaned by the rulebook."""

    def __init__(self, *, max_length: int, missing: str = "", **kwargs: Any) -> None:
        super().__init__(required=bool(missing), error_messages={"required": missing}, **kwargs)
        self.validators.clear()
        self.longest = max_length
        self.widget.attrs["autocomplete"] = "off"

    def clean(self, value: Any) -> str:
        """Return the line as it is stored.

        :raises ValidationError: with the rulebook's sentence
        """
        typed = super().clean(value)
        try:
            return text.clean_text(typed, max_length=self.longest) if typed else ""
        except text.InvalidText as invalid:
            reason = invalid.refusal
            raise forms.ValidationError(f"{reason.sentence}{reason.remedy}", code=reason.code) from None


class Day(forms.DateField):
    """A day, chosen in the browser's calendar or typed as 2027-03-31."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("error_messages", {})["invalid"] = "日付を 2027-03-31 の形で入力してください。"
        super().__init__(
            widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"), input_formats=["%Y-%m-%d"], **kwargs
        )


class Reasoned(forms.Form):
    """A form whose change has a reason; every form of the staff's site that changes something is one."""

    reason = Line(
        label="理由",
        max_length=200,
        missing="理由を入力してください。",
        help_text="200文字以内。台帳に記録され、後から読む人が分かるように書きます。",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Last, whatever the form adds.
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def hidden(self) -> Iterable[str]:
        """Yield every field as hidden inputs, for the page that asks for the last word."""
        for field in self:
            yield field.as_hidden()


class CodeForm(forms.Form):
    """The code that the holder of a new card was shown."""

    code = forms.CharField(
        label="申し込みの番号",
        help_text="新しいICカードの持ち主に表示された10桁の数字。空白やハイフンはあってもなくても構いません。",
        error_messages={"required": "申し込みの番号を入力してください。"},
    )

    def clean_code(self) -> str:
        """Return the ten digits.

        :raises ValidationError: S-904 for anything else
        """
        return code_of(self.cleaned_data["code"])


def code_of(typed: str) -> str:
    """Return the ten digits of a code as it was typed.

    :raises ValidationError: S-904 for anything else
    """
    digits = re.sub(r"[\s-]", "", text.to_half_width(typed))
    if not re.fullmatch(r"[0-9]{10}", digits):
        reason = refusal("S-904")
        raise forms.ValidationError(f"{reason.sentence}{reason.remedy}", code=reason.code)
    return digits


class RolesForm(Reasoned):
    """Which roles, and until when."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for role in Role:
            self.fields[f"role_{role.value}"] = forms.BooleanField(label=role.label, required=False)
            self.fields[f"ends_{role.value}"] = Day(label=f"{role.label}の期限（この日まで）", required=False)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def role_fields(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        """Return the two fields of each role."""
        return [(self[f"role_{role.value}"], self[f"ends_{role.value}"]) for role in Role]

    def clean(self) -> dict[str, Any]:
        """Return the form when every day belongs to a chosen role."""
        cleaned: dict[str, Any] = self.cleaned_data
        for role in Role:
            if cleaned.get(f"ends_{role.value}") and not cleaned.get(f"role_{role.value}"):
                self.add_error(f"ends_{role.value}", f"「{role.label}」を選ぶか、期限を消してください。")
        return cleaned

    def roles(self) -> dict[Role, date | None]:
        """Return the chosen roles with their last days."""
        chosen = self.cleaned_data
        return {role: chosen[f"ends_{role.value}"] for role in Role if chosen[f"role_{role.value}"]}

    @staticmethod
    def initial_of(roles: dict[Role, date | None]) -> dict[str, Any]:
        """Return what the form begins with for these roles."""
        chosen = {f"role_{role.value}": True for role in roles}
        return {**chosen, **{f"ends_{role.value}": day for role, day in roles.items()}}


class WithMember(forms.Form):
    """Who somebody is."""

    name = Line(label="氏名", max_length=20, missing="氏名を入力してください。", help_text="20文字以内。")
    section = Line(label="所属", max_length=40, help_text="例：契約課 工事契約係。40文字以内。")
    agency = forms.ChoiceField(
        label="担当する調達機関",
        required=False,
        help_text="調達機関を選ぶと、その調達機関のことだけを扱えます。",
    )

    def __init__(self, *args: Any, agencies: Iterable[Agency], all_allowed: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agencies = {agency.code: agency for agency in agencies}
        choices = [("", "すべての調達機関")] if all_allowed else []
        field = self.fields["agency"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*choices, *((code, agency.name) for code, agency in self.agencies.items())]
        field.required = not all_allowed

    def agency_chosen(self) -> Agency | None:
        """Return whose staff this is; None = of the whole installation."""
        return self.agencies.get(self.cleaned_data["agency"])


class MemberForm(WithMember, Reasoned):
    """What is written about a member."""


class NewMemberForm(WithMember, RolesForm):
    """A new colleague with the first roles."""

    def clean(self) -> dict[str, Any]:
        """Return the form when at least one role is chosen."""
        cleaned = super().clean()
        if not any(cleaned.get(f"role_{role.value}") for role in Role):
            self.add_error(f"role_{next(iter(Role)).value}", "役割を一つ以上選んでください。")
        return cleaned


class NewCardForm(Reasoned):
    """A further or a new card of a member."""

    end_others = forms.BooleanField(
        label="これまでのICカードを使えなくする",
        required=False,
        help_text="ICカードを更新したとき、失くしたときは、選んだままにします。",
    )


class EndForm(Reasoned):
    """The end of a member's time here."""
