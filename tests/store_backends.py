"""What the stores of other makers stand on in tests: each server is started by the first test that needs it."""

from __future__ import annotations

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from unittest.mock import patch

from racto.knowledge.stores.chroma import ChromaStore
from racto.knowledge.stores.faiss import FAISSStore
from racto.knowledge.stores.milvus import MilvusStore
from racto.knowledge.stores.pgvector import PGVectorStore
from racto.knowledge.stores.pinecone import PineconeStore
from racto.knowledge.stores.qdrant import QdrantStore
from racto.knowledge.stores.weaviate import WeaviateStore

from tests.postgres_server import postgres_server
from tests.store_contract import DIMENSION, Examined, closing
from tests.store_servers import serving
from tests.store_servers.pinecone import API_KEY, Pinecone
from tests.store_servers.weaviate import Weaviate

_running = ExitStack()
atexit.register(_running.close)  # three modules use one PostgreSQL: none of them can end it


@cache
def postgres() -> str:
    """The URL of a PostgreSQL."""
    return _running.enter_context(postgres_server())


@cache
def weaviate() -> str:
    """The URL of a server that speaks as Weaviate does."""
    return _running.enter_context(serving(Weaviate()))


@contextmanager
def faiss_case(folder: Path) -> Iterator[Examined]:
    """FAISS in memory."""
    with closing(lambda name: FAISSStore()) as opener:
        yield Examined(opener, persistent=False)


@contextmanager
def chroma_case(folder: Path) -> Iterator[Examined]:
    """Chroma in a folder."""
    with closing(lambda name: ChromaStore(f"the-{name}", path=str(folder))) as opener:
        yield Examined(opener)


@contextmanager
def chroma_memory_case(folder: Path) -> Iterator[Examined]:
    """Chroma in memory."""
    with closing(lambda name: ChromaStore(f"the-{name}")) as opener:
        yield Examined(opener, persistent=False)


@contextmanager
def qdrant_case(folder: Path) -> Iterator[Examined]:
    """Qdrant in memory."""
    with closing(lambda name: QdrantStore(name)) as opener:
        yield Examined(opener, persistent=False)


@contextmanager
def milvus_case(folder: Path) -> Iterator[Examined]:
    """Milvus Lite in a file."""
    with closing(lambda name: MilvusStore(name, uri=str(folder / "milvus.db"))) as opener:
        yield Examined(opener)


@contextmanager
def pgvector_case(folder: Path) -> Iterator[Examined]:
    """PostgreSQL."""
    with closing(lambda name: PGVectorStore(postgres(), table=f'{folder.name}"{name}')) as opener:
        yield Examined(opener)


@contextmanager
def weaviate_case(folder: Path) -> Iterator[Examined]:
    """Weaviate's REST and GraphQL APIs over the wire."""
    prefix = "".join(filter(str.isalnum, folder.name.title()))
    with closing(lambda name: WeaviateStore(f"{prefix}_{name}", url=weaviate())) as opener:
        yield Examined(opener)


@contextmanager
def pinecone_case(folder: Path) -> Iterator[Examined]:
    """Pinecone's API over the wire: collections are indexes, whose dimension was said when they were made."""
    service = Pinecone({"one": DIMENSION, "empty": DIMENSION, "two": 3})
    with (
        serving(service) as url,
        patch.dict(os.environ, {"PINECONE_CONTROLLER_HOST": url}),
        closing(lambda name: PineconeStore(name, api_key=API_KEY)) as opener,
    ):
        yield Examined(opener, any_length=False)
