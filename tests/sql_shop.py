"""The shop of `shared/data/sql`: its catalogue, its policy, its real databases, and the statements that try it."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from racto.tools.sql.catalogue import Catalogue, Column, Table
from racto.tools.sql.policy import Policy

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "sql"
CANARIES = ("CANARY", "canary.email", "987650", "98765")
"""Parts of every protected value."""

Rows = list[tuple[Any, ...]]
SCHEMAS = {"sqlite": "", "postgres": "public", "mysql": "shop", "duckdb": "main"}


@cache
def shop() -> ModuleType:
    """The module that describes it; the test is skipped where the data is not there."""
    path = DATA / "shop.py"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    spec = importlib.util.spec_from_file_location("sql_shop_data", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def catalogue(dialect: str) -> Catalogue:
    """The shop as a dialect's introspection gives it."""
    schema = SCHEMAS[dialect]
    tables = [
        Table(name, tuple(Column(*column) for column in columns), schema) for name, columns in shop().TABLES.items()
    ]
    view = Table("v_leak", (Column("id", "INTEGER"), Column("code", "TEXT")), schema, "view")
    return Catalogue(dialect, (*tables, view), default_schema=schema)


def policy() -> Policy:
    """What may be read of the shop."""
    return Policy(**shop().POLICY)


def statements(dialect: str) -> list[dict[str, Any]]:
    """The statements of the safety corpus in one dialect."""
    shop()
    with (DATA / "safety.jsonl").open(encoding="utf-8") as lines:
        return [row for row in map(json.loads, lines) if row["dialect"] == dialect]


def fill(dialect: str, run: Callable[[str, tuple[Any, ...]], object]) -> None:
    """Make the shop over a connection's `run(sql, parameters)`."""
    mark = {"sqlite": "?", "duckdb": "?"}.get(dialect, "%s")
    for sql in shop().ddl(dialect):
        run(sql, ())
    for table, rows in shop().rows().items():
        for row in rows:
            run(f"INSERT INTO {table} VALUES ({', '.join([mark] * len(row))})", row)


def sqlite_shop() -> sqlite3.Connection:
    """A shop in memory."""
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    fill("sqlite", lambda sql, row: connection.execute(sql, row))
    connection.commit()
    return connection


def state(dialect: str, run: Callable[[str], Rows]) -> list[tuple[str, Rows]]:
    """Everything that is in it, to see whether something changed."""
    return [(table, sorted(run(f"SELECT * FROM {table}"), key=repr)) for table in shop().TABLES]


def leaks(rows: object) -> list[str]:
    """The canaries in a result, an error or a text."""
    text = repr(rows)
    return [canary for canary in CANARIES if canary in text]


def each(rows: list[dict[str, Any]], verdict: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Statements of one verdict as (id, SQL, row)."""
    for row in rows:
        if row["verdict"] == verdict:
            yield row["id"], row["sql"], row
