"""Keys in the SQLite file: they outlast the process, and every process of this machine sees the same ones."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from ..database import Database
from ..edge import off_loop
from ..errors import InputError
from . import checked_keep, checked_ttl, whole_number, wrong_kind

USED_GRAIN = 60.0
"""Seconds by which the last use of a key may be noted too early: reading would otherwise always write."""

_ALIVE = "namespace = :namespace AND (expires IS NULL OR expires > :now)"
_ONE = f"SELECT value, expires, used FROM keyvalue WHERE key = :key AND {_ALIVE}"  # noqa: S608 - constants
_FOUND = f"FROM keyvalue WHERE substr(key, 1, :size) = :prefix AND {_ALIVE}"
_PUT = "INSERT INTO keyvalue (namespace, key, value, expires, used) VALUES (:namespace, :key, :value, :expires, :now)"
_FORGET = "DELETE FROM keyvalue WHERE namespace = :namespace AND key = :key"
_SURPLUS = """DELETE FROM keyvalue WHERE rowid IN (SELECT rowid FROM keyvalue WHERE namespace = :namespace
    ORDER BY used DESC, rowid DESC LIMIT -1 OFFSET :most)"""
_ITEMS = "FROM keyvalue_items WHERE namespace = :namespace AND key = :key"
_TRIM = f"DELETE FROM keyvalue_items WHERE id IN (SELECT id {_ITEMS} ORDER BY id DESC LIMIT -1 OFFSET :keep)"  # noqa: S608 - constants


class SQLiteKeyValue:
    """Keys of one namespace of the file. A list is a key whose value is NULL, its items beside it.

    :param namespace: Whose keys these are.
    :param max_entries: With more keys than this the least recently used ones go (by the minute); 0 for no limit.
    :param clock: Seconds since 1970: processes must agree on it.
    """

    def __init__(
        self, database: Database, *, namespace: str = "", max_entries: int = 0, clock: Callable[[], float] = time.time
    ) -> None:
        if max_entries < 0:
            raise InputError(f"max_entries={max_entries} is less than none.", "Give 0 for no limit.")
        self._database = database
        self._namespace = namespace
        self._max_entries = max_entries
        self._clock = clock

    def _get(self, key: str) -> bytes | None:
        """The value of `key`, if it has one."""
        about = self._about(key)
        with self._database.reading() as connection:
            row = connection.execute(_ONE, about).fetchone()
        if row and self._max_entries and about["now"] - row[2] > USED_GRAIN:
            with self._database.writing() as connection:
                connection.execute("UPDATE keyvalue SET used = :now WHERE namespace = :namespace AND key = :key", about)
        return _value(key, row)

    def _put(self, key: str, value: bytes, *, ttl: float | None = None) -> None:
        """Give `key` a value and a new time to live, whatever it held."""
        about = self._about(key, ttl)
        with self._database.writing() as connection:
            self._keep(connection, about, value)

    def _delete(self, key: str) -> bool:
        """Forget `key`; whether it was there."""
        with self._database.writing() as connection:
            connection.execute("DELETE FROM keyvalue WHERE expires <= :now", about := self._about(key))
            return connection.execute(_FORGET, about).rowcount > 0

    def _increment(self, key: str, by: int = 1, *, ttl: float | None = None, limit: int | None = None) -> int | None:
        """Add to the whole number a key holds; `None`, and nothing added, when the sum would be more than `limit`."""
        about = self._about(key, ttl)
        with self._database.writing() as connection:
            row = connection.execute(_ONE, about).fetchone()
            total = whole_number(key, _value(key, row)) + by
            if limit is not None and total > limit:
                return None
            self._keep(connection, about | {"expires": row[1]} if row else about, b"%d" % total)
            return total

    def _replace(self, key: str, old: bytes | None, new: bytes | None, *, ttl: float | None = None) -> bool:
        """Give `key` the value `new` if it still has `old`; `None` stands for not being there."""
        about = self._about(key, ttl)
        with self._database.writing() as connection:
            if _value(key, connection.execute(_ONE, about).fetchone()) != old:
                return False
            if new is None:
                connection.execute(_FORGET, about)
            else:
                self._keep(connection, about, new)
            return True

    def _append(self, key: str, item: bytes, *, keep: int | None = None, ttl: float | None = None) -> int:
        """Add to the end of a list, trim its beginning to `keep` items; the length after that."""
        about = self._about(key, ttl) | {"item": item, "keep": checked_keep(keep)}
        with self._database.writing() as connection:
            row = connection.execute(_ONE, about).fetchone()
            if row and row[0] is not None:
                raise wrong_kind(key, "a list")
            if row:
                connection.execute(
                    "UPDATE keyvalue SET expires = :expires, used = :now WHERE namespace = :namespace AND key = :key",
                    about,
                )
            else:
                self._keep(connection, about, None)
            connection.execute(
                "INSERT INTO keyvalue_items (namespace, key, item) VALUES (:namespace, :key, :item)", about
            )
            if keep:
                connection.execute(_TRIM, about)
            return int(connection.execute(f"SELECT count(*) {_ITEMS}", about).fetchone()[0])

    def _items(self, key: str) -> list[bytes]:
        """The items of a list, the oldest first."""
        about = self._about(key)
        with self._database.reading() as connection:
            row = connection.execute(_ONE, about).fetchone()
            if row and row[0] is not None:
                raise wrong_kind(key, "a list")
            return [item for (item,) in connection.execute(f"SELECT item {_ITEMS} ORDER BY id", about)] if row else []

    async def length(self, key: str) -> int:
        """How many items a list has."""
        return len(await self.items(key))

    def _keys(self, prefix: str = "") -> list[str]:
        """The keys that begin with `prefix`, sorted."""
        with self._database.reading() as connection:
            return sorted(key for (key,) in connection.execute(f"SELECT key {_FOUND}", self._about("", prefix=prefix)))

    def _count(self, prefix: str = "") -> int:
        """How many keys begin with `prefix`."""
        with self._database.reading() as connection:
            return int(connection.execute(f"SELECT count(*) {_FOUND}", self._about("", prefix=prefix)).fetchone()[0])

    def _clear(self, prefix: str = "") -> int:
        """Forget every key that begins with `prefix`; how many there were."""
        with self._database.writing() as connection:
            return connection.execute(f"DELETE {_FOUND}", self._about("", prefix=prefix)).rowcount

    async def aclose(self) -> None:
        """The database is not ours to close."""

    def _about(self, key: str, ttl: float | None = None, *, prefix: str = "") -> dict[str, Any]:
        """What the statements name."""
        now = self._clock()
        return {
            "namespace": self._namespace,
            "key": key,
            "now": now,
            "expires": None if checked_ttl(ttl) is None else now + (ttl or 0),
            "prefix": prefix,
            "size": len(prefix),
            "most": self._max_entries,
        }

    def _keep(self, connection: sqlite3.Connection, about: dict[str, Any], value: bytes | None) -> None:
        """Write a key anew: deleting first takes the items of a list with it."""
        connection.execute("DELETE FROM keyvalue WHERE expires <= :now", about)
        connection.execute(_FORGET, about)
        connection.execute(_PUT, about | {"value": value})
        if self._max_entries:
            connection.execute(_SURPLUS, about)

    get = off_loop(_get)
    put = off_loop(_put)
    delete = off_loop(_delete)
    increment = off_loop(_increment)
    replace = off_loop(_replace)
    append = off_loop(_append)
    items = off_loop(_items)
    keys = off_loop(_keys)
    count = off_loop(_count)
    clear = off_loop(_clear)


def _value(key: str, row: tuple[bytes | None, float | None, float] | None) -> bytes | None:
    if row is None:
        return None
    if row[0] is None:
        raise wrong_kind(key, "a value")
    return row[0]
