"""What the tests of single providers share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from racto.agents.providers import make
from racto.knowledge.vocabulary import ChatRequest, LLMResponse, Message, MessageRole

from tests.provider_contract import Examined

WAYS = pytest.mark.parametrize("way", ["chat", "stream"])

Check = Callable[[Examined], Awaitable[None]]


async def examined(dialect: Any, check: Check, way: str = "chat") -> None:
    """Run a check with a provider and its server."""
    async with dialect.running() as base, asyncio.timeout(30):
        provider = make(dialect.provider, **dialect.options(base))
        try:
            await check(Examined(provider, dialect, way))
        finally:
            await provider.aclose()


def request(model: str, **fields: Any) -> ChatRequest:
    """A request that says hello, unless `fields` say otherwise."""
    plain: dict[str, Any] = {"messages": [Message(role=MessageRole.USER, content="Hello")]}
    return ChatRequest(model, **(plain | fields))


def turn_of(response: LLMResponse) -> Message:
    """The assistant's turn in the conversation that goes on, as it comes back from where conversations are kept."""
    turn = Message(
        role=MessageRole.ASSISTANT,
        content=response.content or "",
        tool_calls=response.tool_calls,
        native=response.native,
    )
    return Message.model_validate_json(turn.model_dump_json())
