"""Named things of which every version is kept, in the SQLite file: what stored prompts and templates have in common.

History is only added to. Deleting marks the newest version, which hides the name; the next version saved or restored brings the
name back with all of its history.
"""

from __future__ import annotations

import difflib
import re
import sqlite3
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar, Generic, Protocol, TypeVar

from .database import Database
from .errors import InputError, UnknownNameError, unknown_name

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

Row = tuple[str, int, str, str, str, int]
"""Name, version, content as JSON, note, time of making, and 1 for deleted."""


class Version(Protocol):
    """One version of a named thing."""

    @property
    def version(self) -> int:
        """Counted from 1."""
        ...

    @property
    def created_at(self) -> str:
        """ISO 8601, UTC."""
        ...

    def source(self) -> str:
        """The version as text to compare."""
        ...


V = TypeVar("V", bound=Version)


class VersionStore(Generic[V]):
    """The versions of one kind of thing in one database. A subclass says which table they are in and what a row stands for.

    :param database: Where they are kept.
    """

    kind: ClassVar[str]
    """What it is called in messages: `prompt`."""
    table: ClassVar[str]

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: list[Callable[[str], None]] = []
        self._lock = threading.Lock()
        columns = f"SELECT name, version, fields, note, created_at, deleted FROM {self.table}"  # noqa: S608 - names of ours
        self._one = f"""{columns} WHERE name = :name
            AND version = coalesce(:version, (SELECT max(version) FROM {self.table} WHERE name = :name))"""  # noqa: S608
        self._all = f"{columns} WHERE name = ? ORDER BY version DESC"
        # SQLite takes the bare columns beside a lone max() from the row that has it.
        self._newest = f"""SELECT name, max(version), fields, note, created_at, deleted FROM {self.table}
            GROUP BY name HAVING deleted = 0 ORDER BY name"""  # noqa: S608

    def _stored(self, row: Row) -> V:
        """What a row stands for."""
        raise NotImplementedError

    def _keep(self, name: str, fields: str, note: str) -> V:
        """Add a version; one identical to the newest adds none.

        :raises InputError: the name is not 1-64 of `a-z 0-9 _ -` beginning with a letter or digit.
        """
        if not NAME.fullmatch(name):
            raise InputError(
                f"{name[:80]!r} cannot name a {self.kind}.",
                "Use 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or a digit.",
            )
        with self._database.writing() as connection:
            newest = self._row(connection, name)
            if newest and newest[2] == fields and not newest[5]:
                return self._stored(newest)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            row = (name, newest[1] + 1 if newest else 1, fields, note, now, 0)
            connection.execute(
                f"INSERT INTO {self.table} (name, version, fields, note, created_at, deleted) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608
                row,
            )
        self._changed(name)
        return self._stored(row)

    def get(self, name: str, version: int | None = None) -> V:
        """One version of `name`, by default the newest. A version asked for by number is found even after a deletion.

        :raises UnknownNameError: there is no such name or version, or the name was deleted.
        """
        row = self._found(name, version)
        if row[5] and version is None:
            raise UnknownNameError(
                f"The {self.kind} {name!r} was deleted.",
                f"Restore it: {self.kind}_restore brings back version {row[1]}.",
            )
        return self._stored(row)

    def newest(self) -> list[V]:
        """The newest version of every name that is not deleted, by name."""
        with self._database.reading() as connection:
            return [self._stored(row) for row in connection.execute(self._newest)]

    def versions(self, name: str) -> list[V]:
        """Every version of `name`, the newest first, deleted or not.

        :raises UnknownNameError: there never was such a name.
        """
        with self._database.reading() as connection:
            versions = [self._stored(row) for row in connection.execute(self._all, (name,))]
            if not versions:
                raise self._unknown(connection, name, None)
        return versions

    def diff(self, name: str, old: int | None = None, new: int | None = None) -> str:
        """What changed between two versions as a unified diff of their texts; empty when nothing did.

        :param old: A version; by default the one before `new`.
        :param new: A version; by default the newest.
        :raises UnknownNameError: there is no such name or version.
        """
        after = self.get(name, new) if new is not None else self.versions(name)[0]
        if old is None and after.version == 1:
            raise InputError(
                f"{name!r} has only one version so far.", f"Save a changed {self.kind} first, or name two versions."
            )
        before = self.get(name, old if old is not None else after.version - 1)
        titles = (f"{name} v{before.version}", f"{name} v{after.version}")
        lines = difflib.unified_diff(
            before.source().splitlines(),
            after.source().splitlines(),
            *titles,
            before.created_at,
            after.created_at,
            lineterm="",
        )
        return "\n".join(lines)

    def restore(self, name: str, version: int | None = None) -> V:
        """Make an older version the newest again, as a new version; a deleted name comes back.

        :param version: By default the newest.
        :raises UnknownNameError: there is no such name or version.
        """
        row = self._found(name, version)
        return self._keep(name, row[2], f"restored from version {row[1]}")

    def delete(self, name: str) -> V:
        """Take `name` out of the list; its versions are kept and `restore` brings it back.

        :returns: The version that was the newest.
        :raises UnknownNameError: there is no such name, or it is deleted already.
        """
        with self._database.writing() as connection:
            row = self._row(connection, name)
            if row is None or row[5]:
                raise self._unknown(connection, name, None)
            connection.execute(f"UPDATE {self.table} SET deleted = 1 WHERE name = ? AND version = ?", row[:2])  # noqa: S608
        self._changed(name)
        return self._stored((*row[:5], 1))

    def subscribe(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback` with the name after every save, restore and deletion made through this object, in the thread that made it.

        :returns: What ends the subscription.
        """
        with self._lock:
            self._subscribers.append(callback)

        def unsubscribe() -> None:
            with self._lock:
                if callback in self._subscribers:
                    self._subscribers.remove(callback)

        return unsubscribe

    def _changed(self, name: str) -> None:
        with self._lock:
            subscribers = tuple(self._subscribers)
        for callback in subscribers:
            callback(name)

    def _row(self, connection: sqlite3.Connection, name: str, version: int | None = None) -> Row | None:
        row: Row | None = connection.execute(self._one, {"name": name, "version": version}).fetchone()
        return row

    def _found(self, name: str, version: int | None) -> Row:
        with self._database.reading() as connection:
            row = self._row(connection, name, version)
            if row is None:
                raise self._unknown(connection, name, version)
        return row

    def _unknown(self, connection: sqlite3.Connection, name: str, version: int | None) -> UnknownNameError:
        newest = self._row(connection, name)
        if newest and version is not None:
            return UnknownNameError(f"{name!r} has no version {version}.", f"Its versions are 1 to {newest[1]}.")
        return unknown_name(self.kind, name, (row[0] for row in connection.execute(self._newest) if row[0] != name))
