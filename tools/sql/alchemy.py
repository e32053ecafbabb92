"""A SQLAlchemy engine somebody already has, asked as any other database; in this process, over its own pool."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from datetime import time as clock
from decimal import Decimal
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import UUID

from ...knowledge.errors import ConfigError, InputError, QueryError, RactoError
from .alchemy_walls import WALLS
from .engines.fetching import fetch, result_columns, too_slow
from .policy import Limits
from .results import QueryResult

if TYPE_CHECKING:
    from sqlalchemy import Connection as Borrowed
    from sqlalchemy import Engine

    from .alchemy_walls import Wall
    from .catalogue import Catalogue
    from .policy import Policy

_SCHEMA = Limits(seconds=30.0, rows=0)
_PLAIN = (bool, int, float, Decimal, str, datetime, date, clock, timedelta, bytes, UUID, list, dict)


class AlchemyConnection:
    """What `Connection` is, over a SQLAlchemy engine: SQLite (in memory too), PostgreSQL, MariaDB or MySQL. Threads may share it as far as its pool lets them.

    Each query borrows a connection, makes it read only as strictly as its database can, and gives it back as it was, rolled back. Time limits hold by the
    database's own means. Memory limits do not: queries run in this process. An authorizer or progress handler that was set on a SQLite connection is gone
    afterwards. The engine is never disposed of; that is left to whoever made it.

    :param engine: A blocking one; its driver may be any.
    :raises ConfigError: it is of another database, or asynchronous.
    """

    def __init__(self, engine: Engine, policy: Policy) -> None:
        dialect = getattr(engine, "dialect", None)
        if dialect is None or not hasattr(engine, "connect"):
            raise ConfigError("This is no SQLAlchemy engine.", "Make one with sqlalchemy.create_engine.")
        if dialect.is_async:
            raise ConfigError("This SQLAlchemy engine is asynchronous.", "Give one with a blocking driver.")
        if dialect.name not in WALLS:
            raise ConfigError(
                f"SQLAlchemy's {dialect.name!r} is not a database racto can ask.", f"Known: {', '.join(sorted(WALLS))}."
            )
        self._engine = engine
        self._policy = policy
        self._wall: Wall = WALLS[dialect.name]
        self._running: dict[int, tuple[object, Any]] = {}
        self._cancelled: set[int] = set()
        self._lock = Lock()

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        """See `Connection.catalogue`."""
        with self._reading("", _SCHEMA, None) as borrowed:
            return self._wall.catalogue(borrowed, self._policy, row_counts, samples)

    def fingerprint(self) -> str:
        """See `Connection.fingerprint`."""
        with self._reading("", _SCHEMA, None) as borrowed:
            return self._wall.fingerprint(borrowed)

    def run(self, sql: str, limits: Limits, *, token: object = None) -> QueryResult:
        """See `Connection.run`."""
        began = time.monotonic()
        with self._reading(sql, limits, token) as borrowed:
            names, more = self._wall.rows(borrowed, sql)
            kept, truncated = fetch(
                lambda size: [tuple(map(_plain, row)) for row in more(size)], limits, began + limits.seconds
            )
            if time.monotonic() - began >= limits.seconds:
                raise too_slow(limits)  # MariaDB's SLEEP gives a row when it is interrupted
        columns = result_columns(names, [""] * len(names), kept)
        return QueryResult(columns, kept, sql, truncated, time.monotonic() - began)

    def explain(self, sql: str, limits: Limits, *, token: object = None) -> str:
        """See `Connection.explain`."""
        with self._reading(sql, limits, token) as borrowed:
            rows = self._wall.explain(borrowed, sql).fetchall()
        return "\n".join(" | ".join("" if value is None else str(value) for value in row) for row in rows)

    def load(self, name: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """See `Connection.load`.

        :raises InputError: always.
        """
        raise InputError("Rows cannot be loaded into a SQLAlchemy engine.", "Load them into DuckDB in memory.")

    def cancel(self, token: object = None) -> None:
        """See `Connection.cancel`."""
        with self._lock:
            chosen = {key: mark for key, (whose, mark) in self._running.items() if token is None or whose is token}
            self._cancelled.update(chosen)
            for mark in chosen.values():
                self._wall.cancel(self._engine, mark)

    def close(self) -> None:
        """End the queries under way."""
        self.cancel()

    @contextmanager
    def _reading(self, sql: str, limits: Limits, token: object) -> Iterator[Borrowed]:
        """A borrowed connection that only reads, until the block ends.

        :param sql: What is going to run, or nothing when it is ours.
        """
        key = 0
        try:
            with self._engine.connect() as borrowed:
                key = id(borrowed)
                with self._wall.reading(borrowed, sql, limits, self._policy) as mark:
                    with self._lock:
                        self._running[key] = (token, mark)
                    try:
                        yield borrowed
                    finally:
                        with self._lock:
                            self._running.pop(key)
        except RactoError:
            raise
        except Exception as error:
            raise self._told(error, limits, stopped=key in self._cancelled) from error
        finally:
            self._cancelled.discard(key)

    def _told(self, error: Exception, limits: Limits, *, stopped: bool) -> RactoError:
        """A failure of SQLAlchemy or of a driver as ours, in the database's words."""
        from sqlalchemy.exc import DBAPIError

        if stopped:
            return QueryError("The query was cancelled.", "Run it again if its result is wanted.")
        original = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
        if self._wall.out_of_time(original):
            return too_slow(limits)
        return QueryError(f"The database: {self._words(original)}.", "Check the query against the schema.")

    def _words(self, error: BaseException) -> str:
        """Of a driver's error, without the address and the password."""
        diagnosis = getattr(getattr(error, "diag", None), "message_primary", None)
        given = error.args[-1] if error.args else type(error).__name__
        if isinstance(given, dict):  # pg8000 gives PostgreSQL's answer by the letters of its protocol
            diagnosis = given.get("M")
        said = str(diagnosis or given).strip()
        for secret in (self._engine.url.password, self._engine.url.host, self._engine.url.username):
            if secret and len(str(secret)) > 2:
                said = said.replace(str(secret), "…")
        return said.partition("\n")[0].rstrip(".")


def _plain(value: Any) -> Any:
    """A value as a result may hold it; drivers have types of their own for what is rare."""
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, (memoryview, bytearray)):
        return bytes(value)
    return list(value) if isinstance(value, tuple) else str(value)
