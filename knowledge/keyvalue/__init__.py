"""Keys, each with a value or a list, that may expire: what caches, limits and memories stand on. Adding a kind is one new file and one line here.

A store holds the keys of one namespace; two stores of the same place and namespace see the same keys, those of another never. A key holds
either a value or a list; asking one for what the other can do is a `ConflictError`. Every method raises `StorageError` when the place
cannot be used, and is one atomic step for everybody who shares it.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any, Protocol

from ..errors import ConflictError, InputError, unknown_name

KEYVALUES = {
    "memory": "memory:MemoryKeyValue",
    "sqlite": "sqlite:SQLiteKeyValue",
    "redis": "redis:RedisKeyValue",
}
"""Name → module of this package and class."""


class KeyValue(Protocol):
    """The keys of one namespace.

    A time to live (`ttl`) is in seconds, more than 0; `None` is for ever. What has expired is not there.
    """

    async def get(self, key: str) -> bytes | None:
        """The value of `key`, if it has one."""
        ...

    async def put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Give `key` a value and a new time to live, whatever it held."""
        ...

    async def delete(self, key: str) -> bool:
        """Forget `key`; whether it was there."""
        ...

    async def increment(
        self, key: str, by: int = 1, *, ttl: float | None = None, limit: int | None = None
    ) -> int | None:
        """Add to the whole number a key holds (0 when it is not there), exact within ±2⁵³.

        :param ttl: Counts from the first increment; later ones leave it.
        :param limit: Nothing is added when the sum would be more.
        :returns: The sum, or `None` when it would be more than `limit`.
        :raises ConflictError: the value is not a whole number.
        """
        ...

    async def replace(self, key: str, old: bytes | None, new: bytes | None, *, ttl: float | None = None) -> bool:
        """Give `key` the value `new` if it still has `old`; whether it did. `None` stands for not being there.

        A lock is `replace(key, None, me, ttl=30)`, giving it back `replace(key, me, None)`.
        """
        ...

    async def append(self, key: str, item: bytes, *, keep: int | None = None, ttl: float | None = None) -> int:
        """Add to the end of a list and give it a new time to live; the length after that.

        :param keep: The most items to keep: those at the beginning go.
        """
        ...

    async def items(self, key: str) -> list[bytes]:
        """The items of a list, the oldest first; none when it is not there."""
        ...

    async def length(self, key: str) -> int:
        """How many items a list has."""
        ...

    async def keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""
        ...

    async def count(self, prefix: str = "") -> int:
        """How many keys begin with `prefix`."""
        ...

    async def clear(self, prefix: str = "") -> int:
        """Forget every key that begins with `prefix`; how many there were."""
        ...

    async def aclose(self) -> None:
        """Let go of what was opened here; nothing is forgotten that would otherwise last."""
        ...


def make(kind: str, **options: Any) -> KeyValue:
    """A new store.

    :param kind: One of `KEYVALUES`.
    :param options: What its constructor names.
    :raises UnknownNameError: there is no such kind.
    """
    if kind not in KEYVALUES:
        raise unknown_name("key-value store", kind, KEYVALUES)
    module, _, cls = KEYVALUES[kind].partition(":")
    store: KeyValue = getattr(import_module(f".{module}", __name__), cls)(**options)
    return store


def checked_ttl(ttl: float | None) -> float | None:
    """`ttl` as it is.

    :raises InputError: it is not a time.
    """
    if ttl is not None and not 0 < ttl < float("inf"):
        raise InputError(f"A time to live of {ttl} seconds is none.", "Give more than 0 seconds, or None for ever.")
    return ttl


def checked_keep(keep: int | None) -> int | None:
    """`keep` as it is.

    :raises InputError: it would keep nothing.
    """
    if keep is not None and keep < 1:
        raise InputError(f"A list of at most {keep} items keeps nothing.", "Keep 1 or more, or None for all.")
    return keep


def wrong_kind(key: str, wanted: str) -> ConflictError:
    """The error for a key that holds something else than `wanted`."""
    return ConflictError(f"The key {key!r} does not hold {wanted}.", "Use another key, or delete this one first.")


def whole_number(key: str, value: bytes | None) -> int:
    """The number a key holds, 0 when it is not there.

    :raises ConflictError: it holds something else.
    """
    if value is None:
        return 0
    if not re.fullmatch(rb"0|-?[1-9][0-9]*", value):
        raise wrong_kind(key, "a whole number")
    return int(value)
