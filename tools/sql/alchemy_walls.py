"""How a connection of somebody's SQLAlchemy engine is made to read only, and given back as it was: one class for each database."""

from __future__ import annotations

import re
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from ...knowledge.errors import ConfigError, QueryError
from .catalogue import Catalogue
from .engines import mysql_schema, postgres_schema
from .engines.fetching import BATCH, no_rows, too_big
from .engines.mysql import check as check_mysql
from .engines.mysql import plain_modes
from .engines.postgres import check as check_superuser
from .engines.sqlite_catalogue import tables
from .engines.sqlite_wall import FUNCTIONS, TABLE_FUNCTIONS

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

    from .policy import Limits, Policy

Rows = tuple[list[str], Callable[[int], Sequence[Sequence[Any]]]]
"""The names of the columns, and what gives the next rows; none at the end."""

_LOCK_SECONDS = 5
_LEAST_BYTES = 2**20  # SQLite's own work needs some room
_REFUSED = re.compile("not authorized|is prohibited")
_STEPS = 10_000  # of SQLite, between two looks at the clock


_WHO = """
SELECT pg_catalog.pg_backend_pid(), pg_catalog.current_setting('is_superuser') = 'on'
       AND pg_catalog.current_setting('server_version_num')::int >= 140000
"""


class Wall(Protocol):
    """One database."""

    def reading(self, borrowed: Connection, sql: str, limits: Limits, policy: Policy) -> AbstractContextManager[Any]:
        """Let the connection only read, within the time limit; gives what `cancel` needs.

        :param sql: What is going to run; nothing when it is ours.
        """
        ...

    def rows(self, borrowed: Connection, sql: str) -> Rows:
        """What a query gives, not yet fetched."""
        ...

    def explain(self, borrowed: Connection, sql: str) -> Any:
        """What the database says of how it would run a query."""
        ...

    def catalogue(self, borrowed: Connection, policy: Policy, row_counts: bool, samples: int) -> Catalogue:
        """Everything that is in the database."""
        ...

    def fingerprint(self, borrowed: Connection) -> str:
        """Of the schema."""
        ...

    def cancel(self, engine: Engine, mark: Any) -> None:
        """End what runs on a connection."""
        ...

    def out_of_time(self, error: BaseException) -> bool:
        """Whether a driver's error says that the time limit was reached."""
        ...


class _SQLite:
    """An authorizer, `query_only` and a look at the clock, on the connection itself.

    The engine for files hides columns better, behind views: an authorizer is not asked about those that `NATURAL` and `USING` join by. Here the guard
    alone stands before these.
    """

    @contextmanager
    def reading(self, borrowed: Connection, sql: str, limits: Limits, policy: Policy) -> Iterator[Any]:
        raw = _raw(borrowed)
        if not isinstance(raw, sqlite3.Connection):
            raise ConfigError("This SQLite engine does not use Python's sqlite3.", "Make it from sqlite:///file.db.")
        deadline = time.monotonic() + limits.seconds
        before = raw.execute("PRAGMA query_only").fetchone()[0]
        length = raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(limits.result_bytes, _LEAST_BYTES))
        raw.execute("PRAGMA query_only = ON")
        raw.set_progress_handler(lambda: time.monotonic() > deadline, _STEPS)
        try:
            if sql:
                raw.set_authorizer(_authorizer(raw, policy))
            yield raw
        except Exception as error:
            if _REFUSED.search(str(error)):  # SQLite's own words would name what may not be seen
                raise QueryError(
                    "SQLite was not allowed to do this: it is no reading of what the schema shows.",
                    "Read the tables and columns of the schema, with one SELECT.",
                ) from None
            if "too big" in str(error):
                raise too_big(limits) from None
            raise
        finally:
            raw.set_authorizer(None)
            raw.set_progress_handler(None, 0)
            raw.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, length)
            borrowed.rollback()
            raw.execute(f"PRAGMA query_only = {int(before)}")

    def rows(self, borrowed: Connection, sql: str) -> Rows:
        result = _execute(borrowed, sql)
        return _names(result), result.fetchmany

    def explain(self, borrowed: Connection, sql: str) -> Any:
        return _execute(borrowed, f"EXPLAIN QUERY PLAN {sql}")

    def catalogue(self, borrowed: Connection, policy: Policy, row_counts: bool, samples: int) -> Catalogue:
        raw = _raw(borrowed)
        return Catalogue(
            "sqlite", tables(raw, raw, policy, row_counts, samples), fingerprint=self.fingerprint(borrowed)
        )

    def fingerprint(self, borrowed: Connection) -> str:
        return str(_raw(borrowed).execute("PRAGMA schema_version").fetchone()[0])

    def cancel(self, engine: Engine, mark: Any) -> None:
        mark.interrupt()

    def out_of_time(self, error: BaseException) -> bool:
        return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_INTERRUPT


class _Postgres:
    """A transaction that reads, and a cursor opened by name: PostgreSQL takes one statement for it that gives rows, whatever the driver."""

    @contextmanager
    def reading(self, borrowed: Connection, sql: str, limits: Limits, policy: Policy) -> Iterator[Any]:
        # An engine may be set to commit by itself, and then there is no transaction to be read only.
        borrowed.execution_options(isolation_level="READ COMMITTED")
        milliseconds = max(1, round(limits.seconds * 1000))
        try:
            _execute(borrowed, "SET TRANSACTION READ ONLY")
            for setting in (
                f"statement_timeout = {milliseconds}",
                f"lock_timeout = {min(milliseconds, _LOCK_SECONDS * 1000)}",
                "standard_conforming_strings = on",
                "client_min_messages = error",
            ):
                _execute(borrowed, f"SET LOCAL {setting}")
            number, superuser = _execute(borrowed, _WHO).one()
            if superuser:  # as the engine does
                check_superuser(sql)
                _execute(borrowed, "SET LOCAL row_security = off")
                _execute(borrowed, "SET LOCAL ROLE pg_read_all_data")
            yield int(number)
        finally:
            if not borrowed.invalidated:
                borrowed.rollback()

    def rows(self, borrowed: Connection, sql: str) -> Rows:
        self._open(borrowed, sql)
        first = _execute(borrowed, f"FETCH {BATCH} FROM racto")
        waiting = [first]

        def more(size: int) -> Sequence[Sequence[Any]]:
            result = waiting.pop() if waiting else _execute(borrowed, f"FETCH {size} FROM racto")
            return list(result.fetchall())

        return _names(first), more

    def explain(self, borrowed: Connection, sql: str) -> Any:
        self._open(borrowed, sql)  # which does not run it, and refuses what is no single query
        return _execute(borrowed, f"EXPLAIN (VERBOSE FALSE) {sql}")

    def catalogue(self, borrowed: Connection, policy: Policy, row_counts: bool, samples: int) -> Catalogue:
        schema = str(_execute(borrowed, "SELECT COALESCE(pg_catalog.current_schema(), 'public')").scalar_one())
        return postgres_schema.catalogue(_Cursor(borrowed), schema, policy, row_counts=row_counts, samples=samples)

    def fingerprint(self, borrowed: Connection) -> str:
        return postgres_schema.fingerprint(_Cursor(borrowed))

    def cancel(self, engine: Engine, mark: Any) -> None:
        _aside(engine, f"SELECT pg_catalog.pg_cancel_backend({int(mark)})")

    def out_of_time(self, error: BaseException) -> bool:
        given = error.args[0] if error.args else None
        state = given.get("C") if isinstance(given, dict) else None  # as pg8000 gives it
        return "57014" in (state, getattr(error, "sqlstate", None), getattr(error, "pgcode", None))

    def _open(self, borrowed: Connection, sql: str) -> None:
        tag = f"racto_{secrets.token_hex(8)}"  # nobody can write what ends the quotation
        _execute(
            borrowed,
            f"DO ${tag}$ DECLARE theirs refcursor := 'racto';"
            f" BEGIN OPEN theirs NO SCROLL FOR EXECUTE ${tag}_sql${sql}${tag}_sql$; END ${tag}$",
        )


class _MySQL:
    """A transaction that reads, behind the check of the MySQL engine; the limits of the session are put back."""

    @contextmanager
    def reading(self, borrowed: Connection, sql: str, limits: Limits, policy: Policy) -> Iterator[Any]:
        if sql:
            check_mysql(sql)
        version, modes = _execute(borrowed, "SELECT @@version, @@sql_mode").one()
        limit = "max_statement_time" if "mariadb" in str(version).lower() else "max_execution_time"
        names = (limit, "sql_select_limit", "lock_wait_timeout", "innodb_lock_wait_timeout")
        before = _execute(borrowed, f"SELECT {', '.join(f'@@SESSION.{name}' for name in names)}, CONNECTION_ID()").one()
        seconds = limits.seconds if limit == "max_statement_time" else max(1, round(limits.seconds * 1000))
        after = (seconds, limits.rows + 1 if limits.rows else before[1], _LOCK_SECONDS, _LOCK_SECONDS)
        borrowed.rollback()
        self._set(borrowed, dict(zip(names, after, strict=True)), plain_modes(str(modes)))
        try:
            _execute(borrowed, "START TRANSACTION READ ONLY")
            yield int(before[-1])
        finally:
            if not borrowed.invalidated:
                _execute(borrowed, "ROLLBACK")
                _execute(borrowed, "DO RELEASE_ALL_LOCKS()")
                self._set(borrowed, dict(zip(names, before[:-1], strict=True)), str(modes))
                borrowed.rollback()

    def rows(self, borrowed: Connection, sql: str) -> Rows:
        result = _execute(borrowed, sql)
        return _names(result), result.fetchmany

    def explain(self, borrowed: Connection, sql: str) -> Any:
        return _execute(borrowed, f"EXPLAIN {sql}")

    def catalogue(self, borrowed: Connection, policy: Policy, row_counts: bool, samples: int) -> Catalogue:
        database = _execute(borrowed, "SELECT DATABASE()").scalar_one()
        if not database:
            raise ConfigError("The SQLAlchemy engine names no database.", "Make it with one in its URL.")
        return mysql_schema.catalogue(_Cursor(borrowed), database, policy, row_counts=row_counts, samples=samples)

    def fingerprint(self, borrowed: Connection) -> str:
        return mysql_schema.fingerprint(_Cursor(borrowed))

    def cancel(self, engine: Engine, mark: Any) -> None:
        _aside(engine, f"KILL QUERY {int(mark)}")

    def out_of_time(self, error: BaseException) -> bool:
        return bool(error.args) and error.args[0] in (1317, 1969, 3024)

    def _set(self, borrowed: Connection, settings: Mapping[str, Any], modes: str) -> None:
        assigned = ", ".join(f"{name} = {value}" for name, value in settings.items())
        _execute(borrowed, f"SET SESSION sql_mode = '{modes}', {assigned}")


class _Cursor:
    """As the modules of schemas know a cursor."""

    def __init__(self, borrowed: Connection) -> None:
        self._borrowed = borrowed
        self._result: Any = None

    def execute(self, sql: str) -> _Cursor:
        self._result = _execute(self._borrowed, sql)
        return self

    def fetchone(self) -> tuple[Any, ...] | None:
        row = self._result.fetchone()
        return None if row is None else tuple(row)

    def fetchall(self) -> list[tuple[Any, ...]]:
        return [tuple(row) for row in self._result.fetchall()]

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return iter(self.fetchall())


def _execute(borrowed: Connection, sql: str) -> Any:
    """Run SQL as it is written: a percent sign or a colon in it means itself."""
    return borrowed.exec_driver_sql(sql, execution_options={"no_parameters": True})


def _names(result: Any) -> list[str]:
    if not result.returns_rows:
        raise no_rows()
    return [column[0] for column in result.cursor.description]


def _authorizer(raw: sqlite3.Connection, policy: Policy) -> Callable[..., int]:
    """Says no to all but reading allowed tables, without their blocked columns; by way of a view, too."""
    known = {name.lower() for (name,) in raw.execute("SELECT name FROM pragma_table_list WHERE schema = 'main'")}

    def may_read(table: str, column: str, database: str | None) -> bool:
        if table not in known:  # what a query defines itself, whose columns are never asked about; or a function
            return table in TABLE_FUNCTIONS or not (column or table.startswith(("sqlite_", "pragma_")))
        internal = table.startswith("sqlite_") or database not in ("main", None)
        return not internal and policy.allows("", table) and not policy.blocks("", table, column)

    def may(action: int, first: str | None, second: str | None, database: str | None, context: str | None) -> int:
        name, of = (first or "").lower(), (second or "").lower()
        allowed = (
            action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
            or (action == sqlite3.SQLITE_FUNCTION and of in FUNCTIONS)
            or (action == sqlite3.SQLITE_READ and may_read(name, of, database))
            or (action == sqlite3.SQLITE_PRAGMA and name == "data_version" and not of)  # full-text tables ask it
        )
        return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY

    return may


def _raw(borrowed: Connection) -> Any:
    return borrowed.connection.dbapi_connection


def _aside(engine: Engine, sql: str) -> None:
    """Run something on a connection made for it: those of the pool may all be busy."""
    pool = engine.pool.recreate()
    try:
        connection = pool.connect()
        cursor = connection.cursor()
        cursor.execute(sql)
        cursor.close()
        connection.close()
    finally:
        pool.dispose()


WALLS: Mapping[str, Wall] = {
    "sqlite": _SQLite(),
    "postgresql": _Postgres(),
    "mysql": _MySQL(),
    "mariadb": _MySQL(),
}
"""By the name SQLAlchemy gives a dialect."""
