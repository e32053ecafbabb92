"""What only Anthropic's dialect has, over the wire; what every dialect has is in `test_providers.py`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.agents.providers import make
from racto.agents.providers.anthropic_messages import body
from racto.knowledge.errors import (
    ContextLengthError,
    ModelNotAvailableError,
    RactoGatewayAPIError,
    UnsupportedParameterError,
)
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import (
    EmbeddingConfig,
    FinishReason,
    Message,
    MessageRole,
    ReasoningConfig,
    ToolCallResult,
)

from tests import dialects
from tests.dialects.anthropic import Anthropic
from tests.exchanges import WAYS, Check, examined, request, turn_of
from tests.provider_contract import Examined
from tests.provider_scenarios import TOOLS


def body_of(**fields: Any) -> Any:
    """The body of a request."""
    return body(request(fields.pop("model", "claude"), **fields))


def examine(check: Check, way: str = "chat") -> None:
    """Run a check with a provider and its server."""
    asyncio.run(examined(Anthropic(), check, way))


# Parameters


@WAYS
def test_sampling_parameters_the_api_no_longer_has_are_refused_by_name_before_anything_is_sent(way: str) -> None:
    async def check(x: Examined) -> None:
        with pytest.raises(UnsupportedParameterError, match="temperature, top_k, seed") as caught:
            await x.ask("plain", parameters={"temperature": 0.1, "stop": ["END"], "top_k": 3, "seed": 1})
        assert caught.value.parameter == "temperature"
        assert (caught.value.provider, caught.value.model) == ("anthropic", "plain")
        assert x.dialect.received == []

    examine(check, way)


@pytest.mark.parametrize(
    ("words", "parameter"),
    [
        ("temperature: Extra inputs are not permitted", "temperature"),
        ("`top_p` is deprecated for this model.", "top_p"),
        ("This model does not support the effort parameter.", "reasoning"),
        ("adaptive thinking: this model does not support adaptive thinking", "reasoning"),
        ("'claude-2' does not support structured outputs.", "response_schema"),
        ("output_config.format: Extra inputs are not permitted", "response_schema"),
        ("stop_sequences: Extra inputs are not permitted", "stop"),
    ],
)
def test_a_refused_parameter_is_named_as_a_caller_knows_it(words: str, parameter: str) -> None:
    async def check(x: Examined) -> None:
        with pytest.raises(UnsupportedParameterError) as caught:
            await x.ask("refuse-with", messages=[Message(role=MessageRole.USER, content=words)])
        assert caught.value.parameter == parameter

    examine(check)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("prompt is too long: 210000 tokens > 200000 maximum", ContextLengthError),
        ("input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000", ContextLengthError),
        ("messages.1.content.0.text: text content blocks must be non-empty", RactoGatewayAPIError),
        ("messages: roles must alternate", RactoGatewayAPIError),
    ],
)
def test_a_refusal_of_the_request_is_told_for_what_it_is(words: str, kind: type[RactoGatewayAPIError]) -> None:
    async def check(x: Examined) -> None:
        with pytest.raises(RactoGatewayAPIError) as caught:
            await x.ask("refuse-with", messages=[Message(role=MessageRole.USER, content=words)])
        assert type(caught.value) is kind
        assert not caught.value.transient

    examine(check)


def test_reasoning_is_asked_for_in_effort_or_in_tokens_or_not_at_all() -> None:
    def asked(**fields: Any) -> tuple[Any, Any]:
        made = body_of(reasoning=ReasoningConfig(**fields))
        return made["thinking"], made.get("output_config")

    summarized = {"type": "adaptive", "display": "summarized"}
    assert asked() == (summarized, None)
    assert asked(effort="high") == (summarized, {"effort": "high"})
    assert asked(effort="minimal") == (summarized, {"effort": "low"})
    assert asked(effort="none") == ({"type": "disabled"}, None)
    assert asked(budget_tokens=0) == ({"type": "disabled"}, None)
    assert asked(budget_tokens=5000, include=False) == (
        {"type": "enabled", "budget_tokens": 5000, "display": "omitted"},
        None,
    )
    assert asked(budget_tokens=7)[0]["budget_tokens"] == 1024, "the API refuses less"
    assert "thinking" not in body_of()


def test_calls_of_several_tools_at_once_can_be_switched_off() -> None:
    def choice(**fields: Any) -> Any:
        return body_of(tools=TOOLS, **fields).get("tool_choice")

    assert choice() is None
    assert choice(parallel_tool_calls=True) is None
    assert choice(parallel_tool_calls=False) == {"type": "auto", "disable_parallel_tool_use": True}
    assert choice(parallel_tool_calls=False, tool_choice="required") == {
        "type": "any",
        "disable_parallel_tool_use": True,
    }
    assert choice(parallel_tool_calls=False, tool_choice="none") == {"type": "none"}
    assert "tool_choice" not in body_of(tool_choice="none", parallel_tool_calls=False), "there are no tools"


def test_what_is_extra_joins_what_is_ours() -> None:
    made = body_of(extra={"output_config": {"effort": "max"}, "max_tokens": 1}, response_schema=dialects.SCHEMA)
    assert made["output_config"]["effort"] == "max"
    assert made["output_config"]["format"]["type"] == "json_schema"
    assert made["max_tokens"] == 4096


# Schemas


def test_a_schema_says_what_the_api_cannot_check_in_words() -> None:
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "minimum": 0}, "who": {"$ref": "#/$defs/Who"}},
        "required": ["age"],
        "$defs": {"Who": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    }
    sent = body_of(response_schema=schema)["output_config"]["format"]["schema"]
    assert sent["additionalProperties"] is False
    assert sent["$defs"]["Who"]["additionalProperties"] is False
    assert "minimum" not in sent["properties"]["age"]
    assert "minimum: 0" in sent["properties"]["age"]["description"]
    assert schema["properties"] == {"age": {"type": "integer", "minimum": 0}, "who": {"$ref": "#/$defs/Who"}}


@pytest.mark.parametrize(
    "open_part",
    [
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"type": "object"},
        {},
        {"type": ["string", "null"]},
        {
            "type": "array",
            "items": {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True},
        },
        {"anyOf": [{"type": "string"}, {"type": "object", "patternProperties": {"^x": {"type": "string"}}}]},
    ],
)
def test_a_schema_the_api_would_change_is_asked_for_in_the_system_prompt(open_part: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"part": open_part}, "required": ["part"]}
    made = body_of(system="Be brief.", response_schema=schema)
    assert "output_config" not in made
    assert made["system"].startswith("Be brief.")
    assert json.loads(made["system"].partition("JSON Schema:")[2]) == schema


_NAMES = st.sampled_from(["a", "b", "c"])
_LEAVES: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.sampled_from(["string", "integer", "number", "boolean", "null"]).map(lambda kind: {"type": kind}),
    st.lists(st.text(max_size=3), min_size=1, max_size=3).map(lambda values: {"enum": values}),
    st.just({"type": "string", "format": "email", "maxLength": 5}),
    st.just({}),
)
_SCHEMAS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(_NAMES, inner, max_size=3).map(lambda named: {"type": "object", "properties": named}),
        inner.map(lambda item: {"type": "array", "items": item, "minItems": 2}),
        st.lists(inner, min_size=1, max_size=3).map(lambda some: {"anyOf": some}),
        inner.map(lambda value: {"type": "object", "additionalProperties": value}),
    ),
    max_leaves=8,
)


@given(schema=_SCHEMAS)
@settings(max_examples=150, deadline=None)
def test_any_schema_is_either_closed_everywhere_or_said_in_words(schema: dict[str, Any]) -> None:
    before = json.dumps(schema)
    made = body_of(response_schema=schema)
    assert json.dumps(schema) == before
    sent = made.get("output_config", {}).get("format", {}).get("schema")
    assert (sent is None) == ("JSON Schema" in made.get("system", ""))
    if sent is not None:
        assert all(node["additionalProperties"] is False for node in _objects(sent))


def _objects(node: Any) -> list[Mapping[str, Any]]:
    if isinstance(node, list):
        return [found for item in node for found in _objects(item)]
    if not isinstance(node, dict):
        return []
    inner = [found for value in node.values() for found in _objects(value)]
    return [node, *inner] if node.get("type") == "object" else inner


# Turns


@WAYS
def test_signed_thinking_goes_back_untouched_before_the_calls_it_led_to(way: str) -> None:
    async def check(x: Examined) -> None:
        first = await x.ask("thinking-and-tools", tools=TOOLS, reasoning=ReasoningConfig())
        assert first.thinking == dialects.THINKING
        results = [Message(role=MessageRole.TOOL, content="fine", tool_call_id=call.id) for call in first.tool_calls]
        asked = Message(role=MessageRole.USER, content="Weather?")
        await x.ask("plain", messages=[asked, turn_of(first), *results], tools=TOOLS)
        assert [turn["role"] for turn in x.sent.body["messages"]] == ["user", "assistant", "user"]
        assert x.sent.body["messages"][1]["content"] == [
            {"type": "thinking", "thinking": dialects.THINKING, "signature": "c2lnbmVk"},
            {"type": "redacted_thinking", "data": "ZW5jcnlwdGVk"},
            {"type": "tool_use", "id": "toolu_0", "name": "get_weather", "input": dialects.CALLS[0][1]},
            {"type": "tool_use", "id": "toolu_1", "name": "get_time", "input": {}},
        ]

    examine(check, way)


def test_what_another_provider_kept_is_passed_by() -> None:
    turn = Message(role=MessageRole.ASSISTANT, content="Yes.", native={"google": [{"text": "Yes."}]})
    assert body_of(messages=[turn])["messages"] == [{"role": "assistant", "content": "Yes."}]


@WAYS
def test_a_call_of_which_no_argument_came_before_the_cut_is_not_a_call_without_arguments(way: str) -> None:
    async def check(x: Examined) -> None:
        response = await x.ask("cut-before-arguments", tools=TOOLS)
        assert response.finish_reason is FinishReason.LENGTH
        assert response.tool_calls == []
        assert any("get_weather" in warning for warning in response.warnings)

    examine(check, way)


@WAYS
def test_a_paused_turn_is_not_whole_and_can_be_sent_again_to_go_on(way: str) -> None:
    async def check(x: Examined) -> None:
        response = await x.ask("paused")
        assert response.finish_reason is FinishReason.LENGTH
        assert any("paused" in warning for warning in response.warnings)
        await x.ask("plain", messages=[Message(role=MessageRole.USER, content="News?"), turn_of(response)])
        searched, text = x.sent.body["messages"][1]["content"]
        assert searched == {
            "type": "server_tool_use",
            "id": "srvtoolu_1",
            "name": "web_search",
            "input": {"query": "news"},
        }
        assert text["text"] == dialects.TEXT

    examine(check, way)


@WAYS
def test_the_reasons_of_a_refusal_are_told(way: str) -> None:
    async def check(x: Examined) -> None:
        response = await x.ask("explained-refusal")
        assert response.finish_reason is FinishReason.CONTENT_FILTER
        assert response.warnings == ["The model refused to answer.", "It could enable harm."]

    examine(check, way)


@WAYS
@pytest.mark.parametrize(
    ("scenario", "reason"), [("window", FinishReason.LENGTH), ("stop-sequence", FinishReason.STOP)]
)
def test_every_other_end_is_told_too(scenario: str, reason: FinishReason, way: str) -> None:
    async def check(x: Examined) -> None:
        assert (await x.ask(scenario)).finish_reason is reason

    examine(check, way)


@WAYS
def test_tokens_written_to_the_cache_are_part_of_the_prompt(way: str) -> None:
    async def check(x: Examined) -> None:
        assert (await x.ask("cache-written")).usage == {
            "prompt_tokens": 41,
            "completion_tokens": 7,
            "total_tokens": 48,
            "cache_write_tokens": 30,
        }

    examine(check, way)


def test_a_stream_whose_end_was_told_does_not_wait_for_the_end_of_the_line() -> None:
    async def check(x: Examined) -> None:
        assert (await x.ask("never-ends", timeout=None)).content == dialects.TEXT
        await x.dialect.gone.wait()

    examine(check, "stream")


def test_system_messages_before_the_first_turn_join_the_system_prompt_and_later_ones_stay_where_they_are() -> None:
    said = [
        (MessageRole.SYSTEM, "Speak French."),
        (MessageRole.USER, "Hello"),
        (MessageRole.ASSISTANT, "Bonjour"),
        (MessageRole.SYSTEM, "Speak Dutch."),
        (MessageRole.USER, "And now?"),
    ]
    made = body_of(system="Be brief.", messages=[Message(role=role, content=text) for role, text in said])
    assert made["system"] == "Be brief.\n\nSpeak French."
    assert [turn["role"] for turn in made["messages"]] == ["user", "assistant", "system", "user"]


_CALLS = st.lists(
    st.builds(ToolCallResult, st.sampled_from(["t1", "t2"]), st.just("get_time")), max_size=2, unique_by=lambda c: c.id
)
_MESSAGES = st.lists(
    st.builds(
        Message,
        role=st.sampled_from(list(MessageRole)),
        content=st.sampled_from(["", "words"]),
        tool_calls=_CALLS,
        tool_call_id=st.sampled_from(["t1", "t2"]),
        attachments=st.sampled_from([[], [RactoFile(b"", "text/plain")], [RactoFile(b"x", "text/plain")]]),
    ),
    max_size=6,
)


@given(messages=_MESSAGES)
@settings(max_examples=200, deadline=None)
def test_no_turn_and_no_text_is_empty_and_results_stand_together(messages: list[Message]) -> None:
    turns = body_of(messages=messages)["messages"]
    for turn in turns:
        assert turn["content"]
        if isinstance(turn["content"], list):
            assert all(block.get("text") != "" for block in turn["content"])
    kinds = [turn["content"][0]["type"] if isinstance(turn["content"], list) else "" for turn in turns]
    assert ("tool_result", "tool_result") not in pairwise(kinds)
    results = [message for message in messages if message.role is MessageRole.TOOL]
    sent = [block for turn in turns if isinstance(turn["content"], list) for block in turn["content"]]
    assert len([block for block in sent if block["type"] == "tool_result"]) == len(results)


# Around a call


def test_anthropic_has_no_embeddings_and_says_who_has() -> None:
    with pytest.raises(ModelNotAvailableError, match="voyage"):
        asyncio.run(make("anthropic", api_key="k").embed(EmbeddingConfig(texts=["a"]), "m"))
    assert "embed" not in make("anthropic").capabilities


def test_the_models_come_with_their_limits() -> None:
    async def check(x: Examined) -> None:
        first, *_ = await x.provider.models()
        assert (first["max_input_tokens"], first["max_tokens"], first["lifecycle"]) == (200_000, 64_000, "active")
        assert len(x.dialect.received) == len(dialects.MODELS), "one a page"

    examine(check)
