"""What is asked of every provider. Each function is one scenario and its name the sentence that must be true."""

from __future__ import annotations

import pytest
from racto.knowledge.errors import (
    MalformedResponseError,
    OverloadedError,
    RactoGatewayAuthError,
    RateLimitedError,
)
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import (
    EmbeddingConfig,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    ReasoningConfig,
    ToolCallResult,
    ToolSpec,
)

from tests import dialects
from tests.dialects.server import REQUEST_ID
from tests.provider_contract import Examined, scenario

WEATHER = ToolSpec(
    "get_weather",
    "The weather of a city.",
    {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
TIME = ToolSpec("get_time", "The time.", {"type": "object", "properties": {}})
TOOLS = [WEATHER, TIME]


def is_plain(response: LLMResponse) -> None:
    """The answer of `plain`."""
    assert response.content == dialects.TEXT
    assert response.thinking is None
    assert response.parsed is None
    assert response.tool_calls == []
    assert response.finish_reason is FinishReason.STOP
    assert response.usage == dialects.PLAIN_USAGE
    assert response.warnings == []


# Answers


@scenario()
async def a_plain_answer_is_told_whole(x: Examined) -> None:
    response = await x.ask("plain")
    is_plain(response)
    assert response.provider == x.provider.name
    assert response.model.startswith("plain")
    assert response.request_id == REQUEST_ID
    assert response.raw


@scenario()
async def the_request_is_said_in_the_dialect(x: Examined) -> None:
    asked = [
        Message(role=MessageRole.USER, content="First"),
        Message(role=MessageRole.ASSISTANT, content="Second"),
        Message(role=MessageRole.USER, content="Third"),
    ]
    await x.ask("plain", messages=asked, max_tokens=77)
    assert [text for _, text in x.dialect.sent_texts(x.sent)] == ["Be brief.", "First", "Second", "Third"]
    assert x.dialect.sent_limit(x.sent) == 77
    assert x.dialect.sent_parameters(x.sent) == {}, "a parameter nobody gave was sent"


@scenario()
async def an_answer_with_unknown_fields_is_read_all_the_same(x: Examined) -> None:
    is_plain(await x.ask("unknown-fields"))


@scenario(ways=("stream",))
async def an_opening_event_that_is_missing_is_not_missed(x: Examined) -> None:
    assert (await x.ask("missing-start")).content == dialects.TEXT


@scenario(ways=("stream",))
async def usage_is_found_wherever_a_stream_tells_it(x: Examined) -> None:
    response = await x.ask("odd-usage")
    assert response.content == dialects.TEXT
    assert response.usage == dialects.PLAIN_USAGE


@scenario()
async def cached_and_reasoning_tokens_are_counted_once(x: Examined) -> None:
    assert (await x.ask("usage")).usage == dialects.FULL_USAGE


@scenario()
async def an_answer_cut_by_its_length_says_so(x: Examined) -> None:
    response = await x.ask("length")
    assert response.finish_reason is FinishReason.LENGTH
    assert response.content == dialects.TEXT


@scenario()
async def a_filtered_answer_says_so(x: Examined) -> None:
    assert (await x.ask("content-filter")).finish_reason is FinishReason.CONTENT_FILTER


@scenario()
async def a_refusal_says_so(x: Examined) -> None:
    response = await x.ask("refusal")
    assert response.finish_reason is FinishReason.CONTENT_FILTER
    assert response.warnings == ["The model refused to answer."]


@scenario()
async def an_empty_answer_is_an_answer(x: Examined) -> None:
    response = await x.ask("empty")
    assert response.content is None
    assert response.finish_reason is FinishReason.STOP


@scenario("reasoning")
async def reasoning_is_told_apart_from_the_answer(x: Examined) -> None:
    response = await x.ask("reasoning", reasoning=ReasoningConfig(effort="low"))
    assert response.thinking == dialects.THINKING
    assert response.content == dialects.TEXT


# Tools


@scenario("tools")
async def several_tool_calls_arrive_whole(x: Examined) -> None:
    response = await x.ask("tools", tools=TOOLS)
    assert [(call.name, call.arguments) for call in response.tool_calls] == dialects.CALLS
    ids = [call.id for call in response.tool_calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)
    assert response.finish_reason is FinishReason.TOOL_CALL
    assert response.content is None
    assert [name for name, _ in x.dialect.sent_tools(x.sent)] == ["get_weather", "get_time"]


@scenario("tools")
async def tool_calls_may_come_after_words(x: Examined) -> None:
    response = await x.ask("tools-and-text", tools=TOOLS)
    assert response.content == dialects.TEXT
    assert [(call.name, call.arguments) for call in response.tool_calls] == dialects.CALLS
    assert response.finish_reason is FinishReason.TOOL_CALL


@scenario("tools", ways=("chat",))
async def the_schema_of_a_tool_is_sent_as_it_is(x: Examined) -> None:
    await x.ask("tools", tools=TOOLS)
    assert x.dialect.sent_tools(x.sent)[0][1] == WEATHER.input_schema


@scenario("tools", ways=("chat",))
async def the_choice_of_a_tool_is_sent(x: Examined) -> None:
    for choice in ("auto", "none", "required", "get_time"):
        await x.ask("tools", tools=TOOLS, tool_choice=choice)
        assert x.dialect.sent_choice(x.sent) == choice


@scenario("tools")
async def calls_and_their_results_go_back_in_order(x: Examined) -> None:
    calls = [ToolCallResult("call_0x", "get_weather", {"city": "Paris"}), ToolCallResult("call_1x", "get_time", {})]
    conversation = [
        Message(role=MessageRole.USER, content="Weather and time?"),
        Message(role=MessageRole.ASSISTANT, content="", tool_calls=calls),
        Message(role=MessageRole.TOOL, content="Sunny", tool_call_id="call_0x"),
        Message(role=MessageRole.TOOL, content="Noon", tool_call_id="call_1x"),
    ]
    is_plain(await x.ask("plain", messages=conversation, tools=TOOLS))
    assert x.dialect.sent_calls(x.sent) == [(call.id, call.name, call.arguments) for call in calls]
    assert x.dialect.sent_results(x.sent) == [("call_0x", "Sunny"), ("call_1x", "Noon")]


@scenario("tools")
async def a_call_cut_off_by_the_length_is_left_out_and_said(x: Examined) -> None:
    response = await x.ask("cut-arguments", tools=TOOLS)
    assert response.finish_reason is FinishReason.LENGTH
    assert response.tool_calls == []
    assert any("get_weather" in warning for warning in response.warnings)


@scenario("tools")
async def arguments_that_are_not_json_are_a_malformed_answer(x: Examined) -> None:
    assert (await x.failure(MalformedResponseError, "broken-arguments", tools=TOOLS)).transient


# Structure


@scenario("schema")
async def a_schema_is_sent_and_its_answer_parsed(x: Examined) -> None:
    response = await x.ask("schema", response_schema=dialects.SCHEMA)
    assert response.parsed == dialects.ANSWER
    sent = x.dialect.sent_schema(x.sent)
    assert sent is not None
    assert set(sent["properties"]) == {"city", "people"}
    assert sorted(sent["required"]) == ["city", "people"]


@scenario()
async def no_schema_is_sent_when_none_was_given(x: Examined) -> None:
    await x.ask("plain")
    assert x.dialect.sent_schema(x.sent) is None


@scenario()
async def json_in_a_fence_or_in_prose_is_found(x: Examined) -> None:
    assert (await x.ask("fenced")).parsed == dialects.ANSWER
    assert (await x.ask("prose")).parsed == dialects.ANSWER


@scenario()
async def a_fence_inside_an_answer_survives(x: Examined) -> None:
    response = await x.ask("code")
    assert response.content == dialects.CODE
    assert response.parsed is None


# Files


async def _attached(x: Examined, *files: RactoFile) -> None:
    message = Message(role=MessageRole.USER, content="What is this?", attachments=list(files))
    is_plain(await x.ask("plain", messages=[message]))


@scenario("images")
async def an_image_is_sent_byte_for_byte(x: Examined) -> None:
    await _attached(x, RactoFile(dialects.PNG, "image/png", "dot.png"))
    assert x.dialect.sent_files(x.sent) == [("image/png", dialects.PNG)]


@scenario("documents")
async def a_pdf_is_sent_byte_for_byte(x: Examined) -> None:
    await _attached(x, RactoFile(dialects.PDF, "application/pdf", "paper.pdf"))
    assert x.dialect.sent_files(x.sent) == [("application/pdf", dialects.PDF)]


@scenario()
async def a_text_file_is_sent_as_text_before_the_question(x: Examined) -> None:
    await _attached(x, RactoFile(dialects.NOTE.encode(), "text/plain", "note.txt"))
    _, text = x.dialect.sent_texts(x.sent)[-1]
    assert text.index(dialects.NOTE) < text.index("What is this?")


@scenario("images", ways=("chat",))
async def files_of_an_earlier_turn_are_sent_again(x: Examined) -> None:
    picture = RactoFile(dialects.PNG, "image/png", "dot.png")
    conversation = [
        Message(role=MessageRole.USER, content="Look.", attachments=[picture]),
        Message(role=MessageRole.ASSISTANT, content="I see."),
        Message(role=MessageRole.USER, content="What is it?"),
    ]
    is_plain(await x.ask("plain", messages=conversation))
    assert picture.base64_data in str(x.sent.body)


# Parameters


@scenario(ways=("chat",))
async def the_parameters_that_were_given_are_sent(x: Examined) -> None:
    given = {
        name: value
        for name, value in {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["END"]}.items()
        if name in x.dialect.takes
    }
    await x.ask("plain", parameters=given)
    assert x.dialect.sent_parameters(x.sent) == given


@scenario(ways=("chat",))
async def what_is_extra_is_passed_on(x: Examined) -> None:
    key, value = x.dialect.extra
    await x.ask("plain", extra={key: value})
    assert x.sent.body[key] == value


# Embeddings and models


@scenario("embed", ways=("call",))
async def vectors_come_in_the_order_of_the_texts(x: Examined) -> None:
    texts = ["a banana", "no", "你好 aa"]
    response = await x.provider.embed(EmbeddingConfig(texts=texts), "plain")
    assert [(vector.index, vector.text) for vector in response.vectors] == list(enumerate(texts))
    assert [vector.vector for vector in response.vectors] == [dialects.vector_of(text) for text in texts]
    assert response.provider == x.provider.name
    assert response.model.startswith("plain")
    assert response.raw


@scenario("embed", ways=("call",))
async def more_texts_than_a_call_may_carry_go_in_several(x: Examined) -> None:
    texts = [f"{'a' * (number % 7)}{number}" for number in range(2500)]
    response = await x.provider.embed(EmbeddingConfig(texts=texts), "plain")
    assert [vector.vector for vector in response.vectors] == [dialects.vector_of(text) for text in texts]
    assert len(x.dialect.received) > 1


@scenario("embed", ways=("call",))
async def a_failed_embedding_is_one_of_our_errors(x: Examined) -> None:
    for status, kind in ((401, RactoGatewayAuthError), (429, RateLimitedError), (503, OverloadedError)):
        with pytest.raises(kind) as caught:
            await x.provider.embed(EmbeddingConfig(texts=["one"]), f"status-{status}")
        assert dialects.KEY not in str(caught.value)


@scenario(ways=("call",))
async def the_models_are_listed(x: Examined) -> None:
    assert [entry["id"] for entry in await x.provider.models()] == dialects.MODELS
