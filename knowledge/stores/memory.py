"""Chunks in memory alone: nothing to install, gone with the program."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..chunks import Chunk, RetrievalResult
from ..errors import InputError, unknown_name
from ..vector_codes import unit
from . import BaseVectorStore
from .filtering import EVERYTHING, matches, parse
from .records import checked_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SIMILARITIES = ("cosine",)


class InMemoryVectorStore(BaseVectorStore):
    """Compares with every chunk, exactly.

    :param similarity: `cosine`, the only one.
    """

    def __init__(self, similarity: str = "cosine") -> None:
        if similarity not in _SIMILARITIES:
            raise unknown_name("similarity", similarity, _SIMILARITIES)
        self._places: dict[str, int] = {}
        self._chunks: list[Chunk] = []
        self._vectors: NDArray[np.float32] | None = None  # longer than the list: it grows by doubling
        self._lock = threading.RLock()

    def add(self, chunks: Sequence[Chunk]) -> None:
        """See `BaseVectorStore.add`."""
        if not chunks:
            return
        vectors = checked_vectors(chunks)
        kept = [_copied(chunk) for chunk in chunks]
        with self._lock:
            room = self._room(vectors.shape[1], len(kept))
            for chunk, vector in zip(kept, unit(vectors, vectors.shape[1]), strict=True):
                place = self._places.setdefault(chunk.chunk_id, len(self._chunks))
                self._chunks[place : place + 1] = [chunk]
                room[place] = vector

    def search(
        self, embedding: Sequence[float], top_k: int = 5, filters: Mapping[str, Any] | None = None
    ) -> list[RetrievalResult]:
        """See `BaseVectorStore.search`."""
        import numpy as np

        node = parse(filters)
        asked = checked_vectors([Chunk("", embedding=list(embedding))])
        with self._lock:
            if self._vectors is None or top_k < 1:
                return []
            _same(asked.shape[1], self._vectors.shape[1])
            vectors = self._vectors[: len(self._chunks)]
            places = np.arange(len(vectors))
            if node != EVERYTHING:
                places = places[[matches(node, chunk.metadata) for chunk in self._chunks]]
                vectors = vectors[places]
            scores = vectors @ unit(asked, asked.shape[1])[0]
            best = np.argsort(-scores, kind="stable")[:top_k]
            return [
                RetrievalResult(_copied(self._chunks[places[nth]]), min(1.0, max(-1.0, float(scores[nth]))), rank)
                for rank, nth in enumerate(best.tolist(), 1)
            ]

    def delete(self, chunk_ids: Sequence[str]) -> None:
        """See `BaseVectorStore.delete`."""
        with self._lock:
            for chunk_id in chunk_ids:
                place = self._places.pop(chunk_id, None)
                if place is None or self._vectors is None:
                    continue
                last = self._chunks.pop()
                if place < len(self._chunks):  # the last one moves into the gap
                    self._chunks[place] = last
                    self._vectors[place] = self._vectors[len(self._chunks)]
                    self._places[last.chunk_id] = place

    def clear(self) -> None:
        """See `BaseVectorStore.clear`."""
        with self._lock:
            self._places.clear()
            self._chunks.clear()
            self._vectors = None

    def count(self) -> int:
        """See `BaseVectorStore.count`."""
        return len(self._chunks)

    def _room(self, dimension: int, more: int) -> NDArray[np.float32]:
        """The vectors, with room for more."""
        import numpy as np

        if self._vectors is None:
            self._vectors = np.empty((more, dimension), np.float32)
        _same(dimension, self._vectors.shape[1])
        needed = len(self._chunks) + more
        if needed > len(self._vectors):
            grown = np.empty((max(needed, 2 * len(self._vectors)), dimension), np.float32)
            grown[: len(self._chunks)] = self._vectors[: len(self._chunks)]
            self._vectors = grown
        return self._vectors


def _same(given: int, known: int) -> None:
    if given != known:
        raise InputError(
            f"The vector has {given} numbers; those in the store have {known}.",
            "Use the embedder it was filled with, or clear the store.",
        )


def _copied(chunk: Chunk) -> Chunk:
    """What the caller does to his chunk is not done to the store's."""
    metadata = replace(chunk.metadata, extra=deepcopy(chunk.metadata.extra))
    return Chunk(chunk.content, metadata, chunk.doc_id, chunk.chunk_id)
