"""A semantic cache that every process of a fleet shares: questions and answers are in a key-value store, and each process searches a copy
of the questions of a scope, which it fetches when somebody has added to them.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING
from uuid import uuid4

from ..knowledge.keyvalue import KeyValue
from .semantic_cache import EmbedFn, SemanticCache

if TYPE_CHECKING:
    from .semantic_cache import Vector


class SharedSemanticCache(SemanticCache):
    """Answers by what was meant, whoever was asked first; clearing it clears it for everybody. In the store are, of each scope, a list of questions with their vectors and a mark
    that changes with it, and every answer under a key of its own.

    :param store: Where they are kept; whoever uses it embeds with the same model.
    :param max_size: The most questions of one scope, the oldest going first, and about the most that are copied into this process.
    :param clock: Seconds since 1970: processes must agree on it.
    """

    def __init__(
        self,
        embed_fn: EmbedFn,
        similarity_threshold: float = 0.95,
        max_size: int = 512,
        ttl_seconds: float | None = None,
        *,
        store: KeyValue,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(embed_fn, similarity_threshold, 0, ttl_seconds, clock=clock)
        self._store = store
        self._most = max_size
        self._marks: OrderedDict[str, bytes] = OrderedDict()  # of the copies, the least recently used first

    async def _empty(self) -> None:
        await self._store.clear()
        self._marks.clear()

    async def _refresh(self, scope: str) -> None:
        # The mark is read first: what is added after that changes it again.
        mark = await self._store.get(f"mark:{scope}")
        if mark is None or mark == self._marks.get(scope):
            return
        items = await self._store.items(f"questions:{scope}")
        with self._lock:
            self._drop(scope)
            for item in items:
                self._take(scope, item)
            self._marks[scope] = mark
            self._marks.move_to_end(scope)
            while len(self._entries) > self._most and len(self._marks) > 1:
                self._drop(next(iter(self._marks)))

    async def _share(self, scope: str, query: str, vector: Vector, answer: bytes) -> bytes:
        key = uuid4().hex
        until = None if self._ttl is None else self._clock() + self._ttl
        head = json.dumps({"key": key, "text": query, "until": until}).encode()
        await self._store.put(f"answer:{key}", answer, ttl=self._ttl)
        await self._store.append(
            f"questions:{scope}", head + b"\n" + vector.tobytes(), keep=self._most or None, ttl=self._ttl
        )
        await self._store.put(f"mark:{scope}", uuid4().bytes, ttl=self._ttl)
        return key.encode()

    async def _answer(self, kept: bytes) -> bytes | None:
        return await self._store.get(f"answer:{kept.decode()}")

    def _take(self, scope: str, item: bytes) -> None:
        import numpy as np

        head, _, numbers = item.partition(b"\n")
        told = json.loads(head)
        if told["until"] is None or told["until"] > self._clock():
            self._forget(self._ids.get((scope, told["text"])))
            self._insert(scope, told["text"], np.frombuffer(numbers, np.float32), told["key"].encode())

    def _drop(self, scope: str) -> None:
        """Forget the copy of a scope."""
        self._marks.pop(scope, None)
        for number in list(self._scopes[scope].ids) if scope in self._scopes else ():
            self._forget(number)
