"""The model that is none: what it was told to say, the same every time, and always said to be simulated."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field
from racto.agents.providers import make
from racto.agents.providers.simulated import SIMULATED, Reply, count_tokens
from racto.knowledge.errors import OverloadedError, RactoGatewayTimeoutError, RateLimitedError
from racto.knowledge.vocabulary import (
    ChatRequest,
    EmbeddingConfig,
    FinishReason,
    LLMResponse,
    Message,
    MessageRole,
    StreamChunk,
    ToolCallResult,
    ToolSpec,
)

from tests.provider_contract import whole_of

T = TypeVar("T")


def request(text: str = "How are you?", **changes: Any) -> ChatRequest:
    """A request of the simulated model."""
    return ChatRequest(**({"model": "simulated", "messages": [Message(role=MessageRole.USER, content=text)]} | changes))


def run(waited: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine."""
    return asyncio.run(waited)


async def _all(stream: AsyncIterator[StreamChunk]) -> list[StreamChunk]:
    return [chunk async for chunk in stream]


def test_an_answer_says_that_it_is_simulated() -> None:
    response = run(make("simulated").chat(request()))
    assert response.content == "[simulated] You said: How are you?"
    assert response.warnings == [SIMULATED]
    assert response.provider == "simulated"
    assert run(make("simulated", script=["Hi"]).chat(request())).warnings == [SIMULATED]


def test_a_script_is_followed_step_by_step_and_then_ends() -> None:
    provider = make(
        "simulated", script=["one", lambda asked: asked.messages[-1].content.upper(), Reply("three", thinking="hm")]
    )
    answers = [run(provider.chat(request())) for _ in range(4)]
    assert [answer.content for answer in answers[:3]] == ["one", "HOW ARE YOU?", "three"]
    assert answers[2].thinking == "hm"
    assert "[simulated]" in str(answers[3].content)


@given(st.text(), st.text())
def test_streamed_and_whole_answers_are_the_same(text: str, thinking: str) -> None:
    def told(response: LLMResponse) -> dict[str, Any]:
        return response.model_dump(exclude={"raw", "request_id"})

    reply = Reply(text, thinking, (ToolCallResult("c1", "look", {"at": text}),))
    whole = run(make("simulated", script=[reply]).chat(request()))
    streamed = whole_of(run(_all(make("simulated", script=[reply]).stream(request()))))
    assert told(streamed) == told(whole)


def test_an_error_is_raised_where_the_script_has_one() -> None:
    provider = make(
        "simulated", script=[OverloadedError("full"), lambda _: RateLimitedError("slow", retry_after=2.0), "fine"]
    )
    with pytest.raises(OverloadedError) as caught:
        run(provider.chat(request()))
    assert (caught.value.provider, caught.value.model) == ("simulated", "simulated")
    with pytest.raises(RateLimitedError):
        run(_all(provider.stream(request())))
    assert run(provider.chat(request())).content == "fine"


def test_a_stream_breaks_after_the_words_it_was_given() -> None:
    async def listen() -> None:
        stream = make("simulated", script=[Reply("two words", error=OverloadedError("full"))]).stream(request())
        assert [(await anext(stream)).delta.text, (await anext(stream)).delta.text] == ["two", " words"]
        with pytest.raises(OverloadedError):
            await anext(stream)

    run(listen())


@pytest.mark.parametrize("reply", [Reply("slow", delay=60), Reply("slow words", pace=60)])
def test_a_delay_is_cut_by_the_limit_of_the_request(reply: Reply) -> None:
    with pytest.raises(RactoGatewayTimeoutError):
        run(_all(make("simulated", script=[reply]).stream(request(timeout=0.01))))
    if reply.delay:
        with pytest.raises(RactoGatewayTimeoutError):
            run(make("simulated", script=[reply]).chat(request(timeout=0.01)))


def test_tokens_are_counted_and_the_answer_is_no_longer_than_allowed() -> None:
    response = run(
        make("simulated", script=["One, two three."]).chat(request("Hello, you!", system="Be brief.", max_tokens=3))
    )
    assert response.content == "One, two"
    assert response.finish_reason is FinishReason.LENGTH
    assert response.usage == {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    assert count_tokens("One, two three.") == 5


class Inner(BaseModel):
    count: int = Field(ge=3)
    tags: list[str] = Field(min_length=2)


class Wanted(BaseModel):
    name: str = Field(min_length=20)
    inner: Inner
    flag: bool
    share: float
    note: str | None
    other: str = "x"


def test_a_schema_is_answered_in_its_form() -> None:
    schema = Wanted.model_json_schema()
    response = run(make("simulated").chat(request(response_schema=schema)))
    jsonschema.validate(response.parsed, schema)
    assert "simulated" in json.dumps(response.parsed)


def test_a_tool_is_called_when_it_must_be_and_not_otherwise() -> None:
    tool = ToolSpec("look", "Look.", {"type": "object", "properties": {"at": {"type": "string"}}, "required": ["at"]})
    for choice in ("required", "look"):
        response = run(make("simulated").chat(request(tools=[tool], tool_choice=choice)))
        assert response.tool_calls == [ToolCallResult("call_1", "look", {"at": "simulated"})]
        assert response.finish_reason is FinishReason.TOOL_CALL
    assert run(make("simulated").chat(request(tools=[tool]))).tool_calls == []


def test_vectors_are_the_same_everywhere_and_nearer_for_the_same_words() -> None:
    response = run(
        make("simulated").embed(EmbeddingConfig(texts=["a red apple", "the red apple", "nothing like it", ""]), "m")
    )
    first, second, third, empty = (vector.vector for vector in response.vectors)

    def near(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert near(first, first) == pytest.approx(1)
    assert near(first, second) > near(first, third)
    assert not any(empty)
    assert response.raw["simulated"]
    again = run(make("simulated").embed(EmbeddingConfig(texts=["a red apple"], dimensions=8), "m"))
    # Written down once: a vector may not depend on the process, as hash() does.
    assert [round(value, 3) for value in again.vectors[0].vector] == [0.0, 0.447, 0.0, 0.0, 0.0, 0.0, 0.0, 0.894]
