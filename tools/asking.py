"""Asking a model, with everything that may stand around it: a limiter, telemetry, memory, all by what they can do and not by what they are."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

from ..agents.telemetry import Telemetry
from ..knowledge.errors import InputError, RateLimitExceededError
from ..knowledge.turns import estimate
from ..knowledge.vocabulary import ChatConfig, LLMResponse, Message, MessageRole

NOBODY = "default"
"""Whose share a limiter counts when nobody is named."""

_REMEMBERED = 20  # messages of a conversation
_REMEMBERED_CHARACTERS = 4_000  # of each


class Share:
    """What one user may spend.

    :param limiter: Anything with `check_and_consume(user_id, tokens)` and `get_remaining(user_id)`; `None` sets no limit.
    :param refused: The error of who has used it up.
    """

    def __init__(
        self, limiter: Any, user_id: str, refused: type[RateLimitExceededError] = RateLimitExceededError
    ) -> None:
        self._limiter = limiter
        self._user = user_id
        self._refused = refused

    @property
    def is_limited(self) -> bool:
        """Whether anybody counts."""
        return self._limiter is not None

    async def take(self, tokens: int) -> None:
        """Count tokens before they are spent.

        :raises RateLimitExceededError: there are not so many left.
        """
        if self._limiter is None or await called(self._limiter, "check_and_consume", self._user, tokens):
            return
        left = await called(self._limiter, "get_remaining", self._user)
        raise self._refused(
            f"{self._user} has {left} tokens left for now, and this needs {tokens}.", "Try again in a minute."
        )

    async def settle(self, tokens: int) -> None:
        """Count what it took beyond what was expected; whoever has not so many left has none left."""
        if self._limiter is None or tokens <= 0:
            return
        if not await called(self._limiter, "check_and_consume", self._user, tokens):
            left = await called(self._limiter, "get_remaining", self._user)
            await called(self._limiter, "check_and_consume", self._user, left)


class Memory:
    """A conversation of somebody's memory, which has `get_history(session_id)` and `append(session_id, role, content)`; without either it is empty."""

    def __init__(self, memory: Any, session_id: str | None) -> None:
        self._memory = memory if session_id else None
        self._session = session_id

    async def turns(self) -> list[Message]:
        """What was said, the oldest first; long turns are cut."""
        if self._memory is None:
            return []
        kept = await called(self._memory, "get_history", self._session)
        roles = {MessageRole.USER.value: MessageRole.USER, MessageRole.ASSISTANT.value: MessageRole.ASSISTANT}
        return [
            Message(role=roles[str(turn["role"])], content=str(turn["content"])[:_REMEMBERED_CHARACTERS])
            for turn in kept[-_REMEMBERED:]
            if str(turn["role"]) in roles and turn["content"]
        ]

    async def keep(self, question: str, answer: str) -> None:
        """Add what was asked, and what was answered."""
        if self._memory is not None:
            await called(self._memory, "append", self._session, MessageRole.USER.value, question)
            await called(self._memory, "append", self._session, MessageRole.ASSISTANT.value, answer)


async def ask(kit: Any, config: ChatConfig, share: Share, telemetry: Telemetry, operation: str) -> LLMResponse:
    """One answer, its tokens counted to a share.

    :param kit: Anything with `achat(ChatConfig)` or `chat(ChatConfig)`.
    :param operation: What the call is named in the telemetry.
    :raises RateLimitExceededError: the share is used up.
    """
    expected = _expected(config) if share.is_limited else 0
    await share.take(expected)
    with telemetry.span(operation, said_of(kit, "provider"), said_of(kit, "model")) as call:
        response = _response(await called(kit, "chat", config))
        call.record(response)
    read, written = tokens(response)
    await share.settle(read + written - expected)
    return response


def _expected(config: ChatConfig) -> int:
    """About how many tokens a call reads."""
    system = config.prompt.compile() if config.prompt else ""
    return sum(map(estimate, [system, config.user_message, *(turn.content for turn in config.history)]))


def tokens(response: LLMResponse) -> tuple[int, int]:
    """Tokens read and written."""
    return response.usage.get("prompt_tokens", 0), response.usage.get("completion_tokens", 0)


async def called(thing: Any, method: str, *args: Any) -> Any:
    """What a method gives: its async twin `aNAME` where there is one; one that blocks does so in a thread.

    :raises InputError: there is neither.
    """
    found = getattr(thing, f"a{method}", None) or getattr(thing, method, None)
    if found is None:
        raise InputError(
            f"{type(thing).__name__} has no method {method!r}.", f"Give an object with {method} or a{method}."
        )
    if inspect.iscoroutinefunction(found):
        return await found(*args)
    value = await asyncio.to_thread(found, *args)
    return await value if inspect.isawaitable(value) else value


def said_of(kit: Any, name: str) -> str:
    """A text that a kit says of itself, such as its `model`; empty when it says none."""
    value = getattr(kit, name, "")
    return value if isinstance(value, str) else ""


def _response(given: Any) -> LLMResponse:
    """The answer of a kit of somebody else's: a text, or anything with `content`, `parsed` and `usage`."""
    if isinstance(given, LLMResponse):
        return given
    if isinstance(given, str):
        return LLMResponse(content=given)
    parsed, usage = getattr(given, "parsed", None), getattr(given, "usage", None)
    counts = usage if isinstance(usage, dict) else {}
    return LLMResponse(
        content=str(getattr(given, "content", None) or ""),
        parsed=parsed if isinstance(parsed, dict) else None,
        usage={name: count for name, count in counts.items() if isinstance(count, int)},
    )
