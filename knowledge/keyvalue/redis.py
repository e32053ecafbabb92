"""Keys in Redis: every process of a fleet sees the same ones.

The client is the blocking one, called in threads: it may be the caller's own, and it belongs to no event loop.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

from ..edge import off_loop
from ..errors import ConfigError, StorageError
from . import checked_keep, checked_ttl, wrong_kind

REDIS_URL = "redis://localhost:6379/0"
TIMEOUT = 5.0
"""Seconds to wait for a connection, or for an answer on it."""

SCAN_BATCH = 500

# Redis runs a script as one step. What is None is "" in ARGV; of two values, ARGV[1] says which are there.
_INCREMENT = """
local held = redis.call('GET', KEYS[1])
local before = held and redis.call('INCRBY', KEYS[1], 0) or 0 -- fails for what is not a whole number
local limit, ttl = tonumber(ARGV[2]), ARGV[3]
if limit and before + tonumber(ARGV[1]) > limit then return false end
local total = redis.call('INCRBY', KEYS[1], ARGV[1])
if not held and ttl ~= '' then redis.call('PEXPIRE', KEYS[1], ttl) end
return total
"""
_REPLACE = """
local held = redis.call('GET', KEYS[1])
local was, becomes = string.sub(ARGV[1], 1, 1) == '1', string.sub(ARGV[1], 2, 2) == '1'
if was ~= (held ~= false) or (was and held ~= ARGV[2]) then return 0 end
if not becomes then redis.call('DEL', KEYS[1])
elseif ARGV[4] ~= '' then redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[4])
else redis.call('SET', KEYS[1], ARGV[3]) end
return 1
"""


class RedisKeyValue:
    """Keys that begin with `namespace:` in one Redis (6.2 or later). How many there may be is the server's `maxmemory` and its policy.

    :param url: `redis://`, `rediss://` or `unix://`; not used when there is a client.
    :param client: A `redis.Redis` of the caller's, who also closes it.
    :param namespace: Whose keys these are; "" for all of the database.
    """

    def __init__(self, url: str = REDIS_URL, *, client: Any = None, namespace: str = "") -> None:
        self._url = url
        self._client = client
        self._ours = client is None
        self._start = f"{namespace}:" if namespace else ""
        self._lock = threading.Lock()

    def _get(self, key: str) -> bytes | None:
        """The value of `key`, if it has one."""
        with self._asked(key, "a value") as client:
            return _bytes(client.get(self._start + key))

    def _put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Give `key` a value and a new time to live, whatever it held."""
        with self._asked() as client:
            client.set(self._start + key, value, px=_milliseconds(ttl))

    def _delete(self, key: str) -> bool:
        """Forget `key`; whether it was there."""
        with self._asked() as client:
            return bool(client.delete(self._start + key))

    def _increment(self, key: str, by: int = 1, *, ttl: float | None = None, limit: int | None = None) -> int | None:
        """Add to the whole number a key holds; `None`, and nothing added, when the sum would be more than `limit`."""
        most = "" if limit is None else limit
        with self._asked(key, "a whole number") as client:
            total = client.eval(_INCREMENT, 1, self._start + key, by, most, _milliseconds(ttl) or "")
            return None if total is None else int(total)

    def _replace(self, key: str, old: bytes | None, new: bytes | None, *, ttl: float | None = None) -> bool:
        """Give `key` the value `new` if it still has `old`; `None` stands for not being there."""
        there = f"{old is not None:d}{new is not None:d}"
        with self._asked(key, "a value") as client:
            return bool(
                client.eval(_REPLACE, 1, self._start + key, there, old or b"", new or b"", _milliseconds(ttl) or "")
            )

    def _append(self, key: str, item: bytes, *, keep: int | None = None, ttl: float | None = None) -> int:
        """Add to the end of a list, trim its beginning to `keep` items; the length after that."""
        name = self._start + key
        with self._asked(key, "a list") as client, client.pipeline(transaction=True) as steps:
            steps.rpush(name, item)
            if checked_keep(keep):
                steps.ltrim(name, -(keep or 0), -1)
            if milliseconds := _milliseconds(ttl):
                steps.pexpire(name, milliseconds)
            else:
                steps.persist(name)
            steps.llen(name)
            return int(steps.execute()[-1])

    def _items(self, key: str) -> list[bytes]:
        """The items of a list, the oldest first."""
        with self._asked(key, "a list") as client:
            return [_bytes(item) or b"" for item in client.lrange(self._start + key, 0, -1)]

    def _length(self, key: str) -> int:
        """How many items a list has."""
        with self._asked(key, "a list") as client:
            return int(client.llen(self._start + key))

    def _keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""
        with self._asked() as client:
            return sorted({name.decode()[len(self._start) :] for name in self._scan(client, prefix)})

    def _count(self, prefix: str = "") -> int:
        """How many keys begin with `prefix`."""
        return len(self._keys(prefix))

    def _clear(self, prefix: str = "") -> int:
        """Forget every key that begins with `prefix`; how many there were."""
        with self._asked() as client:
            names = self._scan(client, prefix)
            return sum(client.delete(*batch) for batch in iter(lambda: list(islice(names, SCAN_BATCH)), []))

    def _close(self) -> None:
        """Close the client made here."""
        with self._lock:
            if self._ours and self._client is not None:
                self._client.close()
                self._client = None

    def _scan(self, client: Any, prefix: str) -> Iterator[bytes]:
        """The full names, by SCAN: KEYS would stop the server for everybody."""
        # SCAN may give a key twice, and takes the prefix for a pattern.
        pattern = re.sub(r"([*?\[\]\\^])", r"\\\1", self._start + prefix) + "*"
        return (_bytes(name) or b"" for name in client.scan_iter(match=pattern, count=SCAN_BATCH))

    @contextmanager
    def _asked(self, key: str = "", wanted: str = "") -> Iterator[Any]:
        """The client, and what it raises turned into what a person can act on.

        :param wanted: What `key` should hold.
        """
        from redis.exceptions import AuthenticationError, RedisError, ResponseError

        client = self._opened()
        try:
            yield client
        except AuthenticationError as error:
            hint = "Put the right one into the URL: redis://:PASSWORD@HOST."
            raise StorageError(f"Redis at {_place(client)} refused the password: {error}.", hint) from error
        except ResponseError as error:
            if "WRONGTYPE" in str(error) or "not an integer" in str(error):
                raise wrong_kind(key, wanted) from None
            raise StorageError(f"Redis at {_place(client)} refused: {error}.", "Its log may say more.") from error
        except (RedisError, OSError) as error:
            hint = "Check that it runs, and that the URL is right."
            raise StorageError(f"Redis at {_place(client)} cannot be used: {error}.", hint) from error

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                import redis
                from redis.backoff import NoBackoff
                from redis.retry import Retry

                # One more try finds a connection the server has closed meanwhile; the library's own patience lasts seconds.
                once_more = Retry(NoBackoff(), 1)
                try:
                    self._client = redis.Redis.from_url(
                        self._url, socket_timeout=TIMEOUT, socket_connect_timeout=TIMEOUT, retry=once_more
                    )
                except ValueError as error:
                    raise ConfigError(f"This is no URL of a Redis: {error}.", f"Write it like {REDIS_URL}.") from None
            return self._client

    get = off_loop(_get)
    put = off_loop(_put)
    delete = off_loop(_delete)
    increment = off_loop(_increment)
    replace = off_loop(_replace)
    append = off_loop(_append)
    items = off_loop(_items)
    length = off_loop(_length)
    keys = off_loop(_keys)
    count = off_loop(_count)
    clear = off_loop(_clear)
    aclose = off_loop(_close)


def _milliseconds(ttl: float | None) -> int | None:
    return None if checked_ttl(ttl) is None else max(1, round((ttl or 0) * 1000))


def _bytes(value: bytes | str | None) -> bytes | None:
    """What a client gives, also one that was told to decode."""
    return value.encode() if isinstance(value, str) else value


def _place(client: Any) -> str:
    """Where a client goes to: without user, password and the rest of the URL."""
    about = client.connection_pool.connection_kwargs
    return str(about.get("path") or f"{about.get('host')}:{about.get('port')}")
