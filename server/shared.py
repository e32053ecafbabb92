"""What several servers share in one Redis, from settings: kept answers, the tokens of a minute, the last turns of conversations.

A Redis that is away fails no call: nothing is found among kept answers, each server counts and remembers for itself, and the log says so.
Only who forgets a conversation is told that it is still there.
"""

from __future__ import annotations

from functools import cache, partial
from importlib.util import find_spec

from ..knowledge.chat_memory import ChatMemory, ChatMemoryConfig
from ..knowledge.errors import ConfigError
from ..knowledge.keyvalue.redis import RedisKeyValue, RedisServer
from ..tools.shared_turns import SharedTurns
from .secrets import secret

PATIENCE = 1.0
"""Seconds to wait for Redis: a call is not to wait long for what would make it faster."""
REST = 10.0
"""Seconds for which nobody waits for a Redis that was not there."""
WEEK = 7 * 86_400.0
"""Seconds that conversations last there after their last turn, and answers that are kept without a limit of time."""


@cache
def _server(url: str) -> RedisServer:
    return RedisServer(url, password=partial(secret, "REDIS_PASSWORD"), timeout=PATIENCE, rest=REST)


def store(url: str, namespace: str) -> RedisKeyValue:
    """What one part of racto keeps there.

    :raises ConfigError: the client is not installed.
    """
    if find_spec("redis") is None:
        raise ConfigError("The setting redis_url needs the package redis.", "Install it: pip install 'racto[redis]'")
    return RedisKeyValue(namespace=f"racto:{namespace}", server=_server(url))


def turns(url: str) -> SharedTurns:
    """The last turns of conversations."""
    return SharedTurns(ChatMemory(ChatMemoryConfig(ttl_seconds=WEEK), store(url, "memory")))
