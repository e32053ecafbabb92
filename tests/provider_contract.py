"""How a provider is examined: by chat or by stream, against the server of a dialect, with errors that may show no key."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from racto.agents.providers import Provider
from racto.knowledge.errors import RactoGatewayError
from racto.knowledge.vocabulary import ChatRequest, LLMResponse, Message, MessageRole, StreamChunk

from tests import dialects

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
