"""Keys in this process: gone with it, and the quickest."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

from ..errors import InputError
from . import checked_keep, checked_ttl, whole_number, wrong_kind

_Held = bytes | deque[bytes]


class MemoryKeyValue:
    """Keys in a dictionary, safe to share between threads and event loops.

    :param max_entries: With more keys than this the least recently used ones go; 0 for no limit.
    :param clock: Seconds, only ever more.
    """

    def __init__(self, *, max_entries: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        if max_entries < 0:
            raise InputError(f"max_entries={max_entries} is less than none.", "Give 0 for no limit.")
        self._max_entries = max_entries
        self._clock = clock
        self._held: OrderedDict[str, tuple[_Held, float | None]] = OrderedDict()
        self._lock = threading.Lock()
        self._sweep_at = 1024

    async def get(self, key: str) -> bytes | None:
        """The value of `key`, if it has one."""
        with self._lock:
            return self._value(key)

    async def put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Give `key` a value and a new time to live, whatever it held."""
        with self._lock:
            self._keep(key, value, self._expiry(ttl))

    async def delete(self, key: str) -> bool:
        """Forget `key`; whether it was there."""
        with self._lock:
            return self._alive(key) is not None and self._held.pop(key, None) is not None

    async def increment(
        self, key: str, by: int = 1, *, ttl: float | None = None, limit: int | None = None
    ) -> int | None:
        """Add to the whole number a key holds; `None`, and nothing added, when the sum would be more than `limit`."""
        with self._lock:
            new_expiry = self._expiry(ttl)
            held = self._alive(key)
            total = whole_number(key, self._value(key)) + by
            if limit is not None and total > limit:
                return None
            self._keep(key, b"%d" % total, held[1] if held else new_expiry)
            return total

    async def replace(self, key: str, old: bytes | None, new: bytes | None, *, ttl: float | None = None) -> bool:
        """Give `key` the value `new` if it still has `old`; `None` stands for not being there."""
        with self._lock:
            expiry = self._expiry(ttl)
            if self._value(key) != old:
                return False
            if new is None:
                self._held.pop(key, None)
            else:
                self._keep(key, new, expiry)
            return True

    async def append(self, key: str, item: bytes, *, keep: int | None = None, ttl: float | None = None) -> int:
        """Add to the end of a list, trim its beginning to `keep` items; the length after that."""
        with self._lock:
            expiry = self._expiry(ttl)
            checked_keep(keep)
            items = self._list(key)
            items.append(item)
            while keep and len(items) > keep:
                items.popleft()
            self._keep(key, items, expiry)
            return len(items)

    async def items(self, key: str) -> list[bytes]:
        """The items of a list, the oldest first."""
        with self._lock:
            return list(self._list(key))

    async def length(self, key: str) -> int:
        """How many items a list has."""
        with self._lock:
            return len(self._list(key))

    async def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""
        with self._lock:
            return sorted(self._found(prefix))

    async def count(self, prefix: str = "") -> int:
        """How many keys begin with `prefix`."""
        with self._lock:
            return len(self._found(prefix))

    async def clear(self, prefix: str = "") -> int:
        """Forget every key that begins with `prefix`; how many there were."""
        with self._lock:
            found = self._found(prefix)
            for key in found:
                del self._held[key]
            return len(found)

    async def aclose(self) -> None:
        """Nothing is open; the keys stay as long as this object."""

    def _expiry(self, ttl: float | None) -> float | None:
        return None if checked_ttl(ttl) is None else self._clock() + (ttl or 0)

    def _alive(self, key: str) -> tuple[_Held, float | None] | None:
        """What a key holds and until when; forgotten here when its time is over."""
        held = self._held.get(key)
        if held and held[1] is not None and held[1] <= self._clock():
            del self._held[key]
            return None
        return held

    def _value(self, key: str) -> bytes | None:
        held = self._alive(key)
        if held is None:
            return None
        if isinstance(held[0], deque):
            raise wrong_kind(key, "a value")
        self._held.move_to_end(key)
        return held[0]

    def _list(self, key: str) -> deque[bytes]:
        held = self._alive(key)
        if held is None:
            return deque()
        if not isinstance(held[0], deque):
            raise wrong_kind(key, "a list")
        self._held.move_to_end(key)
        return held[0]

    def _keep(self, key: str, value: _Held, expiry: float | None) -> None:
        self._held[key] = (value, expiry)
        self._held.move_to_end(key)
        if self._max_entries and len(self._held) > self._max_entries:
            self._held.popitem(last=False)
        if len(self._held) > self._sweep_at:
            # Keys that nobody asks for again would stay for ever; sweeping when there are twice as many costs O(1) a key.
            self._sweep_at = max(1024, 2 * len(self._found()))

    def _found(self, prefix: str = "") -> list[str]:
        """The living keys that begin with `prefix`."""
        now = self._clock()
        for key in [key for key, (_, expiry) in self._held.items() if expiry is not None and expiry <= now]:
            del self._held[key]
        return [key for key in self._held if key.startswith(prefix)]
