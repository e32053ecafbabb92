"""RactoRAG under the name the specification gives its module."""

from racto.knowledge.chunks import Chunk, ChunkMetadata, RetrievalResult
from racto.knowledge.rag import RactoRAG, RAGResponse

__all__ = ["Chunk", "ChunkMetadata", "RAGResponse", "RactoRAG", "RetrievalResult"]
