"""What is asked of every provider. Each function is one scenario and its name the sentence that must be true."""

from __future__ import annotations

import asyncio
import io
import logging
import traceback
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import pytest
from racto.agents.providers import Provider
from racto.knowledge.errors import (
    ConnectionLostError,
    ContextLengthError,
    MalformedResponseError,
    ModelNotAvailableError,
    OverloadedError,
    RactoGatewayAPIError,
    RactoGatewayAuthError,
    RactoGatewayError,
    RactoGatewayTimeoutError,
    RateLimitedError,
    UnsupportedParameterError,
)
from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import (
    ChatRequest,
    EmbeddingConfig,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    ReasoningConfig,
    StreamChunk,
    ToolCallResult,
    ToolSpec,
)

from tests import dialects
from tests.dialects.server import REQUEST_ID

SHORT = 0.3
"""Seconds after which a silent line is given up where a scenario waits for exactly that."""


@dataclass(frozen=True)
class Scenario:
    """One thing that must be true.

    :param ways: `chat`, `stream`: asked in each; ("call",) for what is neither.
    :param needs: Capabilities without which it says nothing about a provider.
    """

    check: Callable[[Examined], Awaitable[None]]
    ways: tuple[str, ...]
    needs: frozenset[str]


SCENARIOS: dict[str, Scenario] = {}


def scenario(
    *needs: str, ways: tuple[str, ...] = ("chat", "stream")
) -> Callable[[Callable[[Examined], Awaitable[None]]], None]:
    """Make a function a scenario."""

    def add(check: Callable[[Examined], Awaitable[None]]) -> None:
        needed = frozenset(needs) | {way for way in ways if way != "call"}
        SCENARIOS[check.__name__.replace("_", " ")] = Scenario(check, ways, needed)

    return add


@dataclass
class Examined:
    """A provider, the server it is pointed at, and whether to ask by `chat` or by `stream`."""

    provider: Provider
    dialect: Any
    way: str

    def request(self, name: str, **changes: Any) -> ChatRequest:
        """A request for a scenario of the server."""
        plain: dict[str, Any] = {
            "model": name,
            "messages": [Message(role=MessageRole.USER, content="Hello")],
            "system": "Be brief.",
            "max_tokens": 64,
            "timeout": 10.0,
        }
        return ChatRequest(**(plain | changes))

    async def ask(self, name: str, **changes: Any) -> LLMResponse:
        """The whole answer, whichever way it was asked for."""
        request = self.request(name, **changes)
        if self.way == "chat":
            return await self.provider.chat(request)
        return whole_of([chunk async for chunk in self.provider.stream(request)])

    async def failure(self, kind: type[RactoGatewayError], name: str, **changes: Any) -> RactoGatewayError:
        """The error, which must be exactly of this kind, name the provider and model and show no key."""
        with pytest.raises(RactoGatewayError) as caught:
            await self.ask(name, **changes)
        error = caught.value
        assert type(error) is kind, repr(error)
        assert error.provider == self.provider.name
        assert error.model == name
        assert dialects.KEY not in str(error)
        assert dialects.KEY not in "".join(traceback.format_exception(error))
        return error

    @property
    def sent(self) -> Any:
        """The request that asked, as the server received it: the last with a body."""
        return [request for request in self.dialect.received if request.body is not None][-1]


def whole_of(chunks: list[StreamChunk]) -> LLMResponse:
    """The answer of a stream, which must have been told in order: pieces that add up, and one final chunk with everything."""
    *parts, last = chunks
    assert last.is_final
    text = thinking = ""
    fragments: dict[str, str] = {}
    for chunk in parts:
        assert not chunk.is_final
        assert (chunk.finish_reason, chunk.tool_calls, chunk.usage, chunk.response) == (None, [], {}, None)
        text += chunk.delta.text
        thinking += chunk.delta.thinking
        assert (chunk.accumulated_text, chunk.accumulated_thinking) == (text, thinking)
        if chunk.delta.tool_call_id:
            assert chunk.delta.tool_call_name
            fragments[chunk.delta.tool_call_id] = fragments.get(chunk.delta.tool_call_id, "") + (
                chunk.delta.tool_call_args_fragment or ""
            )
        assert chunk.raw is not None
    assert (last.accumulated_text, last.accumulated_thinking) == (text, thinking)
    response = last.response
    assert response is not None
    assert (last.finish_reason, last.tool_calls, last.usage) == (
        response.finish_reason,
        response.tool_calls,
        response.usage,
    )
    assert {call.id for call in response.tool_calls} <= set(fragments)
    return response


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


# Failures


def _status(status: int, kind: type[RactoGatewayError], *, transient: bool) -> None:
    async def check(x: Examined) -> None:
        error = await x.failure(kind, f"status-{status}")
        assert isinstance(error, RactoGatewayAPIError)
        assert error.status_code == status
        assert error.transient is transient
        assert error.request_id == REQUEST_ID
        assert error.hint or kind is RactoGatewayAPIError

    check.__name__ = f"status_{status}_is_{kind.code}"
    scenario()(check)


_status(400, RactoGatewayAPIError, transient=False)
_status(401, RactoGatewayAuthError, transient=False)
_status(403, RactoGatewayAuthError, transient=False)
_status(404, ModelNotAvailableError, transient=False)
_status(408, RactoGatewayAPIError, transient=True)
_status(429, RateLimitedError, transient=True)
_status(500, RactoGatewayAPIError, transient=True)
_status(503, OverloadedError, transient=True)
_status(529, OverloadedError, transient=True)


@scenario()
async def the_wait_a_provider_asks_for_is_told(x: Examined) -> None:
    error = await x.failure(RateLimitedError, "status-429")
    assert isinstance(error, RateLimitedError)
    assert error.retry_after == dialects.RETRY_AFTER


@scenario()
async def no_key_is_in_the_log(x: Examined) -> None:
    heard = io.StringIO()
    listener = logging.StreamHandler(heard)
    root = logging.getLogger()
    level = root.level
    root.addHandler(listener)
    root.setLevel(logging.DEBUG)
    try:
        await x.ask("plain")
        await x.failure(RactoGatewayAuthError, "status-401")
        await x.failure(ConnectionLostError, "cut-before")
    finally:
        root.removeHandler(listener)
        root.setLevel(level)
    assert heard.getvalue(), "nobody logged anything"
    assert dialects.KEY not in heard.getvalue()


@scenario()
async def the_sdk_does_not_try_again_by_itself(x: Examined) -> None:
    await x.failure(RactoGatewayAPIError, "status-500")
    assert len([request for request in x.dialect.received if request.body is not None]) == 1


@scenario()
async def a_quota_that_is_used_up_is_not_worth_another_try(x: Examined) -> None:
    assert not (await x.failure(RactoGatewayAPIError, "exhausted")).transient


@scenario()
async def a_conversation_that_is_too_long_is_called_that(x: Examined) -> None:
    assert not (await x.failure(ContextLengthError, "overflow")).transient


@scenario()
async def a_parameter_the_model_does_not_take_is_named(x: Examined) -> None:
    error = await x.failure(UnsupportedParameterError, "unsupported-parameter", parameters={"temperature": 0.7})
    assert isinstance(error, UnsupportedParameterError)
    assert error.parameter == "temperature"


@scenario()
async def a_proxys_error_page_is_a_failure_of_the_server(x: Examined) -> None:
    error = await x.failure(RactoGatewayAPIError, "gateway-502")
    assert error.transient


@scenario(ways=("chat",))
async def an_error_told_with_status_200_is_an_error(x: Examined) -> None:
    with pytest.raises(RactoGatewayAPIError) as caught:
        await x.ask("error-in-200")
    assert caught.value.transient


@scenario()
async def an_answer_that_is_not_json_is_malformed(x: Examined) -> None:
    if x.way == "chat":
        await x.failure(MalformedResponseError, "malformed-json")
    else:
        await x.failure(MalformedResponseError, "malformed-event")


@scenario(ways=("chat",))
async def an_answer_of_another_shape_is_malformed(x: Examined) -> None:
    await x.failure(MalformedResponseError, "not-an-object")
    await x.failure(MalformedResponseError, "html")


@scenario()
async def a_line_cut_before_the_answer_is_lost(x: Examined) -> None:
    assert (await x.failure(ConnectionLostError, "cut-before")).transient


@scenario()
async def an_address_where_nobody_listens_is_a_lost_line(x: Examined) -> None:
    from racto.agents.providers import make

    nowhere = make(x.dialect.provider, **x.dialect.options("http://127.0.0.1:1"))
    try:
        with pytest.raises(ConnectionLostError):
            await Examined(nowhere, x.dialect, x.way).ask("plain")
    finally:
        await nowhere.aclose()


@scenario()
async def a_first_byte_that_does_not_come_is_a_timeout(x: Examined) -> None:
    assert (await x.failure(RactoGatewayTimeoutError, "slow-first-byte", timeout=SHORT)).transient


async def _first_words_then(x: Examined, kind: type[RactoGatewayError], name: str, **changes: Any) -> RactoGatewayError:
    """The error after the first piece, which must have been handed over before."""
    stream = x.provider.stream(x.request(name, **changes))
    first = await anext(stream)
    assert first.delta.text == dialects.PIECES[0]
    with pytest.raises(RactoGatewayError) as caught:
        await anext(stream)
    assert type(caught.value) is kind, repr(caught.value)
    assert (caught.value.provider, caught.value.model) == (x.provider.name, name)
    return caught.value


@scenario(ways=("stream",))
async def an_error_in_the_middle_of_a_stream_is_told_after_its_first_words(x: Examined) -> None:
    stream = x.provider.stream(x.request("mid-stream-error"))
    assert (await anext(stream)).delta.text == dialects.PIECES[0]
    with pytest.raises(RactoGatewayAPIError) as caught:
        await anext(stream)
    assert caught.value.transient
    assert caught.value.status_code in (500, 503, 529)


@scenario(ways=("stream",))
async def a_stream_that_is_cut_is_a_lost_line(x: Examined) -> None:
    await _first_words_then(x, ConnectionLostError, "cut-stream")


@scenario(ways=("stream",))
async def a_stream_that_ends_without_an_end_of_the_answer_is_a_lost_line(x: Examined) -> None:
    await _first_words_then(x, ConnectionLostError, "unfinished-stream")


@scenario(ways=("stream",))
async def a_stream_that_stalls_is_a_timeout(x: Examined) -> None:
    await _first_words_then(x, RactoGatewayTimeoutError, "stalled-stream", timeout=SHORT)
    await x.dialect.gone.wait()


@scenario(ways=("stream",))
async def closing_a_stream_hangs_up(x: Examined) -> None:
    stream: Any = x.provider.stream(x.request("stalled-stream"))
    async with aclosing(stream):
        async for chunk in stream:
            assert chunk.delta.text == dialects.PIECES[0]
            break
    await x.dialect.gone.wait()


@scenario()
async def a_cancelled_caller_hangs_up(x: Examined) -> None:
    task = asyncio.ensure_future(x.ask("slow-first-byte"))
    await x.dialect.waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await x.dialect.gone.wait()


@scenario()
async def a_second_call_uses_the_same_line(x: Examined) -> None:
    await x.ask("plain")
    await x.ask("plain")
    asked = [
        line for line, request in zip(x.dialect.lines, x.dialect.received, strict=True) if request.body is not None
    ]
    assert asked[0].writer is asked[-1].writer


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
