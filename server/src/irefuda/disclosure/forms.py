"""The form of the 電子くじ page: up to five bidders' numbers, tried out by a plain GET."""

from __future__ import annotations

from typing import Any

from django import forms

from irefuda_core.lottery import Draw, Lot, draw
from irefuda_core.text import to_half_width

BIDDERS = "ＡＢＣＤＥ"


class LotNumber(forms.CharField):
    """Three digits, leading zeros kept; full-width digits are converted."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.widget.attrs.update(inputmode="numeric", autocomplete="off", size=5)

    def clean(self, value: Any) -> int | None:
        """Return the number, or None when nothing was typed.

        :raises ValidationError: when it is not three digits
        """
        typed = to_half_width(super().clean(value)).strip()
        if not typed:
            return None
        if len(typed) != 3 or not (typed.isascii() and typed.isdigit()):
            raise forms.ValidationError(f"{self.label}は3桁の数字で入力してください。例：007")
        return int(typed)


class TryDraw(forms.Form):
    """Two to five bidders in order of arrival, each with くじ入力番号 and くじ番号."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for place, name in enumerate(BIDDERS, start=1):
            self.fields[f"chosen{place}"] = LotNumber(label=f"{name}社のくじ入力番号")
            self.fields[f"given{place}"] = LotNumber(label=f"{name}社のくじ番号")

    def clean(self) -> dict[str, Any]:
        """Return the numbers when they make a draw."""
        cleaned: dict[str, Any] = self.cleaned_data
        if self.errors:
            return cleaned
        filled = 0
        for place, name in enumerate(BIDDERS, start=1):
            chosen, number = cleaned[f"chosen{place}"], cleaned[f"given{place}"]
            if (chosen is None) != (number is None):
                missing = "chosen" if chosen is None else "given"
                self.add_error(f"{missing}{place}", f"{self.fields[f'{missing}{place}'].label}を入力してください。")
            elif chosen is not None and filled < place - 1:
                self.add_error(
                    f"chosen{place}", f"{name}社より上の行を先に入力してください。届いた順に上から詰めます。"
                )
            filled += chosen is not None
        if filled < 2 and not self.errors:
            self.add_error(f"chosen{filled + 1}", "くじには2社以上が必要です。2社以上の番号を入力してください。")
        return cleaned

    def bidders(self) -> list[tuple[str, forms.BoundField, forms.BoundField]]:
        """Return name and the two fields of each row."""
        return [(name, self[f"chosen{place}"], self[f"given{place}"]) for place, name in enumerate(BIDDERS, start=1)]

    def result(self) -> Draw:
        """Return the draw of a valid form."""
        pairs = [(self.cleaned_data[f"chosen{n}"], self.cleaned_data[f"given{n}"]) for n in range(1, len(BIDDERS) + 1)]
        return draw([Lot(chosen, number) for chosen, number in pairs if chosen is not None])
