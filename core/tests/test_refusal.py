"""Every refusal has a code of its own, a sentence and something to do next."""

import re
import string

import pytest

from irefuda_core.refusal import CATALOGUE, Refused, refusal

CODES = sorted(CATALOGUE)


def names_in(template):
    return {field for _, field, _, _ in string.Formatter().parse(template) if field}


@pytest.mark.parametrize("code", CODES)
def test_every_refusal_can_be_said(code):
    wording = CATALOGUE[code]
    values = {field: f"<{field}>" for field in names_in(wording.sentence) | names_in(wording.remedy)}
    said = refusal(code, **values)
    assert said.code == code
    assert re.fullmatch(r"[A-Z]-[0-9]{3}", code)
    assert said.sentence
    assert said.remedy
    for value in values.values():
        assert value in said.sentence + said.remedy
    if values:
        with pytest.raises(KeyError):
            refusal(code)


def test_no_two_refusals_say_the_same():
    sentences = [CATALOGUE[code].sentence for code in CODES]
    assert len(set(sentences)) == len(sentences)


def test_a_code_that_nobody_wrote_down_is_a_mistake():
    with pytest.raises(KeyError):
        refusal("X-999")


def test_refused_carries_every_reason_and_needs_one():
    reasons = (refusal("R-105"), refusal("R-112"))
    refused = Refused(*reasons)
    assert refused.refusals == reasons
    assert str(refused) == "R-105, R-112"
    with pytest.raises(ValueError, match="reason"):
        Refused()
