"""Vector stores under the name the specification gives their module."""

from racto.knowledge.stores import BaseVectorStore
from racto.knowledge.stores.chroma import ChromaStore
from racto.knowledge.stores.faiss import FAISSStore
from racto.knowledge.stores.memory import InMemoryVectorStore
from racto.knowledge.stores.milvus import MilvusStore
from racto.knowledge.stores.pgvector import PGVectorStore
from racto.knowledge.stores.pinecone import PineconeStore
from racto.knowledge.stores.qdrant import QdrantStore
from racto.knowledge.stores.sqlite import SQLiteStore
from racto.knowledge.stores.weaviate import WeaviateStore

__all__ = [
    "BaseVectorStore",
    "ChromaStore",
    "FAISSStore",
    "InMemoryVectorStore",
    "MilvusStore",
    "PGVectorStore",
    "PineconeStore",
    "QdrantStore",
    "SQLiteStore",
    "WeaviateStore",
]
