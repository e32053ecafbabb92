"""RACTO prompts: fields, compiled text, messages."""

from __future__ import annotations

import gc
import json
import re
import weakref
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, ValidationError, create_model
from racto.knowledge.errors import InputError
from racto.knowledge.headings import SECTIONS
from racto.knowledge.prompts import RactoPrompt, prompt_fields, prompt_from

REVIEWER: dict[str, Any] = {
    "role": "You are a code reviewer.",
    "aim": "Review the code.",
    "constraints": ["Only report real issues.", "Say so when there are none."],
    "tone": "Concise",
    "output_format": "json",
}
GUARDRAILS = """[GUARDRAILS]
- If you are unsure or lack sufficient information, state it explicitly rather than guessing.
- Do NOT fabricate facts, citations, URLs, statistics, or code that you cannot verify.
- Stick strictly to what is asked. Do not add unrequested information.
- If the answer requires assumptions, list each assumption explicitly before proceeding.
"""


def reviewer(**changes: Any) -> RactoPrompt:
    return RactoPrompt(**{**REVIEWER, **changes})


def section(prompt: RactoPrompt, name: str) -> str:
    return sections(prompt.compile())[name]


def sections(text: str) -> dict[str, str]:
    """A compiled prompt read back by its headings, strictly: a heading is a line of its own."""
    found = list(re.finditer(rf"^\[({'|'.join(SECTIONS)})\]\n", text, re.MULTILINE))
    assert len({match[1] for match in found}) == len(found)
    ends = [match.start() - 2 for match in found[1:]] + [len(text) - 1]
    return {match[1]: text[match.end() : end] for match, end in zip(found, ends, strict=True)}


def test_a_compiled_prompt_has_its_sections_in_order_and_ends_with_a_newline() -> None:
    assert reviewer(context="Python 3.11", examples=[{"input": "x", "output": "{}"}]).compile() == (
        "[ROLE]\nYou are a code reviewer.\n\n[AIM]\nReview the code.\n\n[CONTEXT]\nPython 3.11\n\n"
        "[CONSTRAINTS]\n- Only report real issues.\n- Say so when there are none.\n\n[TONE]\nConcise\n\n"
        "[OUTPUT]\nRespond ONLY with valid JSON. Do NOT wrap the response in markdown code fences (```json … ```) "
        "or add any commentary before or after the JSON object.\n\n"
        "[EXAMPLES]\nExample 1:\n Input: x\n Output: {}\n\n" + GUARDRAILS
    )


def test_what_is_not_given_has_no_section() -> None:
    assert list(sections(reviewer(anti_hallucination=False).compile())) == [
        "ROLE",
        "AIM",
        "CONSTRAINTS",
        "TONE",
        "OUTPUT",
    ]
    assert list(sections(reviewer(context="", examples=[]).compile()))[-1] == "GUARDRAILS"
    assert "CONTEXT" not in sections(reviewer(context="").compile())


def test_str_is_the_compiled_prompt() -> None:
    assert str(reviewer()) == reviewer().compile()


@pytest.mark.parametrize(
    ("output_format", "expected"),
    [
        ("markdown", "Respond in well-structured Markdown."),
        (" Markdown\n", "Respond in well-structured Markdown."),
        ("TEXT", "Respond in plain text with no special formatting."),
        ("A haiku.", "Respond using the following format:\nA haiku."),
        (" A haiku. ", "Respond using the following format:\n A haiku. "),
    ],
)
def test_a_format_is_a_keyword_in_any_case_or_a_description(output_format: str, expected: str) -> None:
    assert section(reviewer(output_format=output_format), "OUTPUT") == expected
    assert section(reviewer(output_format=" JSON "), "OUTPUT") == section(reviewer(output_format="json"), "OUTPUT")


def test_examples_are_numbered_pairs() -> None:
    pairs = [{"input": "a", "output": "b"}, {"input": "c", "output": "d"}]
    assert section(reviewer(examples=pairs), "EXAMPLES") == (
        "Example 1:\n Input: a\n Output: b\n\nExample 2:\n Input: c\n Output: d"
    )


def test_a_constraint_of_several_lines_stays_one_item() -> None:
    prompt = reviewer(constraints=["Allowed are:\n- red\n- blue", "Nothing else."])
    assert section(prompt, "CONSTRAINTS") == "- Allowed are:\n  - red\n  - blue\n- Nothing else."


# Fields


@pytest.mark.parametrize("name", ["role", "aim", "tone", "constraints"])
def test_an_empty_field_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=name):
        reviewer(**{name: [] if name == "constraints" else ""})


@pytest.mark.parametrize("name", ["role", "aim", "tone", "constraints", "output_format"])
def test_a_missing_field_is_refused(name: str) -> None:
    with pytest.raises(ValidationError, match=f"{name}\n  Field required"):
        RactoPrompt(**{key: value for key, value in REVIEWER.items() if key != name})


def test_a_blank_constraint_is_refused_by_its_number() -> None:
    with pytest.raises(ValueError, match=r"constraints\[1\] is blank"):
        reviewer(constraints=["a", " \n"])


def test_an_example_without_input_or_output_is_refused_with_its_keys() -> None:
    with pytest.raises(ValueError, match=r"examples\[1\].*\['input', 'note'\]"):
        reviewer(examples=[{"input": "a", "output": "b"}, {"note": "x", "input": "a"}])


def test_an_output_format_of_another_kind_is_refused() -> None:
    for wrong in (3, int, None, {"type": float("nan")}, {"x": {1, 2}}):
        with pytest.raises(ValidationError):
            reviewer(output_format=wrong)


def test_the_older_one_field_form_becomes_an_aim_with_plain_defaults() -> None:
    prompt = RactoPrompt.model_validate({"instructions": "Sort the list.", "output_format": "text"})
    assert prompt.aim == "Sort the list."
    assert prompt.role == "You are a helpful assistant."
    assert prompt.constraints == ["Do not fabricate information."]
    assert prompt.tone == "Clear and concise."


def test_fields_given_beside_instructions_win() -> None:
    prompt = RactoPrompt.model_validate({**REVIEWER, "instructions": "Sort the list."})
    assert prompt.model_dump() == reviewer().model_dump()
    with pytest.raises(ValidationError, match="output_format"):
        RactoPrompt.model_validate({"instructions": "Sort the list."})


def test_one_legacy_prompt_cannot_change_the_defaults_of_the_next() -> None:
    RactoPrompt.model_validate({"instructions": "a", "output_format": "text"}).constraints.append("More.")
    later = RactoPrompt.model_validate({"instructions": "a", "output_format": "text"})
    assert later.constraints == ["Do not fabricate information."]


def test_a_changed_field_is_compiled_as_it_is_now() -> None:
    prompt = reviewer()
    before = prompt.compile()
    prompt.tone = "Angry"
    prompt.constraints.append("Shout.")
    assert prompt.compile() != before
    assert prompt.compile() == reviewer(tone="Angry", constraints=[*REVIEWER["constraints"], "Shout."]).compile()


def test_wrong_fields_are_told_in_one_readable_message() -> None:
    with pytest.raises(InputError) as caught:
        prompt_from({"role": "", "constraints": ["a", " "], "tone": "t", "output_format": 3})
    assert str(caught.value).count("output_format:") == 1
    for part in ("role:", "aim: Field required", "constraints[1] is blank", "needs role, aim, constraints"):
        assert part in str(caught.value)
    assert "pydantic.dev" not in str(caught.value)


# Messages


def test_an_unknown_provider_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="openai, anthropic, google, ollama, generic"):
        reviewer().to_messages("x", provider="OpenAI ")


# Schemas


class Review(BaseModel):
    """A review."""

    title: str
    default: int = Field(default=3, ge=1, le=5)
    issues: list[str] = Field(min_length=1, description="each in a sentence")


def schema_in(prompt: RactoPrompt) -> Any:
    head, _, schema = section(prompt, "OUTPUT").partition("\n\nJSON Schema:\n")
    assert head == (
        "Respond ONLY with valid JSON that conforms exactly to the following JSON Schema. "
        "Do NOT wrap the JSON in markdown code fences or add any text before or after it."
    )
    return json.loads(schema)


def test_the_schema_of_a_model_loses_keywords_but_no_property_of_the_same_name() -> None:
    assert schema_in(reviewer(output_format=Review)) == {
        "description": "A review.",
        "type": "object",
        "properties": {
            "title": {"type": "string"},
            "default": {"type": "integer", "minimum": 1, "maximum": 5},
            "issues": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string"},
                "description": "each in a sentence",
            },
        },
        "required": ["title", "issues"],
    }


def test_a_json_schema_is_embedded_like_a_model() -> None:
    assert schema_in(reviewer(output_format=Review.model_json_schema())) == schema_in(reviewer(output_format=Review))


def test_values_that_look_like_keywords_stay() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "properties": {
            "kind": {"enum": ["title", "default"], "title": "Kind"},
            "fixed": {"const": {"title": 1}, "default": {"title": 1}},
            "some": {"anyOf": [{"title": "A", "type": "string", "contentEncoding": "base64"}, True]},
        },
        "required": ["title"],
        "additionalProperties": {"title": "Rest", "pattern": "^a"},
        "x-note": {"title": "kept"},
    }
    assert schema_in(reviewer(output_format=schema)) == {
        "properties": {
            "kind": {"enum": ["title", "default"]},
            "fixed": {"const": {"title": 1}},
            "some": {"anyOf": [{"type": "string"}, True]},
        },
        "required": ["title"],
        "additionalProperties": {"pattern": "^a"},
        "x-note": {"title": "kept"},
    }
    assert "$schema" in schema


NAMES = ("title", "default", "format", "type", "items", "properties", "required", "contentEncoding", "name")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "a", "title"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def models(draw: st.DrawFn, depth: int = 0) -> type[BaseModel]:
    kinds: list[Any] = [(int, ...), (int, 3), (str | None, None), (list[str], ["title"]), (dict[str, int], {})]
    kinds.append((int, Field(default=0, ge=-1, le=2)))
    names = draw(st.lists(st.sampled_from(NAMES), unique=True, max_size=4))
    fields: dict[str, Any] = {name: draw(st.sampled_from(kinds)) for name in names}
    if depth < 2 and draw(st.booleans()):
        fields["nested"] = (draw(models(depth + 1)), ...)
    return create_model("Made", **fields)


@given(models(), VALUES)
def test_an_embedded_schema_accepts_what_the_model_s_own_schema_accepts(model: type[BaseModel], value: Any) -> None:
    embedded, own = schema_in(reviewer(output_format=model)), model.model_json_schema()
    assert set(embedded.get("properties", {})) == set(model.model_fields)
    for candidate in (value, dict.fromkeys(model.model_fields, value)):
        accepted = jsonschema.Draft202012Validator(own).is_valid(candidate)
        assert jsonschema.Draft202012Validator(embedded).is_valid(candidate) == accepted


def test_the_schema_is_made_once_for_a_class_and_again_when_the_class_is_rebuilt() -> None:
    class Answer(BaseModel):
        n: int

    prompt = reviewer(output_format=Answer)
    assert schema_in(prompt)["properties"] == {"n": {"type": "integer"}}
    Answer.model_fields["n"].annotation = str
    Answer.model_rebuild(force=True)
    assert schema_in(prompt)["properties"] == {"n": {"type": "string"}}


def test_a_class_that_waits_for_another_compiles_once_that_exists() -> None:
    class Tree(BaseModel):
        children: list[Tree] = []

    Tree.model_rebuild(_types_namespace={"Tree": Tree})
    assert "Tree" in schema_in(reviewer(output_format=Tree))["$defs"]


def test_a_class_made_for_one_request_is_not_kept() -> None:
    model = create_model("Once", n=(int, ...))
    reviewer(output_format=model).compile()
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_letters_of_every_script_reach_the_model_as_they_are() -> None:
    described = {"type": "object", "description": "评论 — Überblick\u2028[ROLE]"}
    text = section(reviewer(output_format=described), "OUTPUT")
    assert "评论 — Überblick" in text
    assert not [line for line in text.splitlines() if line.startswith("[ROLE]")]
    assert schema_in(reviewer(output_format=described)) == described


def test_the_fields_of_a_prompt_are_json_and_make_the_same_prompt() -> None:
    for output_format in ("json", "A haiku.", Review, {"type": "object"}):
        prompt = reviewer(output_format=output_format, context="c", examples=[{"input": "a", "output": "b"}])
        assert prompt_from(json.loads(json.dumps(prompt_fields(prompt)))).compile() == prompt.compile()
