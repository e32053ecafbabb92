"""Chunks in PostgreSQL with pgvector: every batch is one transaction, so what was acknowledged is there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..chunks import Chunk
from ..errors import ConfigError, unknown_name
from .adapter import Dialect, StoreAdapter, installed
from .filtering import Node
from .records import Row, unpacked

if TYPE_CHECKING:
    from numpy.typing import NDArray

Condition = tuple[str, list[Any]]
"""SQL that is true or false, never unknown, with its parameters."""

_OPERATORS = {"cosine": "<=>", "l2": "<->", "ip": "<#>"}
_SIGNS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_CONNECT_SECONDS = 10
_LOCK = 7_206_931_844_211_503
_DIMENSION = (
    "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = 'embedding' AND NOT attisdropped"
)
_UPSERT = (
    "INSERT INTO {table} (id, record, fields, embedding) VALUES (%s, %s, %s::jsonb, %s::vector)"
    " ON CONFLICT (id) DO UPDATE SET record = excluded.record, fields = excluded.fields, embedding = excluded.embedding"
)
_PASSWORD = re.compile(r"://[^/@]*:([^/@]+)@|password=('[^']*'|\S+)")


class _Conditions(Dialect[Condition]):
    """SQL over the JSONB column; an absent field is unknown to SQL and false here."""

    def within(self, key: str, values: list[str] | list[float]) -> Condition | None:
        return f"coalesce({_value(key, values[0])} = ANY(%s), false)", [values]

    def ordered(self, key: str, operator: str, value: str | float) -> Condition | None:
        return f"coalesce({_value(key, value)} {_SIGNS[operator]} %s, false)", [value]

    def every(self, parts: list[Condition]) -> Condition:
        return _joined(" AND ", parts)

    def some(self, parts: list[Condition]) -> Condition:
        return _joined(" OR ", parts)

    def negated(self, part: Condition) -> Condition:
        return f"NOT {part[0]}", part[1]


class PGVectorStore(StoreAdapter[Condition]):
    """One table, made by the first chunks that are added; every search compares with every row its filters let through.

    :param dsn: `postgresql://user:password@host/database`, or libpq's `key=value` words.
    :param table: Its name, or `schema.name`; quoted, so any name will do.
    :param dimension: How long vectors are; by default as long as the first ones added.
    :param distance: `cosine`; `l2`, and a score is the distance with a minus; `ip`, and it is the inner product.
    :param batch_size: Chunks in one transaction.
    :param connection_string: Another name for `dsn`.
    """

    def __init__(
        self,
        dsn: str = "",
        *,
        table: str = "rag_chunks",
        dimension: int | None = None,
        distance: str = "cosine",
        batch_size: int = 100,
        connection_string: str = "",
    ) -> None:
        if distance not in _OPERATORS:
            raise unknown_name("distance", distance, _OPERATORS)
        self._dsn = dsn or connection_string
        if not self._dsn:
            raise ConfigError("There is no dsn.", "Write it like postgresql://user:password@host/database.")
        secrets = [word for found in _PASSWORD.findall(self._dsn) for word in found]
        super().__init__("PostgreSQL", _Conditions(), batch_size=batch_size, secrets=secrets)
        self._table = table
        self._given = dimension
        self._distance = distance
        self._connection: Any = None

    def close(self) -> None:
        """See `BaseVectorStore.close`."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _failures(self) -> tuple[type[Exception], ...]:
        return (_psycopg().Error, OSError)

    def _opened(self) -> Any:
        psycopg = _psycopg()
        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self._dsn, autocommit=True, connect_timeout=_CONNECT_SECONDS)
        return self._connection

    def _name(self) -> str:
        """The table's name, quoted."""
        from psycopg.sql import Identifier

        return Identifier(*self._table.split(".", 1)).as_string(self._opened())

    def _sql(self, statement: str) -> Any:
        """A statement with the name in place of `{table}`."""
        from psycopg.sql import SQL

        # psycopg looks for parameters in names too: a percent sign is doubled.
        return SQL(statement).format(table=SQL(self._name().replace("%", "%%")))

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        cursor = self._opened().execute(self._sql(statement), values)
        return cursor.fetchall() if cursor.description else []

    def _kept(self) -> int | None:
        """The dimension of the table; `None` when there is no table."""
        found = self._run(_DIMENSION, [self._name()])
        return int(found[0][0]) if found else None

    def _dimension(self) -> int | None:
        return self._kept() or self._given

    def _make(self, dimension: int) -> None:
        with self._opened().transaction():
            # Two processes that make one table at once would meet in PostgreSQL's catalogue.
            self._run("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
            self._run("CREATE EXTENSION IF NOT EXISTS vector")
            self._run(
                "CREATE TABLE IF NOT EXISTS {table} (id text PRIMARY KEY, record text NOT NULL, fields jsonb NOT NULL,"
                f" embedding vector({dimension}) NOT NULL)"
            )

    def _put(self, rows: Sequence[Row]) -> None:
        if self._kept() is None:
            self._make(len(rows[0].vector))
        connection = self._opened()
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(
                self._sql(_UPSERT),
                [(row.chunk_id, row.record, json.dumps(row.fields), _text(row.vector)) for row in rows],
            )

    def _nearest(
        self, vector: NDArray[Any], limit: int, native: Condition | None, node: Node | None
    ) -> list[tuple[Chunk, float]]:
        if self._given is not None and self._kept() is None:
            return []
        condition, values = native or ("true", [])
        found = self._run(
            f"SELECT record, embedding {_OPERATORS[self._distance]} %s::vector AS distance FROM {{table}}"  # noqa: S608 - its parts are ours
            f" WHERE {condition} ORDER BY distance, id LIMIT %s",
            [_text(vector), *values, limit],
        )
        whole = 1 if self._distance == "cosine" else 0  # <=> is one minus the cosine, <#> minus the inner product
        return [(unpacked(record), whole - distance) for record, distance in found]

    def _remove(self, chunk_ids: Sequence[str]) -> None:
        if self._kept() is not None:
            self._run("DELETE FROM {table} WHERE id = ANY(%s)", [list(chunk_ids)])

    def _drop(self) -> None:
        self._run("DROP TABLE IF EXISTS {table}")

    def _size(self) -> int:
        return 0 if self._kept() is None else int(self._run("SELECT count(*) FROM {table}")[0][0])


def _value(key: str, value: str | float) -> str:
    """The field as SQL, comparable with such a value: texts by code points, whatever the database's language."""
    return f"(fields->>'{key}') COLLATE \"C\"" if isinstance(value, str) else f"(fields->>'{key}')::float8"


def _joined(word: str, parts: list[Condition]) -> Condition:
    return f"({word.join(part for part, _ in parts)})", [value for _, values in parts for value in values]


def _text(vector: NDArray[Any]) -> str:
    return f"[{','.join(map(repr, vector.tolist()))}]"


def _psycopg() -> Any:
    with installed("rag-pgvector"):
        import psycopg
    return psycopg
