"""What tests of the classifier share: a model whose answers are written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any

from racto.knowledge.vocabulary import ChatConfig, LLMResponse
from racto.tools.classify.answers import ClassifierResult
from racto.tools.classify.pipeline import ListClassifierPipeline

SUPPORT = ["Billing", "Technical Support", "Sales"]

Reply = str | Mapping[str, Any] | Exception


class Scripted:
    """A kit that answers the next of a list, or what a function makes of the call. It keeps what it was asked."""

    provider = "scripted"
    model = "script"

    def __init__(self, *answers: Reply, each: Callable[[ChatConfig], Reply] | None = None) -> None:
        self._answers = iter(answers)
        self._each = each
        self.asked: list[ChatConfig] = []

    async def achat(self, config: ChatConfig) -> LLMResponse:
        """The next answer."""
        self.asked.append(config)
        answer = self._each(config) if self._each else next(self._answers)
        if isinstance(answer, Exception):
            raise answer
        text = answer if isinstance(answer, str) else json.dumps(answer)
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return LLMResponse(content=text, usage=usage, provider="scripted", model="script")


def classify(kit: Any, text: str = "My invoice is wrong", **settings: Any) -> ClassifierResult:
    """One text, classified by a pipeline made for it."""
    settings.setdefault("options", SUPPORT)
    return result_of(ListClassifierPipeline(kit, **settings), text)


def result_of(
    pipeline: ListClassifierPipeline, text: str = "My invoice is wrong", **overrides: Any
) -> ClassifierResult:
    """One text, classified."""
    result = asyncio.run(pipeline.arun(text, **overrides))
    assert isinstance(result, ClassifierResult)
    return result
