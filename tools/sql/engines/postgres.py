"""PostgreSQL by psycopg: one query at a time, in a transaction that may only read and is always rolled back."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from ....knowledge.errors import ConfigError, InputError, QueryError, RactoError, ReadOnlyViolationError
from ..policy import Limits
from ..results import QueryResult
from . import Target, postgres_schema
from .fetching import fetch, no_rows, result_columns, too_hungry, too_slow

if TYPE_CHECKING:
    from ..catalogue import Catalogue
    from ..policy import Policy

_CONNECT_SECONDS = 10
_SCHEMA = Limits(seconds=30.0)
_LOCK_SECONDS = 5.0
_CHUNK = 64  # rows in one go: enough to cost no more than fetching them all
_LISTENS = "'500ms'"
_READ_ALL = 140000  # the first version with the role pg_read_all_data, and with a check that the client is still there

_END = "ROLLBACK; DEALLOCATE ALL; SELECT pg_catalog.pg_advisory_unlock_all()"
"""Locks that were taken by name would outlive the transaction."""

_TYPES = {
    **dict.fromkeys((20, 21, 23, 26), "integer"),
    **dict.fromkeys((700, 701, 1700), "number"),
    **dict.fromkeys((114, 3802), "json"),
    **dict.fromkeys((1083, 1266), "time"),
    **dict.fromkeys((1114, 1184), "datetime"),
    16: "boolean",
    17: "bytea",
    1082: "date",
    1186: "interval",
}
"""What a type holds, by its number in pg_type; arrays are read as lists, and whatever is not here as the text PostgreSQL writes."""

_ESCAPES = re.compile(
    r'set_config|query_to_xml|ts_stat|ts_rewrite|crosstab|connectby|xpath_table|dblink|U&"', re.IGNORECASE
)
_NO_ROOM = re.compile("out of memory|cannot allocate memory")
_PLACE = re.compile(r'\b(?:user|role) "[^"]*"|(?:connection to server )?(?:at|on socket|host(?: name)?) "[^"]*"')
_PREFIX = re.compile(r"^(?:.*?FATAL:\s*)?(?:connection failed: *)?", re.DOTALL)


class PostgresEngine:
    """A connection to PostgreSQL 12 or newer.

    What holds here whatever SQL arrives: it must be one statement that `PREPARE` takes, so no `COPY`, `DO`, `SET` or `CALL`; it runs in a transaction
    `READ ONLY`, under time limits of the server, and is rolled back. A superuser reads as `pg_read_all_data` and may not name what would end that; but
    functions somebody wrote can run anything, so `risks` warns of one. What a column holds is hidden by the rights of the role alone (`grants.py`).
    """

    def __init__(self, target: Target, policy: Policy) -> None:
        self._target = target
        self._policy = policy
        self._connection: Any = None
        self._opened()

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        """See `Engine.catalogue`; what the role may not read is not in it."""
        with self._reading(_SCHEMA) as cursor:
            return postgres_schema.catalogue(
                cursor, self._schemas[0], self._policy, row_counts=row_counts, samples=samples
            )

    def fingerprint(self) -> str:
        """See `Engine.fingerprint`."""
        with self._reading(_SCHEMA) as cursor:
            return postgres_schema.fingerprint(cursor)

    def run(self, sql: str, limits: Limits) -> QueryResult:
        """See `Engine.run`."""
        began = time.monotonic()
        with self._reading(limits) as cursor:
            self._check(cursor, sql)
            rows = cursor.stream(sql, binary=False, size=_CHUNK)
            try:
                first = list(islice(rows, 1))  # the columns are known when it is there
                described = _described(cursor)
                kept, truncated = fetch(
                    lambda _: [first.pop()] if first else list(islice(rows, _CHUNK)), limits, began + limits.seconds
                )
            finally:
                rows.close()  # cancels what is left of it on the server
        columns = result_columns((name for name, _ in described), (self._type(number) for _, number in described), kept)
        return QueryResult(columns, kept, sql, truncated, time.monotonic() - began)

    def explain(self, sql: str, limits: Limits) -> str:
        """See `Engine.explain`."""
        with self._reading(limits) as cursor:
            self._check(cursor, sql)
            # After options in parentheses no ANALYZE can follow, which would run the query.
            rows = cursor.execute(f"EXPLAIN (VERBOSE FALSE) {sql}", binary=True).fetchall()
        return "\n".join(row[0] for row in rows)

    def load(self, name: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """See `Engine.load`."""
        raise InputError("Rows cannot be loaded into PostgreSQL.", "Load them into DuckDB in memory.")

    def risks(self) -> list[str]:
        """What the role may do that a role for reading should not; each a sentence."""
        with self._reading(_SCHEMA) as cursor:
            return postgres_schema.risks(cursor)

    def close(self) -> None:
        """See `Engine.close`."""
        if self._connection is not None:
            self._connection.close()

    def _opened(self) -> Any:
        if self._connection is None or self._connection.closed:
            with self._told(_SCHEMA):
                self._connection = _connect(self._target)
                self._prologue = self._settings()
        return self._connection

    def _settings(self) -> str:
        """What each transaction begins with. Nothing is set for the session: behind a pooler it would stay with somebody else."""
        connection = self._connection
        schemas, superuser, encoding = connection.execute(
            "SELECT pg_catalog.current_schemas(false)::text[], rolsuper, pg_catalog.current_setting('server_encoding')"
            " FROM pg_catalog.pg_roles WHERE rolname = session_user"
        ).fetchone()
        self._schemas = schemas or ["public"]
        self._superuser = superuser
        self._arrays = _adapt(connection, lenient=encoding == "SQL_ASCII")
        path = ", ".join(f'"{name.replace(chr(34), chr(34) * 2)}"' for name in self._schemas)
        settings = {
            "search_path": f"{path}, pg_temp",
            "standard_conforming_strings": "on",
            "client_min_messages": "error",
            "datestyle": "ISO",
            "intervalstyle": "postgres",
            "idle_in_transaction_session_timeout": "60s",
        }
        if connection.info.server_version >= _READ_ALL:
            if _listens(connection):
                settings["client_connection_check_interval"] = _LISTENS
            if superuser:
                # Without it a superuser passes by the policies of rows; a query over such a table fails rather than to show less.
                settings |= {"row_security": "off", "role": "pg_read_all_data"}
        return "".join(f"; SET LOCAL {name} = {_quoted(name, value)}" for name, value in settings.items())

    @contextmanager
    def _reading(self, limits: Limits) -> Iterator[Any]:
        """A cursor in a transaction that only reads."""
        milliseconds, lock = (max(1, round(one * 1000)) for one in (limits.seconds, min(limits.seconds, _LOCK_SECONDS)))
        timeouts = f"BEGIN READ ONLY; SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {lock}"
        with self._told(limits):
            cursor = self._begun(timeouts)
            try:
                yield cursor
            finally:
                self._end()

    def _begun(self, timeouts: str) -> Any:
        """A cursor in a new transaction; a connection the server gave up meanwhile is made anew."""
        import psycopg

        cursor = self._opened().cursor()
        try:
            return cursor.execute(timeouts + self._prologue)
        except psycopg.OperationalError:
            if not self._connection.broken:
                raise
        return self._opened().cursor().execute(timeouts + self._prologue)

    def _end(self) -> None:
        """Roll back; a connection on which even that fails is given up."""
        import psycopg

        try:
            self._connection.execute(_END)
        except psycopg.Error:
            with suppress(psycopg.Error):
                self._connection.close()

    def _check(self, cursor: Any, sql: str) -> None:
        """One statement that reads rows, or that would fail in a transaction that reads; never one that does something else."""
        if self._superuser:
            check(sql)
        # Binary, so that psycopg uses the protocol that takes one statement only.
        cursor.execute(f"PREPARE racto AS {sql}", binary=True)

    def _type(self, number: int) -> str:
        return _TYPES.get(number) or ("json" if number in self._arrays else "text")

    @contextmanager
    def _told(self, limits: Limits) -> Iterator[None]:
        """Failures of psycopg as ours, in PostgreSQL's words."""
        try:
            import psycopg
            from psycopg import errors
        except ImportError:
            raise ConfigError("psycopg is not installed.", "Run `pip install 'racto[sql-postgresql]'`.") from None

        try:
            yield
        except RactoError:
            raise
        except errors.QueryCanceled as error:
            raise too_slow(limits) from error
        except MemoryError as error:
            raise too_hungry(limits) from error
        except (psycopg.Error, ValueError, RecursionError) as error:  # also what a value cannot be read as
            if not getattr(error, "sqlstate", None) and _NO_ROOM.search(str(error)):  # libpq's words, not the server's
                raise too_hungry(limits) from error
            raise QueryError(_scrubbed(error, self._target), _hint(error)) from error


def check(sql: str) -> None:
    """Refuse a superuser's query that could take his rights back within itself.

    Until it ends such a query reads as `pg_read_all_data`. `set_config` would end that, and what runs a text as a query would then run it as superuser:
    `ts_stat` read a file of the server so. To be called, such a function must be named, in plain letters or in those of `U&"…"`.

    :raises ReadOnlyViolationError: it names one.
    """
    if found := _ESCAPES.search(sql):
        raise ReadOnlyViolationError(
            f"A superuser's query may not have {found[0]!r} in it.",
            "Give racto a role that only reads.",
            rule="function",
        )


def _described(cursor: Any) -> list[tuple[str, int]]:
    """The columns of a query under way, with the numbers of their types; of one without rows by asking what was prepared."""
    if cursor.description is not None:
        return [(column.name, column.type_code) for column in cursor.description]
    about = cursor.connection.pgconn.describe_prepared(b"racto")
    if not about.nfields:
        raise no_rows()
    return [(about.fname(place).decode(), about.ftype(place)) for place in range(about.nfields)]


def _connect(target: Target) -> Any:
    import psycopg

    given = {
        "host": target.host,
        "port": target.port,
        "dbname": target.database,
        "user": target.username,
        "password": target.password,
    }
    parameters = {
        "connect_timeout": str(_CONNECT_SECONDS),
        "application_name": "racto",
        **target.options,
        **{name: value for name, value in given.items() if value},
        "client_encoding": "utf8",
    }
    try:
        return psycopg.connect(autocommit=True, prepare_threshold=None, **parameters)  # type: ignore[arg-type]  # of libpq, any name it knows
    except psycopg.ProgrammingError as error:
        raise ConfigError(f"PostgreSQL's client does not know a parameter: {error}") from error


def _listens(connection: Any) -> bool:
    """Whether the server can look if its client is still there; one on Windows cannot."""
    import psycopg

    try:
        connection.execute(f"SET client_connection_check_interval = {_LISTENS}; RESET client_connection_check_interval")
    except psycopg.Error:
        return False
    return True


def _adapt(connection: Any, *, lenient: bool) -> set[int]:
    """Have values read as what a result may hold; returns the numbers of array types.

    :param lenient: The database says nothing about its encoding: what is not UTF-8 is shown as well as can be.
    """
    from psycopg.adapt import Loader
    from psycopg.pq import Format
    from psycopg.types.multirange import MultirangeInfo
    from psycopg.types.range import RangeInfo

    class Text(Loader):
        def load(self, data: Any) -> str:
            return str(data, "utf-8", "replace" if lenient else "strict")

    adapters = connection.adapters
    loose = [
        "inet",
        "cidr",
        "record",
        *(info.name for info in adapters.types if isinstance(info, (RangeInfo, MultirangeInfo))),
    ]
    for name in [*loose, *(("text", "varchar", "bpchar", "name", "unknown") if lenient else ())]:
        adapters.register_loader(name, Text)
    for name in ("date", "timestamp", "timestamptz", "time", "timetz", "interval"):
        number = adapters.types[name].oid
        adapters.register_loader(number, _careful(adapters.get_loader(number, Format.TEXT)))
    return {info.array_oid for info in adapters.types if info.array_oid}


def _careful(known: Any) -> Any:
    """A loader that gives PostgreSQL's text where Python has no such value: `infinity`, years before 1, months of no certain length."""
    import psycopg
    from psycopg.adapt import Loader

    class Careful(Loader):
        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._known = known(oid, context)

        def load(self, data: Any) -> Any:
            # A loader in C is not called through a subclass, so this one holds it.
            text = bytes(data)
            if b"mon" in text or b"year" in text:
                return text.decode()
            try:
                return self._known.load(data)
            except (psycopg.DataError, ValueError, OverflowError):
                return text.decode()

    return Careful


def _quoted(name: str, value: str) -> str:
    return value if name == "search_path" or value.startswith("'") else f"'{value}'"


def _scrubbed(error: BaseException, target: Target) -> str:
    """PostgreSQL's words without where it is and who asks."""
    said = getattr(getattr(error, "diag", None), "message_primary", None) or _PREFIX.sub("", str(error)).strip()
    said = _PLACE.sub(lambda found: found[0].split(" ")[0].replace("connection", "at its address"), said)
    for secret in (target.password, target.host):
        if len(secret) > 2:
            said = said.replace(secret, "…")
    return f"PostgreSQL: {said.rstrip('.')}."


def _hint(error: BaseException) -> str:
    diagnosis = getattr(error, "diag", None)
    if diagnosis is not None and diagnosis.message_hint:
        return str(diagnosis.message_hint)
    state = getattr(error, "sqlstate", None) or ""
    if state == "55P03":
        return "Somebody holds the table; try again later."
    return "Check the query against the schema." if state else "Check that the server runs and can be reached."
