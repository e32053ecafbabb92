"""The caches under the name the specification gives their module."""

from racto.agents.caches import CacheConfig, CacheStats, ExactMatchCache, OperationCache
from racto.agents.semantic_cache import EmbedFn, SemanticCache

__all__ = ["CacheConfig", "CacheStats", "EmbedFn", "ExactMatchCache", "OperationCache", "SemanticCache"]
