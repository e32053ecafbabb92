"""DuckDB: a file opened for reading, or CSV, JSON and Parquet files, or rows brought to it; locked before the first query."""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from datetime import time as time_of_day
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ....knowledge.errors import ConfigError, InputError, LimitError, QueryError, RactoError
from ..catalogue import Catalogue
from ..results import QueryResult
from .duckdb_catalogue import Found, file_source, filled, literal, name, of_database, of_files, paths, view_of
from .duckdb_wall import checked
from .fetching import fetch, result_columns, too_hungry, too_slow

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from ..policy import Limits, Policy
    from . import Target

INTROSPECTION_SECONDS = 5.0
"""The longest time for counting the rows of one table, or for the samples of one column."""
MESSAGE_CHARACTERS = 1_000
"""Where DuckDB's words about a mistake are cut; some list every column."""

_SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "threads": "2",
    "temp_directory": "",  # what does not fit into memory is not written anywhere else
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "allow_community_extensions": "false",
    "allow_persistent_secrets": "false",
    "python_enable_replacements": "false",
    "enable_external_file_cache": "false",
}
_TYPES: dict[type, str] = {
    bool: "BOOLEAN",
    int: "BIGINT",
    float: "DOUBLE",
    Decimal: "DECIMAL(38, 9)",
    str: "VARCHAR",
    bytes: "BLOB",
    date: "DATE",
    datetime: "TIMESTAMP",
    time_of_day: "TIME",
    timedelta: "INTERVAL",
    UUID: "UUID",
}


class DuckDBEngine:
    """One DuckDB file, a few files as tables, or nothing but what is brought to it.

    Queries see views: of allowed tables, without blocked columns, masked ones masked. What lies under the views has another
    name in every process, and a query that reads anything else is refused. They run in a transaction that reads only.

    :raises ConfigError: a file is missing, locked by somebody who writes, or is not what it should be.
    """

    def __init__(self, target: Target, policy: Policy) -> None:
        self._target = target
        self._policy = policy
        self._brought: dict[str, str] = {}
        self._brought_bytes = 0
        self._files = paths(target.files)
        self._path = None if target.database in ("", ":memory:") else Path(target.database).expanduser().absolute()
        if self._path and not self._path.is_file():
            raise ConfigError(
                f"There is no database file {self._path.name!r}.", "Say where it is, with its whole path."
            )
        self._database = f"racto_{secrets.token_hex(8)}"
        self._connect()

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        """Tables, views and files, with keys, indexes and comments."""
        self._current()
        with self._explained():
            self._connection.execute(f"SET max_execution_time = {int(INTROSPECTION_SECONDS * 1000)}")
            found = [*self._found, *of_database(self._connection, "memory", "main")] if self._brought else self._found
            tables = tuple(
                filled(self._connection, one, self._policy, row_counts, samples)
                for one in found
                if one in self._found or one.table.name in self._brought
            )
        return Catalogue("duckdb", tables, default_schema="main", fingerprint=self.fingerprint())

    def fingerprint(self) -> str:
        """Of the files' sizes and times, and of what was brought."""
        self._current()
        states = []
        for path in (
            *([self._path] if self._path else []),
            *(path for group in self._files.values() for path in group),
        ):
            with contextlib.suppress(OSError):
                there = path.stat()
                states.append((str(path), there.st_ino, there.st_size, there.st_mtime_ns))
        return hashlib.sha256(repr((states, sorted(self._brought.items()))).encode()).hexdigest()[:16]

    def run(self, sql: str, limits: Limits) -> QueryResult:
        """The rows of one query."""
        start = time.monotonic()
        self._current()
        with self._explained(limits), self._reading(limits):
            cursor = self._connection.execute(checked(self._connection, sql, self._tables(), self._database))
            rows, truncated = fetch(cursor.fetchmany, limits, start + limits.seconds)
            description = cursor.description or []
        columns = result_columns(
            [column[0] for column in description], [str(column[1]) for column in description], rows
        )
        return QueryResult(columns, rows, sql=sql, truncated=truncated, seconds=time.monotonic() - start)

    def explain(self, sql: str, limits: Limits) -> str:
        """The plan that DuckDB draws."""
        self._current()
        with self._explained(limits), self._reading(limits):
            checked(self._connection, sql, self._tables(), self._database)
            rows = self._connection.execute(f"EXPLAIN {sql}").fetchall()
        return "\n".join(row[-1] for row in rows).replace(self._database, "database")

    def load(self, name_: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Make rows a table of that name, in the place of one that was brought before.

        :raises InputError: there is a database file, or a file has that name.
        """
        if self._path or name_.lower() in (table.lower() for table in self._files):
            raise InputError(
                f"Rows cannot be loaded as {name_!r} here.", "Load them into DuckDB in memory, under another name."
            )
        types, values = _columns(names, rows)
        columns = ", ".join(f"{name(column)} {type_}" for column, type_ in zip(names, types, strict=True))
        lists = ", ".join(f"unnest(${place}::{type_}[])" for place, type_ in enumerate(types, 1))
        with self._explained():
            self._connection.execute("SET max_execution_time = 0")
            self._connection.execute(f"CREATE OR REPLACE TABLE {name(name_)} ({columns})")
            if rows:
                self._connection.execute(f"INSERT INTO {name(name_)} SELECT {lists}", values)
            ((self._brought_bytes,),) = self._connection.execute(
                "SELECT sum(memory_usage_bytes)::BIGINT FROM duckdb_memory()"
            ).fetchall()
        self._brought[name_] = columns

    def close(self) -> None:
        """Let go of the files."""
        self._connection.close()

    def _all_paths(self) -> list[Path]:
        return [*([self._path] if self._path else []), *(path for files in self._files.values() for path in files)]

    def _state(self) -> list[tuple[str, int, int, int]]:
        states = []
        for path in self._all_paths():
            with contextlib.suppress(OSError):
                there = path.stat()
                states.append((str(path), there.st_ino, there.st_size, there.st_mtime_ns))
        return states

    def _current(self) -> None:
        """Look at the files anew when they are other ones, unless something was brought, which would be lost."""
        if not self._brought and self._state() != self._known:
            self._connection.close()
            self._connect()

    def _connect(self) -> None:
        try:
            import duckdb
        except ImportError:
            raise ConfigError("DuckDB is not installed.", "Run `pip install 'racto[sql]'`.") from None
        self._connection: DuckDBPyConnection = duckdb.connect(":memory:", config=_SETTINGS)
        try:
            with self._explained():
                self._found = self._opened()
                self._show()
                self._lock()
                self._known = self._state()
        except QueryError as error:
            raise ConfigError(error.message, error.hint) from None

    def _opened(self) -> list[Found]:
        if self._path:
            self._connection.execute(
                f"ATTACH {literal(str(self._path))} AS {name(self._database)} (TYPE duckdb, READ_ONLY)"
            )
            return of_database(self._connection, self._database)
        sources = {table: file_source(table, files) for table, files in self._files.items()}
        return of_files(self._connection, sources)

    def _show(self) -> None:
        """Make the views that queries see."""
        self._shown = set()
        for found in self._found:
            table = found.table
            select = view_of(found, self._policy)
            if not select or not self._policy.allows(table.schema, table.name):
                continue
            self._connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name(table.schema)}")
            self._connection.execute(f"CREATE VIEW {name(table.schema)}.{name(table.name)} AS {select}")
            self._shown.add((table.schema.lower(), table.name.lower()))

    def _lock(self) -> None:
        allowed = ", ".join(literal(str(path)) for files in self._files.values() for path in files)
        for setting in (
            f"allowed_paths = [{allowed}]",
            "allowed_configs = ['max_execution_time', 'memory_limit']",  # ours to set; queries are no SET statements
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            self._connection.execute(f"SET {setting}")

    def _tables(self) -> set[tuple[str, str]]:
        return self._shown | {("main", table.lower()) for table in self._brought}

    @contextlib.contextmanager
    def _reading(self, limits: Limits) -> Iterator[None]:
        self._connection.execute(f"SET memory_limit = '{limits.memory_bytes + self._brought_bytes}B'")
        self._connection.execute(f"SET max_execution_time = {max(1, int(limits.seconds * 1000))}")
        self._connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            yield
        finally:
            self._connection.execute("ROLLBACK")

    @contextlib.contextmanager
    def _explained(self, limits: Limits | None = None) -> Iterator[None]:
        """Say in our errors what DuckDB says in its own."""
        import duckdb

        try:
            yield
        except (duckdb.Error, ValueError, OverflowError) as error:
            if isinstance(error, RactoError):  # some of ours are ValueErrors as well
                raise
            raise self._error(error, limits) from None

    def _error(self, error: Exception, limits: Limits | None) -> QueryError | LimitError:
        import duckdb

        if limits and isinstance(error, duckdb.InterruptException):
            return too_slow(limits)
        if limits and isinstance(error, duckdb.OutOfMemoryException):
            return too_hungry(limits)
        if isinstance(error, duckdb.PermissionException):
            return QueryError("DuckDB was not allowed to do this.", "Read the tables of the schema, with one SELECT.")
        message = str(error).strip()
        if self._database in message:
            message = re.sub(r"\s*(Did you mean|Candidate)[^\n]*", "", message).replace(f'"{self._database}".', "")
            message = message.replace(self._database, "the database")
        for path in (
            *([self._path] if self._path else []),
            *(path for files in self._files.values() for path in files),
        ):
            message = message.replace(str(path), path.name)
        return QueryError(f"DuckDB: {message[:MESSAGE_CHARACTERS]}")


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[list[str], list[list[Any]]]:
    """The type of each column, and its values as that type takes them."""
    types, columns = [], []
    for place in range(len(names)):
        values = [row[place] for row in rows]
        type_, values = _typed(values)
        types.append(type_)
        columns.append(values)
    return types, columns


def _typed(values: list[Any]) -> tuple[str, list[Any]]:
    kinds = {type(value) for value in values} - {type(None)}
    if kinds == {int} and any(value is not None and abs(value) >= 2**63 for value in values):
        kinds = {float}
    if kinds and kinds <= {int, float, Decimal} and len(kinds) > 1:
        kinds = {float}
    if kinds == {float}:
        return "DOUBLE", [None if value is None else float(value) for value in values]
    if kinds == {datetime} and any(value is not None and value.tzinfo for value in values):
        return "TIMESTAMPTZ", values
    if len(kinds) == 1 and (only := next(iter(kinds))) in _TYPES:
        return _TYPES[only], values
    return "VARCHAR", [value if value is None or isinstance(value, str) else _text(value) for value in values]


def _text(value: Any) -> str:
    import json

    return json.dumps(value, default=str, ensure_ascii=False) if isinstance(value, list | dict | tuple) else str(value)
