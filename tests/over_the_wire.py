"""A provider and the server it talks with, for what is one provider's own; what all have in common is tests/provider_scenarios.py."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from racto.knowledge.files import RactoFile
from racto.knowledge.vocabulary import ChatRequest, Message, MessageRole, ToolSpec

from tests import dialects

TOOL = ToolSpec("get_time", "The time.", {"type": "object", "properties": {}})
PICTURE = RactoFile(dialects.PNG, "image/png", "dot.png")


def question(model: str = "plain", text: str = "Hello", **changes: Any) -> ChatRequest:
    """A short one."""
    message = Message(role=MessageRole.USER, content=text, attachments=changes.pop("attachments", []))
    plain: dict[str, Any] = {"model": model, "messages": [message], "max_tokens": 64, "timeout": 10.0}
    return ChatRequest(**(plain | changes))


def over_the_wire(server: Any, make: Callable[[str], Any], examine: Callable[[Any, Any], Awaitable[None]]) -> None:
    """Examine a server and the provider made for its address."""

    async def run() -> None:
        async with asyncio.timeout(30), server.running() as base:
            provider = make(base)
            try:
                await examine(server, provider)
            finally:
                await provider.aclose()

    asyncio.run(run())
