"""How many tokens somebody may use in a minute, counted where every process of a fleet sees it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, Field

from .edge import blocking
from .errors import InputError, StorageError
from .keyvalue import KeyValue
from .keyvalue.memory import MemoryKeyValue
from .keyvalue.redis import REDIS_URL, RedisKeyValue

log = logging.getLogger(__name__)

WINDOW = 60
"""Seconds."""


class RateLimitConfig(BaseModel):
    """What one user may use.

    :param max_tokens_per_minute: In each minute of the clock.
    :param key_prefix: What the names of the keys in Redis begin with.
    """

    max_tokens_per_minute: int = Field(default=10_000, gt=0)
    key_prefix: str = "ractogateway:ratelimit"


class RateLimiter:
    """Counts the tokens of each user in each minute; asking and counting is one step, so two at once cannot both have the last ones.

    :param store: Where it counts; by default in this process.
    :param clock: Seconds since 1970: processes must agree on it.
    """

    def __init__(
        self,
        config: RateLimitConfig | None = None,
        store: KeyValue | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config = config or RateLimitConfig()
        self._store = store or MemoryKeyValue()
        self._clock = clock

    async def acheck_and_consume(self, user_id: str, tokens: int = 1) -> bool:
        """Whether `user_id` may use `tokens` more in this minute; if so they count as used, if not nothing does.

        :raises InputError: `tokens` is less than 0.
        :raises StorageError: the store cannot be used.
        """
        if tokens < 0:
            raise InputError(f"{tokens} tokens cannot be used.", "Give 0 or more.")
        most = self._config.max_tokens_per_minute
        return await self._store.increment(self._key(user_id), tokens, ttl=WINDOW, limit=most) is not None

    async def aconsume(self, user_id: str, tokens: int) -> None:
        """Count `tokens` that were used, though they may be more than the limit: what is known only after a call.

        :raises StorageError: the store cannot be used.
        """
        await self._store.increment(self._key(user_id), tokens, ttl=WINDOW)

    @property
    def most(self) -> int:
        """The tokens of a minute."""
        return self._config.max_tokens_per_minute

    @property
    def seconds_left(self) -> int:
        """Until the next minute begins."""
        return WINDOW - int(self._clock()) % WINDOW

    async def aget_remaining(self, user_id: str) -> int:
        """The tokens `user_id` may still use in this minute.

        :raises StorageError: the store cannot be used.
        """
        used = int(await self._store.get(self._key(user_id)) or b"0")
        return max(0, self._config.max_tokens_per_minute - used)

    async def areset(self, user_id: str) -> None:
        """Forget what `user_id` has used.

        :raises StorageError: the store cannot be used.
        """
        start = f"{user_id}:"
        for key in await self._store.keys(start):
            if key.removeprefix(start).isdigit():  # the keys of a user `a:b` also begin with `a:`
                await self._store.delete(key)

    def _key(self, user_id: str) -> str:
        return f"{user_id}:{int(self._clock()) // WINDOW}"

    check_and_consume = blocking(acheck_and_consume)
    get_remaining = blocking(aget_remaining)
    reset = blocking(areset)


class FleetRateLimiter(RateLimiter):
    """A rate limiter over a store that may be away: meanwhile it counts by itself, since a limit must neither fail nor stop holding."""

    def __init__(
        self, config: RateLimitConfig, store: KeyValue | None = None, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(config, store, clock=clock)
        self._alone = RateLimiter(config, clock=clock)

    async def acheck_and_consume(self, user_id: str, tokens: int = 1) -> bool:
        """As `RateLimiter` has it; without the store, by what this process has counted."""
        try:
            return await super().acheck_and_consume(user_id, tokens)
        except StorageError as error:
            log.warning("Tokens are counted by this process alone: %s", error)
            return await self._alone.acheck_and_consume(user_id, tokens)

    async def aconsume(self, user_id: str, tokens: int) -> None:
        """As `RateLimiter` has it."""
        try:
            await super().aconsume(user_id, tokens)
        except StorageError:
            await self._alone.aconsume(user_id, tokens)


class RedisRateLimiter(RateLimiter):
    """A rate limiter that every process of a fleet shares; its keys are `prefix:user:minute` and last a minute.

    :param url: `redis://`, `rediss://` or `unix://`; not used when there is a client.
    :param client: A `redis.Redis` of the caller's.
    """

    def __init__(
        self,
        *,
        url: str = REDIS_URL,
        client: Any = None,
        config: RateLimitConfig | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        config = config or RateLimitConfig()
        super().__init__(config, RedisKeyValue(url, client=client, namespace=config.key_prefix), clock=clock)
