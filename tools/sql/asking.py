"""Asking a model for one step from a question to an answer, and reading what it says."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from ...agents.structured import schema_of
from ...agents.telemetry import Telemetry
from ...knowledge.errors import MalformedResponseError, NoModelError
from ...knowledge.prompts import RactoPrompt
from ...knowledge.vocabulary import ChatConfig, LLMResponse, Message
from ..asking import Share, ask, tokens
from .answers import PipelineUsage

M = TypeVar("M", bound=BaseModel)
StepName = Literal["sql", "pandas", "answer"]

LONGEST_ANSWER = 200_000
"""Characters; no step needs an answer near that long."""


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
    :param share: What its user may spend.
    """

    def __init__(self, usage: PipelineUsage, telemetry: Telemetry, share: Share) -> None:
        self._usage = usage
        self._telemetry = telemetry
        self._share = share

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
        response = await ask(step.kit, config, self._share, self._telemetry, f"sql_{step.name}")
        for kind, count in zip(("input", "output"), tokens(response), strict=True):
            name = f"{step.name}_{kind}_tokens"
            setattr(self._usage, name, getattr(self._usage, name) + count)
        return response


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
