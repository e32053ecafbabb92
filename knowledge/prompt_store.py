"""Stored RACTO prompts: every version of every name, in the SQLite file.

History is only added to. Deleting marks the newest version, which hides the name; the next version saved or restored brings the
name back with all of its history.
"""

from __future__ import annotations

import difflib
import json
import re
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from .database import Database
from .errors import InputError, UnknownNameError, unknown_name
from .placeholders import fill, variables_of
from .prompts import RactoPrompt, prompt_fields, prompt_from

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_INSERT = "INSERT INTO prompt_versions (name, version, fields, note, created_at, deleted) VALUES (?, ?, ?, ?, ?, ?)"
_ONE = """SELECT name, version, fields, note, created_at, deleted FROM prompt_versions
    WHERE name = :name AND version = coalesce(:version, (SELECT max(version) FROM prompt_versions WHERE name = :name))"""
_VERSIONS = """SELECT name, version, fields, note, created_at, deleted FROM prompt_versions
    WHERE name = ? ORDER BY version DESC"""
_NEWEST = """SELECT name, max(version), fields, note, created_at, deleted FROM prompt_versions
    GROUP BY name HAVING deleted = 0 ORDER BY name"""
"""SQLite takes the bare columns beside a lone max() from the row that has it."""


@dataclass(frozen=True, slots=True)
class StoredPrompt:
    """One version of a stored prompt.

    :param choices: Declared variable → the values it may have (empty: any).
    :param note: Why this version was made.
    :param created_at: ISO 8601, UTC.
    :param deleted: The name was deleted at this version.
    """

    name: str
    version: int
    prompt: RactoPrompt
    choices: Mapping[str, Sequence[str]] = field(default_factory=dict)
    note: str = ""
    created_at: str = ""
    deleted: bool = False

    @property
    def variables(self) -> list[str]:
        """The variables to fill in, in the order they appear."""
        return variables_of(dict(self.prompt))

    def fill(self, values: Mapping[str, str]) -> RactoPrompt:
        """The prompt with its variables replaced.

        :raises InputError: a value is missing, unknown or not among the choices.
        """
        return fill(self.prompt, values, self.choices)

    def source(self) -> str:
        """The version as text to compare: the compiled prompt, variables unfilled, and what they may be."""
        declared = [f"{{{name}}}: {', '.join(values) or 'any'}\n" for name, values in sorted(self.choices.items())]
        return self.prompt.compile() + ("\n[VARIABLES]\n" if declared else "") + "".join(declared)


class PromptStore:
    """The stored prompts of one database.

    :param database: Where they are kept.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._subscribers: list[Callable[[str], None]] = []
        self._lock = threading.Lock()

    def save(
        self,
        name: str,
        prompt: RactoPrompt,
        *,
        choices: Mapping[str, Sequence[str]] | None = None,
        note: str = "",
    ) -> StoredPrompt:
        """Keep `prompt` as the newest version of `name`; one identical to the newest makes no new version.

        A pydantic class as output format is kept as its JSON Schema.

        :param choices: Variable → the values it may have (empty: any).
        :raises InputError: the name is not 1-64 of `a-z 0-9 _ -` beginning with a letter or digit.
        """
        if not NAME.fullmatch(name):
            raise InputError(
                f"{name[:80]!r} cannot name a prompt.",
                "Use 1 to 64 of a-z, 0-9, _ and -, beginning with a letter or a digit.",
            )
        content = {**prompt_fields(prompt), "variables": {key: list(values) for key, values in (choices or {}).items()}}
        fields = json.dumps(content)
        with self._database.writing() as connection:
            newest = _row(connection, name)
            if newest and newest[2] == fields and not newest[5]:
                return _stored(newest)
            now = datetime.now(UTC).isoformat(timespec="seconds")
            row = (name, newest[1] + 1 if newest else 1, fields, note, now, 0)
            connection.execute(_INSERT, row)
        self._changed(name)
        return _stored(row)

    def get(self, name: str, version: int | None = None) -> StoredPrompt:
        """One version of `name`, by default the newest. A version asked for by number is found even after a deletion.

        :raises UnknownNameError: there is no such name or version, or the name was deleted.
        """
        with self._database.reading() as connection:
            row = _row(connection, name, version)
            if row is None:
                raise self._unknown(connection, name, version)
        if row[5] and version is None:
            raise UnknownNameError(
                f"The prompt {name!r} was deleted.", f"Restore it: prompt_restore brings back version {row[1]}."
            )
        return _stored(row)

    def newest(self) -> list[StoredPrompt]:
        """The newest version of every name that is not deleted, by name."""
        with self._database.reading() as connection:
            return [_stored(row) for row in connection.execute(_NEWEST)]

    def versions(self, name: str) -> list[StoredPrompt]:
        """Every version of `name`, the newest first, deleted or not.

        :raises UnknownNameError: there never was such a name.
        """
        with self._database.reading() as connection:
            versions = [_stored(row) for row in connection.execute(_VERSIONS, (name,))]
            if not versions:
                raise self._unknown(connection, name, None)
        return versions

    def diff(self, name: str, old: int | None = None, new: int | None = None) -> str:
        """What changed between two versions as a unified diff of their compiled texts; empty when nothing did.

        :param old: A version; by default the one before `new`.
        :param new: A version; by default the newest.
        :raises UnknownNameError: there is no such name or version.
        """
        after = self.get(name, new) if new is not None else self.versions(name)[0]
        if old is None and after.version == 1:
            raise InputError(
                f"{name!r} has only one version so far.", "Save a changed prompt first, or name two versions."
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

    def restore(self, name: str, version: int | None = None) -> StoredPrompt:
        """Make an older version the newest again, as a new version; a deleted name comes back.

        :param version: By default the newest.
        :raises UnknownNameError: there is no such name or version.
        """
        chosen = self.get(name, version) if version is not None else self.versions(name)[0]
        return self.save(name, chosen.prompt, choices=chosen.choices, note=f"restored from version {chosen.version}")

    def delete(self, name: str) -> StoredPrompt:
        """Take `name` out of the list; its versions are kept and `restore` brings it back.

        :returns: The version that was the newest.
        :raises UnknownNameError: there is no such name, or it is deleted already.
        """
        with self._database.writing() as connection:
            row = _row(connection, name)
            if row is None or row[5]:
                raise self._unknown(connection, name, None)
            connection.execute("UPDATE prompt_versions SET deleted = 1 WHERE name = ? AND version = ?", row[:2])
        self._changed(name)
        return _stored((*row[:5], 1))

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

    def _unknown(self, connection: sqlite3.Connection, name: str, version: int | None) -> UnknownNameError:
        newest = _row(connection, name)
        if newest and version is not None:
            return UnknownNameError(f"{name!r} has no version {version}.", f"Its versions are 1 to {newest[1]}.")
        return unknown_name("prompt", name, (row[0] for row in connection.execute(_NEWEST) if row[0] != name))


_Row = tuple[str, int, str, str, str, int]


def _row(connection: sqlite3.Connection, name: str, version: int | None = None) -> _Row | None:
    row: _Row | None = connection.execute(_ONE, {"name": name, "version": version}).fetchone()
    return row


def _stored(row: _Row) -> StoredPrompt:
    name, version, fields, note, created_at, deleted = row
    content = json.loads(fields)
    return StoredPrompt(
        name, version, prompt_from(content), content.get("variables", {}), note, created_at, bool(deleted)
    )
