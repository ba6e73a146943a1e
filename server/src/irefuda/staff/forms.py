"""What administrators type."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import fields
from datetime import date
from typing import Any

from django import forms

from irefuda.agencies.models import Agency
from irefuda.staff.agency_settings import COLUMNS, KNOBS, Knob
from irefuda.staff.models import Role
from irefuda.staff.queries import today
from irefuda.ui import clock
from irefuda_core import text
from irefuda_core.refusal import refusal
from irefuda_core.registration import Policy


class Line(forms.CharField):
    """One line of text, cleaned by the rulebook."""

    def __init__(
        self, *, max_length: int, missing: str = "", cleaner: Callable[[str], str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(required=bool(missing), error_messages={"required": missing}, **kwargs)
        self.validators.clear()
        self.cleaner = cleaner or (lambda typed: text.clean_text(typed, max_length=max_length))
        self.widget.attrs["autocomplete"] = "off"

    def clean(self, value: Any) -> str:
        """Return the line as it is stored.

        :raises ValidationError: with the rulebook's sentence
        """
        typed = super().clean(value)
        try:
            return self.cleaner(typed) if typed else ""
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


class Hour(forms.TimeField):
    """A time of the day, such as 08:30."""

    def __init__(self, **kwargs: Any) -> None:
        wrong = "時刻を 08:30 の形で入力してください。"
        kwargs.setdefault("error_messages", {}).update(invalid=wrong, required=wrong)
        super().__init__(
            widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
            input_formats=["%H:%M", "%H:%M:%S"],
            **kwargs,
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


class BesidePublicReason(Reasoned):
    """A form that asks for two reasons: one that everybody sees, and the one that the record keeps."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].label = "変更の理由（職員だけが見ます）"


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


class WithAgency(forms.Form):
    """Which agency it is about; for the whole installation only where `all_allowed`. Whoever extends this has a field `agency`."""

    def __init__(self, *args: Any, agencies: Iterable[Agency], all_allowed: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.agencies = {agency.code: agency for agency in agencies}
        choices = [("", "すべての調達機関")] if all_allowed else []
        field = self.fields["agency"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [*choices, *((code, agency.name) for code, agency in self.agencies.items())]
        field.required = not all_allowed

    def agency_chosen(self) -> Agency | None:
        """Return the chosen agency; None = the whole installation."""
        return self.agencies.get(self.cleaned_data["agency"])


class WithMember(WithAgency):
    """Who somebody is."""

    name = Line(label="氏名", max_length=20, missing="氏名を入力してください。", help_text="20文字以内。")
    section = Line(label="所属", max_length=40, help_text="例：契約課 工事契約係。40文字以内。")
    agency = forms.ChoiceField(
        label="担当する調達機関",
        required=False,
        help_text="調達機関を選ぶと、その調達機関のことだけを扱えます。",
    )


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


class AgencyTextsForm(Reasoned):
    """What an agency says, and whom it names for help."""

    contracts_office = Line(
        label=COLUMNS["contracts_office"], max_length=60, missing="契約課の名称を入力してください。"
    )
    lookup_text = Line(
        label=COLUMNS["lookup_text"],
        max_length=400,
        help_text="400文字以内。資格審査情報検索の画面の上に出ます。",
    )
    lookup_needs_password = forms.BooleanField(
        label=COLUMNS["lookup_needs_password"],
        required=False,
        help_text="すべての区分で求めます。選ぶ前に、会社ごとに（「登録業者名簿」の会社のページ）、または一括で（システムの運用担当に依頼）決めておきます。決めていない会社は検索を通れません。",
    )
    helpdesk_name = Line(
        label=COLUMNS["helpdesk_name"], max_length=60, missing="ヘルプデスクの名称を入力してください。"
    )
    helpdesk_phone = Line(label=COLUMNS["helpdesk_phone"], max_length=20, cleaner=text.clean_phone)
    helpdesk_email = Line(label=COLUMNS["helpdesk_email"], max_length=100, cleaner=text.clean_email)
    helpdesk_url = Line(label=COLUMNS["helpdesk_url"], max_length=200, help_text="https:// から始まるアドレス。")
    system_email = Line(
        label=COLUMNS["system_email"],
        max_length=100,
        missing="差出人のメールアドレスを入力してください。",
        cleaner=text.clean_email,
    )

    def clean_helpdesk_url(self) -> str:
        """Return the address.

        :raises ValidationError: for one that leads nowhere or to something that is no page
        """
        url = str(self.cleaned_data["helpdesk_url"])
        if url and not re.fullmatch(r"https?://[^\s/]+(/\S*)?", url):
            raise forms.ValidationError("https:// から始まるアドレスを入力してください。")
        return url

    def values(self) -> dict[str, Any]:
        """Return the columns."""
        return {name: self.cleaned_data[name] for name in self.cleaned_data if name != "reason"}


class HoursForm(Reasoned):
    """運用時間."""

    opens_at = Hour(label=COLUMNS["opens_at"])
    closes_at = Hour(label=COLUMNS["closes_at"], help_text="この時刻ちょうどからは受け付けません。")

    def clean(self) -> dict[str, Any]:
        """Return the form when the agency opens before it closes."""
        cleaned: dict[str, Any] = self.cleaned_data
        opens, closes = cleaned.get("opens_at"), cleaned.get("closes_at")
        if opens and closes and opens >= closes:
            self.add_error("closes_at", "運用を終える時刻は、始める時刻より後にしてください。")
        return cleaned

    def values(self) -> dict[str, Any]:
        """Return the columns."""
        return {"opens_at": self.cleaned_data["opens_at"], "closes_at": self.cleaned_data["closes_at"]}


class ClosureForm(BesidePublicReason):
    """A day on which the agency closes although the calendar would have it open."""

    closed_on = Day(label="休止する日", error_messages={"required": "休止する日を入力してください。"})
    shown_reason = Line(
        label="休止の理由（利用者に見えます）",
        max_length=100,
        missing="利用者に見せる理由を入力してください。",
        help_text="例：システムの保守のため。100文字以内。",
    )

    def clean_closed_on(self) -> date:
        """Return the day.

        :raises ValidationError: for one that is over
        """
        day: date = self.cleaned_data["closed_on"]
        if day < today(clock.now()):
            raise forms.ValidationError("過ぎた日は休止にできません。今日か、後の日を入力してください。")
        return day


class ReopenForm(Reasoned):
    """The end of a special closure."""


class PolicyForm(Reasoned):
    """The knobs of `irefuda_core.registration.Policy`, made from its fields."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in fields(Policy):
            self.fields[field.name] = _knob_field(KNOBS[field.name], field.default)
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def policy(self) -> Policy:
        """Return the policy that was chosen."""
        return Policy.from_knobs({field.name: self.cleaned_data[field.name] for field in fields(Policy)})


def _knob_field(knob: Knob, default: Any) -> forms.Field:
    if knob.choices:
        return forms.ChoiceField(
            label=knob.label, help_text=knob.help, choices=list(knob.choices.items()), widget=forms.RadioSelect
        )
    if isinstance(default, bool):
        return forms.BooleanField(label=knob.label, help_text=knob.help, required=False)
    wrong = f"{knob.least}から{knob.most}までの数字を入力してください。"
    return forms.IntegerField(
        label=f"{knob.label}（{knob.unit}）",
        help_text=knob.help,
        required=default is not None,
        min_value=knob.least,
        max_value=knob.most,
        error_messages=dict.fromkeys(("required", "invalid", "min_value", "max_value"), wrong),
    )


class PeriodForm(Reasoned):
    """A period of the ledger, by days in Japan."""

    first_day = Day(label="最初の日", error_messages={"required": "最初の日を入力してください。"})
    last_day = Day(label="最後の日", error_messages={"required": "最後の日を入力してください。"})

    def clean(self) -> dict[str, Any]:
        """Return the form when the period does not end before it begins."""
        cleaned: dict[str, Any] = self.cleaned_data
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if first and last and last < first:
            self.add_error("last_day", "最後の日は、最初の日と同じ日か、後の日にしてください。")
        return cleaned


class LedgerSearch(forms.Form):
    """What an auditor looks for."""

    kind = forms.CharField(
        label="種別", required=False, help_text="例：registration.registered。先頭の一部でも探せます。"
    )
    first_day = Day(label="最初の日", required=False)
    last_day = Day(label="最後の日", required=False)
    entry = forms.UUIDField(
        label="台帳の記録番号",
        required=False,
        error_messages={"invalid": "記録番号は、1234abcd-… の形で入力してください。"},
        widget=forms.TextInput,
    )
    digest = forms.RegexField(
        r"\s*[0-9a-fA-F]{64}\s*",
        label="文書のハッシュ値（SHA-256）または記録の指紋",
        required=False,
        error_messages={"invalid": "ハッシュ値は、64桁の16進数で入力してください。"},
    )


class HeadsForm(forms.Form):
    """Two heads of the ledger, by their sizes."""

    old = forms.IntegerField(
        label="前のチェックポイントの件数",
        min_value=1,
        max_value=10**15,
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"), "1以上の件数を入力してください。"
        ),
    )
    new = forms.IntegerField(
        label="後のチェックポイントの件数",
        min_value=1,
        max_value=10**15,
        error_messages=dict.fromkeys(
            ("required", "invalid", "min_value", "max_value"), "1以上の件数を入力してください。"
        ),
    )

    def clean(self) -> dict[str, Any]:
        """Return the form when the first head is not the larger one."""
        cleaned: dict[str, Any] = self.cleaned_data
        if cleaned.get("old") and cleaned.get("new") and cleaned["old"] > cleaned["new"]:
            self.add_error("new", "後の件数は、前の件数以上にしてください。")
        return cleaned
