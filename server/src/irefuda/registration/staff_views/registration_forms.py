"""What staff type about registrations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from django import forms

from irefuda.agencies.models import Section
from irefuda.registration import reports
from irefuda.registration.overview import LONGEST_QUERY, STATES
from irefuda.registration.tally import place_of
from irefuda.staff.forms import Line, Reasoned
from irefuda_core.refusal import refusal

LONGEST_PERIOD = 60
SHOWN_TO_COMPANY = "200文字以内。台帳に記録され、企業の「変更の履歴」にも表示されます。"


class RegistrationSearch(forms.Form):
    """Which registrations to look for."""

    q = forms.CharField(
        label="企業ID、業者番号、企業名称、証明書シリアル番号のどれか",
        required=False,
        max_length=LONGEST_QUERY,
        help_text="企業名称はフリガナや一部でも、業者番号は先頭の一部でも探せます。空のまま押すと、すべてを企業IDの順に並べます。",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
        error_messages={"max_length": f"{LONGEST_QUERY}文字以内で入力してください。"},
    )
    state = forms.ChoiceField(label="状態", required=False, choices=[("", "すべて"), *STATES.items()])


class Decision(Reasoned):
    """An act about a card or a company, which reads the reason in its history."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = SHOWN_TO_COMPANY


class Approval(Decision):
    """受理, with everything that was made sure of."""

    def __init__(self, *args: Any, checks: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        missing = refusal("S-954")
        for key, label in checks.items():
            self.fields[f"check_{key}"] = forms.BooleanField(
                label=label, error_messages={"required": f"{missing.sentence}{missing.remedy}"}
            )
        self.order_fields([name for name in self.fields if name != "reason"] + ["reason"])

    def checked(self) -> list[str]:
        """Return the keys of what was made sure of."""
        return [name.removeprefix("check_") for name in self.fields if name.startswith("check_")]


class Rejection(Reasoned):
    """不受理; the reason is what the applicant reads."""

    reason = Line(
        label="申請者に伝える理由",
        max_length=200,
        missing="申請者に伝える理由を入力してください。",
        help_text="200文字以内。申請者にメールでこのまま伝わり、台帳に記録されます。何を直せばよいかが分かるように書きます。",
    )


class Month(forms.CharField):
    """A month, chosen in the browser or typed as 2027-03."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(
            required=False, widget=forms.TextInput(attrs={"type": "month", "autocomplete": "off"}), **kwargs
        )

    def clean(self, value: Any) -> date | None:
        """Return its first day, or None for nothing typed.

        :raises ValidationError: S-955
        """
        typed = str(super().clean(value)).strip()
        if not typed:
            return None
        found = re.fullmatch(r"(20[0-9]{2})-(0[1-9]|1[0-2])", typed)
        if found is None:
            raise _wrong_period()
        return date(int(found[1]), int(found[2]), 1)


def _wrong_period() -> forms.ValidationError:
    reason = refusal("S-955")
    return forms.ValidationError(f"{reason.sentence}{reason.remedy}", code=reason.code)


class ReportPeriod(forms.Form):
    """For which months, and of which 調達機関 and 区分."""

    first = Month(label="最初の月")
    last = Month(label="最後の月")
    place = forms.ChoiceField(label="調達機関と区分", required=False)

    def __init__(self, *args: Any, sections: Sequence[Section], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections = {place_of(section): section for section in sections}
        field = self.fields["place"]
        assert isinstance(field, forms.ChoiceField)
        names = {place: reports.place_name(section) for place, section in self.sections.items()}
        field.choices = [("", "すべて"), *names.items()]

    def clean(self) -> dict[str, Any]:
        """Return the form when the period does not end before it begins and is not too long."""
        cleaned: dict[str, Any] = self.cleaned_data
        first, last = cleaned.get("first"), cleaned.get("last")
        if first and last and not 1 <= len(reports.months_between(first, last)) <= LONGEST_PERIOD:
            self.add_error("last", _wrong_period())
        return cleaned

    def months(self, first: date, last: date) -> list[date]:
        """Return the chosen months; where one end was left open, as many as from `first` to `last`."""
        chosen_first, chosen_last = self.cleaned_data["first"], self.cleaned_data["last"]
        length = len(reports.months_between(first, last)) - 1
        if chosen_first is None:
            chosen_first = reports.later(chosen_last, -length) if chosen_last else first
        return reports.months_between(chosen_first, chosen_last or reports.later(chosen_first, length))

    def chosen(self) -> list[Section]:
        """Return the chosen sections."""
        place = self.cleaned_data["place"]
        return [self.sections[place]] if place else list(self.sections.values())
