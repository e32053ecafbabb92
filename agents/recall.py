"""The caches around a call: of a chat the same words first, the same meaning second; of an operation without chance its result."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from ..knowledge.vocabulary import ChatRequest, LLMResponse, StreamChunk, StreamDelta

if TYPE_CHECKING:
    from .caches import ExactMatchCache, Flights, OperationCache
    from .semantic_cache import SemanticCache
    from .telemetry import Telemetry

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the caches know it.

    :param key: Of the exact cache; "" without one.
    :param meaning: Scope and text for the semantic cache; `None` without one, or when the last turn is not a person's.
    """

    key: str
    meaning: tuple[str, str] | None


class Recall:
    """An exact and a semantic cache, either of which may be absent."""

    def __init__(
        self, exact: ExactMatchCache | None, semantic: SemanticCache | None, telemetry: Telemetry | None = None
    ) -> None:
        self._exact = exact
        self._semantic = semantic
        self._telemetry = telemetry

    def asked(self, request: ChatRequest, *, provider: str, scope: str) -> Asked:
        """`request` as the caches know it; `provider` and `scope` tell apart who answers."""
        return Asked(
            self._exact.key_for(request, provider=provider, scope=scope) if self._exact else "",
            self._semantic.question_of(request, provider=provider, scope=scope) if self._semantic else None,
        )

    def flight(self, asked: Asked) -> AbstractAsyncContextManager[None]:
        """Of identical calls at the same time one goes on, the others wait for what it finds."""
        flights: Flights | None = self._exact or self._semantic
        key = asked.key or "\n".join(asked.meaning or ())
        return flights.flight(key) if flights and key else nullcontext()

    async def find(self, asked: Asked) -> LLMResponse | None:
        """The answer that is kept, if one is."""
        found = None
        if self._exact:
            found = await self._exact.lookup(asked.key)
            if self._telemetry:
                self._telemetry.looked_up("exact", found is not None)
        if found is None and self._semantic and asked.meaning:
            found = await self._semantic.lookup(*asked.meaning)
            if self._telemetry:
                self._telemetry.looked_up("semantic", found is not None)
        return found

    async def keep(self, asked: Asked, response: LLMResponse) -> None:
        """Keep an answer, if it is one to keep."""
        if self._exact:
            await self._exact.store(asked.key, response)
        if self._semantic and asked.meaning:
            await self._semantic.store(*asked.meaning, response)


class Operations:
    """Results of what gives the same for the same input (embeddings, inference), where there is a cache for them."""

    def __init__(self, cache: OperationCache | None, telemetry: Telemetry | None = None) -> None:
        self._cache = cache
        self._telemetry = telemetry

    async def through(
        self, operation: str, model: str, asked: Any, kind: type[M], find: Callable[[], Awaitable[M]]
    ) -> tuple[M, bool]:
        """The result, and whether it was kept from before; see `OperationCache.through`."""
        if self._cache is None:
            return await find(), False
        found = False

        async def looked() -> M:
            nonlocal found
            found = True
            return await find()

        result = await self._cache.through(operation, model, asked, kind, looked)
        if self._telemetry:
            self._telemetry.looked_up("operation", not found)
        return result, not found


def replayed(response: LLMResponse) -> list[StreamChunk]:
    """A kept answer as the stream it would have been: its text in one piece, then the end."""
    text, thinking = response.content or "", response.thinking or ""
    return [
        StreamChunk(StreamDelta(text, thinking), text, thinking),
        StreamChunk(
            accumulated_text=text,
            accumulated_thinking=thinking,
            is_final=True,
            finish_reason=response.finish_reason,
            tool_calls=response.tool_calls,
            usage=response.usage,
            response=response,
        ),
    ]
