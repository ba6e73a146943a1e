"""The decision tree: every path ends, every question and outcome is met, and the paths say what domain 3.5 says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from irefuda_core.procedure import OUTCOMES, QUESTIONS, START, Walk, walk


def paths(key: str = START, answers: Mapping[str, str] | None = None) -> Iterator[dict[str, str]]:
    """Yield the answers of every way through the tree."""
    known = dict(answers or {})
    if key not in QUESTIONS:
        yield known
        return
    assert key not in known, f"the way comes back to {key}"
    for answer in QUESTIONS[key].answers:
        yield from paths(answer.leads_to, {**known, key: answer.value})


PATHS = list(paths())


def outcome(**answers: str) -> str:
    found = walk({name.replace("_", "-"): value for name, value in answers.items()})
    assert found.outcome is not None, f"asks {found.question}"
    return found.outcome.key


def test_every_path_ends_within_six_questions_and_reaches_each_question_and_outcome() -> None:
    walks = [walk(answers) for answers in PATHS]
    assert all(found.outcome and len(found.answered) == len(a) <= 6 for found, a in zip(walks, PATHS, strict=True))
    assert {found.outcome.key for found in walks if found.outcome} == set(OUTCOMES)
    assert {question.key for found in walks for question, _ in found.answered} == set(QUESTIONS)


def test_every_question_offers_a_choice_and_its_answers_differ() -> None:
    for key, question in QUESTIONS.items():
        assert key == question.key
        assert len(question.answers) >= 2
        for part in ("value", "words"):
            assert len({getattr(answer, part) for answer in question.answers}) == len(question.answers), key
        # An answer that changes nothing about what follows belongs to two names for one thing only.
        assert len({answer.leads_to for answer in question.answers}) >= 2, key


def test_every_outcome_says_what_to_do_and_what_to_have_ready() -> None:
    for key, found in OUTCOMES.items():
        assert key == found.key
        assert found.steps
        assert found.ready or key == "nothing"
        assert not found.button or f"「{found.button}」" in found.title + found.steps[0]


@given(st.dictionaries(st.sampled_from([*QUESTIONS, "q", ""]), st.sampled_from(["yes", "no", "card", "lost", "", "x"])))
def test_any_answers_whatever_lead_to_one_question_or_one_outcome(answers: dict[str, str]) -> None:
    found = walk(answers)
    assert (found.question is None) != (found.outcome is None)
    assert all(answers[question.key] == answer.value for question, answer in found.answered)
    # What was not asked on this way changes nothing.
    assert walk({question.key: answer.value for question, answer in found.answered}) == found


@given(st.sampled_from(PATHS), st.integers(0, 6), st.text(max_size=5))
def test_an_answer_that_is_none_is_asked_again_and_keeps_those_before(
    answers: dict[str, str], place: int, typed: str
) -> None:
    key = list(answers)[place % len(answers)]
    if typed in {answer.value for answer in QUESTIONS[key].answers}:
        return
    found = walk({**answers, key: typed})
    assert found.question is QUESTIONS[key]
    assert len(found.answered) == place % len(answers)


def test_nothing_answered_asks_the_first_question() -> None:
    assert walk({}) == Walk((), QUESTIONS[START], None)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        # "card near expiry, same facts": ICカード更新 while the old card is valid.
        ({"event": "card", "valid": "yes", "have_while_valid": "yes", "same_while_valid": "yes"}, "renewal"),
        ({"event": "card", "valid": "yes", "have_while_valid": "no"}, "order-card"),
        # "card already expired": 登録 with the new card.
        ({"event": "card", "valid": "no", "have_after_end": "yes", "same_after_end": "yes"}, "register"),
        # "代表者/商号/本店所在地 change": 変更届, wait for the roster, then 登録, explicitly not 更新 or 変更.
        ({"event": "company", "what": "name", "roster_of_company": "not-filed"}, "notice-first"),
        ({"event": "company", "what": "name", "roster_of_company": "no"}, "notice-first"),
        ({"event": "company", "what": "name", "roster_of_company": "yes", "have_of_company": "yes"}, "register"),
        # "受任者 change": new card, then 登録.
        ({"event": "company", "what": "holder", "roster_of_company": "yes", "have_of_company": "yes"}, "register"),
        # "HQ representative changes but card is the 受任者's": no new card, a new 委任状.
        ({"event": "company", "what": "head"}, "delegation-first"),
        ({"event": "company", "what": "phone"}, "change"),
        ({"event": "contact"}, "change"),
        ({"event": "lost", "how": "lost"}, "lost"),
        ({"event": "lost", "how": "revoked", "have_after_loss": "yes"}, "register"),
        ({"event": "pin", "pin_state": "no"}, "pin"),
        ({"event": "pin", "pin_state": "unlocked"}, "nothing"),
        ({"event": "further", "further": "yes"}, "register-further"),
    ],
)
def test_the_rows_of_the_domain(answers: dict[str, str], expected: str) -> None:
    assert outcome(**answers) == expected


@pytest.mark.parametrize("answers", PATHS, ids=lambda answers: "/".join(answers.values()))
def test_what_holds_on_every_path(answers: dict[str, str]) -> None:
    found = outcome(**answers)
    said = set(answers.items())
    changed = {("same-while-valid", "no"), ("same-after-end", "no"), ("what", "name"), ("what", "holder")} & said
    in_register = any(key.startswith("roster") and value == "yes" for key, value in said)
    if found == "renewal":
        assert {("valid", "yes"), ("same-while-valid", "yes")} <= said
    if found in ("register", "register-further", "renewal"):
        assert any(value == "yes" for key, value in said if key.startswith("have") or key == "further")
        assert in_register or not changed
    if changed and not in_register:
        assert found in ("notice-first", "order-card")
