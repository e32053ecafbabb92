"""Chunks in a Pinecone index."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..chunks import Chunk
from ..errors import ConfigError
from .adapter import Dialect, StoreAdapter, installed
from .filtering import Node
from .records import Row, unit, unpacked, uuid_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Condition = dict[str, Any]

_OPPOSITES = {"$in": "$nin", "$gt": "$lte", "$gte": "$lt", "$lt": "$gte", "$lte": "$gt"}
_RECORD = "record"
_WHOLE_ANSWERS = 200
_FETCHED_AT_ONCE = 100
_UNKNOWN_NAMESPACE = 404


class _Conditions(Dialect[Condition]):
    """Pinecone's metadata filters: orders numbers only, and has no `not`, but every condition has its opposite."""

    def within(self, key: str, values: list[str] | list[float]) -> Condition | None:
        return {key: {"$in": values}} if values else None

    def ordered(self, key: str, operator: str, value: str | float) -> Condition | None:
        return None if isinstance(value, str) else {key: {f"${operator}": value}}

    def every(self, parts: list[Condition]) -> Condition:
        return {"$and": parts}

    def some(self, parts: list[Condition]) -> Condition:
        return {"$or": parts}

    def negated(self, part: Condition) -> Condition:
        ((key, said),) = part.items()
        if key in ("$and", "$or"):
            return {"$or" if key == "$and" else "$and": [self.negated(each) for each in said]}
        ((operator, value),) = said.items()
        if operator == "$exists":
            return {key: {"$exists": not value}}
        if operator == "$nin":
            return {key: {"$in": value}}
        return {"$or": [{key: {"$exists": False}}, {key: {_OPPOSITES[operator]: value}}]}


class PineconeStore(StoreAdapter[Condition]):
    """One namespace of an index that is there already.

    Vectors are kept at length 1, so that a score is the cosine whatever the index compares by. Pinecone shows what was added
    or removed after a moment, not at once. `PINECONE_CONTROLLER_HOST` names another control plane.

    :param index_name: The index.
    :param api_key: `None` reads PINECONE_API_KEY.
    :param namespace: Chunks of other namespaces are not seen.
    :param batch_size: Chunks in one request.
    """

    most: ClassVar[int] = 10_000
    longest_record: ClassVar[int] = (
        30_000  # of the 40 KB its metadata may have, the rest is for the fields to filter by
    )

    def __init__(
        self, index_name: str, *, api_key: str | None = None, namespace: str = "", batch_size: int = 100
    ) -> None:
        self._key = api_key or os.environ.get("PINECONE_API_KEY", "")
        super().__init__(f"Pinecone index {index_name!r}", _Conditions(), batch_size=batch_size, secrets=[self._key])
        self._name = index_name
        self._namespace = namespace
        self._client: Any = None
        self._index: Any = None
        self._about: Any = None

    def close(self) -> None:
        """See `BaseVectorStore.close`."""
        with self._lock:
            for open_one in (self._index, self._client):
                if open_one is not None:
                    open_one.close()
            self._index = self._client = None

    def _failures(self) -> tuple[type[Exception], ...]:
        return (_pinecone().PineconeException, OSError)

    def _opened(self) -> Any:
        if self._index is None:
            if not self._key:
                raise ConfigError("There is no API key for Pinecone.", "Set PINECONE_API_KEY, or pass api_key.")
            self._client = _pinecone().Pinecone(api_key=self._key)
            self._about = self._client.indexes.describe(self._name)
            self._index = self._client.index(self._name)
        return self._index

    def _dimension(self) -> int | None:
        self._opened()
        return int(self._about.dimension)

    def _put(self, rows: Sequence[Row]) -> None:
        import numpy as np

        vectors = unit(np.stack([row.vector for row in rows])).tolist()
        self._opened().upsert(
            vectors=[
                {"id": uuid_of(row.chunk_id), "values": vector, "metadata": {**row.fields, _RECORD: row.record}}
                for row, vector in zip(rows, vectors, strict=True)
            ],
            namespace=self._namespace,
        )

    def _nearest(
        self, vector: NDArray[Any], limit: int, native: Condition | None, node: Node | None
    ) -> list[tuple[Chunk, float]]:
        whole = limit <= _WHOLE_ANSWERS  # an answer may have 4 MB: longer lists come as ids alone
        found = self._opened().query(
            vector=unit(vector[None, :])[0].tolist(),
            top_k=limit,
            filter=native,
            namespace=self._namespace,
            include_metadata=whole,
        )
        scores = {match.id: self._score(match.score) for match in found.matches}
        kept = {match.id: match.metadata for match in found.matches} if whole else self._fetched(list(scores))
        # What was removed between the two requests is left out.
        return [(unpacked(kept[key].get(_RECORD)), score) for key, score in scores.items() if key in kept]

    def _fetched(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        kept: dict[str, dict[str, Any]] = {}
        for start in range(0, len(ids), _FETCHED_AT_ONCE):
            some = list(ids[start : start + _FETCHED_AT_ONCE])
            vectors = self._opened().fetch(ids=some, namespace=self._namespace).vectors
            kept |= {key: vector.metadata or {} for key, vector in vectors.items()}
        return kept

    def _score(self, score: float) -> float:
        # Of vectors of length 1 the squared distance is 2 - 2 cos.
        return 1 - score / 2 if self._about.metric == "euclidean" else score

    def _remove(self, chunk_ids: Sequence[str]) -> None:
        self._deleted(ids=[uuid_of(chunk_id) for chunk_id in chunk_ids])

    def _drop(self) -> None:
        self._deleted(delete_all=True)

    def _deleted(self, **what: Any) -> None:
        index = self._opened()
        try:
            index.delete(namespace=self._namespace, **what)
        except _pinecone().ApiError as error:
            if error.status_code != _UNKNOWN_NAMESPACE:  # a namespace begins with its first chunk
                raise

    def _size(self) -> int:
        about = self._opened().describe_index_stats().namespaces.get(self._namespace)
        return 0 if about is None else int(about.vector_count)


def _pinecone() -> Any:
    with installed("rag-pinecone"):
        import pinecone
    return pinecone
