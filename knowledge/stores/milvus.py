"""Chunks in Milvus: in a file of this process (Milvus Lite), or on a server."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ..chunks import Chunk
from ..errors import ConflictError, unknown_name
from .adapter import Dialect, StoreAdapter, installed
from .filtering import Node
from .records import Row, unit, unpacked, uuid_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

Expression = tuple[str, str]
"""A condition, and what it leaves out: Milvus' own `not` treats a missing field differently from version to version."""

_SECONDS = 10
_LITE = ".db"
_lite_users: Counter[str] = Counter()
_METRICS = {"IP": "IP", "COSINE": "IP", "L2": "L2"}
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_UNSPEAKABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029]"
)  # what its literals would have to escape, each version in its way


class _Expressions(Dialect[Expression]):
    """Milvus' boolean expressions over one JSON field."""

    def within(self, key: str, values: list[str] | list[float]) -> Expression | None:
        # Milvus Lite knows no `in` for a path within a JSON field.
        said = [f"{_path(key)} == {literal}" for value in values if (literal := _literal(value))]
        return _leaf(key, " or ".join(said)) if said and len(said) == len(values) else None

    def ordered(self, key: str, operator: str, value: str | float) -> Expression | None:
        literal = _literal(value)
        return _leaf(key, f"{_path(key)} {_SIGNS[operator]} {literal}") if literal else None

    def every(self, parts: list[Expression]) -> Expression:
        return _joined(" and ", parts, 0), _joined(" or ", parts, 1)

    def some(self, parts: list[Expression]) -> Expression:
        return _joined(" or ", parts, 0), _joined(" and ", parts, 1)

    def negated(self, part: Expression) -> Expression:
        return part[1], part[0]


class MilvusStore(StoreAdapter[Expression]):
    """One collection in Milvus, read with strong consistency: what was added is found at once.

    :param collection: Letters, digits and `_`.
    :param host: The server; not used when there is a `uri`.
    :param port: Its port.
    :param uri: `http(s)://…` of a server, or a file that ends in `.db` for Milvus Lite.
    :param token: `user:password`, or a key of Zilliz Cloud.
    :param dimension: How long vectors are; by default as long as the first ones added.
    :param metric_type: `IP` (or `COSINE`): vectors are kept at length 1, so a score is the cosine. `L2`: it is the Euclidean
        distance with a minus.
    :param batch_size: Chunks in one request.
    """

    most: ClassVar[int] = 16_384
    longest_record: ClassVar[int] = 65_535

    def __init__(
        self,
        collection: str = "ractogateway",
        *,
        host: str = "localhost",
        port: int = 19530,
        uri: str | None = None,
        token: str | None = None,
        dimension: int | None = None,
        metric_type: str = "IP",
        batch_size: int = 100,
    ) -> None:
        if metric_type.upper() not in _METRICS:
            raise unknown_name("metric type", metric_type, _METRICS)
        super().__init__("Milvus", _Expressions(), batch_size=batch_size, secrets=[token])
        self._collection = collection
        self._uri = uri or f"http://{host}:{port}"
        self._token = token
        self._given = dimension
        self._metric = _METRICS[metric_type.upper()]
        self._kept: int | None = None
        self._client: Any = None

    def close(self) -> None:
        """See `BaseVectorStore.close`."""
        with self._lock:
            if self._client is not None:
                self._client.close()
                self._client = None
                _lite_closed(self._uri)

    def _failures(self) -> tuple[type[Exception], ...]:
        milvus = _pymilvus()
        import grpc  # type: ignore[import-untyped]  # it brings no types

        return (milvus.MilvusException, grpc.RpcError, OSError, ValueError, RuntimeError)

    def _opened(self) -> Any:
        if self._client is None:
            milvus = _pymilvus()
            self._client = milvus.MilvusClient(uri=self._uri, token=self._token or "", timeout=_SECONDS)
            _lite_users[self._uri] += 1
            if self._client.has_collection(self._collection):
                self._client.load_collection(self._collection)
        return self._client

    def _dimension(self) -> int | None:
        if not self._opened().has_collection(self._collection):
            self._kept = None
            return self._given
        if self._kept is None:  # asked once: Milvus Lite counts all rows to tell about an index
            self._kept = self._described()
        return self._kept

    def _described(self) -> int:
        """How long the vectors of the collection are.

        :raises ConflictError: it compares by another metric.
        """
        metric = self._client.describe_index(self._collection, "vector")["metric_type"]
        if metric != self._metric:
            hint = f"Open it with metric_type={metric!r}, or take another collection."
            raise ConflictError(f"The collection {self._collection!r} compares by {metric}.", hint)
        fields = self._client.describe_collection(self._collection)["fields"]
        return next(int(field["params"]["dim"]) for field in fields if field["name"] == "vector")

    def _make(self, dimension: int) -> None:
        client, types = self._opened(), _pymilvus().DataType
        schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
        schema.add_field("id", types.VARCHAR, is_primary=True, max_length=36)
        schema.add_field("vector", types.FLOAT_VECTOR, dim=dimension)
        schema.add_field("fields", types.JSON)
        schema.add_field("record", types.VARCHAR, max_length=self.longest_record)
        index = client.prepare_index_params()
        index.add_index("vector", index_type="FLAT", metric_type=self._metric)
        client.create_collection(self._collection, schema=schema, index_params=index, consistency_level="Strong")

    def _put(self, rows: Sequence[Row]) -> None:
        import numpy as np

        client = self._opened()
        if not client.has_collection(self._collection):
            self._make(len(rows[0].vector))
        vectors = self._scaled(np.stack([row.vector for row in rows]))
        client.upsert(
            self._collection,
            [
                {"id": uuid_of(row.chunk_id), "vector": vector.tolist(), "fields": row.fields, "record": row.record}
                for row, vector in zip(rows, vectors, strict=True)
            ],
        )

    def _nearest(
        self, vector: NDArray[Any], limit: int, native: Expression | None, node: Node | None
    ) -> list[tuple[Chunk, float]]:
        client = self._opened()
        if not client.has_collection(self._collection):
            return []
        query = self._scaled(vector[None, :]).tolist()
        said = native[0] if native else ""
        hits = client.search(self._collection, query, filter=said, limit=limit, output_fields=["record"])[0]
        return [(unpacked(hit["entity"]["record"]), self._score(hit["distance"])) for hit in hits]

    def _scaled(self, vectors: NDArray[Any]) -> NDArray[Any]:
        return unit(vectors) if self._metric == "IP" else vectors

    def _score(self, distance: float) -> float:
        return distance if self._metric == "IP" else -math.sqrt(max(0.0, distance))

    def _remove(self, chunk_ids: Sequence[str]) -> None:
        client = self._opened()
        if client.has_collection(self._collection):
            client.delete(self._collection, ids=[uuid_of(chunk_id) for chunk_id in chunk_ids])

    def _drop(self) -> None:
        client = self._opened()
        if client.has_collection(self._collection):
            client.drop_collection(self._collection)
            self._kept = None

    def _size(self) -> int:
        client = self._opened()
        if not client.has_collection(self._collection):
            return 0
        return int(client.query(self._collection, filter="", output_fields=["count(*)"])[0]["count(*)"])


def _lite_closed(uri: str) -> None:
    """End the server Milvus Lite runs for a file once nobody here uses it; pymilvus leaves it until the process ends."""
    _lite_users[uri] -= 1
    if uri.endswith(_LITE) and not _lite_users[uri]:
        from milvus_lite.server_manager import (  # type: ignore[import-untyped]  # it brings no types
            server_manager_instance,
        )

        server_manager_instance.release_server(uri)


def _path(key: str) -> str:
    return f'fields["{key}"]'


def _leaf(key: str, said: str) -> Expression:
    path = _path(key)
    return f"(exists {path} and ({said}))", f"(not exists {path} or not ({said}))"


def _joined(word: str, parts: list[Expression], side: int) -> str:
    return f"({word.join(part[side] for part in parts)})"


def _literal(value: str | float) -> str | None:
    if isinstance(value, str):
        return None if _UNSPEAKABLE.search(value) else json.dumps(value, ensure_ascii=False)
    return repr(float(value))


def _pymilvus() -> Any:
    with installed("rag-milvus"):
        import pymilvus  # type: ignore[import-untyped]  # it brings no types
    return pymilvus
