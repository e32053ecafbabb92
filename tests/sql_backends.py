"""One way for each engine to make a database from a script: what the contract suite of the engines stands on.

A new engine is one function here and one line in `BACKENDS`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import duckdb
from racto.tools.sql.engines import Target

from tests import sql_servers

Rows = dict[str, Sequence[Sequence[Any]]]
_numbers = count(1)


@dataclass(frozen=True)
class Backend:
    """How an engine is examined.

    :param make: Folder, statements, rows by table → the database that has them.
    :param dialect: As sqlglot names it.
    :param never_ends: A query that goes on until somebody stops it.
    :param hides: Queries see neither tables that are not allowed nor blocked columns.
    """

    make: Callable[[Path, Sequence[str], Rows], Target]
    dialect: str
    never_ends: str = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"
    hides: bool = False


def sqlite_database(folder: Path, script: Sequence[str], rows: Rows) -> Target:
    """A file."""
    path = folder / f"{next(_numbers)}.db"
    with closing(sqlite3.connect(path)) as connection:
        _fill(connection.cursor(), script, rows, "?")
        connection.commit()
    return Target("sqlite", str(path))


def duckdb_database(folder: Path, script: Sequence[str], rows: Rows) -> Target:
    """A file."""
    path = folder / f"{next(_numbers)}.duckdb"
    with closing(duckdb.connect(str(path))) as connection:
        _fill(connection, script, rows, "?")
    return Target("duckdb", str(path))


def postgres_database(folder: Path, script: Sequence[str], rows: Rows) -> Target:
    """A database on the server all tests share."""
    name = f"backend_{next(_numbers)}"
    with sql_servers.postgres_as_admin() as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    with sql_servers.postgres_as_admin(name) as connection:
        _fill(connection.cursor(), script, rows, "%s")
    return replace(sql_servers.postgres(), database=name)


def mariadb_database(folder: Path, script: Sequence[str], rows: Rows) -> Target:
    """A database on the server all tests share."""
    name = f"backend_{next(_numbers)}"
    with sql_servers.mariadb_as_admin() as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        cursor.execute(f"USE {name}")
        _fill(cursor, script, rows, "%s")
    return replace(sql_servers.mariadb(), database=name)


BACKENDS = {
    "sqlite": Backend(sqlite_database, "sqlite", hides=True),
    "duckdb": Backend(duckdb_database, "duckdb", "SELECT sum(range) FROM range(1000000000000)", hides=True),
    "postgresql": Backend(postgres_database, "postgres"),
    "mysql": Backend(
        mariadb_database,
        "mysql",
        "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c",
    ),
}


def _fill(cursor: Any, script: Sequence[str], rows: Rows, mark: str) -> None:
    for statement in script:
        cursor.execute(statement)
    for table, values in rows.items():
        marks = ", ".join([mark] * len(values[0]))
        cursor.executemany(f"INSERT INTO {table} VALUES ({marks})", values)
