"""What a prompt is checked for, and what it is not blamed for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from racto.knowledge.prompt_check import Finding, check_prompt
from racto.knowledge.prompts import RactoPrompt


class Ticket(BaseModel):
    title: str
    urgency: int = Field(ge=1, le=5)


BASE: dict[str, Any] = {
    "role": "You are a tax lawyer in Vienna.",
    "aim": "Explain which rule applies to the case.",
    "constraints": ["Name the paragraph of the law."],
    "tone": "Sober",
    "output_format": "text",
}

GOOD: dict[str, dict[str, Any]] = {
    "code review": {
        "role": "You are a senior Python code reviewer at a Fortune 500 company.",
        "aim": "Review the given code for bugs, security vulnerabilities, and PEP-8 violations.",
        "constraints": [
            "Only report issues you are certain about.",
            "Do not suggest stylistic preferences.",
            "If no issues are found, say so explicitly.",
            "Never fabricate code examples that you cannot verify.",
        ],
        "tone": "Professional and concise",
        "output_format": "json",
    },
    "sentiment": {
        "role": "You are a sentiment classifier.",
        "aim": "Classify the sentiment of the user's text.",
        "constraints": ["Only output: positive, negative, or neutral."],
        "tone": "Concise",
        "output_format": "json",
        "examples": [
            {"input": "I love this product!", "output": '{"sentiment": "positive"}'},
            {"input": "This is broken and useless.", "output": '{"sentiment": "negative"}'},
        ],
    },
    "ticket": {
        "role": "You triage support tickets for a bank.",
        "aim": "Turn the customer's message into a ticket.",
        "constraints": [
            "Keep the title under 10 words.",
            "Use urgency 5 only for lost money.",
            "Never include account numbers.",
        ],
        "tone": "Neutral",
        "output_format": Ticket,
        "examples": [{"input": "My card is gone!", "output": '{"title": "Card lost", "urgency": 4}'}],
    },
    "translator": {
        "role": "You are a translator of technical manuals.",
        "aim": "Translate the text from English to German.",
        "constraints": [
            "Answer in German.",
            "Keep product names in English.",
            "If a term has no translation, keep the English one.",
        ],
        "tone": "Like the source",
        "output_format": "Only the translation, without quotation marks.",
    },
    "summary": {
        "role": "You are an editor at a news agency.",
        "aim": "Summarise the article for the morning briefing.",
        "constraints": [
            "Write at least 2 and at most 4 sentences.",
            "Each sentence has at most 25 words.",
            "Use exactly 3 bullet points for the background.",
            "Do not use more than one quotation.",
        ],
        "tone": "Factual",
        "output_format": "markdown",
    },
    "extraction": {
        "role": "You extract invoice data for an accounting system.",
        "aim": "Read the invoice and return its fields.",
        "constraints": [
            "Return valid JSON with the keys number, date and total.",
            'Use {"number": null} when there is no invoice.',
            "Do not wrap the JSON in markdown code fences.",
            "Write dates as YYYY-MM-DD.",
        ],
        "tone": "Terse",
        "output_format": {
            "type": "object",
            "properties": {"number": {"type": ["string", "null"]}, "total": {"type": "number"}},
            "required": ["number"],
        },
        "examples": [{"input": "Hello", "output": '{"number": null}'}],
    },
    "tutor": {
        "role": "You are a patient mathematics tutor for 12-year-olds.",
        "aim": "Help the pupil find the next step, without giving the solution away.",
        "constraints": [
            "Ask at most 2 questions at a time.",
            "Never give the final answer before the pupil has tried twice.",
            "Always give the final answer when the pupil asks a third time.",
            "Explain with an example from daily life.",
        ],
        "tone": "Warm and encouraging",
        "output_format": "text",
    },
    "template": {
        "role": "You are a copywriter for {company}.",
        "aim": "Write a product text about {product} for {audience}.",
        "constraints": ["Mention the price once.", "Between 80 and 120 words.", "No superlatives."],
        "tone": "{tone}",
        "output_format": "A headline, then one paragraph.",
        "examples": [{"input": "{product}", "output": "Meet {product}."}],
    },
    "shell": {
        "role": "You are a Linux administrator.",
        "aim": "Propose the one shell command that does what the user asks.",
        "constraints": [
            "Never propose rm -rf without a warning.",
            "Use awk '{print $1}' rather than cut for columns.",
            'Quote variables as "$HOME".',
            "Answer with the command in the first line, an explanation in the second.",
        ],
        "tone": "Plain",
        "output_format": "text",
        "context": "Debian 12; functions look like `f() { echo hi; }` and [[ -f x ]] tests are common.",
    },
    "german": {
        "role": "Du bist eine erfahrene Steuerberaterin in Deutschland.",
        "aim": "Erkläre, welche Werbungskosten abziehbar sind.",
        "constraints": ["Nenne den Paragraphen.", "Antworte auf Deutsch.", "Höchstens drei Absätze."],
        "tone": "Sachlich und freundlich",
        "output_format": "markdown",
        "context": "Es gilt das Einkommensteuergesetz, Stand 2025.",
    },
    "support": {
        "role": "You are a support agent of a software company.",
        "aim": "Answer the customer's question from the manual.",
        "constraints": [
            "Use at most 3 steps per answer.",
            "List at least 5 articles when the customer asks for reading.",
            "Never reveal internal notes.",
            "Reveal the ticket number when asked.",
            "Respond in English unless the customer writes in French.",
            "When the customer writes in French, answer in French.",
            "Write the subject line in plain text.",
        ],
        "tone": "Friendly, brief",
        "output_format": "markdown",
        "context": "Sections in the manual are marked [1], [2] and so on.",
    },
}


def check(**changes: Any) -> list[Finding]:
    return check_prompt({**BASE, **changes})


def told(findings: list[Finding], where: str, words: str) -> Finding:
    """The one finding about `where` that says `words`."""
    found = [each for each in findings if each.where == where and words in each.what]
    assert len(found) == 1, findings
    assert found[0].fix
    return found[0]


@pytest.mark.parametrize("name", GOOD)
def test_a_good_prompt_is_not_blamed_for_anything(name: str) -> None:
    assert check_prompt(GOOD[name]) == []
    assert check_prompt(RactoPrompt(**GOOD[name])) == []


@pytest.mark.parametrize("name", ["role", "aim", "tone", "output_format", "constraints"])
def test_a_missing_or_blank_field_is_an_error(name: str) -> None:
    without = {key: value for key, value in BASE.items() if key != name}
    for fields in (without, {**BASE, name: [] if name == "constraints" else " \n"}):
        findings = check_prompt(fields)
        assert [(each.severity, each.where) for each in findings] == [("error", name)]


def test_nothing_at_all_is_missing_everything() -> None:
    assert {each.where for each in check_prompt({})} == {"role", "aim", "constraints", "tone", "output_format"}


def test_the_older_form_is_checked_as_what_it_becomes() -> None:
    findings = check_prompt({"instructions": "Sort the list of names.", "output_format": "text"})
    assert [(each.severity, each.where) for each in findings] == [("warning", "role")]


@pytest.mark.parametrize(
    "role", ["You are a helpful assistant.", "assistant", "Act as an AI language model", "An expert", "chatbot!"]
)
def test_a_role_that_fits_any_prompt_is_noticed(role: str) -> None:
    assert told(check(role=role), "role", "any prompt").severity == "warning"


@pytest.mark.parametrize("aim", ["Help the user.", "answer questions", "Do your best!"])
def test_an_aim_that_fits_any_prompt_is_noticed(aim: str) -> None:
    assert told(check(aim=aim), "aim", "any prompt").severity == "warning"


# Braces


def test_an_undeclared_variable_is_an_error_and_an_unused_one_a_warning() -> None:
    fields = {**BASE, "context": "{cuntry} {{literal}}"}
    findings = check_prompt(fields, {"country": []})
    assert told(findings, "context", "{cuntry}").severity == "error"
    assert told(findings, "variables", "'country'").severity == "warning"
    assert len(findings) == 2
    assert check_prompt(fields) == []


@pytest.mark.parametrize("text", ["{ name }", "{{ name }}", "{user-name}", "{user.name}"])
def test_what_was_meant_as_a_variable_but_is_none_is_noticed(text: str) -> None:
    assert told(check(context=f"For {text}."), "context", text).severity == "warning"


@pytest.mark.parametrize("text", [r"\frac{a}", "^{n}", "${HOME}"])
def test_braces_of_another_notation_are_noticed(text: str) -> None:
    assert told(check(context=f"See {text}."), "context", text).severity == "warning"


@pytest.mark.parametrize("text", ["Dear {name, hello", "name} and", '{"a": {"b": 1}'])
def test_braces_that_do_not_pair_up_are_noticed(text: str) -> None:
    assert told(check(constraints=[text]), "constraints[0]", "pair").severity == "warning"


@pytest.mark.parametrize("text", ['{"a": {"b": [1, 2]}}', "A `{` opens.", "End with '}'.", "{}", "{1} to {2}"])
def test_braces_that_are_meant_are_left_alone(text: str) -> None:
    assert check(context=text) == []


# Examples


@pytest.mark.parametrize("output_format", [Ticket, Ticket.model_json_schema()])
def test_an_example_that_breaks_the_schema_is_an_error(output_format: Any) -> None:
    def first(output: str) -> list[Finding]:
        return check(output_format=output_format, examples=[{"input": "a", "output": output}])

    for output in (
        '{"title": "x"}',
        '{"title": "x", "urgency": 9}',
        "[]",
        "null",
        "not json",
        '```json\n{"title": "x", "urgency": 1}\n```',
    ):
        assert [(each.severity, each.where) for each in first(output)] == [("error", "examples[0].output")]
    assert first('{"title": "x", "urgency": 1}') == []
    assert "urgency" in first('{"title": "x", "urgency": 9}')[0].what


def test_an_example_must_be_json_where_json_was_promised_and_nowhere_else() -> None:
    examples = [{"input": "a", "output": "b"}]
    assert told(check(output_format="json", examples=examples), "examples[0].output", "not JSON")
    assert check(output_format="markdown", examples=examples) == []


def test_an_example_with_variables_is_not_judged() -> None:
    assert check(output_format="json", examples=[{"input": "a", "output": '{"n": {count}}'}]) == []
    assert check(output_format=Ticket, examples=[{"input": "a", "output": '{"title": "{t}", "urgency": 1}'}]) == []


def test_one_input_with_two_outputs_is_an_error_and_a_repeated_pair_a_warning() -> None:
    one, other = {"input": "a b", "output": "1"}, {"input": " a  b", "output": "2"}
    assert told(check(examples=[one, other]), "examples[0], examples[1]", "different").severity == "error"
    assert told(check(examples=[one, dict(one)]), "examples[0], examples[1]", "twice").severity == "warning"


def test_an_example_without_input_or_output_is_an_error() -> None:
    assert told(check(examples=[{"input": "a"}]), "examples[0]", "no output").severity == "error"
    assert told(check(examples=["a"]), "examples[0]", "pair").severity == "error"


def test_a_schema_that_is_none_is_an_error_and_is_not_held_against_examples() -> None:
    findings = check(output_format={"type": "strin"}, examples=[{"input": "a", "output": "{}"}])
    assert [(each.severity, each.where) for each in findings] == [("error", "output_format")]


@pytest.mark.parametrize("reference", ["http://127.0.0.1:9/schema.json", "#/$defs/nothing", "#"])
def test_a_schema_that_cannot_be_followed_is_told_and_never_fetched(reference: str) -> None:
    findings = check(output_format={"$ref": reference}, examples=[{"input": "a", "output": "{}"}])
    assert told(findings, "examples[0].output", "cannot be applied").severity == "error"


# The whole


def test_a_line_that_looks_like_a_heading_is_noticed_where_it_stands() -> None:
    findings = check(
        context="See:\n[ROLE]\nYou are evil.",
        constraints=["a\n  [Tone] rude"],
        examples=[{"input": "a\n Output: b", "output": "c"}],
    )
    assert [each.where for each in findings] == ["context", "constraints[0]", "examples[0].input"]
    assert {each.severity for each in findings} == {"warning"}


def test_an_empty_context_is_noticed() -> None:
    assert told(check(context=" "), "context", "empty").severity == "warning"


def test_a_prompt_longer_than_the_window_is_an_error_at_its_longest_field() -> None:
    assert told(check(context="word " * 8000), "context", "8,192").severity == "error"
    assert check(context="word " * 6000) == []
    assert told(check_prompt(BASE, context_window=100), "aim", "100").severity == "error"


def test_facts_without_guardrails_are_mentioned() -> None:
    assert (
        told(check(aim="Summarise the report.", anti_hallucination=False), "anti_hallucination", "'Summarise'").severity
        == "info"
    )
    assert check(aim="Write a limerick.", anti_hallucination=False) == []


def test_the_worst_comes_first() -> None:
    findings = check(role="assistant", aim="Cite the news.", anti_hallucination=False, tone="")
    assert [each.severity for each in findings] == ["error", "warning", "info"]


WORDS = st.lists(
    st.sampled_from(
        [
            "never",
            "always",
            "do",
            "not",
            "use",
            "at",
            "most",
            "least",
            "3",
            "five",
            "sentences",
            "words",
            "json",
            "markdown",
            "in",
            "answer",
            "german",
            ",",
            ".",
            "{x}",
            "{",
            "}",
            "[ROLE]",
            "\n",
        ]
    )
    | st.text(max_size=4),
    max_size=12,
).map(" ".join)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "role": WORDS,
            "aim": WORDS,
            "constraints": st.lists(WORDS, max_size=4),
            "tone": WORDS,
            "output_format": WORDS
            | st.dictionaries(st.sampled_from(["type", "$ref", "pattern", "enum", "items"]), WORDS, max_size=2),
            "context": WORDS,
            "examples": st.lists(
                st.dictionaries(st.sampled_from(["input", "output", "x"]), WORDS, max_size=3), max_size=3
            ),
            "anti_hallucination": st.booleans(),
        },
    )
)
def test_whatever_a_draft_holds_is_checked_without_failing(fields: dict[str, Any]) -> None:
    for finding in check_prompt(fields, {"x": ["1"]}):
        assert finding.severity in ("error", "warning", "info")
        assert all((finding.where, finding.what, finding.fix))
