"""Asking a model, with everything that may stand around it: a limiter, telemetry, memory, all by what they can do and not by what they are."""

from __future__ import annotations

import asyncio
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from ...agents.structured import schema_of
from ...agents.telemetry import Telemetry
from ...knowledge.errors import InputError, MalformedResponseError, NoModelError, RateLimitExceededError
from ...knowledge.prompts import RactoPrompt
from ...knowledge.turns import estimate
from ...knowledge.vocabulary import ChatConfig, LLMResponse, Message, MessageRole
from .answers import PipelineUsage

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
StepName = Literal["sql", "pandas", "answer"]

LONGEST_ANSWER = 200_000
"""Characters; no step needs an answer near that long."""

_REMEMBERED = 20  # messages of a conversation
_REMEMBERED_CHARACTERS = 4_000  # of each


@dataclass(frozen=True, slots=True)
class Step:
    """Who answers a step, and how.

    :param kit: Anything with `achat(ChatConfig)` or `chat(ChatConfig)`.
    :param prompt: The caller's own system prompt; `None` for ours.
    """

    name: StepName
    kit: Any
    prompt: RactoPrompt | None
    temperature: float | None
    max_tokens: int


class Models:
    """The way of one run to its models.

    :param usage: Where tokens are counted.
    :param limiter: Anything with `check_and_consume(user_id, tokens)` and `get_remaining(user_id)`.
    :param user_id: Whose share it is.
    """

    def __init__(self, usage: PipelineUsage, telemetry: Telemetry, limiter: Any = None, user_id: str = "") -> None:
        self._usage = usage
        self._telemetry = telemetry
        self._limiter = limiter
        self._user = user_id

    async def ask(
        self,
        step: Step,
        prompt: RactoPrompt,
        message: str,
        history: Sequence[Message] = (),
        *,
        shape: type[BaseModel] | None = None,
    ) -> LLMResponse:
        """One answer.

        :param prompt: The system prompt where the step has none of its own.
        :param shape: What its JSON must be, whosever prompt it is. The provider is held to it where it can be; whether it is so the caller sees, who
            counts every try.
        :raises NoModelError: nobody answers this step.
        :raises RateLimitExceededError: the user's share is used up.
        """
        if step.kit is None:
            raise NoModelError(f"There is no model for the step {step.name!r}.", f"Give kit= or {step.name}_kit=.")
        prompt = step.prompt or prompt
        if shape is not None:
            prompt = prompt.model_copy(update={"output_format": dict(schema_of(shape))})
        config = ChatConfig(
            user_message=message,
            prompt=prompt,
            temperature=step.temperature,
            max_tokens=step.max_tokens,
            history=list(history),
        )
        expected = estimate(prompt.compile()) + estimate(message) + sum(estimate(turn.content) for turn in history)
        await self._consume(expected)
        with self._telemetry.span(f"sql_{step.name}", _said(step.kit, "provider"), _said(step.kit, "model")) as call:
            response = _response(await called(step.kit, "chat", config))
            call.record(response)
        read, written = (response.usage.get(f"{kind}_tokens", 0) for kind in ("prompt", "completion"))
        for kind, count in (("input", read), ("output", written)):
            name = f"{step.name}_{kind}_tokens"
            setattr(self._usage, name, getattr(self._usage, name) + count)
        await self._settle(read + written - expected)
        return response

    async def _consume(self, tokens: int) -> None:
        if self._limiter is None or await called(self._limiter, "check_and_consume", self._user, tokens):
            return
        left = await called(self._limiter, "get_remaining", self._user)
        raise RateLimitExceededError(
            f"{self._user} has {left} tokens left for now, and this needs {tokens}.", "Try again in a minute."
        )

    async def _settle(self, tokens: int) -> None:
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


def shaped(response: LLMResponse, model: type[M]) -> M:
    """The answer as a `model`.

    :raises MalformedResponseError: it is none.
    """
    parsed, text = response.parsed, (response.content or "").strip()
    if len(text) > LONGEST_ANSWER:
        raise MalformedResponseError("The answer was longer than any query.")
    try:
        if parsed is None:
            parsed = json.loads(text[text.find("{") : text.rfind("}") + 1])
        return model.model_validate(parsed)
    except (ValidationError, ValueError, RecursionError):
        wanted = ", ".join(model.model_fields)
        raise MalformedResponseError(f"The answer was not a JSON object with the fields {wanted}.") from None


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


def _said(kit: Any, name: str) -> str:
    value = getattr(kit, name, "")
    return value if isinstance(value, str) else ""
