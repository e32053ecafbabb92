"""What a prompt is checked for, and what it is not blamed for."""

from __future__ import annotations

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from racto.knowledge.prompt_check import Finding, check_prompt
from racto.knowledge.prompts import RactoPrompt

from .good_prompts import GOOD, Ticket

BASE: dict[str, Any] = {
    "role": "You are a tax lawyer in Vienna.",
    "aim": "Explain which rule applies to the case.",
    "constraints": ["Name the paragraph of the law."],
    "tone": "Sober",
    "output_format": "text",
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


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^(a+)+$"},
        {"type": "object", "patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
    ],
)
def test_no_pattern_of_a_schema_keeps_the_check_busy(schema: dict[str, Any]) -> None:
    text = "a" * 60 + "b"
    begun = time.process_time()
    findings = check(output_format=schema, examples=[{"input": "a", "output": json.dumps(text)}])
    check(output_format=schema, examples=[{"input": "a", "output": json.dumps({text: 1})}])
    assert time.process_time() - begun < 5
    assert ("pattern" in schema) == any("does not match" in each.what for each in findings)


@pytest.mark.parametrize("pattern", ["(", "(?=a)b"])
def test_a_pattern_that_cannot_be_decided_is_not_held_against_an_example(pattern: str) -> None:
    assert check(output_format={"type": "string", "pattern": pattern}, examples=[{"input": "a", "output": '"x"'}]) == []


@pytest.mark.parametrize("reference", ["#/$defs/nothing", "#"])
def test_a_schema_that_cannot_be_followed_is_told(reference: str) -> None:
    findings = check(output_format={"$ref": reference}, examples=[{"input": "a", "output": "{}"}])
    assert told(findings, "examples[0].output", "cannot be applied").severity == "error"


def test_a_schema_elsewhere_is_never_fetched() -> None:
    asked: list[str] = []

    class Schemas(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

    with ThreadingHTTPServer(("127.0.0.1", 0), Schemas) as server:
        threading.Thread(target=server.serve_forever).start()
        reference = f"http://127.0.0.1:{server.server_port}/schema.json"
        findings = check(output_format={"$ref": reference}, examples=[{"input": "a", "output": "{}"}])
        server.shutdown()
    assert told(findings, "examples[0].output", "cannot be applied").severity == "error"
    assert asked == []


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
