"""Schemas for OpenAI's strict mode: closed and complete, and never with a different meaning."""

from __future__ import annotations

import copy
from enum import Enum
from typing import Annotated, Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from racto.agents.providers.openai_schema import strict_schema


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Leaf(BaseModel):
    colour: Colour = Field(description="Of the leaf.")
    veins: int | None = None


class Tree(BaseModel):
    name: Annotated[str, Field(min_length=1)]
    leaves: list[Leaf]
    first: Leaf = Field(description="The first leaf.")
    kind: Literal["oak", "ash"] | None = Field(default=None, examples=["oak"])


class Node(BaseModel):
    value: int
    next: Node | None = None


class Defaulted(BaseModel):
    name: str = "nobody"


class Mapped(BaseModel):
    counts: dict[str, int]


class Anything(BaseModel):
    value: Any


def objects(node: Any) -> list[dict[str, Any]]:
    """Every schema of an object within a schema."""
    if isinstance(node, list):
        return [found for item in node for found in objects(item)]
    if not isinstance(node, dict):
        return []
    below = [found for value in node.values() for found in objects(value)]
    return [node, *below] if node.get("type") == "object" else below


@pytest.mark.parametrize("model", [Tree, Node])
def test_a_model_becomes_a_strict_schema_of_the_same_name(model: type[BaseModel]) -> None:
    before = model.model_json_schema()
    kept = copy.deepcopy(before)
    schema, strict = strict_schema(before)
    assert before == kept, "the caller's schema was changed"
    assert strict
    found = objects(schema)
    assert found
    for each in found:
        assert each["additionalProperties"] is False
        assert each["required"] == list(each["properties"])
    assert "minLength" not in str(schema)
    assert schema["type"] == "object"


def test_a_reference_has_no_neighbours() -> None:
    schema, _ = strict_schema(Tree.model_json_schema())
    assert schema["properties"]["first"] == {"anyOf": [{"$ref": "#/$defs/Leaf"}], "description": "The first leaf."}


@pytest.mark.parametrize("model", [Defaulted, Mapped, Anything])
def test_what_strictness_would_have_invented_is_a_hint_only(model: type[BaseModel]) -> None:
    before = model.model_json_schema()
    assert strict_schema(before) == (before, False)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"anyOf": [{"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}]},
        {"type": "object", "properties": {"a": {"type": "array"}}, "required": ["a"]},
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}, "required": ["a"]},
        {"type": "object", "properties": {"a": True}, "required": ["a"]},
        {},
    ],
)
def test_what_strict_mode_cannot_say_is_left_as_it_was(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) == (schema, False)


def test_a_property_may_have_the_name_of_a_keyword() -> None:
    names = ["not", "properties", "default", "oneOf", "type"]
    before = {"type": "object", "properties": {name: {"type": "string"} for name in names}, "required": names}
    schema, strict = strict_schema(before)
    assert strict
    assert list(schema["properties"]) == names


SCALARS = st.sampled_from(
    [{"type": "string"}, {"type": "integer"}, {"type": ["string", "null"]}, {"enum": ["a", None]}]
)
SCHEMAS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        inner.map(lambda items: {"type": "array", "items": items}),
        st.lists(inner, min_size=1, max_size=3).map(lambda each: {"anyOf": each}),
        st.tuples(st.dictionaries(st.sampled_from("abc"), inner, max_size=3), st.sets(st.sampled_from("abc"))).map(
            lambda made: {"type": "object", "properties": made[0], "required": sorted(made[1] & set(made[0]))}
        ),
    ),
    max_leaves=6,
)
VALUES = st.recursive(
    st.sampled_from(["x", "a", 1, None]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from("abc"), SCHEMAS, min_size=1), st.sets(st.sampled_from("abc")), VALUES)
def test_whatever_the_strict_schema_lets_through_the_first_one_does_too(
    properties: dict[str, Any], required: set[str], value: Any
) -> None:
    before = {"type": "object", "properties": properties, "required": sorted(required & set(properties))}
    schema, strict = strict_schema(before)
    jsonschema.Draft202012Validator.check_schema(schema)
    if strict and jsonschema.Draft202012Validator(schema).is_valid(value):
        jsonschema.validate(value, before, jsonschema.Draft202012Validator)
