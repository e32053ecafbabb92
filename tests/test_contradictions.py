"""Which rules of a prompt contradict each other, and which only look as if they did."""

from __future__ import annotations

from typing import Any

import pytest

from .good_prompts import Ticket
from .test_prompt_check import check, told


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Always cite your sources.", "Never cite sources."),
        ("Cite sources", "Do not cite any sources!"),
        ("Use emojis.", "Avoid using emojis."),
        ("Use emojis.", "No emojis."),
        ("You must explain each step.", "Don’t explain each step."),
        ("Answer in at most 3 sentences.", "Write at least five sentences."),
        ("Use fewer than 100 words.", "The answer must have more than 1,000 words."),
        ("Give exactly 3 examples.", "Provide at least 4 examples."),
        ("Respond with 3-5 bullet points.", "Use no more than two bullets."),
        ("Do not use more than 3 sentences.", "Answer in between 4 and 6 sentences."),
        ("When asked, use at most 3 words.", "Use at least 5 words when asked."),
        ("Respond in English.", "Always answer in German only."),
        ("Respond only in JSON.", "Answer in Markdown."),
        ("Return valid JSON, nothing else.", "Your answer must be short. Never use JSON."),
    ],
)
def test_two_constraints_that_cannot_both_be_kept_are_an_error(one: str, other: str) -> None:
    for first, second in ((one, other), (other, one)):
        findings = check(constraints=["Name the paragraph.", first, second], output_format="As it suits the case.")
        assert [(each.severity, each.where) for each in findings] == [("error", "constraints[1], constraints[2]")]
        assert first.rstrip(".!").split(". ")[-1] in findings[0].what


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Use at most 3 sentences per paragraph.", "Write at least 5 sentences."),
        ("The title has at most 5 words.", "The summary has at least 20 words."),
        ("Use at most 2 long sentences.", "Use at least 3 short sentences."),
        ("Answer in German if the user does.", "Answer in English."),
        ("Write the title in German.", "Answer in English."),
        ("Never give advice on tax.", "Give advice on law."),
        ("Do not output JSON when asked for a table.", "Return JSON."),
        ("Write the field `body` in Markdown.", "Return JSON."),
        ("Never output JSON inside Markdown.", "Return JSON."),
        ("Reply in English or German.", "Answer in French."),
        ("If asked for data, answer in JSON.", "Answer in Markdown."),
        ("When the user writes German, use at most 3 sentences.", "Use at least 5 sentences."),
    ],
)
def test_constraints_about_different_things_are_left_alone(one: str, other: str) -> None:
    assert check(constraints=[one, other], output_format="As it suits the case.") == []


@pytest.mark.parametrize(
    ("output_format", "constraint"),
    [
        ("markdown", "Answer in JSON only."),
        ("json", "No JSON."),
        ("text", "Respond in Markdown."),
        ({"type": "object"}, "Respond in plain text."),
        (Ticket, "Always respond in XML."),
    ],
)
def test_a_constraint_against_the_output_format_is_an_error(output_format: Any, constraint: str) -> None:
    findings = check(output_format=output_format, constraints=[constraint])
    assert [(each.severity, each.where) for each in findings] == [("error", "constraints[0], output_format")]


def test_a_constraint_can_contradict_the_aim_or_itself() -> None:
    findings = check(
        aim="Explain the case in at most 2 sentences.", constraints=["Explain the case in at least 4 sentences."]
    )
    assert told(findings, "aim, constraints[0]", "sentences").severity == "error"
    assert told(check(constraints=["Use between 5 and 3 words."]), "constraints[0]", "words").severity == "error"


def test_a_number_of_any_length_is_read_or_left_alone() -> None:
    assert told(
        check(constraints=["At most 9,999 words.", "At least 10000 words."]), "constraints[0], constraints[1]", "words"
    )
    assert check(constraints=[f"At most {'9' * 5000} words.", f"At least {'9' * 5001} words."]) == []


def test_three_rules_in_conflict_are_each_named() -> None:
    findings = check(constraints=["Answer in German.", "Answer in French.", "Answer in Polish."])
    assert {each.where for each in findings} == {
        f"constraints[{a}], constraints[{b}]" for a, b in ((0, 1), (0, 2), (1, 2))
    }
    findings = check(constraints=["Use at most 9 words.", "Use at least 3 words.", "Use at least 12 words."])
    assert [each.where for each in findings] == ["constraints[0], constraints[2]"]
    findings = check(constraints=["Cite sources."] * 3)
    assert [each.where for each in findings] == ["constraints[0], constraints[1]", "constraints[0], constraints[2]"]


def test_a_repeated_constraint_is_noticed_whatever_its_case_and_marks() -> None:
    assert told(
        check(constraints=["Cite sources.", "Be brief.", "cite the sources!"]), "constraints[0], constraints[2]", "same"
    )
