"""Chunks in Chroma: in this process, in a folder, or on a server."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..chunks import Chunk
from ..errors import ConflictError, unknown_name
from .adapter import Dialect, StoreAdapter, installed
from .filtering import Node
from .records import Row, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

Where = dict[str, Any]

_RECORD = "record"
# Of the ten nearest of 5,000 random directions Chroma's defaults find 8.3, these 9.9 in half as much time again.
_SEARCH = {"ef_search": 400, "ef_construction": 200}
_DISTANCES = ("cosine", "l2", "ip")


class _Where(Dialect[Where]):
    """Chroma's `where`: orders numbers only, and has no `not`, but `$nin` also takes what has no such field."""

    def within(self, key: str, values: list[str] | list[float]) -> Where | None:
        return {key: {"$in": values}} if values else None

    def ordered(self, key: str, operator: str, value: str | float) -> Where | None:
        return None if isinstance(value, str) else {key: {f"${operator}": value}}

    def every(self, parts: list[Where]) -> Where:
        return {"$and": parts}

    def some(self, parts: list[Where]) -> Where:
        return {"$or": parts}

    def negated(self, part: Where) -> Where | None:
        ((key, said),) = part.items()
        if key in ("$and", "$or"):
            parts = [self.negated(each) for each in said]
            return None if None in parts else {"$or" if key == "$and" else "$and": parts}
        ((operator, value),) = said.items()
        opposite = {"$in": "$nin", "$nin": "$in"}.get(operator)
        return {key: {opposite: value}} if opposite else None


class ChromaStore(StoreAdapter[Where]):
    """One collection in Chroma. Its telemetry is off.

    :param collection: 3 to 512 characters of `[a-zA-Z0-9._-]`.
    :param path: A folder to keep it in. Without a folder and a host it is in memory, this store's own, and gone with `close`.
    :param host: A Chroma server.
    :param port: The port of the server.
    :param distance_function: `cosine`; `l2`, and a score is the Euclidean distance with a minus; `ip`, and it is the inner product.
    :param persist_directory: Another name for `path`.
    """

    def __init__(
        self,
        collection: str = "ractogateway",
        *,
        path: str | None = None,
        host: str | None = None,
        port: int = 8000,
        distance_function: str = "cosine",
        persist_directory: str | None = None,
    ) -> None:
        if distance_function not in _DISTANCES:
            raise unknown_name("distance function", distance_function, _DISTANCES)
        super().__init__(f"Chroma at {host}:{port}" if host else "Chroma", _Where(), batch_size=1_000)
        self._path = path or persist_directory
        self._host = host
        self._port = port
        self._space = distance_function
        # All of Chroma's clients in memory share one database: a name nobody else has keeps stores apart.
        self._name = collection if self._path or host else f"{collection}-{uuid.uuid4().hex}"
        self._client: Any = None

    def close(self) -> None:
        """See `BaseVectorStore.close`."""
        with self._asked():
            if self._client is not None:
                if not (self._path or self._host):
                    self._drop()
                self._client.close()
                # What it leaves open to a server: its own line, and that of its client for administration.
                for part in (self._client, self._client._admin_client):
                    session = getattr(part._server, "_session", None)
                    if session is not None:
                        session.close()
                self._client = None

    def _failures(self) -> tuple[type[Exception], ...]:
        import httpx

        chromadb = _chromadb()
        return (chromadb.errors.ChromaError, httpx.HTTPError, ValueError, OSError)

    def _opened(self) -> Any:
        if self._client is None:
            chromadb = _chromadb()
            settings = chromadb.Settings(anonymized_telemetry=False)
            if self._host:
                self._client = chromadb.HttpClient(host=self._host, port=self._port, settings=settings)
            elif self._path:
                self._client = chromadb.PersistentClient(path=self._path, settings=settings)
            else:
                self._client = chromadb.EphemeralClient(settings=settings)
        return self._client

    def _collection(self) -> Any:
        """The collection, or `None`; looked up every time, because another process may have made it anew.

        :raises ConflictError: it compares by another distance.
        """
        try:
            found = self._opened().get_collection(self._name, embedding_function=None)
        except _chromadb().errors.NotFoundError:
            return None
        space = (found.configuration_json.get("hnsw") or found.configuration_json.get("spann") or {}).get("space")
        if space != self._space:
            hint = f"Open it with distance_function={space!r}, or take another collection."
            raise ConflictError(f"The collection {self._name!r} compares by {space}, not by {self._space}.", hint)
        return found

    def _dimension(self) -> int | None:
        collection = self._collection()
        vectors = [] if collection is None else collection.get(limit=1, include=["embeddings"])["embeddings"]
        return len(vectors[0]) if len(vectors) else None

    def _put(self, rows: Sequence[Row]) -> None:
        collection = self._collection()
        if collection is None:
            collection = self._opened().get_or_create_collection(
                self._name, configuration={"hnsw": {"space": self._space, **_SEARCH}}, embedding_function=None
            )
        collection.upsert(
            ids=[row.chunk_id for row in rows],
            embeddings=[row.vector for row in rows],
            metadatas=[{**row.fields, _RECORD: row.record} for row in rows],
        )

    def _nearest(
        self, vector: NDArray[Any], limit: int, native: Where | None, node: Node | None
    ) -> list[tuple[Chunk, float]]:
        found = self._collection().query(
            query_embeddings=[vector], n_results=limit, where=native, include=["metadatas", "distances"]
        )
        return [
            (unpacked(metadata.get(_RECORD)), self._score(distance))
            for metadata, distance in zip(found["metadatas"][0], found["distances"][0], strict=True)
        ]

    def _score(self, distance: float) -> float:
        return -math.sqrt(max(0.0, distance)) if self._space == "l2" else 1 - distance

    def _remove(self, chunk_ids: Sequence[str]) -> None:
        collection = self._collection()
        if collection is not None:
            collection.delete(ids=list(chunk_ids))

    def _drop(self) -> None:
        if self._collection() is not None:
            self._opened().delete_collection(self._name)

    def _size(self) -> int:
        collection = self._collection()
        return 0 if collection is None else int(collection.count())


def _chromadb() -> Any:
    with installed("rag-chroma"):
        import chromadb
        import chromadb.errors
    return chromadb
