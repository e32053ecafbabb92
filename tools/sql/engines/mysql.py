"""MariaDB and MySQL by PyMySQL: one query at a time, in a transaction that may only read and is always rolled back."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from ....knowledge.errors import ConfigError, InputError, QueryError, RactoError, ReadOnlyViolationError
from ..policy import Limits
from ..results import QueryResult
from . import Target, mysql_schema
from .fetching import fetch, no_rows, result_columns, too_hungry, too_slow

if TYPE_CHECKING:
    from ..catalogue import Catalogue
    from ..policy import Policy

_CONNECT_SECONDS = 10
_SCHEMA = Limits(seconds=30.0, rows=0)
_LOCK_SECONDS = 5
_CHUNK = 20  # rows fetched between two looks at the limits
_TIME_LIMIT = frozenset({1969, 3024, 1317})
"""Numbers of errors: over max_statement_time, over max_execution_time, interrupted."""

_MODES = frozenset(
    {"ANSI", "ANSI_QUOTES", "PIPES_AS_CONCAT", "NO_BACKSLASH_ESCAPES", "IGNORE_SPACE", "HIGH_NOT_PRECEDENCE"}
    | {"ORACLE", "MSSQL", "DB2", "POSTGRESQL", "MAXDB", "MYSQL323", "MYSQL40"}
)
"""SQL modes that give the same text another meaning than the one it was checked with."""

_OPTIONS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_key_password"), str),
    **dict.fromkeys(
        ("ssl_verify_cert", "ssl_verify_identity", "ssl_disabled"), lambda text: text.lower() in {"1", "true"}
    ),
    **dict.fromkeys(("connect_timeout", "read_timeout", "write_timeout"), int),
}
"""Options of a connection string that are passed on, and how they are read."""
_IGNORED = frozenset({"charset", "use_unicode"})

_PART = re.compile(
    r"""(?P<text>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")"""
    r"|(?P<comment>/\*(?!M?!).*?\*/|--(?=[ \t\r\n]|$)[^\n]*|\#[^\n]*)"
    r"|(?P<name>`(?:[^`]|``)*`)"
    r"|(?P<odd>['\"`]|/\*)"  # a quote or comment that does not end, a comment that is carried out
    r"|(?P<code>[^'\"`/\#-]+|.)",
    re.DOTALL,
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]")
_BEGINS = re.compile(r"[\s(]*(?:select|with|values|table)\b", re.IGNORECASE)
_FILES = ("outfile", "dumpfile", "load_file")

_TYPES = {
    **dict.fromkeys((1, 2, 3, 8, 9, 13, 16), "integer"),
    **dict.fromkeys((0, 4, 5, 246), "number"),
    **dict.fromkeys((7, 12, 17, 18), "datetime"),
    **dict.fromkeys((10, 14), "date"),
    11: "interval",
    245: "json",
    255: "bytea",
}
"""What a type holds, by its number in the protocol; a TIME of MariaDB is a span, it may be negative or longer than a day."""
_BINARY = 63  # the character set of bytes

_PLACE = re.compile(r"'[^']*'@'[^']*'|(?:server (?:on|host) )'[^']*'|\([^()]*\bErrno\b[^()]*\)")


class MySQLEngine:
    """A connection to MariaDB 10.5 or MySQL 8.0, or newer.

    What holds here whatever SQL arrives: it begins as a query and names nothing that reads or writes a file (a transaction `READ ONLY` refuses changes of
    rows, but MariaDB carries out CREATE, DROP, SET and FLUSH in it); it runs in such a transaction under a time limit of the server, and is rolled back.
    What a column holds is hidden by the rights of the account alone (`grants.py`). When this process is killed, the server goes on until the time limit of
    the query: MariaDB does not look whether anybody still listens.
    """

    def __init__(self, target: Target, policy: Policy) -> None:
        if not target.database:
            raise ConfigError("The name of the database is missing.", "Write it like mysql://user@host/database.")
        self._target = target
        self._policy = policy
        self._connection: Any = None
        self._opened()

    def catalogue(self, *, row_counts: bool = False, samples: int = 0) -> Catalogue:
        """See `Engine.catalogue`; what the account may not read is not in it."""
        with self._reading(_SCHEMA) as cursor:
            return mysql_schema.catalogue(
                cursor, self._target.database, self._policy, row_counts=row_counts, samples=samples
            )

    def fingerprint(self) -> str:
        """See `Engine.fingerprint`."""
        with self._reading(_SCHEMA) as cursor:
            return mysql_schema.fingerprint(cursor)

    def run(self, sql: str, limits: Limits) -> QueryResult:
        """See `Engine.run`."""
        check(sql)
        began = time.monotonic()
        with self._reading(limits) as cursor:
            cursor.execute(sql)
            if cursor.description is None:
                raise no_rows()
            fields = cursor._result.fields  # nothing public tells text from bytes
            rows = _rows(cursor, fields)
            kept, truncated = fetch(lambda _: list(islice(rows, _CHUNK)), limits, began + limits.seconds)
            if time.monotonic() - began >= limits.seconds:
                raise too_slow(limits)  # SLEEP and BENCHMARK that are interrupted give a row, and no error
        columns = result_columns((field.name for field in fields), map(_type, fields), kept)
        return QueryResult(columns, kept, sql, truncated, time.monotonic() - began)

    def explain(self, sql: str, limits: Limits) -> str:
        """See `Engine.explain`."""
        check(sql)
        with self._reading(limits) as cursor:
            cursor.execute(f"EXPLAIN {sql}")
            names = [column[0] for column in cursor.description]
            lines = [" | ".join("" if value is None else str(value) for value in row) for row in cursor.fetchall()]
        return "\n".join([" | ".join(names), *lines])

    def load(self, name: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """See `Engine.load`."""
        raise InputError("Rows cannot be loaded into MariaDB or MySQL.", "Load them into DuckDB in memory.")

    def risks(self) -> list[str]:
        """What the account may do that one for reading should not; each a sentence."""
        with self._reading(_SCHEMA) as cursor:
            return mysql_schema.risks(cursor)

    def close(self) -> None:
        """See `Engine.close`."""
        if self._connection is not None and self._connection.open:
            self._connection.close()

    def _opened(self) -> Any:
        if self._connection is None or not self._connection.open:
            with self._told(_SCHEMA):
                self._connection = _connect(self._target)
                self._settings = _settings(self._connection)
        return self._connection

    @contextmanager
    def _reading(self, limits: Limits) -> Iterator[Any]:
        """A cursor in a transaction that only reads; what is left of a query when it ends is killed on the server."""
        with self._told(limits):
            cursor = self._begun(limits)
            try:
                yield cursor
            finally:
                self._end(cursor)

    def _begun(self, limits: Limits) -> Any:
        """A cursor in a new transaction; a connection the server gave up meanwhile is made anew."""
        from pymysql.cursors import SSCursor
        from pymysql.err import OperationalError

        milliseconds = max(1, round(limits.seconds * 1000))
        cursor = self._opened().cursor(SSCursor)
        for again in (True, False):
            try:
                # Set each time: a stored function could have changed it.
                cursor.execute(self._settings.format(seconds=milliseconds / 1000, milliseconds=milliseconds))
                break
            except OperationalError:
                if not again or self._connection.open:
                    raise
                cursor = self._opened().cursor(SSCursor)
        cursor.execute(f"SET SESSION sql_select_limit = {limits.rows + 1 if limits.rows else 'DEFAULT'}")
        cursor.execute("START TRANSACTION READ ONLY")
        return cursor

    def _end(self, cursor: Any) -> None:
        """Roll back; a connection on which even that fails is given up."""
        from pymysql import MySQLError

        try:
            if cursor._result is not None and cursor._result.unbuffered_active:
                self._kill(self._connection.thread_id())
            with suppress(MySQLError):
                cursor.close()  # which reads all that still comes
            with self._connection.cursor() as last:
                last.execute("ROLLBACK")
                last.execute("DO RELEASE_ALL_LOCKS()")
        except (MySQLError, OSError):
            with suppress(MySQLError, OSError):
                self._connection.close()

    def _kill(self, thread: int) -> None:
        """End what a thread of the server is doing."""
        connection = _connect(self._target)
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"KILL QUERY {int(thread)}")
        finally:
            connection.close()

    @contextmanager
    def _told(self, limits: Limits) -> Iterator[None]:
        """Failures of PyMySQL as ours, in the database's words."""
        try:
            from pymysql import MySQLError
        except ImportError:
            raise ConfigError("PyMySQL is not installed.", "Run `pip install 'racto[sql-mysql]'`.") from None

        try:
            yield
        except RactoError:
            raise
        except MySQLError as error:
            number = error.args[0] if error.args else 0
            if number in _TIME_LIMIT:
                raise too_slow(limits) from error
            hint = "Check the query against the schema."
            if isinstance(number, int) and (2000 <= number < 3000 or number in (1045, 1049, 1698)):
                hint = "Check that the server runs and can be reached, and the account."
            raise QueryError(_scrubbed(error, self._target), hint) from error
        except MemoryError as error:
            raise too_hungry(limits) from error
        except (ValueError, RuntimeError, OSError) as error:  # also what a value cannot be read as
            raise QueryError(_scrubbed(error, self._target), "Ask for the value as text.") from error


def check(sql: str) -> None:
    """Refuse what is not plainly a query that stays in the database.

    MariaDB carries out CREATE or SET in a transaction that only reads, and such a transaction does not keep an account with the right FILE from the files
    of the server. Comments that are carried out (`/*! … */`) are refused. `1e5into outfile` is `INTO OUTFILE` to MariaDB: so no word is looked for, but
    letters.

    :raises ReadOnlyViolationError: it begins as another statement, or has to do with files.
    """
    code = []
    for part in _PART.finditer(sql):
        kind = part.lastgroup
        if kind == "odd":
            raise _refused("a quote or comment in it does not end, or is one that is carried out")
        code.append(" " if kind == "comment" else "''" if kind == "text" else part[0])
    text = "".join(code)
    if _CONTROL.search(sql):
        raise _refused("it has control characters")
    if not _BEGINS.match(text):
        raise _refused("it does not begin with SELECT, WITH, VALUES or TABLE")
    if ";" in text.rstrip("; \t\r\n"):
        raise _refused("it is several statements")
    if any(word in text.lower() for word in _FILES):
        raise _refused("it has to do with files")


def _refused(why: str) -> ReadOnlyViolationError:
    return ReadOnlyViolationError(f"This is not run, because {why}.", "Write one SELECT.", rule="write")


def _connect(target: Target) -> Any:
    import pymysql

    options: dict[str, Any] = {"connect_timeout": _CONNECT_SECONDS}
    for name, text in target.options.items():
        if name in _OPTIONS:
            options[name] = _OPTIONS[name](text)
        elif name not in _IGNORED:
            raise ConfigError(f"MySQL connections have no option {name!r}.", f"Known: {', '.join(sorted(_OPTIONS))}.")
    return pymysql.connect(
        host=target.host or "localhost",
        port=target.port or 3306,
        user=target.username or None,
        password=target.password,
        database=target.database,
        charset="utf8mb4",
        autocommit=True,
        local_infile=False,
        program_name="racto",
        **options,
    )


def _settings(connection: Any) -> str:
    """The statement that sets limits, with `{seconds}` and `{milliseconds}` left open."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@version, @@sql_mode")
        version, modes = cursor.fetchone()
    limit = "max_statement_time = {seconds}" if "mariadb" in version.lower() else "max_execution_time = {milliseconds}"
    return f"SET SESSION sql_mode = '{plain_modes(modes)}', {limit}, lock_wait_timeout = {_LOCK_SECONDS}, innodb_lock_wait_timeout = {_LOCK_SECONDS}"


def plain_modes(modes: str) -> str:
    """SQL modes without those that give a text another meaning."""
    return ",".join(mode for mode in modes.split(",") if mode not in _MODES)


def _rows(cursor: Any, fields: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    """The rows as they arrive, bits as numbers and JSON as what it means."""
    import json

    readers: dict[int, Callable[[bytes], Any]] = {16: lambda bits: int.from_bytes(bits, "big"), 245: json.loads}
    special = [(place, readers[field.type_code]) for place, field in enumerate(fields) if field.type_code in readers]
    for row in iter(cursor.fetchone, None):
        if special:
            values = list(row)
            for place, reader in special:
                if values[place] is not None:
                    values[place] = reader(values[place])
            yield tuple(values)
        else:
            yield row


def _type(field: Any) -> str:
    if known := _TYPES.get(field.type_code):
        return known
    return "bytea" if field.charsetnr == _BINARY else "text"


def _scrubbed(error: BaseException, target: Target) -> str:
    """The database's words without where it is and who asks."""
    said = str(error.args[-1]) if error.args else type(error).__name__
    said = _PLACE.sub(lambda found: "somebody" if "@" in found[0] else "server", said)
    for secret in (target.password, target.host):
        if len(secret) > 2:
            said = said.replace(secret, "…")
    return f"The database: {said.strip().rstrip('.')}."
