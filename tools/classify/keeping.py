"""Answers kept for texts that come again: of the same labels, the same model and the same settings, and of no others."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from pydantic import ValidationError

from ...knowledge.vocabulary import LLMResponse, Message
from ..asking import said_of
from .answers import ClassifierResult, ClassifierUsage
from .options import Options
from .running import Plan

if TYPE_CHECKING:
    from ...agents.caches import ExactMatchCache
    from ...agents.semantic_cache import SemanticCache


class Kept:
    """The caches of a pipeline; each may be missing."""

    def __init__(self, exact: ExactMatchCache | None, semantic: SemanticCache | None) -> None:
        self._exact = exact
        self._semantic = semantic

    def scope(self, plan: Plan, options: Options, shortlist_size: int | None, history: Sequence[Message]) -> str:
        """What must agree for an answer to one text to be the answer to another. Empty when nothing is kept."""
        if self._exact is None and self._semantic is None:
            return ""
        from ...agents.caches import digest

        settings = [plan.temperature, plan.max_tokens, plan.retries, plan.fuzzy, plan.threshold, plan.confidence_from]
        form = plan.form
        return digest(
            [
                options.fingerprint,
                [said_of(plan.kit, name) for name in ("provider", "model", "base_url")],
                plan.prompt.compile() if plan.prompt else None,
                settings,
                [form.mode, form.confidence, form.reasoning, form.scores, plan.samples, shortlist_size],
                [(turn.role.value, turn.content) for turn in history],
            ]
        )

    @asynccontextmanager
    async def alone(self, scope: str, text: str) -> AsyncIterator[None]:
        """Inside, nobody else finds the answer to the same text: who comes meanwhile waits, and finds it kept."""
        if self._exact is None:
            yield
            return
        async with self._exact.flight(_key(scope, text)):
            yield

    async def find(self, scope: str, text: str, options: Options) -> ClassifierResult | None:
        """What is kept, as an answer to `text` that took nothing. What names another label than those is not taken."""
        found: LLMResponse | None = None
        if self._exact is not None:
            found = await self._exact.lookup(_key(scope, text))
        if found is None and self._semantic is not None:
            found = await self._semantic.lookup(scope, text)
        if found is None:
            return None
        try:
            result = ClassifierResult.model_validate_json(found.content or "")
        except ValidationError:  # written by another version
            return None
        if not set(result.selected) <= set(options.labels):
            return None
        fresh = {"user_query": text, "usage": ClassifierUsage(), "cache_hit": found.cached, "error": None}
        return result.model_copy(update=fresh)

    async def keep(self, scope: str, text: str, result: ClassifierResult) -> None:
        """Keep an answer of a model; a local one is as quick as the cache, and its model may have learnt more by then."""
        if result.answered_by != "model":
            return
        response = LLMResponse(content=result.model_dump_json())
        if self._exact is not None:
            await self._exact.store(_key(scope, text), response)
        if self._semantic is not None:
            await self._semantic.store(scope, text, response)


def _key(scope: str, text: str) -> str:
    return json.dumps([scope, text])
