"""SQLite: a file opened for reading, behind a wall that says no to all but reading what the policy shows."""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ....knowledge.errors import ConfigError, InputError, LimitError, QueryError, RactoError
from ..catalogue import Catalogue
from .fetching import fetch, no_rows, result_columns, too_big, too_slow
from .sqlite_catalogue import tables
from .sqlite_wall import NOWHERE, Wall, quoted

if TYPE_CHECKING:
    from ..policy import Limits, Policy
    from ..results import QueryResult
    from . import Target

INTROSPECTION_SECONDS = 10.0
"""The longest time for counting rows and looking for samples; what was not reached is left out."""

_STEPS = 10_000
"""Instructions between two looks at the clock: a fraction of a millisecond."""
_LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_ATTACHED: 1,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 1_000_000,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
_LEAST_BYTES, _MOST_BYTES = 2**20, 2**30 - 1
"""Between these the longest value may be; SQLite's own work needs some room."""


class SQLiteEngine:
    """One SQLite file.

    Queries see allowed tables only, without blocked columns, masked ones masked. A view of the file may read tables that are not
    allowed: it was made to publish them. It may read no blocked or masked column.

    :raises ConfigError: there is no such file, or it is no database.
    """

    def __init__(self, target: Target, policy: Policy) -> None:
        if target.database in ("", ":memory:"):
            raise ConfigError("SQLite in memory holds nothing to query.", "Name the file of a database.")
        self._path = Path(target.database).expanduser().absolute()
        self._policy = policy
        self._state: tuple[int, ...] = ()
        self._connections = contextlib.ExitStack()
        self._current()

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        """Tables and views with keys and indexes; what belongs to SQLite itself and to its full-text tables is left out."""
        self._current()
        deadline = time.monotonic() + INTROSPECTION_SECONDS
        with self._explained(), _clocked(self._theirs, deadline):
            found = tables(self._ours, self._theirs, self._policy, row_counts, samples)
        return Catalogue("sqlite", found, fingerprint=self.fingerprint())

    def fingerprint(self) -> str:
        """Which file it is, and SQLite's count of changes to its schema."""
        self._current()
        return "-".join(map(str, self._state))

    def run(self, sql: str, limits: Limits) -> QueryResult:
        """The rows of one query."""
        from ..results import QueryResult

        start = time.monotonic()
        names, rows, truncated = self._rows(sql, limits, start + limits.seconds)
        columns = result_columns(names, [""] * len(names), rows)
        return QueryResult(columns, rows, sql=sql, truncated=truncated, seconds=time.monotonic() - start)

    def explain(self, sql: str, limits: Limits) -> str:
        """What `EXPLAIN QUERY PLAN` says, as an indented list."""
        _, rows, _ = self._rows(f"EXPLAIN QUERY PLAN {sql}", limits, time.monotonic() + limits.seconds)
        depth = {0: -1}
        lines = []
        for number, above, _, text in rows:
            depth[number] = depth.get(above, -1) + 1
            lines.append("  " * depth[number] + text)
        return "\n".join(lines).replace(f"{self._database}.", "")

    def load(self, name: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """:raises InputError: always."""
        raise InputError("Rows cannot be loaded into SQLite.", "Load them into DuckDB in memory.")

    def close(self) -> None:
        """Close the file."""
        self._connections.close()

    def _rows(self, sql: str, limits: Limits, deadline: float) -> tuple[list[str], list[tuple[Any, ...]], bool]:
        self._current()
        sql = self._wall.passed(sql)
        self._theirs.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, min(max(limits.result_bytes, _LEAST_BYTES), _MOST_BYTES))
        with self._explained(limits), _clocked(self._theirs, deadline):
            try:
                return self._fetched(sql, limits, deadline)
            except sqlite3.OperationalError as error:
                if "decode to UTF-8" not in str(error):
                    raise
                with _replacing(self._theirs):
                    return self._fetched(sql, limits, deadline)

    def _fetched(self, sql: str, limits: Limits, deadline: float) -> tuple[list[str], list[tuple[Any, ...]], bool]:
        with contextlib.closing(self._theirs.execute(sql)) as cursor:
            if cursor.description is None:
                raise no_rows()
            rows, truncated = fetch(cursor.fetchmany, limits, deadline)
            return [column[0] for column in cursor.description], rows, truncated

    def _current(self) -> None:
        """Open the file again when it was replaced, or its schema changed."""
        try:
            with self._explained():
                if not self._state or self._now() != self._state:
                    self._open()
        except QueryError:
            self._state = ()
            raise

    def _now(self) -> tuple[int, ...]:
        there = self._path.stat()
        (version,) = self._ours.execute("PRAGMA schema_version").fetchone()
        return there.st_dev, there.st_ino, version

    def _open(self) -> None:
        self._connections.close()
        if not self._path.is_file():
            raise ConfigError(
                f"There is no database file {self._path.name!r}.", "Say where it is, with its whole path."
            )
        self._database = database = f"racto_{secrets.token_hex(8)}"
        self._ours = self._connections.enter_context(contextlib.closing(_connect(self._path, "main")))
        # Nothing of ours runs on the connection that queries run on, and the other way round.
        self._theirs = self._connections.enter_context(contextlib.closing(_connect(self._path, database)))
        self._wall = Wall(self._ours, self._theirs, database, self._policy)
        for limit, value in _LIMITS.items():
            self._theirs.setlimit(limit, value)
        self._state = self._now()

    @contextlib.contextmanager
    def _explained(self, limits: Limits | None = None) -> Iterator[None]:
        """Say in our errors what SQLite says in its own."""
        try:
            yield
        except (sqlite3.Error, sqlite3.Warning, ValueError, OSError) as error:
            if isinstance(error, RactoError):  # some of ours are ValueErrors or OSErrors as well
                raise
            raise self._error(error, limits) from None

    def _error(self, error: Exception, limits: Limits | None) -> QueryError | LimitError | ConfigError:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if limits and code == sqlite3.SQLITE_INTERRUPT:
            return too_slow(limits)
        if limits and code == sqlite3.SQLITE_TOOBIG:
            return too_big(limits)
        if "not authorized" in str(error) or "is prohibited" in str(error):
            return self._wall.refusal()
        if code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT):
            return ConfigError(
                f"{self._path.name} is no SQLite database, or is damaged: {error}.", "Name another file."
            )
        if code == sqlite3.SQLITE_CANTOPEN or isinstance(error, OSError):
            return ConfigError(f"{self._path.name} cannot be opened: {error}.", "See that this user may read it.")
        if NOWHERE in str(error):
            return QueryError("SQLite: no such table.", "Read the tables of the schema.")
        return QueryError(f"SQLite: {str(error).replace(f'{self._database}.', '').rstrip('.')}.")


def _connect(path: Path, database: str) -> sqlite3.Connection:
    """A connection that reads only.

    :param database: What the file is called on it.
    :raises sqlite3.Error: the file cannot be opened or is no database.
    """
    address = f"file:{quote(os.fspath(path))}?mode=ro"
    try:
        return _opened(address, database)
    except sqlite3.OperationalError as error:
        # In a folder where nothing may be written SQLite cannot share a database in WAL mode with a writer. When nothing waits
        # in the WAL, the file is all there is.
        wal = path.with_name(path.name + "-wal")
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY) or (
            wal.exists() and wal.stat().st_size
        ):
            raise
        return _opened(f"{address}&immutable=1", database)


def _opened(address: str, database: str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        ":memory:" if database != "main" else address,
        uri=True,
        isolation_level=None,
        cached_statements=0,
        timeout=2.0,
        check_same_thread=False,
    )
    try:
        if database != "main":
            connection.execute(f"ATTACH ? AS {quoted(database)}", (address,)).close()
        for setting in ("trusted_schema=OFF", "temp_store=MEMORY", "mmap_size=0", "cell_size_check=ON"):
            connection.execute(f"PRAGMA {setting}").close()
        connection.execute(f"SELECT count(*) FROM {quoted(database)}.sqlite_schema").fetchone()  # noqa: S608 - quoted
    except BaseException:
        connection.close()
        raise
    return connection


@contextlib.contextmanager
def _clocked(connection: sqlite3.Connection, deadline: float) -> Iterator[None]:
    """Interrupt what runs on a connection when it is too late."""
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
    try:
        yield
    finally:
        connection.set_progress_handler(None, 0)


@contextlib.contextmanager
def _replacing(connection: sqlite3.Connection) -> Iterator[None]:
    """Read text that is no UTF-8 with marks in place of what is not."""
    connection.text_factory = lambda data: data.decode("utf-8", "replace")
    try:
        yield
    finally:
        connection.text_factory = str
