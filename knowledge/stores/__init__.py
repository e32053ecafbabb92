"""Where vectors are kept and compared. One file a store; the table below says which.

Every store compares by cosine unless it is told otherwise, takes the same filters (`filtering.py`), and replaces a chunk that is added again.
What it finds comes back as it was added but for the embedding, which stays in the store: a result's is `None`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from ..chunks import Chunk, RetrievalResult
from ..errors import unknown_name

STORES = {
    "sqlite": ".sqlite:SQLiteStore",
    "memory": ".memory:InMemoryVectorStore",
    "faiss": ".faiss:FAISSStore",
    "chroma": ".chroma:ChromaStore",
    "qdrant": ".qdrant:QdrantStore",
    "milvus": ".milvus:MilvusStore",
    "pgvector": ".pgvector:PGVectorStore",
    "weaviate": ".weaviate:WeaviateStore",
    "pinecone": ".pinecone:PineconeStore",
}
"""Name → module in this package and the store in it; imported on first use."""


class BaseVectorStore(ABC):
    """Keeps chunks with their vectors and finds the most similar ones."""

    @abstractmethod
    def add(self, chunks: Sequence[Chunk]) -> None:
        """Keep chunks; one whose id is there already is replaced.

        :raises InputError: a chunk has no embedding, one of another length than those that are there, one of zeros, or one with NaN or
            infinity; also a `ValueError`. Nothing was added.
        """

    @abstractmethod
    def search(
        self, embedding: Sequence[float], top_k: int = 5, filters: Mapping[str, Any] | None = None
    ) -> list[RetrievalResult]:
        """The most similar chunks, best first; fewer than `top_k` when there are fewer, none for a `top_k` below 1.

        :param filters: What the metadata must be like; see `filtering.py`.
        :raises InputError: the vector has another length than those that are there, or the filter is none.
        """

    @abstractmethod
    def delete(self, chunk_ids: Sequence[str]) -> None:
        """Remove chunks; ids that are not there are no error."""

    @abstractmethod
    def clear(self) -> None:
        """Remove every chunk; embeddings of another length may follow."""

    @abstractmethod
    def count(self) -> int:
        """How many chunks there are."""

    def close(self) -> None:  # noqa: B027 - a store that holds nothing open has nothing to do
        """Let go of files and lines; what was added stays."""


def store_class(name: str) -> type[BaseVectorStore]:
    """The store of this name, imported.

    :raises UnknownNameError: it is not in the table.
    """
    if name not in STORES:
        raise unknown_name("vector store", name, STORES)
    module, _, attribute = STORES[name].partition(":")
    found: type[BaseVectorStore] = getattr(import_module(module, __name__), attribute)
    return found
