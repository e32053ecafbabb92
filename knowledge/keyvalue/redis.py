"""Keys in Redis: every process of a fleet sees the same ones.

The client is the blocking one, called in threads: it may be the caller's own, and it belongs to no event loop.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
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
_CHECK = "Check that it runs, and that the URL is right."

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
# A script and not MULTI, which would go on after a step that failed, and give what is no list a time to live.
_APPEND = """
redis.call('RPUSH', KEYS[1], ARGV[1])
if ARGV[2] ~= '' then redis.call('LTRIM', KEYS[1], -ARGV[2], -1) end
if ARGV[3] ~= '' then redis.call('PEXPIRE', KEYS[1], ARGV[3]) else redis.call('PERSIST', KEYS[1]) end
return redis.call('LLEN', KEYS[1])
"""


class RedisServer:
    """One Redis, with one client for everybody in this process who keeps something there.

    :param url: `redis://`, `rediss://` or `unix://`; not used when there is a client.
    :param client: A `redis.Redis` of the caller's, who also closes it.
    :param password: Finds the password, in the thread that first connects, where the URL holds none.
    :param timeout: Seconds to wait for a connection, or for an answer on it.
    :param rest: Seconds for which, after a failure to reach it, every call fails at once instead of waiting too.
    """

    def __init__(
        self,
        url: str = REDIS_URL,
        *,
        client: Any = None,
        password: Callable[[], str | None] | None = None,
        timeout: float = TIMEOUT,
        rest: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = url
        self._client = client
        self._ours = client is None
        self._password = password
        self._timeout = timeout
        self._rest = rest
        self._clock = clock
        self._away: tuple[float, str, str] = (float("-inf"), "", "")
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the client made here."""
        with self._lock:
            if self._ours and self._client is not None:
                self._client.close()
                self._client = None

    @contextmanager
    def asked(self, key: str = "", wanted: str = "") -> Iterator[Any]:
        """The client, and what it raises turned into what a person can act on.

        :param wanted: What `key` should hold.
        :raises StorageError: it cannot be used.
        """
        client = self._opened()
        from redis.exceptions import AuthenticationError, RedisError, ResponseError

        until, said, hint = self._away
        if self._clock() < until:
            raise StorageError(said, hint)
        try:
            yield client
        except AuthenticationError as error:
            self.close()  # the next client is made with the password there is then
            hint = "Put the right one into the URL, redis://:PASSWORD@HOST; a server takes it with: racto keys set REDIS_PASSWORD"
            raise self._gone(f"Redis at {_place(client)} wants a password, or another one.", hint) from error
        except ResponseError as error:
            if "WRONGTYPE" in str(error) or "not an integer" in str(error):
                raise wrong_kind(key, wanted) from None
            raise StorageError(f"Redis at {_place(client)} refused: {error}.", "Its log may say more.") from error
        except (RedisError, OSError) as error:
            raise self._gone(f"Redis at {_place(client)} cannot be used: {str(error).rstrip('.')}.", _CHECK) from error

    def _gone(self, said: str, hint: str) -> StorageError:
        self._away = (self._clock() + self._rest, said, hint)
        return StorageError(said, hint)

    def _opened(self) -> Any:
        with self._lock:
            if self._client is None:
                try:
                    import redis
                except ModuleNotFoundError:
                    raise ConfigError(
                        "The package redis is not installed.", "Install it: pip install 'racto[redis]'"
                    ) from None
                from redis.backoff import NoBackoff
                from redis.retry import Retry

                # One more try finds a connection the server has closed meanwhile; the library's own patience lasts seconds.
                once_more = Retry(NoBackoff(), 1)
                try:
                    self._client = redis.Redis.from_url(
                        self._url,
                        password=self._password() if self._password else None,
                        socket_timeout=self._timeout,
                        socket_connect_timeout=self._timeout,
                        retry=once_more,
                    )
                except ValueError:  # its message may hold a part of the password
                    raise ConfigError("This is no URL of a Redis.", f"Write it like {REDIS_URL}.") from None
            return self._client


class RedisKeyValue:
    """Keys that begin with `namespace:` in one Redis (6.2 or later). How many there may be is the server's `maxmemory` and its policy.

    :param url: `redis://`, `rediss://` or `unix://`; not used when there is a client or a server.
    :param client: A `redis.Redis` of the caller's, who also closes it.
    :param namespace: Whose keys these are; "" for all of the database.
    :param server: Shared with others, and closed by whoever made it.
    """

    def __init__(
        self, url: str = REDIS_URL, *, client: Any = None, namespace: str = "", server: RedisServer | None = None
    ) -> None:
        self._server = server or RedisServer(url, client=client)
        self._ours = server is None
        self._start = f"{namespace}:" if namespace else ""

    def _get(self, key: str) -> bytes | None:
        """The value of `key`, if it has one."""
        with self._server.asked(key, "a value") as client:
            return _bytes(client.get(self._start + key))

    def _put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Give `key` a value and a new time to live, whatever it held."""
        with self._server.asked() as client:
            client.set(self._start + key, value, px=_milliseconds(ttl))

    def _delete(self, key: str) -> bool:
        """Forget `key`; whether it was there."""
        with self._server.asked() as client:
            return bool(client.delete(self._start + key))

    def _increment(self, key: str, by: int = 1, *, ttl: float | None = None, limit: int | None = None) -> int | None:
        """Add to the whole number a key holds; `None`, and nothing added, when the sum would be more than `limit`."""
        most = "" if limit is None else limit
        with self._server.asked(key, "a whole number") as client:
            total = client.eval(_INCREMENT, 1, self._start + key, by, most, _milliseconds(ttl) or "")
            return None if total is None else int(total)

    def _replace(self, key: str, old: bytes | None, new: bytes | None, *, ttl: float | None = None) -> bool:
        """Give `key` the value `new` if it still has `old`; `None` stands for not being there."""
        there = f"{old is not None:d}{new is not None:d}"
        with self._server.asked(key, "a value") as client:
            return bool(
                client.eval(_REPLACE, 1, self._start + key, there, old or b"", new or b"", _milliseconds(ttl) or "")
            )

    def _append(self, key: str, item: bytes, *, keep: int | None = None, ttl: float | None = None) -> int:
        """Add to the end of a list, trim its beginning to `keep` items; the length after that."""
        most, milliseconds = checked_keep(keep) or "", _milliseconds(ttl) or ""
        with self._server.asked(key, "a list") as client:
            return int(client.eval(_APPEND, 1, self._start + key, item, most, milliseconds))

    def _items(self, key: str) -> list[bytes]:
        """The items of a list, the oldest first."""
        with self._server.asked(key, "a list") as client:
            return [_bytes(item) or b"" for item in client.lrange(self._start + key, 0, -1)]

    def _length(self, key: str) -> int:
        """How many items a list has."""
        with self._server.asked(key, "a list") as client:
            return int(client.llen(self._start + key))

    def _keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""
        with self._server.asked() as client:
            return sorted({name.decode()[len(self._start) :] for name in self._scan(client, prefix)})

    def _count(self, prefix: str = "") -> int:
        """How many keys begin with `prefix`."""
        return len(self._keys(prefix))

    def _clear(self, prefix: str = "") -> int:
        """Forget every key that begins with `prefix`; how many there were."""
        with self._server.asked() as client:
            names = self._scan(client, prefix)
            return sum(client.delete(*batch) for batch in iter(lambda: list(islice(names, SCAN_BATCH)), []))

    def _close(self) -> None:
        """Close the client made here."""
        if self._ours:
            self._server.close()

    def _scan(self, client: Any, prefix: str) -> Iterator[bytes]:
        """The full names, by SCAN: KEYS would stop the server for everybody."""
        # SCAN may give a key twice, and takes the prefix for a pattern.
        pattern = re.sub(r"([*?\[\]\\^])", r"\\\1", self._start + prefix) + "*"
        return (_bytes(name) or b"" for name in client.scan_iter(match=pattern, count=SCAN_BATCH))

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
