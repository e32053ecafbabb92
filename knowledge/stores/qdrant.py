"""Chunks in Qdrant: in this process, in a folder, or on a server."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..chunks import Chunk
from ..errors import ConflictError, unknown_name
from .adapter import Dialect, StoreAdapter, installed
from .filtering import Node
from .records import Row, unpacked, uuid_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Filter = Any
"""A `qdrant_client.models.Filter`; its module is imported when it is needed."""

_DISTANCES = {"cosine": "Cosine", "l2": "Euclid", "ip": "Dot", "euclid": "Euclid", "dot": "Dot"}
_ADDRESS = re.compile(r"[\w.-]+:\d+")


class _Conditions(Dialect[Filter]):
    """Qdrant's filters: everything but the order of texts."""

    def within(self, key: str, values: list[str] | list[float]) -> Filter | None:
        models = _models()
        field = f"fields.{key}"
        texts = [value for value in values if isinstance(value, str)]
        if texts:
            return models.Filter(must=[models.FieldCondition(key=field, match=models.MatchAny(any=texts))])
        # Numbers with a fraction can only be compared.
        numbers = [models.FieldCondition(key=field, range=models.Range(gte=value, lte=value)) for value in values]
        return models.Filter(should=numbers) if numbers else None

    def ordered(self, key: str, operator: str, value: str | float) -> Filter | None:
        if isinstance(value, str):
            return None
        models = _models()
        return models.Filter(must=[models.FieldCondition(key=f"fields.{key}", range=models.Range(**{operator: value}))])

    def every(self, parts: list[Filter]) -> Filter:
        return _models().Filter(must=parts)

    def some(self, parts: list[Filter]) -> Filter:
        return _models().Filter(should=parts)

    def negated(self, part: Filter) -> Filter:
        return _models().Filter(must_not=[part])


class QdrantStore(StoreAdapter[Filter]):
    """One collection in Qdrant.

    :param url: `http://…` of a server; a folder to keep it in, in this process; `None` or `:memory:` for memory alone.
    :param distance: `cosine`; `l2` (`euclid`), and a score is the distance with a minus; `ip` (`dot`), and it is the inner product.
    :param dimension: How long vectors are; by default as long as the first ones added.
    :param batch_size: Chunks in one request.
    """

    def __init__(
        self,
        collection: str = "ractogateway",
        *,
        url: str | None = None,
        api_key: str | None = None,
        distance: str = "cosine",
        dimension: int | None = None,
        batch_size: int = 100,
    ) -> None:
        if distance.lower() not in _DISTANCES:
            raise unknown_name("distance", distance, _DISTANCES)
        super().__init__("Qdrant", _Conditions(), batch_size=batch_size, secrets=[api_key])
        self._collection = collection
        self._url = f"http://{url}" if url and _ADDRESS.fullmatch(url) else url or ":memory:"
        self._api_key = api_key
        self._distance = _DISTANCES[distance.lower()]
        self._given = dimension
        self._client: Any = None

    def close(self) -> None:
        """See `BaseVectorStore.close`."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None

    def _failures(self) -> tuple[type[Exception], ...]:
        _models()
        from qdrant_client.http.exceptions import ApiException

        # In this process it raises what Python raises: a folder that is in use is a RuntimeError.
        return (ApiException, ValueError, RuntimeError, OSError)

    def _opened(self) -> Any:
        if self._client is None:
            from qdrant_client import QdrantClient

            if "://" in self._url:
                self._client = QdrantClient(url=self._url, api_key=self._api_key, check_compatibility=False)
            elif self._url == ":memory:":
                self._client = QdrantClient(":memory:")
            else:
                self._client = QdrantClient(path=self._url, force_disable_check_same_thread=True)  # one call at a time
        return self._client

    def _parameters(self) -> Any:
        """How the collection keeps vectors; `None` when it is missing.

        :raises ConflictError: it compares by another distance.
        """
        client = self._opened()
        if not client.collection_exists(self._collection):
            return None
        found = client.get_collection(self._collection).config.params.vectors
        if getattr(found, "distance", None) != self._distance:
            raise ConflictError(
                f"The collection {self._collection!r} does not compare by {self._distance}.",
                "Open it with its own distance, or take another collection.",
            )
        return found

    def _dimension(self) -> int | None:
        found = self._parameters()
        return self._given if found is None else int(found.size)

    def _put(self, rows: Sequence[Row]) -> None:
        models = _models()
        client = self._opened()
        if self._parameters() is None:
            vectors = models.VectorParams(size=len(rows[0].vector), distance=models.Distance(self._distance))
            client.create_collection(self._collection, vectors_config=vectors)
        client.upsert(
            self._collection,
            [
                models.PointStruct(
                    id=uuid_of(row.chunk_id),
                    vector=row.vector.tolist(),
                    payload={"record": row.record, "fields": row.fields},
                )
                for row in rows
            ],
            wait=True,
        )

    def _nearest(
        self, vector: NDArray[Any], limit: int, native: Filter | None, node: Node | None
    ) -> list[tuple[Chunk, float]]:
        client = self._opened()
        if self._given is not None and self._parameters() is None:
            return []
        found = client.query_points(
            self._collection,
            query=vector.tolist(),
            limit=limit,
            query_filter=native,
            with_payload=["record"],
        )
        sign = -1 if self._distance == "Euclid" else 1
        return [(unpacked(point.payload.get("record")), sign * point.score) for point in found.points]

    def _remove(self, chunk_ids: Sequence[str]) -> None:
        if self._parameters() is not None:
            points = _models().PointIdsList(points=[uuid_of(chunk_id) for chunk_id in chunk_ids])
            self._opened().delete(self._collection, points_selector=points, wait=True)

    def _drop(self) -> None:
        if self._parameters() is not None:
            self._opened().delete_collection(self._collection)

    def _size(self) -> int:
        return 0 if self._parameters() is None else int(self._opened().count(self._collection, exact=True).count)


def _models() -> Any:
    with installed("rag-qdrant"):
        from qdrant_client import models
    return models
