"""The last turns of conversations, kept where every process of a fleet sees them."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, Field

from .edge import blocking
from .errors import InputError
from .keyvalue import KeyValue
from .keyvalue.memory import MemoryKeyValue
from .keyvalue.redis import REDIS_URL, RedisKeyValue
from .vocabulary import MessageRole


class ChatMemoryConfig(BaseModel):
    """How much of a conversation is kept.

    :param max_turns: Turns of two messages, one of the person and one of the model.
    :param ttl_seconds: How long a conversation lasts after its last message; `None` for ever.
    :param key_prefix: What the names of the keys in Redis begin with.
    """

    max_turns: int = Field(default=10, gt=0)
    ttl_seconds: float | None = Field(default=None, gt=0)
    key_prefix: str = "ractogateway:memory"


class ChatMemory:
    """Conversations by id, each the last `max_turns` turns of it.

    :param store: Where they are kept; by default in this process.
    """

    def __init__(self, config: ChatMemoryConfig | None = None, store: KeyValue | None = None) -> None:
        self._config = config or ChatMemoryConfig()
        self._store = store or MemoryKeyValue()

    async def aappend(self, conversation_id: str, role: str, content: str) -> None:
        """Add a message; the oldest go when there are more than two for each turn, and the time to live begins anew.

        :param role: A `MessageRole`, or its word.
        :raises InputError: there is no such role.
        :raises StorageError: the store cannot be used.
        """
        if role not in list(MessageRole):
            raise InputError(f"There is no role {role!r}.", f"Use one of: {', '.join(MessageRole)}.")
        item = json.dumps({"role": str(role), "content": content}).encode()
        keep, ttl = 2 * self._config.max_turns, self._config.ttl_seconds
        await self._store.append(conversation_id, item, keep=keep, ttl=ttl)

    async def aget_history(self, conversation_id: str) -> list[dict[str, str]]:
        """The messages as `{"role": …, "content": …}`, the oldest first, as `Message(**each)` takes them.

        :raises StorageError: the store cannot be used.
        """
        return [json.loads(item) for item in await self._store.items(conversation_id)]

    async def aclear(self, conversation_id: str) -> None:
        """Forget a conversation.

        :raises StorageError: the store cannot be used.
        """
        await self._store.delete(conversation_id)

    async def acount(self, conversation_id: str) -> int:
        """How many messages of it are kept.

        :raises StorageError: the store cannot be used.
        """
        return await self._store.length(conversation_id)

    append = blocking(aappend)
    get_history = blocking(aget_history)
    clear = blocking(aclear)
    count = blocking(acount)


class RedisChatMemory(ChatMemory):
    """Conversations that every process of a fleet shares, each a list of Redis.

    :param url: `redis://`, `rediss://` or `unix://`; not used when there is a client.
    :param client: A `redis.Redis` of the caller's.
    """

    def __init__(self, *, url: str = REDIS_URL, client: Any = None, config: ChatMemoryConfig | None = None) -> None:
        config = config or ChatMemoryConfig()
        super().__init__(config, RedisKeyValue(url, client=client, namespace=config.key_prefix))
