"""What a fleet shares through Redis, under the name the specification gives its module."""

from racto.agents.caches import RedisExactCache
from racto.knowledge.chat_memory import ChatMemoryConfig, RedisChatMemory
from racto.knowledge.rate_limit import RateLimitConfig, RedisRateLimiter

__all__ = ["ChatMemoryConfig", "RateLimitConfig", "RedisChatMemory", "RedisExactCache", "RedisRateLimiter"]
