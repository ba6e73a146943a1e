"""The form of the 電子くじ page, tried out by a plain GET, and the forms with which staff announce."""

from __future__ import annotations

from typing import Any

from django import forms

from irefuda.agencies.models import Category
from irefuda.disclosure.operations import BODY_LENGTH, REASON_LENGTH, TITLE_LENGTH
from irefuda.staff.forms import BesidePublicReason, Line, Reasoned, WithAgency
from irefuda_core import prose, text
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


class Body(forms.CharField):
    """Paragraphs, lists and links in plain text."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(widget=forms.Textarea(attrs={"rows": 12, "autocomplete": "off"}), **kwargs)
        self.validators.clear()

    def clean(self, value: Any) -> str:
        """Return the text as it is stored.

        :raises ValidationError: with the rulebook's sentence
        """
        typed = super().clean(value)
        try:
            return prose.clean_prose(typed, max_length=BODY_LENGTH)
        except text.InvalidText as invalid:
            reason = invalid.refusal
            raise forms.ValidationError(f"{reason.sentence}{reason.remedy}", code=reason.code) from None


class Moment(forms.DateTimeField):
    """A day and a time of Japan, chosen in the browser or typed as 2027-03-31 08:30."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["error_messages"] = {"invalid": "日時を 2027-03-31 08:30 の形で入力してください。"}
        super().__init__(
            widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
            input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"],
            required=False,
            **kwargs,
        )


class AnnouncementForm(WithAgency, Reasoned):
    """A new announcement."""

    title = Line(label="題名", max_length=TITLE_LENGTH, missing="題名を入力してください。", help_text="100文字以内。")
    body = Body(
        label="本文",
        error_messages={"required": "本文を入力してください。"},
        help_text="10,000文字以内。空の行で段落を分けます。行の初めに「・」を置くと箇条書きに、https:// で始まるアドレスはリンクになります。",
    )
    agency = forms.ChoiceField(label="対象の調達機関", required=False)
    category = forms.ChoiceField(label="対象の区分", required=False, choices=[("", "すべての区分"), *Category.choices])
    published_at = Moment(label="掲載を始める日時", help_text="空のときは、確定するとすぐに掲載されます。")
    expires_at = Moment(
        label="掲載を終える日時",
        help_text="空のときは、取り下げるまで掲載されます。消えるのではなく、一覧から外れます。",
    )

    def clean(self) -> dict[str, Any]:
        """Return the form when the announcement does not end before it begins."""
        cleaned: dict[str, Any] = self.cleaned_data
        begins, ends = cleaned.get("published_at"), cleaned.get("expires_at")
        if begins and ends and ends <= begins:
            self.add_error("expires_at", "掲載を終える日時は、始める日時より後にしてください。")
        return cleaned

    def values(self) -> dict[str, Any]:
        """Return what `operations.publish_announcement` asks for."""
        typed = self.cleaned_data
        return {
            "title": typed["title"],
            "body": typed["body"],
            "agency": self.agency_chosen(),
            "category": Category(typed["category"]) if typed["category"] else None,
            "published_at": typed["published_at"],
            "expires_at": typed["expires_at"],
        }


class WithdrawForm(BesidePublicReason):
    """The end of an announcement before its time."""

    shown_reason = Line(
        label="取り下げの理由（お知らせの代わりに見えます）",
        max_length=REASON_LENGTH,
        missing="見せる理由を入力してください。",
        help_text="400文字以内。例：日付に誤りがありました。新しいお知らせを見てください。",
    )
