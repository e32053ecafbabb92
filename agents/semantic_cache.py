"""Answers kept for who asks nearly the same again.

Nearness is the cosine of the embeddings of two questions, and only questions that agree in everything else are compared: the prompt, the
turns before, attachments, tools, schema, model and parameters. The search is exact: every vector of the scope, one matrix product.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..knowledge.edge import blocking
from ..knowledge.errors import InputError
from ..knowledge.keyvalue import checked_ttl
from ..knowledge.vocabulary import ChatRequest, LLMResponse, MessageRole
from .caches import CacheStats, Flights, as_json, cacheable, marked, request_key

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vector = NDArray[np.float32]

log = logging.getLogger(__name__)

EmbedFn = Callable[[str], Sequence[float] | Awaitable[Sequence[float]]]
"""Text → its embedding, blocking or async."""

ROUNDING = 1e-6
"""How far the cosine of two equal vectors may fall below 1 in single precision."""

HEAD = 8
"""The first 1/HEAD of every vector is compared first: most others need not be looked at further."""

REMEMBERED = 64
"""Questions whose embedding is remembered from the search to the answer."""


@dataclass(slots=True)
class _Entry:
    scope: str
    text: str
    row: int
    answer: bytes


@dataclass(slots=True)
class _Scope:
    """The questions that are compared with each other: row r of `vectors` is the unit vector of entry `ids[r]`.

    :param tails: The length of each vector without its head.
    """

    vectors: Vector
    tails: Vector
    ids: list[int] = field(default_factory=list)


class SemanticCache(Flights):
    """Answers by what was meant.

    :param embed_fn: Text → vector, blocking or async; called once for a question.
    :param similarity_threshold: The least cosine, 0 to 1, at which two questions are the same.
    :param max_size: The most answers, the least recently used going first; 0 for no limit.
    :param ttl_seconds: How long an answer is kept; `None` for ever.
    :param embedder: Another name of `embed_fn`.
    :param threshold: Another name of `similarity_threshold`.
    :param clock: Seconds, only ever more.
    :raises InputError: there is no embedder, or a number is out of its range.
    """

    def __init__(
        self,
        embed_fn: EmbedFn | None = None,
        similarity_threshold: float = 0.95,
        max_size: int = 512,
        ttl_seconds: float | None = None,
        *,
        embedder: EmbedFn | None = None,
        threshold: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        chosen = embed_fn or embedder
        if chosen is None:
            raise InputError("A semantic cache needs an embedder.", "Give embedder=, a function from text to a vector.")
        self._embed = chosen
        self._threshold = similarity_threshold if threshold is None else threshold
        if not 0 <= self._threshold <= 1 or max_size < 0:
            raise InputError(f"threshold={self._threshold}, max_size={max_size}?", "0 to 1, and 0 (no limit) or more.")
        self._max_size = max_size
        self._ttl = checked_ttl(ttl_seconds)
        self._clock = clock
        self._scopes: dict[str, _Scope] = {}
        self._entries: OrderedDict[int, _Entry] = OrderedDict()  # the least recently used first
        self._ids: dict[tuple[str, str], int] = {}
        self._expiring: deque[tuple[float, int]] = deque()  # all live equally long, so the first in is the first out
        self._recent: OrderedDict[str, Vector] = OrderedDict()
        self._next = 0
        self._hits = 0
        self._misses = 0
        self._lock = threading.Lock()

    @staticmethod
    def question_of(request: ChatRequest, *, provider: str = "", scope: str = "") -> tuple[str, str] | None:
        """What of `request` must agree and what may be said in other words; `None` when the last turn is not a person's.

        :param provider: Who answers.
        :param scope: What else tells callers apart.
        """
        if not request.messages or request.messages[-1].role is not MessageRole.USER:
            return None
        rest = request_key(request, provider=provider, scope=scope, question=False)
        return rest, request.messages[-1].content

    async def lookup(self, scope: str, text: str) -> LLMResponse | None:
        """The answer to the nearest question of `scope`, as a copy marked `cached="semantic"`; `None` also when the embedder fails."""
        try:
            return await self.aget(text, scope)
        except Exception as error:  # noqa: BLE001 - an embedder may raise anything, and must not cost the call
            self._misses += 1
            log.warning("The semantic cache was not read: %s", error)
            return None

    async def store(self, scope: str, text: str, response: LLMResponse) -> None:
        """Keep `response`, if it is one to keep (see `caches.cacheable`) and the embedder can be used."""
        if cacheable(response):
            try:
                await self.aput(text, response, scope)
            except Exception as error:  # noqa: BLE001 - as above
                log.warning("The semantic cache was not written: %s", error)

    async def aget(self, query: str, scope: str = "") -> LLMResponse | None:
        """The answer to the nearest question, if it is near enough. What `embed_fn` raises is raised.

        :raises InputError: the embedding is no vector of finite numbers, or not as long as the others.
        """
        await self._refresh(scope)
        with self._lock:
            self._drop_expired()
            known = self._ids.get((scope, query))  # the very same words need no embedding
        vector = None if known is not None else await self._vector(query)
        with self._lock:
            known = self._ids.get((scope, query))
            if known is None and vector is not None:
                known = self._nearest(scope, vector)
            if known is not None:
                self._entries.move_to_end(known)
            kept = None if known is None else self._entries[known].answer
        answer = None if kept is None else await self._answer(kept)
        with self._lock:
            if answer is None:
                self._forget(known)
                self._misses += 1
                return None
            self._hits += 1
        return marked(LLMResponse.model_validate_json(answer), "semantic")

    async def aput(self, query: str, response: LLMResponse, scope: str = "") -> None:
        """Keep `response`, whatever it is, for questions near `query`. What `embed_fn` raises is raised.

        :raises InputError: the embedding is no vector of finite numbers, or not as long as the others.
        """
        vector = await self._vector(query)
        kept = await self._share(scope, query, vector, as_json(response))
        with self._lock:
            self._drop_expired()
            self._forget(self._ids.get((scope, query)))
            self._insert(scope, query, vector, kept)
            if self._max_size and len(self._entries) > self._max_size:
                self._forget(next(iter(self._entries)))

    async def _empty(self) -> None:
        """Forget what is kept elsewhere; here nothing is."""

    async def _refresh(self, scope: str) -> None:
        """Learn what others keep in `scope`; here there are no others."""

    async def _share(self, scope: str, query: str, vector: Vector, answer: bytes) -> bytes:
        """What an entry holds for this answer: here the answer."""
        return answer

    async def _answer(self, kept: bytes) -> bytes | None:
        """The answer of an entry, `None` when it is gone meanwhile."""
        return kept

    async def aclear(self) -> None:
        """Forget every answer, and the hits and misses."""
        await self._empty()
        with self._lock:
            for kept in (self._scopes, self._entries, self._ids, self._expiring, self._recent):
                kept.clear()
            self._hits = self._misses = 0

    get = blocking(aget)
    put = blocking(aput)
    clear = blocking(aclear)

    @property
    def stats(self) -> CacheStats:
        """Hits, misses and answers there are."""
        with self._lock:
            self._drop_expired()
            return CacheStats(hits=self._hits, misses=self._misses, size=len(self._entries))

    async def _vector(self, text: str) -> Vector:
        """The embedding of `text` at length 1."""
        import numpy as np

        with self._lock:
            if (remembered := self._recent.get(text)) is not None:
                return remembered
        given: Any = self._embed(text) if _is_async(self._embed) else await asyncio.to_thread(self._embed, text)
        vector = np.asarray(await given if inspect.isawaitable(given) else given, dtype=float)
        length = float(np.linalg.norm(vector)) if vector.ndim == 1 else 0.0
        if not 0 < length < float("inf"):
            raise InputError(
                "The embedder gave no vector of finite numbers.", "It must return a list of floats, not all 0."
            )
        unit: Vector = (vector / length).astype(np.float32)
        with self._lock:
            self._recent[text] = unit
            if len(self._recent) > REMEMBERED:
                self._recent.popitem(last=False)
        return unit

    def _nearest(self, name: str, vector: Vector) -> int | None:
        """The entry of the greatest cosine, if that is enough."""
        import numpy as np

        scope = self._scopes.get(name)
        if scope is None:
            return None
        _check_length(scope, vector)
        count, least = len(scope.ids), self._threshold - ROUNDING
        # einsum and not @: a product that is spread over threads waits for the slowest core.
        head = len(vector) // HEAD or 1
        most = np.einsum("ij,j->i", scope.vectors[:count, :head], vector[:head])
        most += scope.tails[:count] * _tail(vector)  # Cauchy and Schwarz: the rest adds no more than this
        rows = np.flatnonzero(most >= least)
        vectors = scope.vectors[rows] if len(rows) < count / 4 else scope.vectors[:count]
        cosines = np.einsum("ij,j->i", vectors, vector)
        if not len(cosines) or cosines.max() < least:
            return None
        best = int(cosines.argmax())
        return scope.ids[best if len(cosines) == count else int(rows[best])]

    def _insert(self, name: str, text: str, vector: Vector, answer: bytes) -> None:
        import numpy as np

        scope = self._scopes.get(name)
        if scope is None:
            scope = self._scopes[name] = _Scope(np.empty((4, len(vector)), np.float32), np.empty(4, np.float32))
        _check_length(scope, vector)
        row = len(scope.ids)
        if row == len(scope.vectors):
            scope.vectors = np.concatenate([scope.vectors, np.empty_like(scope.vectors)])
            scope.tails = np.concatenate([scope.tails, np.empty_like(scope.tails)])
        scope.vectors[row], scope.tails[row] = vector, _tail(vector)
        entry = self._next = self._next + 1
        scope.ids.append(entry)
        self._entries[entry] = _Entry(name, text, row, answer)
        self._ids[name, text] = entry
        if self._ttl is not None:
            self._expiring.append((self._clock() + self._ttl, entry))

    def _forget(self, number: int | None) -> None:
        """Take an entry out; the last row of its scope takes its place."""
        entry = None if number is None else self._entries.pop(number, None)
        if entry is None:
            return
        del self._ids[entry.scope, entry.text]
        scope = self._scopes[entry.scope]
        last = scope.ids.pop()
        if last != number:
            scope.ids[entry.row] = last
            scope.vectors[entry.row], scope.tails[entry.row] = (
                scope.vectors[len(scope.ids)],
                scope.tails[len(scope.ids)],
            )
            self._entries[last].row = entry.row
        if not scope.ids:
            del self._scopes[entry.scope]

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._expiring and self._expiring[0][0] <= now:
            self._forget(self._expiring.popleft()[1])


def _is_async(embed: EmbedFn) -> bool:
    return inspect.iscoroutinefunction(embed) or inspect.iscoroutinefunction(getattr(embed, "__call__", None))  # noqa: B004 - not whether, but how


def _tail(unit: Vector) -> float:
    """The length of a unit vector without its head."""
    rest = unit[len(unit) // HEAD or 1 :].astype(float)
    return math.sqrt(float(rest @ rest))


def _check_length(scope: _Scope, vector: Vector) -> None:
    if scope.vectors.shape[1] != len(vector):
        raise InputError(
            f"The embedder gave {len(vector)} numbers, and {scope.vectors.shape[1]} before.",
            "Clear the cache when the embedder changes.",
        )
