"""What adapters that share `Exchange` do around a call, whichever provider it goes to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from racto.agents.providers import make
from racto.agents.providers.answers import Accumulator
from racto.agents.providers.anthropic_messages import AnthropicTurn, as_events
from racto.agents.providers.anthropic_messages import body as anthropic_body
from racto.agents.providers.exchange import Turn
from racto.agents.providers.google import events_of as google_events
from racto.agents.providers.google_contents import GoogleTurn
from racto.agents.providers.google_contents import body as google_body
from racto.knowledge.errors import RactoGatewayAuthError
from racto.knowledge.files import RactoFile
from racto.knowledge.prompts import RactoPrompt
from racto.knowledge.vocabulary import LLMResponse, Message, MessageRole

from tests import dialects
from tests.dialects.anthropic import Anthropic
from tests.dialects.google import Google
from tests.dialects.server import sent_key
from tests.exchanges import WAYS, examined, request
from tests.provider_contract import Examined
from tests.provider_scenarios import TOOLS

BOTH = pytest.mark.parametrize("dialect_type", [Anthropic, Google])
FILES = [
    RactoFile(dialects.PNG, "image/png"),
    RactoFile(dialects.PDF, "application/pdf"),
    RactoFile(b"note", "text/plain"),
    RactoFile(b"\x00", "application/zip", "a.zip"),
]
PROMPT = RactoPrompt(role="r", aim="a", constraints=["c"], tone="t", output_format="text")


def test_attachments_have_the_shape_prompts_give_them() -> None:
    asked = request("m", messages=[Message(role=MessageRole.USER, content="What?", attachments=FILES)])
    _, to_claude = PROMPT.to_messages("What?", attachments=FILES, provider="anthropic")
    _, to_gemini = PROMPT.to_messages("What?", attachments=FILES, provider="google")
    assert anthropic_body(asked)["messages"] == [to_claude]
    assert google_body(asked)["contents"] == [{"role": "user", "parts": to_gemini["content"]}]


@WAYS
@BOTH
def test_a_turn_of_text_and_calls_needs_nothing_of_its_own(dialect_type: type[Any], way: str) -> None:
    async def check(x: Examined) -> None:
        assert (await x.ask("tools-and-text", tools=TOOLS)).native == {}

    asyncio.run(examined(dialect_type(), check, way))


_TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
_CONTENTS = st.lists(
    st.one_of(
        st.tuples(st.just("text"), _TEXTS),
        st.tuples(st.just("thinking"), _TEXTS),
        st.tuples(st.just("call"), st.dictionaries(_TEXTS, st.one_of(_TEXTS, st.integers(), st.none()), max_size=3)),
    ),
    max_size=6,
)


def _read(turn: Turn, events: Iterable[dict[str, Any]]) -> LLMResponse:
    """The answer these events are, which must have been told piece by piece."""
    whole = Accumulator("p", "m")
    chunks = [chunk for event in events for chunk in turn.feed(event, whole)]
    final = whole.final()
    assert "".join(chunk.delta.text for chunk in chunks) == final.accumulated_text
    assert "".join(chunk.delta.thinking for chunk in chunks) == final.accumulated_thinking
    assert final.response is not None
    return final.response.model_copy(update={"raw": None})


def _cut(text: str, places: list[int]) -> list[str]:
    bounds = sorted({0, len(text), *(place % (len(text) + 1) for place in places)})
    return [text[start:end] for start, end in pairwise(bounds)]


@given(contents=_CONTENTS, places=st.lists(st.integers(min_value=0, max_value=50), max_size=4))
@settings(max_examples=150, deadline=None)
def test_an_anthropic_stream_in_any_pieces_is_the_answer_that_came_whole(
    contents: list[tuple[str, Any]], places: list[int]
) -> None:
    blocks: list[dict[str, Any]] = []
    streamed: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"model": "m-1", "usage": {"input_tokens": 1}}}
    ]
    for index, (kind, value) in enumerate(contents):
        if kind == "call":
            blocks.append({"type": "tool_use", "id": f"t{index}", "name": "f", "input": value})
            opened, deltas = blocks[-1] | {"input": {}}, [("input_json_delta", "partial_json", json.dumps(value))]
        elif kind == "thinking":
            blocks.append({"type": "thinking", "thinking": value, "signature": "sig"})
            opened = {"type": "thinking", "thinking": "", "signature": ""}
            deltas = [("thinking_delta", "thinking", value), ("signature_delta", "signature", "sig")]
        else:
            blocks.append({"type": "text", "text": value})
            opened, deltas = {"type": "text", "text": ""}, [("text_delta", "text", value)]
        streamed.append({"type": "content_block_start", "index": index, "content_block": opened})
        for delta, name, text in deltas:
            streamed += [
                {"type": "content_block_delta", "index": index, "delta": {"type": delta, name: piece}}
                for piece in _cut(text, places)
            ]
    streamed.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}})
    usage = {"input_tokens": 1, "output_tokens": 2}
    message = {"model": "m-1", "content": blocks, "stop_reason": "end_turn", "usage": usage}
    assert _read(AnthropicTurn(), streamed) == _read(AnthropicTurn(), as_events(message))


@given(contents=_CONTENTS, places=st.lists(st.integers(min_value=0, max_value=50), max_size=4), signed=st.booleans())
@settings(max_examples=150, deadline=None)
def test_a_google_stream_in_any_pieces_is_the_answer_that_came_whole(
    contents: list[tuple[str, Any]], places: list[int], *, signed: bool
) -> None:
    parts: list[dict[str, Any]] = []
    pieces: list[dict[str, Any]] = []
    for index, (kind, value) in enumerate(contents):
        if kind == "call":
            part = {"functionCall": {"id": f"t{index}", "name": "f", "args": value}}
            parts.append(part | ({"thoughtSignature": "sig"} if signed else {}))
            pieces.append(parts[-1])
        else:
            about = {"thought": True} if kind == "thinking" else {}
            parts.append({"text": value, **about})
            pieces += [{"text": piece, **about} for piece in _cut(value, places)]
    usage = {"usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 2}, "modelVersion": "m-1"}
    streamed = [{"candidates": [{"content": {"parts": [piece]}}]} for piece in pieces]
    closing = {"candidates": [{"content": {}, "finishReason": "STOP"}], **usage}
    whole = {"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], **usage}
    assert _read(GoogleTurn(), [*streamed, closing]) == _read(GoogleTurn(), [whole])


class _Pieces:
    """A response whose bytes come in these pieces."""

    headers: ClassVar[dict[str, str]] = {}

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces

    async def aiter_bytes(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece

    async def aread(self) -> bytes:
        return b"".join(self._pieces)

    async def aclose(self) -> None:
        pass


@given(
    events=st.lists(st.dictionaries(_TEXTS, _TEXTS, max_size=2), max_size=4),
    error=st.none() | st.fixed_dictionaries({"error": st.dictionaries(_TEXTS, _TEXTS, max_size=2)}),
    break_=st.sampled_from(["\n", "\r\n"]),
    places=st.lists(st.integers(min_value=0, max_value=500), max_size=8),
    listed=st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_googles_events_and_the_error_after_them_are_found_however_the_bytes_are_cut(
    events: list[dict[str, str]], error: dict[str, Any] | None, break_: str, places: list[int], *, listed: bool
) -> None:
    body = "".join(f"data: {json.dumps(event, ensure_ascii=False)}{break_}{break_}" for event in events).encode()
    if error is not None:
        body += json.dumps([error] if listed else error, indent=1).replace("\n", break_).encode()
    bounds = sorted({0, len(body), *(place % (len(body) + 1) for place in places)})
    pieces = [body[start:end] for start, end in pairwise(bounds)]

    async def told() -> list[Any]:
        return [json.loads(text) async for text in google_events(_Pieces(pieces))]

    assert asyncio.run(told()) == [*events, *([error] if error is not None else [])]


@pytest.mark.parametrize(("provider", "variable"), [("anthropic", "ANTHROPIC_API_KEY"), ("google", "GEMINI_API_KEY")])
def test_without_a_key_the_error_says_which_variable_to_set(
    provider: str, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (variable, "GOOGLE_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RactoGatewayAuthError, match=variable) as caught:
        asyncio.run(make(provider).chat(request("m")))
    assert (caught.value.provider, caught.value.model) == (provider, "m")


@pytest.mark.parametrize(
    ("dialect_type", "environment"),
    [
        (Anthropic, {"ANTHROPIC_API_KEY": dialects.KEY, "ANTHROPIC_AUTH_TOKEN": "another"}),
        (Google, {"GEMINI_API_KEY": dialects.KEY, "GOOGLE_API_KEY": "another"}),
        (Google, {"GEMINI_API_KEY": "", "GOOGLE_API_KEY": dialects.KEY, "GOOGLE_GENAI_USE_VERTEXAI": "true"}),
    ],
)
def test_the_key_is_read_from_the_environment_and_goes_where_it_belongs(
    dialect_type: type[Any], environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    async def run() -> None:
        dialect = dialect_type()
        async with dialect.running() as base:
            provider = make(dialect.provider, base_url=base)
            assert (await provider.chat(request("plain"))).content == dialects.TEXT
            await provider.aclose()
        (received,) = dialect.received
        assert sent_key(received) == dialects.KEY

    asyncio.run(run())
